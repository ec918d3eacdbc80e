import LinuxSystem

/// How a client waits for one answer.
struct Patience: Equatable {
  /// How long it sleeps at most before it spins, nanoseconds.
  var nap: UInt64 = 0
  /// How long it spins, nanoseconds; 0: it sleeps until the answer comes.
  var spin: UInt64
  /// Whether it does so only while the server's thread spins as well.
  var isForSpinners = false
}

/// What a client knows of how long operations take, and the patience it has with each.
struct WorkEstimates {
  /// How many kinds of operations are told from one another.
  static let count = 16
  /// A longer operation is not waited for by spinning at its end: it would gain too little. Nanoseconds.
  static let limit: UInt64 = 2_000_000

  /// Nanoseconds; 0 where nothing is known. Kinds that fall on the same place share it.
  private var estimates = [UInt32](repeating: 0, count: count)

  /// What the server says a request of that kind took. A shorter time counts for more than a longer one, which may be
  /// due to an interruption.
  mutating func note(_ duration: UInt32, of kind: Int) {
    let known = UInt64(estimates[kind % WorkEstimates.count])
    let duration = UInt64(duration)
    let next =
      known == 0
      ? duration : duration < known ? known - (known - duration) / 2 : known + min(duration - known, 4 * known) / 8
    estimates[kind % WorkEstimates.count] = UInt32(clamping: next)
  }

  /// How to wait for an operation of that kind; nil when it is to be slept for. Spinning all the time pays up to twice
  /// what a wake-up costs; for a longer one the client sleeps, and is up again when the answer is due.
  func patience(with kind: Int, wakeCost: UInt64) -> Patience? {
    let work = UInt64(estimates[kind % WorkEstimates.count])
    guard work > 0, work <= WorkEstimates.limit else { return nil }
    if work <= 2 &* wakeCost { return Patience(spin: work &+ 2 &* wakeCost, isForSpinners: true) }
    // Timers are up to 50 microseconds late.
    let early = 2 &* wakeCost &+ 50_000
    return work <= early
      ? Patience(spin: work &+ 2 &* wakeCost, isForSpinners: true)
      : Patience(nap: work &- early, spin: early &+ 2 &* wakeCost, isForSpinners: true)
  }
}

/// How a client thread waits for the server, and wakes it. It never waits for a server that has gone.
final class ClientWaiting {
  /// How long a sleep lasts before the thread asks whether the server is still there, nanoseconds.
  static let slice: UInt64 = 50_000_000
  /// The highest cost of a wake-up that a server may claim, nanoseconds.
  static let wakeCostLimit: UInt64 = 100_000

  private let memory: ChannelMemory
  private let state: ClientState
  private let wakeCost: UInt64
  /// With a request that is not `.long`.
  let short: Patience
  private var estimates = WorkEstimates()
  /// A spin in vain that is followed by a sleep of more than this many nanoseconds means that something else had the
  /// server's processor for a time slice. Shorter ones happen by themselves, on virtual processors above all.
  private static let tooLong: UInt64 = 1_000_000

  /// A request that follows this soon after the last answer is quick, nanoseconds.
  private static let quick: UInt64 = 10_000
  /// When the last answer came, if it was not spun for; else 0.
  private var answeredAt: UInt64 = 0

  /// Whether the last spin was in vain because the server's thread did not run.
  private(set) var missedLast = false

  init(memory: ChannelMemory, state: ClientState) {
    self.memory = memory
    self.state = state
    wakeCost = min(UInt64(memory.wakeCost.load()), ClientWaiting.wakeCostLimit)
    short = Patience(spin: 2 &* wakeCost)
  }

  /// The patience with a request, and what to tell the server of it.
  @inline(__always)
  func patience(_ options: InvokeOptions, _ operation: UInt32) -> (Patience, RequestFlags) {
    var flags: RequestFlags = missedLast ? .spinMissed : []
    if answeredAt != 0 {
      if MonotonicClock.now() &- answeredAt < ClientWaiting.quick { flags.insert(.quick) }
      answeredAt = 0
    }
    if !options.contains(.long) { return (short, flags) }
    let known = estimates.patience(with: options.kind(operation), wakeCost: wakeCost)
    return (known ?? Patience(spin: 0), known == nil ? [flags, .timed, .long] : [flags, .timed])
  }

  /// The answer to a `.timed` request says how long its work took.
  func note(_ duration: UInt32, _ options: InvokeOptions, _ operation: UInt32) {
    estimates.note(duration, of: options.kind(operation))
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

  /// Whether the server's thread is on that processor.
  @inline(__always)
  func isServer(on processor: Int) -> Bool {
    memory.serverPlace.load() & ChannelLayout.processorMask == UInt32(truncatingIfNeeded: processor)
  }

  @inline(__always)
  private func maySpin(_ patience: Patience, _ processor: Int) -> Bool {
    let place = memory.serverPlace.load()
    return patience.spin > 0 && place & ChannelLayout.processorMask != UInt32(truncatingIfNeeded: processor)
      && (!patience.isForSpinners || place & ChannelLayout.spinning != 0)
  }

  /// Returns when the reply of that number is there.
  @inline(__always)
  func waitForReply(_ sequence: UInt32, processor: Int, _ patience: Patience) throws(InvokeError) {
    let word = memory.replySequence
    if patience.nap == 0, maySpin(patience, processor) {
      for _ in 0..<128 {
        if word.load() == sequence {
          missedLast = false
          return
        }
        Processor.pause()
      }
    }
    try wait(processor: processor, patience) { word.load() == sequence }
    noteAnswer()
  }

  /// An answer came for which the thread did more than look at a word for a moment.
  @inline(__always)
  func noteAnswer() { answeredAt = MonotonicClock.now() }

  /// Returns when `condition` is true.
  func wait(processor: Int, _ patience: Patience, until condition: () -> Bool) throws(InvokeError) {
    missedLast = false
    if condition() { return }
    var spunUntil: UInt64?
    if maySpin(patience, processor) {
      if patience.nap > 0 { try sleep(timeout: patience.nap, unless: condition) }
      let end = MonotonicClock.now() &+ patience.spin
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
    while !condition() { try sleep(timeout: ClientWaiting.slice, unless: condition) }
  }

  /// Sleeps until the server rings, unless `condition` is true.
  private func sleep(timeout: UInt64, unless condition: () -> Bool) throws(InvokeError) {
    // The server may sleep because too little had happened to wake it; nothing more will happen now.
    if owesWake { ring() }
    memory.clientAsleep.exchange(1)
    defer { memory.clientAsleep.store(0) }
    let events = memory.replyEvents.load()
    if condition() { return }
    let woken = memory.replyEvents.wait(while: events, timeout: timeout)
    if woken == .timedOut, timeout >= ClientWaiting.slice, !condition(), state.hasServerGone() { throw .peerGone }
  }
}
