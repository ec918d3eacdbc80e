import CryptoCore

/// A token's record: the bytes are the token service's (label, serial number, flags), sealed under the device key.
public struct StoredToken: Equatable, Sendable {
  public let token: UInt32
  public let content: [UInt8]

  public init(token: UInt32, content: [UInt8]) {
    self.token = token
    self.content = content
  }
}

/// The private part of an object as it is stored: readable only with its `PrivatePartKey`.
public struct SealedPrivatePart: Equatable, Sendable {
  let bytes: [UInt8]
  let version: UInt64

  /// The plaintext's byte count.
  public var byteCount: Int { max(bytes.count - Seal.overhead, 0) }

  /// What ties the part to its object's public part: version, length, nonce and tag.
  var binding: [UInt8] {
    var binding: [UInt8] = []
    binding.reserveCapacity(40)
    binding.append(version)
    binding.append(UInt32(truncatingIfNeeded: bytes.count))
    binding += bytes.prefix(Seal.nonceByteCount)
    binding += bytes.suffix(AES256GCM.tagByteCount)
    return binding
  }
}

/// A token object as it is stored, its public part opened and authentic.
public struct StoredObject: Equatable, Sendable {
  public let token: UInt32
  /// Given by the store, growing, never used for another object.
  public let id: UInt64
  public let publicPart: [UInt8]
  public let privatePart: SealedPrivatePart?
}

/// The key of a token's private parts: needs the device key and, but for public objects' secrets, the token key.
public final class PrivatePartKey: Sendable {
  let token: UInt32
  let key: SecretBytes

  init(token: UInt32, key: SecretBytes) {
    self.token = token
    self.key = key
  }
}

/// What becomes of an object's private part in an update.
public enum PrivatePartChange: Sendable {
  /// Stays as it is; no key needed.
  case kept
  case removed
  case replaced(SecretBytes, PrivatePartKey)
}

/// A new private part: the bytes and the key to seal them under.
public struct NewPrivatePart: Sendable {
  public let content: SecretBytes
  public let key: PrivatePartKey

  public init(_ content: SecretBytes, key: PrivatePartKey) {
    self.content = content
    self.key = key
  }
}

extension StoreKeys {
  /// The object in a row of `SELECT id, token, version, private_version, public, private`; nil when it is damaged.
  func object(in row: Statement) throws(StorageError) -> StoredObject? {
    guard let token = row.uint32(1) else { return nil }
    let id = row.uint64(0)
    let privatePart =
      row.isNull(5) ? nil : SealedPrivatePart(bytes: Array(row.bytes(5)), version: row.uint64(3))
    let record = RecordIdentity(.object, token: token, id: id, version: row.uint64(2))
    let associatedData = associatedData(of: record, .publicPart, tail: privatePart?.binding ?? [])
    guard let publicPart = try Seal.open(row.bytes(4), key: self.record, authenticating: associatedData) as [UInt8]?
    else { return nil }
    return StoredObject(token: token, id: id, publicPart: publicPart, privatePart: privatePart)
  }

  func sealPublicPart(
    _ content: [UInt8], of record: RecordIdentity, beside privatePart: SealedPrivatePart?
  ) throws(StorageError) -> [UInt8] {
    let associatedData = associatedData(of: record, .publicPart, tail: privatePart?.binding ?? [])
    return try content.span.withUnsafeBytes { (content) throws(StorageError) in
      try Seal.close(content, key: self.record, authenticating: associatedData)
    }
  }

  func sealPrivatePart(
    _ content: SecretBytes, of record: RecordIdentity, with key: PrivatePartKey
  ) throws(StorageError) -> SealedPrivatePart {
    let associatedData = associatedData(of: record, .privatePart)
    let sealed = try content.withBytes { (content) throws(StorageError) in
      try Seal.close(content, key: key.key, authenticating: associatedData)
    }
    return SealedPrivatePart(bytes: sealed, version: record.version)
  }

  /// Nil when the part is damaged or `key` is not its key.
  func openPrivatePart(
    _ part: SealedPrivatePart, token: UInt32, id: UInt64, with key: PrivatePartKey
  ) throws(StorageError) -> SecretBytes? {
    let record = RecordIdentity(.object, token: token, id: id, version: part.version)
    let associatedData = associatedData(of: record, .privatePart)
    return try part.bytes.span.withUnsafeBytes { (sealed) throws(StorageError) in
      try Seal.openSecret(sealed, key: key.key, authenticating: associatedData)
    }
  }

  func sealWhole(_ content: [UInt8], of record: RecordIdentity) throws(StorageError) -> [UInt8] {
    let associatedData = associatedData(of: record, .whole)
    return try content.span.withUnsafeBytes { (content) throws(StorageError) in
      try Seal.close(content, key: self.record, authenticating: associatedData)
    }
  }

  func openWhole(
    _ sealed: UnsafeRawBufferPointer, of record: RecordIdentity
  ) throws(StorageError) -> [UInt8]? {
    try Seal.open(sealed, key: self.record, authenticating: associatedData(of: record, .whole))
  }
}
