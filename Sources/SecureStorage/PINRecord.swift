import CryptoCore
import Wire

/// Whose PIN it is, by PKCS#11's numbers (CKU_SO, CKU_USER).
public enum PINRole: UInt32, CaseIterable, Sendable, CustomStringConvertible {
  case securityOfficer = 0
  case user = 1

  public var description: String {
    switch self {
    case .securityOfficer: "security officer's"
    case .user: "user's"
    }
  }
}

/// What may be known of a PIN without giving it.
public struct PINStatus: Equatable, Sendable {
  /// Failed tries since the last success.
  public let tries: UInt32
  public let limit: UInt32

  public var remaining: UInt32 { limit > tries ? limit - tries : 0 }
  public var isLocked: Bool { remaining == 0 }
}

/// Which PIN a role has, without the PIN: another one that is set, also the same again, has another identity.
public struct PINIdentity: Equatable, Sendable {
  let salt: [UInt8]
}

/// A new PIN with its stretching done, to be written with `Transaction.setPIN`.
public struct PreparedPIN: Sendable {
  let token: UInt32
  let role: PINRole
  let record: PINRecord
  /// The PIN that it may take the place of; nil: of any.
  let replaced: PINIdentity?
}

/// The price of one try: scrypt's parameters.
struct PINCost: Equatable, Sendable {
  var n: UInt64
  var r: UInt32
  var p: UInt32

  /// 32 MiB and some 60 ms a try.
  static let standard = PINCost(n: 1 << 15, r: 8, p: 1)
}

/// What is stored of a PIN: enough to check it by opening the wrapped token key, and the try counter.
struct PINRecord: Equatable, Sendable {
  private static let format: UInt32 = 1
  static let saltByteCount = 16

  let cost: PINCost
  let salt: [UInt8]
  let wrappedTokenKey: [UInt8]
  var tries: UInt32
  let limit: UInt32

  var status: PINStatus { PINStatus(tries: tries, limit: limit) }

  /// Stretches `pin` under a fresh salt and wraps `tokenKey` under the result. Takes as long as a try.
  init(
    pin: SecretBytes, tokenKey: SecretBytes, cost: PINCost, limit: UInt32, token: UInt32, role: PINRole, keys: StoreKeys
  ) throws(StorageError) {
    let salt = try cryptography { () throws(CryptoError) in try randomBytes(count: Self.saltByteCount) }
    let key = try Self.stretched(pin, cost, salt, token, role, keys)
    let associatedData = Self.associatedData(cost, salt, token, role, keys)
    wrappedTokenKey = try tokenKey.withBytes { (tokenKey) throws(StorageError) in
      try Seal.close(tokenKey, key: key, authenticating: associatedData, numbers: keys.numbers)
    }
    self.cost = cost
    self.salt = salt
    self.limit = limit
    tries = 0
  }

  /// The token key if `pin` is right, else nil. Runs scrypt.
  func tokenKey(for pin: SecretBytes, token: UInt32, role: PINRole, keys: StoreKeys) throws(StorageError)
    -> SecretBytes?
  {
    let key = try Self.stretched(pin, cost, salt, token, role, keys)
    let associatedData = Self.associatedData(cost, salt, token, role, keys)
    return try wrappedTokenKey.span.withUnsafeBytes { (wrapped) throws(StorageError) in
      try Seal.openSecret(wrapped, key: key, authenticating: associatedData)
    }
  }

  func encoded() -> [UInt8] {
    var writer = WireWriter()
    writer.u32(Self.format)
    writer.u64(cost.n)
    writer.u32(cost.r)
    writer.u32(cost.p)
    writer.bytes(salt)
    writer.bytes(wrappedTokenKey)
    writer.u32(tries)
    writer.u32(limit)
    return writer.withMessage { Array($0) }
  }

  /// Nil when `encoded` is not what `encoded()` wrote.
  init?(_ encoded: [UInt8]) {
    let record = encoded.withUnsafeBytes { bytes in try? Self.parsed(WireReader(bytes)) }
    guard let record else { return nil }
    self = record
  }

  private init(cost: PINCost, salt: [UInt8], wrappedTokenKey: [UInt8], tries: UInt32, limit: UInt32) {
    self.cost = cost
    self.salt = salt
    self.wrappedTokenKey = wrappedTokenKey
    self.tries = tries
    self.limit = limit
  }

  private static func parsed(_ message: WireReader) throws(WireError) -> PINRecord {
    var reader = message
    guard try reader.u32() == format else { throw .invalid }
    let cost = PINCost(n: try reader.u64(), r: try reader.u32(), p: try reader.u32())
    let record = PINRecord(
      cost: cost, salt: try reader.bytes(), wrappedTokenKey: try reader.bytes(), tries: try reader.u32(),
      limit: try reader.u32())
    try reader.end()
    return record
  }

  private static func stretched(
    _ pin: SecretBytes, _ cost: PINCost, _ salt: [UInt8], _ token: UInt32, _ role: PINRole, _ keys: StoreKeys
  ) throws(StorageError) -> AES256GCM {
    // scrypt keys an HMAC with the password, and HMAC cannot tell "12" from "12" with zero bytes behind it: the byte
    // count behind the PIN can.
    let password = SecretBytes(count: pin.count + 4) { output in
      pin.withBytes { output.copyMemory(from: $0) }
      output.storeBytes(
        of: UInt32(truncatingIfNeeded: pin.count).littleEndian, toByteOffset: pin.count, as: UInt32.self)
      return output.count
    }
    let stretched = try cryptography { () throws(CryptoError) in
      try scrypt(password: password, salt: salt, n: cost.n, r: cost.r, p: cost.p, count: 32)
    }
    return try keys.pinKey(token: token, role: role, stretched: stretched)
  }

  private static func associatedData(
    _ cost: PINCost, _ salt: [UInt8], _ token: UInt32, _ role: PINRole, _ keys: StoreKeys
  ) -> AssociatedData {
    var data = keys.associatedDataPrefix
    data.append(token)
    data.append(role.rawValue)
    data.append(cost.n)
    data.append(cost.r)
    data.append(cost.p)
    data.append(salt)
    return data
  }
}
