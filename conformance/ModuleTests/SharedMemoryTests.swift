import CCryptoki
import Glibc
import Testing

/// Memory from AllocateSharedMemory.
private func share(_ byteCount: Int) -> UnsafeMutableBufferPointer<UInt8> {
  var memory: UnsafeMutablePointer<UInt8>?
  let result = vendor.AllocateSharedMemory!(UInt(byteCount), 0, &memory)
  require(result == CKR_OK && memory != nil, "AllocateSharedMemory: \(name(result))")
  return UnsafeMutableBufferPointer(start: memory, count: byteCount)
}

private func giveBack(_ memory: UnsafeMutableBufferPointer<UInt8>) {
  let result = vendor.FreeSharedMemory!(memory.baseAddress)
  require(result == CKR_OK, "FreeSharedMemory: \(name(result))")
}

private func content(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }

/// Lends CKM_AES_GCM.
private func withGCM<R>(_ aad: [UInt8] = [7], _ body: (UnsafeMutablePointer<CK_MECHANISM>) -> R) -> R {
  var (iv, aad) = ([UInt8](repeating: 3, count: 12), aad)
  let aadCount = UInt(aad.count)
  return iv.withUnsafeMutableBufferPointer { iv in
    aad.withUnsafeMutableBufferPointer { aad in
      withMechanism(
        CKM_AES_GCM,
        CK_GCM_PARAMS(
          pIv: iv.baseAddress, ulIvLen: 12, ulIvBits: 96, pAAD: aad.baseAddress, ulAADLen: aadCount, ulTagBits: 128),
        body)
    }
  }
}

/// Lends a mechanism by name.
private func withCipher<R>(_ name: String, _ body: (UnsafeMutablePointer<CK_MECHANISM>) -> R) -> R {
  let iv = [UInt8](repeating: 9, count: 16)
  return switch name {
  case "GCM": withGCM { body($0) }
  case "CTR":
    withMechanism(CKM_AES_CTR, withUnsafeBytes(of: UInt(64)) { [UInt8]($0) } + iv, body)
  case "CBC": withMechanism(CKM_AES_CBC, iv, body)
  case "CBC-PAD": withMechanism(CKM_AES_CBC_PAD, iv, body)
  default: withMechanism(CKM_AES_ECB, [], body)
  }
}

extension ModuleSuite {
  @Suite struct SharedMemory {
    let module = InitializedModule()

    @Test(
      "ciphers give the same wherever their input and output lie", arguments: ["GCM", "CTR", "CBC", "CBC-PAD", "ECB"])
    func ciphers(cipher: String) {
      let session = module.openAsUser()
      let key = aesKey(session)
      let (first, second) = (share(3 << 20), share(3 << 20))
      let ordinary = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 3 << 20)
      defer {
        giveBack(first)
        giveBack(second)
        ordinary.deallocate()
      }
      for count in [4096, 65_536, 2_100_000] {
        let plaintext = content(count)
        let ciphertext = withCipher(cipher) { encrypt(session, $0, key, plaintext).1 }
        #expect(ciphertext.count >= count)
        let room = ciphertext.count
        /// Runs one way from one place to another; answers what lies there.
        func run(
          _ data: [UInt8], _ from: UnsafeMutableBufferPointer<UInt8>, _ to: UnsafeMutableBufferPointer<UInt8>,
          _ begin: Init,
          _ call: (UInt, UnsafeMutablePointer<UInt8>?, UInt, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<UInt>?)
            -> CK_RV
        ) -> [UInt8] {
          _ = from.update(fromContentsOf: data)
          withCipher(cipher) { #expect(begin(session, $0, key) == CKR_OK) }
          var length = UInt(room)
          #expect(call(session, from.baseAddress, UInt(data.count), to.baseAddress, &length) == CKR_OK)
          return Array(to.prefix(Int(length)))
        }
        let apart = UnsafeMutableBufferPointer(rebasing: first[2_200_000 - 13..<(3 << 20)])
        for (from, to) in [(first, second), (first, first), (ordinary, first), (first, ordinary)] {
          let sealed = run(
            plaintext, from, to, { p11.C_EncryptInit!($0, $1, $2) }, { p11.C_Encrypt!($0, $1, $2, $3, $4) })
          #expect(sealed == ciphertext, "\(count)")
          let opened = run(
            ciphertext, from, to, { p11.C_DecryptInit!($0, $1, $2) }, { p11.C_Decrypt!($0, $1, $2, $3, $4) })
          #expect(opened == plaintext, "\(count)")
        }
        if count < 800_000 {
          // One memory, two ranges, unaligned; and an output that overlaps the end of the input.
          let sealed = run(
            plaintext, first, apart, { p11.C_EncryptInit!($0, $1, $2) }, { p11.C_Encrypt!($0, $1, $2, $3, $4) })
          #expect(sealed == ciphertext)
          let shifted = UnsafeMutableBufferPointer(rebasing: first[1000...])
          let moved = run(
            plaintext, first, shifted, { p11.C_EncryptInit!($0, $1, $2) }, { p11.C_Encrypt!($0, $1, $2, $3, $4) })
          #expect(moved == ciphertext)
        }
        // In parts, of which each lies there.
        _ = first.update(fromContentsOf: plaintext)
        withCipher(cipher) { #expect(p11.C_EncryptInit!(session, $0, key) == CKR_OK) }
        var written = 0
        for start in stride(from: 0, to: count, by: 50_001) {
          var length = UInt(second.count - written)
          let part = min(50_001, count - start)
          #expect(
            p11.C_EncryptUpdate!(
              session, first.baseAddress! + start, UInt(part), second.baseAddress! + written, &length) == CKR_OK)
          written += Int(length)
        }
        var length = UInt(second.count - written)
        let result = p11.C_EncryptFinal!(session, second.baseAddress! + written, &length)
        if cipher == "CBC" || cipher == "ECB", count % 16 != 0 {
          #expect(result == CKR_DATA_LEN_RANGE)
        } else {
          #expect(result == CKR_OK)
          #expect(second.prefix(written + Int(length)).elementsEqual(ciphertext))
        }
      }
    }

    @Test("a forged GCM ciphertext shows nothing of its plaintext and changes nothing, in place or apart")
    func forgery() {
      let session = module.openAsUser()
      let key = aesKey(session)
      for count in [5000, 300_000, 2_500_000] {
        var ciphertext = withGCM { encrypt(session, $0, key, content(count)).1 }
        ciphertext[count / 2] ^= 1
        let (from, to) = (share(count + 16), share(count))
        defer {
          giveBack(from)
          giveBack(to)
        }
        for target in [to, UnsafeMutableBufferPointer(rebasing: from[..<count])] {
          _ = from.update(fromContentsOf: ciphertext)
          to.update(repeating: 0xa5)
          var length = UInt(count)
          withGCM { #expect(p11.C_DecryptInit!(session, $0, key) == CKR_OK) }
          #expect(
            p11.C_Decrypt!(session, from.baseAddress, UInt(count + 16), target.baseAddress, &length)
              == CKR_ENCRYPTED_DATA_INVALID)
          #expect(from.elementsEqual(ciphertext))
          #expect(to.allSatisfy { $0 == 0xa5 })
        }
      }
    }

    @Test("messages, signatures and verifications take their data from there")
    func otherFunctions() {
      let session = module.openAsUser()
      let (key, mac) = (aesKey(session), genericKey(session))
      let memory = share(1 << 20)
      defer { giveBack(memory) }
      let data = content(400_000)
      _ = memory.update(fromContentsOf: data)
      let signature = withMechanism(CKM_SHA256_HMAC) { sign(session, $0, mac, data).1 }
      withMechanism(CKM_SHA256_HMAC) { #expect(p11.C_SignInit!(session, $0, mac) == CKR_OK) }
      let again = output { p11.C_Sign!(session, memory.baseAddress, 400_000, $0, $1) }
      #expect(again == (CKR_OK, signature))
      // The signature lies behind the data, in the same memory.
      _ = memory[400_000...].update(fromContentsOf: signature)
      for (change, expected) in [(UInt8(0), CKR_OK), (1, CKR_SIGNATURE_INVALID)] {
        memory[399_999] ^= change
        withMechanism(CKM_SHA256_HMAC) { #expect(p11.C_VerifyInit!(session, $0, mac) == CKR_OK) }
        #expect(p11.C_Verify!(session, memory.baseAddress, 400_000, memory.baseAddress! + 400_000, 32) == expected)
      }
      memory[399_999] ^= 1

      withMechanism(CKM_AES_GCM) {
        #expect(p11.C_MessageEncryptInit!(session, $0, key) == CKR_OK)
        #expect(p11.C_MessageDecryptInit!(session, $0, key) == CKR_OK)
      }
      let ciphertext = withGCM(Array(data.prefix(5000))) { encrypt(session, $0, key, Array(data.dropFirst(5000))).1 }
      var (iv, tag) = ([UInt8](repeating: 3, count: 12), [UInt8](repeating: 0, count: 16))
      iv.withUnsafeMutableBufferPointer { iv in
        tag.withUnsafeMutableBufferPointer { tag in
          var parameters = CK_GCM_MESSAGE_PARAMS(
            pIv: iv.baseAddress, ulIvLen: 12, ulIvFixedBits: 0, ivGenerator: CKG_NO_GENERATE, pTag: tag.baseAddress,
            ulTagBits: 128)
          let size = UInt(MemoryLayout<CK_GCM_MESSAGE_PARAMS>.size)
          // Associated data and message are neighbours; the message is worked on in place.
          let body = memory.baseAddress! + 5000
          var length: UInt = 395_000
          #expect(
            p11.C_EncryptMessage!(
              session, &parameters, size, memory.baseAddress, 5000, body, 395_000, body, &length) == CKR_OK)
          #expect(memory[5000..<400_000].elementsEqual(ciphertext.dropLast(16)))
          #expect(tag.elementsEqual(ciphertext.suffix(16)))
          tag[0] ^= 1
          #expect(
            p11.C_DecryptMessage!(
              session, &parameters, size, memory.baseAddress, 5000, body, 395_000, body, &length)
              == CKR_AEAD_DECRYPT_FAILED)
          #expect(memory[5000..<400_000].elementsEqual(ciphertext.dropLast(16)))
          tag[0] ^= 1
          #expect(
            p11.C_DecryptMessage!(
              session, &parameters, size, memory.baseAddress, 5000, body, 395_000, body, &length) == CKR_OK)
          #expect(memory.prefix(400_000).elementsEqual(data))
        }
      }
    }

    @Test("no size, flags, no place for the answer, what is none of it, and more than a client may share are refused")
    func arguments() {
      var memory: UnsafeMutablePointer<UInt8>?
      #expect(vendor.AllocateSharedMemory!(0, 0, &memory) == CKR_ARGUMENTS_BAD)
      #expect(vendor.AllocateSharedMemory!(1, 1, &memory) == CKR_ARGUMENTS_BAD)
      #expect(vendor.AllocateSharedMemory!(1, 0, nil) == CKR_ARGUMENTS_BAD)
      for size in [(256 << 20) + 1, 1 << 62, UInt(Int.max), .max] {
        #expect(vendor.AllocateSharedMemory!(size, 0, &memory) == CKR_DEVICE_MEMORY)
      }
      #expect(memory == nil)
      let shared = share(5000)
      #expect(UInt(bitPattern: shared.baseAddress) % 4096 == 0)
      #expect(shared.allSatisfy { $0 == 0 })
      #expect(vendor.FreeSharedMemory!(nil) == CKR_ARGUMENTS_BAD)
      #expect(vendor.FreeSharedMemory!(shared.baseAddress! + 1) == CKR_ARGUMENTS_BAD)
      #expect(vendor.FreeSharedMemory!(shared.baseAddress) == CKR_OK)
      #expect(vendor.FreeSharedMemory!(shared.baseAddress) == CKR_ARGUMENTS_BAD)
    }

    @Test("the module touches neither input nor output: an application that has unmapped them still gets its answer")
    func untouched() async {
      _ = TestStore.shared
      await #expect(processExitsWith: .success) {
        let module = InitializedModule()
        let session = module.openAsUser()
        let key = aesKey(session)
        let memory = share(1 << 20)
        require(munmap(memory.baseAddress, 1 << 20) == 0, "munmap")
        var length: UInt = 1 << 20
        withCipher("CTR") { require(p11.C_EncryptInit!(session, $0, key) == CKR_OK, "C_EncryptInit") }
        let result = p11.C_Encrypt!(session, memory.baseAddress, 1 << 20, memory.baseAddress, &length)
        require(result == CKR_OK && length == 1 << 20, "C_Encrypt: \(name(result))")
        giveBack(memory)
        require(p11.C_Finalize!(nil) == CKR_OK, "C_Finalize")
      }
    }

    @Test("C_Finalize gives all of it back")
    func finalized() async {
      _ = TestStore.shared
      await #expect(processExitsWith: .success) {
        let module = InitializedModule()
        require(vendor.FreeSharedMemory!(nil) == CKR_ARGUMENTS_BAD, "initialised")
        for _ in 0..<3 {
          let memory = share(200 << 20)
          memory[0] = 1
          require(p11.C_Finalize!(nil) == CKR_OK, "C_Finalize")
          require(vendor.FreeSharedMemory!(memory.baseAddress) == CKR_CRYPTOKI_NOT_INITIALIZED, "FreeSharedMemory")
          require(madvise(memory.baseAddress, 4096, 0) < 0 && errno == ENOMEM, "still mapped")
          require(p11.C_Initialize!(nil) == CKR_OK, "C_Initialize")
          require(vendor.FreeSharedMemory!(memory.baseAddress) == CKR_ARGUMENTS_BAD, "known after C_Finalize")
        }
        _ = module.open()
      }
    }

    @Test("a child of fork does not have it, and gets its own; its parent goes on")
    func forked() async {
      _ = TestStore.shared
      await #expect(processExitsWith: .success) {
        let module = InitializedModule()
        let session = module.openAsUser()
        let key = aesKey(session)
        let memory = share(100_000)
        memory.update(repeating: 7)
        let expected = withCipher("CTR") { encrypt(session, $0, key, [UInt8](repeating: 7, count: 100_000)).1 }
        let child = forkProcess()
        if child == 0 {
          require(madvise(memory.baseAddress, 4096, 0) < 0 && errno == ENOMEM, "inherited")
          require(p11.C_Initialize!(nil) == CKR_OK, "C_Initialize in the child")
          require(vendor.FreeSharedMemory!(memory.baseAddress) == CKR_ARGUMENTS_BAD, "the parent's memory")
          let own = share(100_000)
          own.update(repeating: 8)
          giveBack(own)
          _exit(0)
        }
        require(status(of: child) == 0, "the child failed")
        var length: UInt = 100_000
        withCipher("CTR") { require(p11.C_EncryptInit!(session, $0, key) == CKR_OK, "C_EncryptInit") }
        let result = p11.C_Encrypt!(session, memory.baseAddress, 100_000, memory.baseAddress, &length)
        require(result == CKR_OK && memory.elementsEqual(expected), "the parent's memory: \(name(result))")
        giveBack(memory)
      }
    }

    @Test("when the secure world dies it goes on as ordinary memory, and new memory is shared with the next one")
    func secureWorldKilled() async {
      _ = TestStore.shared
      await #expect(processExitsWith: .success) {
        let module = InitializedModule()
        let session = module.openAsUser()
        let memory = share(100_000)
        memory.update(repeating: 7)
        guard let world = TestStore.shared.secureWorld else { return require(false, "no secure world") }
        require(kill(world, SIGKILL) == 0, "kill")
        usleep(100_000)
        require(memory.allSatisfy { $0 == 7 }, "the content")
        let next = module.open()
        require(next != session && module.login(next) == CKR_OK, "C_Login")
        let key = aesKey(next)
        let expected = withCipher("CTR") { encrypt(next, $0, key, [UInt8](repeating: 7, count: 100_000)).1 }
        for target in [memory, share(100_000)] {
          target.update(repeating: 7)
          var length: UInt = 100_000
          withCipher("CTR") { require(p11.C_EncryptInit!(next, $0, key) == CKR_OK, "C_EncryptInit") }
          let result = p11.C_Encrypt!(next, target.baseAddress, 100_000, target.baseAddress, &length)
          require(result == CKR_OK && target.elementsEqual(expected), "C_Encrypt: \(name(result))")
          giveBack(target)
        }
      }
    }
  }
}
