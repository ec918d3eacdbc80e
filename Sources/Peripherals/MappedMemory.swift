import Glibc
import LinuxSystem

/// Memory that the secure world handed to a peripheral with a request: mapped for as long as the request takes. The
/// descriptor is closed as soon as it is mapped.
public struct MappedMemory: ~Copyable {
  public enum Access: Sendable { case read, readWrite }

  /// The pages. With `.read` they must not be written.
  public let bytes: UnsafeMutableRawBufferPointer

  /// Throws `.malformed` without a descriptor, `.resources` when it cannot be mapped.
  public init(_ descriptor: consuming Descriptor?, access: Access) throws(PeripheralStatus) {
    guard let descriptor = consume descriptor else { throw .malformed }
    var status = stat()
    guard fstat(descriptor.number, &status) == 0, let count = Int(exactly: status.st_size), count > 0 else {
      throw .memoryTooSmall
    }
    // Shared: secret memory has no private mappings.
    let protection = access == .read ? PROT_READ : PROT_READ | PROT_WRITE
    guard let base = mmap(nil, count, protection, MAP_SHARED, descriptor.number, 0), base != MAP_FAILED else {
      throw .resources
    }
    madvise(base, count, MADV_DONTDUMP)
    bytes = UnsafeMutableRawBufferPointer(start: base, count: count)
  }

  deinit { munmap(bytes.baseAddress, bytes.count) }

  /// A part of the pages; throws `.memoryTooSmall` when it reaches past the end.
  public borrowing func range(offset: UInt64, count: UInt64) throws(PeripheralStatus) -> UnsafeRawBufferPointer {
    let size = UInt64(bytes.count)
    guard offset <= size, count <= size - offset else { throw .memoryTooSmall }
    return UnsafeRawBufferPointer(rebasing: bytes[Int(offset)..<Int(offset + count)])
  }
}
