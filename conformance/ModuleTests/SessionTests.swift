import CCryptoki
import Testing

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
