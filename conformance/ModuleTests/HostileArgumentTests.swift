import CCryptoki
import Foundation
import Glibc
import Testing

/// Arguments of a hostile or a broken client, by the type of the parameter. A pointer is NULL or leads to memory that
/// is there; a count says more than a pointer leads to only where no address space has as much.
private struct HostileArguments {
  /// Zeros, and the same size of ones.
  let zeros = UnsafeMutableRawPointer.allocate(byteCount: 1 << 16, alignment: 16)
  let ones = UnsafeMutableRawPointer.allocate(byteCount: 1 << 16, alignment: 16)
  let mechanisms: [UnsafeMutablePointer<CK_MECHANISM>]
  let templates: [UnsafeMutablePointer<CK_ATTRIBUTE>]
  static let counts: [UInt] = [0, 1, 16, 1 << 56, 1 << 62, 1 << 63, .max - 7, .max]

  init() {
    let types: [UInt] = [
      0, CKM_AES_GCM, CKM_AES_CTR, CKM_AES_CBC, CKM_AES_KEY_GEN, CKM_SHA256, CKM_RSA_PKCS_PSS, CKM_RSA_PKCS_OAEP,
      CKM_ECDH1_DERIVE, CKM_EDDSA, CKM_SHA256_HMAC_GENERAL, CKM_EC_KEY_PAIR_GEN, CKM_RSA_PKCS, .max,
    ]
    let ones = self.ones
    let zeros = self.zeros
    mechanisms = types.flatMap { type -> [UnsafeMutablePointer<CK_MECHANISM>] in
      [
        (UnsafeMutableRawPointer?.none, UInt.max), (nil, 0), (nil, 48), (zeros, 48), (ones, 48), (ones, 24), (ones, 40),
        (ones, 8),
      ]
      .map { parameter, count in
        let mechanism = UnsafeMutablePointer<CK_MECHANISM>.allocate(capacity: 1)
        mechanism.initialize(to: CK_MECHANISM(mechanism: type, pParameter: parameter, ulParameterLen: count))
        return mechanism
      }
    }
    templates = [0, CKA_LABEL, CKA_WRAP_TEMPLATE, CKA_CLASS, 1 << 40, .max].flatMap { type in
      [
        (UnsafeMutableRawPointer?.none, UInt.max), (nil, 24), (ones, 1 << 57), (ones, .max), (ones, 24), (zeros, 48),
        (ones + 1, 24),
      ]
      .map { value, count in
        let attributes = UnsafeMutablePointer<CK_ATTRIBUTE>.allocate(capacity: 16)
        attributes.initialize(
          repeating: CK_ATTRIBUTE(type: type, pValue: value, ulValueLen: count), count: 16)
        return attributes
      }
    }
    restore()
  }

  /// The memory may have been written to by the call before.
  func restore() {
    memset(zeros, 0, 1 << 16)
    memset(ones, 0xff, 1 << 16)
  }

  /// An argument of this type; `seed` chooses.
  func argument(_ type: String, session: UInt, seed: inout SystemRandomNumberGenerator) -> UInt {
    func pick(_ choices: [UInt]) -> UInt { choices.randomElement(using: &seed) ?? 0 }
    switch type {
    case "CK_SESSION_HANDLE": return pick([session, session, session, session, 0, .max])
    case "CK_OBJECT_HANDLE": return pick([0, 1, 2, 1 << 40, .max])
    case "CK_MECHANISM_PTR": return pick([0] + mechanisms.map { UInt(bitPattern: $0) })
    case "CK_ATTRIBUTE_PTR": return pick([0] + templates.map { UInt(bitPattern: $0) })
    case let type where type.hasSuffix("_PTR") || type.hasSuffix("_PTR_PTR") || type == "CK_NOTIFY":
      return pick([0, UInt(bitPattern: zeros), UInt(bitPattern: ones)])
    default: return pick(Self.counts)
    }
  }
}

extension ModuleSuite {
  @Suite struct Hostility {
    /// Calls that end the test instead of testing: a wait without end, the end of the module.
    private static let left: Set<String> = ["C_WaitForSlotEvent", "C_Finalize", "C_Initialize", "C_InitToken"]

    @Test("no arguments whatever make a function crash, and the module works afterwards")
    func everyFunction() async {
      _ = TestStore.shared
      await #expect(processExitsWith: .success) {
        let module = InitializedModule()
        let hostile = HostileArguments()
        var generator = SystemRandomNumberGenerator()
        var session = module.open()
        for fact in FunctionFact.all where !Self.left.contains(fact.name) {
          // PINs are left alone: wrong ones would lock the token.
          if ["C_Login", "C_LoginUser", "C_SetPIN", "C_InitPIN"].contains(fact.name) { continue }
          for _ in 0..<200 {
            if module.state(session) == nil { session = module.open() }
            hostile.restore()
            let words = fact.parameterTypes.map { hostile.argument($0, session: session, seed: &generator) }
            let result = fact.call(words)
            require(
              result != CKR_DEVICE_REMOVED && result != CKR_CRYPTOKI_NOT_INITIALIZED,
              "\(fact.name)\(words): \(name(result))")
          }
        }
        _ = p11.C_CloseAllSessions!(0)
        let last = module.openAsUser()
        let key = aesKey(last)
        withMechanism(CKM_AES_ECB) {
          require(encrypt(last, $0, key, [UInt8](repeating: 0, count: 16)).0 == CKR_OK, "C_Encrypt afterwards")
        }
      }
    }

    @Test("a count that no address space holds is CKR_ARGUMENTS_BAD, for data in every chapter")
    func hugeCounts() {
      let module = InitializedModule()
      let session = module.openAsUser()
      let (aes, mac) = (aesKey(session), genericKey(session))
      var (byte, other): (UInt8, UInt8) = (0, 0)
      for count: UInt in [1 << 56, 1 << 63, .max - 1, .max] {
        var size: CK_ULONG = 1
        withMechanism(CKM_AES_ECB) { _ = p11.C_EncryptInit!(session, $0, aes) }
        #expect(p11.C_Encrypt!(session, &byte, count, &other, &size) == CKR_ARGUMENTS_BAD)
        withMechanism(CKM_AES_ECB) { _ = p11.C_DecryptInit!(session, $0, aes) }
        #expect(p11.C_DecryptUpdate!(session, &byte, count, &other, &size) == CKR_ARGUMENTS_BAD)
        withMechanism(CKM_SHA256) { _ = p11.C_DigestInit!(session, $0) }
        #expect(p11.C_DigestUpdate!(session, &byte, count) == CKR_ARGUMENTS_BAD)
        withMechanism(CKM_SHA256_HMAC) { _ = p11.C_SignInit!(session, $0, mac) }
        #expect(p11.C_SignUpdate!(session, &byte, count) == CKR_ARGUMENTS_BAD)
        withMechanism(CKM_SHA256_HMAC) { _ = p11.C_VerifyInit!(session, $0, mac) }
        #expect(p11.C_Verify!(session, &byte, 1, &other, count) == CKR_ARGUMENTS_BAD)
        #expect(p11.C_SeedRandom!(session, &byte, count) == CKR_ARGUMENTS_BAD)
        #expect(p11.C_FindObjectsInit!(session, nil, count) == CKR_ARGUMENTS_BAD)
      }
    }

    @Test("functions that the token does not have say so, after the session's handle was looked at")
    func unsupported() {
      let module = InitializedModule()
      let session = module.open()
      let names: Set<String> = [
        "C_GetOperationState", "C_SetOperationState", "C_SignRecoverInit", "C_SignRecover", "C_VerifyRecoverInit",
        "C_VerifyRecover", "C_DigestEncryptUpdate", "C_DecryptDigestUpdate", "C_SignEncryptUpdate",
        "C_DecryptVerifyUpdate", "C_EncapsulateKey", "C_DecapsulateKey", "C_AsyncComplete", "C_AsyncGetID",
        "C_AsyncJoin",
        "C_WrapKeyAuthenticated", "C_UnwrapKeyAuthenticated", "C_LoginUser", "C_GetSessionValidationFlags",
      ]
      for fact in FunctionFact.all
      where names.contains(fact.name)
        || fact.name.contains("Message") && (fact.name.contains("Sign") || fact.name.contains("Verify"))
      {
        #expect(fact.call([session]) == CKR_FUNCTION_NOT_SUPPORTED, "\(fact.name)")
        #expect(fact.call([session &+ 1]) == CKR_SESSION_HANDLE_INVALID, "\(fact.name)")
      }
      #expect(p11.C_GetFunctionStatus!(session) == CKR_FUNCTION_NOT_PARALLEL)
      #expect(p11.C_CancelFunction!(session) == CKR_FUNCTION_NOT_PARALLEL)
    }
  }
}
