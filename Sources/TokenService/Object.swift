import Cryptoki
import Mechanisms
import Synchronization
import TokenProtocol

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
    byteCount = 256 + attributes.encoded.count + (material.map { KeyMaterial.ownByteCount + $0.byteCount } ?? 0)
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

  /// Whether the attribute is one of those that are not revealed while the object is sensitive or not extractable.
  func isSecret(_ type: AttributeType) -> Bool {
    AttributeTable.mayBeSecret(type) && schema?.rule(for: type)?.footnotes.contains(.secret) == true
  }

  /// Whether the object has a value of this type that it does not reveal.
  func hidesValue(_ type: AttributeType) -> Bool { isSecret(type) && concealsSecrets }

  /// Whether what the key decrypts may go into restricted buffers only.
  var isRestricted: Bool { description?.usage.contains(.restrictedOutput) ?? false }

  /// Whether each operation with the key asks for the PIN.
  var asksForPIN: Bool { description?.usage.contains(.alwaysAuthenticate) ?? false }
}

/// Gives out handles of session objects, each once.
final class SessionHandles: Sendable {
  private let count = Atomic<UInt64>(0)

  func next() -> UInt64 { ObjectHandles.ofSessionObject(count.wrappingAdd(1, ordering: .relaxed).oldValue) }
}

extension KeyDescription {
  /// The facts about a key with these attributes; nil for what is no key. Reads them once.
  init?(of attributes: AttributeSet) {
    var objectClass: UInt?
    var keyType: UInt?
    var usage: KeyUsage = []
    var size: UInt32 = 0
    var allowedMechanisms: [MechanismType] = []
    attributes.encoded.withUnsafeBytes { bytes in
      var entries = AttributeEntries(bytes)
      while let entry = entries.next() {
        let isTrue = entry.value.count == 1 && bytes[entry.value.lowerBound] != 0
        if entry.value.isEmpty || entry.value.count == 1 && !isTrue { continue }
        switch entry.type {
        case .class: objectClass = entries.ulong(entry)
        case .keyType: keyType = entries.ulong(entry)
        case .encrypt: if isTrue { usage.insert(.encrypt) }
        case .decrypt: if isTrue { usage.insert(.decrypt) }
        case .sign: if isTrue { usage.insert(.sign) }
        case .verify: if isTrue { usage.insert(.verify) }
        case .wrap: if isTrue { usage.insert(.wrap) }
        case .unwrap: if isTrue { usage.insert(.unwrap) }
        case .derive: if isTrue { usage.insert(.derive) }
        case .private: if isTrue { usage.insert(.isPrivate) }
        case .alwaysAuthenticate: if isTrue { usage.insert(.alwaysAuthenticate) }
        case .strongroomRestrictedOutput: if isTrue { usage.insert(.restrictedOutput) }
        case .token: if isTrue { usage.insert(.token) }
        // Of each key one of the three.
        case .modulus: size = UInt32(truncatingIfNeeded: bitCount(UnsafeRawBufferPointer(rebasing: bytes[entry.value])))
        case .ecParams: size = Curve(parameters: [UInt8](bytes[entry.value]))?.fieldBitCount ?? 0
        case .valueLen: size = UInt32(truncatingIfNeeded: entries.ulong(entry) ?? 0)
        case .allowedMechanisms:
          allowedMechanisms = ([UInt8](bytes[entry.value]).ulongs ?? []).compactMap {
            UInt32(exactly: $0).map { MechanismType(rawValue: $0) }
          }
        default: break
        }
      }
    }
    guard let objectClass = objectClass.map({ ObjectClass(rawValue: $0) }),
      objectClass == .publicKey || objectClass == .privateKey || objectClass == .secretKey,
      let keyType = keyType.map({ KeyType(rawValue: $0) })
    else { return nil }
    self.init(
      objectClass: objectClass, keyType: keyType, usage: usage, size: size, allowedMechanisms: allowedMechanisms)
  }
}

/// The number of bits of an unsigned number, most significant byte first.
func bitCount(_ number: UnsafeRawBufferPointer) -> Int {
  guard let first = number.firstIndex(where: { $0 != 0 }) else { return 0 }
  return (number.count - first) * 8 - number[first].leadingZeroBitCount
}
