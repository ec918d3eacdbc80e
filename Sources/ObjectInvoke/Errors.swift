import Glibc
import LinuxSystem
import Wire

/// Why an invocation got no result from the object.
public enum InvokeError: Error, Equatable, Sendable {
  /// Nobody listens at the path (or its queue stays full): the errno of connect.
  case notListening(Int32)
  /// The other side has gone, or this process is a forked child of the one that connected.
  case peerGone
  /// The other side speaks this version of the protocol and no other.
  case versionMismatch(UInt32)
  /// The other side refused the invocation itself: EINVAL (malformed, or no such object), ENOMEM, EPERM, ...
  case refused(Int32)
  /// This side lacks memory, descriptors or threads: the errno.
  case resources(Int32)
  /// The answer does not have the form it must have.
  case malformedReply
}

/// Why an object cannot go on with an invocation; an object lets these pass through.
public enum InvocationError: Error, Equatable, Sendable {
  /// The request or its input is malformed: EINVAL.
  case malformed
  /// The client has gone, nobody will see the answer: EPIPE.
  case peerGone
  /// More output than the client has room for: ENOSPC.
  case outputFull
  /// More input than the object takes: EFBIG.
  case tooLarge
  /// A quota or the memory is used up: ENOMEM.
  case noMemory
  /// Some other errno.
  case failed(Int32)

  /// The errno that the client gets.
  public var code: Int32 {
    switch self {
    case .malformed: EINVAL
    case .peerGone: EPIPE
    case .outputFull: ENOSPC
    case .tooLarge: EFBIG
    case .noMemory: ENOMEM
    case .failed(let code): code
    }
  }

  /// The errno for anything an object throws.
  static func code(of error: any Error) -> Int32 {
    switch error {
    case let error as InvocationError: error.code
    case is WireError: EINVAL
    case let error as SystemError: error.code == 0 ? EIO : error.code
    default: EIO
    }
  }
}
