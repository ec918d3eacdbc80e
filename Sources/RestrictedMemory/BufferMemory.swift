import CLinux
import Glibc
import LinuxSystem

/// The pages of one restricted buffer, and the descriptor by which a peripheral process maps them.
///
/// They are secret memory (memfd_secret(2)) where the kernel has it and `mayLock` says so, which nobody reads through
/// ptrace or /proc; otherwise a memory file whose size is sealed. The descriptor never leaves the secure side.
final class BufferMemory: @unchecked Sendable {
  // Sendable: the properties are constant; who writes which bytes when is the buffer holders' affair.

  let descriptor: Descriptor
  let base: UnsafeMutableRawPointer
  /// A multiple of the page size.
  let byteCount: Int
  let isSecret: Bool

  /// `byteCount` zero bytes, which is a positive multiple of the page size.
  init(byteCount: Int, preferSecret: Bool) throws(SystemError) {
    if preferSecret, let (descriptor, base) = Self.secret(byteCount) {
      self.descriptor = Descriptor(adopting: descriptor)
      self.base = base
      isSecret = true
    } else {
      let file = clinux_memory_file("restricted")
      guard file >= 0 else { throw SystemError("memfd_create", errno) }
      descriptor = Descriptor(adopting: file)
      guard ftruncate(file, off_t(byteCount)) == 0 else { throw SystemError("ftruncate", errno) }
      // Neither side can take pages away from under the other.
      guard clinux_add_seals(file, CLINUX_SEAL_SHRINK | CLINUX_SEAL_GROW | CLINUX_SEAL_SEAL) >= 0 else {
        throw SystemError("fcntl", errno)
      }
      guard let base = Self.map(file, byteCount) else { throw SystemError("mmap", errno) }
      self.base = base
      isSecret = false
    }
    self.byteCount = byteCount
    madvise(base, byteCount, MADV_DONTDUMP)
    madvise(base, byteCount, MADV_DONTFORK)
  }

  deinit {
    UnsafeMutableRawBufferPointer(start: base, count: byteCount).wipe()
    munmap(base, byteCount)
  }

  private static func secret(_ byteCount: Int) -> (Int32, UnsafeMutableRawPointer)? {
    let file = clinux_secret_memory_file()
    guard file >= 0 else { return nil }
    guard ftruncate(file, off_t(byteCount)) == 0, let base = map(file, byteCount) else {
      close(file)
      return nil
    }
    return (file, base)
  }

  private static func map(_ file: Int32, _ byteCount: Int) -> UnsafeMutableRawPointer? {
    let base = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
    return base == MAP_FAILED ? nil : base
  }
}
