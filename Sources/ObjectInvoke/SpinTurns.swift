import LinuxSystem
import Synchronization

/// Which threads of the server may spin, and how long: every spinning thread and its client keep two processors busy.
///
/// There are turns for half as many threads as there are processors. While others want one, a turn ends after
/// `ServerPolicy.turn`, and the longest waiting thread has the next. When more want one than would get one soon, nobody
/// does.
final class SpinTurns: Sendable {
  /// Until it has been measured, nanoseconds.
  static let assumedWakeCost: UInt64 = 30_000
  /// A wake-up that costs more than this is not waited for by spinning, nanoseconds.
  static let wakeCostLimit: UInt64 = 50_000

  /// How many threads may wait for each of the turns that there are at once.
  static let longestQueue = Int(ServerPolicy.patience / ServerPolicy.turn) - 1

  private struct Queue {
    var free: Int
    var waiting: [Waiter] = []
  }

  enum Outcome { case granted, late, crowded }

  /// A thread that waits for its turn. `word` is not 0 once that has come to an end.
  private final class Waiter: @unchecked Sendable {
    // Sendable: the word is atomic.
    static let granted: UInt32 = 1
    static let turnedAway: UInt32 = 2
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
  private let worked = Atomic<UInt64>(0)

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
  var work: UInt64 { worked.load(ordering: .relaxed) }
  func noteWork(_ duration: UInt64) { worked.wrappingAdd(duration, ordering: .relaxed) }

  /// Takes a turn if one is free and nobody waits for it.
  func take() -> Bool {
    guard limit > 0, !isWanted else { return false }
    return queue.withLock { queue in
      guard queue.free > 0, queue.waiting.isEmpty else { return false }
      queue.free -= 1
      return true
    }
  }

  /// Waits for a turn behind those that wait already, `timeout` nanoseconds at most. With `.crowded` all who waited are
  /// turned away.
  func wait(timeout: UInt64) -> Outcome {
    guard limit > 0 else { return .crowded }
    let waiter = Waiter()
    var crowd: [Waiter] = []
    let immediate = queue.withLock { queue -> Outcome? in
      if queue.free > 0, queue.waiting.isEmpty {
        queue.free -= 1
        return .granted
      }
      if queue.waiting.count >= limit * SpinTurns.longestQueue {
        crowd = queue.waiting
        for waiter in crowd { waiter.word.store(Waiter.turnedAway) }
        setWaiting([], &queue)
        return .crowded
      }
      setWaiting(queue.waiting + [waiter], &queue)
      return nil
    }
    for other in crowd { other.word.wake() }
    if let immediate { return immediate }
    let deadline = MonotonicClock.now() &+ timeout
    while waiter.word.load() == 0 {
      let now = MonotonicClock.now()
      if now >= deadline { break }
      _ = waiter.word.wait(while: 0, timeout: deadline - now)
    }
    return queue.withLock { queue in
      switch waiter.word.load() {
      case Waiter.granted: return .granted
      case Waiter.turnedAway: return .crowded
      default:
        setWaiting(queue.waiting.filter { $0 !== waiter }, &queue)
        return .late
      }
    }
  }

  private func setWaiting(_ waiting: [Waiter], _ queue: inout Queue) {
    queue.waiting = waiting
    waiters.store(waiting.count, ordering: .relaxed)
  }

  /// Ends a turn: the first who waits has it next.
  func leave() {
    let next = queue.withLock { queue -> Waiter? in
      guard !queue.waiting.isEmpty else {
        queue.free += 1
        return nil
      }
      let next = queue.waiting[0]
      setWaiting(Array(queue.waiting.dropFirst()), &queue)
      next.word.store(Waiter.granted)
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
