import CryptoCore
import Cryptoki
import TokenProtocol

/// An object about to be made: checked attributes, defaults filled in, and what the template held of secrets.
struct ObjectDraft {
  let schema: ObjectSchema
  var attributes: AttributeSet
  /// The values of footnote 7 that a template of C_CreateObject gave.
  var secrets: [(AttributeType, SecretBytes)]

  func secret(_ type: AttributeType) -> SecretBytes? { secrets.first { $0.0 == type }?.1 }
}

/// The one reading of templates: every function that makes an object comes through here (PKCS#11 3.2, 4.1).
struct TemplateReader {
  let origin: ObjectOrigin
  /// Whether the security officer asks: only he may make CKA_TRUSTED true.
  let isSecurityOfficer: Bool

  /// Checks a template and fills in the defaults.
  ///
  /// `implied` is the class and type that the function or its mechanism determines; a template that says otherwise is
  /// CKR_TEMPLATE_INCONSISTENT. `imposed` is the template of the wrapping or base key that applies as well.
  func read(
    _ template: [Attribute], implied objectClass: ObjectClass?, _ subtype: UInt?, imposed: AttributeSet? = nil
  ) throws(ReturnValue) -> ObjectDraft {
    let template = try Self.merging(try Self.withoutDuplicates(template), imposed)
    let schema = try schema(of: template, implied: objectClass, subtype)
    var draft = ObjectDraft(schema: schema, attributes: AttributeSet(), secrets: [])
    draft.attributes.set(.class, schema.objectClass.rawValue)
    if let subtype = schema.subtype, let type = AttributeTable.subtypeAttribute(of: schema.objectClass) {
      draft.attributes.set(type, subtype)
    }
    for attribute in template { try take(attribute, into: &draft) }
    for rule in schema.rules { try complete(rule, in: &draft) }
    try Self.checkConsistency(draft.attributes)
    return draft
  }

  private func take(_ attribute: Attribute, into draft: inout ObjectDraft) throws(ReturnValue) {
    guard let rule = draft.schema.rule(for: attribute.type) else {
      throw AttributeTable.kind(of: attribute.type) == nil ? .attributeTypeInvalid : .templateInconsistent
    }
    if rule.footnotes.isSuperset(of: .madeByToken) && !rule.footnotes.contains(.secret) {
      // What the token alone makes for every origin is read-only; what this origin alone makes is a contradiction.
      throw rule.footnotes.contains(.requiredAtCreate) ? .templateInconsistent : .attributeReadOnly
    }
    guard !rule.footnotes.contains(.forbidden(at: origin)) else { throw .templateInconsistent }
    let value = try Self.checked(attribute.value, rule)
    if rule.footnotes.contains(.securityOfficer), value == [1], !isSecurityOfficer { throw .attributeReadOnly }
    if rule.footnotes.contains(.secret) {
      draft.secrets.append((rule.type, SecretBytes(copying: value)))
    } else {
      draft.attributes.set(rule.type, value)
    }
  }

  private func complete(_ rule: AttributeRule, in draft: inout ObjectDraft) throws(ReturnValue) {
    guard !draft.attributes.contains(rule.type), draft.secret(rule.type) == nil else { return }
    guard !rule.footnotes.contains(.required(at: origin)) else { throw .templateIncomplete }
    switch rule.defaultValue {
    case .absent: break
    case .empty: draft.attributes.set(rule.type, [])
    case .bool(let value): draft.attributes.set(rule.type, value)
    case .ulong(let value): draft.attributes.set(rule.type, value)
    }
  }

  private func schema(
    of template: [Attribute], implied objectClass: ObjectClass?, _ subtype: UInt?
  ) throws(ReturnValue) -> ObjectSchema {
    let givenClass = try Self.number(.class, in: template).map { ObjectClass(rawValue: $0) }
    if let givenClass, let objectClass, givenClass != objectClass { throw .templateInconsistent }
    guard let found = objectClass ?? givenClass else { throw .templateIncomplete }
    guard let subtypeAttribute = AttributeTable.subtypeAttribute(of: found) else {
      guard let schema = AttributeTable.schema(found, nil) else { throw .attributeValueInvalid }
      // Profile objects are the token's own (4.1.1).
      guard found != .profile else { throw .attributeReadOnly }
      return schema
    }
    let givenSubtype = try Self.number(subtypeAttribute, in: template)
    if let givenSubtype, let subtype, givenSubtype != subtype { throw .templateInconsistent }
    guard let type = givenSubtype ?? subtype else { throw .templateIncomplete }
    guard let schema = AttributeTable.schema(found, type) else { throw .attributeValueInvalid }
    return schema
  }

  private static func number(_ type: AttributeType, in template: [Attribute]) throws(ReturnValue) -> UInt? {
    guard let attribute = template.first(where: { $0.type == type }) else { return nil }
    guard case .bytes(let bytes) = attribute.value, let number = bytes.ulong else { throw .attributeValueInvalid }
    return number
  }
}

// MARK: - What all templates have in common

extension TemplateReader {
  /// The template with each type once; two values for one type are CKR_TEMPLATE_INCONSISTENT (4.1.1, rules 5 and 6).
  static func withoutDuplicates(_ template: [Attribute]) throws(ReturnValue) -> [Attribute] {
    var seen: [AttributeType: Int] = [:]
    var result: [Attribute] = []
    result.reserveCapacity(template.count)
    for attribute in template {
      let attribute = Attribute(attribute.type.published, attribute.value)
      if let earlier = seen[attribute.type] {
        guard result[earlier].value == attribute.value else { throw .templateInconsistent }
      } else {
        seen[attribute.type] = result.count
        result.append(attribute)
      }
    }
    return result
  }

  /// Adds the attributes of CKA_UNWRAP_TEMPLATE or CKA_DERIVE_TEMPLATE; a conflict is CKR_TEMPLATE_INCONSISTENT.
  private static func merging(
    _ template: [Attribute], _ imposed: AttributeSet?
  ) throws(ReturnValue) -> [Attribute] {
    guard let imposed else { return template }
    var result = template
    for attribute in imposed.attributes {
      if let given = template.first(where: { $0.type == attribute.type }) {
        guard given.value == attribute.value else { throw .templateInconsistent }
      } else {
        result.append(attribute)
      }
    }
    return result
  }

  /// The value in the form it is stored in. Throws CKR_ATTRIBUTE_VALUE_INVALID for one that its kind does not have.
  static func checked(_ value: AttributeValue, _ rule: AttributeRule) throws(ReturnValue) -> [UInt8] {
    try checked(value, rule.kind, depth: 0)
  }

  private static func checked(
    _ value: AttributeValue, _ kind: AttributeKind, depth: Int
  ) throws(ReturnValue) -> [UInt8] {
    guard case .bytes(let bytes) = value else {
      guard kind == .template, case .template(let nested) = value else { throw .attributeValueInvalid }
      // One level: a template within the template of a template means nothing that the specification says.
      guard depth == 0 else { throw .templateInconsistent }
      var set = AttributeSet()
      for attribute in try withoutDuplicates(nested) {
        guard let kind = AttributeTable.kind(of: attribute.type) else { throw .attributeTypeInvalid }
        set.set(attribute.type, try checked(attribute.value, kind, depth: depth + 1))
      }
      return set.encoded
    }
    switch kind {
    case .bool:
      guard bytes == [0] || bytes == [1] else { throw .attributeValueInvalid }
    case .ulong:
      guard bytes.count == 8 else { throw .attributeValueInvalid }
    case .ulongs:
      guard bytes.count % 8 == 0 else { throw .attributeValueInvalid }
    case .text:
      guard String(validating: bytes, as: UTF8.self) != nil else { throw .attributeValueInvalid }
    case .date:
      guard bytes.isEmpty || isDate(bytes) else { throw .attributeValueInvalid }
    case .bigInteger:
      guard let first = bytes.firstIndex(where: { $0 != 0 }) else { throw .attributeValueInvalid }
      return Array(bytes[first...])
    case .template:
      guard bytes.isEmpty else { throw .attributeValueInvalid }
    case .bytes:
      break
    }
    return bytes
  }

  /// Whether the bytes are a CK_DATE: "YYYYMMDD".
  private static func isDate(_ bytes: [UInt8]) -> Bool {
    guard bytes.count == 8, bytes.allSatisfy({ (0x30...0x39).contains($0) }) else { return false }
    let digits = bytes.map { Int($0) - 0x30 }
    return (1...12).contains(digits[4] * 10 + digits[5]) && (1...31).contains(digits[6] * 10 + digits[7])
  }

  /// Refuses values that cannot stand together (4.1.1, rule 5).
  static func checkConsistency(_ attributes: AttributeSet) throws(ReturnValue) {
    if attributes.bool(.alwaysAuthenticate), !attributes.bool(.private) { throw .templateInconsistent }
    if attributes.bool(.strongroomRestrictedOutput) {
      guard attributes.bool(.sensitive), !attributes.bool(.extractable) else { throw .templateInconsistent }
    }
    if attributes.ulong(.class) == ObjectClass.certificate.rawValue {
      guard (attributes.ulong(.certificateCategory) ?? 0) <= CertificateCategory.otherEntity.rawValue else {
        throw .attributeValueInvalid
      }
      let isEmpty = { (type: AttributeType) in attributes.withBytes(type) { $0?.isEmpty ?? true } }
      guard !isEmpty(.value) || !isEmpty(.url) else { throw .templateInconsistent }
      guard isEmpty(.url) || (!isEmpty(.hashOfSubjectPublicKey) && !isEmpty(.hashOfIssuerPublicKey)) else {
        throw .templateInconsistent
      }
    }
  }
}
