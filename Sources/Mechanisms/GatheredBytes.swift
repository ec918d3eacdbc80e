import CryptoCore
import Wire

/// Input that is needed whole: a growing byte string that is wiped when it goes.
final class GatheredBytes {
  private var chunks: [SecretBytes] = []
  /// The number of bytes held.
  private(set) var count = 0

  /// Appends a copy.
  func append(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count > 0 else { return }
    chunks.append(SecretBytes(copying: bytes))
    count += bytes.count
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
