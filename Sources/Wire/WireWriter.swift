import Glibc

/// Writes one message: into memory it was lent while the message fits there, else into memory of its own that grows.
///
/// The mirror of `WireReader`. A message that would pass `limit` bytes, or for which there is no memory, is not written on: `overflowed` is then true and the
/// message must not be sent. Memory of its own is wiped when it is given up, since a message may carry a PIN or a key to be imported.
public struct WireWriter: ~Copyable {
  @usableFromInline var base: UnsafeMutableRawPointer
  @usableFromInline var capacity: Int
  private var ownsMemory: Bool
  // Without a count of references: a reply is written for every call.
  private let account: Unmanaged<ByteQuota>?
  @usableFromInline var written = 0
  /// The number of bytes written.
  @inlinable public var count: Int { written }
  /// The number of bytes a message may have.
  public let limit: Int
  /// Whether the message would have passed the limit; what was written is then incomplete.
  public private(set) var overflowed = false

  /// A writer that starts in `memory`, which must outlive it, and moves to memory of its own when that is full.
  ///
  /// Memory of its own counts in `account`, which must outlive the writer, for as long as it is held; a message for which
  /// the account has nothing left has overflowed.
  public init(
    into memory: UnsafeMutableRawBufferPointer, limit: Int = 1 << 26, account: __shared ByteQuota? = nil
  ) {
    base = memory.baseAddress ?? UnsafeMutableRawPointer(bitPattern: 1)!
    capacity = memory.count
    ownsMemory = false
    self.limit = limit
    self.account = account.map { Unmanaged.passUnretained($0) }
  }

  /// A writer in memory of its own.
  public init(limit: Int = 1 << 26, account: ByteQuota? = nil) {
    self.init(into: UnsafeMutableRawBufferPointer(start: nil, count: 0), limit: limit, account: account)
  }

  deinit {
    if ownsMemory { Self.giveUp(base, capacity, account) }
  }

  private static func giveUp(_ memory: UnsafeMutableRawPointer, _ byteCount: Int, _ account: Unmanaged<ByteQuota>?) {
    explicit_bzero(memory, byteCount)
    free(memory)
    account?._withUnsafeGuaranteedRef { $0.giveBack(byteCount) }
  }

  /// Whether the message still lies in the memory that was lent.
  public var isInLentMemory: Bool { !ownsMemory }

  @inlinable @inline(__always)
  mutating func reserve(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    if capacity - written < byteCount, !grow(by: byteCount) { return nil }
    let field = base + written
    written += byteCount
    return field
  }

  @usableFromInline @inline(never)
  mutating func grow(by byteCount: Int) -> Bool {
    let (needed, tooMuch) = count.addingReportingOverflow(byteCount)
    guard !overflowed, !tooMuch, needed <= limit else {
      overflowed = true
      return false
    }
    let newCapacity = max(needed, min(limit, max(256, capacity &* 2)))
    guard account?._withUnsafeGuaranteedRef({ $0.take(newCapacity) }) ?? true else {
      overflowed = true
      return false
    }
    guard let memory = malloc(newCapacity) else {
      account?._withUnsafeGuaranteedRef { $0.giveBack(newCapacity) }
      overflowed = true
      return false
    }
    memory.copyMemory(from: base, byteCount: count)
    if ownsMemory { Self.giveUp(base, capacity, account) }
    base = memory
    capacity = newCapacity
    ownsMemory = true
    return true
  }

  @inlinable @inline(__always)
  public mutating func u8(_ value: UInt8) {
    reserve(1)?.storeBytes(of: value, as: UInt8.self)
  }

  @inlinable @inline(__always)
  public mutating func u32(_ value: UInt32) {
    reserve(4)?.storeBytes(of: value.littleEndian, as: UInt32.self)
  }

  @inlinable @inline(__always)
  public mutating func u64(_ value: UInt64) {
    reserve(8)?.storeBytes(of: value.littleEndian, as: UInt64.self)
  }

  @inlinable @inline(__always)
  public mutating func bool(_ value: Bool) {
    u8(value ? 1 : 0)
  }

  /// A counted byte string.
  public mutating func bytes(_ value: UnsafeRawBufferPointer) {
    guard let byteCount = UInt32(exactly: value.count) else {
      overflowed = true
      return
    }
    u32(byteCount)
    raw(value)
  }

  /// A counted byte string.
  public mutating func bytes(_ value: [UInt8]) {
    value.withUnsafeBytes { bytes($0) }
  }

  /// Bytes without a count before them.
  @inlinable @inline(__always)
  public mutating func raw(_ value: UnsafeRawBufferPointer) {
    guard let source = value.baseAddress, value.count > 0 else { return }
    reserve(value.count)?.copyMemory(from: source, byteCount: value.count)
  }

  /// Forgets what was written and starts again in the same memory.
  public mutating func reset() {
    written = 0
    overflowed = false
  }

  /// Lends the message. Not to be called when it has overflowed.
  public borrowing func withMessage<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try body(UnsafeRawBufferPointer(start: base, count: count))
  }
}
