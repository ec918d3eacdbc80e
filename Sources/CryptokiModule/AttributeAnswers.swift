import CCryptoki
import Cryptoki
import TokenProtocol

/// Answers of C_GetAttributeValue on their way into the caller's template, each by the five cases of PKCS#11 3.2, 5.7.5.
struct AttributeAnswers {
  private var isSensitive = false
  private var isAbsent = false
  private var isShort = false

  /// Writes one answer.
  mutating func write(_ answer: LentAttributeAnswer, to attribute: inout CK_ATTRIBUTE) {
    switch answer {
    case .sensitive:
      isSensitive = true
      attribute.ulValueLen = Amount.unavailable
    case .absent:
      isAbsent = true
      attribute.ulValueLen = Amount.unavailable
    case .bytes(let value):
      if !CryptokiModule.write(value, to: &attribute) { isShort = true }
    case .template(let nested):
      if !CryptokiModule.write(nested, to: &attribute) { isShort = true }
    }
  }

  /// Once all attributes are answered, throws the error that one of them calls for: CKR_ATTRIBUTE_SENSITIVE before
  /// CKR_ATTRIBUTE_TYPE_INVALID before CKR_BUFFER_TOO_SMALL.
  func end() throws(ReturnValue) {
    if isSensitive { throw .attributeSensitive }
    if isAbsent { throw .attributeTypeInvalid }
    if isShort { throw .bufferTooSmall }
  }
}

/// Whether there was room for the value.
private func write(_ value: UnsafeRawBufferPointer, to attribute: inout CK_ATTRIBUTE) -> Bool {
  let byteCount = UInt(value.count)
  if let destination = attribute.pValue {
    guard attribute.ulValueLen >= byteCount else {
      attribute.ulValueLen = Amount.unavailable
      return false
    }
    if let start = value.baseAddress, value.count > 0 { destination.copyMemory(from: start, byteCount: value.count) }
  }
  attribute.ulValueLen = byteCount
  return true
}

/// Whether there was room for the template and for every value in it. The inner buffers are the caller's; the inner
/// types are ignored on input and set on output.
private func write(_ nested: AttributeEntries, to attribute: inout CK_ATTRIBUTE) -> Bool {
  let count = nested.reduce(0) { count, _ in count + 1 }
  let byteCount = UInt(count * MemoryLayout<CK_ATTRIBUTE>.stride)
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
  for (index, entry) in nested.enumerated() {
    elements[index].type = UInt(entry.type.rawValue)
    if entry.type.holdsTemplate {
      // Templates lie one deep only.
      elements[index].ulValueLen = Amount.unavailable
      fits = false
    } else if !write(nested[entry], to: &elements[index]) {
      fits = false
    }
  }
  return fits
}
