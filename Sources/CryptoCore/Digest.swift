import COpenSSL

/// A hash computation in progress. Not for two threads at once.
///
/// Keeps one EVP_MD_CTX, so that `reset` and a next computation allocate nothing.
public final class Digest {
  public let algorithm: HashAlgorithm
  private let context: OpaquePointer

  /// Throws `.unsupported` where this libcrypto has no such hash.
  public convenience init(_ algorithm: HashAlgorithm) throws(CryptoError) {
    let function = try algorithm.algorithm.pointer
    let context = try Self.newContext()
    self.init(algorithm, adopting: context)
    try preservingErrorQueue { () throws(CryptoError) in
      try check(EVP_DigestInit_ex2(context, function, nil), "EVP_DigestInit_ex2")
    }
  }

  private init(_ algorithm: HashAlgorithm, adopting context: OpaquePointer) {
    self.algorithm = algorithm
    self.context = context
  }

  deinit { EVP_MD_CTX_free(context) }

  public func update(_ bytes: UnsafeRawBufferPointer) throws(CryptoError) {
    guard bytes.count > 0 else { return }
    guard EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1 else {
      throw CryptoError(.libraryFailure, in: "EVP_DigestUpdate")
    }
  }

  public func update(_ bytes: [UInt8]) throws(CryptoError) {
    try bytes.withRawBytes { (bytes) throws(CryptoError) in try update(bytes) }
  }

  /// Writes the digest to the first `algorithm.digestByteCount` bytes of `output` and answers that count.
  ///
  /// Throws `.bufferTooSmall`, with nothing consumed, when `output` is shorter. Afterwards only `reset` is of use.
  public func finish(into output: UnsafeMutableRawBufferPointer) throws(CryptoError) -> Int {
    guard let start = output.baseAddress, output.count >= algorithm.digestByteCount else {
      throw CryptoError(.bufferTooSmall, in: "Digest.finish")
    }
    guard EVP_DigestFinal_ex(context, start.assumingMemoryBound(to: UInt8.self), nil) == 1 else {
      throw CryptoError(.libraryFailure, in: "EVP_DigestFinal_ex")
    }
    return algorithm.digestByteCount
  }

  public func finish() throws(CryptoError) -> [UInt8] {
    try [UInt8](count: algorithm.digestByteCount) { (output) throws(CryptoError) in try finish(into: output) }
  }

  /// Starts a new computation with the same hash.
  public func reset() throws(CryptoError) {
    // A NULL algorithm keeps the one that the context holds and skips its set-up.
    guard EVP_DigestInit_ex2(context, nil, nil) == 1 else {
      throw CryptoError(.libraryFailure, in: "EVP_DigestInit_ex2")
    }
  }

  /// An independent computation that has taken in the same bytes.
  public func clone() throws(CryptoError) -> Digest {
    let copy = Digest(algorithm, adopting: try Self.newContext())
    try preservingErrorQueue { () throws(CryptoError) in
      try check(EVP_MD_CTX_copy_ex(copy.context, context), "EVP_MD_CTX_copy_ex")
    }
    return copy
  }

  private static func newContext() throws(CryptoError) -> OpaquePointer {
    try check(EVP_MD_CTX_new(), "EVP_MD_CTX_new")
  }
}

extension HashAlgorithm {
  /// The digest of `bytes`.
  public func digest(_ bytes: UnsafeRawBufferPointer) throws(CryptoError) -> [UInt8] {
    let digest = try Digest(self)
    try digest.update(bytes)
    return try digest.finish()
  }

  /// The digest of `bytes`.
  public func digest(_ bytes: [UInt8]) throws(CryptoError) -> [UInt8] {
    try bytes.withRawBytes { (bytes) throws(CryptoError) in try digest(bytes) }
  }
}

/// The SHA-256 digest of `bytes`.
public func sha256(_ bytes: [UInt8]) throws(CryptoError) -> [UInt8] { try HashAlgorithm.sha256.digest(bytes) }

/// The SHA-256 digest of `bytes`.
public func sha256(_ bytes: UnsafeRawBufferPointer) throws(CryptoError) -> [UInt8] {
  try HashAlgorithm.sha256.digest(bytes)
}
