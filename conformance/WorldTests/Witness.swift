import Foundation
import Mechanisms
import Synchronization
import TokenProtocol

/// A well-behaved client beside the hostile ones: goes on computing with its key and counts what is not as it was.
final class Witness: Sendable {
  private let state = Mutex((rounds: 0, failures: 0, isStopped: false, hasEnded: false))

  init(_ world: World) throws {
    let client = try world.user()
    let key = try client.aes([.onToken, .text(.label, "witness"), .flag(.sign, true)])
    let mac = try client.perform(.sign, key, Mechanism(.aesCMAC), [1, 2, 3])
    let thread = Thread { [self] in
      while !state.withLock({ $0.isStopped }) {
        let isRight =
          (try? client.perform(.sign, key, Mechanism(.aesCMAC), [1, 2, 3])) == mac
          && (try? client.find([.text(.label, "witness")])) == [key]
        state.withLock { state in
          state.rounds += 1
          if !isRight { state.failures += 1 }
        }
        usleep(500)
      }
      client.close()
      state.withLock { $0.hasEnded = true }
    }
    thread.start()
  }

  /// Ends the thread and answers how often it asked, and how often it got a wrong answer.
  func stop() -> (rounds: Int, failures: Int) {
    state.withLock { $0.isStopped = true }
    guard becomesTrue({ state.withLock { $0.hasEnded } }) else { return (0, .max) }
    return state.withLock { ($0.rounds, $0.failures) }
  }
}
