import CCryptoki
import Cryptoki
import TokenProtocol

/// The most attributes that a template can have: more than the specification has types.
private let mostAttributes = CK_ULONG(RequestLimits.attributes)
/// The longest attribute value, in bytes, that is carried.
private let longestValue: CK_ULONG = 16 << 20
/// The longest template, in bytes.
private let longestTemplate = 64 << 20

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
/// has, CKR_ATTRIBUTE_VALUE_INVALID for a value without a pointer, or longer than any value is, CKR_DATA_LEN_RANGE for more
/// than any message carries.
func readTemplate(
  _ pointer: UnsafeMutablePointer<CK_ATTRIBUTE>?, _ count: CK_ULONG, depth: Int = 0
) throws(ReturnValue) -> Template {
  let source = try callerTemplate(pointer, count)
  var byteCount = 0
  var nested: [Template] = []
  for attribute in source {
    guard let type = attribute.knownType else { throw .attributeTypeInvalid }
    guard attribute.ulValueLen <= longestValue, attribute.ulValueLen == 0 || attribute.pValue != nil else {
      throw .attributeValueInvalid
    }
    byteCount += 8 + (try callerBytes(attribute.pValue, attribute.ulValueLen)).count
    guard type.holdsTemplate else { continue }
    let (elements, rest) = attribute.ulValueLen.quotientAndRemainder(
      dividingBy: UInt(MemoryLayout<CK_ATTRIBUTE>.stride))
    guard rest == 0, depth == 0, isAligned(attribute.pValue) else { throw .attributeValueInvalid }
    let template = try readTemplate(
      attribute.pValue?.assumingMemoryBound(to: CK_ATTRIBUTE.self), elements, depth: depth + 1)
    byteCount += template.encoded.count
    nested.append(template)
  }
  guard byteCount <= longestTemplate else { throw .dataLenRange }
  return Template(byteCount: byteCount) { writer in
    var templates = nested.makeIterator()
    for attribute in source {
      guard let type = attribute.knownType else { continue }
      if type.holdsTemplate {
        templates.next()?.withEntries { writer.put(type, $0.bytes) }
      } else if let value = try? callerBytes(attribute.pValue, attribute.ulValueLen) {
        writer.put(type, value)
      }
    }
  }
}

extension CK_ATTRIBUTE {
  /// The type; nil for one beyond 32 bits, which no object has.
  var knownType: AttributeType? { UInt32(exactly: type).map { AttributeType(rawValue: $0) } }
}

/// Whether an array of CK_ATTRIBUTE can lie at this address.
func isAligned(_ pointer: UnsafeMutableRawPointer?) -> Bool {
  UInt(bitPattern: pointer) % UInt(MemoryLayout<CK_ATTRIBUTE>.alignment) == 0
}
