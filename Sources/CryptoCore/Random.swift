import COpenSSL

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
