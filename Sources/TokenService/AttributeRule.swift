import Cryptoki

/// What the value of an attribute is.
enum AttributeKind: Sendable {
  case bool
  case ulong
  /// Any bytes.
  case bytes
  /// UTF-8.
  case text
  /// CK_DATE (8 digits) or nothing.
  case date
  /// An unsigned number, most significant byte first; leading zeros are not kept.
  case bigInteger
  /// An array of CK_MECHANISM_TYPE or of another CK_ULONG.
  case ulongs
  /// An array of attributes.
  case template
}

/// How an object comes to be: the columns of the footnotes.
enum ObjectOrigin: Int, CaseIterable, Sendable {
  case create, generate, unwrap, derive
}

/// The footnotes of the specification's attribute tables (PKCS#11 3.2, 4.2, "Common footnotes"), with their numbers.
struct AttributeFootnotes: OptionSet, Sendable {
  let rawValue: UInt32

  /// 1: must be in the template of C_CreateObject.
  static let requiredAtCreate = Self(rawValue: 1 << 0)
  /// 2: must not be in it.
  static let forbiddenAtCreate = Self(rawValue: 1 << 1)
  /// 3: must be in the template of a generation.
  static let requiredAtGenerate = Self(rawValue: 1 << 2)
  /// 4: must not be in it.
  static let forbiddenAtGenerate = Self(rawValue: 1 << 3)
  /// 5: must be in the template of C_UnwrapKey. (C_DeriveKey is held to the same.)
  static let requiredAtUnwrap = Self(rawValue: 1 << 4)
  /// 6: must not be in it.
  static let forbiddenAtUnwrap = Self(rawValue: 1 << 5)
  /// 7: not revealed while the object is sensitive or not extractable.
  static let secret = Self(rawValue: 1 << 6)
  /// 8: may be changed by C_SetAttributeValue and C_CopyObject.
  static let changeable = Self(rawValue: 1 << 7)
  /// 10: only the security officer makes it true.
  static let securityOfficer = Self(rawValue: 1 << 8)
  /// 11: stays true.
  static let staysTrue = Self(rawValue: 1 << 9)
  /// 12: stays false.
  static let staysFalse = Self(rawValue: 1 << 10)
  /// May be changed by C_CopyObject alone (4.1.3).
  static let changeableInCopy = Self(rawValue: 1 << 11)

  /// 2, 4 and 6: the token alone gives it a value.
  static let madeByToken: Self = [.forbiddenAtCreate, .forbiddenAtGenerate, .forbiddenAtUnwrap]

  /// What makes the attribute required for this origin.
  static func required(at origin: ObjectOrigin) -> Self {
    switch origin {
    case .create: .requiredAtCreate
    case .generate: .requiredAtGenerate
    case .unwrap, .derive: .requiredAtUnwrap
    }
  }

  static func forbidden(at origin: ObjectOrigin) -> Self {
    switch origin {
    case .create: .forbiddenAtCreate
    case .generate: .forbiddenAtGenerate
    case .unwrap, .derive: .forbiddenAtUnwrap
    }
  }
}

/// What an attribute is when the template is silent.
enum AttributeDefault: Sendable {
  /// The object does not have it.
  case absent
  case empty
  case bool(Bool)
  case ulong(UInt)
  /// As many zero bytes, until the token puts there what it computes.
  case computed(Int)

  /// The value; nil when there is none.
  var bytes: [UInt8]? {
    switch self {
    case .absent: nil
    case .empty: []
    case .bool(let value): [value ? 1 : 0]
    case .ulong(let value): value.attributeBytes
    case .computed(let count): [UInt8](repeating: 0, count: count)
    }
  }
}

/// One line of an attribute table.
struct AttributeRule: Sendable {
  let type: AttributeType
  let kind: AttributeKind
  let footnotes: AttributeFootnotes
  let defaultValue: AttributeDefault

  init(
    _ type: AttributeType, _ kind: AttributeKind, _ footnotes: AttributeFootnotes = [],
    default defaultValue: AttributeDefault = .absent
  ) {
    self.type = type
    self.kind = kind
    self.footnotes = footnotes
    self.defaultValue = defaultValue
  }
}

/// Some of a schema's rules: a bit for the place of each.
typealias RulePlaces = UInt64

/// The attributes that objects of one class and type may have.
final class ObjectSchema: Sendable {
  let objectClass: ObjectClass
  /// CKA_KEY_TYPE of keys, CKA_CERTIFICATE_TYPE of certificates; nil where the class has no types.
  let subtype: UInt?
  /// Ascending by type; 64 at most. Class and type are what they are when the template is silent, which is for the reader
  /// of the template to permit.
  let rules: [AttributeRule]
  /// The rules' types alone, which are searched often.
  private let types: [UInt32]
  /// The place of the rule for each type below `directTypes`, from 1; 0 where there is none.
  private let direct: [UInt8]
  /// The entries of what an object has when the template is silent, in the order of the rules.
  let defaults: [UInt8]
  /// Where in them that of each rule begins, and the end.
  let defaultStarts: [Int]
  /// What templates must give, by origin.
  private let required: [RulePlaces]
  /// What is not revealed (footnote 7).
  let secret: RulePlaces

  init(_ objectClass: ObjectClass, _ subtype: UInt?, _ tables: [AttributeRule]...) {
    self.objectClass = objectClass
    self.subtype = subtype
    // A later table's line stands in place of an earlier one's.
    var byType: [AttributeType: AttributeRule] = [:]
    for rule in tables.joined() { byType[rule.type] = rule }
    byType[.class] = AttributeRule(.class, .ulong, default: .ulong(objectClass.rawValue))
    if let subtype, let type = AttributeTable.subtypeAttribute(of: objectClass) {
      byType[type] = AttributeRule(type, .ulong, default: .ulong(subtype))
    }
    let rules = byType.values.sorted { $0.type.rawValue < $1.type.rawValue }
    precondition(rules.count <= RulePlaces.bitWidth, "each rule has a bit")
    precondition(
      rules.allSatisfy { !$0.footnotes.contains(.secret) || $0.defaultValue.bytes == nil },
      "what is secret is not among the attributes, nor is a default of it")
    self.rules = rules
    types = rules.map(\.type.rawValue)
    var direct = [UInt8](repeating: 0, count: Self.directTypes)
    for (place, rule) in rules.enumerated() where rule.type.rawValue < UInt32(Self.directTypes) {
      direct[Int(rule.type.rawValue)] = UInt8(place + 1)
    }
    self.direct = direct
    func places(_ footnote: AttributeFootnotes) -> RulePlaces {
      rules.indices.reduce(0) { rules[$1].footnotes.contains(footnote) ? $0 | 1 << RulePlaces($1) : $0 }
    }
    required = ObjectOrigin.allCases.map { places(.required(at: $0)) }
    secret = places(.secret)
    var defaults = AttributeSet()
    var starts = [0]
    for rule in rules {
      if let value = rule.defaultValue.bytes { defaults.set(rule.type, value) }
      starts.append(defaults.encoded.count)
    }
    self.defaults = defaults.encoded
    defaultStarts = starts
  }

  var isKey: Bool { objectClass == .publicKey || objectClass == .privateKey || objectClass == .secretKey }

  var keyType: KeyType? { isKey ? subtype.map { KeyType(rawValue: $0) } : nil }

  func rule(for type: AttributeType) -> AttributeRule? { place(of: type).map { rules[$0] } }

  /// Where the rule for a type is among the rules.
  @inline(__always)
  func place(of type: AttributeType) -> Int? {
    guard type.rawValue < UInt32(direct.count) else { return types.place(of: type.rawValue) { $0 } }
    let place = Int(direct[Int(type.rawValue)])
    return place == 0 ? nil : place - 1
  }

  /// Most types of the specification are below.
  private static let directTypes = 0x400

  /// What a template for an object that comes to be so must give.
  func required(at origin: ObjectOrigin) -> RulePlaces { required[origin.rawValue] }

  /// Where among the defaults that of the rule at a place is.
  @inline(__always)
  func defaultRange(_ place: Int) -> Range<Int> { defaultStarts[place]..<defaultStarts[place + 1] }
}

extension Array {
  /// The index of the element whose key is `key`; they ascend by it.
  @inline(__always)
  func place(of key: UInt32, _ number: (Element) -> UInt32) -> Int? {
    withUnsafeBufferPointer { elements in
      var low = 0
      var high = elements.count
      while low < high {
        let middle = (low &+ high) >> 1
        if number(elements[middle]) < key { low = middle &+ 1 } else { high = middle }
      }
      return low < elements.count && number(elements[low]) == key ? low : nil
    }
  }
}
