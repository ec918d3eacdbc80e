import CCryptoki
import Cryptoki
import Foundation

/// An open session on a token.
final class Session {
  let module: Module
  let slot: CK_SLOT_ID
  let tokenInfo: CK_TOKEN_INFO
  let handle: CK_SESSION_HANDLE

  var functions: CK_FUNCTION_LIST_3_2 { module.functions }
  var tokenLabel: String { text(tokenInfo.label) }

  init(_ module: Module, _ slot: CK_SLOT_ID) throws {
    self.module = module
    self.slot = slot
    tokenInfo = try module.tokenInfo(slot)
    var handle: CK_SESSION_HANDLE = 0
    try during("the token in slot \(slot)") {
      try module.call(
        "C_OpenSession",
        module.functions.C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nil, nil, &handle))
    }
    self.handle = handle
  }

  deinit { _ = functions.C_CloseSession(handle) }

  func call(_ function: String, _ result: CK_RV) throws { try module.call(function, result) }

  func login(_ user: CK_USER_TYPE, _ pin: String) throws {
    let isOfficer = user == CKU_SO
    try tokenInfo.check(pin, isOfficer ? "security officer's PIN" : "PIN")
    var bytes = Array(pin.utf8)
    do {
      try during("the token \"\(tokenLabel)\"") {
        try call("C_Login", functions.C_Login(handle, user, &bytes, CK_ULONG(bytes.count)))
      }
    } catch let error as ModuleError where error.value == .pinIncorrect {
      let flags = TokenFlags(rawValue: try module.tokenInfo(slot).flags)
      guard flags.contains(isOfficer ? .soPINFinalTry : .userPINFinalTry) else { throw error }
      throw Failure("\(error.description); one try is left")
    }
  }

  // MARK: Objects

  /// All objects that match the template.
  func find(_ template: Template) throws -> [CK_OBJECT_HANDLE] {
    try call("C_FindObjectsInit", template.withAttributes { functions.C_FindObjectsInit(handle, $0, $1) })
    defer { _ = functions.C_FindObjectsFinal(handle) }
    var found: [CK_OBJECT_HANDLE] = []
    var batch = [CK_OBJECT_HANDLE](repeating: 0, count: 64)
    while true {
      var count: CK_ULONG = 0
      try call("C_FindObjects", functions.C_FindObjects(handle, &batch, CK_ULONG(batch.count), &count))
      if count == 0 { return found }
      found += batch.prefix(Int(count))
    }
  }

  /// All objects that the URI names, of one of `classes` where the URI does not say a class.
  func find(_ uri: URI, classes: [ObjectClass] = []) throws -> [CK_OBJECT_HANDLE] {
    let named = uri.attributes
    let saysClass = named.contains { $0.type == CKA_CLASS }
    func template() -> Template {
      let template = Template()
      for attribute in named { template.adding(AttributeType(rawValue: UInt32(attribute.type)), attribute.value) }
      return template
    }
    if saysClass || classes.isEmpty { return try find(template()) }
    return try classes.flatMap { try find(template().adding(.class, $0.rawValue)) }
  }

  /// The one object that the URI names.
  func findOne(_ uri: URI, classes: [ObjectClass]) throws -> CK_OBJECT_HANDLE {
    let found = try find(uri, classes: classes)
    switch found.count {
    case 1: return found[0]
    case 0: throw Failure("\(uri.description): no such object on \"\(tokenLabel)\"\(try absenceNote())")
    default:
      throw Failure(
        "\(uri.description) names \(found.count) objects; add id=, object= or type= until one is left")
    }
  }

  /// Private objects are only seen after login.
  private func absenceNote() throws -> String {
    var info = CK_SESSION_INFO()
    try call("C_GetSessionInfo", functions.C_GetSessionInfo(handle, &info))
    let isPublic = SessionState(rawValue: info.state) == .rwPublicSession
    return isPublic ? " (without a PIN only public objects are seen)" : ""
  }

  /// The value of an attribute, or what the module answered instead.
  func attribute(_ object: CK_OBJECT_HANDLE, _ type: AttributeType) -> Result<[UInt8], ReturnValue> {
    var attribute = CK_ATTRIBUTE(type: CK_ULONG(type.rawValue), pValue: nil, ulValueLen: 0)
    var result = functions.C_GetAttributeValue(handle, object, &attribute, 1)
    guard result == CKR_OK else { return .failure(ReturnValue(rawValue: result)) }
    guard let count = Int(exactly: attribute.ulValueLen), count < 1 << 28 else {
      return .failure(.attributeTypeInvalid)
    }
    var value = [UInt8](repeating: 0, count: max(count, 1))
    let length = value.withUnsafeMutableBytes { bytes in
      attribute.pValue = bytes.baseAddress
      attribute.ulValueLen = CK_ULONG(count)
      result = functions.C_GetAttributeValue(handle, object, &attribute, 1)
      return attribute.ulValueLen
    }
    guard result == CKR_OK else { return .failure(ReturnValue(rawValue: result)) }
    return .success(Array(value.prefix(Int(min(length, CK_ULONG(count))))))
  }

  func bytes(_ object: CK_OBJECT_HANDLE, _ type: AttributeType) -> [UInt8]? {
    try? attribute(object, type).get()
  }

  func number(_ object: CK_OBJECT_HANDLE, _ type: AttributeType) -> CK_ULONG? {
    guard let value = bytes(object, type), value.count == MemoryLayout<CK_ULONG>.size else { return nil }
    return value.withUnsafeBytes { $0.loadUnaligned(as: CK_ULONG.self) }
  }

  func flag(_ object: CK_OBJECT_HANDLE, _ type: AttributeType) -> Bool? {
    guard let value = bytes(object, type), value.count == 1 else { return nil }
    return value[0] != 0
  }

  // MARK: Keys

  func generateKey(_ mechanism: MechanismType, _ template: Template) throws -> CK_OBJECT_HANDLE {
    var mechanism = CK_MECHANISM(mechanism: CK_ULONG(mechanism.rawValue), pParameter: nil, ulParameterLen: 0)
    var key: CK_OBJECT_HANDLE = 0
    let result = template.withAttributes { functions.C_GenerateKey(handle, &mechanism, $0, $1, &key) }
    try call("C_GenerateKey", result)
    return key
  }

  func generateKeyPair(
    _ mechanism: MechanismType, public publicTemplate: Template, private privateTemplate: Template
  ) throws -> (public: CK_OBJECT_HANDLE, private: CK_OBJECT_HANDLE) {
    var mechanism = CK_MECHANISM(mechanism: CK_ULONG(mechanism.rawValue), pParameter: nil, ulParameterLen: 0)
    var publicKey: CK_OBJECT_HANDLE = 0
    var privateKey: CK_OBJECT_HANDLE = 0
    let result = publicTemplate.withAttributes { publicAttributes, publicCount in
      privateTemplate.withAttributes {
        functions.C_GenerateKeyPair(
          handle, &mechanism, publicAttributes, publicCount, $0, $1, &publicKey, &privateKey)
      }
    }
    try call("C_GenerateKeyPair", result)
    return (publicKey, privateKey)
  }

  func unwrap(
    _ wrapped: [UInt8], with key: CK_OBJECT_HANDLE, _ mechanism: ParameterizedMechanism, _ template: Template
  ) throws -> CK_OBJECT_HANDLE {
    var wrapped = wrapped
    var unwrapped: CK_OBJECT_HANDLE = 0
    let result = mechanism.withMechanism { mechanism in
      template.withAttributes {
        functions.C_UnwrapKey(handle, mechanism, key, &wrapped, CK_ULONG(wrapped.count), $0, $1, &unwrapped)
      }
    }
    try call("C_UnwrapKey", result)
    return unwrapped
  }

  /// Runs an answer of unknown length: asks for the length, then for the bytes.
  func output(
    _ function: String, _ body: (UnsafeMutablePointer<CK_BYTE>?, UnsafeMutablePointer<CK_ULONG>) -> CK_RV
  ) throws -> [UInt8] {
    var count: CK_ULONG = 0
    try call(function, body(nil, &count))
    guard let capacity = Int(exactly: count), capacity <= 1 << 40 else {
      throw Failure("\(function) asks for \(count) bytes")
    }
    var bytes = [UInt8](repeating: 0, count: max(capacity, 1))
    try call(function, body(&bytes, &count))
    return Array(bytes.prefix(Int(min(count, CK_ULONG(capacity)))))
  }
}

extension CK_TOKEN_INFO {
  /// Throws where a PIN has not a length that the token takes; `what` says whose it is.
  func check(_ pin: String, _ what: String) throws {
    let count = CK_ULONG(pin.utf8.count)
    guard count < ulMinPinLen || count > ulMaxPinLen else { return }
    throw Failure("the \(what) has \(count) bytes; the token takes \(ulMinPinLen) to \(ulMaxPinLen)")
  }
}
