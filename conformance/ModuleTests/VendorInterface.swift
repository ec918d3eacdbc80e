import CCryptoki
import Glibc
import Testing

/// The functions of the vendor interface, as a client gets them.
struct VendorInterface: @unchecked Sendable {  // the function list is read-only memory
  static let shared = VendorInterface()
  let functions: UnsafePointer<CK_STRONGROOM_FUNCTION_LIST>

  private init() {
    var version = CK_VERSION(major: 1, minor: 0)
    var interface: UnsafeMutablePointer<CK_INTERFACE>?
    var name = Array(CK_STRONGROOM_INTERFACE_NAME.utf8) + [0]
    let result = p11.C_GetInterface!(&name, &version, &interface, 0)
    guard result == CKR_OK, let list = interface?.pointee.pFunctionList else { fatalError("no vendor interface") }
    functions = UnsafePointer(list.assumingMemoryBound(to: CK_STRONGROOM_FUNCTION_LIST.self))
  }
}

var vendor: CK_STRONGROOM_FUNCTION_LIST { VendorInterface.shared.functions.pointee }

/// How many crossings `body` makes.
func crossings(_ body: () -> Void) -> UInt {
  func count() -> UInt {
    var statistics = CK_STRONGROOM_STATISTICS()
    let result = vendor.GetStatistics!(&statistics)
    require(result == CKR_OK, "GetStatistics: \(name(result))")
    return statistics.ulCrossings
  }
  let before = count()
  body()
  return count() - before
}

// MARK: Buffers

func allocate(
  _ session: CK_SESSION_HANDLE, _ byteCount: UInt, _ useCase: UInt = CKU_STRONGROOM_SECURE_VIDEO_PLAYBACK,
  flags: UInt = 0
) -> (CK_RV, CK_OBJECT_HANDLE) {
  var buffer: CK_OBJECT_HANDLE = 0
  let result = vendor.AllocateBuffer!(session, useCase, byteCount, flags, &buffer)
  return (result, buffer)
}

/// A buffer, without which the test makes no sense. What an earlier connection of this process held may take a moment to
/// be given back.
func makeBuffer(
  _ session: CK_SESSION_HANDLE, _ byteCount: UInt, _ useCase: UInt = CKU_STRONGROOM_SECURE_VIDEO_PLAYBACK
) -> CK_OBJECT_HANDLE {
  var (result, buffer) = allocate(session, byteCount, useCase)
  if result == CKR_DEVICE_MEMORY {
    _ = becomesTrue {
      (result, buffer) = allocate(session, byteCount, useCase)
      return result == CKR_OK
    }
  }
  require(result == CKR_OK, "AllocateBuffer: \(name(result))")
  return buffer
}

func export(_ session: CK_SESSION_HANDLE, _ buffer: CK_OBJECT_HANDLE) -> Int32 {
  var descriptor: Int32 = -1
  let result = vendor.ExportBuffer!(session, buffer, &descriptor)
  require(result == CKR_OK && descriptor >= 0, "ExportBuffer: \(name(result))")
  return descriptor
}

func importBuffer(_ session: CK_SESSION_HANDLE, _ descriptor: Int32) -> (CK_RV, CK_OBJECT_HANDLE) {
  var buffer: CK_OBJECT_HANDLE = 0
  let result = vendor.ImportBuffer!(session, descriptor, &buffer)
  return (result, buffer)
}

func write(
  _ session: CK_SESSION_HANDLE, _ buffer: CK_OBJECT_HANDLE, _ offset: UInt, _ bytes: [UInt8]
) -> CK_RV {
  var bytes = bytes
  return vendor.WriteBuffer!(session, buffer, offset, &bytes, UInt(bytes.count))
}

// MARK: Decryption

/// One part of a decryption into a buffer, and the count that it answers; `written` is 77 before, to show what is left alone.
func decryptInto(
  _ session: CK_SESSION_HANDLE, _ data: [UInt8], _ buffer: CK_OBJECT_HANDLE, _ offset: UInt
) -> (CK_RV, UInt) {
  var data = data
  var written: CK_ULONG = 77
  let result = vendor.DecryptInto!(session, &data, UInt(data.count), buffer, offset, &written)
  return (result, written)
}

func decryptIntoUpdate(
  _ session: CK_SESSION_HANDLE, _ data: some Sequence<UInt8>, _ buffer: CK_OBJECT_HANDLE, _ offset: UInt
) -> (CK_RV, UInt) {
  var data = Array(data)
  var written: CK_ULONG = 77
  let result = vendor.DecryptIntoUpdate!(session, &data, UInt(data.count), buffer, offset, &written)
  return (result, written)
}

func decryptIntoFinal(
  _ session: CK_SESSION_HANDLE, _ buffer: CK_OBJECT_HANDLE, _ offset: UInt
) -> (CK_RV, UInt) {
  var written: CK_ULONG = 77
  let result = vendor.DecryptIntoFinal!(session, buffer, offset, &written)
  return (result, written)
}

/// An AES key that encrypts and decrypts, with more attributes.
func contentKey(_ session: CK_SESSION_HANDLE, byteCount: UInt = 16, _ more: Template = []) -> CK_OBJECT_HANDLE {
  let (result, key) = generateKey(
    session, CKM_AES_KEY_GEN,
    [(CKA_VALUE_LEN, .number(byteCount)), (CKA_ENCRYPT, .bool(true)), (CKA_DECRYPT, .bool(true))] + more)
  require(result == CKR_OK, "C_GenerateKey: \(name(result))")
  return key
}

/// A key of this value for restricted output, into buffers of these use-cases; nil: of all.
func restrictedKey(
  _ session: CK_SESSION_HANDLE, _ value: [UInt8], useCases: [UInt]? = nil
) -> CK_OBJECT_HANDLE {
  var template: Template = [
    (CKA_CLASS, .number(CKO_SECRET_KEY)), (CKA_KEY_TYPE, .number(CKK_AES)), (CKA_VALUE, .bytes(value)),
    (CKA_DECRYPT, .bool(true)), (CKA_STRONGROOM_RESTRICTED_OUTPUT, .bool(true)),
  ]
  if let useCases { template.append((CKA_STRONGROOM_USE_CASES, .bytes(useCases.withUnsafeBytes { Array($0) }))) }
  let (result, key) = createObject(session, template)
  require(result == CKR_OK, "C_CreateObject: \(name(result))")
  return key
}

/// A copy of a key for restricted output.
func restricted(_ session: CK_SESSION_HANDLE, _ key: CK_OBJECT_HANDLE) -> CK_OBJECT_HANDLE {
  var copy: CK_OBJECT_HANDLE = 0
  let result = withTemplate([(CKA_STRONGROOM_RESTRICTED_OUTPUT, .bool(true))]) {
    p11.C_CopyObject!(session, key, $0, $1, &copy)
  }
  require(result == CKR_OK, "C_CopyObject: \(name(result))")
  return copy
}

/// A mechanism with its parameter, lent for the time of a call.
struct TestMechanism: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let lend: @Sendable ((UnsafeMutablePointer<CK_MECHANISM>) -> CK_RV) -> CK_RV

  static func aesCTR(_ block: [UInt8], bits: UInt = 64) -> TestMechanism {
    TestMechanism(testDescription: "AES-CTR") { body in
      var parameters = CK_AES_CTR_PARAMS()
      parameters.ulCounterBits = bits
      withUnsafeMutableBytes(of: &parameters.cb) { $0.copyBytes(from: block) }
      return withMechanism(CKM_AES_CTR, parameters, body)
    }
  }

  static func aesCBC(_ iv: [UInt8]) -> TestMechanism {
    TestMechanism(testDescription: "AES-CBC") { withMechanism(CKM_AES_CBC, iv, $0) }
  }

  static func aesCBCPad(_ iv: [UInt8]) -> TestMechanism {
    TestMechanism(testDescription: "AES-CBC-PAD") { withMechanism(CKM_AES_CBC_PAD, iv, $0) }
  }

  static let aesECB = TestMechanism(testDescription: "AES-ECB") { withMechanism(CKM_AES_ECB, [], $0) }

  static func aesGCM(_ nonce: [UInt8], tagBits: UInt = 128) -> TestMechanism {
    TestMechanism(testDescription: "AES-GCM") { body in
      var nonce = nonce
      return nonce.withUnsafeMutableBufferPointer { nonce in
        withMechanism(
          CKM_AES_GCM,
          CK_GCM_PARAMS(
            pIv: nonce.baseAddress, ulIvLen: UInt(nonce.count), ulIvBits: UInt(nonce.count) * 8, pAAD: nil,
            ulAADLen: 0, ulTagBits: tagBits), body)
      }
    }
  }

  func encrypt(_ session: CK_SESSION_HANDLE, _ key: CK_OBJECT_HANDLE, _ data: [UInt8]) -> [UInt8] {
    var encrypted: [UInt8] = []
    let result = lend { mechanism in
      let (result, bytes) = ModuleTests.encrypt(session, mechanism, key, data)
      encrypted = bytes
      return result
    }
    require(result == CKR_OK, "C_Encrypt with \(testDescription): \(name(result))")
    return encrypted
  }

  func begin(_ session: CK_SESSION_HANDLE, _ key: CK_OBJECT_HANDLE) -> CK_RV {
    lend { vendor.DecryptIntoInit!(session, $0, key) }
  }
}
