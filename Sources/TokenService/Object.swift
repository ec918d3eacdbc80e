import Cryptoki
import Mechanisms

/// A client of the secure world: one connection. The runtime numbers them and never uses a number again.
public struct ClientID: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt64

  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// An object of a token at one moment: what it is does not change, so any thread may hold one without a lock.
///
/// C_SetAttributeValue puts a new `Object` with the same handle in its place; both share the material.
final class Object: Sendable {
  let handle: UInt64
  let attributes: AttributeSet
  let objectClass: ObjectClass
  let isToken: Bool
  let isPrivate: Bool
  /// What its usage attributes and the rest permit; nil unless it is a key. Without the public parts.
  let description: KeyDescription?
  /// Of objects with values that are not revealed, and of all keys.
  let material: KeyMaterial?
  /// The number of the session that made a session object.
  let session: UInt32?
  /// Bytes of memory for attributes and secrets, and a round sum for the rest.
  let byteCount: Int

  init(handle: UInt64, attributes: AttributeSet, material: KeyMaterial?, session: UInt32?) {
    self.handle = handle
    self.attributes = attributes
    self.material = material
    self.session = session
    byteCount = 256 + attributes.encoded.count + (material?.byteCount ?? 0)
    objectClass = ObjectClass(rawValue: attributes.ulong(.class) ?? .max)
    isToken = attributes.bool(.token)
    isPrivate = attributes.bool(.private)
    description = KeyDescription(of: attributes)
  }

  /// The object after a change.
  func replacing(_ attributes: AttributeSet) -> Object {
    Object(handle: handle, attributes: attributes, material: material, session: session)
  }

  /// The class's and type's table.
  var schema: ObjectSchema? {
    let subtype = AttributeTable.subtypeAttribute(of: objectClass).flatMap { attributes.ulong($0) }
    return AttributeTable.schema(objectClass, subtype)
  }

  /// Whether its secret values may not leave the token in clear (footnote 7).
  var concealsSecrets: Bool {
    (objectClass == .privateKey || objectClass == .secretKey)
      && (attributes.bool(.sensitive) || !attributes.bool(.extractable))
  }

  /// Whether what the key decrypts may go into restricted buffers only.
  var isRestricted: Bool { description?.usage.contains(.restrictedOutput) ?? false }

  /// Whether each operation with the key asks for the PIN.
  var asksForPIN: Bool { description?.usage.contains(.alwaysAuthenticate) ?? false }
}

/// Handles of token objects come from the store's ids, those of session objects from a counter: even and odd, so that
/// neither is ever used again for the other.
enum ObjectHandles {
  static func ofTokenObject(_ storeID: UInt64) -> UInt64 { storeID &* 2 &+ 2 }
  static func storeID(_ handle: UInt64) -> UInt64 { (handle &- 2) / 2 }
  static func ofSessionObject(_ number: UInt64) -> UInt64 { number &* 2 &+ 1 }
}

extension KeyDescription {
  private static let usages: [(AttributeType, KeyUsage)] = [
    (.encrypt, .encrypt), (.decrypt, .decrypt), (.sign, .sign), (.verify, .verify), (.wrap, .wrap),
    (.unwrap, .unwrap), (.derive, .derive), (.private, .isPrivate), (.alwaysAuthenticate, .alwaysAuthenticate),
    (.strongroomRestrictedOutput, .restrictedOutput), (.token, .token),
  ]

  /// The facts about a key with these attributes; nil for what is no key.
  init?(of attributes: AttributeSet) {
    guard let objectClass = attributes.ulong(.class).map({ ObjectClass(rawValue: $0) }),
      objectClass == .publicKey || objectClass == .privateKey || objectClass == .secretKey,
      let keyType = attributes.ulong(.keyType).map({ KeyType(rawValue: $0) })
    else { return nil }
    var usage: KeyUsage = []
    for (type, bit) in Self.usages where attributes.bool(type) { usage.insert(bit) }
    let size: UInt32
    switch keyType {
    case .rsa: size = attributes.withBytes(.modulus) { UInt32(truncatingIfNeeded: $0.map(bitCount) ?? 0) }
    case .ec, .ecEdwards, .ecMontgomery:
      size = attributes.bytes(.ecParams).flatMap { Curve(parameters: $0) }?.fieldBitCount ?? 0
    default: size = UInt32(truncatingIfNeeded: attributes.ulong(.valueLen) ?? 0)
    }
    self.init(
      objectClass: objectClass, keyType: keyType, usage: usage, size: size,
      allowedMechanisms: (attributes.ulongs(.allowedMechanisms) ?? []).compactMap {
        UInt32(exactly: $0).map { MechanismType(rawValue: $0) }
      })
  }
}

/// The number of bits of an unsigned number, most significant byte first.
func bitCount(_ number: UnsafeRawBufferPointer) -> Int {
  guard let first = number.firstIndex(where: { $0 != 0 }) else { return 0 }
  return (number.count - first) * 8 - number[first].leadingZeroBitCount
}
