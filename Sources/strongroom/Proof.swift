import Cryptoki
import Foundation

/// A list of attempts that must fail, each printed with what was tried and what was answered.
struct Proof {
  private(set) var failures = 0

  /// Prints one attempt. `holds`: whether the answer is the refusal it must be.
  mutating func report(_ attempt: String, _ answer: String, holds: Bool) {
    if !holds { failures += 1 }
    print(
      holds ? "  holds " : "  FAILS ", attempt.padding(toLength: max(attempt.count, 52), withPad: " ", startingAt: 0),
      answer)
  }

  /// Throws when an attempt was not refused.
  func conclude(_ claim: String) throws {
    if failures > 0 { throw Failure("\(failures) of the attempts above were not refused as they must be: \(claim)") }
  }
}
