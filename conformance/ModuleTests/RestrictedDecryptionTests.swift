import CCryptoki
import Glibc
import Testing

private let block: [UInt8] = (0..<16).map { $0 * 11 + 1 }

/// Bytes in which every position differs from its neighbours, with zeros among them.
private func content(_ count: Int, seed: Int = 0) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: ($0 * 37 + seed * 101) ^ ($0 >> 3)) }
}

extension ModuleSuite {
  /// Decryption whose plaintext goes into restricted buffers. What lies there in the end is found out by `ContentProbe`.
  @Suite struct DecryptionIntoBuffers {
    let module = InitializedModule()

    static let mechanisms: [TestMechanism] = [
      .aesCTR(block), .aesCBC(block), .aesCBCPad(block), .aesECB, .aesGCM([UInt8](block.prefix(12))),
    ]

    /// The mechanism takes only whole blocks.
    private func byteCount(_ mechanism: TestMechanism) -> Int {
      ["AES-CBC", "AES-ECB"].contains(mechanism.testDescription) ? 1600 : 1607
    }

    @Test("in one part the plaintext lies at its place, whatever the mechanism", arguments: mechanisms)
    func singlePart(_ mechanism: TestMechanism) {
      let session = module.openAsUser()
      let key = contentKey(session, byteCount: 32)
      let plain = content(byteCount(mechanism))
      let sealed = mechanism.encrypt(session, key, plain)
      let probe = ContentProbe(session)
      let holds = probe.holds(plain) { buffer, offset in
        mechanism.begin(session, key) == CKR_OK
          && decryptInto(session, sealed, buffer, offset) == (CKR_OK, UInt(plain.count))
      }
      #expect(holds)
      // The probe tells a difference of one byte.
      var other = plain
      other[700] ^= 1
      let differs = probe.holds(other) { buffer, offset in
        mechanism.begin(session, key) == CKR_OK && decryptInto(session, sealed, buffer, offset).0 == CKR_OK
      }
      #expect(!differs)
      #expect(decryptInto(session, sealed, 1, 0).0 == CKR_OPERATION_NOT_INITIALIZED)
    }

    @Test("in parts of odd sizes each part's plaintext lies where the part said", arguments: mechanisms)
    func parts(_ mechanism: TestMechanism) {
      let session = module.openAsUser()
      let key = contentKey(session)
      let plain = content(byteCount(mechanism), seed: 1)
      let sealed = mechanism.encrypt(session, key, plain)
      let isAuthenticated = mechanism.testDescription == "AES-GCM"
      let holds = ContentProbe(session).holds(plain) { buffer, offset in
        guard mechanism.begin(session, key) == CKR_OK else { return false }
        var (taken, given) = (0, UInt(0))
        for size in [1, 15, 16, 17, 0, 31, 333, 500, 10_000] {
          let part = sealed[taken..<min(taken + size, sealed.count)]
          let (result, written) = decryptIntoUpdate(session, part, buffer, offset + given)
          guard result == CKR_OK, !isAuthenticated || written == 0 else { return false }
          taken += part.count
          given += written
        }
        let (result, written) = decryptIntoFinal(session, buffer, offset + given)
        return result == CKR_OK && taken == sealed.count && given + written == UInt(plain.count)
      }
      #expect(holds)
      #expect(decryptIntoFinal(session, 1, 0).0 == CKR_OPERATION_NOT_INITIALIZED)
    }

    @Test("a megabyte in one part is counted whole")
    func large() {
      let session = module.openAsUser()
      let key = contentKey(session)
      for mechanism in [TestMechanism.aesCTR(block), .aesGCM(block), .aesCBCPad(block)] {
        let sealed = mechanism.encrypt(session, key, [UInt8](repeating: 7, count: 3 << 20))
        let buffer = makeBuffer(session, 3 << 20)
        #expect(mechanism.begin(session, key) == CKR_OK)
        #expect(decryptInto(session, sealed, buffer, 0) == (CKR_OK, 3 << 20))
        #expect(p11.C_DestroyObject!(session, buffer) == CKR_OK)
      }
    }

    // MARK: Nothing is written

    /// Whether the old bytes still lie in the buffer after a call that is refused with `expected`.
    private func leavesAlone(
      _ session: CK_SESSION_HANDLE, _ expected: CK_RV, _ call: (CK_OBJECT_HANDLE, UInt) -> (CK_RV, UInt)
    ) -> Bool {
      let old = content(1607, seed: 9)
      return ContentProbe(session).holds(old) { buffer, offset in
        guard write(session, buffer, offset, old) == CKR_OK else { return false }
        let (result, written) = call(buffer, offset)
        return result == expected && written == 77
      }
    }

    @Test("a forged GCM message writes nothing, in one part or in several")
    func forged() {
      let session = module.openAsUser()
      let key = contentKey(session)
      let mechanism = TestMechanism.aesGCM(block)
      var sealed = mechanism.encrypt(session, key, content(1607))
      sealed[3] ^= 0x80
      let whole = leavesAlone(session, CKR_ENCRYPTED_DATA_INVALID) { buffer, offset in
        #expect(mechanism.begin(session, key) == CKR_OK)
        return decryptInto(session, sealed, buffer, offset)
      }
      #expect(whole)
      let parts = leavesAlone(session, CKR_ENCRYPTED_DATA_INVALID) { buffer, offset in
        #expect(mechanism.begin(session, key) == CKR_OK)
        #expect(decryptIntoUpdate(session, sealed[..<1000], buffer, offset) == (CKR_OK, 0))
        #expect(decryptIntoUpdate(session, sealed[1000...], buffer, offset) == (CKR_OK, 0))
        return decryptIntoFinal(session, buffer, offset)
      }
      #expect(parts)
      #expect(decryptIntoFinal(session, 1, 0).0 == CKR_OPERATION_NOT_INITIALIZED)
      let asDecrypt = mechanism.lend { decrypt(session, $0, key, [1, 2, 3]).0 }
      #expect(asDecrypt != CKR_OK)
      let short = leavesAlone(session, asDecrypt) { buffer, offset in
        #expect(mechanism.begin(session, key) == CKR_OK)
        return decryptInto(session, [1, 2, 3], buffer, offset)
      }
      #expect(short)
    }

    @Test("ciphertext that is wrong at its end writes nothing: partial blocks, padding, a counter that wraps")
    func wrongEnds() {
      let session = module.openAsUser()
      let key = contentKey(session)
      for mechanism in [TestMechanism.aesCBC(block), .aesECB, .aesCBCPad(block)] {
        let partial = leavesAlone(session, CKR_ENCRYPTED_DATA_LEN_RANGE) { buffer, offset in
          #expect(mechanism.begin(session, key) == CKR_OK)
          return decryptInto(session, [UInt8](repeating: 5, count: 1000), buffer, offset)
        }
        #expect(partial, "\(mechanism)")
      }
      // The last block's plaintext ends in a byte that no padding has.
      let unpadded = TestMechanism.aesCBC(block).encrypt(session, key, [UInt8](repeating: 0xee, count: 800))
      let padding = leavesAlone(session, CKR_ENCRYPTED_DATA_INVALID) { buffer, offset in
        #expect(TestMechanism.aesCBCPad(block).begin(session, key) == CKR_OK)
        return decryptInto(session, unpadded, buffer, offset)
      }
      #expect(padding)
      let last = TestMechanism.aesCTR([UInt8](repeating: 0xff, count: 16), bits: 64)
      let wrapping = leavesAlone(session, CKR_ENCRYPTED_DATA_LEN_RANGE) { buffer, offset in
        #expect(last.begin(session, key) == CKR_OK)
        return decryptInto(session, [UInt8](repeating: 5, count: 1000), buffer, offset)
      }
      #expect(wrapping)
    }

    @Test("a place that does not serve has its own error, writes nothing and leaves the operation for another")
    func places() {
      let session = module.openAsUser()
      let key = contentKey(session)
      let mechanism = TestMechanism.aesCTR(block)
      let plain = content(500)
      let sealed = mechanism.encrypt(session, key, plain)
      let probe = ContentProbe(session)
      let recording = makeBuffer(session, 4096, CKU_STRONGROOM_SECURE_VIDEO_RECORDING)
      let gone = makeBuffer(session, 4096)
      #expect(p11.C_DestroyObject!(session, gone) == CKR_OK)
      let (opened, stream) = ContentProbe.openStream(session, rows: 1)
      #expect(opened == CKR_OK)
      let holds = probe.holds(plain) { buffer, offset in
        let size = probe.bufferByteCount
        let wrong: [(CK_OBJECT_HANDLE, UInt, CK_RV)] = [
          (buffer, size - 499, CKR_BUFFER_TOO_SMALL), (buffer, size - 1, CKR_BUFFER_TOO_SMALL),
          (buffer, size, CKR_STRONGROOM_OFFSET_RANGE), (buffer, size + 1, CKR_STRONGROOM_OFFSET_RANGE),
          (buffer, .max, CKR_STRONGROOM_OFFSET_RANGE), (buffer, .max - 499, CKR_STRONGROOM_OFFSET_RANGE),
          (buffer, 1 << 63, CKR_STRONGROOM_OFFSET_RANGE), (recording, 0, CKR_STRONGROOM_ACCESS_DENIED),
          (gone, 0, CKR_OBJECT_HANDLE_INVALID), (stream, 0, CKR_OBJECT_HANDLE_INVALID),
          (key, 0, CKR_OBJECT_HANDLE_INVALID), (0, 0, CKR_OBJECT_HANDLE_INVALID), (.max, 0, CKR_OBJECT_HANDLE_INVALID),
        ]
        guard mechanism.begin(session, key) == CKR_OK else { return false }
        for (buffer, offset, expected) in wrong {
          let single = decryptInto(session, sealed, buffer, offset)
          #expect(single == (expected, 77), "\(name(single.0)) at \(offset)")
        }
        guard decryptInto(session, sealed, buffer, offset) == (CKR_OK, 500) else { return false }
        // In parts: after the first, the operation is the secure world's.
        guard mechanism.begin(session, key) == CKR_OK,
          decryptIntoUpdate(session, sealed[..<100], buffer, offset) == (CKR_OK, 100)
        else { return false }
        for (buffer, offset, expected) in wrong {
          let part = decryptIntoUpdate(session, sealed[100...] + sealed[..<100], buffer, offset)
          #expect(part == (expected, 77), "\(name(part.0)) at \(offset)")
        }
        guard decryptIntoUpdate(session, sealed[100...], buffer, offset + 100) == (CKR_OK, 400) else { return false }
        #expect(decryptIntoFinal(session, gone, 0) == (CKR_OBJECT_HANDLE_INVALID, 77))
        #expect(decryptIntoFinal(session, buffer, size + 1) == (CKR_STRONGROOM_OFFSET_RANGE, 77))
        return decryptIntoFinal(session, buffer, size) == (CKR_OK, 0)
      }
      #expect(holds)
      _ = p11.C_DestroyObject!(session, stream)
    }

    @Test(
      "a last part without room can be placed elsewhere: the end of an operation is kept until it lies somewhere",
      arguments: [TestMechanism.aesGCM(block), .aesCBCPad(block)])
    func lastPart(_ mechanism: TestMechanism) {
      let session = module.openAsUser()
      let key = contentKey(session)
      let plain = content(16 * 20 + 5)
      let sealed = mechanism.encrypt(session, key, plain)
      let small = makeBuffer(session, 4)
      let holds = ContentProbe(session).holds(plain) { buffer, offset in
        guard mechanism.begin(session, key) == CKR_OK else { return false }
        let (result, first) = decryptIntoUpdate(session, sealed, buffer, offset)
        guard result == CKR_OK else { return false }
        #expect(decryptIntoFinal(session, small, 0) == (CKR_BUFFER_TOO_SMALL, 77))
        #expect(decryptIntoFinal(session, small, 5) == (CKR_STRONGROOM_OFFSET_RANGE, 77))
        #expect(decryptIntoFinal(session, 0, 0) == (CKR_OBJECT_HANDLE_INVALID, 77))
        return decryptIntoFinal(session, buffer, offset + first) == (CKR_OK, UInt(plain.count) - first)
      }
      #expect(holds)
      // A buffer that has room for the plaintext and not for the padding.
      let exact = makeBuffer(session, UInt(plain.count))
      #expect(mechanism.begin(session, key) == CKR_OK)
      #expect(decryptInto(session, sealed, exact, 0) == (CKR_OK, UInt(plain.count)))
      #expect(mechanism.begin(session, key) == CKR_OK)
      #expect(decryptInto(session, sealed, exact, 1) == (CKR_BUFFER_TOO_SMALL, 77))
      #expect(vendor.DecryptIntoInit!(session, nil, 0) == CKR_OK)
    }

    // MARK: Keys

    @Test("a key for restricted output decrypts nowhere else, and does nothing else")
    func onlyIntoBuffers() {
      let session = module.openAsUser()
      let key = contentKey(session, [(CKA_SIGN, .bool(true)), (CKA_WRAP, .bool(true)), (CKA_DERIVE, .bool(true))])
      let mine = restricted(session, key)
      var sealed = TestMechanism.aesCTR(block).encrypt(session, key, content(64))
      var plain = [UInt8](repeating: 0xa5, count: 64)
      var count: CK_ULONG = 64
      for mechanism in [TestMechanism.aesCTR(block), .aesCBC(block), .aesECB, .aesGCM(block), .aesCBCPad(block)] {
        let begun = mechanism.lend { p11.C_DecryptInit!(session, $0, mine) }
        #expect(begun == CKR_OK)
        #expect(p11.C_Decrypt!(session, &sealed, 64, &plain, &count) == CKR_KEY_FUNCTION_NOT_PERMITTED)
        #expect(mechanism.lend { p11.C_DecryptInit!(session, $0, mine) } == CKR_OK)
        #expect(p11.C_DecryptUpdate!(session, &sealed, 64, &plain, &count) == CKR_KEY_FUNCTION_NOT_PERMITTED)
        let encrypted = mechanism.lend { encrypt(session, $0, mine, content(64)).0 }
        #expect(encrypted == CKR_KEY_FUNCTION_NOT_PERMITTED, "\(mechanism)")
        #expect(p11.C_EncryptInit!(session, nil, 0) == CKR_OK)
        #expect(p11.C_DecryptInit!(session, nil, 0) == CKR_OK)
      }
      #expect(plain.allSatisfy { $0 == 0xa5 })
      withMechanism(CKM_AES_CMAC) {
        #expect(sign(session, $0, mine, [1]).0 == CKR_KEY_FUNCTION_NOT_PERMITTED)
      }
      // Whoever tried wrong paddings could see by the answers what he must not see.
      #expect(TestMechanism.aesCBCPad(block).begin(session, mine) == CKR_OK)
      let buffer = makeBuffer(session, 64)
      #expect(decryptInto(session, sealed, buffer, 0) == (CKR_KEY_FUNCTION_NOT_PERMITTED, 77))
      let again = withTemplate([(CKA_STRONGROOM_RESTRICTED_OUTPUT, .bool(false))]) {
        p11.C_SetAttributeValue!(session, mine, $0, $1)
      }
      #expect(again != CKR_OK)
    }

    @Test("a key decrypts into buffers of its use-cases only")
    func useCases() {
      let session = module.openAsUser()
      let mechanism = TestMechanism.aesCTR(block)
      let sealed = content(64)
      let video = makeBuffer(session, 64)
      let screen = makeBuffer(session, 64, CKU_STRONGROOM_TRUSTED_UI)
      let keys = makeBuffer(session, 64, CKU_STRONGROOM_KEY_MATERIAL)
      let all = [video, screen, keys]
      func results(_ key: CK_OBJECT_HANDLE) -> [CK_RV] {
        all.map { buffer in
          guard mechanism.begin(session, key) == CKR_OK else { return CKR_GENERAL_ERROR }
          defer { _ = vendor.DecryptIntoInit!(session, nil, 0) }
          return decryptInto(session, sealed, buffer, 0).0
        }
      }
      let no = CKR_STRONGROOM_USE_CASE_INVALID
      #expect(results(restrictedKey(session, block)) == [CKR_OK, CKR_OK, CKR_OK])
      #expect(results(restrictedKey(session, block, useCases: [])) == [CKR_OK, CKR_OK, CKR_OK])
      let onlyVideo = restrictedKey(session, block, useCases: [CKU_STRONGROOM_SECURE_VIDEO_PLAYBACK])
      #expect(results(onlyVideo) == [CKR_OK, no, no])
      let two = restrictedKey(session, block, useCases: [CKU_STRONGROOM_TRUSTED_UI, CKU_STRONGROOM_KEY_MATERIAL])
      #expect(results(two) == [no, CKR_OK, CKR_OK])
      // A list of use-cases that there are not is a list, and admits nothing.
      #expect(results(restrictedKey(session, block, useCases: [1 << 40])) == [no, no, no])
      // In parts, and with samples.
      #expect(mechanism.begin(session, onlyVideo) == CKR_OK)
      #expect(decryptIntoUpdate(session, sealed, screen, 0) == (no, 77))
      #expect(decryptIntoUpdate(session, sealed, video, 0) == (CKR_OK, 64))
      #expect(decryptIntoFinal(session, screen, 0) == (no, 77))
      #expect(decryptIntoFinal(session, video, 64) == (CKR_OK, 0))
      #expect(decryptSamples(session, onlyVideo, .cenc, [Sample(sealed, block, into: screen, at: 0)]) == no)
      #expect(decryptSamples(session, onlyVideo, .cenc, [Sample(sealed, block, into: video, at: 0)]) == CKR_OK)
    }

    @Test("a key without CKA_DECRYPT, a key of another type and a mechanism that does not decrypt are refused at once")
    func wrongKeys() {
      let session = module.openAsUser()
      let (result, silent) = generateKey(
        session, CKM_AES_KEY_GEN,
        [(CKA_VALUE_LEN, .number(16)), (CKA_ENCRYPT, .bool(true)), (CKA_DECRYPT, .bool(false))])
      #expect(result == CKR_OK)
      #expect(TestMechanism.aesECB.begin(session, silent) == CKR_KEY_FUNCTION_NOT_PERMITTED)
      #expect(TestMechanism.aesECB.begin(session, genericKey(session)) == CKR_KEY_TYPE_INCONSISTENT)
      #expect(TestMechanism.aesECB.begin(session, 0) == CKR_KEY_HANDLE_INVALID)
      #expect(TestMechanism.aesECB.begin(session, makeBuffer(session, 16)) == CKR_KEY_HANDLE_INVALID)
      let key = contentKey(session)
      #expect(withMechanism(CKM_SHA256) { vendor.DecryptIntoInit!(session, $0, key) } == CKR_MECHANISM_INVALID)
      let short = withMechanism(CKM_AES_CBC, [1]) { vendor.DecryptIntoInit!(session, $0, key) }
      #expect(short == CKR_MECHANISM_PARAM_INVALID)
    }

    // MARK: The operation

    @Test("it is the session's decryption: only one at once, and C_SessionCancel or a NULL mechanism ends it")
    func oneOperation() {
      let session = module.openAsUser()
      let key = contentKey(session)
      let mechanism = TestMechanism.aesCTR(block)
      let sealed = mechanism.encrypt(session, key, content(64))
      let buffer = makeBuffer(session, 64)
      #expect(decryptInto(session, sealed, buffer, 0) == (CKR_OPERATION_NOT_INITIALIZED, 77))
      #expect(decryptIntoUpdate(session, sealed, buffer, 0) == (CKR_OPERATION_NOT_INITIALIZED, 77))
      #expect(decryptIntoFinal(session, buffer, 0) == (CKR_OPERATION_NOT_INITIALIZED, 77))
      for isAway in [false, true] {
        for end in 0..<3 {
          #expect(mechanism.begin(session, key) == CKR_OK)
          if isAway {
            #expect(decryptIntoUpdate(session, sealed[..<8], buffer, 0) == (CKR_OK, 8))
            #expect(decryptInto(session, sealed, buffer, 0) == (CKR_OPERATION_ACTIVE, 77))
          }
          #expect(mechanism.begin(session, key) == CKR_OPERATION_ACTIVE)
          #expect(mechanism.lend { p11.C_DecryptInit!(session, $0, key) } == CKR_OPERATION_ACTIVE)
          var count: CK_ULONG = 0
          #expect(p11.C_DecryptFinal!(session, nil, &count) == CKR_OPERATION_NOT_INITIALIZED)
          let ended =
            switch end {
            case 0: p11.C_SessionCancel!(session, CKF_DECRYPT)
            case 1: vendor.DecryptIntoInit!(session, nil, 0)
            default: p11.C_DecryptInit!(session, nil, 0)
            }
          #expect(ended == CKR_OK)
          #expect(decryptIntoFinal(session, buffer, 0) == (CKR_OPERATION_NOT_INITIALIZED, 77))
        }
      }
      #expect(mechanism.lend { p11.C_DecryptInit!(session, $0, key) } == CKR_OK)
      #expect(mechanism.begin(session, key) == CKR_OPERATION_ACTIVE)
      // Other sessions have operations of their own.
      let other = module.open()
      #expect(mechanism.begin(other, key) == CKR_OK)
      #expect(decryptInto(other, sealed, buffer, 0) == (CKR_OK, 64))
    }

    @Test("a key that is destroyed before the first part ends the operation")
    func keyDestroyed() {
      let session = module.openAsUser()
      let key = contentKey(session)
      let mechanism = TestMechanism.aesCTR(block)
      let sealed = mechanism.encrypt(session, key, content(64))
      let buffer = makeBuffer(session, 64)
      #expect(mechanism.begin(session, key) == CKR_OK)
      #expect(p11.C_DestroyObject!(session, key) == CKR_OK)
      #expect(decryptIntoUpdate(session, sealed, buffer, 0) == (CKR_KEY_HANDLE_INVALID, 77))
      #expect(decryptIntoUpdate(session, sealed, buffer, 0) == (CKR_OPERATION_NOT_INITIALIZED, 77))
    }

    @Test("the bounds cases of xtest: the last byte is in, one more is out, and no sum overflows")
    func bounds() {
      let session = module.openAsUser()
      let key = contentKey(session)
      let mechanism = TestMechanism.aesCTR(block)
      let size: UInt = 5000
      let sealed = mechanism.encrypt(session, key, content(5000))
      let buffer = makeBuffer(session, size)
      func result(_ offset: UInt, _ count: Int) -> CK_RV {
        #expect(mechanism.begin(session, key) == CKR_OK)
        let result = decryptInto(session, Array(sealed.prefix(count)), buffer, offset).0
        #expect(vendor.DecryptIntoInit!(session, nil, 0) == CKR_OK)
        return result
      }
      #expect(result(0, 5000) == CKR_OK)
      #expect(result(size - 1, 1) == CKR_OK)
      #expect(result(size - 1, 2) == CKR_BUFFER_TOO_SMALL)
      #expect(result(size - 1, 5000) == CKR_BUFFER_TOO_SMALL)
      #expect(result(size, 0) == CKR_OK)
      #expect(result(size, 1) == CKR_STRONGROOM_OFFSET_RANGE)
      #expect(result(size, 4096) == CKR_STRONGROOM_OFFSET_RANGE)
      // The pages have room for what the buffer has not.
      #expect(result(size - 10, 100) == CKR_BUFFER_TOO_SMALL)
      #expect(result(.max, 2) == CKR_STRONGROOM_OFFSET_RANGE)
      // A count that no memory has is not looked for in memory.
      var byte = sealed[0]
      var written: CK_ULONG = 77
      #expect(mechanism.begin(session, key) == CKR_OK)
      #expect(vendor.DecryptInto!(session, &byte, .max, buffer, 2, &written) != CKR_OK)
      #expect(written == 77)
    }
  }
}
