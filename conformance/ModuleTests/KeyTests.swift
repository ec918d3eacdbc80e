import CCryptoki
import Testing

extension ModuleSuite {
  @Suite struct Keys {
    let module = InitializedModule()
    static let p256: [UInt8] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]
    static let p384: [UInt8] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22]
    static let ed25519: [UInt8] = [0x06, 0x03, 0x2b, 0x65, 0x70]
    static let x25519: [UInt8] = [0x06, 0x03, 0x2b, 0x65, 0x6e]

    private func pair(
      _ session: CK_SESSION_HANDLE, curve: [UInt8], _ mechanism: UInt = CKM_EC_KEY_PAIR_GEN
    ) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
      let (result, open, secret) = generatePair(
        session, mechanism, [(CKA_EC_PARAMS, .bytes(curve)), (CKA_VERIFY, .bool(true))],
        [(CKA_SIGN, .bool(mechanism != CKM_EC_MONTGOMERY_KEY_PAIR_GEN)), (CKA_DERIVE, .bool(true))])
      #expect(result == CKR_OK, "\(name(result))")
      return (open, secret)
    }

    private func rsaPair(_ session: CK_SESSION_HANDLE) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
      let (result, open, secret) = generatePair(
        session, CKM_RSA_PKCS_KEY_PAIR_GEN,
        [
          (CKA_MODULUS_BITS, .number(2048)), (CKA_PUBLIC_EXPONENT, .bytes([1, 0, 1])), (CKA_VERIFY, .bool(true)),
          (CKA_ENCRYPT, .bool(true)),
        ], [(CKA_SIGN, .bool(true)), (CKA_DECRYPT, .bool(true))])
      #expect(result == CKR_OK, "\(name(result))")
      return (open, secret)
    }

    private func signAndVerify(
      _ session: CK_SESSION_HANDLE, _ mechanism: UnsafeMutablePointer<CK_MECHANISM>,
      _ keys: (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE), _ data: [UInt8], signatureCount: Int
    ) {
      let type = String(mechanism.pointee.mechanism, radix: 16)
      let (result, signature) = sign(session, mechanism, keys.1, data)
      #expect(result == CKR_OK, "\(type) \(name(result))")
      #expect(signature.count == signatureCount, "\(type)")
      guard signature.count == signatureCount else { return }
      #expect(verify(session, mechanism, keys.0, data, signature) == CKR_OK, "\(type)")
      var other = data
      other[0] ^= 1
      #expect(verify(session, mechanism, keys.0, other, signature) == CKR_SIGNATURE_INVALID, "\(type)")
      #expect(
        verify(session, mechanism, keys.0, data, Array(signature.dropLast())) == CKR_SIGNATURE_LEN_RANGE, "\(type)")
      // The signature first.
      var (first, bytes) = (signature, data)
      #expect(p11.C_VerifySignatureInit!(session, mechanism, keys.0, &first, UInt(first.count)) == CKR_OK, "\(type)")
      #expect(p11.C_Verify!(session, &bytes, 1, &first, 1) == CKR_OPERATION_NOT_INITIALIZED)
      #expect(p11.C_VerifySignature!(session, &bytes, UInt(bytes.count)) == CKR_OK, "\(type)")
      #expect(
        p11.C_VerifySignatureInit!(session, mechanism, keys.0, &first, UInt(first.count - 1))
          == CKR_SIGNATURE_LEN_RANGE, "\(type)")
      #expect(p11.C_VerifySignatureFinal!(session) == CKR_OPERATION_NOT_INITIALIZED)
      // The wrong half of the pair.
      #expect(p11.C_SignInit!(session, mechanism, keys.0) == CKR_KEY_TYPE_INCONSISTENT, "\(type)")
      #expect(p11.C_VerifyInit!(session, mechanism, keys.1) == CKR_KEY_TYPE_INCONSISTENT, "\(type)")
    }

    @Test("elliptic curves sign in the token and verify here")
    func ellipticCurves() {
      let session = module.openAsUser()
      let digest = [UInt8](repeating: 0x5a, count: 32)
      for (curve, count) in [(Self.p256, 64), (Self.p384, 96)] {
        let keys = pair(session, curve: curve)
        withMechanism(CKM_ECDSA) { signAndVerify(session, $0, keys, digest, signatureCount: count) }
        withMechanism(CKM_ECDSA_SHA256) { signAndVerify(session, $0, keys, digest + digest, signatureCount: count) }
      }
      let keys = pair(session, curve: Self.ed25519, CKM_EC_EDWARDS_KEY_PAIR_GEN)
      withMechanism(CKM_EDDSA) { signAndVerify(session, $0, keys, digest, signatureCount: 64) }
    }

    @Test("a public key goes with the session that it belongs to, also for a session that has verified with it")
    func publicKeyOfAnEndedSession() {
      let (session, other) = (module.openAsUser(), module.open())
      let digest = [UInt8](repeating: 0x5a, count: 32)
      let keys = pair(session, curve: Self.p256)
      withMechanism(CKM_ECDSA) { mechanism in
        let (result, signature) = sign(session, mechanism, keys.1, digest)
        #expect(result == CKR_OK)
        #expect(verify(other, mechanism, keys.0, digest, signature) == CKR_OK)
        #expect(p11.C_CloseSession!(session) == CKR_OK)
        #expect(p11.C_VerifyInit!(other, mechanism, keys.0) == CKR_KEY_HANDLE_INVALID)
      }
    }

    @Test("RSA signs in the token and verifies here, encrypts here and decrypts in the token")
    func rsa() {
      let session = module.openAsUser()
      let keys = rsaPair(session)
      let data = [UInt8](repeating: 0x5a, count: 32)
      let pss = CK_RSA_PKCS_PSS_PARAMS(hashAlg: CKM_SHA256, mgf: CKG_MGF1_SHA256, sLen: 32)
      withMechanism(CKM_RSA_PKCS) { signAndVerify(session, $0, keys, data, signatureCount: 256) }
      withMechanism(CKM_SHA256_RSA_PKCS) { signAndVerify(session, $0, keys, data, signatureCount: 256) }
      withMechanism(CKM_SHA256_RSA_PKCS_PSS, pss) { signAndVerify(session, $0, keys, data, signatureCount: 256) }
      withMechanism(CKM_RSA_PKCS_PSS, pss) { signAndVerify(session, $0, keys, data, signatureCount: 256) }
      var oaep = CK_RSA_PKCS_OAEP_PARAMS()
      oaep.hashAlg = CKM_SHA256
      oaep.mgf = CKG_MGF1_SHA256
      oaep.source = CKZ_DATA_SPECIFIED
      withMechanism(CKM_RSA_PKCS_OAEP, oaep) { roundTrip(session, $0, keys, data) }
      withMechanism(CKM_RSA_PKCS) { roundTrip(session, $0, keys, data) }
      withMechanism(CKM_RSA_PKCS_OAEP, oaep) { mechanism in
        let (result, _) = encrypt(session, mechanism, keys.0, [UInt8](repeating: 1, count: 250))
        #expect(result == CKR_DATA_LEN_RANGE)
      }
    }

    private func roundTrip(
      _ session: CK_SESSION_HANDLE, _ mechanism: UnsafeMutablePointer<CK_MECHANISM>,
      _ keys: (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE), _ data: [UInt8]
    ) {
      let type = String(mechanism.pointee.mechanism, radix: 16)
      let (result, encrypted) = encrypt(session, mechanism, keys.0, data)
      #expect(result == CKR_OK, "\(type) \(name(result))")
      #expect(encrypted != data)
      let (back, plain) = decrypt(session, mechanism, keys.1, encrypted)
      #expect(back == CKR_OK, "\(type) \(name(back))")
      #expect(plain == data, "\(type)")
    }

    @Test("an operation after one that was asked for a length only has its own parameters")
    func parametersOfTheirOwn() {
      let session = module.openAsUser()
      let keys = rsaPair(session)
      var (first, second) = (CK_RSA_PKCS_OAEP_PARAMS(), CK_RSA_PKCS_OAEP_PARAMS())
      (first.hashAlg, first.mgf, first.source) = (CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED)
      (second.hashAlg, second.mgf, second.source) = (CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED)
      var (data, count): ([UInt8], CK_ULONG) = ([1, 2, 3], 0)
      withMechanism(CKM_RSA_PKCS_OAEP, first) { mechanism in
        #expect(p11.C_EncryptInit!(session, mechanism, keys.0) == CKR_OK)
        #expect(p11.C_EncryptUpdate!(session, &data, 3, nil, &count) == CKR_OK)
        var encrypted = [UInt8](repeating: 0, count: 256)
        count = 256
        #expect(p11.C_Encrypt!(session, &data, 3, &encrypted, &count) == CKR_OK)
      }
      withMechanism(CKM_RSA_PKCS_OAEP, second) { mechanism in
        #expect(p11.C_EncryptInit!(session, mechanism, keys.0) == CKR_OK)
        var encrypted = [UInt8](repeating: 0, count: 256)
        count = 256
        #expect(p11.C_EncryptUpdate!(session, &data, 3, &encrypted, &count) == CKR_OK)
        count = 256
        #expect(p11.C_EncryptFinal!(session, &encrypted, &count) == CKR_OK)
        #expect(decrypt(session, mechanism, keys.1, encrypted) == (CKR_OK, data))
      }
    }

    @Test("AES encrypts and decrypts in every mode")
    func aes() {
      let session = module.openAsUser()
      let key = aesKey(session)
      let keys = (key, key)
      let data = [UInt8](repeating: 0x42, count: 64)
      withMechanism(CKM_AES_ECB) { roundTrip(session, $0, keys, data) }
      withMechanism(CKM_AES_CBC, [UInt8](repeating: 1, count: 16)) { mechanism in
        roundTrip(session, mechanism, keys, data)
        #expect(encrypt(session, mechanism, key, Array(data.dropLast())).0 == CKR_DATA_LEN_RANGE)
      }
      withMechanism(CKM_AES_CBC_PAD, [UInt8](repeating: 1, count: 16)) {
        roundTrip(session, $0, keys, data)
        roundTrip(session, $0, keys, Array(data.dropLast(5)))
      }
      var counter = CK_AES_CTR_PARAMS()
      counter.ulCounterBits = 32
      withMechanism(CKM_AES_CTR, counter) { roundTrip(session, $0, keys, Array(data.dropLast(5))) }
      withMechanism(CKM_AES_KEY_WRAP_KWP) { roundTrip(session, $0, keys, Array(data.dropLast(5))) }
      withMechanism(CKM_AES_KEY_WRAP) { roundTrip(session, $0, keys, data) }
      withMechanism(CKM_AES_CMAC) { mechanism in
        let (result, mac) = sign(session, mechanism, key, data)
        #expect(result == CKR_OK)
        #expect(mac.count == 16)
        #expect(verify(session, mechanism, key, data, mac) == CKR_OK)
        #expect(verify(session, mechanism, key, data, mac.map { $0 ^ 1 }) == CKR_SIGNATURE_INVALID)
      }
      var length: CK_ULONG = 7
      withMechanism(CKM_AES_CMAC_GENERAL, length) { #expect(sign(session, $0, key, data).1.count == 7) }
      length = 17
      withMechanism(CKM_AES_CMAC_GENERAL, length) {
        #expect(sign(session, $0, key, data).0 == CKR_MECHANISM_PARAM_INVALID)
      }
    }

    @Test("a key is wrapped, with a size query, and unwrapped to the same key")
    func wrapping() {
      let session = module.openAsUser()
      let wrapping = aesKey(session)
      let (made, key) = generateKey(
        session, CKM_GENERIC_SECRET_KEY_GEN,
        [(CKA_VALUE_LEN, .number(24)), (CKA_EXTRACTABLE, .bool(true)), (CKA_SIGN, .bool(true))])
      #expect(made == CKR_OK)
      withMechanism(CKM_AES_KEY_WRAP_KWP) { mechanism in
        let (result, wrapped) = output { p11.C_WrapKey!(session, mechanism, wrapping, key, $0, $1) }
        #expect(result == CKR_OK)
        #expect(wrapped.count == 32)
        var short = [UInt8](repeating: 0xa5, count: 31)
        var count: CK_ULONG = 31
        #expect(p11.C_WrapKey!(session, mechanism, wrapping, key, &short, &count) == CKR_BUFFER_TOO_SMALL)
        #expect(count == 32)
        var bytes = wrapped
        var copy: CK_OBJECT_HANDLE = 0
        let template: Template = [
          (CKA_CLASS, .number(CKO_SECRET_KEY)), (CKA_KEY_TYPE, .number(CKK_GENERIC_SECRET)), (CKA_SIGN, .bool(true)),
        ]
        let unwrapped = withTemplate(template) {
          p11.C_UnwrapKey!(session, mechanism, wrapping, &bytes, UInt(bytes.count), $0, $1, &copy)
        }
        #expect(unwrapped == CKR_OK)
        withMechanism(CKM_SHA256_HMAC) {
          let signatures = (sign(session, $0, key, [1]), sign(session, $0, copy, [1]))
          #expect(signatures.0.0 == CKR_OK)
          #expect(signatures.0 == signatures.1)
        }
        bytes[0] ^= 1
        let refused = withTemplate(template) {
          p11.C_UnwrapKey!(session, mechanism, wrapping, &bytes, UInt(bytes.count), $0, $1, &copy)
        }
        #expect(refused == CKR_WRAPPED_KEY_INVALID)
        #expect(p11.C_WrapKey!(session, mechanism, wrapping, genericKey(session), nil, &count) == CKR_KEY_UNEXTRACTABLE)
      }
    }

    @Test("two parties derive the same secret, from a raw point and from a DER point")
    func agreement() {
      let session = module.openAsUser()
      for (curve, generation) in [
        (Self.p256, CKM_EC_KEY_PAIR_GEN), (Self.x25519, CKM_EC_MONTGOMERY_KEY_PAIR_GEN),
      ] {
        let (a, b) = (pair(session, curve: curve, generation), pair(session, curve: curve, generation))
        let first = derive(session, a.1, point(session, b.0))
        let second = derive(session, b.1, point(session, a.0))
        let third = derive(session, b.1, Array(point(session, a.0).dropFirst(2)))
        #expect(first != nil)
        #expect(first == second)
        #expect(first == third)
      }
    }

    private func point(_ session: CK_SESSION_HANDLE, _ key: CK_OBJECT_HANDLE) -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: 256)
      let count = bytes.withUnsafeMutableBytes { memory in
        var attribute = CK_ATTRIBUTE(type: CKA_EC_POINT, pValue: memory.baseAddress, ulValueLen: 256)
        #expect(p11.C_GetAttributeValue!(session, key, &attribute, 1) == CKR_OK)
        return attribute.ulValueLen
      }
      return Array(bytes.prefix(Int(count)))
    }

    /// The signature that a derived key makes, for comparison.
    private func derive(_ session: CK_SESSION_HANDLE, _ key: CK_OBJECT_HANDLE, _ point: [UInt8]) -> [UInt8]? {
      var point = point
      var parameters = CK_ECDH1_DERIVE_PARAMS()
      parameters.kdf = CKD_NULL
      parameters.ulPublicDataLen = UInt(point.count)
      var derived: CK_OBJECT_HANDLE = 0
      let result = point.withUnsafeMutableBufferPointer { bytes in
        parameters.pPublicData = bytes.baseAddress
        return withMechanism(CKM_ECDH1_DERIVE, parameters) { mechanism in
          withTemplate([
            (CKA_CLASS, .number(CKO_SECRET_KEY)), (CKA_KEY_TYPE, .number(CKK_GENERIC_SECRET)),
            (CKA_VALUE_LEN, .number(32)), (CKA_SIGN, .bool(true)),
          ]) { p11.C_DeriveKey!(session, mechanism, key, $0, $1, &derived) }
        }
      }
      guard result == CKR_OK else { return nil }
      return withMechanism(CKM_SHA256_HMAC) { sign(session, $0, derived, [1, 2]).1 }
    }

    @Test("eight threads work at once, each in a session of its own")
    func threads() async {
      let session = module.openAsUser()
      let key = aesKey(session, token: false)
      let wrong = await withTaskGroup(of: Int.self) { group in
        for thread in 0..<8 {
          group.addTask { [module] in
            let own = module.open()
            defer { _ = p11.C_CloseSession!(own) }
            var wrong = 0
            for round in 0..<50 {
              let data = [UInt8](repeating: UInt8(thread), count: 1 + round * 37)
              withMechanism(CKM_AES_CBC_PAD, [UInt8](repeating: 1, count: 16)) {
                let encrypted = encrypt(own, $0, key, data).1
                if decrypt(own, $0, key, encrypted) != (CKR_OK, data) { wrong += 1 }
              }
            }
            return wrong
          }
        }
        return await group.reduce(0, +)
      }
      #expect(wrong == 0)
    }

    @Test("calls of several threads in one session come one after the other")
    func oneSession() async {
      let session = module.openAsUser()
      let failures = await withTaskGroup(of: Int.self) { group in
        for _ in 0..<4 {
          group.addTask {
            (0..<100).reduce(0) { sum, _ in
              var (bytes, digest) = ([UInt8](repeating: 0, count: 100), [UInt8](repeating: 0, count: 100))
              var count: CK_ULONG = 100
              let begun = withMechanism(CKM_SHA256) { p11.C_DigestInit!(session, $0) }
              let ended = p11.C_Digest!(session, &bytes, 100, &digest, &count)
              let expected =
                [CKR_OK, CKR_OPERATION_ACTIVE].contains(begun)
                && [CKR_OK, CKR_OPERATION_NOT_INITIALIZED].contains(ended)
              return sum + (expected ? 0 : 1)
            }
          }
        }
        return await group.reduce(0, +)
      }
      #expect(failures == 0)
    }
  }
}
