import Cryptoki
import Wire

/// One attribute of a template or of an object.
public struct Attribute: Sendable, Equatable {
  public var type: AttributeType
  public var value: AttributeValue

  public init(_ type: AttributeType, _ value: AttributeValue) {
    self.type = type
    self.value = value
  }
}

/// An attribute's value: bytes as the caller's memory held them, or, for the attributes with CKF_ARRAY_ATTRIBUTE
/// whose elements are attributes (CKA_WRAP_TEMPLATE and its kin), a template.
public enum AttributeValue: Sendable, Equatable {
  case bytes([UInt8])
  case template([Attribute])
}

/// A template in one allocation: `AttributeEntries`, in the order in which they were given.
public struct Template: Sendable, Equatable, ExpressibleByArrayLiteral {
  public private(set) var encoded: [UInt8]

  public init() { encoded = [] }

  /// A template of `byteCount` bytes at most: 8 for each attribute, and the values.
  public init(byteCount: Int, _ write: (inout EntryWriter) -> Void) {
    // Zeros first: an array of nothing yet is made by code that is not specialised, which costs more.
    encoded = [UInt8](repeating: 0, count: byteCount)
    let count = encoded.withUnsafeMutableBytes { memory in
      var writer = EntryWriter(memory)
      write(&writer)
      return writer.count
    }
    if count < byteCount { encoded.removeLast(byteCount - count) }
  }

  public init(_ attributes: [Attribute]) {
    let values = attributes.map { attribute in
      switch attribute.value {
      case .bytes(let value): value
      case .template(let nested): Template(nested).encoded
      }
    }
    self.init(byteCount: values.reduce(0) { $0 + 8 + $1.count }) { writer in
      for (attribute, value) in zip(attributes, values) { value.withUnsafeBytes { writer.put(attribute.type, $0) } }
    }
  }

  public init(arrayLiteral attributes: Attribute...) { self.init(attributes) }

  /// Overwrites the values, in place as long as nobody else holds the bytes.
  public mutating func wipe() { encoded.wipe() }

  /// Lends the attributes.
  @inline(__always)
  public func withEntries<R, E: Error>(_ body: (AttributeEntries) throws(E) -> R) throws(E) -> R {
    try encoded.span.withUnsafeBytes { (bytes) throws(E) in try body(AttributeEntries(bytes)) }
  }
}

extension WireReader {
  /// A template. What its attributes may be is for the token to say.
  public mutating func template() throws(WireError) -> Template {
    let bytes = try lentBytes()
    guard let count = AttributeEntries(bytes).countOfAll, count <= RequestLimits.attributes else { throw .invalid }
    return Template(encoded: [UInt8](bytes))
  }
}

extension Template {
  fileprivate init(encoded: [UInt8]) { self.encoded = encoded }
}

extension WireWriter {
  public mutating func template(_ template: Template) {
    bytes(template.encoded)
  }
}

/// The answer for one attribute type of C_GetAttributeValue (PKCS#11 3.2, 5.7.5).
public enum AttributeAnswer: Sendable, Equatable {
  case value(AttributeValue)
  /// CKR_ATTRIBUTE_SENSITIVE: the object has it and does not reveal it.
  case sensitive
  /// CKR_ATTRIBUTE_TYPE_INVALID: the object has no such attribute.
  case absent
}

/// An `AttributeAnswer` that lies in a message or an object.
public enum LentAttributeAnswer {
  case bytes(UnsafeRawBufferPointer)
  case template(AttributeEntries)
  case sensitive
  case absent

  /// A copy.
  public var answer: AttributeAnswer {
    switch self {
    case .bytes(let value): .value(.bytes([UInt8](value)))
    case .template(let entries): .value(.template(entries.attributes))
    case .sensitive: .sensitive
    case .absent: .absent
    }
  }
}

extension WireReader {
  /// The number of answers that follow.
  public mutating func attributeAnswerCount() throws(WireError) -> Int { try count(ofElementsAtLeast: 1) }

  /// One answer, lent from the message.
  public mutating func attributeAnswer() throws(WireError) -> LentAttributeAnswer {
    switch try u8() {
    case 0: return .bytes(try lentBytes())
    case 1:
      let entries = AttributeEntries(try lentBytes())
      guard entries.fillBytes else { throw .invalid }
      return .template(entries)
    case 2: return .sensitive
    case 3: return .absent
    default: throw .invalid
    }
  }

  /// All answers.
  public mutating func attributeAnswers() throws(WireError) -> [AttributeAnswer] {
    let count = try attributeAnswerCount()
    var answers: [AttributeAnswer] = []
    answers.reserveCapacity(count)
    for _ in 0..<count { answers.append(try attributeAnswer().answer) }
    return answers
  }
}

extension WireWriter {
  public mutating func attributeAnswerCount(_ count: Int) { u32(UInt32(truncatingIfNeeded: count)) }

  public mutating func attributeAnswer(_ answer: LentAttributeAnswer) {
    switch answer {
    case .bytes(let value):
      u8(0)
      bytes(value)
    case .template(let entries):
      u8(1)
      bytes(entries.bytes)
    case .sensitive: u8(2)
    case .absent: u8(3)
    }
  }
}
