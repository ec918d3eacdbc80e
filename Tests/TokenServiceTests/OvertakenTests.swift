import CryptoCore
import Cryptoki
import Foundation
import Glibc
import Mechanisms
import Synchronization
import Testing
import TokenProtocol

@testable import SecureStorage
@testable import TokenService

/// Requests that are overtaken, while they wait, by what ends the state that they began in.
@Suite("Overtaken requests")
struct OvertakenTests {
  /// A request on a thread of its own.
  private final class Waiter: @unchecked Sendable {
    private let answer = Mutex<ReturnValue?>(nil)
    /// The thread's directory below /proc.
    private let thread = Mutex<String?>(nil)

    init(_ request: @escaping @Sendable () throws(ReturnValue) -> Void) {
      Thread.detachNewThread { [self] in
        let directory = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/thread-self")
        thread.withLock { $0 = directory }
        let value = outcome(request)
        answer.withLock { $0 = value }
      }
    }

    /// The answer, once there is one.
    var value: ReturnValue {
      while true {
        if let value = answer.withLock({ $0 }) { return value }
        usleep(1000)
      }
    }

    /// Returns when the request waits for somebody: nothing else lets its thread sleep for so long.
    func waitUntilItWaits() {
      var looks = 0
      while looks < 25, answer.withLock({ $0 == nil }) {
        usleep(1000)
        looks = isAsleep ? looks + 1 : 0
      }
    }

    private var isAsleep: Bool {
      guard let directory = thread.withLock({ $0 }),
        let status = try? String(contentsOfFile: "/proc/\(directory)/stat", encoding: .utf8)
      else { return false }
      return status.drop { $0 != ")" }.dropFirst(2).first == "S"
    }
  }

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
    let login = token.changing.withLock { _ in
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
