import Glibc
import LinuxSystem
import Synchronization

/// The secure world's log: one line an event, with the time in UTC. Never a secret, a PIN or an object's content.
///
/// Lines that cannot be written are lost: a full disk stops no client.
final class Log: Sendable {
  private let descriptor: Mutex<Descriptor?>

  /// A log that keeps nothing.
  init() {
    descriptor = Mutex(nil)
  }

  /// Appends to the file at `path`, made for its owner alone where there is none.
  init(path: String) throws(SystemError) {
    descriptor = Mutex(try Descriptor.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, mode: 0o600))
  }

  /// Writes to standard error.
  init(standardError: ()) throws(SystemError) {
    descriptor = Mutex(try Descriptor.duplicate(of: STDERR_FILENO))
  }

  func write(_ event: @autoclosure () -> String) {
    descriptor.withLock { descriptor in
      if descriptor == nil { return }
      let line = Array("\(Self.now()) \(event())\n".utf8)
      _ = try? line.span.withUnsafeBytes { (bytes) throws(SystemError) in try descriptor?.write(bytes) }
    }
  }

  private static func now() -> String {
    var seconds = time(nil)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func padded(_ number: Int32, _ width: Int = 2) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(width - digits.count, 0)) + digits
    }
    let date = [padded(parts.tm_year + 1900, 4), padded(parts.tm_mon + 1), padded(parts.tm_mday)]
    let clock = [padded(parts.tm_hour), padded(parts.tm_min), padded(parts.tm_sec)]
    return date.joined(separator: "-") + "T" + clock.joined(separator: ":") + "Z"
  }
}
