import CCryptoki
import Testing

extension ModuleSuite {
  @Suite struct Operations {
    let module = InitializedModule()

    @Test("a size query and a short buffer leave the operation active, and the result ends it")
    func shortBuffers() {
      let session = module.openAsUser()
      let key = genericKey(session)
      var data: [UInt8] = [1, 2, 3]
      withMechanism(CKM_SHA256_HMAC) { #expect(p11.C_SignInit!(session, $0, key) == CKR_OK) }
      withMechanism(CKM_SHA256_HMAC) { #expect(p11.C_SignInit!(session, $0, key) == CKR_OPERATION_ACTIVE) }
      var count: CK_ULONG = 7
      #expect(p11.C_Sign!(session, &data, 3, nil, &count) == CKR_OK)
      #expect(count == 32)
      var signature = [UInt8](repeating: 0xa5, count: 33)
      count = 31
      #expect(p11.C_Sign!(session, &data, 3, &signature, &count) == CKR_BUFFER_TOO_SMALL)
      #expect(count == 32)
      #expect(signature.allSatisfy { $0 == 0xa5 })
      #expect(p11.C_Sign!(session, &data, 3, &signature, &count) == CKR_OK)
      #expect(count == 32)
      #expect(signature[32] == 0xa5)
      #expect(p11.C_Sign!(session, &data, 3, &signature, &count) == CKR_OPERATION_NOT_INITIALIZED)
    }

    @Test("a bad argument ends the operation and nothing is written")
    func badArgument() {
      let session = module.openAsUser()
      let key = genericKey(session)
      var data: [UInt8] = [1]
      withMechanism(CKM_SHA256_HMAC) { #expect(p11.C_SignInit!(session, $0, key) == CKR_OK) }
      var count: CK_ULONG = 64
      var signature = [UInt8](repeating: 0, count: 64)
      #expect(p11.C_Sign!(session, &data, 1, &signature, nil) == CKR_ARGUMENTS_BAD)
      #expect(p11.C_Sign!(session, &data, 1, &signature, &count) == CKR_OPERATION_NOT_INITIALIZED)
    }

    @Test("a single-part call does not end a multi-part operation")
    func mixedParts() {
      let session = module.openAsUser()
      let key = genericKey(session)
      var data: [UInt8] = [1, 2, 3]
      var signature = [UInt8](repeating: 0, count: 32)
      var count: CK_ULONG = 32
      withMechanism(CKM_SHA256_HMAC) { #expect(p11.C_SignInit!(session, $0, key) == CKR_OK) }
      #expect(p11.C_SignUpdate!(session, &data, 3) == CKR_OK)
      #expect(p11.C_Sign!(session, &data, 3, &signature, &count) == CKR_OPERATION_ACTIVE)
      #expect(p11.C_SignFinal!(session, &signature, &count) == CKR_OK)
      withMechanism(CKM_SHA256_HMAC) { #expect(sign(session, $0, key, [1, 2, 3]).1 == signature) }
    }

    @Test("a NULL mechanism and C_SessionCancel give an operation up")
    func cancelling() {
      let session = module.openAsUser()
      let key = aesKey(session)
      var (bytes, encrypted) = ([UInt8](repeating: 0, count: 64), [UInt8](repeating: 0, count: 64))
      var count: CK_ULONG = 64
      func begin() -> CK_RV {
        withMechanism(CKM_AES_CBC_PAD, [UInt8](repeating: 1, count: 16)) { p11.C_EncryptInit!(session, $0, key) }
      }
      #expect(p11.C_EncryptInit!(session, nil, 0) == CKR_OK)
      for part in [0, 40] {
        #expect(begin() == CKR_OK)
        count = 64
        if part > 0 { #expect(p11.C_EncryptUpdate!(session, &bytes, UInt(part), &encrypted, &count) == CKR_OK) }
        #expect(p11.C_EncryptInit!(session, nil, 0) == CKR_OK)
        #expect(p11.C_EncryptFinal!(session, &bytes, &count) == CKR_OPERATION_NOT_INITIALIZED)
        #expect(begin() == CKR_OK)
        count = 64
        if part > 0 { #expect(p11.C_EncryptUpdate!(session, &bytes, UInt(part), &encrypted, &count) == CKR_OK) }
        #expect(p11.C_SessionCancel!(session, 0) == CKR_OK)
        #expect(begin() == CKR_OPERATION_ACTIVE)
        #expect(p11.C_SessionCancel!(session, CKF_ENCRYPT | CKF_SIGN) == CKR_OK)
      }
      #expect(begin() == CKR_OK)
    }

    @Test("Init answers at once what forbids the operation")
    func refusedAtInit() {
      let session = module.openAsUser()
      let key = aesKey(session)
      let iv = [UInt8](repeating: 0, count: 16)
      withMechanism(CKM_AES_CBC, iv) { mechanism in
        #expect(p11.C_EncryptInit!(session, mechanism, 0) == CKR_KEY_HANDLE_INVALID)
        #expect(p11.C_EncryptInit!(session, mechanism, .max) == CKR_KEY_HANDLE_INVALID)
        #expect(p11.C_SignInit!(session, mechanism, key) == CKR_MECHANISM_INVALID)
        #expect(p11.C_EncryptInit!(session, mechanism, genericKey(session)) == CKR_KEY_TYPE_INCONSISTENT)
        let (made, mute) = generateKey(
          session, CKM_AES_KEY_GEN, [(CKA_VALUE_LEN, .number(16)), (CKA_ENCRYPT, .bool(false))])
        #expect(made == CKR_OK)
        #expect(p11.C_EncryptInit!(session, mechanism, mute) == CKR_KEY_FUNCTION_NOT_PERMITTED)
      }
      withMechanism(CKM_DES3_CBC, iv) { #expect(p11.C_EncryptInit!(session, $0, key) == CKR_MECHANISM_INVALID) }
      withMechanism(.max, iv) { #expect(p11.C_EncryptInit!(session, $0, key) == CKR_MECHANISM_INVALID) }
      withMechanism(CKM_AES_CBC, [1]) { #expect(p11.C_EncryptInit!(session, $0, key) == CKR_MECHANISM_PARAM_INVALID) }
      withMechanism(CKM_AES_CBC) { #expect(p11.C_EncryptInit!(session, $0, key) == CKR_MECHANISM_PARAM_INVALID) }
      withMechanism(CKM_AES_ECB, iv) { #expect(p11.C_EncryptInit!(session, $0, key) == CKR_MECHANISM_PARAM_INVALID) }
      var mechanism = CK_MECHANISM(mechanism: CKM_AES_CBC, pParameter: nil, ulParameterLen: 16)
      #expect(p11.C_EncryptInit!(session, &mechanism, key) == CKR_MECHANISM_PARAM_INVALID)
      var gcm = CK_GCM_PARAMS()
      gcm.ulIvLen = 12
      gcm.ulTagBits = 128
      withMechanism(CKM_AES_GCM, gcm) { #expect(p11.C_EncryptInit!(session, $0, key) == CKR_MECHANISM_PARAM_INVALID) }
      gcm.ulIvLen = .max
      withMechanism(CKM_AES_GCM, gcm) { #expect(p11.C_EncryptInit!(session, $0, key) == CKR_MECHANISM_PARAM_INVALID) }
    }

    @Test("a destroyed key can not be used, also by an operation that was begun with it")
    func destroyedKey() {
      let session = module.openAsUser()
      let key = genericKey(session)
      var data: [UInt8] = [1]
      var signature = [UInt8](repeating: 0, count: 32)
      var count: CK_ULONG = 32
      withMechanism(CKM_SHA256_HMAC) { #expect(p11.C_SignInit!(session, $0, key) == CKR_OK) }
      #expect(p11.C_DestroyObject!(session, key) == CKR_OK)
      #expect(p11.C_Sign!(session, &data, 1, &signature, &count) != CKR_OK)
      #expect(signature.allSatisfy { $0 == 0 })
      withMechanism(CKM_SHA256_HMAC) { #expect(p11.C_SignInit!(session, $0, key) == CKR_KEY_HANDLE_INVALID) }
    }

    @Test(
      "multi-part equals single-part, whatever the parts are",
      arguments: [0, 1, 15, 16, 17, 100, 16384, 40000, 300_000])
    func parts(_ byteCount: Int) {
      let session = module.openAsUser()
      let aes = aesKey(session)
      let mac = genericKey(session)
      let data = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      withMechanism(CKM_SHA256_HMAC) { mechanism in
        let (result, expected) = sign(session, mechanism, mac, data)
        #expect(result == CKR_OK)
        for part in [1000, 16384, 70000] {
          #expect(p11.C_SignInit!(session, mechanism, mac) == CKR_OK)
          feed(data, part) { #expect(p11.C_SignUpdate!(session, $0, $1) == CKR_OK) }
          #expect(output { p11.C_SignFinal!(session, $0, $1) } == (CKR_OK, expected))
          #expect(p11.C_VerifyInit!(session, mechanism, mac) == CKR_OK)
          feed(data, part) { #expect(p11.C_VerifyUpdate!(session, $0, $1) == CKR_OK) }
          var signature = expected
          #expect(p11.C_VerifyFinal!(session, &signature, 32) == CKR_OK)
        }
      }
      var gcm = CK_GCM_PARAMS()
      var iv = [UInt8](repeating: 9, count: 12)
      iv.withUnsafeMutableBufferPointer { iv in
        gcm.pIv = iv.baseAddress
        gcm.ulIvLen = 12
        gcm.ulTagBits = 128
        for part in [7, 4096, 65536] where byteCount / part < 3000 {
          withMechanism(CKM_AES_GCM, gcm) { cipherParts(session, $0, aes, data, part) }
          withMechanism(CKM_AES_CBC_PAD, [UInt8](repeating: 3, count: 16)) { cipherParts(session, $0, aes, data, part) }
        }
      }
    }

    private func feed(_ data: [UInt8], _ part: Int, _ body: (UnsafeMutablePointer<UInt8>, UInt) -> Void) {
      for start in stride(from: 0, to: data.count, by: part) {
        var piece = Array(data[start..<min(start + part, data.count)])
        let count = UInt(piece.count)
        body(&piece, count)
      }
    }

    private func cipherParts(
      _ session: CK_SESSION_HANDLE, _ mechanism: UnsafeMutablePointer<CK_MECHANISM>, _ key: CK_OBJECT_HANDLE,
      _ data: [UInt8], _ part: Int
    ) {
      let (result, expected) = encrypt(session, mechanism, key, data)
      #expect(result == CKR_OK)
      #expect(p11.C_EncryptInit!(session, mechanism, key) == CKR_OK)
      #expect(inParts(session, data, part, p11.C_EncryptUpdate, p11.C_EncryptFinal) == expected)
      #expect(p11.C_DecryptInit!(session, mechanism, key) == CKR_OK)
      #expect(inParts(session, expected, part, p11.C_DecryptUpdate, p11.C_DecryptFinal) == data)
    }

    /// What comes out of the operation that has begun, when `data` goes in part by part.
    private func inParts(
      _ session: CK_SESSION_HANDLE, _ data: [UInt8], _ part: Int, _ update: CK_C_EncryptUpdate?,
      _ final: CK_C_EncryptFinal?
    ) -> [UInt8] {
      var all: [UInt8] = []
      feed(data, part) { piece, count in
        let (result, bytes) = output { update!(session, piece, count, $0, $1) }
        #expect(result == CKR_OK)
        all += bytes
      }
      let last = output { final!(session, $0, $1) }
      #expect(last.0 == CKR_OK)
      return all + last.1
    }

    @Test("encryption in place, and over a shifted buffer, gives what encryption elsewhere gives")
    func inPlace() {
      let session = module.openAsUser()
      let key = aesKey(session)
      let data = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      withMechanism(CKM_AES_CBC_PAD, [UInt8](repeating: 5, count: 16)) { mechanism in
        let expected = encrypt(session, mechanism, key, data).1
        for shift in [0, 1, 17] {
          var memory = data + [UInt8](repeating: 0, count: 64)
          memory.withUnsafeMutableBufferPointer { memory in
            guard let start = memory.baseAddress else { return }
            #expect(p11.C_EncryptInit!(session, mechanism, key) == CKR_OK)
            var count = UInt(memory.count - shift)
            #expect(p11.C_Encrypt!(session, start, UInt(data.count), start + shift, &count) == CKR_OK)
            #expect(Array(memory[shift..<shift + Int(count)]) == expected)
          }
        }
      }
    }

    @Test("a wrong tag gives CKR_ENCRYPTED_DATA_INVALID or CKR_AEAD_DECRYPT_FAILED and not one byte of plaintext")
    func wrongTag() {
      let session = module.openAsUser()
      let key = aesKey(session)
      var gcm = CK_GCM_PARAMS()
      var iv = [UInt8](repeating: 9, count: 12)
      iv.withUnsafeMutableBufferPointer { iv in
        gcm.pIv = iv.baseAddress
        gcm.ulIvLen = 12
        gcm.ulTagBits = 128
        withMechanism(CKM_AES_GCM, gcm) { mechanism in
          var encrypted = encrypt(session, mechanism, key, [UInt8](repeating: 0x77, count: 1000)).1
          encrypted[1003] ^= 1
          #expect(p11.C_DecryptInit!(session, mechanism, key) == CKR_OK)
          var plain = [UInt8](repeating: 0, count: 1000)
          var count: CK_ULONG = 1000
          let result = p11.C_Decrypt!(session, &encrypted, 1016, &plain, &count)
          #expect(result == CKR_ENCRYPTED_DATA_INVALID || result == CKR_AEAD_DECRYPT_FAILED)
          #expect(!plain.contains(0x77))
        }
      }
    }

    @Test("digests: parts, size query, short buffer, DigestKey")
    func digests() {
      let session = module.openAsUser()
      var data = Array("abc".utf8)
      let expected: [UInt8] = [
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03,
        0x61,
        0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
      ]
      for _ in 0..<2 {
        withMechanism(CKM_SHA256) { #expect(p11.C_DigestInit!(session, $0) == CKR_OK) }
        #expect(output { p11.C_Digest!(session, &data, 3, $0, $1) } == (CKR_OK, expected))
      }
      withMechanism(CKM_SHA256) { #expect(p11.C_DigestInit!(session, $0) == CKR_OK) }
      for byte in data {
        var byte = byte
        #expect(p11.C_DigestUpdate!(session, &byte, 1) == CKR_OK)
      }
      #expect(p11.C_Digest!(session, &data, 3, nil, nil) == CKR_OPERATION_ACTIVE)
      #expect(output { p11.C_DigestFinal!(session, $0, $1) } == (CKR_OK, expected))
      let (made, open) = createObject(
        session,
        [
          (CKA_CLASS, .number(CKO_SECRET_KEY)), (CKA_KEY_TYPE, .number(CKK_GENERIC_SECRET)), (CKA_VALUE, .text("abc")),
          (CKA_SENSITIVE, .bool(false)), (CKA_EXTRACTABLE, .bool(true)),
        ])
      #expect(made == CKR_OK)
      withMechanism(CKM_SHA256) { #expect(p11.C_DigestInit!(session, $0) == CKR_OK) }
      #expect(p11.C_DigestKey!(session, open) == CKR_OK)
      #expect(output { p11.C_DigestFinal!(session, $0, $1) } == (CKR_OK, expected))
      withMechanism(CKM_SHA256) { #expect(p11.C_DigestInit!(session, $0) == CKR_OK) }
      #expect(p11.C_DigestKey!(session, aesKey(session)) == CKR_KEY_INDIGESTIBLE)
      withMechanism(CKM_SHA256) { #expect(p11.C_DigestInit!(session, $0) == CKR_OK) }
      #expect(p11.C_DigestKey!(session, .max) == CKR_KEY_HANDLE_INVALID)
      withMechanism(CKM_AES_ECB) { #expect(p11.C_DigestInit!(session, $0) == CKR_MECHANISM_INVALID) }
    }

    @Test("random bytes differ, in small and in large requests")
    func random() {
      let session = module.open()
      var seen = Set<[UInt8]>()
      for _ in 0..<1000 {
        var bytes = [UInt8](repeating: 0, count: 32)
        #expect(p11.C_GenerateRandom!(session, &bytes, 32) == CKR_OK)
        seen.insert(bytes)
      }
      #expect(seen.count == 1000)
      var large = [UInt8](repeating: 0, count: 1 << 20)
      #expect(p11.C_GenerateRandom!(session, &large, 1 << 20) == CKR_OK)
      #expect(Set(large[(1 << 20) - 4096..<1 << 20]).count > 200)
      #expect(p11.C_GenerateRandom!(session, nil, 1) == CKR_ARGUMENTS_BAD)
      #expect(p11.C_GenerateRandom!(session, &large, .max) == CKR_ARGUMENTS_BAD)
      // The generator seeds itself, and no client has a say in what others get.
      #expect(p11.C_SeedRandom!(session, &large, 100) == CKR_RANDOM_SEED_NOT_SUPPORTED)
      #expect(p11.C_SeedRandom!(session, nil, 100) == CKR_ARGUMENTS_BAD)
    }
  }
}
