import LinuxSystem
import ObjectInvoke
import Synchronization

/// Frames on their way to the display, shown in the order in which they came, by whichever client.
///
/// Its length is bounded by what each client may have under way.
final class PresentationQueue: Sendable {
  private struct State {
    var waiting: [@Sendable () -> Void] = []
    /// Whether a thread works on them.
    var isRunning = false
  }

  private let state = Mutex(State())

  /// Has `work` done on another thread after what was added before. Throws when there is no thread: `work` is dropped.
  func add(_ work: @escaping @Sendable () -> Void) throws(SystemError) {
    let starts = state.withLock { state in
      state.waiting.append(work)
      defer { state.isRunning = true }
      return !state.isRunning
    }
    guard starts else { return }
    do throws(SystemError) {
      try startThread(name: "present", stackSize: 256 << 10) { [self] in run() }
    } catch {
      // What others added meanwhile goes as well: an operation that is let go of has failed.
      let dropped = state.withLock { state in
        defer { state = State() }
        return state.waiting
      }
      withExtendedLifetime(dropped) {}
      throw error
    }
  }

  /// Returns when everything that was added before has been done; at once when there is nothing.
  func waitForEarlier() throws(SystemError) {
    guard state.withLock({ $0.isRunning }) else { return }
    let gate = Gate()
    let token = GateToken(gate)
    try add { token.pass() }
    // The work is the token's only owner from here on: where it is dropped undone, the gate opens as well.
    _ = consume token
    gate.wait()
  }

  private func run() {
    while let work = next() { work() }
  }

  private func next() -> (@Sendable () -> Void)? {
    state.withLock { state in
      if state.waiting.isEmpty {
        state.isRunning = false
        return nil
      }
      return state.waiting.removeFirst()
    }
  }
}

/// Opened once, by another thread.
private final class Gate: Sendable {
  private let isOpen = Atomic<Bool>(false)
  private let place = SleepingPlace()

  func open() {
    isOpen.store(true, ordering: .releasing)
    place.wakeAll()
  }

  func wait() {
    place.sleep { !isOpen.load(ordering: .acquiring) }
  }
}

/// Opens its gate when it has been passed, or let go of.
private final class GateToken: Sendable {
  private let gate: Gate
  init(_ gate: Gate) { self.gate = gate }
  deinit { gate.open() }
  func pass() { gate.open() }
}
