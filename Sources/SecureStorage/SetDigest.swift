/// An incremental digest of a set of records: a sum modulo 2^256 of one keyed value a record.
///
/// Adding and removing a record cost the same whatever the size of the set. The sum is only worth something while it
/// is kept from those who would forge it, so it is stored sealed.
struct SetDigest: Equatable {
  static let byteCount = 32

  /// Least significant first.
  var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  /// Takes the words as they lie in memory for little-endian ones.
  mutating func readLittleEndian() {
    words = (
      UInt64(littleEndian: words.0), UInt64(littleEndian: words.1), UInt64(littleEndian: words.2),
      UInt64(littleEndian: words.3)
    )
  }

  mutating func add(_ element: SetDigest) {
    var carry: UInt64 = 0
    Self.add(&words.0, element.words.0, &carry)
    Self.add(&words.1, element.words.1, &carry)
    Self.add(&words.2, element.words.2, &carry)
    Self.add(&words.3, element.words.3, &carry)
  }

  mutating func remove(_ element: SetDigest) {
    var borrow: UInt64 = 0
    Self.subtract(&words.0, element.words.0, &borrow)
    Self.subtract(&words.1, element.words.1, &borrow)
    Self.subtract(&words.2, element.words.2, &borrow)
    Self.subtract(&words.3, element.words.3, &borrow)
  }

  static func == (left: SetDigest, right: SetDigest) -> Bool { left.words == right.words }

  private static func add(_ word: inout UInt64, _ other: UInt64, _ carry: inout UInt64) {
    let (sum, over) = word.addingReportingOverflow(other)
    let (total, again) = sum.addingReportingOverflow(carry)
    word = total
    carry = over || again ? 1 : 0
  }

  private static func subtract(_ word: inout UInt64, _ other: UInt64, _ borrow: inout UInt64) {
    let (difference, under) = word.subtractingReportingOverflow(other)
    let (total, again) = difference.subtractingReportingOverflow(borrow)
    word = total
    borrow = under || again ? 1 : 0
  }
}
