import Cryptoki
import Foundation
import Glibc
import Synchronization

/// A request on a thread of its own.
final class Waiter: @unchecked Sendable {
  private let answer = Mutex<ReturnValue?>(nil)
  /// The thread's directory below /proc.
  private let thread = Mutex<String?>(nil)

  init(_ request: @escaping @Sendable () throws(ReturnValue) -> Void) {
    Thread.detachNewThread { [self] in
      let directory = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/thread-self")
      thread.withLock { $0 = directory }
      let value = outcome(request)
      answer.withLock { $0 = value }
    }
  }

  /// The answer, once there is one.
  var value: ReturnValue {
    while true {
      if let value = answer.withLock({ $0 }) { return value }
      usleep(1000)
    }
  }

  var isDone: Bool { answer.withLock { $0 != nil } }

  /// Returns when the request waits for somebody: nothing else lets its thread sleep for so long.
  func waitUntilItWaits() {
    var looks = 0
    while looks < 25, !isDone {
      usleep(1000)
      looks = isAsleep ? looks + 1 : 0
    }
  }

  private var isAsleep: Bool {
    guard let directory = thread.withLock({ $0 }),
      let status = try? String(contentsOfFile: "/proc/\(directory)/stat", encoding: .utf8)
    else { return false }
    return status.drop { $0 != ")" }.dropFirst(2).first == "S"
  }
}
