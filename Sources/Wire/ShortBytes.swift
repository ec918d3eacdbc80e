/// A byte string that needs no allocation while it has at most 32 bytes: IVs, counter blocks, nonces.
///
/// These travel with every operation, and an allocation for each would cost more than the crossing.
public struct ShortBytes: Sendable, Equatable {
  @usableFromInline var inline: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
  @usableFromInline var overflow: [UInt8]?
  /// The number of bytes.
  public let count: Int

  /// No bytes.
  @inlinable @inline(__always)
  public init() { count = 0 }

  /// A copy of `bytes`.
  @inlinable @inline(__always)
  public init(_ bytes: UnsafeRawBufferPointer) {
    count = bytes.count
    if bytes.count == 16 {
      inline.0 = bytes.loadUnaligned(as: UInt64.self)
      inline.1 = bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
    } else if bytes.count <= 32 {
      withUnsafeMutableBytes(of: &inline) { $0.copyMemory(from: bytes) }
    } else {
      overflow = [UInt8](bytes)
    }
  }

  /// A copy of `bytes`.
  public init(_ bytes: [UInt8]) {
    self = bytes.withUnsafeBytes { ShortBytes($0) }
  }

  /// Lends the bytes.
  @inlinable @inline(__always)
  public func withUnsafeBytes<R: ~Copyable, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    if let overflow { return try overflow.span.withUnsafeBytes(body) }
    return try Swift.withUnsafeBytes(of: inline) { (bytes) throws(E) in
      try body(UnsafeRawBufferPointer(start: bytes.baseAddress, count: count))
    }
  }

  /// The bytes as an array.
  public var array: [UInt8] { withUnsafeBytes { [UInt8]($0) } }

  public static func == (a: ShortBytes, b: ShortBytes) -> Bool {
    a.count == b.count && a.inline == b.inline && a.overflow == b.overflow
  }
}

extension WireReader {
  /// A counted byte string, copied without an allocation while it is short.
  public mutating func shortBytes() throws(WireError) -> ShortBytes {
    ShortBytes(try lentBytes())
  }
}

extension WireWriter {
  /// A counted byte string.
  public mutating func bytes(_ value: ShortBytes) {
    value.withUnsafeBytes { bytes($0) }
  }
}
