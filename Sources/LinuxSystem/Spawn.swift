import CLinux
import Glibc

/// A child process of this one. Dropped without `wait`, it is reaped by nobody until this process ends.
public struct ChildProcess: ~Copyable, Sendable {
  public let pid: Int32

  /// How a process ended.
  public enum Status: Equatable, Sendable {
    case exited(Int32)
    case killed(signal: Int32)
  }

  fileprivate init(pid: Int32) {
    self.pid = pid
  }

  private static func status(_ bits: Int32) -> Status {
    bits & 0x7f == 0 ? .exited(bits >> 8 & 0xff) : .killed(signal: bits & 0x7f)
  }

  /// Waits until the child has ended.
  public consuming func wait() -> Status {
    var bits: Int32 = 0
    clinux_wait(pid, &bits, 0)
    return ChildProcess.status(bits)
  }

  /// The child's status if it has ended (it is reaped then, and must not be waited for again), nil while it runs.
  public borrowing func statusIfEnded() -> Status? {
    var bits: Int32 = 0
    return clinux_wait(pid, &bits, 1) == pid ? ChildProcess.status(bits) : nil
  }

  /// Sends a signal.
  public borrowing func signal(_ number: Int32) {
    kill(pid, number)
  }
}

/// Starts a program that nothing ties to this process: a child of init in a session of its own, `/` as working
/// directory, default signals, standard streams on the null device, `readyDescriptor` as its descriptor 3 and nothing
/// else open.
///
/// Safe in a host program: neither SIGCHLD nor the host's wait calls see anything, and no thread or child is left
/// behind.
/// - Parameters:
///   - executable: absolute path.
///   - arguments: argv from element 0 on.
///   - environment: `NAME=value` texts.
/// - Throws: what execve reports, among others.
public func spawnDetached(
  executable: String, arguments: [String], environment: [String], readyDescriptor: Int32?
) throws(SystemError) {
  _ = try spawn(
    executable, arguments, environment, readyDescriptor.map { [$0] } ?? [], detached: true)
}

/// Starts a program as a child, in a session of its own, with `descriptors` as its descriptors 3, 4, ... and nothing
/// else open. The child has no exit signal: only `ChildProcess` waits for it.
public func spawnChild(
  executable: String, arguments: [String], environment: [String], descriptors: [Int32]
) throws(SystemError) -> ChildProcess {
  ChildProcess(pid: try spawn(executable, arguments, environment, descriptors, detached: false))
}

private func spawn(
  _ executable: String, _ arguments: [String], _ environment: [String], _ descriptors: [Int32], detached: Bool
) throws(SystemError) -> Int32 {
  // Everything the child reads is made before: it shares this memory and may not allocate.
  let argumentTexts = arguments.map { strdup($0) } + [nil]
  let environmentTexts = environment.map { strdup($0) } + [nil]
  defer {
    for text in argumentTexts { free(text) }
    for text in environmentTexts { free(text) }
  }
  let answer = argumentTexts.withUnsafeBufferPointer { arguments in
    environmentTexts.withUnsafeBufferPointer { environment in
      descriptors.withUnsafeBufferPointer {
        clinux_spawn(
          executable, arguments.baseAddress!, environment.baseAddress!, $0.baseAddress, $0.count, detached ? 1 : 0)
      }
    }
  }
  if answer < 0 { throw SystemError("spawn", -answer) }
  return answer
}
