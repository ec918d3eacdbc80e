import CCryptoki
import Cryptoki
import TokenProtocol

/// The most attributes that a template can have: more than the specification has types.
private let mostAttributes: CK_ULONG = 1024
/// The longest attribute value, in bytes, that is carried.
private let longestValue: CK_ULONG = 16 << 20

extension AttributeType {
  /// Whether the value is a template (CKA_WRAP_TEMPLATE and its kin), not numbers or bytes.
  var holdsTemplate: Bool {
    switch self.published {
    case .wrapTemplate, .unwrapTemplate, .deriveTemplate, .encapsulateTemplate, .decapsulateTemplate: true
    default: false
    }
  }
}

/// The attributes that a caller's arguments name. Throws CKR_ARGUMENTS_BAD.
func callerTemplate(
  _ pointer: UnsafeMutablePointer<CK_ATTRIBUTE>?, _ count: CK_ULONG
) throws(ReturnValue) -> UnsafeMutableBufferPointer<CK_ATTRIBUTE> {
  guard count <= mostAttributes else { throw .argumentsBad }
  return try callerArray(pointer, count)
}

/// Copies a caller's template.
///
/// Throws CKR_ARGUMENTS_BAD for a template that is not there, CKR_ATTRIBUTE_TYPE_INVALID for a type that no attribute
/// has, CKR_ATTRIBUTE_VALUE_INVALID for a value without a pointer, or longer than any value is.
func readTemplate(
  _ pointer: UnsafeMutablePointer<CK_ATTRIBUTE>?, _ count: CK_ULONG, depth: Int = 0
) throws(ReturnValue) -> [Attribute] {
  let source = try callerTemplate(pointer, count)
  var attributes: [Attribute] = []
  attributes.reserveCapacity(source.count)
  for attribute in source {
    guard let number = UInt32(exactly: attribute.type) else { throw .attributeTypeInvalid }
    let type = AttributeType(rawValue: number)
    guard attribute.ulValueLen <= longestValue else { throw .attributeValueInvalid }
    guard attribute.ulValueLen == 0 || attribute.pValue != nil else { throw .attributeValueInvalid }
    guard type.holdsTemplate else {
      attributes.append(Attribute(type, .bytes([UInt8](try callerBytes(attribute.pValue, attribute.ulValueLen)))))
      continue
    }
    let (elements, rest) = attribute.ulValueLen.quotientAndRemainder(
      dividingBy: UInt(MemoryLayout<CK_ATTRIBUTE>.stride))
    guard rest == 0, depth == 0, isAligned(attribute.pValue) else { throw .attributeValueInvalid }
    let nested = try readTemplate(
      attribute.pValue?.assumingMemoryBound(to: CK_ATTRIBUTE.self), elements, depth: depth + 1)
    attributes.append(Attribute(type, .template(nested)))
  }
  return attributes
}

/// Whether an array of CK_ATTRIBUTE can lie at this address.
func isAligned(_ pointer: UnsafeMutableRawPointer?) -> Bool {
  UInt(bitPattern: pointer) % UInt(MemoryLayout<CK_ATTRIBUTE>.alignment) == 0
}
