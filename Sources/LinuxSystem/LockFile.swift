import CLinux
import Glibc

/// An exclusive lock by flock(2) on a file of its own: held as long as the value lives, gone with the process.
public struct LockFile: ~Copyable, Sendable {
  private let descriptor: Descriptor

  /// Takes the lock, creating the file (mode 0600) where it is missing.
  ///
  /// - Parameter timeout: nanoseconds to wait for another holder; 0 asks once; nil waits without limit.
  /// - Throws: EWOULDBLOCK when somebody else holds the lock for that long.
  public init(path: String, timeout: UInt64?) throws(SystemError) {
    let descriptor = try Descriptor.open(path, O_RDWR | O_CREAT | O_NOFOLLOW)
    let number = descriptor.number
    if let timeout {
      let deadline = MonotonicClock.now() &+ timeout
      while flock(number, LOCK_EX | LOCK_NB) < 0 {
        let code = errno
        guard code == EWOULDBLOCK || code == EINTR else { throw SystemError("flock", code) }
        guard MonotonicClock.now() < deadline else { throw SystemError("flock", EWOULDBLOCK) }
        usleep(2000)
      }
    } else {
      try checked("flock") { flock(number, LOCK_EX) }
    }
    self.descriptor = descriptor
  }

  /// The number of the locked file's descriptor, lent.
  public var number: Int32 { descriptor.number }
}
