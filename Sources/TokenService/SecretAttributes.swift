import CryptoCore
import Cryptoki

/// The values of an object that may not be revealed (footnote 7), in secret memory: entries as in `AttributeSet`.
struct SecretAttributes: Sendable {
  let encoded: SecretBytes

  /// Takes entries. Nil unless they are well formed and in order.
  init?(encoded: SecretBytes) {
    guard encoded.withBytes({ AttributeEntries($0).isWellFormed }) else { return nil }
    self.encoded = encoded
  }

  /// Takes values, in any order, each type at most once.
  init(_ values: [(AttributeType, SecretBytes)]) {
    let sorted = values.sorted { $0.0.rawValue < $1.0.rawValue }
    let total = sorted.reduce(0) { $0 + 8 + $1.1.count }
    encoded = SecretBytes(count: total) { (memory) throws(Never) in
      var place = 0
      for (type, value) in sorted {
        memory.storeBytes(of: type.rawValue.littleEndian, toByteOffset: place, as: UInt32.self)
        let count = UInt32(truncatingIfNeeded: value.count)
        memory.storeBytes(of: count.littleEndian, toByteOffset: place + 4, as: UInt32.self)
        place += 8
        value.withBytes { UnsafeMutableRawBufferPointer(rebasing: memory[place...]).copyMemory(from: $0) }
        place += value.count
      }
      return place
    }
  }

  /// The bytes that all the values together take.
  var byteCount: Int { encoded.count }

  /// A copy of a value in secret memory.
  func secret(_ type: AttributeType) -> SecretBytes? {
    encoded.withBytes { bytes in
      AttributeEntries(bytes).range(of: type).map {
        SecretBytes(copying: UnsafeRawBufferPointer(rebasing: bytes[$0]))
      }
    }
  }

  /// A copy of a value outside secret memory, for one that the object's owner made revealable.
  func revealed(_ type: AttributeType) -> [UInt8]? {
    encoded.withBytes { bytes in
      AttributeEntries(bytes).range(of: type).map { [UInt8](UnsafeRawBufferPointer(rebasing: bytes[$0])) }
    }
  }
}
