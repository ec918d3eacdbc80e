import CryptoCore
import Foundation
import Glibc
import Synchronization
import Testing

@testable import SecureStorage

@Suite("PINs")
struct PINTests {
  let workshop: Workshop
  let tokenKey: SecretBytes

  init() throws {
    workshop = try Workshop()
    tokenKey = try .random(count: 32)
  }

  private func filled() throws -> SecureStore {
    let store = try workshop.open()
    try store.setPIN(1, .securityOfficer, pin: secret("officer"), tokenKey: tokenKey)
    try store.setPIN(1, .user, pin: secret("1234"), tokenKey: tokenKey)
    return store
  }

  @Test("the right PIN gives the token key, for either role, after reopening, too")
  func rightPIN() throws {
    do {
      let store = try filled()
      #expect(try store.unlock(1, .user, pin: secret("1234")).matches(tokenKey))
    }
    let store = try workshop.open()
    #expect(try store.unlock(1, .user, pin: secret("1234")).matches(tokenKey))
    #expect(try store.unlock(1, .securityOfficer, pin: secret("officer")).matches(tokenKey))
    #expect(try store.pinStatus(1, .user) == PINStatus(tries: 0, limit: 10))
    #expect(throws: StorageError.pinNotSet) { try store.unlock(2, .user, pin: secret("1234")) }
    #expect(try store.pinStatus(2, .user) == nil)
  }

  @Test("PINs of no bytes, long ones and ones with zero bytes are told apart")
  func oddPINs() throws {
    let store = try workshop.open()
    let pins: [[UInt8]] = [[], [0], [0, 0], Array(repeating: 0x61, count: 64), Array(repeating: 0x61, count: 65)]
    for (slot, pin) in pins.enumerated() {
      try store.setPIN(UInt32(slot), .user, pin: SecretBytes(copying: pin), tokenKey: tokenKey)
    }
    for (slot, _) in pins.enumerated() {
      for (other, pin) in pins.enumerated() where other != slot {
        #expect(throws: StorageError.self) { try store.unlock(UInt32(slot), .user, pin: SecretBytes(copying: pin)) }
      }
      #expect(try store.unlock(UInt32(slot), .user, pin: SecretBytes(copying: pins[slot])).matches(tokenKey))
    }
  }

  @Test("wrong PINs count down to the lock across restarts, and the right one is then refused, too")
  func lockout() throws {
    do { _ = try filled() }
    for remaining in (0..<10).reversed() {
      let store = try workshop.open()
      #expect(throws: StorageError.pinIncorrect(remaining: UInt32(remaining))) {
        try store.unlock(1, .user, pin: secret("0000"))
      }
    }
    let store = try workshop.open()
    let before = store.pins.stretchCount
    #expect(throws: StorageError.pinLocked) { try store.unlock(1, .user, pin: secret("1234")) }
    #expect(throws: StorageError.pinLocked) { try store.unlock(1, .user, pin: secret("0000")) }
    #expect(store.pins.stretchCount == before, "a locked PIN is not looked at")
    #expect(try store.pinStatus(1, .user)?.isLocked == true)

    // The officer gives a new one: the token key stays.
    let key = try store.unlock(1, .securityOfficer, pin: secret("officer"))
    try store.setPIN(1, .user, pin: secret("new"), tokenKey: key)
    #expect(try store.unlock(1, .user, pin: secret("new")).matches(tokenKey))
    #expect(throws: StorageError.pinIncorrect(remaining: 9)) { try store.unlock(1, .user, pin: secret("1234")) }
  }

  @Test("success sets the counter back, on the fast way, too")
  func reset() throws {
    let store = try filled()
    #expect(throws: StorageError.pinIncorrect(remaining: 9)) { try store.unlock(1, .user, pin: secret("a")) }
    #expect(throws: StorageError.pinIncorrect(remaining: 8)) { try store.unlock(1, .user, pin: secret("b")) }
    _ = try store.unlock(1, .user, pin: secret("1234"))
    #expect(try store.pinStatus(1, .user)?.tries == 0)
    #expect(throws: StorageError.pinIncorrect(remaining: 9)) { try store.unlock(1, .user, pin: secret("c")) }
    let stretched = store.pins.stretchCount
    _ = try store.unlock(1, .user, pin: secret("1234"))
    #expect(store.pins.stretchCount == stretched)
    #expect(try store.pinStatus(1, .user)?.tries == 0)
  }

  @Test("a PIN that was right before costs neither scrypt nor a write, a wrong one still costs both")
  func fastPath() throws {
    let store = try filled()
    _ = try store.unlock(1, .user, pin: secret("1234"))
    let stretched = store.pins.stretchCount
    let commits = store.transactionCount
    for _ in 0..<5 { #expect(try store.unlock(1, .user, pin: secret("1234")).matches(tokenKey)) }
    #expect(store.pins.stretchCount == stretched)
    #expect(store.transactionCount == commits)
    #expect(throws: StorageError.pinIncorrect(remaining: 9)) { try store.unlock(1, .user, pin: secret("12345")) }
    #expect(store.pins.stretchCount == stretched + 1)
    #expect(store.transactionCount == commits + 1)
  }

  @Test("the fast way ends with the lock, with a new PIN and with the PIN's removal")
  func fastPathEnds() throws {
    let store = try filled()
    _ = try store.unlock(1, .user, pin: secret("1234"))
    try store.setPIN(1, .user, pin: secret("5678"), tokenKey: tokenKey)
    #expect(throws: StorageError.pinIncorrect(remaining: 9)) { try store.unlock(1, .user, pin: secret("1234")) }
    _ = try store.unlock(1, .user, pin: secret("5678"))
    for _ in 0..<10 { _ = try? store.unlock(1, .user, pin: secret("x")) }
    #expect(throws: StorageError.pinLocked) { try store.unlock(1, .user, pin: secret("5678")) }
    try store.commit { (transaction) throws(StorageError) in try transaction.removePIN(1, .user) }
    #expect(throws: StorageError.pinNotSet) { try store.unlock(1, .user, pin: secret("5678")) }
  }

  @Test("the try is durable before the PIN is looked at")
  func countedFirst() throws {
    let store = try filled()
    // While another try holds the place for scrypt, a guess has been counted already.
    let counted = try store.pins.whileStretching { () throws(StorageError) -> UInt32? in
      let thread = Foundation.Thread { _ = try? store.unlock(1, .user, pin: secret("wrong")) }
      thread.start()
      for _ in 0..<2000 {
        let tries = try store.pinStatus(1, .user)?.tries
        if tries == 1 { return tries }
        usleep(1000)
      }
      return nil
    }
    #expect(counted == 1)
  }

  @Test("the right PIN given by many at once is right for all of them, and stretched once")
  func parallelLogins() throws {
    let store = try filled()
    let stretched = store.pins.stretchCount
    let right = Atomic<Int>(0)
    onThreads(40) { [tokenKey] _ in
      if (try? store.unlock(1, .user, pin: secret("1234")))?.matches(tokenKey) == true {
        right.add(1, ordering: .relaxed)
      }
    }
    #expect(right.load(ordering: .relaxed) == 40)
    #expect(store.pins.stretchCount == stretched + 1)
    #expect(try store.pinStatus(1, .user)?.tries == 0)
  }

  @Test("guesses in parallel get no more tries than in turn")
  func parallelGuesses() throws {
    let store = try filled()
    let incorrect = Atomic<Int>(0)
    let locked = Atomic<Int>(0)
    onThreads(40) { number in
      do throws(StorageError) {
        _ = try store.unlock(1, .user, pin: secret("guess \(number)"))
      } catch {
        if case .pinIncorrect = error { incorrect.add(1, ordering: .relaxed) }
        if error == .pinLocked { locked.add(1, ordering: .relaxed) }
      }
    }
    #expect(incorrect.load(ordering: .relaxed) == 10)
    #expect(locked.load(ordering: .relaxed) == 30)
  }

  @Test("a PIN that was to replace another one does not replace a third, nor a lock")
  func replacing() throws {
    let store = try filled()
    func prepared(_ pin: String) throws -> PreparedPIN {
      let old = try store.pinIdentity(1, .user)
      return try store.preparePIN(1, .user, pin: secret(pin), tokenKey: tokenKey, replacing: old)
    }
    try store.setPIN(try prepared("second"))
    let late = try prepared("attacker's")
    // The officer's, without regard to what there was.
    try store.setPIN(1, .user, pin: secret("officer's gift"), tokenKey: tokenKey)
    #expect(throws: StorageError.pinIncorrect(remaining: 1)) { try store.setPIN(late) }
    #expect(try store.unlock(1, .user, pin: secret("officer's gift")).matches(tokenKey))
    let locked = try prepared("after the lock")
    while try store.pinStatus(1, .user)?.isLocked == false { _ = try? store.unlock(1, .user, pin: secret("wrong")) }
    #expect(throws: StorageError.pinLocked) { try store.setPIN(locked) }
    #expect(try store.pinStatus(1, .user)?.isLocked == true)
  }

  @Test("a PIN can be set together with other changes, or not at all")
  func preparedPIN() throws {
    let store = try workshop.open()
    let pin = try store.preparePIN(3, .securityOfficer, pin: secret("so"), tokenKey: tokenKey, limit: 4)
    #expect(throws: StorageError.pinNotSet) {
      try store.commit { (transaction) throws(StorageError) in
        try transaction.setPIN(pin)
        throw .pinNotSet
      }
    }
    #expect(try store.pinStatus(3, .securityOfficer) == nil)
    try store.commit { (transaction) throws(StorageError) in
      try transaction.put(StoredToken(token: 3, content: []))
      try transaction.setPIN(pin)
    }
    #expect(try store.pinStatus(3, .securityOfficer) == PINStatus(tries: 0, limit: 4))
    #expect(try store.unlock(3, .securityOfficer, pin: secret("so")).matches(tokenKey))
  }

  @Test("the parameters in use are scrypt's N = 2^15, r = 8, p = 1, stored with the PIN")
  func parameters() throws {
    do {
      let store = try SecureStore.open(directory: workshop.store)
      try store.setPIN(1, .user, pin: secret("1234"), tokenKey: tokenKey)
      #expect(try store.storedPIN(1, .user)?.cost == PINCost(n: 32768, r: 8, p: 1))
    }
    // A store opened with other parameters for new PINs still unlocks by the stored ones.
    #expect(try workshop.open().unlock(1, .user, pin: secret("1234")).matches(tokenKey))
  }

  @Test("records of two stores with the same PIN do not fit each other")
  func otherStore() throws {
    do { _ = try filled() }
    let other = try Workshop()
    do {
      let store = try other.open()
      try store.setPIN(1, .user, pin: secret("1234"), tokenKey: tokenKey)
      try store.setPIN(1, .securityOfficer, pin: secret("1234"), tokenKey: tokenKey)
    }
    try workshop.alter(
      "ATTACH '\(other.store)/strongroom.db' AS other; "
        + "INSERT OR REPLACE INTO main.pins SELECT * FROM other.pins")
    #expect(try workshop.refusal()?.isTampered == true)
  }

  @Test("a right PIN that waited in line while a wrong one was counted sets the counter back")
  func recalledInLine() throws {
    let store = try filled()
    let salt = try #require(try store.reading { () throws(StorageError) in try store.storedPIN(1, .user) }).salt
    let done = Mutex<Bool?>(nil)
    let thread = Mutex<String?>(nil)
    try store.pins.whileTrying { () throws(StorageError) in
      Thread.detachNewThread { [tokenKey] in
        let directory = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/thread-self")
        thread.withLock { $0 = directory }
        let isRight = (try? store.unlock(1, .user, pin: secret("1234")).matches(tokenKey)) ?? false
        done.withLock { $0 = isRight }
      }
      // It has not found the PIN among the known ones, and waits for its turn.
      var looks = 0
      while looks < 25 {
        usleep(1000)
        let directory = thread.withLock { $0 } ?? "none"
        let status = try? String(contentsOfFile: "/proc/\(directory)/stat", encoding: .utf8)
        looks = status?.drop { $0 != ")" }.dropFirst(2).first == "S" ? looks + 1 : 0
      }
      // The one before was right, and a wrong one came behind it.
      try store.pins.remember(
        PINUnlocking.Name(token: 1, role: .user), salt: salt, pin: secret("1234"), tokenKey: tokenKey,
        store.keys.numbers)
      try store.commit { (transaction) throws(StorageError) in
        guard var record = try transaction.pinRecord(1, .user) else { throw .pinNotSet }
        record.tries += 1
        try transaction.put(record, 1, .user)
      }
    }
    while done.withLock({ $0 == nil }) { usleep(1000) }
    #expect(done.withLock { $0 } == true)
    #expect(try store.pinStatus(1, .user)?.tries == 0)
  }
}
