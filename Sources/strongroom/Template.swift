import CCryptoki
import Cryptoki

/// The attributes of a call, with the memory that their values lie in.
final class Template {
  private var attributes: [CK_ATTRIBUTE] = []
  private var children: [Template] = []

  init() {}

  deinit {
    for attribute in attributes { attribute.pValue?.deallocate() }
  }

  var isEmpty: Bool { attributes.isEmpty }

  @discardableResult
  func adding(_ type: AttributeType, _ value: [UInt8]) -> Template {
    adding(type, of: value)
  }

  @discardableResult
  func adding(_ type: AttributeType, _ value: Bool) -> Template {
    adding(type, of: [CK_BBOOL(value ? 1 : 0)])
  }

  @discardableResult
  func adding(_ type: AttributeType, _ value: CK_ULONG) -> Template {
    adding(type, of: [value])
  }

  @discardableResult
  func adding(_ type: AttributeType, _ values: [CK_ULONG]) -> Template {
    adding(type, of: values)
  }

  @discardableResult
  func adding(_ type: AttributeType, _ text: String) -> Template {
    adding(type, of: Array(text.utf8))
  }

  /// An attribute whose value is itself a template; `template` is kept.
  @discardableResult
  func adding(_ type: AttributeType, _ template: Template) -> Template {
    children.append(template)
    return adding(type, of: template.attributes)
  }

  private func adding<Element>(_ type: AttributeType, of elements: [Element]) -> Template {
    let byteCount = elements.count * MemoryLayout<Element>.stride
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: max(byteCount, 1), alignment: MemoryLayout<CK_ULONG>.alignment)
    elements.withUnsafeBytes {
      memory.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(memory), byteCount: byteCount)
    }
    attributes.append(CK_ATTRIBUTE(type: CK_ULONG(type.rawValue), pValue: memory, ulValueLen: CK_ULONG(byteCount)))
    return self
  }

  /// Lends the attributes for one call.
  func withAttributes<Answer>(
    _ body: (UnsafeMutablePointer<CK_ATTRIBUTE>?, CK_ULONG) throws -> Answer
  ) rethrows -> Answer {
    let count = CK_ULONG(attributes.count)
    return try attributes.withUnsafeMutableBufferPointer { try body($0.baseAddress, count) }
  }
}

extension AttributeType {
  static let restrictedOutput = AttributeType(rawValue: UInt32(CKA_STRONGROOM_RESTRICTED_OUTPUT))
  static let useCases = AttributeType(rawValue: UInt32(CKA_STRONGROOM_USE_CASES))
  static let useCase = AttributeType(rawValue: UInt32(CKA_STRONGROOM_USE_CASE))

  /// The specification's name, or that of the vendor interface.
  var strongroomName: String {
    switch self {
    case .restrictedOutput: "CKA_STRONGROOM_RESTRICTED_OUTPUT"
    case .useCases: "CKA_STRONGROOM_USE_CASES"
    case .useCase: "CKA_STRONGROOM_USE_CASE"
    default: name
    }
  }
}
