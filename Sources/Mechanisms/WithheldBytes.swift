import CryptoCore
import Wire

/// Plaintext that must not leave yet, or input that is needed whole: a growing byte string that is wiped when it goes.
final class WithheldBytes {
  private var chunks: [SecretBytes] = []
  /// The number of bytes held.
  private(set) var count = 0

  /// Appends what `fill` writes into room for `byteCount` bytes; it answers how many it wrote.
  func append(
    atMost byteCount: Int, _ fill: (UnsafeMutableRawBufferPointer) throws(CryptoError) -> Int
  ) throws(CryptoError) {
    guard byteCount > 0 else {
      _ = try fill(UnsafeMutableRawBufferPointer(start: nil, count: 0))
      return
    }
    let chunk = try SecretBytes(count: byteCount, fill: fill)
    count += chunk.count
    if chunk.count > 0 { chunks.append(chunk) }
  }

  /// Appends a copy.
  func append(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count > 0 else { return }
    chunks.append(SecretBytes(copying: bytes))
    count += bytes.count
  }

  /// Lends the pieces in order.
  func forEach<E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> Void) throws(E) {
    for chunk in chunks { try chunk.withBytes(body) }
  }

  /// The whole as one string.
  func joined() -> SecretBytes {
    if chunks.count == 1 { return chunks[0] }
    let whole = SecretBytes(count: count) { (memory) throws(Never) in
      var place = 0
      for chunk in chunks {
        chunk.withBytes { memory.copy($0, at: place) }
        place += chunk.count
      }
      return place
    }
    chunks = [whole]
    return whole
  }
}
