import LinuxSystem
import Synchronization
import Testing

@testable import ObjectInvoke

private let millisecond: UInt64 = 1_000_000
/// Any moment will do.
private let start: UInt64 = 1_000_000_000_000

extension ServerPolicy {
  /// A policy whose requests take `work` and came quickly, so that it wants its turn.
  fileprivate static func eager(work: UInt64) -> ServerPolicy {
    var policy = ServerPolicy()
    policy.worked(work)
    for _ in 0..<ServerPolicy.quickCount.short { policy.slept(isQuick: true, at: start, others: 0) }
    return policy
  }
}

extension ObjectInvokeTests {
  /// What is decided, told the time: nothing here looks at a clock.
  @Suite("Waiting")
  struct WaitingTests {
    // MARK: The server's places

    @Test("a thread wants to go away after quick requests in a row, sooner when they are long")
    func goingAway() {
      for (work, count) in [
        (1_000, ServerPolicy.quickCount.short), (ServerPolicy.shortWork, ServerPolicy.quickCount.short),
        (ServerPolicy.shortWork + 1, ServerPolicy.quickCount.long), (200_000, ServerPolicy.quickCount.long),
      ] {
        var policy = ServerPolicy()
        policy.worked(work)
        for _ in 1..<count { policy.slept(isQuick: true, at: start, others: 0) }
        #expect(policy.wantsTurn(at: start, others: 0) == false, "\(work)")
        policy.slept(isQuick: true, at: start, others: 0)
        #expect(policy.wantsTurn(at: start, others: 0) == true, "\(work)")
        policy.slept(isQuick: false, at: start, others: 0)
        #expect(policy.wantsTurn(at: start, others: 0) == false, "a pause starts the count again")
      }
    }

    @Test("a spin in vain brings a thread near")
    func spunInVain() {
      var policy = ServerPolicy.eager(work: 500)
      #expect(policy.wantsTurn(at: start, others: 0) == true)
      policy.spunInVain()
      #expect(policy.wantsTurn(at: start, others: 0) == false)
      #expect(policy.maySpin(at: start))
    }

    @Test("whoever loses the processor to strangers rests, longer each time, and starts anew after a good while")
    func losses() {
      var policy = ServerPolicy.eager(work: 500)
      var now = start
      var rest = ServerPolicy.rests.lowerBound
      for _ in 0..<8 {
        policy.lostProcessor(at: now, others: 0)
        #expect(!policy.maySpin(at: now) && policy.maySpin(at: now + rest))
        #expect(policy.wantsTurn(at: now + rest - 1, others: 0) == false)
        #expect(policy.wantsTurn(at: now + rest, others: 0) == true)
        now += rest
        rest = min(2 * rest, ServerPolicy.rests.upperBound)
      }
      now += 11 * ServerPolicy.rests.upperBound
      policy.lostProcessor(at: now, others: 0)
      #expect(policy.maySpin(at: now + ServerPolicy.rests.lowerBound))
    }

    @Test("whoever loses it to other clients goes on taking turns with them")
    func crowd() {
      var policy = ServerPolicy.eager(work: 500)
      policy.beginTurn(at: start, others: 5 * millisecond)
      policy.lostProcessor(at: start + 2 * millisecond, others: 6 * millisecond)
      #expect(policy.wantsTurn(at: start + 2 * millisecond, others: 6 * millisecond) == true)
      policy.lostProcessor(at: start + 2 * millisecond, others: 5 * millisecond + 1000)
      #expect(policy.wantsTurn(at: start + 2 * millisecond, others: 5 * millisecond) == false)
    }

    @Test("a turn of short requests lasts until somebody else wants one, and at least its time")
    func shortTurns() {
      var policy = ServerPolicy.eager(work: 500)
      policy.beginTurn(at: start, others: 0)
      let end = start + ServerPolicy.turn
      #expect(policy.checkTurn(at: end - 1, others: 0, isWanted: true) == .goesOn)
      #expect(policy.checkTurn(at: end, others: 0, isWanted: false) == .goesOn)
      #expect(policy.checkTurn(at: end + ServerPolicy.turn, others: 0, isWanted: true) == .passesOn)
      #expect(policy.waitsForTurn, "it waits for the next one")
      #expect(policy.wantsTurn(at: end + ServerPolicy.turn, others: 0) == true)
    }

    @Test("a turn of long requests ends when others work, and the thread rests: one processor for each serves more")
    func longTurns() {
      for (others, isWanted, expected) in [
        (0, false, ServerPolicy.TurnsEnd.goesOn), (ServerPolicy.turn / 2, false, .stopsSpinning),
        (0, true, .stopsSpinning),
      ] {
        var policy = ServerPolicy.eager(work: 20_000)
        policy.beginTurn(at: start, others: 7)
        let end = start + ServerPolicy.turn
        #expect(policy.checkTurn(at: end, others: 7 + others, isWanted: isWanted) == expected)
        #expect(policy.wantsTurn(at: end, others: 7 + others) == (expected == .goesOn))
        #expect(!policy.waitsForTurn)
      }
    }

    @Test("long requests do not begin a turn while others work, and the thread rests; short ones do")
    func crowdBeforeTurn() {
      let now = start + 100_000
      var long = ServerPolicy.eager(work: 20_000)
      #expect(long.wantsTurn(at: now, others: 50_000) == false)
      #expect(!long.maySpin(at: now))
      var alone = ServerPolicy.eager(work: 20_000)
      #expect(alone.wantsTurn(at: now, others: 1_000) == true)
      var short = ServerPolicy.eager(work: 500)
      #expect(short.wantsTurn(at: now, others: 50_000) == true)
    }

    @Test("one interruption does not make short work long, and one short request makes long work short soon")
    func work() {
      var policy = ServerPolicy()
      for _ in 0..<10 { policy.worked(1_000) }
      policy.worked(4 * millisecond)
      #expect(policy.waitsForTurn && policy.work > 1_000)
      policy.worked(1_000)
      #expect(policy.work < 1_200)
      for _ in 0..<40 { policy.worked(20_000) }
      #expect(!policy.waitsForTurn)
    }

    @Test("nobody spins for more than 90 microseconds after a call")
    func windows() {
      #expect(ServerPolicy.window(wakeCost: 20_000, isLate: false) == 20_000)
      #expect(ServerPolicy.window(wakeCost: 20_000, isLate: true) == 60_000)
      #expect(ServerPolicy.window(wakeCost: SpinTurns.wakeCostLimit, isLate: true) == 90_000)
    }

    // MARK: Turns

    @Test("there are as many turns as were given, and none is lost or given twice")
    func turns() {
      let turns = SpinTurns(limit: 2)
      #expect(turns.take() && turns.take() && !turns.take())
      #expect(turns.wait(timeout: 0) == .late && !turns.isWanted)
      turns.leave()
      #expect(turns.wait(timeout: 0) == .granted && !turns.take())
      turns.leave()
      turns.leave()
      #expect(turns.take() && turns.take() && !turns.take())
      let none = SpinTurns(limit: 0)
      #expect(!none.take() && none.wait(timeout: 0) == .crowded)
    }

    @Test("the longest waiting thread has the next turn, before one that has not waited")
    func queue() throws {
      final class Order: Sendable {
        let names = Mutex<[Int]>([])
        let waiting = Atomic<Int>(0)
      }
      let turns = SpinTurns(limit: 1)
      let order = Order()
      #expect(turns.take())
      var threads: [Int] = []
      for name in 0..<4 {
        try startThread(name: "waiter") {
          guard turns.wait(timeout: 60_000_000_000) == .granted else { return }
          order.names.withLock { $0.append(name) }
          turns.leave()
        }
        threads.append(name)
        // Each is in the queue before the next one starts.
        #expect(becomesTrue { turns.waitingCount == name + 1 })
      }
      #expect(!turns.take(), "a turn is wanted")
      turns.leave()
      #expect(becomesTrue { order.names.withLock { $0 } == threads })
      #expect(turns.take())
    }

    @Test("when too many want a turn, all who wait are turned away, and the turn goes on being there")
    func crowded() throws {
      final class Count: Sendable { let turnedAway = Atomic<Int>(0) }
      let turns = SpinTurns(limit: 1)
      let count = Count()
      #expect(turns.take())
      for name in 0..<SpinTurns.longestQueue {
        try startThread(name: "waiter") {
          if turns.wait(timeout: 60_000_000_000) == .crowded { count.turnedAway.wrappingAdd(1, ordering: .relaxed) }
        }
        #expect(becomesTrue { turns.waitingCount == name + 1 })
      }
      #expect(turns.wait(timeout: 60_000_000_000) == .crowded && !turns.isWanted)
      #expect(becomesTrue { count.turnedAway.load(ordering: .relaxed) == SpinTurns.longestQueue })
      #expect(!turns.take())
      turns.leave()
      #expect(turns.take())
    }

    // MARK: The client's patience

    @Test("nothing is spun for until it is known how long it takes, nor what takes too long")
    func unknown() {
      var estimates = WorkEstimates()
      #expect(estimates.patience(with: 3, wakeCost: 20_000) == nil)
      estimates.note(UInt32(WorkEstimates.limit) + 1, of: 3)
      #expect(estimates.patience(with: 3, wakeCost: 20_000) == nil)
      #expect(estimates.patience(with: 4, wakeCost: 20_000) == nil)
    }

    @Test(
      "short operations are spun for, longer ones slept for until they are due", arguments: [5_000, 20_000, 40_000])
    func patience(wakeCost: UInt64) throws {
      for work in [1, 1_000, 20_000, 50_000, 90_000, 150_000, 300_000, WorkEstimates.limit] {
        var estimates = WorkEstimates()
        estimates.note(UInt32(work), of: 0)
        let patience = try #require(estimates.patience(with: 0, wakeCost: wakeCost))
        #expect(patience.isForSpinners)
        #expect(patience.nap + patience.spin == work + 2 * wakeCost, "until then it should be there")
        #expect(patience.nap < work && patience.spin <= 4 * wakeCost + 50_000, "and no more of a processor than that")
        if work <= 2 * wakeCost { #expect(patience.nap == 0) }
      }
    }

    @Test("estimates follow shorter times soon and longer ones slowly, each kind for itself")
    func estimates() throws {
      var estimates = WorkEstimates()
      func work(_ kind: Int) -> UInt64 {
        estimates.patience(with: kind, wakeCost: 1_000_000).map { $0.nap + $0.spin - 2_000_000 } ?? 0
      }
      estimates.note(20_000, of: 1)
      estimates.note(200_000, of: 2)
      #expect(work(1) == 20_000 && work(2) == 200_000)
      estimates.note(60_000, of: 1)
      #expect(work(1) == 25_000)
      estimates.note(19_000, of: 1)
      #expect(work(1) == 22_000)
      for _ in 0..<20 { estimates.note(20_000, of: 1) }
      #expect(work(1) <= 20_001 && work(2) == 200_000)
      estimates.note(.max, of: 1)
      #expect(work(1) > 20_001 && work(1) <= 30_002, "an interruption of any length")
    }

    @Test("operations with different keys are told from one another, and options keep what they were")
    func kinds() {
      let options: InvokeOptions = [.long, .secret]
      let one = options.with(key: 1)
      let two = options.with(key: 2)
      #expect(one.contains(.long) && one.contains(.secret) && options.with(key: .max).contains(.secret))
      #expect(one.kind(7) % WorkEstimates.count != two.kind(7) % WorkEstimates.count)
      #expect(one.kind(7) % WorkEstimates.count != one.kind(8) % WorkEstimates.count)
      #expect(InvokeOptions.secret.with(key: .max).contains(.long) == false)
    }
  }
}
