import CCryptoki
import Foundation
import Glibc
import Synchronization
import Testing

/// Calls that went wrong, counted by several threads, and the sign for them to stop.
private final class Counter: Sendable {
  private let state = Mutex((count: 0, isStopped: false))
  var count: Int { state.withLock { $0.count } }
  var isStopped: Bool { state.withLock { $0.isStopped } }
  func add() { state.withLock { $0.count += 1 } }
  func stop() { state.withLock { $0.isStopped = true } }
}

extension ModuleSuite {
  @Suite struct Processes {
    @Test("a child of fork starts afresh, and its parent's session and operation go on undisturbed")
    func forkInMidSession() async {
      _ = TestStore.shared
      await #expect(processExitsWith: .success) {
        let module = InitializedModule()
        let session = module.openAsUser()
        let key = genericKey(session)
        var data: [UInt8] = [1, 2, 3]
        let expected = withMechanism(CKM_SHA256_HMAC) { sign(session, $0, key, [1, 2, 3]).1 }
        withMechanism(CKM_SHA256_HMAC) { require(p11.C_SignInit!(session, $0, key) == CKR_OK, "C_SignInit") }
        require(p11.C_SignUpdate!(session, &data, 3) == CKR_OK, "C_SignUpdate")
        let child = forkProcess()
        if child == 0 {
          var info = CK_SESSION_INFO()
          require(p11.C_GetSessionInfo!(session, &info) == CKR_CRYPTOKI_NOT_INITIALIZED, "inherited")
          require(p11.C_Finalize!(nil) == CKR_CRYPTOKI_NOT_INITIALIZED, "C_Finalize")
          require(p11.C_Initialize!(nil) == CKR_OK, "C_Initialize in the child")
          require(p11.C_GetSessionInfo!(session, &info) == CKR_SESSION_HANDLE_INVALID, "inherited handle")
          let own = module.open()
          require(module.state(own) == CKS_RW_PUBLIC_SESSION, "login inherited")
          require(module.login(own) == CKR_OK, "C_Login in the child")
          let ownKey = genericKey(own)
          withMechanism(CKM_SHA256_HMAC) { require(sign(own, $0, ownKey, [9]).0 == CKR_OK, "C_Sign in the child") }
          require(p11.C_Finalize!(nil) == CKR_OK, "C_Finalize in the child")
          _exit(0)
        }
        require(status(of: child) == 0, "the child failed")
        let (result, signature) = output { p11.C_SignFinal!(session, $0, $1) }
        require(result == CKR_OK && signature == expected, "the parent's operation: \(name(result))")
        require(module.state(session) == CKS_RW_USER_FUNCTIONS, "the parent's login")
      }
    }

    @Test("the death of the secure world gives CKR_DEVICE_REMOVED, and the next session works")
    func secureWorldKilled() async {
      _ = TestStore.shared
      await #expect(processExitsWith: .success) {
        let module = InitializedModule()
        let session = module.openAsUser()
        let key = aesKey(session, token: true, label: "survives")
        require(key != 0, "key")
        guard let world = TestStore.shared.secureWorld else { return require(false, "no secure world") }
        require(kill(world, SIGKILL) == 0, "kill")
        usleep(100_000)
        withMechanism(CKM_AES_ECB) {
          require(encrypt(session, $0, key, [UInt8](repeating: 0, count: 16)).0 == CKR_DEVICE_REMOVED, "C_Encrypt")
        }
        var info = CK_SESSION_INFO()
        require(p11.C_GetSessionInfo!(session, &info) == CKR_DEVICE_REMOVED, "C_GetSessionInfo")
        let next = module.open()
        require(module.state(next) == CKS_RW_PUBLIC_SESSION, "state")
        require(p11.C_CloseSession!(session) == CKR_OK, "C_CloseSession of the dead session")
        require(module.login(next) == CKR_OK, "C_Login")
        require(find(next, [(CKA_LABEL, .text("survives"))])?.count ?? 0 >= 1, "the committed key is lost")
        require(TestStore.shared.secureWorld != world, "the same process")
      }
    }

    @Test("a call in flight when the secure world dies comes back with CKR_DEVICE_REMOVED")
    func killedInFlight() async {
      _ = TestStore.shared
      await #expect(processExitsWith: .success) {
        let module = InitializedModule()
        let session = module.openAsUser()
        let key = aesKey(session)
        guard let world = TestStore.shared.secureWorld else { return require(false, "no secure world") }
        let killer = Thread {
          usleep(50_000)
          kill(world, SIGKILL)
        }
        killer.start()
        let data = [UInt8](repeating: 1, count: 8 << 20)
        let begin = Date()
        var result = CKR_OK
        while result == CKR_OK, Date().timeIntervalSince(begin) < 10 {
          result = withMechanism(CKM_AES_CBC_PAD, [UInt8](repeating: 1, count: 16)) {
            encrypt(session, $0, key, data).0
          }
        }
        require(result == CKR_DEVICE_REMOVED, name(result))
      }
    }

    @Test("children that are forked while threads work start afresh, and the threads go on")
    func forkUnderLoad() async {
      _ = TestStore.shared
      await #expect(processExitsWith: .success) {
        let module = InitializedModule()
        let key = genericKey(module.openAsUser())
        let wrong = Counter()
        let threads = (0..<4).map { _ in
          Thread {
            let session = module.open()
            while !wrong.isStopped {
              let signed = withMechanism(CKM_SHA256_HMAC) { sign(session, $0, key, [1, 2, 3]).0 }
              if signed != CKR_OK { wrong.add() }
            }
          }
        }
        for thread in threads { thread.start() }
        for round in 0..<20 {
          let child = forkProcess()
          if child == 0 {
            require(p11.C_Initialize!(nil) == CKR_OK, "C_Initialize in child \(round)")
            let own = module.open()
            var bytes = [UInt8](repeating: 0, count: 32)
            require(p11.C_GenerateRandom!(own, &bytes, 32) == CKR_OK, "C_GenerateRandom in child \(round)")
            require(p11.C_Finalize!(nil) == CKR_OK, "C_Finalize in child \(round)")
            _exit(0)
          }
          require(status(of: child) == 0, "child \(round) failed or hangs")
        }
        wrong.stop()
        usleep(100_000)
        require(wrong.count == 0, "\(wrong.count) calls of the parent failed")
      }
    }

    @Test("a client that is killed in the middle of its work disturbs nobody")
    func clientKilled() async {
      _ = TestStore.shared
      await #expect(processExitsWith: .success) {
        let module = InitializedModule()
        let session = module.openAsUser()
        let key = aesKey(session)
        for _ in 0..<5 {
          let child = forkProcess()
          if child == 0 {
            require(p11.C_Initialize!(nil) == CKR_OK, "C_Initialize in the child")
            let own = module.openAsUser()
            let ownKey = aesKey(own, token: true, label: "half")
            let data = [UInt8](repeating: 1, count: 4 << 20)
            while true {
              withMechanism(CKM_AES_CBC_PAD, [UInt8](repeating: 1, count: 16)) { _ = encrypt(own, $0, ownKey, data) }
            }
          }
          usleep(200_000)
          kill(child, SIGKILL)
          var bits: Int32 = 0
          waitpid(child, &bits, 0)
          withMechanism(CKM_AES_CBC_PAD, [UInt8](repeating: 1, count: 16)) {
            let encrypted = encrypt(session, $0, key, [1, 2, 3])
            require(encrypted.0 == CKR_OK, "C_Encrypt: \(name(encrypted.0))")
            require(decrypt(session, $0, key, encrypted.1) == (CKR_OK, [1, 2, 3]), "C_Decrypt")
          }
        }
        require((find(session, [(CKA_LABEL, .text("half"))])?.count ?? 0) > 0, "the children did nothing")
      }
    }

    @Test("two processes see the same token at once")
    func twoProcesses() async {
      let module = InitializedModule()
      let session = module.openAsUser()
      let key = aesKey(session, token: true, label: "shared")
      let own = aesKey(session, label: "own")
      #expect(key != own)
      // From now on this process knows the key.
      withMechanism(CKM_AES_ECB) {
        #expect(encrypt(session, $0, key, [UInt8](repeating: 0, count: 16)).0 == CKR_OK)
      }
      await #expect(processExitsWith: .success) {
        let module = InitializedModule()
        let session = module.open()
        require(find(session, [(CKA_LABEL, .text("shared"))]) == [], "a private object without a login")
        require(module.login(session) == CKR_OK, "C_Login")
        guard let keys = find(session, [(CKA_LABEL, .text("shared"))]), let key = keys.first else {
          return require(false, "the other process's token object is not there")
        }
        require(find(session, [(CKA_LABEL, .text("own"))]) == [], "the other process's session object is seen")
        withMechanism(CKM_AES_ECB) {
          require(encrypt(session, $0, key, [UInt8](repeating: 0, count: 16)).0 == CKR_OK, "C_Encrypt")
        }
        require(p11.C_DestroyObject!(session, key) == CKR_OK, "C_DestroyObject")
      }
      // What the other process destroyed is gone here, although this process knew the key.
      withMechanism(CKM_AES_ECB) { #expect(p11.C_EncryptInit!(session, $0, key) == CKR_KEY_HANDLE_INVALID) }
      #expect(find(session, [(CKA_LABEL, .text("shared"))]) == [])
    }
  }
}
