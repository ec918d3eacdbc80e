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
    guard encoded.withUnsafeBytes({ AttributeEntries($0).ascend }) else { return nil }
    self.encoded = encoded
  }

  /// `byteCount` bytes of entries that `write` puts down in order.
  init(byteCount: Int, _ write: (UnsafeMutableRawBufferPointer) -> Void) {
    // By way of the stack: the initialiser of an array that is filled in place looks its generic type up each time.
    encoded = withUnsafeTemporaryAllocation(byteCount: byteCount, alignment: 8) { memory in
      write(memory)
      return [UInt8](UnsafeRawBufferPointer(memory))
    }
  }

  /// The attributes of a template, each type once; two values for one type are CKR_TEMPLATE_INCONSISTENT (PKCS#11 3.2,
  /// 4.1.1, rules 5 and 6).
  init(_ template: Template) throws(ReturnValue) {
    if template.withEntries({ $0.ascend && !$0.contains { $0.type != $0.type.published } }) {
      encoded = template.encoded
    } else {
      self = try template.withEntries { (entries) throws(ReturnValue) in try AttributeSet(entries) }
    }
  }

  /// The same of a template within a template. Throws CKR_ATTRIBUTE_VALUE_INVALID unless it is one to its last byte.
  init(_ template: AttributeEntries) throws(ReturnValue) {
    guard template.fillBytes else { throw .attributeValueInvalid }
    let sorted = template.map { (type: $0.type.published, value: template[$0]) }
      .sorted { $0.type.rawValue < $1.type.rawValue }
    var byteCount = template.bytes.count
    for (attribute, next) in zip(sorted, sorted.dropFirst()) where attribute.type == next.type {
      guard sameBytes(attribute.value, next.value) else { throw .templateInconsistent }
      byteCount -= 8 + next.value.count
    }
    self.init(byteCount: byteCount) { memory in
      var writer = EntryWriter(memory)
      for index in sorted.indices where index == 0 || sorted[index - 1].type != sorted[index].type {
        writer.put(sorted[index].type, sorted[index].value)
      }
    }
  }

  var isEmpty: Bool { encoded.isEmpty }
}

// MARK: - Reading

extension AttributeSet {
  /// Lends the attributes.
  @inline(__always)
  func withEntries<R, E: Error>(_ body: (AttributeEntries) throws(E) -> R) throws(E) -> R {
    try encoded.span.withUnsafeBytes { (bytes) throws(E) in try body(AttributeEntries(bytes)) }
  }

  private func range(of type: AttributeType) -> Range<Int>? {
    withEntries { $0.range(of: type) }
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
  func template(_ type: AttributeType) throws(ReturnValue) -> AttributeSet? {
    guard let bytes = bytes(type) else { return nil }
    // None is stored that is not well-formed; if one were, it must not count as a template that demands nothing.
    guard let template = AttributeSet(encoded: bytes) else { throw .generalError }
    return template
  }

  /// Whether all attributes of `template` are among these, with the same values.
  func contains(all template: AttributeSet) -> Bool {
    withEntries { mine in
      template.withEntries { theirs in
        var own = mine
        for wanted in theirs {
          var found: AttributeEntries.Entry?
          while found == nil || found!.type.rawValue < wanted.type.rawValue {
            guard let next = own.next() else { return false }
            found = next
          }
          guard let found, found.type == wanted.type, sameBytes(mine[found], theirs[wanted]) else { return false }
        }
        return true
      }
    }
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

  /// Overwrites bytes of a value, from `position` of the entries on.
  @inline(__always)
  mutating func overwrite(at position: Int, with value: UnsafeRawBufferPointer) {
    encoded.withUnsafeMutableBytes { UnsafeMutableRawBufferPointer(rebasing: $0[position...]).copyMemory(from: value) }
  }

  /// Puts the entry in its place: over the one that is there when both are as long.
  mutating func set(_ type: AttributeType, _ value: UnsafeRawBufferPointer) {
    let place = withEntries { $0.place(of: type) }
    let byteCount = 8 + value.count
    if place.count != byteCount { resize(place, byteCount) }
    encoded.withUnsafeMutableBytes { bytes in
      bytes.storeBytes(
        of: AttributeEntries.header(type, value.count), toByteOffset: place.lowerBound, as: UInt64.self)
      if let base = bytes.baseAddress, let source = value.baseAddress {
        memcpy(base + place.lowerBound + 8, source, value.count)
      }
    }
  }

  /// Makes the entry at `place` one of `byteCount` bytes, of no particular content.
  private mutating func resize(_ place: Range<Int>, _ byteCount: Int) {
    let count = encoded.count
    let change = byteCount - place.count
    if change > 0 { encoded.append(contentsOf: repeatElement(0, count: change)) }
    encoded.withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      memmove(base + place.upperBound + change, base + place.upperBound, count - place.upperBound)
    }
    if change < 0 { encoded.removeLast(-change) }
  }

  mutating func remove(_ type: AttributeType) {
    encoded.replaceSubrange(withEntries { $0.place(of: type) }, with: [])
  }
}

// MARK: - Entries

extension AttributeEntries {
  /// Where the entry of a type begins, or belongs; the types ascend, and the entries fill the bytes.
  @inline(__always)
  private func start(of type: AttributeType) -> (position: Int, header: UInt64?) {
    var position = 0
    while position < bytes.count {
      let header = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
      if UInt32(truncatingIfNeeded: header) >= type.rawValue {
        return (position, UInt32(truncatingIfNeeded: header) == type.rawValue ? header : nil)
      }
      position &+= 8 &+ Int(truncatingIfNeeded: header >> 32)
    }
    return (position, nil)
  }

  /// The value of a type; the types ascend, and the entries fill the bytes.
  func range(of type: AttributeType) -> Range<Int>? {
    let (position, header) = start(of: type)
    return header.map { position &+ 8..<position &+ 8 &+ Int($0 >> 32) }
  }

  /// The bytes of the entry of this type, or the empty range where it belongs; the types ascend, and the entries fill the
  /// bytes.
  func place(of type: AttributeType) -> Range<Int> {
    let (position, header) = start(of: type)
    return position..<position &+ (header.map { 8 &+ Int($0 >> 32) } ?? 0)
  }

  /// The value of an entry as a CK_ULONG.
  @inline(__always)
  func ulong(_ entry: Entry) -> UInt? {
    guard entry.value.count == 8 else { return nil }
    return UInt(littleEndian: bytes.loadUnaligned(fromByteOffset: entry.value.lowerBound, as: UInt.self))
  }
}

/// Whether both hold the same bytes. Not for secrets: it takes as long as they agree.
func sameBytes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
  guard left.count == right.count else { return false }
  guard let first = left.baseAddress, let second = right.baseAddress else { return true }
  return memcmp(first, second, left.count) == 0
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
