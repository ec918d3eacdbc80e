import COpenSSL
import Synchronization

/// Fills `bytes` from the private context's private generator (a CTR-DRBG of strength 256 per thread, reseeded after
/// `fork`). Throws `.libraryFailure` when there is no entropy.
public func randomBytes(into bytes: UnsafeMutableRawBufferPointer) throws(CryptoError) {
  guard let base = bytes.baseAddress, bytes.count > 0 else { return }
  let context = try LibraryContext.shared.pointer
  try preservingErrorQueue { () throws(CryptoError) in
    try check(RAND_priv_bytes_ex(context, base, bytes.count, 256), "RAND_priv_bytes_ex")
  }
}

/// `count` random bytes that need not stay secret (nonces, salts, identifiers).
public func randomBytes(count: Int) throws(CryptoError) -> [UInt8] {
  try [UInt8](count: max(count, 0)) { (bytes) throws(CryptoError) in
    try randomBytes(into: bytes)
    return bytes.count
  }
}

extension SecretBytes {
  /// `count` new random bytes.
  public static func random(count: Int) throws(CryptoError) -> SecretBytes {
    try SecretBytes(count: count) { (bytes) throws(CryptoError) in
      try randomBytes(into: bytes)
      return bytes.count
    }
  }
}

/// Random numbers that need not stay secret (nonces, versions, identifiers), fetched from the generator a thousand bytes at a
/// time: what it does for each request costs more than the bytes. For a process that does not fork.
public final class RandomNumbers: Sendable {
  private struct Block {
    var bytes: [UInt8] = []
    var used = 0
  }

  private static let blockByteCount = 1024
  private let block = Mutex(Block())

  public init() {}

  /// Fills `bytes` with numbers that nobody else gets. Throws as `randomBytes` does.
  public func fill(_ bytes: UnsafeMutableRawBufferPointer) throws(CryptoError) {
    guard bytes.count <= Self.blockByteCount / 16 else { return try randomBytes(into: bytes) }
    try block.withLock { (block) throws(CryptoError) in
      if block.bytes.count - block.used < bytes.count {
        block.bytes = try randomBytes(count: Self.blockByteCount)
        block.used = 0
      }
      bytes.copyBytes(from: block.bytes[block.used..<block.used + bytes.count])
      block.used += bytes.count
    }
  }
}
