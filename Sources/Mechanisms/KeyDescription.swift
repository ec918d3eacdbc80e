import Cryptoki
import Wire

/// What a key's usage attributes permit, and the other facts about it that decide whether an operation may start.
public struct KeyUsage: OptionSet, Sendable, Hashable {
  public let rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// CKA_ENCRYPT.
  @inlinable public static var encrypt: KeyUsage { KeyUsage(rawValue: 1 << 0) }
  /// CKA_DECRYPT.
  @inlinable public static var decrypt: KeyUsage { KeyUsage(rawValue: 1 << 1) }
  /// CKA_SIGN.
  @inlinable public static var sign: KeyUsage { KeyUsage(rawValue: 1 << 2) }
  /// CKA_VERIFY.
  @inlinable public static var verify: KeyUsage { KeyUsage(rawValue: 1 << 3) }
  /// CKA_WRAP.
  @inlinable public static var wrap: KeyUsage { KeyUsage(rawValue: 1 << 4) }
  /// CKA_UNWRAP.
  @inlinable public static var unwrap: KeyUsage { KeyUsage(rawValue: 1 << 5) }
  /// CKA_DERIVE.
  @inlinable public static var derive: KeyUsage { KeyUsage(rawValue: 1 << 6) }
  /// CKA_PRIVATE.
  @inlinable public static var isPrivate: KeyUsage { KeyUsage(rawValue: 1 << 8) }
  /// CKA_ALWAYS_AUTHENTICATE.
  @inlinable public static var alwaysAuthenticate: KeyUsage { KeyUsage(rawValue: 1 << 9) }
  /// CKA_STRONGROOM_RESTRICTED_OUTPUT: what this key decrypts may go into restricted buffers only.
  @inlinable public static var restrictedOutput: KeyUsage { KeyUsage(rawValue: 1 << 10) }
  /// CKA_TOKEN.
  @inlinable public static var token: KeyUsage { KeyUsage(rawValue: 1 << 11) }
}

/// The facts about a key that both worlds decide by before an operation: no secret among them.
///
/// The module keeps descriptions as long as the generation that the secure world publishes stands; the secure
/// world decides again, by its own, when the operation arrives.
public struct KeyDescription: Sendable, Equatable {
  public var objectClass: ObjectClass
  public var keyType: KeyType
  public var usage: KeyUsage
  /// Bits of the modulus or the field; bytes of a secret key.
  public var size: UInt32
  /// What few keys have, apart: a description is copied with each operation.
  private var lists: Lists?

  private final class Lists: Sendable, Equatable {
    let allowedMechanisms: [MechanismType]
    let publicParts: [[UInt8]]

    init(allowedMechanisms: [MechanismType], publicParts: [[UInt8]]) {
      self.allowedMechanisms = allowedMechanisms
      self.publicParts = publicParts
    }

    static func == (a: Lists, b: Lists) -> Bool {
      a.allowedMechanisms == b.allowedMechanisms && a.publicParts == b.publicParts
    }
  }

  /// CKA_ALLOWED_MECHANISMS; empty when the key does not restrict them.
  public var allowedMechanisms: [MechanismType] {
    get { lists?.allowedMechanisms ?? [] }
    set { setLists(newValue, publicParts) }
  }

  /// Of a public key: modulus and public exponent (RSA), or CKA_EC_PARAMS and the point without DER wrapping. Else empty.
  public var publicParts: [[UInt8]] {
    get { lists?.publicParts ?? [] }
    set { setLists(allowedMechanisms, newValue) }
  }

  private mutating func setLists(_ allowedMechanisms: [MechanismType], _ publicParts: [[UInt8]]) {
    lists =
      allowedMechanisms.isEmpty && publicParts.isEmpty
      ? nil : Lists(allowedMechanisms: allowedMechanisms, publicParts: publicParts)
  }

  /// Whether CKA_ALLOWED_MECHANISMS admits a mechanism.
  public func allows(_ mechanism: MechanismType) -> Bool {
    guard let lists, !lists.allowedMechanisms.isEmpty else { return true }
    return lists.allowedMechanisms.contains(mechanism)
  }

  public init(
    objectClass: ObjectClass, keyType: KeyType, usage: KeyUsage, size: UInt32, allowedMechanisms: [MechanismType] = [],
    publicParts: [[UInt8]] = []
  ) {
    self.objectClass = objectClass
    self.keyType = keyType
    self.usage = usage
    self.size = size
    setLists(allowedMechanisms, publicParts)
  }

  public init(from reader: inout WireReader) throws(WireError) {
    objectClass = ObjectClass(rawValue: UInt(try reader.u32()))
    keyType = KeyType(rawValue: UInt(try reader.u32()))
    usage = KeyUsage(rawValue: try reader.u32())
    size = try reader.u32()
    var allowedMechanisms: [MechanismType] = []
    for _ in 0..<(try reader.count(ofElementsAtLeast: 4)) {
      allowedMechanisms.append(MechanismType(rawValue: try reader.u32()))
    }
    var publicParts: [[UInt8]] = []
    for _ in 0..<(try reader.count(ofElementsAtLeast: 4)) { publicParts.append(try reader.bytes()) }
    setLists(allowedMechanisms, publicParts)
  }

  public func write(to writer: inout WireWriter) {
    writer.u32(UInt32(truncatingIfNeeded: objectClass.rawValue))
    writer.u32(UInt32(truncatingIfNeeded: keyType.rawValue))
    writer.u32(usage.rawValue)
    writer.u32(size)
    writer.u32(UInt32(truncatingIfNeeded: allowedMechanisms.count))
    for mechanism in allowedMechanisms { writer.u32(mechanism.rawValue) }
    writer.u32(UInt32(truncatingIfNeeded: publicParts.count))
    for part in publicParts { writer.bytes(part) }
  }
}
