import LinuxSystem
import Synchronization

/// Which threads of the server may spin, and how long: every spinning thread and its client keep two processors busy.
///
/// There are turns for half as many threads as there are processors. While others want one, a turn ends after
/// `ServerPolicy.turn`, and the longest waiting thread has the next.
final class SpinTurns: Sendable {
  /// Until it has been measured, nanoseconds.
  static let assumedWakeCost: UInt64 = 30_000
  /// A wake-up that costs more than this is not waited for by spinning, nanoseconds.
  static let wakeCostLimit: UInt64 = 50_000

  private struct Queue {
    var free: Int
    var waiting: [Waiter] = []
  }

  /// A thread that waits for its turn. `word` is 1 once it has it.
  private final class Waiter: @unchecked Sendable {
    // Sendable: the word is atomic.
    let word: SharedWord
    init() {
      let memory = UnsafeMutableRawPointer.allocate(byteCount: 4, alignment: 4)
      memory.storeBytes(of: 0, as: UInt32.self)
      word = SharedWord(memory)
    }
    deinit { word.address.deallocate() }
  }

  private let limit: Int
  private let queue: Mutex<Queue>
  private let waiters = Atomic<Int>(0)
  private let measured = Atomic<UInt64>(assumedWakeCost)
  private let othersWork = Atomic<UInt64>(0)

  init(limit: Int) {
    self.limit = limit
    queue = Mutex(Queue(free: limit))
  }

  /// What waking a thread on another processor costs, nanoseconds.
  var wakeCost: UInt64 { measured.load(ordering: .relaxed) }

  /// How many threads wait for their turn.
  var waitingCount: Int { waiters.load(ordering: .relaxed) }
  var isWanted: Bool { waitingCount > 0 }

  /// For how long threads have worked that do not spin, all together, nanoseconds: a sign of other clients.
  var workOfOthers: UInt64 { othersWork.load(ordering: .relaxed) }
  func noteWork(_ duration: UInt64) { othersWork.wrappingAdd(duration, ordering: .relaxed) }

  /// Takes a turn if one is free and nobody waits for it.
  func take() -> Bool {
    guard limit > 0, !isWanted else { return false }
    return queue.withLock { queue in
      guard queue.free > 0, queue.waiting.isEmpty else { return false }
      queue.free -= 1
      return true
    }
  }

  /// Waits for a turn behind those that wait already; false when there was none in `timeout` nanoseconds.
  func wait(timeout: UInt64) -> Bool {
    guard limit > 0 else { return false }
    let waiter = Waiter()
    let isFree = queue.withLock { queue in
      if queue.free > 0, queue.waiting.isEmpty {
        queue.free -= 1
        return true
      }
      queue.waiting.append(waiter)
      waiters.store(queue.waiting.count, ordering: .relaxed)
      return false
    }
    if isFree { return true }
    let deadline = MonotonicClock.now() &+ timeout
    while waiter.word.load() == 0 {
      let now = MonotonicClock.now()
      if now >= deadline { break }
      _ = waiter.word.wait(while: 0, timeout: deadline - now)
    }
    return queue.withLock { queue in
      if waiter.word.load() != 0 { return true }
      queue.waiting.removeAll { $0 === waiter }
      waiters.store(queue.waiting.count, ordering: .relaxed)
      return false
    }
  }

  /// Ends a turn: the first who waits has it next.
  func leave() {
    let next = queue.withLock { queue -> Waiter? in
      guard !queue.waiting.isEmpty else {
        queue.free += 1
        return nil
      }
      let next = queue.waiting.removeFirst()
      waiters.store(queue.waiting.count, ordering: .relaxed)
      next.word.store(1)
      return next
    }
    next?.word.wake()
  }

  /// Measures what a wake-up across processors costs here; takes about a millisecond, in a thread of its own.
  func measure() {
    guard limit > 0 else { return }
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 384, alignment: 128)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: 384)
    defer { memory.deallocate() }
    let there = SharedWord(memory)
    let back = SharedWord(memory + 128)
    let pause = SharedWord(memory + 256)
    let here = Processor.current
    guard let away = try? ProcessorSet().removing(here), (try? Processor.bind(to: here)) != nil else { return }
    let rounds: UInt32 = 12
    let thread: Thread
    do throws(SystemError) {
      thread = try startThread(name: "measure") {
        try? away.apply()
        for round in 0..<rounds {
          while there.load() == round { _ = there.wait(while: round, timeout: nil) }
          back.store(round + 1)
          back.wake()
        }
      }
    } catch {
      return
    }
    var samples: [UInt64] = []
    for round in 0..<rounds {
      // Long enough for the other processor to go to rest.
      _ = pause.wait(while: 0, timeout: 60_000)
      let start = MonotonicClock.now()
      there.store(round + 1)
      there.wake()
      while back.load() == round { _ = back.wait(while: round, timeout: nil) }
      samples.append(MonotonicClock.now() &- start)
    }
    thread.join()
    let median = samples.sorted()[samples.count / 2]
    measured.store(min(max(median / 2, 5_000), SpinTurns.wakeCostLimit), ordering: .relaxed)
  }
}
