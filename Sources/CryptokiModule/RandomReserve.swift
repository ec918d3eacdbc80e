import Cryptoki
import Glibc
import Synchronization

/// Random bytes of the secure world, fetched ahead so that small requests need no crossing.
///
/// Each byte is given out once and wiped. The page is left out of core files and is zero in a forked child, which never
/// gets to this object anyway: its library is a new one.
///
/// `@unchecked Sendable`: `page` never changes, and its content and `available` are touched with `lock` held only.
final class RandomReserve: @unchecked Sendable {
  /// Larger requests cross by themselves.
  static let largestRequest = 1024
  private static let byteCount = 4096
  /// madvise's MADV_WIPEONFORK, which Glibc's Swift module does not have.
  private static let wipeOnFork: Int32 = 18

  private let lock = Mutex(())
  private let page: UnsafeMutableRawPointer?
  private var available = 0

  init() {
    let mapping = mmap(nil, Self.byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let mapping, mapping != MAP_FAILED else {
      page = nil
      return
    }
    if madvise(mapping, Self.byteCount, Self.wipeOnFork) != 0 {
      munmap(mapping, Self.byteCount)
      page = nil
      return
    }
    madvise(mapping, Self.byteCount, MADV_DONTDUMP)
    page = mapping
  }

  deinit {
    guard let page else { return }
    explicit_bzero(page, Self.byteCount)
    munmap(page, Self.byteCount)
  }

  /// Fills `bytes` from the reserve, which `refill` fills when it is short; false when there is no reserve for so many.
  func take(
    _ bytes: UnsafeMutableRawBufferPointer, refill: (UnsafeMutableRawBufferPointer) throws(ReturnValue) -> Void
  ) throws(ReturnValue) -> Bool {
    guard let page, let destination = bytes.baseAddress, bytes.count <= Self.largestRequest else { return false }
    try lock.withLock { (_) throws(ReturnValue) in
      if available < bytes.count {
        available = 0
        try refill(UnsafeMutableRawBufferPointer(start: page, count: Self.byteCount))
        available = Self.byteCount
      }
      available -= bytes.count
      destination.copyMemory(from: page + available, byteCount: bytes.count)
      explicit_bzero(page + available, bytes.count)
    }
    return true
  }
}
