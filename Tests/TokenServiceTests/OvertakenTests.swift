import CryptoCore
import Cryptoki
import Foundation
import Glibc
import Mechanisms
import Synchronization
import Testing
import TokenProtocol
import Wire

@testable import SecureStorage
@testable import TokenService

/// Requests that are overtaken, while they wait, by what ends the state that they began in.
@Suite("Overtaken requests")
struct OvertakenTests {
  /// Runs `request` so that it is in progress while somebody initialises the token: it has begun before, and all its
  /// client's sessions are closed when the initialisation looks for the last time. Answers what it is answered.
  private func whileInitializing(
    _ bench: TokenBench, _ client: BenchClient, _ request: @escaping @Sendable () throws(ReturnValue) -> Void
  ) throws -> ReturnValue {
    let store = bench.token.token.store
    var waiters: (initialization: Waiter, request: Waiter)?
    // scrypt is for one at a time: whoever is in it keeps the initialisation from its end.
    try store.pins.whileStretching { () throws(StorageError) in
      let initialization = Waiter { () throws(ReturnValue) in try bench.initialize() }
      initialization.waitUntilItWaits()
      let other = Waiter(request)
      other.waitUntilItWaits()
      client.closeAll()
      waiters = (initialization, other)
    }
    let (initialization, other) = try #require(waiters)
    #expect(initialization.value == .ok)
    return other.value
  }

  /// A bench whose PINs have been right before, so that looking at them takes no scrypt.
  private func bench() throws -> TokenBench {
    let bench = try TokenBench()
    try bench.user().closeAll()
    return bench
  }

  @Test("a login that began before an initialisation is not completed after it")
  func login() throws {
    for type in [UserType.user, .so] {
      let bench = try bench()
      let client = bench.guest(7)
      let value = try whileInitializing(bench, client) { () throws(ReturnValue) in
        try client.logIn(type, type == .user ? TokenBench.userPIN : TokenBench.officerPIN)
      }
      #expect(value == .sessionHandleInvalid)
      #expect(bench.token.client(client.id).role == .nobody)
      #expect(bench.token.token.reading { $0.privateKey == nil && $0.users.isEmpty })
      #expect(outcome { () throws(ReturnValue) in try client.aes() } == .userNotLoggedIn)
    }
  }

  @Test("a PIN that was being set before an initialisation is not set after it")
  func pins() throws {
    let change = try bench()
    let user = change.guest(7)
    let changed = try whileInitializing(change, user) { () throws(ReturnValue) in
      try user.call(
        .setPIN,
        SetPIN(session: user.session, oldPIN: Array(TokenBench.userPIN.utf8), newPIN: Array("new-user-pin".utf8)))
    }
    #expect(changed == .sessionHandleInvalid)
    #expect(outcome { () throws(ReturnValue) in try user.logIn(.user, "new-user-pin") } == .userPINNotInitialized)

    let officers = try bench()
    let officer = officers.guest(7)
    let set = try whileInitializing(officers, officer) { () throws(ReturnValue) in
      // He may log in when the initialisation has looked for sessions; it looks again.
      officers.token.client(officer.id).reading { $0.role = .securityOfficer }
      try officer.call(
        .setPIN,
        SetPIN(session: officer.session, oldPIN: Array(TokenBench.officerPIN.utf8), newPIN: Array("other-pin".utf8)))
    }
    #expect(set == .sessionHandleInvalid)
    #expect(outcome { () throws(ReturnValue) in try officer.logIn(.so, TokenBench.officerPIN) } == .ok)
  }

  @Test("a user's PIN that an officer of before was giving is not given after an initialisation")
  func initialPIN() throws {
    let bench = try bench()
    let officer = BenchClient(bench, 7)
    let value = try whileInitializing(bench, officer) { () throws(ReturnValue) in
      let record = bench.token.client(officer.id)
      record.reading { state in
        state.role = .securityOfficer
        state.tokenKey = SecretBytes(count: 32)
      }
      try officer.call(.initializePIN, InitializePIN(session: officer.session, pin: Array("new-user-pin".utf8)))
    }
    #expect(value == .sessionHandleInvalid)
    #expect(outcome { () throws(ReturnValue) in try officer.logIn(.user, "new-user-pin") } == .userPINNotInitialized)
  }

  /// What would make another object like this one.
  private func copy(of object: UInt64, _ client: BenchClient) throws -> NewObject {
    let token = client.bench.token
    let found = try token.token.object(object, for: token.client(client.id), .objectHandleInvalid)
    return NewObject(attributes: found.attributes, secrets: SecretAttributes([(.value, SecretBytes(count: 32))]))
  }

  /// The end of a request that makes an object.
  private func add(_ new: NewObject, _ client: BenchClient, _ entry: Token.Entry) throws(ReturnValue) {
    let token = client.bench.token
    _ = try token.token.add([new], for: token.client(client.id), in: entry)
  }

  @Test("objects that were being made before an initialisation are not put in place after it, nor on disk")
  func objects() throws {
    let bench = try bench()
    let user = try bench.user(7)
    let made = try copy(of: try user.aes([.onToken, .text(.label, "old")]), user)
    let entry = try bench.token.token.enter(user.session, bench.token.client(user.id))
    user.closeAll()
    try bench.initialize()
    let officer = try bench.officer()
    try officer.call(.initializePIN, InitializePIN(session: officer.session, pin: Array(TokenBench.userPIN.utf8)))
    // The session's number is in use again, by the new user even.
    try user.logIn(.user, TokenBench.userPIN)
    #expect(
      outcome { () throws(ReturnValue) in try add(made, user, entry) } == .sessionHandleInvalid)
    #expect(try user.find([.text(.label, "old")]).isEmpty)
    try bench.reopen()
    #expect(try bench.user(7).find([.text(.label, "old")]).isEmpty)
  }

  @Test("a token object is not made for a session that is closed meanwhile, nor for a user who logs out")
  func closedMeanwhile() throws {
    let bench = try bench()
    let user = try bench.user(7)
    let stays = try bench.user(8)
    let template = try user.aes([.onToken])
    let made = try copy(of: template, user)
    let entry = try bench.token.token.enter(user.session, bench.token.client(user.id))
    try user.logOut()
    #expect(outcome { () throws(ReturnValue) in try add(made, user, entry) } == .userNotLoggedIn)
    user.closeAll()
    #expect(outcome { () throws(ReturnValue) in try add(made, user, entry) } == .sessionHandleInvalid)
    #expect(try stays.find([.of(.secretKey)]) == [template])
    try bench.reopen()
    #expect(try bench.user(8).find([.of(.secretKey)]) == [template])
  }

  @Test("what was begun under a login is not made under the next one, in memory or on disk")
  func nextLogin() throws {
    let bench = try bench()
    let user = try bench.user(7)
    let record = bench.token.client(user.id)
    let key = try user.aes([.onToken])
    let made = try copy(of: key, user)
    for isPrivate in [true, false] {
      for onToken in [true, false] {
        var new = made
        new.attributes.set(.private, isPrivate)
        new.attributes.set(.token, onToken)
        let entry = try bench.token.token.enter(user.session, record)
        try user.logOut()
        #expect(outcome { () throws(ReturnValue) in try add(new, user, entry) } == .userNotLoggedIn)
        try user.logIn(.user, TokenBench.userPIN)
        #expect(outcome { () throws(ReturnValue) in try add(new, user, entry) } == .userNotLoggedIn)
        // Nor is a private object there for it.
        #expect(
          outcome { () throws(ReturnValue) in
            try bench.token.token.object(key, for: record, in: entry, .keyHandleInvalid)
          } == .keyHandleInvalid)
        let present = try bench.token.token.enter(user.session, record)
        #expect(
          outcome { () throws(ReturnValue) in
            try bench.token.token.object(key, for: record, in: present, .keyHandleInvalid)
          } == .ok)
      }
    }
    #expect(try user.find([.of(.secretKey)]) == [key])
    try bench.reopen()
    #expect(try bench.user(7).find([.of(.secretKey)]) == [key])
  }

  @Test("what a guest has begun is not undone by a login")
  func guestGoesOn() throws {
    let bench = try bench()
    let user = try bench.user(8)
    var made = try copy(of: try user.aes(), user)
    made.attributes.set(.private, false)
    let guest = bench.guest(7)
    let entry = try bench.token.token.enter(guest.session, bench.token.client(guest.id))
    try guest.logIn(.user, TokenBench.userPIN)
    #expect(outcome { () throws(ReturnValue) in try add(made, guest, entry) } == .ok)
    try guest.logOut()
    #expect(try guest.find([.of(.secretKey)]).count == 1)
  }

  /// Runs `request` so that it waits for the disk while its client logs out, and answers what it is answered.
  private func whileLoggingOut(
    _ client: BenchClient, _ request: @escaping @Sendable () throws(ReturnValue) -> Void
  ) throws -> ReturnValue {
    var other: Waiter?
    // Those who come while a commit is made are the next one.
    try client.bench.token.token.store.commit { (_) throws(StorageError) in
      let waiter = Waiter(request)
      waiter.waitUntilItWaits()
      _ = client.ask(.logout, InSession(session: client.session))
      other = waiter
    }
    return try #require(other).value
  }

  @Test("no function makes or changes a token object for a user who logs out meanwhile")
  func everyWayOfMaking() throws {
    let bench = try bench()
    let user = try bench.user(7)
    let open: [Attribute] = [.onToken, .flag(.private, false)]
    let wrapping = try user.aes(open + [.flag(.wrap, true), .flag(.unwrap, true)])
    let exported = try user.aes(open + [.extractable])
    let wrapped = try user.wrap(exported, with: wrapping, Sample.keyWrap)
    let base = try user.pair(
      .ecKeyPairGen, [.bytes(.ecParams, Sample.p256)] + open, [.flag(.derive, true)] + open)
    let point = try #require(try user.bytes(base.open, .ecPoint))
    let agreement = Mechanism(.ecdh1Derive, .ecdh(kdf: 1, sharedData: [], publicPoint: point))
    let data = try user.create([.of(.data), .text(.label, "before")] + open)
    let requests: [(String, @Sendable () throws(ReturnValue) -> Void)] = [
      ("create", { () throws(ReturnValue) in _ = try user.create([.of(.data)] + open) }),
      ("copy", { () throws(ReturnValue) in _ = try user.copy(exported) }),
      ("generate", { () throws(ReturnValue) in _ = try user.aes(open) }),
      (
        "pair",
        { () throws(ReturnValue) in
          _ = try user.pair(.ecKeyPairGen, [.bytes(.ecParams, Sample.p256)] + open, [.onToken])
        }
      ),
      ("derive", { () throws(ReturnValue) in _ = try user.derive(base.secret, agreement, open) }),
      (
        "unwrap",
        { () throws(ReturnValue) in
          _ = try user.unwrap(wrapped, with: wrapping, Sample.keyWrap, [.of(.secretKey), .of(.aes)] + open)
        }
      ),
      ("change", { () throws(ReturnValue) in try user.set(data, [.text(.label, "after")]) }),
    ]
    let before = try user.find()
    for (name, request) in requests {
      #expect(outcome(request) == .ok, "\(name)")
      for object in try user.find() where !before.contains(object) { try user.destroy(object) }
      try user.set(data, [.text(.label, "before")])
      #expect(try whileLoggingOut(user, request) == .userNotLoggedIn, "\(name)")
      try user.logIn(.user, TokenBench.userPIN)
      #expect(try user.find() == before, "\(name)")
    }
    #expect(try user.bytes(data, .label) == Array("before".utf8))
    try bench.reopen()
    let after = try bench.user(7)
    // The token's profile is no object of the store, and another each time.
    #expect(try after.find([.onToken]).count == before.count)
    #expect(try after.bytes(data, .label) == Array("before".utf8))
  }

  @Test("objects that guests make at once are together no more than guests may make")
  func guestsAtOnce() throws {
    let bench = try bench()
    let size = Token.guestByteLimit / 8 * 3
    let make: @Sendable (UInt64) throws(ReturnValue) -> Void = { (number) throws(ReturnValue) in
      _ = try bench.guest(number).create(
        [.of(.data), .onToken, .bytes(.value, [UInt8](repeating: 1, count: size))])
    }
    try make(20)
    // One more has room, and each that comes now would see that.
    let waiters = bench.token.token.rolesAndGuests.withLock { _ in
      let waiters = (UInt64(21)...24).map { number in Waiter { () throws(ReturnValue) in try make(number) } }
      for waiter in waiters { waiter.waitUntilItWaits() }
      return waiters
    }
    let values = waiters.map(\.value)
    #expect(values.filter { $0 == .ok }.count == 1)
    #expect(values.filter { $0 == .deviceMemory }.count == 3)
    #expect(try bench.guest(20).find([.of(.data)]).count == 2)
  }

  @Test("a change that an officer began before an initialisation is not made after it")
  func changes() throws {
    let bench = try bench()
    let token = bench.token.token
    let officer = try bench.officer(7)
    let record = bench.token.client(officer.id)
    let entry = try token.enter(officer.session, record)
    officer.closeAll()
    try bench.initialize()
    _ = try officer.find()
    #expect(outcome { () throws(ReturnValue) in try token.completing(entry, record) { _ in } } == .sessionHandleInvalid)
  }

  // MARK: Operations

  private func restricted(_ client: BenchClient, _ key: UInt64) -> KeyOperation {
    KeyOperation(session: client.session, function: .decrypt, key: key, mechanism: Sample.ctr)
  }

  private func beginRestricted(_ client: BenchClient, _ key: UInt64) -> ReturnValue {
    let token = client.bench.token
    return outcome { () throws(ReturnValue) in
      try token.beginRestricted(restricted(client, key), client: token.client(client.id))
    }
  }

  /// What a client is answered that goes on with a decryption into buffers.
  private func goOn(_ client: BenchClient) -> ReturnValue {
    let (token, record) = (client.bench.token, client.bench.token.client(client.id))
    return outcome { () throws(ReturnValue) in
      let active = try token.takeRestricted(client.session, client: record)
      token.leaveRestricted(active, ends: false, client.session, client: record)
    }
  }

  @Test(
    "a decryption into buffers ends with the logout, the session and C_SessionCancel, and there is one in a session")
  func restrictedEnds() throws {
    let user = try Shared.bench.user(5070)
    let key = try user.aes([.onToken])
    #expect(goOn(user) == .operationNotInitialized)
    #expect(beginRestricted(user, key) == .ok)
    #expect(beginRestricted(user, key) == .operationActive)
    #expect(goOn(user) == .ok)
    try user.logOut()
    #expect(goOn(user) == .operationNotInitialized)
    try user.logIn(.user, TokenBench.userPIN)
    #expect(beginRestricted(user, key) == .ok)
    try user.call(.cancel, CancelOperations(session: user.session, functions: [.sign]))
    #expect(goOn(user) == .ok)
    try user.call(.cancel, CancelOperations(session: user.session, functions: [.decrypt]))
    #expect(goOn(user) == .operationNotInitialized)
    let other = user.inSession(5)
    #expect(beginRestricted(other, key) == .ok)
    user.close(5)
    #expect(goOn(other) == .operationNotInitialized)
    #expect(beginRestricted(user, key) == .ok)
    user.closeAll()
    #expect(goOn(user) == .operationNotInitialized)
  }

  @Test("a decryption into buffers that is being worked with does not come back after the logout")
  func restrictedWhileWorking() throws {
    let user = try Shared.bench.user(5071)
    let (token, record) = (Shared.bench.token, Shared.bench.token.client(user.id))
    let key = try user.aes([.onToken])
    #expect(beginRestricted(user, key) == .ok)
    let active = try token.takeRestricted(user.session, client: record)
    #expect(goOn(user) == .operationActive)
    try user.logOut()
    token.leaveRestricted(active, ends: false, user.session, client: record)
    #expect(goOn(user) == .operationNotInitialized)
  }

  @Test("a decryption that was being begun is not put in place after the logout, nor in a session that is closed")
  func restrictedWhileBeginning() throws {
    let user = try Shared.bench.user(5072)
    let record = Shared.bench.token.client(user.id)
    let key = try user.aes([.onToken])
    let started = try Shared.bench.token.token.startRestricted(restricted(user, key), record)
    let place = {
      outcome { () throws(ReturnValue) in
        try record.withState { (state) throws(ReturnValue) in try state.place(started, in: user.session.number) }
      }
    }
    try user.logOut()
    #expect(place() == .userNotLoggedIn)
    try user.logIn(.user, TokenBench.userPIN)
    #expect(place() == .userNotLoggedIn)
    user.closeAll()
    #expect(place() == .sessionHandleInvalid)
  }

  /// Bulk data during whose reading something happens.
  private struct InterruptedTransfer: BulkTransfer {
    var memory: MemoryTransfer
    var pieceCount = 0
    /// Whether it happens when somebody asks how much room there is, not with the fifth piece.
    var interruptsCapacity = false
    let interruption: () -> Void

    var inputByteCount: UInt64 { memory.inputByteCount }
    var outputCapacity: UInt64 {
      if interruptsCapacity { interruption() }
      return memory.outputCapacity
    }
    var outputByteCount: UInt64 { memory.outputByteCount }

    mutating func nextInput(atMost count: Int) throws(ReturnValue) -> UnsafeRawBufferPointer {
      pieceCount += 1
      if pieceCount == 5, !interruptsCapacity { interruption() }
      return try memory.nextInput(atMost: count)
    }

    mutating func reserveOutput(_ count: Int) throws(ReturnValue) -> UnsafeMutableRawBufferPointer {
      try memory.reserveOutput(count)
    }

    mutating func commitOutput(_ count: Int) throws(ReturnValue) { try memory.commitOutput(count) }
  }

  @Test("an operation that ends while another thread feeds it takes no more, and counts for nothing")
  func endsWhileFed() throws {
    let user = try Shared.bench.user(5073)
    let record = Shared.bench.token.client(user.id)
    let key = try user.aes([.onToken])
    let ends: [() -> Void] = [
      { _ = user.ask(.logout, InSession(session: user.session)) },
      { user.close(1) },
      { _ = user.ask(.cancel, CancelOperations(session: user.session, functions: [.decrypt])) },
    ]
    for end in ends {
      if record.role == .nobody { try user.logIn(.user, TokenBench.userPIN) }
      _ = try user.begin(.decrypt, key, Sample.gcm)
      var bulk = InterruptedTransfer(memory: MemoryTransfer([UInt8](repeating: 1, count: 20_000)), interruption: end)
      let value = ask(user, .update, ContinueOperation(session: user.session, function: .decrypt), &bulk)
      #expect(value == .operationNotInitialized)
      #expect(bulk.pieceCount < 8)
      #expect(record.reading { $0.heldByteCount } == 0)
    }
  }

  /// Carries out a request of a client with bulk data, and answers what it is answered.
  private func ask(
    _ client: BenchClient, _ operation: TokenOperation, _ request: some TokenRequest, _ bulk: inout InterruptedTransfer
  ) -> ReturnValue {
    let token = client.bench.token
    var reply = WireWriter()
    var writer = WireWriter()
    request.write(to: &writer)
    return writer.withMessage { message in
      var reader = WireReader(message)
      return token.invoke(
        operation: operation, client: token.client(client.id), request: &reader, reply: &reply, bulk: &bulk)
    }
  }

  @Test("a long operation ends with the login that its key needs and with its session, in one part as in several")
  func longOperations() throws {
    let user = try Shared.bench.user(5074)
    let record = Shared.bench.token.client(user.id)
    let onToken = try user.aes([.onToken])
    let open = try user.aes([.onToken, .flag(.private, false)])
    let logOut = { _ = user.ask(.logout, InSession(session: user.session)) }
    let logInAgain = {
      logOut()
      _ = outcome { () throws(ReturnValue) in try user.logIn(.user, TokenBench.userPIN) }
    }
    let close = { user.close(1) }
    // Announced, and never sent to its end.
    let input = MemoryTransfer([UInt8](repeating: 1, count: 300_000), capacity: 1 << 40, announced: 1 << 39)
    let ends: [(TokenOperation, UInt64, () -> Void, ReturnValue)] = [
      (.perform, onToken, logOut, .operationNotInitialized), (.perform, onToken, close, .operationNotInitialized),
      (.perform, onToken, logInAgain, .operationNotInitialized), (.perform, open, logInAgain, .argumentsBad),
      (.perform, open, close, .operationNotInitialized), (.perform, open, logOut, .argumentsBad),
      (.begin, onToken, logOut, .operationNotInitialized), (.begin, open, logOut, .argumentsBad),
    ]
    for (operation, key, end, expected) in ends {
      if record.role == .nobody { try user.logIn(.user, TokenBench.userPIN) }
      let request = KeyOperation(session: user.session, function: .encrypt, key: key, mechanism: Sample.ctr)
      var bulk = InterruptedTransfer(memory: input, interruption: end)
      #expect(ask(user, operation, request, &bulk) == expected)
      if expected == .operationNotInitialized { #expect(bulk.pieceCount == 5) } else { #expect(bulk.pieceCount > 300) }
    }
    #expect(record.reading { $0.heldByteCount } == 0)
  }

  @Test("an operation that was begun under a login is not kept under the next one")
  func nextLoginKeepsNothing() throws {
    let user = try Shared.bench.user(5075)
    let key = try user.aes([.onToken])
    let again = {
      _ = user.ask(.logout, InSession(session: user.session))
      _ = outcome { () throws(ReturnValue) in try user.logIn(.user, TokenBench.userPIN) }
    }
    let request = KeyOperation(session: user.session, function: .encrypt, key: key, mechanism: Sample.ctr)
    var bulk = InterruptedTransfer(memory: MemoryTransfer([UInt8](repeating: 1, count: 20_000)), interruption: again)
    #expect(ask(user, .begin, request, &bulk) == .userNotLoggedIn)
    #expect(outcome { () throws(ReturnValue) in try user.finish(.encrypt) } == .operationNotInitialized)
    #expect(outcome { () throws(ReturnValue) in try user.begin(.encrypt, key, Sample.ctr) } == .ok)
  }

  @Test("a context-specific login is not there after the next login, also when its operation found too little room")
  func contextLogin() throws {
    let user = try Shared.bench.user(5076)
    let pair = try user.pair(
      .ecKeyPairGen, [.bytes(.ecParams, Sample.p256)], [.flag(.alwaysAuthenticate, true), .onToken])
    let request = KeyOperation(
      session: user.session, function: .sign, key: pair.secret, mechanism: Mechanism(.ecdsaSHA256))
    let sign = { user.ask(.perform, request, [1, 2, 3]).value }
    let logInAgain = {
      _ = user.ask(.logout, InSession(session: user.session))
      _ = outcome { () throws(ReturnValue) in try user.logIn(.user, TokenBench.userPIN) }
    }
    try user.authorize(.sign, pair.secret)
    var bulk = InterruptedTransfer(
      memory: MemoryTransfer([1, 2, 3], capacity: 10), interruptsCapacity: true, interruption: logInAgain)
    #expect(ask(user, .perform, request, &bulk) == .bufferTooSmall)
    #expect(sign() == .userNotLoggedIn)
    try user.authorize(.sign, pair.secret)
    logInAgain()
    #expect(sign() == .userNotLoggedIn)
    try user.authorize(.sign, pair.secret)
    #expect(sign() == .ok)
    try user.destroy(pair.secret)
  }

  // MARK: Token information

  @Test("the numbers of sessions are right, and are told while a client is busy clearing away")
  func sessionNumbers() throws {
    let bench = try bench()
    let client = bench.guest(7)
    let other = bench.guest(8)
    let numbers: @Sendable () throws -> [UInt32] = {
      let information = try bench.guest(9).information
      return [information.sessionCount, information.readWriteSessionCount]
    }
    #expect(try numbers() == [0, 0])
    for number: UInt32 in 1...4 { _ = try client.inSession(number, readWrite: number > 2).find() }
    _ = try other.find()
    #expect(try numbers() == [5, 3])
    // A session's number may come again with other rights.
    _ = try client.inSession(1, readWrite: true).find()
    _ = try client.inSession(3, readWrite: false).find()
    _ = try client.inSession(4, readWrite: false).find()
    #expect(try numbers() == [5, 2])
    client.close(1, 2, 77)
    #expect(try numbers() == [3, 1])
    let question = bench.token.client(client.id).reading { _ in
      let question = Waiter { () throws(ReturnValue) in _ = try? numbers() }
      question.waitUntilItWaits()
      #expect(question.isDone)
      return question
    }
    #expect(question.value == .ok)
    client.closeAll()
    #expect(try numbers() == [1, 1])
    bench.token.clientGone(other.id)
    #expect(try numbers() == [0, 0])
  }

  // MARK: Clients that have gone

  @Test("a client that has gone is answered CKR_DEVICE_REMOVED and leaves nothing behind")
  func gone() throws {
    let bench = try bench()
    var client = bench.guest(7)
    client.record = bench.token.client(client.id)
    _ = try client.find()
    bench.token.clientGone(client.id)
    #expect(outcome { () throws(ReturnValue) in try client.find() } == .deviceRemoved)
    #expect(outcome { () throws(ReturnValue) in try client.inSession(9).find() } == .deviceRemoved)
    #expect(outcome { () throws(ReturnValue) in try client.logIn(.user, TokenBench.userPIN) } == .deviceRemoved)
    #expect(try bench.guest(8).information.sessionCount == 0)
    #expect(outcome { () throws(ReturnValue) in try bench.initialize() } == .ok)
  }

  @Test("a client that goes while it logs in is not a user any more, and the key of private objects does not stay")
  func goneWhileLoggingIn() throws {
    let bench = try bench()
    let token = bench.token.token
    var guest = bench.guest(7)
    guest.record = bench.token.client(guest.id)
    let client = guest
    let login = token.rolesAndGuests.withLock { _ in
      let login = Waiter { () throws(ReturnValue) in try client.logIn(.user, TokenBench.userPIN) }
      login.waitUntilItWaits()
      bench.token.clientGone(client.id)
      return login
    }
    #expect(login.value == .deviceRemoved)
    #expect(token.reading { $0.privateKey == nil && $0.users.isEmpty && $0.clients[client.id] == nil })
    #expect(outcome { () throws(ReturnValue) in try bench.initialize() } == .ok)
  }
}
