import CLinux
import LinuxSystem
import Synchronization

/// How a server thread waits for its client, and wakes it.
struct ServerWaiting {
  /// How long spinning pays at most, in nanoseconds: about the cost of waking a thread on another processor.
  static let defaultSpin: UInt64 = 40_000
  /// How long a sleep in mid-operation lasts before the thread asks whether the client is still there.
  static let slice: UInt64 = 50_000_000

  private let memory: ChannelMemory
  private let spinners: SpinBudget
  private var clientProcessor = -1
  private var announcedProcessor = -1
  private var flags: RequestFlags = []

  init(memory: ChannelMemory, spinners: SpinBudget) {
    self.memory = memory
    self.spinners = spinners
  }

  mutating func begin(clientProcessor: UInt16, flags: RequestFlags) {
    self.clientProcessor = Int(clientProcessor)
    self.flags = flags
  }

  func leave() {}

  enum Bell { case always, ifAwake }

  /// Tells the client that something happened. A client that sleeps is woken only by `.always`: it would find too little
  /// to do for the price of a wake-up.
  @inline(__always)
  func ring(_ bell: Bell) {
    let events = memory.replyEvents
    events.exchange(events.loadRelaxed() &+ 1)
    if bell == .always, memory.clientAsleep.load() != 0 { events.wake() }
  }

  /// Lets the client know where this thread is, so that it does not spin on the same processor.
  private mutating func announceProcessor() {
    let processor = Processor.current
    if processor != announcedProcessor {
      announcedProcessor = processor
      memory.serverProcessor.store(UInt32(truncatingIfNeeded: processor))
    }
  }

  /// Returns when there may be a request after `last`, or the client has gone.
  mutating func waitForRequest(after last: UInt32, unless environment: ClientEnvironment) {
    let sequence = memory.requestSequence
    announceProcessor()
    if Processor.current != clientProcessor, spinners.enter() {
      defer { spinners.leave() }
      let end = MonotonicClock.now() &+ ServerWaiting.defaultSpin
      repeat {
        for _ in 0..<64 {
          if sequence.load() != last { return }
          Processor.pause()
        }
      } while MonotonicClock.now() < end
    }
    announceProcessor()
    memory.serverAsleep.exchange(1)
    let events = memory.requestEvents.load()
    if sequence.load() == last, !environment.hasGone {
      _ = memory.requestEvents.wait(while: events, timeout: nil)
    }
    memory.serverAsleep.store(0)
  }

  /// Returns when `condition` may be true; throws when the client has gone.
  mutating func waitInOperation(_ client: ServerClient, until condition: () -> Bool) throws(InvocationError) {
    if Processor.current != clientProcessor {
      let end = MonotonicClock.now() &+ ServerWaiting.defaultSpin
      repeat {
        for _ in 0..<64 {
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
}

/// How many threads of the server may spin at once.
final class SpinBudget: Sendable {
  private let limit: Int
  private let spinning = Atomic<Int>(0)

  init(limit: Int) {
    self.limit = limit
  }

  func enter() -> Bool {
    if spinning.wrappingAdd(1, ordering: .relaxed).newValue <= limit { return true }
    spinning.wrappingSubtract(1, ordering: .relaxed)
    return false
  }

  func leave() {
    spinning.wrappingSubtract(1, ordering: .relaxed)
  }
}
