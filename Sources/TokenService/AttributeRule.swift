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
enum ObjectOrigin: Sendable {
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

/// The attributes that objects of one class and type may have.
struct ObjectSchema: Sendable {
  let objectClass: ObjectClass
  /// CKA_KEY_TYPE of keys, CKA_CERTIFICATE_TYPE of certificates; nil where the class has no types.
  let subtype: UInt?
  /// Ascending by type.
  let rules: [AttributeRule]

  init(_ objectClass: ObjectClass, _ subtype: UInt?, _ tables: [AttributeRule]...) {
    self.objectClass = objectClass
    self.subtype = subtype
    // A later table's line stands in place of an earlier one's.
    var byType: [AttributeType: AttributeRule] = [:]
    for rule in tables.joined() { byType[rule.type] = rule }
    rules = byType.values.sorted { $0.type.rawValue < $1.type.rawValue }
  }

  var isKey: Bool { objectClass == .publicKey || objectClass == .privateKey || objectClass == .secretKey }

  var keyType: KeyType? { isKey ? subtype.map { KeyType(rawValue: $0) } : nil }

  func rule(for type: AttributeType) -> AttributeRule? {
    var low = 0
    var high = rules.count
    while low < high {
      let middle = (low + high) / 2
      if rules[middle].type.rawValue < type.rawValue { low = middle + 1 } else { high = middle }
    }
    return low < rules.count && rules[low].type == type ? rules[low] : nil
  }
}
