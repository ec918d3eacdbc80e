import Cryptoki

/// Attributes one behind the other, lent: of each the type (4 bytes), the length (4 bytes) and the value.
///
/// Templates travel so, and objects keep their attributes so. Values are as the C ABI holds them (CK_BBOOL one byte,
/// CK_ULONG eight bytes little-endian); the value of an attribute that is itself a template is such entries again.
@frozen public struct AttributeEntries: Sequence, IteratorProtocol {
  public let bytes: UnsafeRawBufferPointer
  @usableFromInline var position = 0

  @inlinable @inline(__always)
  public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  @frozen public struct Entry {
    public let type: AttributeType
    /// Where the entry begins.
    public let start: Int
    /// Where its value lies.
    public let value: Range<Int>

    @inlinable @inline(__always)
    init(type: AttributeType, start: Int, value: Range<Int>) {
      self.type = type
      self.start = start
      self.value = value
    }
  }

  @inlinable @inline(__always)
  public mutating func next() -> Entry? {
    // Nothing overflows: the position lies within the bytes, and a length has 32 bits.
    let left = bytes.count &- position &- 8
    guard left >= 0 else { return nil }
    let header = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
    let count = Int(truncatingIfNeeded: header >> 32)
    guard count <= left else { return nil }
    let start = position
    position = start &+ 8 &+ count
    return Entry(
      type: AttributeType(rawValue: UInt32(truncatingIfNeeded: header)), start: start,
      value: start &+ 8..<position)
  }

  /// The value of an entry.
  @inlinable @inline(__always)
  public subscript(entry: Entry) -> UnsafeRawBufferPointer { self[entry.value] }

  @inlinable @inline(__always)
  public subscript(range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[range]) }

  /// Whether the entries fill the bytes.
  @inlinable public var fillBytes: Bool {
    var entries = self
    while entries.next() != nil {}
    return entries.position == bytes.count
  }

  /// The number of entries and of those of templates among them; nil unless the entries fill the bytes.
  var countOfAll: Int? {
    var entries = self
    var count = 0
    while let entry = entries.next() {
      count += 1
      guard entry.type.holdsTemplate else { continue }
      var nested = AttributeEntries(self[entry])
      while nested.next() != nil { count += 1 }
    }
    return entries.position == bytes.count ? count : nil
  }

  /// Whether the entries fill the bytes and their types ascend.
  @inlinable public var ascend: Bool {
    var entries = self
    var least: UInt64 = 0
    while let entry = entries.next() {
      guard UInt64(entry.type.rawValue) >= least else { return false }
      least = UInt64(entry.type.rawValue) + 1
    }
    return entries.position == bytes.count
  }

  /// The bytes before the value of an entry.
  @inlinable @inline(__always)
  public static func header(_ type: AttributeType, _ byteCount: Int) -> UInt64 {
    (UInt64(UInt32(truncatingIfNeeded: byteCount)) << 32 | UInt64(type.rawValue)).littleEndian
  }

  /// The entries as attributes.
  public var attributes: [Attribute] {
    map { entry in
      let value = self[entry]
      return Attribute(
        entry.type,
        entry.type.holdsTemplate ? .template(AttributeEntries(value).attributes) : .bytes([UInt8](value)))
    }
  }
}

/// Writes entries into memory. What it has no room for it leaves out.
@frozen public struct EntryWriter {
  @usableFromInline let memory: UnsafeMutableRawBufferPointer
  @usableFromInline var position = 0

  /// Bytes written.
  @inlinable public var count: Int { position }

  @inlinable @inline(__always)
  public init(_ memory: UnsafeMutableRawBufferPointer) { self.memory = memory }

  @inlinable @inline(__always)
  public mutating func put(_ type: AttributeType, _ value: UnsafeRawBufferPointer) {
    guard memory.count - position >= 8, memory.count - position - 8 >= value.count else { return }
    memory.storeBytes(of: AttributeEntries.header(type, value.count), toByteOffset: position, as: UInt64.self)
    position += 8
    put(value)
  }

  /// Entries as they are.
  @inlinable @inline(__always)
  public mutating func put(_ entries: UnsafeRawBufferPointer) {
    guard let base = memory.baseAddress, let source = entries.baseAddress, memory.count - position >= entries.count
    else {
      return
    }
    (base + position).copyMemory(from: source, byteCount: entries.count)
    position += entries.count
  }
}
