import Cryptoki
import Glibc
import LinuxSystem
import ObjectInvoke
import Synchronization
import Wire

/// A connection to the secure world, from its start to the death of either side.
final class Connection: Sendable {
  let client: InvokeClient
  /// The objects of the vendor interface that this process holds.
  let restricted = RestrictedObjects()
  private let dead = Atomic<Bool>(false)

  init(_ client: InvokeClient) {
    self.client = client
  }

  /// Whether the secure world was found dead; free to ask.
  var isDead: Bool {
    @inline(__always) get { dead.load(ordering: .relaxed) }
  }

  /// When the kernel was asked last, on the monotonic clock, and for how many nanoseconds its answer is good enough: a
  /// death that is not noticed here is noticed by the first call that crosses.
  private let askedAt = Atomic<UInt64>(0)
  private static let answerLifetime: UInt64 = 50_000

  /// Asks the kernel whether the secure world still lives, unless it has just been asked.
  func findsDead() -> Bool {
    if isDead { return true }
    let now = MonotonicClock.now()
    if now &- askedAt.load(ordering: .relaxed) < Self.answerLifetime { return false }
    askedAt.store(now, ordering: .relaxed)
    if client.isConnected { return false }
    dead.store(true, ordering: .relaxed)
    return true
  }

  /// What an object answered.
  struct Answer {
    let result: UInt32
    let outputByteCount: Int
  }

  /// Invokes an object of the secure world: one crossing.
  ///
  /// `read` gets the reply message whatever the result is, and may leave what it does not know.
  /// Throws CKR_DEVICE_REMOVED when the secure world has died, CKR_HOST_MEMORY when this process or CKR_DEVICE_MEMORY
  /// when the secure world is out of something, CKR_DEVICE_ERROR for an answer that makes no sense.
  @inline(__always)
  func invoke(
    _ object: UInt64, _ operation: UInt32, options: InvokeOptions, input: InputSegments,
    output: UnsafeMutableRawBufferPointer, writing write: (inout WireWriter) -> Void,
    reading read: (UInt32, inout WireReader) throws(WireError) -> Void
  ) throws(ReturnValue) -> Answer {
    guard !isDead else { throw .deviceRemoved }
    var (result, outputByteCount, isMalformed): (UInt32, Int, Bool) = (0, 0, false)
    do throws(InvokeError) {
      try client.invoke(object, operation, options: options, input: input, output: output, request: write) {
        result = $0
        outputByteCount = $1
        do throws(WireError) { try read($0, &$2) } catch { isMalformed = true }
      }
    } catch {
      throw returnValue(of: error)
    }
    if isMalformed { throw .deviceError }
    return Answer(result: result, outputByteCount: outputByteCount)
  }

  /// The CKR for an invocation that did not reach its object; notes the death of the secure world.
  @inline(never)
  func returnValue(of error: InvokeError) -> ReturnValue {
    switch error {
    case .peerGone, .notListening, .versionMismatch:
      dead.store(true, ordering: .relaxed)
      return .deviceRemoved
    case .resources: return .hostMemory
    case .refused(let code): return Self.returnValue(ofRefusal: code)
    case .malformedReply: return .deviceError
    }
  }

  /// By errno.
  private static func returnValue(ofRefusal code: Int32) -> ReturnValue {
    switch code {
    case ENOMEM: .deviceMemory
    case EFBIG, EMSGSIZE: .dataLenRange
    case EPERM, EACCES: .functionRejected
    default: .deviceError
    }
  }
}
