import CryptoCore
import Wire

/// Plaintext that must not leave yet, or input that is needed whole: a growing byte string that is wiped when it goes.
final class WithheldBytes {
  private var chunks: [SecretBytes] = []
  /// The number of bytes held.
  private(set) var count = 0
  /// Where ciphertext is copied to before it is worked on, a piece at a time; no secret.
  private var aside: UnsafeMutableRawBufferPointer?

  /// Bytes of input that are copied aside at once: what stays in the processor's first caches.
  static let asideByteCount = 1 << 14

  deinit { aside?.deallocate() }

  /// A copy of the first bytes of `input`, as many as there is room for; valid until the next one.
  func copyAside(_ input: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    let count = min(input.count, Self.asideByteCount)
    let memory =
      aside ?? UnsafeMutableRawBufferPointer.allocate(byteCount: Self.asideByteCount, alignment: 64)
    aside = memory
    memory.copy(UnsafeRawBufferPointer(rebasing: input[..<count]), at: 0)
    return UnsafeRawBufferPointer(start: memory.baseAddress, count: count)
  }

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
