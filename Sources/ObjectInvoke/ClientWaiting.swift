import LinuxSystem

/// How a client thread waits for the server, and wakes it. It never waits for a server that has gone.
final class ClientWaiting {
  /// How long a sleep lasts before the thread asks whether the server is still there, nanoseconds.
  static let slice: UInt64 = 50_000_000
  /// The longest spin a server may suggest, nanoseconds.
  static let spinLimit: UInt64 = 100_000

  private let memory: ChannelMemory
  private let state: ClientState
  private let spin: UInt64
  /// A spin in vain that is followed by a sleep of more than this many nanoseconds means that something else had the
  /// server's processor for a time slice. Shorter ones happen by themselves, on virtual processors above all.
  private static let tooLong: UInt64 = 300_000

  /// Whether the last spin was in vain because the server's thread did not run.
  private(set) var missedLast = false

  init(memory: ChannelMemory, state: ClientState) {
    self.memory = memory
    self.state = state
    spin = min(UInt64(memory.spinHint.load()), ClientWaiting.spinLimit)
  }

  /// Whether a ring is outstanding that was not worth it.
  private var owesWake = false

  /// Tells the server that something happened, and wakes it if it sleeps; unless that is not worth it yet.
  @inline(__always)
  func ring(onlyIf worthIt: Bool = true) {
    let events = memory.requestEvents
    events.exchange(events.loadRelaxed() &+ 1)
    owesWake = !worthIt
    if worthIt, memory.serverAsleep.load() != 0 { events.wake() }
  }

  /// Publishes a request that is all there, and wakes the server if it sleeps.
  @inline(__always)
  func post(_ sequence: UInt32) {
    memory.publishRequest(sequence)
    owesWake = false
    if memory.serverAsleep.load() != 0 { memory.requestEvents.wake() }
  }

  /// Returns when the reply of that number is there.
  @inline(__always)
  func waitForReply(_ sequence: UInt32, processor: Int, isLong: Bool) throws(InvokeError) {
    let word = memory.replySequence
    if !isLong, Int(memory.serverProcessor.load()) != processor {
      for _ in 0..<128 {
        if word.load() == sequence {
          missedLast = false
          return
        }
        Processor.pause()
      }
    }
    if word.load() == sequence { return }
    try wait(processor: processor, isLong: isLong) { word.load() == sequence }
  }

  /// Returns when `condition` is true.
  func wait(processor: Int, isLong: Bool, until condition: () -> Bool) throws(InvokeError) {
    missedLast = false
    var spunUntil: UInt64?
    if !isLong, Int(memory.serverProcessor.load()) != processor {
      let end = MonotonicClock.now() &+ spin
      repeat {
        for _ in 0..<64 {
          if condition() { return }
          Processor.pause()
        }
      } while MonotonicClock.now() < end
      spunUntil = end
    }
    defer {
      if let spunUntil { missedLast = MonotonicClock.now() &- spunUntil > ClientWaiting.tooLong }
    }
    while !condition() {
      // The server may sleep because too little had happened to wake it; nothing more will happen now.
      if owesWake { ring() }
      memory.clientAsleep.exchange(1)
      defer { memory.clientAsleep.store(0) }
      let events = memory.replyEvents.load()
      if condition() { return }
      let woken = memory.replyEvents.wait(while: events, timeout: ClientWaiting.slice)
      if woken == .timedOut, !condition(), state.hasServerGone() { throw .peerGone }
    }
  }
}
