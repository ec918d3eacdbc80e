import Glibc

/// A page of private memory that is all zero in a child process, however the child was made: by fork, with or without its
/// handlers, or by the clone system call (madvise, MADV_WIPEONFORK). It is left out of core files.
public final class ForkWipedPage: @unchecked Sendable {
  // Sendable: the address never changes; what lies there is its users' to guard.

  /// Bytes of the page.
  public static let byteCount = 4096
  /// MADV_WIPEONFORK, which Glibc's Swift module does not have.
  private static let wipeOnFork: Int32 = 18

  /// The page, zero at first.
  public let address: UnsafeMutableRawPointer

  /// Nil where there is no memory, or the kernel cannot wipe (before Linux 4.14).
  public init?() {
    let mapping = mmap(nil, Self.byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let mapping, mapping != MAP_FAILED else { return nil }
    guard madvise(mapping, Self.byteCount, Self.wipeOnFork) == 0 else {
      munmap(mapping, Self.byteCount)
      return nil
    }
    madvise(mapping, Self.byteCount, MADV_DONTDUMP)
    address = mapping
  }

  deinit {
    explicit_bzero(address, Self.byteCount)
    munmap(address, Self.byteCount)
  }
}
