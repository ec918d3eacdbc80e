import Glibc
import Synchronization
import Testing

@testable import LinuxSystem

/// A lock, a number that it guards, and who is between `lock` and `unlock`.
private final class Guarded: @unchecked Sendable {
  private let memory = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
  let lock: WordLock
  var number = 0
  let inside = Atomic<Int>(0)
  let wrong = Atomic<Int>(0)
  let ended = Atomic<Int>(0)

  init() {
    memory.initializeMemory(as: UInt64.self, repeating: 0, count: 8)
    lock = WordLock(memory)
  }

  deinit { memory.deallocate() }
}

@Suite("Locks of one word")
struct LockTests {
  @Test("of several threads one at a time has it, and none sleeps for ever")
  func exclusion() throws {
    let guarded = Guarded()
    for thread in 0..<4 {
      try startThread(name: "locker") {
        for round in 0..<5000 {
          guarded.lock.lock()
          if guarded.inside.add(1, ordering: .relaxed).newValue != 1 { guarded.wrong.add(1, ordering: .relaxed) }
          guarded.number += 1
          // Now and then who has it sleeps, so that the others do.
          if round % 1000 == thread { usleep(1000) }
          guarded.inside.subtract(1, ordering: .relaxed)
          guarded.lock.unlock()
        }
        guarded.ended.add(1, ordering: .releasing)
      }
    }
    while guarded.ended.load(ordering: .acquiring) < 4 { usleep(1000) }
    #expect(guarded.number == 20_000)
    #expect(guarded.wrong.load(ordering: .relaxed) == 0)
  }

  @Test("who waits for a limited time gets it when it is given back in time, and else does not")
  func limits() throws {
    let guarded = Guarded()
    #expect(guarded.lock.lock(timeout: 0))
    #expect(!guarded.lock.lock(timeout: 0))
    #expect(!guarded.lock.lock(timeout: 1_000_000))
    let thread = try startThread(name: "locker") {
      usleep(10_000)
      guarded.lock.unlock()
    }
    #expect(guarded.lock.lock(timeout: 60_000_000_000))
    thread.join()
    guarded.lock.unlock()
    #expect(guarded.lock.lock(timeout: 0))
  }
}
