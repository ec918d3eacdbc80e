import Cryptoki

/// The attribute tables of the specification (PKCS#11 3.2, chapter 4 and the key types of chapter 6), as data.
///
/// Where a default is "token-specific" there, it is the careful one here: private and secret keys are private,
/// sensitive and not extractable; a key may do what its type is for, and wrapping, unwrapping and derivation only
/// when asked.
enum AttributeTable {
  private static let common: [AttributeRule] = [
    AttributeRule(.uniqueID, .text, .madeByToken, default: .computed(UniqueID.byteCount))
  ]

  private static let storage: [AttributeRule] = [
    AttributeRule(.token, .bool, .changeableInCopy, default: .bool(false)),
    AttributeRule(.private, .bool, .changeableInCopy, default: .bool(false)),
    AttributeRule(.modifiable, .bool, .changeableInCopy, default: .bool(true)),
    AttributeRule(.label, .text, .changeable, default: .empty),
    AttributeRule(.copyable, .bool, [.changeable, .staysFalse], default: .bool(true)),
    AttributeRule(.destroyable, .bool, .changeableInCopy, default: .bool(true)),
  ]

  private static let data: [AttributeRule] = [
    AttributeRule(.application, .text, .changeable, default: .empty),
    AttributeRule(.objectID, .bytes, .changeable, default: .empty),
    AttributeRule(.value, .bytes, .changeable, default: .empty),
  ]

  private static let x509: [AttributeRule] = [
    AttributeRule(.trusted, .bool, .securityOfficer, default: .bool(false)),
    AttributeRule(.certificateCategory, .ulong, default: .ulong(0)),
    AttributeRule(.checkValue, .bytes),
    AttributeRule(.startDate, .date, default: .empty),
    AttributeRule(.endDate, .date, default: .empty),
    AttributeRule(.publicKeyInfo, .bytes, default: .empty),
    AttributeRule(.subject, .bytes, .requiredAtCreate),
    AttributeRule(.id, .bytes, .changeable, default: .empty),
    AttributeRule(.issuer, .bytes, .changeable, default: .empty),
    AttributeRule(.serialNumber, .bytes, .changeable, default: .empty),
    AttributeRule(.value, .bytes, .requiredAtCreate),
    AttributeRule(.url, .text, default: .empty),
    AttributeRule(.hashOfSubjectPublicKey, .bytes, default: .empty),
    AttributeRule(.hashOfIssuerPublicKey, .bytes, default: .empty),
    AttributeRule(.javaMIDPSecurityDomain, .ulong, default: .ulong(0)),
    AttributeRule(.nameHashAlgorithm, .ulong),
  ]

  private static let profile: [AttributeRule] = [
    AttributeRule(.profileID, .ulong, .requiredAtCreate)
  ]

  private static let key: [AttributeRule] = [
    AttributeRule(.id, .bytes, .changeable, default: .empty),
    AttributeRule(.startDate, .date, .changeable, default: .empty),
    AttributeRule(.endDate, .date, .changeable, default: .empty),
    AttributeRule(.derive, .bool, .changeable, default: .bool(false)),
    AttributeRule(.local, .bool, .madeByToken, default: .computed(1)),
    AttributeRule(.keyGenMechanism, .ulong, .madeByToken, default: .computed(8)),
    AttributeRule(.allowedMechanisms, .ulongs, default: .empty),
  ]

  private static let publicKey: [AttributeRule] = [
    AttributeRule(.subject, .bytes, .changeable, default: .empty),
    AttributeRule(.encrypt, .bool, .changeable, default: .bool(false)),
    AttributeRule(.verify, .bool, .changeable, default: .bool(false)),
    AttributeRule(.verifyRecover, .bool, .changeable, default: .bool(false)),
    AttributeRule(.wrap, .bool, .changeable, default: .bool(false)),
    AttributeRule(.encapsulate, .bool, .changeable, default: .bool(false)),
    AttributeRule(.trusted, .bool, .securityOfficer, default: .bool(false)),
    AttributeRule(.wrapTemplate, .template),
    AttributeRule(.encapsulateTemplate, .template),
    AttributeRule(.publicKeyInfo, .bytes),
  ]

  private static let guarded: [AttributeRule] = [
    AttributeRule(.private, .bool, .changeableInCopy, default: .bool(true)),
    AttributeRule(.sensitive, .bool, [.changeable, .staysTrue], default: .bool(true)),
    AttributeRule(.extractable, .bool, [.changeable, .staysFalse], default: .bool(false)),
    AttributeRule(.alwaysSensitive, .bool, .madeByToken, default: .computed(1)),
    AttributeRule(.neverExtractable, .bool, .madeByToken, default: .computed(1)),
    AttributeRule(.wrapWithTrusted, .bool, [.changeable, .staysTrue], default: .bool(false)),
    AttributeRule(.unwrapTemplate, .template),
    AttributeRule(.deriveTemplate, .template),
    AttributeRule(.strongroomRestrictedOutput, .bool, [.changeable, .staysTrue], default: .bool(false)),
    AttributeRule(.strongroomUseCases, .ulongs, default: .empty),
  ]

  private static let privateKey: [AttributeRule] = [
    AttributeRule(.subject, .bytes, .changeable, default: .empty),
    AttributeRule(.decrypt, .bool, .changeable, default: .bool(false)),
    AttributeRule(.sign, .bool, .changeable, default: .bool(false)),
    AttributeRule(.signRecover, .bool, .changeable, default: .bool(false)),
    AttributeRule(.unwrap, .bool, .changeable, default: .bool(false)),
    AttributeRule(.decapsulate, .bool, .changeable, default: .bool(false)),
    AttributeRule(.decapsulateTemplate, .template),
    AttributeRule(.alwaysAuthenticate, .bool, default: .bool(false)),
    AttributeRule(.publicKeyInfo, .bytes, .changeable),
  ]

  private static let secretKey: [AttributeRule] = [
    AttributeRule(.encrypt, .bool, .changeable, default: .bool(false)),
    AttributeRule(.decrypt, .bool, .changeable, default: .bool(false)),
    AttributeRule(.sign, .bool, .changeable, default: .bool(false)),
    AttributeRule(.verify, .bool, .changeable, default: .bool(false)),
    AttributeRule(.wrap, .bool, .changeable, default: .bool(false)),
    AttributeRule(.unwrap, .bool, .changeable, default: .bool(false)),
    AttributeRule(.checkValue, .bytes, .changeable),
    AttributeRule(.trusted, .bool, .securityOfficer, default: .bool(false)),
    AttributeRule(.wrapTemplate, .template),
    AttributeRule(
      .value, .bytes, [.requiredAtCreate, .forbiddenAtGenerate, .forbiddenAtUnwrap, .secret]),
    AttributeRule(.valueLen, .ulong, [.forbiddenAtCreate, .requiredAtGenerate], default: .computed(8)),
  ]

  /// CKA_X = true where the key type is for X and the template is silent.
  private static func usable(for types: AttributeType...) -> [AttributeRule] {
    types.map { AttributeRule($0, .bool, .changeable, default: .bool(true)) }
  }

  private static let rsaPublic: [AttributeRule] = [
    AttributeRule(.modulus, .bigInteger, [.requiredAtCreate, .forbiddenAtGenerate]),
    AttributeRule(.modulusBits, .ulong, [.forbiddenAtCreate, .requiredAtGenerate]),
    AttributeRule(.publicExponent, .bigInteger, .requiredAtCreate),
  ]

  private static let rsaPrivate: [AttributeRule] = {
    let open: AttributeFootnotes = [.requiredAtCreate, .forbiddenAtGenerate, .forbiddenAtUnwrap]
    let secret: AttributeFootnotes = [.forbiddenAtGenerate, .forbiddenAtUnwrap, .secret]
    return [
      AttributeRule(.modulus, .bigInteger, open),
      AttributeRule(.publicExponent, .bigInteger, open),
      AttributeRule(.privateExponent, .bigInteger, secret.union(.requiredAtCreate)),
      AttributeRule(.prime1, .bigInteger, secret),
      AttributeRule(.prime2, .bigInteger, secret),
      AttributeRule(.exponent1, .bigInteger, secret),
      AttributeRule(.exponent2, .bigInteger, secret),
      AttributeRule(.coefficient, .bigInteger, secret),
    ]
  }()

  private static let curvePublic: [AttributeRule] = [
    AttributeRule(.ecParams, .bytes, [.requiredAtCreate, .requiredAtGenerate]),
    AttributeRule(.ecPoint, .bytes, [.requiredAtCreate, .forbiddenAtGenerate]),
  ]

  private static let curvePrivate: [AttributeRule] = [
    AttributeRule(.ecParams, .bytes, [.requiredAtCreate, .forbiddenAtGenerate, .forbiddenAtUnwrap]),
    AttributeRule(.value, .bytes, [.requiredAtCreate, .forbiddenAtGenerate, .forbiddenAtUnwrap, .secret]),
    // Not in the specification's table: clients look here for the point of a key whose public half is elsewhere.
    AttributeRule(.ecPoint, .bytes, [.forbiddenAtGenerate, .forbiddenAtUnwrap]),
  ]

  /// The key types of secret keys, each with what it may do by itself.
  private static let secretTypes: [(KeyType, [AttributeRule])] =
    [
      (.aes, usable(for: .encrypt, .decrypt, .sign, .verify)),
      (.genericSecret, usable(for: .sign, .verify)),
    ]
    + [
      KeyType.sha1HMAC, .sha224HMAC, .sha256HMAC, .sha384HMAC, .sha512HMAC, .sha512_224HMAC, .sha512_256HMAC,
      .sha3_224HMAC, .sha3_256HMAC, .sha3_384HMAC, .sha3_512HMAC,
    ].map { ($0, usable(for: .sign, .verify)) }

  /// All objects the token knows, by class and type.
  static let schemas: [ObjectSchema] =
    secretTypes.map { ObjectSchema(.secretKey, $0.rawValue, common, storage, key, guarded, secretKey, $1) } + [
      ObjectSchema(.data, nil, common, storage, data),
      ObjectSchema(.certificate, CertificateType.x509.rawValue, common, storage, x509),
      ObjectSchema(.profile, nil, common, storage, profile),
      publicSchema(.rsa, rsaPublic, usable(for: .encrypt, .verify)),
      publicSchema(.ec, curvePublic, usable(for: .verify)),
      publicSchema(.ecEdwards, curvePublic, usable(for: .verify)),
      publicSchema(.ecMontgomery, curvePublic, []),
      privateSchema(.rsa, rsaPrivate, usable(for: .decrypt, .sign)),
      privateSchema(.ec, curvePrivate, usable(for: .sign)),
      privateSchema(.ecEdwards, curvePrivate, usable(for: .sign)),
      privateSchema(.ecMontgomery, curvePrivate, []),
    ]

  private static func publicSchema(
    _ type: KeyType, _ own: [AttributeRule], _ usable: [AttributeRule]
  ) -> ObjectSchema {
    ObjectSchema(.publicKey, type.rawValue, common, storage, key, publicKey, own, usable)
  }

  private static func privateSchema(
    _ type: KeyType, _ own: [AttributeRule], _ usable: [AttributeRule]
  ) -> ObjectSchema {
    ObjectSchema(.privateKey, type.rawValue, common, storage, key, guarded, privateKey, own, usable)
  }

  private struct SchemaName: Equatable {
    let objectClass: ObjectClass
    let subtype: UInt?
  }

  private static let names = schemas.map { SchemaName(objectClass: $0.objectClass, subtype: $0.subtype) }

  /// The table of a class and type; nil when the token has no such objects.
  static func schema(_ objectClass: ObjectClass, _ subtype: UInt?) -> ObjectSchema? {
    names.firstIndex(of: SchemaName(objectClass: objectClass, subtype: subtype)).map { schemas[$0] }
  }

  /// The attribute that names the type within a class.
  static func subtypeAttribute(of objectClass: ObjectClass) -> AttributeType? {
    switch objectClass {
    case .publicKey, .privateKey, .secretKey: .keyType
    case .certificate: .certificateType
    default: nil
    }
  }

  /// What is so of an attribute in all tables.
  private struct TypeFacts {
    let type: AttributeType
    let kind: AttributeKind
    /// Whether there is a class where the value is not revealed.
    var isSecretSomewhere: Bool
  }

  /// Ascending by type.
  private static let types: [TypeFacts] = {
    var facts: [AttributeType: TypeFacts] = [:]
    for rule in schemas.flatMap(\.rules) {
      facts[rule.type, default: TypeFacts(type: rule.type, kind: rule.kind, isSecretSomewhere: false)]
        .isSecretSomewhere = facts[rule.type]?.isSecretSomewhere == true || rule.footnotes.contains(.secret)
    }
    return facts.values.sorted { $0.type.rawValue < $1.type.rawValue }
  }()

  private static func facts(of type: AttributeType) -> TypeFacts? {
    types.place(of: type.rawValue, \.type.rawValue).map { types[$0] }
  }

  /// What the value of an attribute is; nil for one that no object of the token has.
  static func kind(of type: AttributeType) -> AttributeKind? { facts(of: type)?.kind }

  /// Whether there are objects that do not reveal the attribute.
  static func mayBeSecret(_ type: AttributeType) -> Bool { facts(of: type)?.isSecretSomewhere ?? false }
}
