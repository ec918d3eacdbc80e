import CCryptoki
import Foundation
import Glibc
import Testing

extension ModuleSuite {
  @Suite struct Initialization {
    private static let withoutInitialization: Set<String> = [
      "C_Initialize", "C_GetFunctionList", "C_GetInterface", "C_GetInterfaceList",
    ]

    @Test("before C_Initialize every other function answers CKR_CRYPTOKI_NOT_INITIALIZED, whatever its arguments are")
    func notInitialized() {
      for fact in FunctionFact.all where !Self.withoutInitialization.contains(fact.name) {
        #expect(fact.call([]) == CKR_CRYPTOKI_NOT_INITIALIZED, "\(fact.name)")
        #expect(
          fact.call([UInt](repeating: .max, count: fact.parameterTypes.count)) == CKR_CRYPTOKI_NOT_INITIALIZED,
          "\(fact.name)")
      }
    }

    private func initialize(
      flags: UInt = 0, callbacks: Int = 0, reserved: UnsafeMutableRawPointer? = nil
    ) -> CK_RV {
      var arguments = CK_C_INITIALIZE_ARGS()
      arguments.flags = flags
      arguments.pReserved = reserved
      if callbacks > 0 { arguments.CreateMutex = { _ in CKR_OK } }
      if callbacks > 1 { arguments.DestroyMutex = { _ in CKR_OK } }
      if callbacks > 2 { arguments.LockMutex = { _ in CKR_OK } }
      if callbacks > 3 { arguments.UnlockMutex = { _ in CKR_OK } }
      return p11.C_Initialize!(&arguments)
    }

    @Test("arguments that the specification forbids are refused and leave the module as it was")
    func badArguments() {
      var something = 1
      #expect(initialize(reserved: &something) == CKR_ARGUMENTS_BAD)
      for count in 1...3 { #expect(initialize(flags: CKF_OS_LOCKING_OK, callbacks: count) == CKR_ARGUMENTS_BAD) }
      // The application's locks alone are not what this module locks with.
      #expect(initialize(callbacks: 4) == CKR_CANT_LOCK)
      var info = CK_INFO()
      #expect(p11.C_GetInfo!(&info) == CKR_CRYPTOKI_NOT_INITIALIZED)
    }

    @Test(
      "each way of locking that the module can follow is accepted", arguments: [(0, 0), (1, 0), (2, 0), (3, 0), (2, 4)])
    func locking(_ flags: UInt, _ callbacks: Int) {
      _ = TestStore.shared
      #expect(initialize(flags: flags, callbacks: callbacks) == CKR_OK)
      #expect(p11.C_Finalize!(nil) == CKR_OK)
    }

    @Test("a second C_Initialize is refused, a second C_Finalize too, and both work again afterwards")
    func twice() {
      _ = TestStore.shared
      for _ in 0..<3 {
        #expect(p11.C_Initialize!(nil) == CKR_OK)
        #expect(p11.C_Initialize!(nil) == CKR_CRYPTOKI_ALREADY_INITIALIZED)
        var something = 1
        #expect(p11.C_Finalize!(&something) == CKR_ARGUMENTS_BAD)
        #expect(p11.C_Finalize!(nil) == CKR_OK)
        #expect(p11.C_Finalize!(nil) == CKR_CRYPTOKI_NOT_INITIALIZED)
      }
    }

    @Test("of eight first calls at once exactly one initialises")
    func concurrently() async {
      _ = TestStore.shared
      let results = await withTaskGroup(of: CK_RV.self) { group in
        for _ in 0..<8 { group.addTask { p11.C_Initialize!(nil) } }
        return await group.reduce(into: [CK_RV]()) { $0.append($1) }
      }
      #expect(results.filter { $0 == CKR_OK }.count == 1)
      #expect(results.filter { $0 == CKR_CRYPTOKI_ALREADY_INITIALIZED }.count == 7)
      #expect(p11.C_Finalize!(nil) == CKR_OK)
    }

    @Test("a configuration with an unknown key keeps C_Initialize from working")
    func badConfiguration() throws {
      _ = TestStore.shared
      let before = String(cString: getenv("STRONGROOM_CONF"))
      let path = TestStore.shared.folder + "/bad.conf"
      try "store = \(TestStore.shared.folder)/store\nno-such-key = 1\n".write(
        toFile: path, atomically: true, encoding: .utf8)
      setenv("STRONGROOM_CONF", path, 1)
      defer { setenv("STRONGROOM_CONF", before, 1) }
      #expect(p11.C_Initialize!(nil) == CKR_GENERAL_ERROR)
      var info = CK_INFO()
      #expect(p11.C_GetInfo!(&info) == CKR_CRYPTOKI_NOT_INITIALIZED)
    }

    @Test("the information strings are padded with blanks and hold no NUL")
    func information() {
      let module = InitializedModule()
      defer { withExtendedLifetime(module) {} }
      var info = CK_INFO()
      #expect(p11.C_GetInfo!(&info) == CKR_OK)
      #expect(info.cryptokiVersion.major == 3 && info.cryptokiVersion.minor == 2)
      let manufacturer = withUnsafeBytes(of: info.manufacturerID) { String(decoding: $0, as: UTF8.self) }
      #expect(manufacturer == "Strongroom" + String(repeating: " ", count: 22))
      var slot = CK_SLOT_INFO()
      #expect(p11.C_GetSlotInfo!(0, &slot) == CKR_OK)
      #expect(slot.flags == CKF_TOKEN_PRESENT)
      var token = CK_TOKEN_INFO()
      #expect(p11.C_GetTokenInfo!(0, &token) == CKR_OK)
      #expect(token.flags & CKF_TOKEN_INITIALIZED != 0)
      #expect(withUnsafeBytes(of: token.label) { String(decoding: $0, as: UTF8.self) }.hasPrefix("test    "))
      #expect(withUnsafeBytes(of: token) { !$0[..<96].contains(0) })
      #expect(p11.C_GetTokenInfo!(12345, &token) == CKR_SLOT_ID_INVALID)
      #expect(p11.C_GetTokenInfo!(.max, &token) == CKR_SLOT_ID_INVALID)
      #expect(p11.C_GetInfo!(nil) == CKR_ARGUMENTS_BAD)
    }

    @Test("the mechanism list tells its length, and each mechanism in it has information")
    func mechanisms() {
      let module = InitializedModule()
      defer { withExtendedLifetime(module) {} }
      var count: CK_ULONG = 0
      #expect(p11.C_GetMechanismList!(0, nil, &count) == CKR_OK)
      #expect(count > 50)
      var types = [CK_MECHANISM_TYPE](repeating: 0, count: Int(count))
      var short = count - 1
      #expect(p11.C_GetMechanismList!(0, &types, &short) == CKR_BUFFER_TOO_SMALL)
      #expect(short == count)
      #expect(p11.C_GetMechanismList!(0, &types, &count) == CKR_OK)
      var info = CK_MECHANISM_INFO()
      for type in types {
        #expect(p11.C_GetMechanismInfo!(0, type, &info) == CKR_OK)
        #expect(info.flags != 0)
        #expect(info.ulMinKeySize <= info.ulMaxKeySize)
      }
      #expect(types.contains(CKM_AES_GCM))
      #expect(p11.C_GetMechanismInfo!(0, CKM_DES3_CBC, &info) == CKR_MECHANISM_INVALID)
      #expect(p11.C_GetMechanismInfo!(0, .max, &info) == CKR_MECHANISM_INVALID)
    }

    @Test("nobody waits for a slot event that is not to be waited for, and C_Finalize ends the waiting")
    func slotEvents() async {
      let module = InitializedModule()
      var slot: CK_SLOT_ID = 0
      #expect(p11.C_WaitForSlotEvent!(CKF_DONT_BLOCK, &slot, nil) == CKR_NO_EVENT)
      #expect(p11.C_WaitForSlotEvent!(CKF_DONT_BLOCK, nil, nil) == CKR_ARGUMENTS_BAD)
      var something = 1
      #expect(p11.C_WaitForSlotEvent!(CKF_DONT_BLOCK, &slot, &something) == CKR_ARGUMENTS_BAD)
      let waiting = Task.detached { () -> CK_RV in
        var slot: CK_SLOT_ID = 0
        return p11.C_WaitForSlotEvent!(0, &slot, nil)
      }
      try? await Task.sleep(for: .milliseconds(50))
      _ = consume module
      #expect(await waiting.value == CKR_CRYPTOKI_NOT_INITIALIZED)
    }
  }
}
