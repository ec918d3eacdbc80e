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

/// How deep templates may lie within templates. The specification needs one level.
private let deepestTemplate = 2

extension WireReader {
  /// A list of attributes.
  public mutating func template() throws(WireError) -> [Attribute] {
    try template(depth: 0)
  }

  private mutating func template(depth: Int) throws(WireError) -> [Attribute] {
    guard depth <= deepestTemplate else { throw .invalid }
    let count = try count(ofElementsAtLeast: 9)
    var attributes: [Attribute] = []
    attributes.reserveCapacity(count)
    for _ in 0..<count {
      let type = AttributeType(rawValue: try u32())
      if try bool() {
        attributes.append(Attribute(type, .template(try template(depth: depth + 1))))
      } else {
        attributes.append(Attribute(type, .bytes(try bytes())))
      }
    }
    return attributes
  }
}

extension WireWriter {
  /// A list of attributes.
  public mutating func template(_ attributes: [Attribute]) {
    u32(UInt32(truncatingIfNeeded: attributes.count))
    for attribute in attributes {
      u32(attribute.type.rawValue)
      switch attribute.value {
      case .bytes(let value):
        bool(false)
        bytes(value)
      case .template(let nested):
        bool(true)
        template(nested)
      }
    }
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

extension WireReader {
  public mutating func attributeAnswers() throws(WireError) -> [AttributeAnswer] {
    let count = try count(ofElementsAtLeast: 1)
    var answers: [AttributeAnswer] = []
    answers.reserveCapacity(count)
    for _ in 0..<count {
      switch try u8() {
      case 0: answers.append(.value(.bytes(try bytes())))
      case 1: answers.append(.value(.template(try template())))
      case 2: answers.append(.sensitive)
      case 3: answers.append(.absent)
      default: throw .invalid
      }
    }
    return answers
  }
}

extension WireWriter {
  public mutating func attributeAnswers(_ answers: [AttributeAnswer]) {
    u32(UInt32(truncatingIfNeeded: answers.count))
    for answer in answers {
      switch answer {
      case .value(.bytes(let value)):
        u8(0)
        bytes(value)
      case .value(.template(let attributes)):
        u8(1)
        template(attributes)
      case .sensitive: u8(2)
      case .absent: u8(3)
      }
    }
  }
}
