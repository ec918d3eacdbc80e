import Cryptoki
import TokenProtocol

/// Changes of an object that exists: C_SetAttributeValue, and C_CopyObject for the copy (PKCS#11 3.2, 4.1.2 and
/// 4.1.3).
struct TemplateChange {
  let schema: ObjectSchema
  let isCopy: Bool
  let isSecurityOfficer: Bool

  /// The attributes after the change.
  ///
  /// Throws CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_READ_ONLY or
  /// CKR_TEMPLATE_INCONSISTENT.
  func applied(_ template: Template, to attributes: AttributeSet) throws(ReturnValue) -> AttributeSet {
    try AttributeSet(template).withEntries { (given) throws(ReturnValue) in
      var changed = attributes
      for entry in given {
        guard let rule = schema.rule(for: entry.type) else {
          throw AttributeTable.kind(of: entry.type) == nil ? .attributeTypeInvalid : .templateInconsistent
        }
        let checked = try TemplateReader.checked(given[entry], rule.kind)
        let value = rule.kind == .template ? try TemplateReader.template(checked).encoded : [UInt8](checked)
        try check(rule, from: attributes, to: value)
        changed.set(rule.type, value)
      }
      try TemplateReader.checkConsistency(changed) { changed.bool($0) }
      return changed
    }
  }

  private func check(_ rule: AttributeRule, from attributes: AttributeSet, to value: [UInt8]) throws(ReturnValue) {
    let current = rule.footnotes.contains(.secret) ? nil : attributes.bytes(rule.type)
    // A copy's template may repeat what the object is; a set of what never changes is refused even so.
    if isCopy, current == value { return }
    var allowed: AttributeFootnotes = isCopy ? [.changeable, .changeableInCopy] : .changeable
    if isSecurityOfficer { allowed.insert(.securityOfficer) }
    guard !rule.footnotes.isDisjoint(with: allowed) else { throw .attributeReadOnly }
    if current == value { return }
    if rule.footnotes.contains(.staysTrue), current == [1] { throw .attributeReadOnly }
    if rule.footnotes.contains(.staysFalse), current == [0] { throw .attributeReadOnly }
    if rule.footnotes.contains(.securityOfficer), value == [1], !isSecurityOfficer { throw .attributeReadOnly }
    switch rule.type {
    case .private where schema.objectClass == .privateKey || schema.objectClass == .secretKey:
      // A copy that needs no login would let anybody use the key.
      guard value == [1] else { throw .templateInconsistent }
    case .publicKeyInfo:
      // It is computed from the key, so another value is a wrong one.
      throw .attributeValueInvalid
    case .checkValue:
      // It may be destroyed, not replaced.
      guard value.isEmpty else { throw .attributeValueInvalid }
    default: break
    }
  }
}
