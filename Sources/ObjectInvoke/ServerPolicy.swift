/// When a server thread goes away from its client's processor to spin there, and when it stops. It is told the time and
/// what happened; all times are nanoseconds.
struct ServerPolicy {
  /// How many quick requests in a row make the thread want to go away: about as many as cost what going away and coming
  /// back does. Long work costs more near: the scheduler then wakes the client on another processor.
  static let quickCount = (short: 8, long: 2)
  /// How long a turn lasts while others wait for theirs.
  static let turn: UInt64 = 2_000_000
  /// How long a request waits for its thread's turn before it is served without.
  static let patience: UInt64 = 10_000_000
  /// Up to this much work, two processors that spin for one client do more than two that serve one each.
  static let shortWork: UInt64 = 3_000
  /// How long a thread stays near after somebody else had its processor, the first time and at most.
  static let rests: ClosedRange<UInt64> = 10_000_000...320_000_000
  /// Processors are wanted if other threads work for this part of a turn.
  static let crowd: UInt64 = 16

  private var quickInRow = 0
  private var restsUntil: UInt64 = 0
  private var nextRest = ServerPolicy.rests.lowerBound
  /// Since when others are watched, and what they had worked then.
  private var watchedSince: UInt64 = 0
  private var othersBefore: UInt64 = 0
  /// What a request's work takes, on average.
  private(set) var work: UInt64 = 0

  /// A request came that was not spun for; `isQuick`: soon after the client had the last answer. `others` as everywhere:
  /// for how long all other threads have worked that do not spin.
  mutating func slept(isQuick: Bool, at now: UInt64, others: UInt64) {
    if !isQuick {
      quickInRow = 0
    } else {
      if quickInRow == 0 { watch(at: now, others: others) }
      quickInRow += 1
    }
  }

  /// A request's work took that long. A shorter time counts for more than a longer one, which may be due to an
  /// interruption.
  mutating func worked(_ duration: UInt64) {
    if work == 0 {
      work = duration
    } else if duration < work {
      work -= (work &- duration) / 2
    } else {
      work += min(duration &- work, 4 &* work) / 16
    }
  }

  /// No request came while the thread spun.
  mutating func spunInVain() { quickInRow = 0 }

  /// Somebody else had the thread's processor while its client spun. If it was not other clients' threads, which will
  /// wait for their turns as well, the thread stays near, the longer the more often that happens.
  mutating func lostProcessor(at now: UInt64, others: UInt64) {
    if !isCrowded(at: now, others: others) { rest(at: now) }
  }

  /// The thread stays near for a while.
  mutating func rest(at now: UInt64) {
    if now > restsUntil, now &- restsUntil > 10 &* nextRest { nextRest = ServerPolicy.rests.lowerBound }
    restsUntil = now &+ nextRest
    nextRest = min(2 &* nextRest, ServerPolicy.rests.upperBound)
  }

  private mutating func watch(at now: UInt64, others: UInt64) {
    watchedSince = now
    othersBefore = others
  }

  /// Whether others have worked much since they are watched.
  private func isCrowded(at now: UInt64, others: UInt64) -> Bool {
    others &- othersBefore > (now &- watchedSince) / ServerPolicy.crowd
  }

  /// Whether the thread may spin where it is, if its client is elsewhere.
  func maySpin(at now: UInt64) -> Bool { now >= restsUntil }

  /// Whether it is worth going away. Long work stays near while others work, too.
  mutating func wantsTurn(at now: UInt64, others: UInt64) -> Bool {
    guard now >= restsUntil else { return false }
    if waitsForTurn { return quickInRow >= ServerPolicy.quickCount.short }
    guard quickInRow >= ServerPolicy.quickCount.long else { return false }
    if isCrowded(at: now, others: others) {
      quickInRow = 0
      rest(at: now)
      return false
    }
    return true
  }

  /// Whether a request had better wait for the turn than be served without.
  var waitsForTurn: Bool { work <= ServerPolicy.shortWork }

  mutating func beginTurn(at now: UInt64, others: UInt64) { watch(at: now, others: others) }

  /// How long to spin for the next request. `isLate`: the client may have to wake up first, or this thread has just
  /// moved.
  static func window(wakeCost: UInt64, isLate: Bool) -> UInt64 {
    min(isLate ? 3 &* wakeCost : wakeCost, longestWindow)
  }
  /// Nobody spins longer after the last call.
  static let longestWindow: UInt64 = 90_000

  enum TurnsEnd { case goesOn, passesOn, stopsSpinning }

  /// Looks at the turn that is in progress.
  mutating func checkTurn(at now: UInt64, others: UInt64, isWanted: Bool) -> TurnsEnd {
    guard now &- watchedSince >= ServerPolicy.turn else { return .goesOn }
    let isCrowded = isCrowded(at: now, others: others)
    watch(at: now, others: others)
    if waitsForTurn { return isWanted ? .passesOn : .goesOn }
    guard isWanted || isCrowded else { return .goesOn }
    rest(at: now)
    return .stopsSpinning
  }
}
