import CLinux
import Glibc

/// Zeroed memory for secrets: not in a core file, not inherited by a forked child, wiped before it is given back.
///
/// Where the kernel offers it the pages are secret memory (memfd_secret(2)), which not even the kernel maps: another
/// process cannot read them by ptrace or /proc, whoever owns it. The descriptor is closed as soon as it is mapped.
/// Where it is absent, or the limit on locked memory is used up, the pages are private, and locked if they may be.
public final class SecretRegion: @unchecked Sendable {
  // Sendable: the properties are constant; whoever shares the content says how.

  /// The first byte, at a page boundary.
  public let base: UnsafeMutableRawPointer
  /// The length in bytes, a multiple of the page size.
  public let byteCount: Int
  /// Whether the pages are secret memory.
  public let isSecretMemory: Bool
  /// Whether the pages cannot be written to swap space.
  public let isLocked: Bool

  /// Allocates at least `byteCount` bytes, rounded up to pages.
  public init(byteCount requested: Int) throws(SystemError) {
    let page = Int(getpagesize())
    guard requested > 0, requested <= Int.max - page else { throw SystemError("SecretRegion", EINVAL) }
    let count = (requested + page - 1) / page * page
    byteCount = count
    if let secret = SecretRegion.mapSecretMemory(count) {
      base = secret
      isSecretMemory = true
      isLocked = true
    } else {
      guard let start = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
        start != MAP_FAILED
      else { throw SystemError("mmap", errno) }
      base = start
      isSecretMemory = false
      isLocked = mlock(start, count) == 0
    }
    madvise(base, count, MADV_DONTFORK)
    madvise(base, count, MADV_DONTDUMP)
  }

  private static func mapSecretMemory(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    let number = clinux_secret_memory_file()
    guard number >= 0 else { return nil }
    defer { close(number) }
    guard ftruncate(number, off_t(byteCount)) == 0 else { return nil }
    guard let start = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, number, 0), start != MAP_FAILED else {
      return nil
    }
    return start
  }

  deinit {
    explicit_bzero(base, byteCount)
    munmap(base, byteCount)
  }
}
