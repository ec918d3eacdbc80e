import Cryptoki
import Glibc
import TokenProtocol

/// The attributes of an object, or a template, in one allocation: entries of type, length and value, sorted by type.
///
/// Values are as the C ABI holds them (CK_BBOOL one byte, CK_ULONG eight bytes little-endian); the value of an
/// attribute that is itself a template is such a list of entries again. A set holds no secret: values that may not be
/// revealed lie in `SecretAttributes`.
struct AttributeSet: Sendable, Equatable {
  /// The entries: type (4 bytes), length (4 bytes), value; ascending by type.
  private(set) var encoded: [UInt8]

  init() { encoded = [] }

  /// Takes entries that were stored. Nil unless they are well formed and in order.
  init?(encoded: [UInt8]) {
    guard encoded.withUnsafeBytes({ AttributeEntries($0).isWellFormed }) else { return nil }
    self.encoded = encoded
  }

  /// The attributes of a template whose types are known to differ.
  init(_ attributes: [Attribute]) {
    self.init()
    for attribute in attributes { set(attribute.type, attribute.value) }
  }

  var isEmpty: Bool { encoded.isEmpty }
}

// MARK: - Reading

extension AttributeSet {
  private func range(of type: AttributeType) -> Range<Int>? {
    encoded.withUnsafeBytes { AttributeEntries($0).range(of: type) }
  }

  func contains(_ type: AttributeType) -> Bool { range(of: type) != nil }

  /// A copy of the value.
  func bytes(_ type: AttributeType) -> [UInt8]? {
    range(of: type).map { Array(encoded[$0]) }
  }

  /// Lends the value; nil where the set has none.
  func withBytes<R>(_ type: AttributeType, _ body: (UnsafeRawBufferPointer?) -> R) -> R {
    guard let range = range(of: type) else { return body(nil) }
    return encoded.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
  }

  /// The value as a CK_BBOOL; an absent one is false.
  func bool(_ type: AttributeType) -> Bool {
    guard let range = range(of: type), range.count == 1 else { return false }
    return encoded[range.lowerBound] != 0
  }

  /// The value as a CK_ULONG.
  func ulong(_ type: AttributeType) -> UInt? {
    guard let range = range(of: type), range.count == 8 else { return nil }
    return encoded.withUnsafeBytes {
      UInt(littleEndian: $0.loadUnaligned(fromByteOffset: range.lowerBound, as: UInt.self))
    }
  }

  /// The value as an array of CK_ULONG; nil where the set has none or it is not one.
  func ulongs(_ type: AttributeType) -> [UInt]? {
    bytes(type).flatMap { $0.ulongs }
  }

  /// The value as a template.
  func template(_ type: AttributeType) -> AttributeSet? {
    bytes(type).flatMap { AttributeSet(encoded: $0) }
  }

  /// The types, ascending.
  var types: [AttributeType] {
    encoded.withUnsafeBytes { AttributeEntries($0).map(\.type) }
  }

  /// Whether both have the attribute with the same value.
  func agrees(with other: AttributeSet, on type: AttributeType) -> Bool {
    withBytes(type) { mine in
      other.withBytes(type) { theirs in
        guard let mine, let theirs else { return mine == nil && theirs == nil }
        return mine.elementsEqual(theirs)
      }
    }
  }

  /// The attributes as a client is told them.
  var attributes: [Attribute] {
    types.map { Attribute($0, value($0) ?? .bytes([])) }
  }

  /// The value as a client is told it.
  func value(_ type: AttributeType) -> AttributeValue? {
    guard let bytes = bytes(type) else { return nil }
    guard AttributeTable.kind(of: type) == .template else { return .bytes(bytes) }
    return .template(AttributeSet(encoded: bytes)?.attributes ?? [])
  }
}

// MARK: - Writing

extension AttributeSet {
  /// Sets a value, replacing one that is there.
  mutating func set(_ type: AttributeType, _ value: [UInt8]) {
    value.withUnsafeBytes { set(type, $0) }
  }

  mutating func set(_ type: AttributeType, _ value: Bool) {
    withUnsafeBytes(of: UInt8(value ? 1 : 0)) { set(type, $0) }
  }

  mutating func set(_ type: AttributeType, _ value: UInt) {
    withUnsafeBytes(of: value.littleEndian) { set(type, $0) }
  }

  /// Puts the entry in its place, with no memory but the set's own: objects are made of dozens of these.
  private mutating func set(_ type: AttributeType, _ value: UnsafeRawBufferPointer) {
    let place = encoded.withUnsafeBytes { AttributeEntries($0).place(of: type) }
    let count = encoded.count
    let change = 8 + value.count - place.count
    if encoded.isEmpty { encoded.reserveCapacity(Self.usualByteCount) }
    if change > 0 { encoded.append(contentsOf: repeatElement(0, count: change)) }
    encoded.withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      memmove(base + place.upperBound + change, base + place.upperBound, count - place.upperBound)
      bytes.storeBytes(of: type.rawValue.littleEndian, toByteOffset: place.lowerBound, as: UInt32.self)
      bytes.storeBytes(
        of: UInt32(truncatingIfNeeded: value.count).littleEndian, toByteOffset: place.lowerBound + 4, as: UInt32.self)
      bytes.copy(value, at: place.lowerBound + 8)
    }
    if change < 0 { encoded.removeLast(-change) }
  }

  /// Bytes that the attributes of a secret key mostly have.
  private static let usualByteCount = 512

  mutating func set(_ type: AttributeType, _ value: AttributeValue) {
    switch value {
    case .bytes(let bytes): set(type, bytes)
    case .template(let attributes): set(type, AttributeSet(attributes).encoded)
    }
  }

  mutating func remove(_ type: AttributeType) {
    encoded.replaceSubrange(encoded.withUnsafeBytes { AttributeEntries($0).place(of: type) }, with: [])
  }
}

// MARK: - Entries

/// The entries of an encoded set, lent.
struct AttributeEntries: Sequence, IteratorProtocol {
  private let bytes: UnsafeRawBufferPointer
  private var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  struct Entry {
    let type: AttributeType
    /// Where the entry begins.
    let start: Int
    /// Where its value lies.
    let value: Range<Int>

    /// The value as a CK_ULONG; `bytes` are those that the entries are of.
    @inline(__always)
    func ulong(in bytes: UnsafeRawBufferPointer) -> UInt? {
      guard value.count == 8 else { return nil }
      return UInt(littleEndian: bytes.loadUnaligned(fromByteOffset: value.lowerBound, as: UInt.self))
    }
  }

  mutating func next() -> Entry? {
    guard bytes.count - position >= 8 else { return nil }
    let type = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
    let count = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position + 4, as: UInt32.self)))
    guard count <= bytes.count - position - 8 else { return nil }
    let start = position
    position += 8 + count
    return Entry(type: AttributeType(rawValue: type), start: start, value: start + 8..<position)
  }

  /// Whether the entries fill the bytes and their types ascend.
  var isWellFormed: Bool {
    var entries = self
    var last: UInt32?
    while let entry = entries.next() {
      if let last, entry.type.rawValue <= last { return false }
      last = entry.type.rawValue
    }
    return entries.position == bytes.count
  }

  func range(of type: AttributeType) -> Range<Int>? {
    var entries = self
    while let entry = entries.next() {
      if entry.type.rawValue == type.rawValue { return entry.value }
      if entry.type.rawValue > type.rawValue { return nil }
    }
    return nil
  }

  /// The bytes of the entry of this type, or the empty range where it belongs.
  func place(of type: AttributeType) -> Range<Int> {
    var entries = self
    while let entry = entries.next() {
      if entry.type.rawValue == type.rawValue { return entry.start..<entry.value.upperBound }
      if entry.type.rawValue > type.rawValue { return entry.start..<entry.start }
    }
    return bytes.count..<bytes.count
  }
}

extension [UInt8] {
  mutating func append(littleEndian value: UInt32) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }

  /// The bytes as a CK_ULONG.
  var ulong: UInt? {
    guard count == 8 else { return nil }
    return reversed().reduce(0) { $0 << 8 | UInt($1) }
  }

  /// The bytes as an array of CK_ULONG.
  var ulongs: [UInt]? {
    guard count % 8 == 0 else { return nil }
    return stride(from: 0, to: count, by: 8).map { start in
      self[start..<start + 8].reversed().reduce(0) { $0 << 8 | UInt($1) }
    }
  }
}

extension UInt {
  /// The number as a CK_ULONG lies in memory.
  var attributeBytes: [UInt8] { Swift.withUnsafeBytes(of: littleEndian) { [UInt8]($0) } }
}
