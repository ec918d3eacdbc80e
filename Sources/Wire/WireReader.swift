/// The message ended too early, is longer than its fields, or a field holds a value its type does not have.
public enum WireError: Error, Equatable, Sendable {
  /// A field reaches past the end of the message.
  case truncated
  /// Bytes remain after the last field.
  case trailing
  /// A field's value is outside of what the field may hold.
  case invalid
}

/// A cursor over a message from another process: it owns position and bound, and can only say
/// "here is the value" or "malformed".
///
/// Integers are little-endian and of fixed width; byte strings are a `UInt32` count of bytes followed by the bytes.
/// The memory is lent: the reader is valid as long as the message it was made over, which must be private memory
/// of this process (a message is copied out of shared memory once, before it is read).
///
/// Its steps are made part of the reader of each message: a call for each field costs more than the field.
public struct WireReader {
  @usableFromInline var position: UnsafeRawPointer
  /// The number of bytes not read yet.
  @inlinable public var remaining: Int { left }
  @usableFromInline var left: Int

  /// A reader over `message`, which must outlive the reader.
  @inlinable @inline(__always)
  public init(_ message: UnsafeRawBufferPointer) {
    // An empty buffer may have no address; any non-null one serves, since nothing is read from it.
    position = message.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!
    left = message.count
  }

  @inlinable @inline(__always)
  mutating func advance(_ count: Int) throws(WireError) -> UnsafeRawPointer {
    guard count <= remaining else { throw .truncated }
    let field = position
    position += count
    left -= count
    return field
  }

  @inlinable @inline(__always)
  public mutating func u8() throws(WireError) -> UInt8 {
    try advance(1).load(as: UInt8.self)
  }

  @inlinable @inline(__always)
  public mutating func u32() throws(WireError) -> UInt32 {
    UInt32(littleEndian: try advance(4).loadUnaligned(as: UInt32.self))
  }

  @inlinable @inline(__always)
  public mutating func u64() throws(WireError) -> UInt64 {
    UInt64(littleEndian: try advance(8).loadUnaligned(as: UInt64.self))
  }

  /// A truth value: 0 or 1; any other byte is malformed.
  @inlinable @inline(__always)
  public mutating func bool() throws(WireError) -> Bool {
    switch try u8() {
    case 0: return false
    case 1: return true
    default: throw .invalid
    }
  }

  /// A counted byte string, lent from the message.
  @inlinable @inline(__always)
  public mutating func lentBytes() throws(WireError) -> UnsafeRawBufferPointer {
    let count = Int(try u32())
    return UnsafeRawBufferPointer(start: try advance(count), count: count)
  }

  /// A counted byte string, copied.
  public mutating func bytes() throws(WireError) -> [UInt8] {
    [UInt8](try lentBytes())
  }

  /// `count` bytes without a count before them, lent from the message.
  @inlinable @inline(__always)
  public mutating func raw(_ count: Int) throws(WireError) -> UnsafeRawBufferPointer {
    guard count >= 0 else { throw .invalid }
    return UnsafeRawBufferPointer(start: try advance(count), count: count)
  }

  /// The number of elements of a list, refused unless that many elements of at least `elementByteCount` bytes
  /// can still follow: a hostile count cannot make the receiver reserve memory.
  public mutating func count(ofElementsAtLeast elementByteCount: Int) throws(WireError) -> Int {
    let count = Int(try u32())
    guard count <= remaining / max(elementByteCount, 1) else { throw .truncated }
    return count
  }

  /// The same for a list that is malformed when it has more than `most` elements.
  public mutating func count(ofElementsAtLeast elementByteCount: Int, atMost most: Int) throws(WireError) -> Int {
    let count = try count(ofElementsAtLeast: elementByteCount)
    guard count <= most else { throw .invalid }
    return count
  }

  /// Asserts that the message ends here.
  @inlinable @inline(__always)
  public func end() throws(WireError) {
    guard remaining == 0 else { throw .trailing }
  }
}
