import CCryptoki
import Cryptoki
import TokenProtocol

/// Writes the answers of C_GetAttributeValue into the caller's template, each by the five cases of PKCS#11 3.2, 5.7.5.
///
/// All attributes are answered; then throws the error that one of them calls for: CKR_ATTRIBUTE_SENSITIVE before
/// CKR_ATTRIBUTE_TYPE_INVALID before CKR_BUFFER_TOO_SMALL.
func write(
  _ answers: [AttributeAnswer], to template: UnsafeMutableBufferPointer<CK_ATTRIBUTE>
) throws(ReturnValue) {
  var sensitive = false
  var absent = false
  var short = false
  for (index, answer) in answers.enumerated() where index < template.count {
    switch answer {
    case .sensitive:
      sensitive = true
      template[index].ulValueLen = Amount.unavailable
    case .absent:
      absent = true
      template[index].ulValueLen = Amount.unavailable
    case .value(.bytes(let value)):
      if !write(value, to: &template[index]) { short = true }
    case .value(.template(let nested)):
      if !write(nested, to: &template[index]) { short = true }
    }
  }
  if sensitive { throw .attributeSensitive }
  if absent { throw .attributeTypeInvalid }
  if short { throw .bufferTooSmall }
}

/// Whether there was room for the value.
private func write(_ value: [UInt8], to attribute: inout CK_ATTRIBUTE) -> Bool {
  let byteCount = UInt(value.count)
  if let destination = attribute.pValue {
    guard attribute.ulValueLen >= byteCount else {
      attribute.ulValueLen = Amount.unavailable
      return false
    }
    value.withUnsafeBytes { source in
      if let start = source.baseAddress, source.count > 0 {
        destination.copyMemory(from: start, byteCount: source.count)
      }
    }
  }
  attribute.ulValueLen = byteCount
  return true
}

/// Whether there was room for the template and for every value in it. The inner buffers are the caller's; the inner
/// types are ignored on input and set on output.
private func write(_ nested: [Attribute], to attribute: inout CK_ATTRIBUTE) -> Bool {
  let byteCount = UInt(nested.count * MemoryLayout<CK_ATTRIBUTE>.stride)
  guard let destination = attribute.pValue else {
    attribute.ulValueLen = byteCount
    return true
  }
  guard attribute.ulValueLen >= byteCount, isAligned(destination) else {
    attribute.ulValueLen = Amount.unavailable
    return false
  }
  attribute.ulValueLen = byteCount
  let elements = destination.assumingMemoryBound(to: CK_ATTRIBUTE.self)
  var fits = true
  for (index, element) in nested.enumerated() {
    elements[index].type = UInt(element.type.rawValue)
    switch element.value {
    case .bytes(let value):
      if !write(value, to: &elements[index]) { fits = false }
    case .template:
      // Templates lie one deep only.
      elements[index].ulValueLen = Amount.unavailable
      fits = false
    }
  }
  return fits
}
