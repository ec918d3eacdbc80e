import CCryptoki
import Testing

/// CK_GCM_MESSAGE_PARAMS with memory of its own for IV and tag.
private final class Message {
  let iv: UnsafeMutableBufferPointer<UInt8>
  let tag: UnsafeMutableBufferPointer<UInt8>
  var parameters: CK_GCM_MESSAGE_PARAMS

  init(iv bytes: [UInt8], fixedBits: UInt = 0, generator: UInt = CKG_NO_GENERATE, tagBits: UInt = 128) {
    iv = .allocate(capacity: bytes.count)
    _ = iv.initialize(from: bytes)
    tag = .allocate(capacity: 17)
    tag.initialize(repeating: 0xa5)
    parameters = CK_GCM_MESSAGE_PARAMS(
      pIv: iv.baseAddress, ulIvLen: UInt(bytes.count), ulIvFixedBits: fixedBits, ivGenerator: generator,
      pTag: tag.baseAddress, ulTagBits: tagBits)
  }

  deinit {
    iv.deallocate()
    tag.deallocate()
  }

  func with<R>(_ body: (UnsafeMutableRawPointer?, UInt) -> R) -> R {
    withUnsafeMutablePointer(to: &parameters) { body($0, UInt(MemoryLayout<CK_GCM_MESSAGE_PARAMS>.size)) }
  }

  func encrypt(_ session: UInt, _ aad: [UInt8], _ plaintext: [UInt8]) -> (CK_RV, [UInt8]) {
    var (aad, plaintext) = (aad, plaintext)
    let counts = (UInt(aad.count), UInt(plaintext.count))
    return with { parameters, size in
      output { p11.C_EncryptMessage!(session, parameters, size, &aad, counts.0, &plaintext, counts.1, $0, $1) }
    }
  }

  func decrypt(_ session: UInt, _ aad: [UInt8], _ ciphertext: [UInt8]) -> (CK_RV, [UInt8]) {
    var (aad, ciphertext) = (aad, ciphertext)
    let counts = (UInt(aad.count), UInt(ciphertext.count))
    return with { parameters, size in
      output { p11.C_DecryptMessage!(session, parameters, size, &aad, counts.0, &ciphertext, counts.1, $0, $1) }
    }
  }
}

extension ModuleSuite {
  @Suite struct Messages {
    let module = InitializedModule()

    private func begin(_ session: UInt, _ key: UInt) {
      withMechanism(CKM_AES_GCM) {
        #expect(p11.C_MessageEncryptInit!(session, $0, key) == CKR_OK)
        #expect(p11.C_MessageDecryptInit!(session, $0, key) == CKR_OK)
      }
    }

    @Test("messages under one key, of any size, are what C_Encrypt makes of them, with the tag apart")
    func wholeMessages() {
      let session = module.openAsUser()
      let key = aesKey(session)
      begin(session, key)
      for count in [0, 1, 16, 1000, 300_000] {
        let plaintext = [UInt8]((0..<count).map { UInt8(truncatingIfNeeded: $0) })
        let message = Message(iv: [UInt8](0..<12))
        let (result, ciphertext) = message.encrypt(session, [1, 2, 3], plaintext)
        #expect(result == CKR_OK)
        #expect(ciphertext.count == count)
        #expect(message.tag[16] == 0xa5)
        let (back, again) = message.decrypt(session, [1, 2, 3], ciphertext)
        #expect(back == CKR_OK)
        #expect(again == plaintext)

        var (iv, aad, input) = ([UInt8](0..<12), [UInt8]([1, 2, 3]), plaintext)
        let inputCount = UInt(input.count)
        iv.withUnsafeMutableBufferPointer { iv in
          aad.withUnsafeMutableBufferPointer { aad in
            let parameters = CK_GCM_PARAMS(
              pIv: iv.baseAddress, ulIvLen: 12, ulIvBits: 96, pAAD: aad.baseAddress, ulAADLen: 3, ulTagBits: 128)
            withMechanism(CKM_AES_GCM, parameters) { #expect(p11.C_EncryptInit!(session, $0, key) == CKR_OK) }
          }
        }
        let (_, sealed) = output { p11.C_Encrypt!(session, &input, inputCount, $0, $1) }
        #expect(sealed == ciphertext + Array(message.tag.prefix(16)))
      }
      #expect(p11.C_MessageEncryptFinal!(session) == CKR_OK)
      #expect(p11.C_MessageEncryptFinal!(session) == CKR_OPERATION_NOT_INITIALIZED)
      #expect(p11.C_MessageDecryptFinal!(session) == CKR_OK)
    }

    @Test("a changed ciphertext, tag, IV or associated data is CKR_AEAD_DECRYPT_FAILED, gives nothing and ends nothing")
    func forgeries() {
      let session = module.openAsUser()
      begin(session, aesKey(session))
      let message = Message(iv: [UInt8](repeating: 7, count: 12))
      for count in [100, 16_384, (1 << 20) + 5] {
        let plaintext = [UInt8](repeating: 0x55, count: count)
        let (_, ciphertext) = message.encrypt(session, [9], plaintext)
        var forged = ciphertext
        forged[count / 2] ^= 1
        var memory = [UInt8](repeating: 0xa5, count: count)
        var length = CK_ULONG(count)
        var aad: [UInt8] = [9]
        #expect(
          message.with { p11.C_DecryptMessage!(session, $0, $1, &aad, 1, &forged, UInt(count), &memory, &length) }
            == CKR_AEAD_DECRYPT_FAILED)
        #expect(memory.allSatisfy { $0 == 0xa5 })
        length = CK_ULONG(count - 1)
        forged[count / 2] ^= 1
        #expect(
          message.with { p11.C_DecryptMessage!(session, $0, $1, &aad, 1, &forged, UInt(count), &memory, &length) }
            == CKR_BUFFER_TOO_SMALL)
        #expect(length == UInt(count) && memory.allSatisfy { $0 == 0xa5 })
        #expect(message.decrypt(session, [8], ciphertext).0 == CKR_AEAD_DECRYPT_FAILED)
        message.tag[15] ^= 1
        #expect(message.decrypt(session, [9], ciphertext).0 == CKR_AEAD_DECRYPT_FAILED)
        message.tag[15] ^= 1
        message.iv[0] ^= 1
        #expect(message.decrypt(session, [9], ciphertext).0 == CKR_AEAD_DECRYPT_FAILED)
        message.iv[0] ^= 1
        #expect(message.decrypt(session, [9], ciphertext) == (CKR_OK, plaintext))
      }
    }

    @Test("the generators keep the fixed bits and never make the same IV twice")
    func generators() {
      let session = module.openAsUser()
      begin(session, aesKey(session))
      for generator in [CKG_GENERATE, CKG_GENERATE_COUNTER, CKG_GENERATE_RANDOM] {
        let fixed: UInt = generator == CKG_GENERATE_RANDOM ? 0 : 32
        let message = Message(
          iv: [1, 2, 3, 4] + [UInt8](repeating: 0, count: 8), fixedBits: fixed, generator: generator)
        var seen: Set<[UInt8]> = []
        for _ in 0..<20 {
          #expect(message.encrypt(session, [], [1]).0 == CKR_OK)
          #expect(seen.insert(Array(message.iv)).inserted)
          if fixed == 32 { #expect(Array(message.iv.prefix(4)) == [1, 2, 3, 4]) }
        }
      }
      let short = Message(iv: [0], fixedBits: 7, generator: CKG_GENERATE_COUNTER)
      withMechanism(CKM_AES_GCM) { _ in #expect(p11.C_MessageEncryptFinal!(session) == CKR_OK) }
      withMechanism(CKM_AES_GCM) { #expect(p11.C_MessageEncryptInit!(session, $0, aesKey(session)) == CKR_OK) }
      #expect(short.encrypt(session, [], [1]).0 == CKR_OK)
      #expect(short.encrypt(session, [], [1]).0 == CKR_OK)
      #expect(short.encrypt(session, [], [1]).0 == CKR_KEY_EXHAUSTED)
    }

    @Test("nor by the same process after C_Finalize and C_Initialize, with a key of the token")
    func generatorsGoOnAfterFinalization() async {
      _ = TestStore.shared
      await #expect(processExitsWith: .success) {
        var seen: Set<[UInt8]> = []
        var key: CK_OBJECT_HANDLE = 0
        for _ in 0..<2 {
          do {
            let module = InitializedModule()
            let session = module.openAsUser()
            if key == 0 { key = aesKey(session, token: true) }
            withMechanism(CKM_AES_GCM) {
              require(p11.C_MessageEncryptInit!(session, $0, key) == CKR_OK, "C_MessageEncryptInit")
            }
            for _ in 0..<3 {
              let message = Message(
                iv: [1, 2, 3, 4] + [UInt8](repeating: 0, count: 8), fixedBits: 32, generator: CKG_GENERATE_COUNTER)
              require(message.encrypt(session, [], [1]).0 == CKR_OK, "C_EncryptMessage")
              require(seen.insert(Array(message.iv)).inserted, "the same IV again")
            }
            withExtendedLifetime(module) {}
          }
        }
      }
    }

    @Test("an IV that was made for a key is not made again by another operation or session")
    func generatorsGoOn() {
      let session = module.openAsUser()
      let other = module.open()
      let key = aesKey(session)
      var seen: Set<[UInt8]> = []
      for generator in [CKG_GENERATE, CKG_GENERATE_COUNTER] {
        for session in [session, other, session, other] {
          begin(session, key)
          for _ in 0..<3 {
            let message = Message(
              iv: [1, 2, 3, 4] + [UInt8](repeating: 0, count: 8), fixedBits: 32, generator: generator)
            #expect(message.encrypt(session, [], [1]).0 == CKR_OK)
            #expect(seen.insert(Array(message.iv)).inserted)
          }
          #expect(p11.C_MessageEncryptFinal!(session) == CKR_OK)
          #expect(p11.C_MessageDecryptFinal!(session) == CKR_OK)
        }
      }
    }

    @Test("a message in parts is the same message; decryption gives all of it at the end and nothing before")
    func parts() {
      let session = module.openAsUser()
      begin(session, aesKey(session))
      let message = Message(iv: [UInt8](0..<12))
      let plaintext = [UInt8]((0..<90).map { UInt8($0) })
      let (_, whole) = message.encrypt(session, [4, 4], plaintext)
      let tag = Array(message.tag.prefix(16))
      var aad: [UInt8] = [4, 4]
      #expect(message.with { p11.C_EncryptMessageBegin!(session, $0, $1, &aad, 2) } == CKR_OK)
      var made: [UInt8] = []
      for (index, size) in [1, 40, 49].enumerated() {
        var part = Array(plaintext[made.count..<made.count + size])
        let flags = index == 2 ? CKF_END_OF_MESSAGE : 0
        let (result, piece) = message.with { parameters, count in
          output { p11.C_EncryptMessageNext!(session, parameters, count, &part, UInt(size), $0, $1, flags) }
        }
        #expect(result == CKR_OK)
        made += piece
      }
      #expect(made == whole)
      #expect(Array(message.tag.prefix(16)) == tag)

      #expect(message.with { p11.C_DecryptMessageBegin!(session, $0, $1, &aad, 2) } == CKR_OK)
      #expect(p11.C_MessageDecryptFinal!(session) == CKR_OPERATION_ACTIVE)
      var first = Array(whole.prefix(33))
      var count: CK_ULONG = 0
      var nothing: UInt8 = 0
      #expect(
        message.with { p11.C_DecryptMessageNext!(session, $0, $1, &first, 33, &nothing, &count, 0) } == CKR_OK)
      #expect(count == 0)
      var rest = Array(whole.dropFirst(33))
      let (result, plain) = message.with { parameters, size in
        output { p11.C_DecryptMessageNext!(session, parameters, size, &rest, 57, $0, $1, CKF_END_OF_MESSAGE) }
      }
      #expect(result == CKR_OK)
      #expect(plain == plaintext)
      #expect(p11.C_MessageDecryptFinal!(session) == CKR_OK)
    }

    @Test("parameters that lie, keys that may not and calls out of turn are refused")
    func refusals() {
      let session = module.openAsUser()
      let key = aesKey(session)
      let message = Message(iv: [UInt8](0..<12))
      #expect(message.encrypt(session, [], [1]).0 == CKR_OPERATION_NOT_INITIALIZED)
      withMechanism(CKM_AES_CBC, [UInt8](0..<16)) {
        #expect(p11.C_MessageEncryptInit!(session, $0, key) == CKR_MECHANISM_INVALID)
      }
      begin(session, key)
      withMechanism(CKM_AES_GCM) { #expect(p11.C_MessageEncryptInit!(session, $0, key) == CKR_OPERATION_ACTIVE) }
      var (plain, sealed, room): (UInt8, UInt8, CK_ULONG) = (1, 0, 1)
      #expect(
        p11.C_EncryptMessage!(session, nil, 48, nil, 0, &plain, 1, &sealed, &room) == CKR_MECHANISM_PARAM_INVALID)
      for change in [
        { $0.ulIvLen = 0 }, { $0.ulIvLen = .max }, { $0.ulIvFixedBits = .max }, { $0.ulTagBits = 127 },
        { $0.ulTagBits = .max }, { $0.pIv = nil }, { $0.pTag = nil }, { $0.ivGenerator = 99 }, { $0.ulTagBits = 8 },
      ] as [(inout CK_GCM_MESSAGE_PARAMS) -> Void] {
        let lie = Message(iv: [UInt8](0..<12))
        change(&lie.parameters)
        room = 1
        let result = lie.with { p11.C_EncryptMessage!(session, $0, $1, nil, 0, &plain, 1, &sealed, &room) }
        #expect(result == CKR_MECHANISM_PARAM_INVALID)
      }
      #expect(p11.C_SessionCancel!(session, CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT) == CKR_OK)
      #expect(p11.C_MessageDecryptFinal!(session) == CKR_OPERATION_NOT_INITIALIZED)
      let (_, mute) = generateKey(
        session, CKM_AES_KEY_GEN, [(CKA_VALUE_LEN, .number(16)), (CKA_ENCRYPT, .bool(false))])
      withMechanism(CKM_AES_GCM) {
        #expect(p11.C_MessageEncryptInit!(session, $0, mute) == CKR_KEY_FUNCTION_NOT_PERMITTED)
      }
    }
  }
}
