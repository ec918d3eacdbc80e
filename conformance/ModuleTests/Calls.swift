import CCryptoki

/// An attribute's value in a template of a test.
enum Value {
  case bytes([UInt8])
  case number(UInt)
  case bool(Bool)
  case text(String)

  var content: [UInt8] {
    switch self {
    case .bytes(let bytes): bytes
    case .number(let number): withUnsafeBytes(of: number) { [UInt8]($0) }
    case .bool(let flag): [flag ? 1 : 0]
    case .text(let text): [UInt8](text.utf8)
    }
  }
}

typealias Template = [(UInt, Value)]

/// Lends a template as the C ABI has it.
func withTemplate<R>(_ template: Template, _ body: (UnsafeMutablePointer<CK_ATTRIBUTE>, UInt) -> R) -> R {
  let attributes = UnsafeMutablePointer<CK_ATTRIBUTE>.allocate(capacity: template.count + 1)
  defer { attributes.deallocate() }
  for (index, (type, value)) in template.enumerated() {
    let content = value.content
    let memory = UnsafeMutableRawPointer.allocate(byteCount: content.count + 1, alignment: 8)
    memory.copyMemory(from: content, byteCount: content.count)
    (attributes + index).initialize(to: CK_ATTRIBUTE(type: type, pValue: memory, ulValueLen: UInt(content.count)))
  }
  defer { for index in template.indices { attributes[index].pValue.deallocate() } }
  return body(attributes, UInt(template.count))
}

/// Lends a mechanism whose parameter are these bytes.
func withMechanism<R>(
  _ type: UInt, _ parameter: [UInt8] = [], _ body: (UnsafeMutablePointer<CK_MECHANISM>) -> R
) -> R {
  var parameter = parameter
  let count = UInt(parameter.count)
  return parameter.withUnsafeMutableBytes { bytes in
    var mechanism = CK_MECHANISM(
      mechanism: type, pParameter: count == 0 ? nil : bytes.baseAddress, ulParameterLen: count)
    return body(&mechanism)
  }
}

/// Lends a mechanism whose parameter is a structure.
func withMechanism<Structure, R>(
  _ type: UInt, _ structure: Structure, _ body: (UnsafeMutablePointer<CK_MECHANISM>) -> R
) -> R {
  var structure = structure
  return withUnsafeMutableBytes(of: &structure) { bytes in
    var mechanism = CK_MECHANISM(mechanism: type, pParameter: bytes.baseAddress, ulParameterLen: UInt(bytes.count))
    return body(&mechanism)
  }
}

typealias Init = (CK_SESSION_HANDLE, UnsafeMutablePointer<CK_MECHANISM>?, CK_OBJECT_HANDLE) -> CK_RV
typealias OutputCall = (UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<CK_ULONG>?) -> CK_RV

/// Makes a call with output as clients do: asks for the size, then gives a buffer of that size.
func output(_ call: OutputCall) -> (CK_RV, [UInt8]) {
  var count: CK_ULONG = 0
  let asked = call(nil, &count)
  guard asked == CKR_OK else { return (asked, []) }
  var bytes = [UInt8](repeating: 0xa5, count: Int(count) + 1)
  let given = count
  let result = call(&bytes, &count)
  // The byte behind the buffer stays as it was.
  if bytes[Int(given)] != 0xa5 || count > given { return (CKR_GENERAL_ERROR, []) }
  return (result, Array(bytes.prefix(Int(count))))
}

func generateKey(_ session: CK_SESSION_HANDLE, _ type: UInt, _ template: Template) -> (CK_RV, CK_OBJECT_HANDLE) {
  var key: CK_OBJECT_HANDLE = 0
  let result = withMechanism(type) { mechanism in
    withTemplate(template) { p11.C_GenerateKey!(session, mechanism, $0, $1, &key) }
  }
  return (result, key)
}

func generatePair(
  _ session: CK_SESSION_HANDLE, _ type: UInt, _ publicTemplate: Template, _ privateTemplate: Template
) -> (CK_RV, CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
  var keys: (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) = (0, 0)
  let result = withMechanism(type) { mechanism in
    withTemplate(publicTemplate) { first, firstCount in
      withTemplate(privateTemplate) {
        p11.C_GenerateKeyPair!(session, mechanism, first, firstCount, $0, $1, &keys.0, &keys.1)
      }
    }
  }
  return (result, keys.0, keys.1)
}

func createObject(_ session: CK_SESSION_HANDLE, _ template: Template) -> (CK_RV, CK_OBJECT_HANDLE) {
  var object: CK_OBJECT_HANDLE = 0
  let result = withTemplate(template) { p11.C_CreateObject!(session, $0, $1, &object) }
  return (result, object)
}

func find(_ session: CK_SESSION_HANDLE, _ template: Template) -> [CK_OBJECT_HANDLE]? {
  guard withTemplate(template, { p11.C_FindObjectsInit!(session, $0, $1) }) == CKR_OK else { return nil }
  defer { _ = p11.C_FindObjectsFinal!(session) }
  var found: [CK_OBJECT_HANDLE] = []
  while true {
    var handles = [CK_OBJECT_HANDLE](repeating: 0, count: 3)
    var count: CK_ULONG = 0
    guard p11.C_FindObjects!(session, &handles, 3, &count) == CKR_OK else { return nil }
    if count == 0 { return found }
    found += handles.prefix(Int(count))
  }
}

/// An AES key that can do everything.
func aesKey(_ session: CK_SESSION_HANDLE, token: Bool = false, label: String = "") -> CK_OBJECT_HANDLE {
  let (result, key) = generateKey(
    session, CKM_AES_KEY_GEN,
    [
      (CKA_VALUE_LEN, .number(32)), (CKA_TOKEN, .bool(token)), (CKA_LABEL, .text(label)), (CKA_ENCRYPT, .bool(true)),
      (CKA_DECRYPT, .bool(true)), (CKA_SIGN, .bool(true)), (CKA_VERIFY, .bool(true)), (CKA_WRAP, .bool(true)),
      (CKA_UNWRAP, .bool(true)),
    ])
  require(result == CKR_OK, "C_GenerateKey: \(name(result))")
  return key
}

func genericKey(_ session: CK_SESSION_HANDLE, count: UInt = 32) -> CK_OBJECT_HANDLE {
  let (result, key) = generateKey(
    session, CKM_GENERIC_SECRET_KEY_GEN,
    [(CKA_VALUE_LEN, .number(count)), (CKA_SIGN, .bool(true)), (CKA_VERIFY, .bool(true))])
  require(result == CKR_OK, "C_GenerateKey: \(name(result))")
  return key
}

func sign(
  _ session: CK_SESSION_HANDLE, _ mechanism: UnsafeMutablePointer<CK_MECHANISM>, _ key: CK_OBJECT_HANDLE,
  _ data: [UInt8]
) -> (CK_RV, [UInt8]) {
  let begun = p11.C_SignInit!(session, mechanism, key)
  guard begun == CKR_OK else { return (begun, []) }
  var data = data
  return output { p11.C_Sign!(session, &data, UInt(data.count), $0, $1) }
}

func verify(
  _ session: CK_SESSION_HANDLE, _ mechanism: UnsafeMutablePointer<CK_MECHANISM>, _ key: CK_OBJECT_HANDLE,
  _ data: [UInt8], _ signature: [UInt8]
) -> CK_RV {
  let begun = p11.C_VerifyInit!(session, mechanism, key)
  guard begun == CKR_OK else { return begun }
  var (data, signature) = (data, signature)
  return p11.C_Verify!(session, &data, UInt(data.count), &signature, UInt(signature.count))
}

func encrypt(
  _ session: CK_SESSION_HANDLE, _ mechanism: UnsafeMutablePointer<CK_MECHANISM>, _ key: CK_OBJECT_HANDLE,
  _ data: [UInt8]
) -> (CK_RV, [UInt8]) {
  let begun = p11.C_EncryptInit!(session, mechanism, key)
  guard begun == CKR_OK else { return (begun, []) }
  var data = data
  return output { p11.C_Encrypt!(session, &data, UInt(data.count), $0, $1) }
}

func decrypt(
  _ session: CK_SESSION_HANDLE, _ mechanism: UnsafeMutablePointer<CK_MECHANISM>, _ key: CK_OBJECT_HANDLE,
  _ data: [UInt8]
) -> (CK_RV, [UInt8]) {
  let begun = p11.C_DecryptInit!(session, mechanism, key)
  guard begun == CKR_OK else { return (begun, []) }
  var data = data
  return output { p11.C_Decrypt!(session, &data, UInt(data.count), $0, $1) }
}
