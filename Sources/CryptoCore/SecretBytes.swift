import COpenSSL
import Glibc

/// Key material or another secret: a fixed number of bytes in secret memory, wiped when the last owner lets go.
///
/// The content is set once, at initialisation. Deliberately without a description, a hash or Codable.
public final class SecretBytes: Sendable {
  /// The number of bytes.
  public let count: Int
  // Written only by initialisers, read-only from then on.
  private nonisolated(unsafe) let base: UnsafeMutableRawPointer
  private let allocatedByteCount: Int

  /// `count` zero bytes.
  public init(count: Int) {
    precondition(count >= 0, "a byte count comes from a checked length")
    base = SecretArena.allocate(byteCount: count)
    base.initializeMemory(as: UInt8.self, repeating: 0, count: count)
    self.count = count
    allocatedByteCount = count
  }

  /// A copy of `bytes`; the caller wipes its own.
  public init(copying bytes: UnsafeRawBufferPointer) {
    count = bytes.count
    allocatedByteCount = bytes.count
    base = SecretArena.allocate(byteCount: bytes.count)
    if let source = bytes.baseAddress { base.copyMemory(from: source, byteCount: bytes.count) }
  }

  /// A copy of `bytes`; the caller wipes its own.
  public convenience init(copying bytes: [UInt8]) {
    self.init(count: bytes.count) { destination in
      destination.copyBytes(from: bytes)
      return bytes.count
    }
  }

  /// Has `fill` write into `count` zeroed bytes and keeps as many as it answers; answering more than `count` keeps
  /// `count`. Rethrows what `fill` throws; nothing is left behind then.
  public init<E: Error>(
    count: Int, fill: (UnsafeMutableRawBufferPointer) throws(E) -> Int
  ) throws(E) {
    precondition(count >= 0, "a byte count comes from a checked length")
    let base = SecretArena.allocate(byteCount: count)
    base.initializeMemory(as: UInt8.self, repeating: 0, count: count)
    self.base = base
    allocatedByteCount = count
    do throws(E) {
      self.count = min(max(try fill(UnsafeMutableRawBufferPointer(start: base, count: count)), 0), count)
    } catch {
      explicit_bzero(base, count)
      SecretArena.free(base, byteCount: count)
      throw error
    }
  }

  deinit {
    explicit_bzero(base, allocatedByteCount)
    SecretArena.free(base, byteCount: allocatedByteCount)
  }

  /// Lends the bytes. Valid only inside `body`; what is copied out is the caller's to wipe.
  @inline(__always)
  public func withBytes<Result: ~Copyable, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> Result
  ) throws(E) -> Result {
    try body(UnsafeRawBufferPointer(start: base, count: count))
  }

  /// Whether both hold the same bytes, in time that depends on the counts only.
  public func matches(_ other: SecretBytes) -> Bool {
    other.withBytes { matches($0) }
  }

  /// Whether the bytes are `other`, in time that depends on the counts only.
  public func matches(_ other: UnsafeRawBufferPointer) -> Bool {
    withBytes { constantTimeEqual($0, other) }
  }
}

/// Whether `left` and `right` hold the same bytes, in time that depends on the counts only.
public func constantTimeEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
  guard left.count == right.count else { return false }
  guard let first = left.baseAddress, let second = right.baseAddress else { return true }
  return CRYPTO_memcmp(first, second, left.count) == 0
}

/// Whether `left` and `right` hold the same bytes, in time that depends on the counts only.
public func constantTimeEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
  left.withRawBytes { first in right.withRawBytes { second in constantTimeEqual(first, second) } }
}

/// Overwrites `bytes` with zeros in a way that the compiler keeps.
public func wipe(_ bytes: UnsafeMutableRawBufferPointer) {
  if let base = bytes.baseAddress { explicit_bzero(base, bytes.count) }
}

extension [UInt8] {
  /// `withUnsafeBytes` that keeps the type of what `body` throws.
  @inline(__always)
  package func withRawBytes<Result: ~Copyable, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> Result
  ) throws(E) -> Result {
    try span.withUnsafeBytes(body)
  }

  /// `count` bytes that `fill` writes; as many stay as it answers.
  @inline(__always)
  init<E: Error>(
    count: Int, filledBy fill: (UnsafeMutableRawBufferPointer) throws(E) -> Int
  ) throws(E) {
    self.init(repeating: 0, count: count)
    var span = mutableSpan
    let used = try span.withUnsafeMutableBytes(fill)
    if used < count { removeLast(count - used) }
  }
}
