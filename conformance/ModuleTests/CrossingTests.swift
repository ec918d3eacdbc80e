import CCryptoki
import Glibc
import Testing

extension ModuleSuite {
  /// How often the calls of a client cross to the secure world.
  @Suite struct Crossings {
    let module = InitializedModule()

    /// An RSA key pair that signs and decrypts, and is known already.
    private func rsaPair(_ session: CK_SESSION_HANDLE) -> (publicKey: CK_OBJECT_HANDLE, privateKey: CK_OBJECT_HANDLE) {
      let (result, publicKey, privateKey) = generatePair(
        session, CKM_RSA_PKCS_KEY_PAIR_GEN,
        [(CKA_MODULUS_BITS, .number(2048)), (CKA_ENCRYPT, .bool(true)), (CKA_VERIFY, .bool(true))],
        [(CKA_SIGN, .bool(true)), (CKA_DECRYPT, .bool(true))])
      require(result == CKR_OK, "C_GenerateKeyPair: \(name(result))")
      return (publicKey, privateKey)
    }

    @Test("C_SignInit and C_Sign are one crossing; a key's first use asks for its description")
    func signing() {
      let session = module.openAsUser()
      let key = genericKey(session)
      func signOnce() {
        var data: [UInt8] = [1, 2, 3]
        var signature = [UInt8](repeating: 0, count: 32)
        var count: CK_ULONG = 32
        withMechanism(CKM_SHA256_HMAC) { #expect(p11.C_SignInit!(session, $0, key) == CKR_OK) }
        #expect(p11.C_Sign!(session, &data, 3, &signature, &count) == CKR_OK)
      }
      #expect(crossings(signOnce) == 2)
      #expect(crossings(signOnce) == 1)
      #expect(crossings { for _ in 0..<10 { signOnce() } } == 10)
    }

    @Test("C_EncryptInit and C_Encrypt are one crossing, and so are C_DecryptInit and C_Decrypt")
    func encryption() {
      let session = module.openAsUser()
      let key = contentKey(session)
      let mechanism = TestMechanism.aesGCM([UInt8](repeating: 1, count: 12))
      var sealed = mechanism.encrypt(session, key, [1, 2, 3])
      var bytes = [UInt8](repeating: 0, count: 64)
      var count: CK_ULONG = 64
      let encrypted = crossings {
        var data: [UInt8] = [1, 2, 3]
        #expect(mechanism.lend { p11.C_EncryptInit!(session, $0, key) } == CKR_OK)
        #expect(p11.C_Encrypt!(session, &data, 3, &bytes, &count) == CKR_OK)
      }
      #expect(encrypted == 1)
      let decrypted = crossings {
        count = 64
        #expect(mechanism.lend { p11.C_DecryptInit!(session, $0, key) } == CKR_OK)
        #expect(p11.C_Decrypt!(session, &sealed, UInt(sealed.count), &bytes, &count) == CKR_OK)
      }
      #expect(decrypted == 1)
    }

    @Test("digests do not cross")
    func digests() {
      let session = module.open()
      var data = [UInt8](repeating: 1, count: 100_000)
      var digest = [UInt8](repeating: 0, count: 32)
      var count: CK_ULONG = 32
      let made = crossings {
        withMechanism(CKM_SHA256) { #expect(p11.C_DigestInit!(session, $0) == CKR_OK) }
        #expect(p11.C_Digest!(session, &data, 100_000, &digest, &count) == CKR_OK)
        withMechanism(CKM_SHA256) { #expect(p11.C_DigestInit!(session, $0) == CKR_OK) }
        for _ in 0..<5 { #expect(p11.C_DigestUpdate!(session, &data, 1000) == CKR_OK) }
        #expect(p11.C_DigestFinal!(session, &digest, &count) == CKR_OK)
      }
      #expect(made == 0)
    }

    @Test("verification and encryption with a public key that is known do not cross")
    func publicKeys() {
      let session = module.openAsUser()
      let (publicKey, privateKey) = rsaPair(session)
      let (signed, signature) = withMechanism(CKM_SHA256_RSA_PKCS) { sign(session, $0, privateKey, [1, 2, 3]) }
      #expect(signed == CKR_OK)
      // The first use asks for the key.
      let first = crossings {
        withMechanism(CKM_SHA256_RSA_PKCS) { #expect(verify(session, $0, publicKey, [1, 2, 3], signature) == CKR_OK) }
      }
      #expect(first == 1)
      let later = crossings {
        withMechanism(CKM_SHA256_RSA_PKCS) {
          #expect(verify(session, $0, publicKey, [1, 2, 3], signature) == CKR_OK)
          #expect(verify(session, $0, publicKey, [1, 2, 4], signature) == CKR_SIGNATURE_INVALID)
        }
        withMechanism(CKM_RSA_PKCS) { #expect(encrypt(session, $0, publicKey, [1, 2, 3]).0 == CKR_OK) }
      }
      #expect(later == 0)
    }

    @Test("sessions and what is known of them and of mechanisms do not cross")
    func information() {
      let session = module.open()
      var info = CK_SESSION_INFO()
      var mechanism = CK_MECHANISM_INFO()
      #expect(p11.C_GetMechanismInfo!(0, CKM_SHA256, &mechanism) == CKR_OK)
      let made = crossings {
        for _ in 0..<10 {
          let other = module.open()
          #expect(p11.C_GetSessionInfo!(other, &info) == CKR_OK)
          #expect(p11.C_CloseSession!(other) == CKR_OK)
        }
        #expect(p11.C_GetSessionInfo!(session, &info) == CKR_OK)
        var count: CK_ULONG = 0
        #expect(p11.C_GetMechanismList!(0, nil, &count) == CKR_OK)
        #expect(p11.C_GetMechanismInfo!(0, CKM_AES_GCM, &mechanism) == CKR_OK)
      }
      #expect(made == 0)
    }

    @Test("asking for sizes does not cross")
    func sizes() {
      let session = module.openAsUser()
      let key = aesKey(session)
      let hmac = genericKey(session)
      let (_, privateKey) = rsaPair(session)
      var data = [UInt8](repeating: 1, count: 32)
      var count: CK_ULONG = 0
      withMechanism(CKM_SHA256_HMAC) { #expect(p11.C_SignInit!(session, $0, hmac) == CKR_OK) }
      withMechanism(CKM_AES_ECB) {
        #expect(p11.C_EncryptInit!(session, $0, key) == CKR_OK)
        #expect(p11.C_DecryptInit!(session, $0, key) == CKR_OK)
      }
      let made = crossings {
        #expect(p11.C_Sign!(session, &data, 32, nil, &count) == CKR_OK && count == 32)
        #expect(p11.C_Encrypt!(session, &data, 32, nil, &count) == CKR_OK && count == 32)
        #expect(p11.C_Decrypt!(session, &data, 32, nil, &count) == CKR_OK && count == 32)
        #expect(p11.C_EncryptUpdate!(session, &data, 32, nil, &count) == CKR_OK && count == 32)
      }
      #expect(made == 0)
      let other = module.open()
      withMechanism(CKM_SHA256_RSA_PKCS) { #expect(p11.C_SignInit!(other, $0, privateKey) == CKR_OK) }
      let ofPair = crossings { #expect(p11.C_Sign!(other, &data, 3, nil, &count) == CKR_OK && count == 256) }
      #expect(ofPair == 0)
    }

    @Test("a signature in small parts is one crossing")
    func parts() {
      let session = module.openAsUser()
      let key = genericKey(session)
      var data: [UInt8] = [1, 2, 3]
      var signature = [UInt8](repeating: 0, count: 32)
      var count: CK_ULONG = 32
      withMechanism(CKM_SHA256_HMAC) { #expect(sign(session, $0, key, [1]).0 == CKR_OK) }
      let made = crossings {
        withMechanism(CKM_SHA256_HMAC) { #expect(p11.C_SignInit!(session, $0, key) == CKR_OK) }
        for _ in 0..<100 { #expect(p11.C_SignUpdate!(session, &data, 3) == CKR_OK) }
        #expect(p11.C_SignFinal!(session, &signature, &count) == CKR_OK)
      }
      #expect(made == 1)
    }

    @Test("a search is one crossing, however many calls fetch its results")
    func search() {
      let session = module.openAsUser()
      for _ in 0..<7 { _ = aesKey(session, label: "crossing") }
      var found: [CK_OBJECT_HANDLE]?
      #expect(crossings { found = find(session, [(CKA_LABEL, .text("crossing"))]) } == 1)
      #expect(found?.count == 7)
    }

    @Test("small amounts of random come 4096 bytes to a crossing")
    func random() {
      let session = module.open()
      var bytes = [UInt8](repeating: 0, count: 32)
      var seen: Set<[UInt8]> = []
      let made = crossings {
        for _ in 0..<256 {
          #expect(p11.C_GenerateRandom!(session, &bytes, 32) == CKR_OK)
          seen.insert(bytes)
        }
      }
      #expect(made == 2)
      #expect(seen.count == 256)
    }

    @Test("a decryption into a buffer in one part is one crossing, in parts one each and one to begin")
    func decryptionIntoBuffers() {
      let session = module.openAsUser()
      let key = contentKey(session)
      let mechanism = TestMechanism.aesCTR([UInt8](repeating: 1, count: 16))
      let sealed = mechanism.encrypt(session, key, [UInt8](repeating: 9, count: 100))
      let buffer = makeBuffer(session, 100)
      let single = crossings {
        #expect(mechanism.begin(session, key) == CKR_OK)
        #expect(decryptInto(session, sealed, buffer, 0) == (CKR_OK, 100))
      }
      #expect(single == 1)
      let parts = crossings {
        #expect(mechanism.begin(session, key) == CKR_OK)
        #expect(decryptIntoUpdate(session, sealed[..<50], buffer, 0) == (CKR_OK, 50))
        #expect(decryptIntoUpdate(session, sealed[50...], buffer, 50) == (CKR_OK, 50))
        #expect(decryptIntoFinal(session, buffer, 100) == (CKR_OK, 0))
      }
      #expect(parts == 4)
    }

    @Test("a session key that is destroyed is forgotten, and no other key is")
    func destroyedSessionKey() {
      let session = module.openAsUser()
      let template: Template = [(CKA_VALUE_LEN, .number(32)), (CKA_SIGN, .bool(true))]
      let (made, stays) = generateKey(session, CKM_GENERIC_SECRET_KEY_GEN, template)
      let (madeToo, goes) = generateKey(session, CKM_GENERIC_SECRET_KEY_GEN, template)
      #expect(made == CKR_OK && madeToo == CKR_OK)
      func begin(_ key: CK_OBJECT_HANDLE) -> CK_RV {
        withMechanism(CKM_SHA256_HMAC) { mechanism in
          let result = p11.C_SignInit!(session, mechanism, key)
          if result == CKR_OK { #expect(p11.C_SignInit!(session, nil, 0) == CKR_OK) }
          return result
        }
      }
      #expect(begin(stays) == CKR_OK && begin(goes) == CKR_OK)
      #expect(p11.C_DestroyObject!(session, goes) == CKR_OK)
      let again = crossings { #expect(begin(stays) == CKR_OK) }
      #expect(again == 0)
      #expect(begin(goes) == CKR_KEY_HANDLE_INVALID)
    }

    @Test("what this process changes of its session keys is seen by the next operation, also one that never crosses")
    func changeOfSessionKeys() {
      let session = module.openAsUser()
      let keys = rsaPair(session)
      func begin(_ function: CK_RV, _ cancel: () -> CK_RV) -> CK_RV {
        if function == CKR_OK { #expect(cancel() == CKR_OK) }
        return function
      }
      func verify() -> CK_RV {
        withMechanism(CKM_SHA256_RSA_PKCS) { mechanism in
          begin(p11.C_VerifyInit!(session, mechanism, keys.publicKey)) { p11.C_VerifyInit!(session, nil, 0) }
        }
      }
      func sign() -> CK_RV {
        withMechanism(CKM_SHA256_RSA_PKCS) { mechanism in
          begin(p11.C_SignInit!(session, mechanism, keys.privateKey)) { p11.C_SignInit!(session, nil, 0) }
        }
      }
      #expect(verify() == CKR_OK && sign() == CKR_OK)
      for (key, usage) in [(keys.publicKey, CKA_VERIFY), (keys.privateKey, CKA_SIGN)] {
        let changed = withTemplate([(usage, .bool(false))]) { p11.C_SetAttributeValue!(session, key, $0, $1) }
        #expect(changed == CKR_OK)
      }
      #expect(verify() == CKR_KEY_FUNCTION_NOT_PERMITTED && sign() == CKR_KEY_FUNCTION_NOT_PERMITTED)
    }

    @Test("what another process changes of a key is seen by the next C_SignInit, which does not cross otherwise")
    func changeElsewhere() async {
      let session = module.openAsUser()
      let (result, key) = generateKey(
        session, CKM_GENERIC_SECRET_KEY_GEN,
        [
          (CKA_VALUE_LEN, .number(32)), (CKA_SIGN, .bool(true)), (CKA_TOKEN, .bool(true)),
          (CKA_LABEL, .text("generation")),
        ])
      #expect(result == CKR_OK)
      func begin() -> CK_RV {
        withMechanism(CKM_SHA256_HMAC) { mechanism in
          let result = p11.C_SignInit!(session, mechanism, key)
          if result == CKR_OK { #expect(p11.C_SignInit!(session, nil, 0) == CKR_OK) }
          return result
        }
      }
      #expect(begin() == CKR_OK)
      let again = crossings { #expect(begin() == CKR_OK) }
      #expect(again == 0)
      await #expect(processExitsWith: .success) {
        let module = InitializedModule()
        let session = module.openAsUser()
        guard let key = find(session, [(CKA_LABEL, .text("generation"))])?.first else {
          return require(false, "no key")
        }
        let changed = withTemplate([(CKA_SIGN, .bool(false))]) { p11.C_SetAttributeValue!(session, key, $0, $1) }
        require(changed == CKR_OK, "C_SetAttributeValue: \(name(changed))")
      }
      #expect(begin() == CKR_KEY_FUNCTION_NOT_PERMITTED)
      #expect(p11.C_DestroyObject!(session, key) == CKR_OK)
    }
  }
}
