import CLinux
import LinuxSystem

/// How a server thread waits for its client, and wakes it.
///
/// A sleeping thread on another processor costs tens of microseconds to wake, one on the caller's own processor costs a
/// context switch. So a thread is in one of two places:
/// - near: bound to its client's processor and asleep there. Its short time slice lets it run as soon as the client
///   wakes it, and the client goes on when it sleeps again: the client itself never sleeps. Nobody spins, since two
///   threads on one processor that do would wait for each other's time slice.
/// - away: on another processor than its client, spinning for the next request, while it has a turn (`SpinTurns`).
///
/// `ServerPolicy` says when it changes places.
struct ServerWaiting {
  /// How long a sleep in mid-operation lasts before the thread asks whether the client is still there, nanoseconds.
  static let slice: UInt64 = 50_000_000
  /// From how many bytes of input and output on copying is worth overlapping.
  private static let bulk: UInt64 = 256 << 10
  /// After how many requests a turn is looked at.
  private static let lookInterval: UInt32 = 256

  private let memory: ChannelMemory
  private let turns: SpinTurns
  private var policy = ServerPolicy()
  /// The processors the thread may use by itself; nil where it cannot be bound.
  private let home: ProcessorSet?
  private var hasTurn = false
  private var requests: UInt32 = 0
  /// The processor the thread is bound to, while it is near.
  private var near: Int?
  private var clientProcessor = -1
  private var announced: UInt32 = .max
  private var isLong = false
  private var isTimed = false
  /// Whether the client may have waited in vain because of what this thread did, not for want of a processor.
  private var isExcused = false
  /// Whether the last answer woke the client: the next request comes that much later.
  private var wokeClient = false
  /// For how long this thread has worked without a turn.
  private var ownWork: UInt64 = 0
  /// When the request in progress began, where that is of interest; else 0.
  private var began: UInt64 = 0

  /// To be made by the thread that serves.
  init(memory: ChannelMemory, turns: SpinTurns) {
    self.memory = memory
    self.turns = turns
    home = Processor.count > 1 ? try? ProcessorSet() : nil
  }

  // MARK: Around an invocation

  /// Takes over what a request says about the client.
  @inline(__always)
  mutating func begin(clientProcessor: UInt16, flags: RequestFlags, bulkByteCount: UInt64) {
    self.clientProcessor = Int(clientProcessor)
    isLong = flags.contains(.long)
    isTimed = flags.contains(.timed)
    requests &+= 1
    wokeClient = false
    if flags.contains(.spinMissed) || isTimed || !hasTurn || requests % ServerWaiting.lookInterval == 0 {
      beginWithCare(flags, bulkByteCount)
    } else {
      isExcused = false
      began = 0
    }
  }

  private mutating func beginWithCare(_ flags: RequestFlags, _ bulkByteCount: UInt64) {
    let now = MonotonicClock.now()
    if flags.contains(.spinMissed), !isExcused {
      policy.lostProcessor(at: now, others: workOfOthers)
      leaveTurn()
    }
    isExcused = false
    began = now
    if !hasTurn { policy.slept(isQuick: flags.contains(.quick), at: now, others: workOfOthers) }
    if isLong {
      leaveTurn()
      if near != nil { leaveFree() }
    } else if hasTurn {
      let end = policy.checkTurn(at: now, others: workOfOthers, isWanted: turns.isWanted)
      if end != .goesOn { leaveTurn() }
      if end == .passesOn { waitForTurn() }
    } else {
      if policy.wantsTurn(at: now, others: workOfOthers), policy.waitsForTurn { waitForTurn() }
      if !hasTurn, near != nil, bulkByteCount >= ServerWaiting.bulk { _ = goAway() }
    }
  }

  /// The request's work is done; answers how long it took, nanoseconds, if the client wants to know.
  @inline(__always)
  mutating func finish() -> UInt32 {
    if began == 0 { return 0 }
    let duration = MonotonicClock.now() &- began
    policy.worked(duration)
    if !hasTurn {
      turns.noteWork(duration)
      ownWork &+= duration
    }
    return isTimed ? UInt32(clamping: duration) : 0
  }

  /// The thread ends.
  mutating func leave() {
    leaveTurn()
  }

  enum Bell { case always, ifAwake }

  /// Tells the client that something happened. A client that sleeps is woken only by `.always`: it would find too
  /// little to do for the price of a wake-up.
  @inline(__always)
  mutating func ring(_ bell: Bell) {
    let events = memory.replyEvents
    events.exchange(events.loadRelaxed() &+ 1)
    if bell == .always { wakeClient() }
  }

  /// Wakes the client if it sleeps. To be called behind a full fence.
  @inline(__always)
  mutating func wakeClient() {
    if memory.clientAsleep.load() != 0 {
      memory.replyEvents.wake()
      wokeClient = true
    }
  }

  // MARK: Waiting

  /// Returns when there may be a request after `last`, or the client has gone.
  @inline(__always)
  mutating func waitForRequest(after last: UInt32, unless environment: ClientEnvironment) {
    if hasTurn, !isLong {
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
    if findPlaceToSpin() {
      let window = ServerPolicy.window(wakeCost: turns.wakeCost, isLate: wokeClient || isExcused || isTimed)
      let end = MonotonicClock.now() &+ window
      repeat {
        for _ in 0..<32 {
          if sequence.load() != last { return }
          Processor.pause()
        }
      } while MonotonicClock.now() < end
      policy.spunInVain()
    }
    leaveTurn()
    comeNear()
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
      let end = MonotonicClock.now() &+ turns.wakeCost
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

  // MARK: Turns and places

  /// For how long other threads have worked without a turn.
  private var workOfOthers: UInt64 { turns.work &- ownWork }

  /// Whether the thread may spin for the next request, and is where its client is not.
  private mutating func findPlaceToSpin() -> Bool {
    guard !isLong, let home, home.contains(clientProcessor) else { return false }
    let isAside = Processor.current != clientProcessor
    if !hasTurn {
      let now = MonotonicClock.now()
      guard isAside ? policy.maySpin(at: now) : policy.wantsTurn(at: now, others: workOfOthers), turns.take() else {
        return false
      }
      beginTurn(at: now)
    }
    if !isAside { return goAway() }
    announce(Processor.current)
    return true
  }

  /// Lets the request wait until others have had their turns, and serves it away; or near, if that takes too long.
  private mutating func waitForTurn() {
    isExcused = true
    let outcome = turns.wait(timeout: ServerPolicy.patience)
    began = MonotonicClock.now()
    if outcome == .crowded { policy.rest(at: began) }
    guard outcome == .granted else { return }
    beginTurn(at: began)
    if Processor.current == clientProcessor { _ = goAway() } else { announce(Processor.current) }
  }

  private mutating func beginTurn(at now: UInt64) {
    hasTurn = true
    policy.beginTurn(at: now, others: workOfOthers)
  }

  private mutating func leaveTurn() {
    if hasTurn {
      hasTurn = false
      turns.leave()
    }
  }

  private mutating func comeNear() {
    if near != clientProcessor {
      guard let home, home.contains(clientProcessor), (try? Processor.bind(to: clientProcessor)) != nil else {
        return announce(Processor.current)
      }
      near = clientProcessor
    }
    announce(clientProcessor)
  }

  /// To any processor but the client's; false when there is none.
  private mutating func goAway() -> Bool {
    guard let away = home?.removing(clientProcessor) else { return false }
    // Said before it is true: the client goes on as soon as this thread leaves its processor, and would fall asleep.
    announce(ChannelLayout.noProcessor)
    isExcused = true
    guard (try? away.apply()) != nil else { return false }
    near = nil
    announce(Processor.current)
    return true
  }

  /// To wherever the scheduler likes, for an operation that takes long: its processor may be wanted by others.
  private mutating func leaveFree() {
    guard let home, (try? home.apply()) != nil else { return }
    near = nil
  }

  /// Lets the client know where this thread is, and whether it spins there for the next request.
  private mutating func announce(_ processor: Int) {
    let place = UInt32(truncatingIfNeeded: processor) & ChannelLayout.processorMask
    let word = hasTurn ? place | ChannelLayout.spinning : place
    if word != announced {
      announced = word
      memory.serverPlace.store(word)
    }
  }
}
