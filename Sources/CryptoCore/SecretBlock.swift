import Glibc
import Synchronization

/// A block of private memory for many secret bytes that live for one call, such as plaintext that waits for its tag.
///
/// What was written to it is wiped before it goes. Not in core files, and not inherited by `fork`. A few short blocks are kept
/// for the next call, so that their pages are there, and in the processor's caches: fresh pages cost as much as the cryptography
/// that fills them.
public final class SecretBlock {
  // Not Sendable: whoever took it is alone with it.

  public enum Size: Sendable {
    /// 256 KiB; kept for the next call when given up.
    case short
    /// 2 MiB, in one page where the system has such; given back at once.
    case long

    public var byteCount: Int {
      switch self {
      case .short: 256 << 10
      case .long: 2 << 20
      }
    }
  }

  /// How many short blocks are kept at most, by the whole process, while nobody uses them.
  public static let keptCount = 10

  private struct Memory: @unchecked Sendable {
    // Sendable: an address that is either in the list or with one owner.
    let start: UnsafeMutableRawPointer
  }
  private static let kept = Mutex<[Memory]>([])
  static var keptNow: Int { kept.withLock { $0.count } }

  /// All of the block, with no particular content.
  public let bytes: UnsafeMutableRawBufferPointer
  private let size: Size
  /// Everything before this offset has been wiped, everything from `dirtyEnd` on was never written.
  private var dirtyStart = 0
  private var dirtyEnd = 0

  /// Throws `.libraryFailure` when there is no memory.
  public init(_ size: Size) throws(CryptoError) {
    self.size = size
    let byteCount = size.byteCount
    if size == .short, let memory = Self.kept.withLock({ $0.popLast() }) {
      bytes = UnsafeMutableRawBufferPointer(start: memory.start, count: byteCount)
      return
    }
    let mapped = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let mapped, mapped != MAP_FAILED else { throw CryptoError(.libraryFailure, in: "mmap") }
    madvise(mapped, byteCount, Int32(MADV_DONTDUMP))
    madvise(mapped, byteCount, Int32(MADV_DONTFORK))
    if size == .long { madvise(mapped, byteCount, Int32(MADV_HUGEPAGE)) }
    bytes = UnsafeMutableRawBufferPointer(start: mapped, count: byteCount)
  }

  deinit {
    wipe(to: dirtyEnd)
    guard let start = bytes.baseAddress else { return }
    let memory = Memory(start: start)
    let isKept =
      size == .short
      && Self.kept.withLock { kept in
        guard kept.count < Self.keptCount else { return false }
        kept.append(memory)
        return true
      }
    if !isKept { munmap(start, bytes.count) }
  }

  /// To be called before the bytes up to `end` are written.
  public func willWrite(to end: Int) { dirtyEnd = max(dirtyEnd, min(end, bytes.count)) }

  /// Wipes what has been written up to `end`, of which nothing is needed any more.
  public func wipe(to end: Int) {
    let end = min(end, dirtyEnd)
    guard end > dirtyStart else { return }
    CryptoCore.wipe(UnsafeMutableRawBufferPointer(rebasing: bytes[dirtyStart..<end]))
    dirtyStart = end
  }
}
