import CryptoCore
import Wire

/// What a sealed row is; part of its associated data. Never renumber.
enum RecordKind: UInt8 {
  case token = 1
  case pin = 2
  case object = 3
  case state = 4
}

/// The number of a record: which one it is and which writing of it.
struct RecordIdentity: Equatable {
  let kind: RecordKind
  let token: UInt32
  /// The object's id, the PIN's role, 0 for a token.
  let id: UInt64
  /// Random, new with each writing (docs/storage.md says why it is not a count).
  let version: UInt64

  init(_ kind: RecordKind, token: UInt32, id: UInt64, version: UInt64) {
    self.kind = kind
    self.token = token
    self.id = id
    self.version = version
  }

  /// The next writing of a record.
  init(newVersionOf kind: RecordKind, token: UInt32, id: UInt64, _ keys: StoreKeys) throws(StorageError) {
    var version: UInt64 = 0
    try cryptography { () throws(CryptoError) in
      try withUnsafeMutableBytes(of: &version) { (bytes) throws(CryptoError) in try keys.numbers.fill(bytes) }
    }
    self.init(kind, token: token, id: id, version: version)
  }
}

/// Which bytes of a record a seal covers; part of the associated data. Never renumber.
enum RecordPart: UInt8 {
  case whole = 0
  case publicPart = 1
  case privatePart = 2
}

/// The keys that a store derives from its device key (docs/storage.md, "Keys").
final class StoreKeys: Sendable {
  static let storeIDByteCount = 16

  let storeID: [UInt8]
  let record: AES256GCM
  let state: AES256GCM
  let pin: SecretBytes
  let digest: MessageAuthenticationKey
  let anchor: MessageAuthenticationKey
  /// For versions and nonces.
  let numbers = RandomNumbers()
  /// Tells a wrong device key from a damaged database.
  let check: [UInt8]
  private let privatePart: SecretBytes
  /// The first bytes of everything that is authenticated.
  let associatedDataPrefix: AssociatedData

  init(deviceKey: SecretBytes, storeID: [UInt8]) throws(StorageError) {
    func derive(_ label: String) throws(CryptoError) -> SecretBytes {
      try hkdfSHA256(
        key: deviceKey, salt: storeID, info: Array("strongroom storage v1 \(label)".utf8), count: 32)
    }
    var prefix = AssociatedData()
    prefix.append(UInt32(0x3153_5253))  // SRS1
    prefix.append(storeID)
    associatedDataPrefix = prefix
    do throws(CryptoError) {
      self.storeID = storeID
      record = try AES256GCM(derive("record"))
      state = try AES256GCM(derive("state"))
      pin = try derive("pin")
      privatePart = try derive("private")
      digest = try MessageAuthenticationKey(hmac: .sha256, key: derive("digest"))
      anchor = try MessageAuthenticationKey(hmac: .sha256, key: derive("anchor"))
      check = try derive("check").withBytes { Array($0[..<16]) }
    } catch {
      throw StorageError(error)
    }
  }

  /// The key of private parts: from the device key and `tokenKey`, or from the device key alone when that is nil.
  func privatePartKey(token: UInt32, tokenKey: SecretBytes?) throws(StorageError) -> PrivatePartKey {
    let key: SecretBytes
    if let tokenKey {
      key = try derive(joined(tokenKey, privatePart), "strongroom storage v1 private part", token)
    } else {
      key = try derive(privatePart, "strongroom storage v1 secret part of public objects", token)
    }
    return PrivatePartKey(token: token, key: try cryptography { () throws(CryptoError) in try AES256GCM(key) })
  }

  /// The key that wraps a token key under a PIN, from scrypt's output and the device key.
  func pinKey(token: UInt32, role: PINRole, stretched: SecretBytes) throws(StorageError) -> AES256GCM {
    let key = try derive(joined(stretched, pin), "strongroom storage v1 PIN", token, role.rawValue)
    return try cryptography { () throws(CryptoError) in try AES256GCM(key) }
  }

  private func derive(
    _ key: SecretBytes, _ label: String, _ numbers: UInt32...
  ) throws(StorageError) -> SecretBytes {
    var info = Array(label.utf8)
    for number in numbers { info.append(number) }
    return try cryptography { () throws(CryptoError) in
      try hkdfSHA256(key: key, salt: storeID, info: info, count: 32)
    }
  }

  private func joined(_ first: SecretBytes, _ second: SecretBytes) -> SecretBytes {
    SecretBytes(count: first.count + second.count) { output in
      first.withBytes { output.copyMemory(from: $0) }
      second.withBytes { UnsafeMutableRawBufferPointer(rebasing: output[first.count...]).copyMemory(from: $0) }
      return output.count
    }
  }

  func associatedData(
    of record: RecordIdentity, _ part: RecordPart, beside privatePart: SealedPrivatePart? = nil
  ) -> AssociatedData {
    var data = associatedDataPrefix
    data.append(record.kind.rawValue)
    data.append(part.rawValue)
    data.append(record.token)
    data.append(record.id)
    data.append(record.version)
    privatePart?.appendBinding(to: &data)
    return data
  }

  /// What `record` adds to the digest of all records.
  func digestElement(of record: RecordIdentity) throws(StorageError) -> SetDigest {
    var message: (UInt64, UInt64, UInt64) = (
      (UInt64(record.token) << 8 | UInt64(record.kind.rawValue)).littleEndian, record.id.littleEndian,
      record.version.littleEndian
    )
    var element = SetDigest()
    try cryptography { () throws(CryptoError) in
      try withUnsafeBytes(of: &message) { (message) throws(CryptoError) in
        try withUnsafeMutableBytes(of: &element.words) { (output) throws(CryptoError) in
          _ = try digest.authenticate(message, into: output)
        }
      }
    }
    element.readLittleEndian()
    return element
  }
}

extension [UInt8] {
  /// Appends an integer, little-endian.
  mutating func append(_ value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}
