import Cryptoki
import Glibc
import LinuxSystem
import Synchronization

/// Random bytes of the secure world, fetched ahead so that small requests need no crossing.
///
/// Each byte is given out once and wiped. The page is left out of core files and is zero in a child process, which never
/// gets to this object anyway: its library is a new one.
///
/// `@unchecked Sendable`: the page's content and `available` are touched with `lock` held only.
final class RandomReserve: @unchecked Sendable {
  /// Larger requests cross by themselves.
  static let largestRequest = 1024

  private let lock = Mutex(())
  private let page = ForkWipedPage()
  private var available = 0

  /// Fills `bytes` from the reserve, which `refill` fills when it is short; false when there is no reserve for so many.
  func take(
    _ bytes: UnsafeMutableRawBufferPointer, refill: (UnsafeMutableRawBufferPointer) throws(ReturnValue) -> Void
  ) throws(ReturnValue) -> Bool {
    guard let page = page?.address, let destination = bytes.baseAddress, bytes.count <= Self.largestRequest else {
      return false
    }
    try lock.withLock { (_) throws(ReturnValue) in
      if available < bytes.count {
        available = 0
        try refill(UnsafeMutableRawBufferPointer(start: page, count: ForkWipedPage.byteCount))
        available = ForkWipedPage.byteCount
      }
      available -= bytes.count
      destination.copyMemory(from: page + available, byteCount: bytes.count)
      explicit_bzero(page + available, bytes.count)
    }
    return true
  }
}
