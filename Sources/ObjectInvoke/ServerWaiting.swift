import CLinux
import LinuxSystem
import Synchronization

/// How a server thread waits for its client, and wakes it.
///
/// A sleeping thread on another processor costs tens of microseconds to wake, one on the caller's own processor costs a
/// context switch. So a thread is in one of two places:
/// - away: on another processor than its client, spinning for the next request as long as a wake-up would cost;
/// - near: bound to its client's processor and asleep there. Nobody spins then, since two threads on one processor
///   that do would wait for each other's time slice. It comes near when a spin ends without a request, when there may
///   be no more spinners, and for 10 ms when the client spun in vain (something else had the thread's processor). It
///   goes away when requests follow each other quickly, or when much is to be copied, which then overlaps with the
///   work.
struct ServerWaiting {
  /// How long a sleep in mid-operation lasts before the thread asks whether the client is still there, nanoseconds.
  static let slice: UInt64 = 50_000_000
  /// A request that comes this soon after the last answer counts as quick, nanoseconds.
  private static let quick: UInt64 = 15_000
  /// How many quick requests in a row make the thread go away.
  private static let quickCount = 3
  /// How long the thread stays near after the client spun in vain, nanoseconds.
  private static let penalty: UInt64 = 10_000_000
  /// How long a thread may be one of the spinners while others would be, nanoseconds.
  private static let turn: UInt64 = 2_000_000
  /// From how many bytes of input and output on copying is worth overlapping.
  private static let bulk: UInt64 = 256 << 10

  private let memory: ChannelMemory
  private let spinners: SpinBudget
  /// The processors the thread may use by itself; nil where it cannot be bound.
  private let home: ProcessorSet?
  private var isSpinner = false
  private var spinsSince: UInt64 = 0
  private var deniedBefore: UInt64 = 0
  private var requests: UInt32 = 0
  /// The processor the thread is bound to, while it is near.
  private var near: Int?
  private var clientProcessor = -1
  private var announcedProcessor = -1
  private var isLong = false
  /// Whether the thread went away since the last request: the client may have spun in vain for that reason alone.
  private var isMoving = false
  private var quickInRow = 0
  private var mayNotSpinUntil: UInt64 = 0

  /// To be made by the thread that serves.
  init(memory: ChannelMemory, spinners: SpinBudget) {
    self.memory = memory
    self.spinners = spinners
    home = Processor.count > 1 ? try? ProcessorSet() : nil
  }

  // MARK: Around an invocation

  /// Takes over what a request says about the client.
  @inline(__always)
  mutating func begin(clientProcessor: UInt16, flags: RequestFlags, bulkByteCount: UInt64) {
    self.clientProcessor = Int(clientProcessor)
    isLong = flags.contains(.long)
    if flags.contains(.spinMissed), !isMoving { mayNotSpinUntil = MonotonicClock.now() &+ ServerWaiting.penalty }
    isMoving = false
    requests &+= 1
    if isSpinner, requests % 1024 == 0 { endTurn() }
    if near != nil {
      if isLong { leaveFree() } else if bulkByteCount >= ServerWaiting.bulk { goAway() }
    }
  }

  /// The thread ends.
  mutating func leave() {
    stopSpinning()
  }

  enum Bell { case always, ifAwake }

  /// Tells the client that something happened. A client that sleeps is woken only by `.always`: it would find too
  /// little to do for the price of a wake-up.
  @inline(__always)
  func ring(_ bell: Bell) {
    let events = memory.replyEvents
    events.exchange(events.loadRelaxed() &+ 1)
    if bell == .always { memory.wakeClient() }
  }

  // MARK: Waiting

  /// Returns when there may be a request after `last`, or the client has gone.
  @inline(__always)
  mutating func waitForRequest(after last: UInt32, unless environment: ClientEnvironment) {
    if near == nil, isSpinner, !isLong {
      // The hot path: the next request is on its way.
      for _ in 0..<32 {
        if memory.requestSequence.load() != last { return }
        Processor.pause()
      }
    }
    waitLonger(after: last, unless: environment)
  }

  private mutating func waitLonger(after last: UInt32, unless environment: ClientEnvironment) {
    let sequence = memory.requestSequence
    if maySpin() {
      if near != nil { goAway() }
      announce(Processor.current)
      let end = MonotonicClock.now() &+ spinners.window
      repeat {
        for _ in 0..<32 {
          if sequence.load() != last { return }
          Processor.pause()
        }
      } while MonotonicClock.now() < end
    }
    stopSpinning()
    comeNear()
    let start = MonotonicClock.now()
    memory.serverAsleep.exchange(1)
    let events = memory.requestEvents.load()
    if sequence.load() == last, !environment.hasGone {
      _ = memory.requestEvents.wait(while: events, timeout: nil)
    }
    memory.serverAsleep.store(0)
    quickInRow = MonotonicClock.now() &- start < ServerWaiting.quick ? quickInRow + 1 : 0
  }

  /// Returns when `condition` may be true; throws when the client has gone.
  mutating func waitInOperation(_ client: ServerClient, until condition: () -> Bool) throws(InvocationError) {
    if near == nil, Processor.current != clientProcessor {
      let end = MonotonicClock.now() &+ spinners.window
      repeat {
        for _ in 0..<32 {
          if condition() { return }
          Processor.pause()
        }
      } while MonotonicClock.now() < end
    }
    while !condition() {
      // The client may sleep because too little had happened to wake it; nothing more will happen now.
      ring(.always)
      memory.serverAsleep.exchange(1)
      defer { memory.serverAsleep.store(0) }
      let events = memory.requestEvents.load()
      if condition() { return }
      let woken = memory.requestEvents.wait(while: events, timeout: ServerWaiting.slice)
      if client.environment.hasGone || (woken == .timedOut && client.hasHungUp()) {
        client.drop()
        throw .peerGone
      }
    }
  }

  // MARK: Places

  private mutating func maySpin() -> Bool {
    guard !isLong, let home, home.contains(clientProcessor) else { return false }
    if near == nil {
      if Processor.current == clientProcessor { return false }
    } else if quickInRow < ServerWaiting.quickCount {
      return false
    }
    if mayNotSpinUntil != 0 {
      if MonotonicClock.now() < mayNotSpinUntil { return false }
      mayNotSpinUntil = 0
    }
    if !isSpinner {
      isSpinner = spinners.enter()
      spinsSince = MonotonicClock.now()
      deniedBefore = spinners.denials
    }
    return isSpinner
  }

  /// Lets others spin who were denied it, if this thread has for long enough.
  private mutating func endTurn() {
    let now = MonotonicClock.now()
    guard now &- spinsSince > ServerWaiting.turn, spinners.denials != deniedBefore else { return }
    stopSpinning()
    mayNotSpinUntil = now &+ ServerWaiting.turn
  }

  private mutating func stopSpinning() {
    if isSpinner {
      isSpinner = false
      spinners.leave()
    }
  }

  private mutating func comeNear() {
    if near == clientProcessor { return }
    guard let home, home.contains(clientProcessor), (try? Processor.bind(to: clientProcessor)) != nil else {
      announce(Processor.current)
      return
    }
    near = clientProcessor
    announce(clientProcessor)
  }

  /// To any processor but the client's.
  private mutating func goAway() {
    quickInRow = 0
    guard let away = home?.removing(clientProcessor), (try? away.apply()) != nil else { return }
    near = nil
    isMoving = true
    announce(Processor.current)
  }

  /// To wherever the scheduler likes, for an operation that takes long: its processor may be wanted by others.
  private mutating func leaveFree() {
    guard let home, (try? home.apply()) != nil else { return }
    near = nil
  }

  /// Lets the client know where this thread is, so that it does not spin on the same processor.
  private mutating func announce(_ processor: Int) {
    if processor != announcedProcessor {
      announcedProcessor = processor
      memory.serverProcessor.store(UInt32(truncatingIfNeeded: processor))
    }
  }
}

/// How many threads of the server may spin at once, and how long.
final class SpinBudget: Sendable {
  /// Until it has been measured, nanoseconds.
  static let assumedWindow: UInt64 = 40_000
  /// A wake-up that costs more than this is not waited for by spinning, nanoseconds.
  static let windowLimit: UInt64 = 60_000

  private let limit: Int
  private let spinning = Atomic<Int>(0)
  private let denied = Atomic<UInt64>(0)
  private let measured = Atomic<UInt64>(assumedWindow)

  init(limit: Int) {
    self.limit = limit
  }

  /// How long spinning pays, nanoseconds: about the cost of waking a thread on another processor.
  var window: UInt64 { measured.load(ordering: .relaxed) }

  func enter() -> Bool {
    if spinning.wrappingAdd(1, ordering: .relaxed).newValue <= limit { return true }
    spinning.wrappingSubtract(1, ordering: .relaxed)
    denied.wrappingAdd(1, ordering: .relaxed)
    return false
  }

  /// How often a thread wanted to spin and might not.
  var denials: UInt64 { denied.load(ordering: .relaxed) }

  func leave() {
    spinning.wrappingSubtract(1, ordering: .relaxed)
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
    measured.store(min(max(median / 2, 5_000), SpinBudget.windowLimit), ordering: .relaxed)
  }
}
