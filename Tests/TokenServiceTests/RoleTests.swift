import Cryptoki
import Mechanisms
import Testing
import TokenProtocol

@testable import TokenService

@Suite("Roles")
struct RoleTests {
  private func flags(_ bench: TokenBench) throws -> TokenFlags {
    TokenFlags(rawValue: UInt(try bench.guest(700).information.flags))
  }

  @Test("a new slot holds a token that is not initialised and lets nobody in")
  func uninitialized() throws {
    let bench = try TokenBench(initialized: false)
    let information = try bench.guest().information
    #expect(try !flags(bench).contains(.tokenInitialized))
    #expect(try !flags(bench).contains(.userPINInitialized))
    #expect(information.serialNumber.count == 16)
    #expect(information.label == [UInt8](repeating: 0x20, count: 32))
    let guest = bench.guest()
    #expect(outcome { () throws(ReturnValue) in try guest.logIn(.user, "1234") } == .userPINNotInitialized)
    guest.closeAll()
    #expect(outcome { () throws(ReturnValue) in try bench.initialize(pin: "123") } == .pinLenRange)
    #expect(
      outcome { () throws(ReturnValue) in try bench.initialize(pin: String(repeating: "x", count: 256)) }
        == .pinLenRange)
    try bench.initialize()
    #expect(try flags(bench).contains(.tokenInitialized))
    #expect(try bench.guest().information.serialNumber == information.serialNumber)
    #expect(outcome { () throws(ReturnValue) in try guest.logIn(.user, "1234") } == .userPINNotInitialized)
    try bench.reopen()
    #expect(try bench.guest().information.serialNumber == information.serialNumber)
    #expect(try flags(bench).contains(.tokenInitialized))
  }

  @Test("initialising again needs the officer's PIN and no sessions, and takes all objects and the user's PIN")
  func initializeAgain() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let key = try user.aes([.onToken])
    _ = try user.create([.of(.data), .onToken])
    #expect(outcome { () throws(ReturnValue) in try bench.initialize() } == .sessionExists)
    user.closeAll()
    #expect(outcome { () throws(ReturnValue) in try bench.initialize(pin: "wrong-pin") } == .pinIncorrect)
    #expect(try flags(bench).contains(.soPINCountLow))
    try bench.initialize(label: "again")
    #expect(try !flags(bench).contains(.soPINCountLow))
    #expect(try !flags(bench).contains(.userPINInitialized))
    let guest = bench.guest()
    #expect(try guest.find() == guest.find([.of(.profile)]))
    #expect(outcome { () throws(ReturnValue) in try guest.get(key, .label) } == .objectHandleInvalid)
    guest.closeAll()
    try bench.reopen()
    #expect(try bench.guest().find([.of(.data)]).isEmpty)
  }

  @Test("logins exclude each other as the specification says")
  func loginStates() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    #expect(outcome { () throws(ReturnValue) in try user.logIn(.user, TokenBench.userPIN) } == .userAlreadyLoggedIn)
    #expect(
      outcome { () throws(ReturnValue) in try user.logIn(.so, TokenBench.officerPIN) } == .userAnotherAlreadyLoggedIn)
    #expect(
      outcome { () throws(ReturnValue) in try user.logIn(UserType(rawValue: 9), TokenBench.userPIN) }
        == .userTypeInvalid)
    try user.logOut()
    #expect(outcome { () throws(ReturnValue) in try user.logOut() } == .userNotLoggedIn)
    // One client's login is not another's.
    let officer = try bench.officer()
    #expect(
      outcome { () throws(ReturnValue) in try officer.logIn(.user, TokenBench.userPIN) } == .userAnotherAlreadyLoggedIn)
    try user.logIn(.user, TokenBench.userPIN)
    try user.logOut()
    let readOnly = user.inSession(5, readWrite: false)
    #expect(
      outcome { () throws(ReturnValue) in try readOnly.logIn(.so, TokenBench.officerPIN) } == .sessionReadOnlyExists)
    let login = Login(
      session: user.session, userType: .so, pin: Array(TokenBench.officerPIN.utf8), hasReadOnlySessions: true)
    #expect(user.ask(.login, login).value == .sessionReadOnlyExists)
  }

  @Test("what a session may make and destroy follows from its kind and the login")
  func sessionRules() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let readOnly = user.inSession(2, readWrite: false)
    #expect(outcome { () throws(ReturnValue) in try readOnly.aes([.onToken]) } == .sessionReadOnly)
    #expect(outcome { () throws(ReturnValue) in try readOnly.aes() } == .ok)
    let key = try user.aes([.onToken])
    #expect(outcome { () throws(ReturnValue) in try readOnly.destroy(key) } == .sessionReadOnly)
    #expect(outcome { () throws(ReturnValue) in try readOnly.set(key, [.text(.label, "x")]) } == .sessionReadOnly)
    #expect(outcome { () throws(ReturnValue) in try readOnly.copy(key) } == .sessionReadOnly)
    #expect(outcome { () throws(ReturnValue) in try readOnly.copy(key, [.flag(.token, false)]) } == .ok)
    let guest = bench.guest(2)
    #expect(outcome { () throws(ReturnValue) in try guest.aes() } == .userNotLoggedIn)
    #expect(outcome { () throws(ReturnValue) in try guest.aes([.flag(.private, false)]) } == .ok)
    #expect(
      outcome { () throws(ReturnValue) in try guest.pair(.ecKeyPairGen, [.bytes(.ecParams, Sample.p256)]) }
        == .userNotLoggedIn)
    #expect(outcome { () throws(ReturnValue) in try guest.get(key, .label) } == .objectHandleInvalid)
    #expect(outcome { () throws(ReturnValue) in try guest.destroy(key) } == .objectHandleInvalid)
    #expect(outcome { () throws(ReturnValue) in try guest.create([.of(.data), .onToken]) } == .ok)
    let officer = try bench.officer()
    #expect(outcome { () throws(ReturnValue) in try officer.get(key, .label) } == .objectHandleInvalid)
    #expect(outcome { () throws(ReturnValue) in try officer.aes() } == .userNotLoggedIn)
    #expect(outcome { () throws(ReturnValue) in try officer.aes([.flag(.private, false), .onToken]) } == .ok)
  }

  @Test("private objects go out of sight with the logout, private session objects for good")
  func logoutHidesObjects() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let kept = try user.aes([.onToken, .text(.label, "kept")])
    let gone = try user.aes([.text(.label, "gone")])
    let open = try user.aes([.flag(.private, false)])
    _ = try user.begin(.encrypt, kept, Mechanism(.aesECB), [UInt8](repeating: 0, count: 16))
    try user.logOut()
    for key in [kept, gone] {
      #expect(
        outcome { () throws(ReturnValue) in try user.perform(.encrypt, key, Mechanism(.aesECB), []) }
          == .keyHandleInvalid)
    }
    #expect(outcome { () throws(ReturnValue) in try user.finish(.encrypt) } == .operationNotInitialized)
    #expect(outcome { () throws(ReturnValue) in try user.perform(.encrypt, open, Mechanism(.aesECB), []) } == .ok)
    try user.logIn(.user, TokenBench.userPIN)
    #expect(try user.find([.text(.label, "kept")]) == [kept])
    #expect(try user.find([.text(.label, "gone")]).isEmpty)
    #expect(outcome { () throws(ReturnValue) in try user.perform(.encrypt, kept, Mechanism(.aesECB), []) } == .ok)
  }

  @Test("one client's logout leaves the others' keys at work")
  func otherUsersStay() throws {
    let bench = try TokenBench()
    let first = try bench.user(1)
    let second = try bench.user(2)
    let key = try first.aes([.onToken])
    try first.logOut()
    #expect(outcome { () throws(ReturnValue) in try second.perform(.encrypt, key, Mechanism(.aesECB), []) } == .ok)
    second.closeAll()
    #expect(
      outcome { () throws(ReturnValue) in try second.perform(.encrypt, key, Mechanism(.aesECB), []) }
        == .keyHandleInvalid)
  }

  @Test("with the last logout the secrets of private objects leave the memory, and come back with the next use")
  func lastLogoutDropsSecrets() throws {
    let bench = try TokenBench()
    let first = try bench.user(1)
    let second = try bench.user(2)
    let key = try first.aes([.onToken])
    let expected = try first.perform(.encrypt, key, Mechanism(.aesECB), [UInt8](repeating: 0, count: 16))
    let material = try #require(bench.token.token.reading { $0.objects[key]?.material })
    try first.logOut()
    #expect(material.secrets != nil && material.key != nil)
    #expect(bench.token.token.reading { $0.privateKey != nil })
    bench.token.clientGone(second.id)
    #expect(material.secrets == nil && material.key == nil)
    #expect(bench.token.token.reading { $0.privateKey == nil })
    try first.logIn(.user, TokenBench.userPIN)
    #expect(try first.perform(.encrypt, key, Mechanism(.aesECB), [UInt8](repeating: 0, count: 16)) == expected)
  }

  @Test("keys of the token that are not used leave the memory, those in use and those of sessions stay")
  func unusedKeysAreDropped() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let zeros = [UInt8](repeating: 0, count: 16)
    func encrypt(_ key: UInt64) throws -> [UInt8] { try user.perform(.encrypt, key, Mechanism(.aesECB), zeros) }
    let busy = try user.aes([.onToken])
    let idle = try user.aes([.onToken])
    let ofSession = try user.aes([])
    let keys = [busy, idle, ofSession]
    let expected = try keys.map(encrypt)
    let token = bench.token.token
    let materials = try [busy, idle].map { key in try #require(token.reading { $0.objects[key]?.material }) }
    #expect(token.dropUnusedKeys(), "used a moment ago")
    #expect(materials.allSatisfy { !$0.isEmpty })
    _ = try encrypt(busy)
    #expect(token.dropUnusedKeys())
    #expect(materials.map(\.isEmpty) == [false, true])
    #expect(!token.dropUnusedKeys(), "nothing is left to watch")
    #expect(materials.allSatisfy { $0.isEmpty })
    #expect(!token.dropUnusedKeys())
    #expect(try keys.map(encrypt) == expected, "they come back, and the session's key never went")
    #expect(materials.allSatisfy { !$0.isEmpty })
    #expect(token.dropUnusedKeys())
    #expect(!token.dropUnusedKeys())
    #expect(materials.allSatisfy { $0.isEmpty })
  }

  @Test("wrong PINs lock, across new openings, and the officer unlocks")
  func lockout() throws {
    let bench = try TokenBench()
    for attempt in 1...9 {
      let guest = bench.guest()
      #expect(outcome { () throws(ReturnValue) in try guest.logIn(.user, "wrong-\(attempt)") } == .pinIncorrect)
      #expect(try flags(bench).contains(.userPINCountLow))
      #expect(try flags(bench).contains(.userPINFinalTry) == (attempt == 9))
      if attempt % 4 == 0 { try bench.reopen() }
    }
    let guest = bench.guest()
    // What is no PIN by its length is no try.
    #expect(outcome { () throws(ReturnValue) in try guest.logIn(.user, "abc") } == .pinIncorrect)
    #expect(outcome { () throws(ReturnValue) in try guest.logIn(.user, "wrong-10") } == .pinLocked)
    #expect(try flags(bench).contains(.userPINLocked))
    try bench.reopen()
    #expect(outcome { () throws(ReturnValue) in try bench.guest().logIn(.user, TokenBench.userPIN) } == .pinLocked)
    let officer = try bench.officer()
    try officer.call(.initializePIN, InitializePIN(session: officer.session, pin: Array("new-user-pin".utf8)))
    #expect(try flags(bench).isDisjoint(with: [.userPINLocked, .userPINCountLow, .userPINFinalTry]))
    #expect(outcome { () throws(ReturnValue) in try bench.guest().logIn(.user, TokenBench.userPIN) } == .pinIncorrect)
    #expect(outcome { () throws(ReturnValue) in try bench.guest(3).logIn(.user, "new-user-pin") } == .ok)
  }

  @Test("a new PIN opens what the old one did, and only it")
  func changePIN() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let key = try user.aes([.onToken])
    let change = { (client: BenchClient, old: String, new: String) in
      outcome { () throws(ReturnValue) in
        try client.call(
          .setPIN, SetPIN(session: client.session, oldPIN: Array(old.utf8), newPIN: Array(new.utf8)))
      }
    }
    #expect(change(user.inSession(2, readWrite: false), TokenBench.userPIN, "changed") == .sessionReadOnly)
    #expect(change(user, "not-the-pin", "changed") == .pinIncorrect)
    #expect(change(user, TokenBench.userPIN, "abc") == .pinLenRange)
    #expect(change(user, TokenBench.userPIN, "changed") == .ok)
    user.closeAll()
    try bench.reopen()
    #expect(outcome { () throws(ReturnValue) in try user.logIn(.user, TokenBench.userPIN) } == .pinIncorrect)
    #expect(outcome { () throws(ReturnValue) in try user.logIn(.user, "changed") } == .ok)
    #expect(outcome { () throws(ReturnValue) in try user.perform(.encrypt, key, Mechanism(.aesECB), []) } == .ok)
    let officer = try bench.officer()
    #expect(change(officer, TokenBench.officerPIN, "officer-two") == .ok)
    officer.closeAll()
    #expect(outcome { () throws(ReturnValue) in try officer.logIn(.so, TokenBench.officerPIN) } == .pinIncorrect)
    #expect(outcome { () throws(ReturnValue) in try officer.logIn(.so, "officer-two") } == .ok)
    #expect(
      outcome { () throws(ReturnValue) in
        try user.call(.initializePIN, InitializePIN(session: user.session, pin: Array("hijacked".utf8)))
      } == .userNotLoggedIn)
  }

  @Test("a key with CKA_ALWAYS_AUTHENTICATE works once for each PIN")
  func alwaysAuthenticate() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let pair = try user.pair(
      .ecKeyPairGen, [.bytes(.ecParams, Sample.p256)], [.flag(.alwaysAuthenticate, true), .flag(.derive, true)])
    let other = try user.pair(
      .ecKeyPairGen, [.bytes(.ecParams, Sample.p256)], [.flag(.alwaysAuthenticate, true)])
    let digest = [UInt8](repeating: 1, count: 32)
    let sign = { (key: UInt64, capacity: UInt64) in
      outcome { () throws(ReturnValue) in
        try user.perform(.sign, key, Mechanism(.ecdsa), digest, capacity: capacity)
      }
    }
    #expect(sign(pair.secret, 64) == .userNotLoggedIn)
    try user.authorize(.sign, pair.secret)
    #expect(sign(other.secret, 64) == .userNotLoggedIn)
    // A buffer that is too small does not use it up.
    #expect(sign(pair.secret, 10) == .bufferTooSmall)
    #expect(sign(pair.secret, 64) == .ok)
    #expect(sign(pair.secret, 64) == .userNotLoggedIn)
    // Not in another session, not for another function, not after a cancel.
    try user.inSession(2).authorize(.sign, pair.secret)
    #expect(sign(pair.secret, 64) == .userNotLoggedIn)
    try user.authorize(.decrypt, pair.secret)
    #expect(sign(pair.secret, 64) == .userNotLoggedIn)
    try user.authorize(.sign, pair.secret)
    try user.call(.cancel, CancelOperations(session: user.session, functions: [.sign]))
    #expect(sign(pair.secret, 64) == .userNotLoggedIn)
    #expect(outcome { () throws(ReturnValue) in try user.authorize(.sign, pair.secret, "no-pin") } == .pinIncorrect)
    #expect(sign(pair.secret, 64) == .userNotLoggedIn)
    // Parts: one login for the whole operation.
    #expect(
      outcome { () throws(ReturnValue) in try user.begin(.sign, pair.secret, Mechanism(.ecdsaSHA256), digest) }
        == .userNotLoggedIn)
    try user.authorize(.sign, pair.secret)
    _ = try user.begin(.sign, pair.secret, Mechanism(.ecdsaSHA256), digest)
    _ = try user.update(.sign, digest)
    #expect(try user.finish(.sign).count == 64)
    // Without an Init there is no place for a login.
    let point = try #require(try user.bytes(other.open, .ecPoint))
    #expect(
      outcome { () throws(ReturnValue) in
        try user.derive(
          pair.secret, Mechanism(.ecdh1Derive, .ecdh(kdf: 1, sharedData: [], publicPoint: point)), [])
      } == .userNotLoggedIn)
    let plain = try user.aes()
    #expect(
      outcome { () throws(ReturnValue) in try user.authorize(.encrypt, plain) } == .operationNotInitialized)
  }

  @Test("the length of an RSA plaintext is not told to who has given the PIN once and room for less than the longest")
  func lengthOfPlaintext() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let asks = try user.pair(
      .rsaPKCSKeyPairGen, [.number(.modulusBits, 2048)],
      [.flag(.decrypt, true), .flag(.alwaysAuthenticate, true), .flag(.private, true)])
    let oaep = Mechanism(.rsaPKCSOAEP, .oaep(hash: .sha256, mgf: 2, label: []))
    for (mechanism, longest) in [(Mechanism(.rsaPKCS), UInt64(256 - 11)), (oaep, 256 - 66)] {
      let request = KeyOperation(session: user.session, function: .decrypt, key: asks.secret, mechanism: mechanism)
      try user.authorize(.decrypt, asks.secret)
      for plaintext in [[UInt8](), [1], [UInt8](repeating: 2, count: 100)] {
        let sealed = try user.perform(.encrypt, asks.open, mechanism, plaintext)
        // Whatever is asked for, and whether or not it is a ciphertext, the answer is the same, and costs no PIN.
        for input in [sealed, [UInt8](repeating: 0x41, count: 256)] {
          for capacity in [0, 1, UInt64(plaintext.count), longest - 1] {
            let short = user.ask(.perform, request, input, capacity: capacity)
            #expect(short.value == .bufferTooSmall && short.number == longest && short.output.isEmpty)
          }
        }
        #expect(user.ask(.perform, request, sealed, capacity: longest).output == plaintext)
        #expect(user.ask(.perform, request, sealed, capacity: longest).value == .userNotLoggedIn)
        try user.authorize(.decrypt, asks.secret)
      }
    }
  }

  @Test("a context-specific login that locks the PIN ends the login")
  func contextLoginLocks() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let pair = try user.pair(
      .ecKeyPairGen, [.bytes(.ecParams, Sample.p256)], [.flag(.alwaysAuthenticate, true)])
    for attempt in 1...9 {
      #expect(
        outcome { () throws(ReturnValue) in try user.authorize(.sign, pair.secret, "wrong-\(attempt)") }
          == .pinIncorrect)
    }
    #expect(outcome { () throws(ReturnValue) in try user.authorize(.sign, pair.secret, "wrong-10") } == .pinLocked)
    #expect(outcome { () throws(ReturnValue) in try user.aes() } == .userNotLoggedIn)
  }
}
