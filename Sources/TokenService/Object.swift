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
  /// CKA_DESTROYABLE.
  let isDestroyable: Bool
  /// What its usage attributes and the rest permit; nil unless it is a key. Without the public parts.
  let description: KeyDescription?
  /// Of objects with values that are not revealed, and of all keys.
  let material: KeyMaterial?
  /// The number of the session that made a session object.
  let session: UInt32?
  /// Bytes of memory for attributes and secrets, and a round sum for the rest.
  let byteCount: Int
  /// By what it is found.
  let indexKeys: ObjectIndex.Keys

  init(handle: UInt64, attributes: AttributeSet, material: KeyMaterial?, session: UInt32?) {
    self.handle = handle
    self.attributes = attributes
    self.material = material
    self.session = session
    byteCount = 256 + attributes.encoded.count + (material.map { KeyMaterial.ownByteCount + $0.byteCount } ?? 0)
    let summary = AttributeSummary(attributes)
    objectClass = ObjectClass(rawValue: summary.objectClass ?? .max)
    isToken = summary.usage.contains(.token)
    isPrivate = summary.usage.contains(.isPrivate)
    isDestroyable = summary.isDestroyable
    indexKeys = summary.indexKeys
    description = summary.description
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

/// What an object is looked at for again and again, read out of its attributes once.
private struct AttributeSummary {
  private(set) var objectClass: UInt?
  private var keyType: UInt?
  private(set) var usage: KeyUsage = []
  private(set) var isDestroyable = false
  private var size: UInt32 = 0
  private var allowedMechanisms: [MechanismType] = []
  private(set) var indexKeys = ObjectIndex.Keys()

  init(_ attributes: AttributeSet) {
    let facts = Self.facts
    attributes.withEntries { entries in
      for entry in entries where !entry.value.isEmpty {
        let type = entry.type.rawValue
        let fact = type < UInt32(facts.count) ? facts[Int(type)] : Self.fact(of: entry.type)
        if !fact.use.isEmpty {
          if Self.isTrue(entries[entry]) { usage.formUnion(fact.use) }
        } else if fact.other != .none {
          take(fact.other, entries[entry])
        }
      }
    }
  }

  private mutating func take(_ fact: OtherFact, _ value: UnsafeRawBufferPointer) {
    switch fact {
    case .none: break
    case .destroyable: isDestroyable = Self.isTrue(value)
    case .class:
      objectClass = Self.ulong(value)
      indexKeys.note(.class, value)
    case .id: indexKeys.note(.id, value)
    case .label: indexKeys.note(.label, value)
    case .keyType: keyType = Self.ulong(value)
    // Of each key one of the three.
    case .modulus: size = UInt32(truncatingIfNeeded: bitCount(value))
    case .ecParams: size = Curve(parameters: [UInt8](value))?.fieldBitCount ?? 0
    case .valueLen: size = UInt32(truncatingIfNeeded: Self.ulong(value) ?? 0)
    case .allowedMechanisms:
      allowedMechanisms = ([UInt8](value).ulongs ?? []).compactMap {
        UInt32(exactly: $0).map { MechanismType(rawValue: $0) }
      }
    }
  }

  private static func isTrue(_ value: UnsafeRawBufferPointer) -> Bool { value.count == 1 && value[0] != 0 }

  private static func ulong(_ value: UnsafeRawBufferPointer) -> UInt? {
    value.count == 8 ? UInt(littleEndian: value.loadUnaligned(as: UInt.self)) : nil
  }

  /// The facts about a key; nil for what is no key. Without the public parts.
  var description: KeyDescription? {
    guard let objectClass = objectClass.map({ ObjectClass(rawValue: $0) }),
      objectClass == .publicKey || objectClass == .privateKey || objectClass == .secretKey,
      let keyType = keyType.map({ KeyType(rawValue: $0) })
    else { return nil }
    return KeyDescription(
      objectClass: objectClass, keyType: keyType, usage: usage, size: size, allowedMechanisms: allowedMechanisms)
  }

  /// What an attribute tells: a use when it is true, or something else.
  private struct Fact {
    let use: KeyUsage
    let other: OtherFact
  }

  private enum OtherFact {
    case none, destroyable, `class`, id, label, keyType, modulus, ecParams, valueLen, allowedMechanisms
  }

  /// By type: most of the types are below, and most of those tell nothing.
  private static let facts: [Fact] = (0..<0x400).map { fact(of: AttributeType(rawValue: $0)) }

  private static func fact(of type: AttributeType) -> Fact {
    let use: KeyUsage =
      switch type {
      case .encrypt: .encrypt
      case .decrypt: .decrypt
      case .sign: .sign
      case .verify: .verify
      case .wrap: .wrap
      case .unwrap: .unwrap
      case .derive: .derive
      case .private: .isPrivate
      case .alwaysAuthenticate: .alwaysAuthenticate
      case .strongroomRestrictedOutput: .restrictedOutput
      case .token: .token
      default: []
      }
    let other: OtherFact =
      switch type {
      case .destroyable: .destroyable
      case .class: .class
      case .id: .id
      case .label: .label
      case .keyType: .keyType
      case .modulus: .modulus
      case .ecParams: .ecParams
      case .valueLen: .valueLen
      case .allowedMechanisms: .allowedMechanisms
      default: .none
      }
    return Fact(use: use, other: other)
  }
}

extension AttributeSet {
  /// Whether an object with these attributes is a key.
  var isKey: Bool {
    guard let objectClass = ulong(.class).map({ ObjectClass(rawValue: $0) }) else { return false }
    return (objectClass == .publicKey || objectClass == .privateKey || objectClass == .secretKey)
      && ulong(.keyType) != nil
  }
}

/// The number of bits of an unsigned number, most significant byte first.
func bitCount(_ number: UnsafeRawBufferPointer) -> Int {
  guard let first = number.firstIndex(where: { $0 != 0 }) else { return 0 }
  return (number.count - first) * 8 - number[first].leadingZeroBitCount
}
