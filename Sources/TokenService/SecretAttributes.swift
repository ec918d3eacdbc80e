import CryptoCore
import Cryptoki
import TokenProtocol

/// The values of an object that may not be revealed (footnote 7), in secret memory: entries as in `AttributeSet`.
struct SecretAttributes: Sendable {
  let encoded: SecretBytes

  /// Takes entries. Nil unless they are well formed and in order.
  init?(encoded: SecretBytes) {
    guard encoded.withBytes({ AttributeEntries($0).ascend }) else { return nil }
    self.encoded = encoded
  }

  /// `byteCount` bytes of entries that `write` puts down in order.
  init(byteCount: Int, _ write: (UnsafeMutableRawBufferPointer) -> Void) {
    encoded = SecretBytes(count: byteCount) { (memory) throws(Never) in
      write(memory)
      return byteCount
    }
  }

  /// Takes values, in any order, each type at most once.
  init(_ values: [(AttributeType, SecretBytes)]) {
    let sorted = values.sorted { $0.0.rawValue < $1.0.rawValue }
    self.init(byteCount: sorted.reduce(0) { $0 + 8 + $1.1.count }) { memory in
      var writer = EntryWriter(memory)
      for (type, value) in sorted { value.withBytes { writer.put(type, $0) } }
    }
  }

  /// One value of `count` bytes, which `fill` writes.
  init(
    _ type: AttributeType, count: Int, fill: (UnsafeMutableRawBufferPointer) throws(CryptoError) -> Void
  ) throws(CryptoError) {
    encoded = try SecretBytes(count: 8 + count) { (memory) throws(CryptoError) in
      memory.storeBytes(of: AttributeEntries.header(type, count), as: UInt64.self)
      try fill(UnsafeMutableRawBufferPointer(rebasing: memory[8...]))
      return memory.count
    }
  }

  /// The bytes that all the values together take.
  var byteCount: Int { encoded.count }

  /// The length of a value; nil where there is none.
  func byteCount(_ type: AttributeType) -> Int? { withValue(type) { $0?.count } }

  /// A copy of a value in secret memory.
  func secret(_ type: AttributeType) -> SecretBytes? {
    withValue(type) { $0.map { SecretBytes(copying: $0) } }
  }

  /// Lends a value, outside secret memory only for one that the object's owner made revealable; nil where there is none.
  func withValue<R>(_ type: AttributeType, _ body: (UnsafeRawBufferPointer?) -> R) -> R {
    encoded.withBytes { bytes in
      let entries = AttributeEntries(bytes)
      return body(entries.range(of: type).map { entries[$0] })
    }
  }
}
