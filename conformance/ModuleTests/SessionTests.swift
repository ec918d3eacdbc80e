import CCryptoki
import Foundation
import Synchronization
import Testing

/// Runs `body` on so many threads at once, with their numbers, and waits for all. What it captures may be let go of a little
/// later: it must not own the module.
private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  let group = DispatchGroup()
  for number in 0..<count {
    group.enter()
    Thread {
      body(number)
      group.leave()
    }.start()
  }
  group.wait()
}

/// What threads that call the module tell one another.
private final class Progress: Sendable {
  let handle = Atomic<UInt>(0)
  let count = Atomic<Int>(0)
  let isOver = Atomic<Bool>(false)
  let results = Mutex<Set<CK_RV>>([])

  func note(_ result: CK_RV) { results.withLock { _ = $0.insert(result) } }
}

extension ModuleSuite {
  @Suite struct Sessions {
    let module = InitializedModule()

    @Test("a session's state follows its mode and the login, in every session of the token")
    func states() {
      let readWrite = module.open()
      let readOnly = module.open(readWrite: false)
      #expect(module.state(readWrite) == CKS_RW_PUBLIC_SESSION)
      #expect(module.state(readOnly) == CKS_RO_PUBLIC_SESSION)
      #expect(module.login(readOnly) == CKR_OK)
      #expect(module.state(readWrite) == CKS_RW_USER_FUNCTIONS)
      #expect(module.state(readOnly) == CKS_RO_USER_FUNCTIONS)
      #expect(module.login(readWrite) == CKR_USER_ALREADY_LOGGED_IN)
      #expect(module.login(readWrite, TestStore.officerPIN, as: CKU_SO) == CKR_USER_ANOTHER_ALREADY_LOGGED_IN)
      #expect(p11.C_Logout!(readWrite) == CKR_OK)
      #expect(p11.C_Logout!(readWrite) == CKR_USER_NOT_LOGGED_IN)
      #expect(module.state(readOnly) == CKS_RO_PUBLIC_SESSION)
      #expect(module.login(readWrite, TestStore.officerPIN, as: CKU_SO) == CKR_SESSION_READ_ONLY_EXISTS)
      #expect(p11.C_CloseSession!(readOnly) == CKR_OK)
      #expect(module.login(readWrite, TestStore.officerPIN, as: CKU_SO) == CKR_OK)
      #expect(module.state(readWrite) == CKS_RW_SO_FUNCTIONS)
      var session: CK_SESSION_HANDLE = 0
      #expect(p11.C_OpenSession!(0, CKF_SERIAL_SESSION, nil, nil, &session) == CKR_SESSION_READ_WRITE_SO_EXISTS)
    }

    @Test("closing the last session logs out, closing another one does not")
    func lastSession() {
      let first = module.openAsUser()
      let second = module.open()
      #expect(p11.C_CloseSession!(first) == CKR_OK)
      #expect(module.state(second) == CKS_RW_USER_FUNCTIONS)
      #expect(p11.C_CloseSession!(second) == CKR_OK)
      let third = module.open()
      #expect(module.state(third) == CKS_RW_PUBLIC_SESSION)
      #expect(module.login(third) == CKR_OK)
      #expect(p11.C_CloseAllSessions!(0) == CKR_OK)
      #expect(module.state(third) == nil)
      #expect(module.state(module.open()) == CKS_RW_PUBLIC_SESSION)
    }

    @Test("a closed session's handle names nothing, also when its place is used again")
    func staleHandles() {
      let first = module.open()
      #expect(p11.C_CloseSession!(first) == CKR_OK)
      let second = module.open()
      #expect(first != second)
      var info = CK_SESSION_INFO()
      #expect(p11.C_GetSessionInfo!(first, &info) == CKR_SESSION_HANDLE_INVALID)
      #expect(p11.C_CloseSession!(first) == CKR_SESSION_HANDLE_INVALID)
      for handle: CK_SESSION_HANDLE in [0, 1, .max, second &+ 1, second ^ (1 << 40)] {
        #expect(p11.C_GetSessionInfo!(handle, &info) == CKR_SESSION_HANDLE_INVALID)
      }
    }

    @Test("a thousand sessions are told apart, and their handles name nothing once they are closed")
    func many() {
      let handles = (0..<1000).map { _ in module.open() }
      #expect(Set(handles).count == handles.count)
      for handle in handles.enumerated() where handle.offset % 3 == 0 {
        #expect(withMechanism(CKM_SHA256) { p11.C_DigestInit!(handle.element, $0) } == CKR_OK)
      }
      for handle in handles.enumerated() {
        let expected = handle.offset % 3 == 0 ? CKR_OPERATION_ACTIVE : CKR_OK
        #expect(withMechanism(CKM_SHA256) { p11.C_DigestInit!(handle.element, $0) } == expected)
      }
      #expect(p11.C_CloseAllSessions!(0) == CKR_OK)
      #expect(handles.allSatisfy { module.state($0) == nil })
      let next = (0..<1000).map { _ in module.open() }
      #expect(Set(handles).isDisjoint(with: next))
      #expect(next.allSatisfy { module.state($0) == CKS_RW_PUBLIC_SESSION })
    }

    @Test("a call with a handle that another thread closes meanwhile never reaches the session that comes after it")
    func closedMeanwhile() {
      /// What a digest of nothing is, or what it became by somebody else's data.
      @Sendable func digestOfNothing(_ session: CK_SESSION_HANDLE, after microseconds: UInt32) -> (CK_RV, [UInt8]) {
        let begun = withMechanism(CKM_SHA256) { p11.C_DigestInit!(session, $0) }
        if begun != CKR_OK { return (begun, []) }
        usleep(microseconds)
        return output { p11.C_DigestFinal!(session, $0, $1) }
      }
      let first = module.open()
      let (_, nothing) = digestOfNothing(first, after: 0)
      let progress = Progress()
      progress.handle.store(first, ordering: .relaxed)
      onThreads(4) { [unowned module] thread in
        guard thread == 0 else {
          // Long enough for the others, and for who closes the session, to wait for it.
          var bytes = [UInt8](repeating: 1, count: 1 << 17)
          while !progress.isOver.load(ordering: .relaxed) {
            let handle = progress.handle.load(ordering: .relaxed)
            var info = CK_SESSION_INFO()
            progress.note(withMechanism(CKM_SHA256) { p11.C_DigestInit!(handle, $0) })
            for _ in 0..<4 { progress.note(p11.C_DigestUpdate!(handle, &bytes, UInt(bytes.count))) }
            progress.note(p11.C_GetSessionInfo!(handle, &info))
            progress.note(p11.C_GenerateRandom!(handle, &bytes, 8))
            progress.count.add(1, ordering: .relaxed)
          }
          return
        }
        for _ in 0..<300 {
          let before = progress.count.load(ordering: .relaxed)
          while progress.count.load(ordering: .relaxed) == before { sched_yield() }
          let old = progress.handle.load(ordering: .relaxed)
          let closed = p11.C_CloseSession!(old)
          // In the place of the one before, and known to this thread alone.
          let next = module.open()
          let digest = digestOfNothing(next, after: 200)
          if closed != CKR_OK || digest != (CKR_OK, nothing) || module.state(old) != nil
            || p11.C_CloseSession!(next) != CKR_OK
          {
            progress.note(CKR_GENERAL_ERROR)
          }
          progress.handle.store(module.open(), ordering: .relaxed)
        }
        progress.isOver.store(true, ordering: .relaxed)
      }
      let possible: Set<CK_RV> = [
        CKR_OK, CKR_SESSION_HANDLE_INVALID, CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED,
      ]
      #expect(progress.results.withLock { $0 }.isSubset(of: possible))
    }

    @Test("C_Finalize ends sessions that calls are running in, and new ones take their places")
    func finalizedMeanwhile() {
      for _ in 0..<5 {
        let first = module.openAsUser()
        let key = genericKey(first)
        let progress = Progress()
        let sessions = (0..<3).map { _ in module.open() }
        onThreads(3) { thread in
          let session = sessions[thread]
          guard thread == 0 else {
            while !progress.isOver.load(ordering: .relaxed) {
              progress.note(withMechanism(CKM_SHA256_HMAC) { sign(session, $0, key, [1, 2, 3]).0 })
              progress.count.add(1, ordering: .relaxed)
            }
            return
          }
          while progress.count.load(ordering: .relaxed) < 100 { sched_yield() }
          if p11.C_Finalize!(nil) != CKR_OK { progress.note(CKR_GENERAL_ERROR) }
          progress.isOver.store(true, ordering: .relaxed)
        }
        let possible: Set<CK_RV> = [
          CKR_OK, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_SESSION_HANDLE_INVALID, CKR_DEVICE_REMOVED,
          CKR_OPERATION_NOT_INITIALIZED,
        ]
        #expect(progress.results.withLock { $0 }.isSubset(of: possible))
        #expect(p11.C_Initialize!(nil) == CKR_OK)
        #expect(module.state(first) == nil)
        let next = (0..<4).map { _ in module.open() }
        #expect(next.allSatisfy { module.state($0) == CKS_RW_PUBLIC_SESSION })
      }
    }

    @Test("session objects go with their session")
    func sessionObjects() {
      let first = module.openAsUser()
      let second = module.open()
      let key = aesKey(first, label: "goes")
      #expect(find(second, [(CKA_LABEL, .text("goes"))]) == [key])
      #expect(p11.C_CloseSession!(first) == CKR_OK)
      #expect(find(second, [(CKA_LABEL, .text("goes"))]) == [])
    }

    @Test("flags that C_OpenSession does not have are refused")
    func openFlags() {
      var session: CK_SESSION_HANDLE = 0
      #expect(p11.C_OpenSession!(0, 0, nil, nil, &session) == CKR_SESSION_PARALLEL_NOT_SUPPORTED)
      #expect(
        p11.C_OpenSession!(0, CKF_SERIAL_SESSION | CKF_ASYNC_SESSION, nil, nil, &session)
          == CKR_SESSION_ASYNC_NOT_SUPPORTED)
      #expect(p11.C_OpenSession!(0, CKF_SERIAL_SESSION | 1 << 40, nil, nil, &session) == CKR_ARGUMENTS_BAD)
      #expect(p11.C_OpenSession!(0, CKF_SERIAL_SESSION, nil, nil, nil) == CKR_ARGUMENTS_BAD)
      #expect(p11.C_OpenSession!(99, CKF_SERIAL_SESSION, nil, nil, &session) == CKR_SLOT_ID_INVALID)
    }

    @Test("wrong PINs are refused, and the right one still works after them")
    func wrongPINs() {
      let session = module.open()
      #expect(module.login(session, "wrong-pin") == CKR_PIN_INCORRECT)
      var token = CK_TOKEN_INFO()
      #expect(p11.C_GetTokenInfo!(0, &token) == CKR_OK)
      #expect(token.flags & CKF_USER_PIN_COUNT_LOW != 0)
      #expect(module.login(session, as: 77) == CKR_USER_TYPE_INVALID)
      #expect(module.login(session, as: .max) == CKR_USER_TYPE_INVALID)
      #expect(p11.C_Login!(session, CKU_USER, nil, 4) == CKR_ARGUMENTS_BAD)
      #expect(module.login(session) == CKR_OK)
      #expect(p11.C_GetTokenInfo!(0, &token) == CKR_OK)
      #expect(token.flags & CKF_USER_PIN_COUNT_LOW == 0)
    }

    @Test("a token with open sessions is not initialised again")
    func initTokenWithSessions() {
      let session = module.open()
      var label = [UInt8](repeating: 0x20, count: 32)
      var pin = Array(TestStore.officerPIN.utf8)
      #expect(p11.C_InitToken!(0, &pin, UInt(pin.count), &label) == CKR_SESSION_EXISTS)
      #expect(p11.C_CloseSession!(session) == CKR_OK)
    }

    @Test("a find operation gives each object once, and is one at a time")
    func finding() {
      let session = module.openAsUser()
      let keys = Set((0..<7).map { _ in aesKey(session, label: "found") })
      let found = find(session, [(CKA_LABEL, .text("found")), (CKA_CLASS, .number(CKO_SECRET_KEY))])
      #expect(found?.count == 7)
      #expect(Set(found ?? []) == keys)
      #expect(find(session, [(CKA_LABEL, .text("not there"))]) == [])
      #expect(p11.C_FindObjectsInit!(session, nil, 0) == CKR_OK)
      #expect(p11.C_FindObjectsInit!(session, nil, 0) == CKR_OPERATION_ACTIVE)
      var count: CK_ULONG = 0
      #expect(p11.C_FindObjects!(session, nil, 5, &count) == CKR_ARGUMENTS_BAD)
      #expect(p11.C_SessionCancel!(session, CKF_FIND_OBJECTS) == CKR_OK)
      #expect(p11.C_FindObjectsFinal!(session) == CKR_OPERATION_NOT_INITIALIZED)
    }
  }
}
