import Glibc

/// Secret memory that is filled piece by piece, and wiped when it goes.
public final class SecretRoom {
  // Not Sendable: its owner fills it.

  private let base: UnsafeMutableRawPointer
  /// Bytes that fit.
  public let capacity: Int
  /// Bytes that are there.
  public private(set) var count = 0

  /// Room for `capacity` bytes.
  public init(capacity: Int) {
    precondition(capacity > 0, "a room has a size")
    base = SecretArena.allocate(byteCount: capacity)
    self.capacity = capacity
  }

  deinit {
    explicit_bzero(base, count)
    SecretArena.free(base, byteCount: capacity)
  }

  /// Copies as many of `bytes` as there is room for behind what is there, and answers their count.
  public func append(_ bytes: UnsafeRawBufferPointer) -> Int {
    let part = min(bytes.count, capacity - count)
    if part > 0, let source = bytes.baseAddress { (base + count).copyMemory(from: source, byteCount: part) }
    count += part
    return part
  }

  /// Lends what is there. Valid only inside `body`.
  public func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
    body(UnsafeRawBufferPointer(start: base, count: count))
  }
}
