import COpenSSL
import Synchronization

/// Random bytes for secret keys, drawn ahead in secret memory: the generator takes as long for one key as for thirty.
///
/// Each byte is given out once and wiped at once. Who could read what is left could read the generator's state as well, from
/// which the same bytes follow.
public enum KeyReserve {
  /// The most bytes that are taken at a time; more come from the generator itself.
  static let longest = 64
  static let byteCount = 1024

  private struct State: ~Copyable {
    var bytes: Block?
    /// How many are left, at the beginning of the block.
    var left = 0
  }

  private struct Block: ~Copyable, @unchecked Sendable {
    // Sendable: the block has one owner, behind a lock.
    let base = SecretArena.allocate(byteCount: KeyReserve.byteCount)

    deinit {
      OPENSSL_cleanse(base, KeyReserve.byteCount)
      SecretArena.free(base, byteCount: KeyReserve.byteCount)
    }
  }

  private static let state = Mutex(State())

  /// Fills `bytes`, for a key. Throws `.libraryFailure` when there is no entropy.
  public static func fill(_ bytes: UnsafeMutableRawBufferPointer) throws(CryptoError) {
    guard bytes.count > 0, bytes.count <= longest, let destination = bytes.baseAddress else {
      return try randomBytes(into: bytes)
    }
    try state.withLock { (state) throws(CryptoError) in
      if state.bytes == nil { state.bytes = Block() }
      guard let base = state.bytes?.base else { return try randomBytes(into: bytes) }
      if state.left < bytes.count {
        state.left = 0
        try randomBytes(into: UnsafeMutableRawBufferPointer(start: base, count: byteCount))
        state.left = byteCount
      }
      state.left -= bytes.count
      destination.copyMemory(from: base + state.left, byteCount: bytes.count)
      OPENSSL_cleanse(base + state.left, bytes.count)
    }
  }
}
