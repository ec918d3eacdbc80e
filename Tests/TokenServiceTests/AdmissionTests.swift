import Cryptoki
import Mechanisms
import Synchronization
import Testing
import TokenProtocol
import Wire

@testable import TokenService

@Suite("Decisions that are kept")
struct AdmissionTests {
  private static let block = [UInt8](repeating: 0x41, count: 16)

  private func isKept(_ client: BenchClient, _ function: KeyFunction, _ key: UInt64, _ mechanism: Mechanism) -> Bool {
    let token = client.bench.token.token
    let intention = Intention(function: function, key: key, mechanism: mechanism.type)
    return token.client(client.id).reading {
      $0.admissions.find(intention, objectChanges: token.objectChanges.current) != nil
    }
  }

  private func answer(
    _ client: BenchClient, _ function: KeyFunction, _ key: UInt64, _ mechanism: Mechanism
  ) -> ReturnValue {
    outcome { () throws(ReturnValue) in try client.perform(function, key, mechanism, Self.block) }
  }

  /// Two operations, the second of them by what was decided for the first.
  private func useTwice(
    _ client: BenchClient, _ function: KeyFunction, _ key: UInt64, _ mechanism: Mechanism = Sample.cbc
  ) {
    #expect(answer(client, function, key, mechanism) == .ok)
    #expect(isKept(client, function, key, mechanism))
    #expect(answer(client, function, key, mechanism) == .ok)
  }

  @Test("a use that an attribute no longer permits is refused at once, whoever changed it", arguments: [false, true])
  func changedAttribute(onToken: Bool) throws {
    let user = try Shared.bench.user(onToken ? 300 : 320)
    let changers = onToken ? [user.inSession(2), try Shared.bench.user(301)] : [user.inSession(2)]
    let key = try user.aes([.flag(.token, onToken)])
    let uses: [(KeyFunction, Mechanism, AttributeType)] = [
      (.encrypt, Sample.gcm, .encrypt), (.decrypt, Sample.cbc, .decrypt), (.sign, Mechanism(.aesCMAC), .sign),
    ]
    for changer in changers {
      for (function, mechanism, attribute) in uses {
        useTwice(user, function, key, mechanism)
        try changer.set(key, [.flag(attribute, false)])
        #expect(answer(user, function, key, mechanism) == .keyFunctionNotPermitted)
        #expect(answer(user, function, key, mechanism) == .keyFunctionNotPermitted)
        try changer.set(key, [.flag(attribute, true)])
        useTwice(user, function, key, mechanism)
      }
    }
    try user.destroy(key)
  }

  @Test("a key that was destroyed is no key any more, and what was parsed of it has gone", arguments: [false, true])
  func destroyed(onToken: Bool) throws {
    let user = try Shared.bench.user(onToken ? 302 : 322)
    let destroyer = onToken ? try Shared.bench.user(303) : user.inSession(2)
    let key = try user.aes([.flag(.token, onToken)])
    useTwice(user, .encrypt, key)
    let token = Shared.bench.token.token
    weak let parsed = try token.key(of: token.object(key, for: token.client(user.id), .keyHandleInvalid))
    #expect(parsed != nil)
    try destroyer.destroy(key)
    #expect(parsed == nil)
    #expect(answer(user, .encrypt, key, Sample.cbc) == .keyHandleInvalid)
  }

  @Test("a private key is out of reach after a logout, and back after the next login")
  func loggedOut() throws {
    let user = try Shared.bench.user(304)
    let onToken = try user.aes([.onToken])
    let open = try user.aes([.flag(.private, false)])
    useTwice(user, .encrypt, onToken)
    useTwice(user, .encrypt, open)
    try user.logOut()
    #expect(!isKept(user, .encrypt, onToken, Sample.cbc))
    #expect(answer(user, .encrypt, onToken, Sample.cbc) == .keyHandleInvalid)
    #expect(answer(user, .encrypt, open, Sample.cbc) == .ok)
    try user.logIn(.user, TokenBench.userPIN)
    useTwice(user, .encrypt, onToken)
    try user.destroy(onToken)
  }

  @Test("a key of a session that was closed is out of reach of the client's other sessions")
  func closedSession() throws {
    let user = try Shared.bench.user(305)
    let key = try user.inSession(7).aes()
    useTwice(user, .encrypt, key)
    user.close(7)
    #expect(answer(user, .encrypt, key, Sample.cbc) == .keyHandleInvalid)
  }

  @Test("nothing of a token that is initialised again can be used")
  func initializedAgain() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let key = try user.aes([.onToken, .flag(.private, false)])
    user.closeAll()
    useTwice(user, .encrypt, key)
    #expect(outcome { () throws(ReturnValue) in try bench.initialize() } == .sessionExists)
    let token = bench.token.token
    weak let parsed = try token.key(of: token.object(key, for: token.client(user.id), .keyHandleInvalid))
    user.close(1)
    #expect(!isKept(user, .encrypt, key, Sample.cbc))
    #expect(parsed != nil)
    try bench.initialize()
    #expect(parsed == nil)
    #expect(answer(user, .encrypt, key, Sample.cbc) == .keyHandleInvalid)
  }

  @Test("the parameters of the mechanism are judged each time, and one use says nothing of another")
  func otherUses() throws {
    let user = try Shared.bench.user(306)
    let key = try user.aes([.flag(.decrypt, false)])
    useTwice(user, .encrypt, key, Sample.gcm)
    let iv = ShortBytes([UInt8](repeating: 3, count: 12))
    let oddTag = Mechanism(.aesGCM, .gcm(iv: iv, aad: [], tagBitCount: 127))
    #expect(answer(user, .encrypt, key, oddTag) == .mechanismParamInvalid)
    #expect(answer(user, .encrypt, key, Mechanism(.aesGCM)) == .mechanismParamInvalid)
    #expect(answer(user, .decrypt, key, Sample.gcm) == .keyFunctionNotPermitted)
    #expect(answer(user, .sign, key, Sample.gcm) == .mechanismInvalid)
    #expect(answer(user, .encrypt, key + 2, Sample.gcm) == .keyHandleInvalid)
    #expect(answer(try Shared.bench.user(307), .encrypt, key, Sample.gcm) == .keyHandleInvalid)
  }

  @Test("a key that asks for the PIN asks each time, and its permission is not kept")
  func alwaysAuthenticate() throws {
    let user = try Shared.bench.user(308)
    let pair = try user.pair(
      .ecKeyPairGen, [.bytes(.ecParams, Sample.p256)], [.flag(.alwaysAuthenticate, true), .flag(.private, true)])
    let mechanism = Mechanism(.ecdsaSHA256)
    for _ in 0..<2 {
      try user.authorize(.sign, pair.secret)
      #expect(answer(user, .sign, pair.secret, mechanism) == .ok)
      #expect(!isKept(user, .sign, pair.secret, mechanism))
      #expect(answer(user, .sign, pair.secret, mechanism) == .userNotLoggedIn)
    }
  }

  @Test("a kept decision holds no object that another client has destroyed")
  func holdsNoObject() throws {
    let user = try Shared.bench.user(312)
    let destroyer = try Shared.bench.user(313)
    let key = try user.aes([.onToken, .text(.label, String(repeating: "x", count: 17_000))])
    useTwice(user, .encrypt, key)
    let token = Shared.bench.token.token
    weak let object = try token.object(key, for: token.client(user.id), .keyHandleInvalid)
    #expect(object != nil)
    try destroyer.destroy(key)
    #expect(object == nil)
  }

  @Test("more keys than decisions are kept for all do their own work")
  func manyKeys() throws {
    let user = try Shared.bench.user(309)
    let keys = try (0..<40).map { _ throws(ReturnValue) in try user.aes() }
    let first = try keys.map { key throws(ReturnValue) in try user.perform(.encrypt, key, Sample.cbc, Self.block) }
    #expect(Set(first).count == keys.count)
    for (key, expected) in zip(keys, first) {
      #expect(try user.perform(.encrypt, key, Sample.cbc, Self.block) == expected)
    }
  }

  @Test("while one thread works, another's change is in force as soon as it was answered")
  func concurrentChange() throws {
    let user = try Shared.bench.user(310)
    let other = try Shared.bench.user(311)
    let key = try user.aes([.onToken])
    let ended = Atomic<Bool>(false)
    let failures = Mutex<[String]>([])
    onThreads(2) { index in
      if index == 0 {
        while !ended.load(ordering: .acquiring) {
          let value = answer(user.inSession(8), .encrypt, key, Sample.cbc)
          if value != .ok, value != .keyFunctionNotPermitted { failures.withLock { $0.append("\(value)") } }
        }
        return
      }
      for round in 0..<50 {
        let permits = round % 2 == 1
        let changed = outcome { () throws(ReturnValue) in try other.set(key, [.flag(.encrypt, permits)]) }
        let value = answer(user, .encrypt, key, Sample.cbc)
        if changed != .ok || value != (permits ? .ok : .keyFunctionNotPermitted) {
          failures.withLock { $0.append("round \(round): \(changed), \(value)") }
        }
      }
      ended.store(true, ordering: .releasing)
    }
    #expect(failures.withLock { $0 } == [])
    try user.destroy(key)
  }
}
