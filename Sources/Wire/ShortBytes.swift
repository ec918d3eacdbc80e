/// A byte string that needs no allocation while it has at most 32 bytes: IVs, counter blocks, nonces.
///
/// These travel with every operation, and an allocation for each would cost more than the crossing.
public struct ShortBytes: Sendable, Equatable {
  private var inline: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
  private var overflow: [UInt8]?
  /// The number of bytes.
  public let count: Int

  /// A copy of `bytes`.
  public init(_ bytes: UnsafeRawBufferPointer) {
    count = bytes.count
    if bytes.count <= 32 {
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
  @inline(__always)
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
