import Cryptoki
import Foundation
import Mechanisms
import Synchronization
import Testing
import TokenProtocol

@testable import SecureStorage
@testable import TokenService

/// Runs `body` on `count` threads and waits for all of them.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  let group = DispatchGroup()
  for index in 0..<count {
    group.enter()
    let thread = Thread {
      body(index)
      group.leave()
    }
    thread.stackSize = 1 << 20
    thread.start()
  }
  group.wait()
}

@Suite("Threads")
struct ConcurrencyTests {
  @Test("eight threads of four clients make, use, change, find and destroy keys at once")
  func everythingAtOnce() throws {
    let bench = try TokenBench()
    let first = try bench.user(1)
    let shared = try first.aes([.onToken, .text(.label, "shared")])
    let expected = try first.perform(.encrypt, shared, Mechanism(.aesECB), [UInt8](repeating: 0, count: 16))
    for number: UInt64 in 2...4 { _ = try bench.user(number) }
    let failures = Mutex<[String]>([])
    onThreads(8) { index in
      let client = BenchClient(bench, UInt64(index % 4 + 1)).inSession(UInt32(index + 10))
      do {
        for round in 0..<25 {
          let label = "thread-\(index)"
          let key = try client.aes([.text(.label, label), .flag(.token, round % 5 == 0)])
          let sealed = try client.perform(.encrypt, key, Sample.gcm, [UInt8](repeating: 1, count: 500))
          guard try client.perform(.decrypt, key, Sample.gcm, sealed) == [UInt8](repeating: 1, count: 500) else {
            throw ReturnValue.generalError
          }
          try client.set(key, [.text(.label, label + "-changed")])
          guard try client.find([.text(.label, label + "-changed")]) == [key] else { throw ReturnValue.functionFailed }
          _ = try client.begin(.sign, key, Mechanism(.aesCMAC), [1])
          guard try client.finish(.sign).count == 16 else { throw ReturnValue.dataInvalid }
          let block = try client.perform(.encrypt, shared, Mechanism(.aesECB), [UInt8](repeating: 0, count: 16))
          guard block == expected else { throw ReturnValue.deviceError }
          try client.destroy(key)
        }
      } catch {
        failures.withLock { $0.append("thread \(index): \(error)") }
      }
    }
    #expect(failures.withLock { $0 } == [])
    #expect(try first.find([.of(.secretKey)]) == [shared])
  }

  @Test("logins and logouts while others work: right answers only")
  func loginsWhileWorking() throws {
    let bench = try TokenBench()
    let user = try bench.user(1)
    let key = try user.aes([.onToken])
    let expected = try user.perform(.encrypt, key, Mechanism(.aesECB), [UInt8](repeating: 0, count: 16))
    user.closeAll()
    let failures = Mutex<[String]>([])
    onThreads(6) { index in
      let client = BenchClient(bench, UInt64(index + 1))
      for _ in 0..<20 {
        do {
          try client.logIn(.user, TokenBench.userPIN)
          let block = try client.perform(.encrypt, key, Mechanism(.aesECB), [UInt8](repeating: 0, count: 16))
          if block != expected { failures.withLock { $0.append("another key") } }
          try client.logOut()
          let after = outcome { () throws(ReturnValue) in
            try client.perform(.encrypt, key, Mechanism(.aesECB), [UInt8](repeating: 0, count: 16))
          }
          if after != .keyHandleInvalid { failures.withLock { $0.append("\(after) after the logout") } }
        } catch {
          failures.withLock { $0.append("thread \(index): \(error)") }
        }
      }
    }
    #expect(failures.withLock { $0 } == [])
  }

  @Test("a key that is destroyed between its look-up and its use is an invalid handle, and no fault of the device")
  func destroyedMeanwhile() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let key = try user.aes([.onToken])
    let token = bench.token.token
    let object = try token.object(key, for: token.client(user.id), .keyHandleInvalid)
    try user.destroy(key)
    #expect(throws: ReturnValue.keyHandleInvalid) { _ = try token.key(of: object) }
    #expect(throws: ReturnValue.objectHandleInvalid) { _ = try token.secrets(of: object) }
  }

  /// Makes `count` requests, each on a thread of its own, so that all of them come while a commit is under way. Answers what
  /// they are answered, how many of them waited for the store, and how many commits were made for them.
  private func together(
    _ bench: TokenBench, _ count: Int, _ request: @escaping @Sendable (Int) throws(ReturnValue) -> Void
  ) -> (values: [ReturnValue], inLine: Int, commits: UInt64) {
    let store = bench.token.token.store
    func withMonitor<R>(_ body: () -> R) -> R {
      store.monitor.lock()
      defer { store.monitor.unlock() }
      return body()
    }
    let before = store.transactionCount
    let mayEnd = Atomic<Bool>(false)
    let commit = Waiter { () throws(ReturnValue) in
      try storing { () throws(StorageError) in
        try store.commit { (_) throws(StorageError) in
          while !mayEnd.load(ordering: .acquiring) { usleep(1000) }
        }
      }
    }
    while !withMonitor({ store.isWriting }) { usleep(1000) }
    let waiters = (0..<count).map { index in Waiter { () throws(ReturnValue) in try request(index) } }
    for waiter in waiters { waiter.waitUntilItWaits() }
    let inLine = withMonitor { store.waitingWriters.count }
    mayEnd.store(true, ordering: .releasing)
    #expect(commit.value == .ok)
    return (waiters.map(\.value), inLine, store.transactionCount - before)
  }

  @Test("changes of different objects, and their destructions, share a commit")
  func sharedCommits() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let keys = try (0..<8).map { _ in try user.aes([.onToken]) }
    let sessions = keys.indices.map { user.inSession(UInt32($0 + 10)) }
    let changed = together(bench, 8) { (index) throws(ReturnValue) in
      try sessions[index].set(keys[index], [.text(.label, "changed")])
    }
    #expect(changed == (Array(repeating: .ok, count: 8), 8, 1))
    #expect(Set(try user.find([.text(.label, "changed")])) == Set(keys))
    let destroyed = together(bench, 8) { (index) throws(ReturnValue) in
      try sessions[index].destroy(keys[index])
    }
    #expect(destroyed == (Array(repeating: .ok, count: 8), 8, 1))
    #expect(try user.find([.of(.secretKey)]) == [])
  }

  @Test("changes of one object happen one after another: none is lost, and a destruction is the last")
  func changesOfOneObject() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let key = try user.aes([.onToken])
    let sessions = [user.inSession(10), user.inSession(11)]
    let changes: [[Attribute]] = [[.text(.label, "one")], [.bytes(.id, [1, 2])]]
    let changed = together(bench, 2) { (index) throws(ReturnValue) in try sessions[index].set(key, changes[index]) }
    #expect(changed == ([.ok, .ok], 1, 2))
    #expect(try user.find([.text(.label, "one"), .bytes(.id, [1, 2])]) == [key])
    let destroyed = together(bench, 2) { (index) throws(ReturnValue) in try sessions[index].destroy(key) }
    #expect(Set(destroyed.values) == [.ok, .objectHandleInvalid])
    #expect(destroyed.commits == 1)
    try bench.reopen()
    #expect(try bench.user().find([.of(.secretKey)]) == [])
  }

  @Test("two threads in one operation: one of them is told that it is active, and nothing is mixed up")
  func oneOperationTwoThreads() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let key = try user.aes()
    _ = try user.begin(.sign, key, Mechanism(.aesCMAC))
    let data = [UInt8](repeating: 7, count: 4096)
    let accepted = Atomic<Int>(0)
    onThreads(4) { _ in
      for _ in 0..<50 where outcome({ () throws(ReturnValue) in try user.update(.sign, data) }) == .ok {
        accepted.add(1, ordering: .relaxed)
      }
    }
    let count = accepted.load(ordering: .relaxed)
    #expect(count >= 50)
    let parts = try user.finish(.sign)
    let whole = [UInt8](repeating: 7, count: 4096 * count)
    #expect(try user.perform(.sign, key, Mechanism(.aesCMAC), whole) == parts)
  }
}
