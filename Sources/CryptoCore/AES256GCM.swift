import COpenSSL

/// AES-256-GCM under one key, 12-byte nonce, full tag behind the ciphertext (NIST SP 800-38D): for sealing records.
///
/// The key's schedule is computed once. Threads may share it: each call works in a context of its own.
public final class AES256GCM: Sendable {
  public static let keyByteCount = 32
  public static let nonceByteCount = 12
  public static let tagByteCount = 16

  private enum Direction: Int32 {
    case open = 0
    case seal = 1
  }

  private static let algorithm = FetchedAlgorithm.cipher("AES-256-GCM")
  private let key: SecretBytes
  private let pool = ContextPool()

  /// Throws `.invalidKey` for a key that has not 32 bytes.
  public init(_ key: SecretBytes) throws(CryptoError) {
    guard key.count == Self.keyByteCount else { throw CryptoError(.invalidKey, in: "AES256GCM") }
    self.key = key
  }

  deinit {
    while let context = pool.take() { EVP_CIPHER_CTX_free(context) }
  }

  /// Writes ciphertext and tag (`plaintext.count + 16` bytes) to `output` and answers their count.
  ///
  /// The caller never gives a nonce twice under one key. `output` may start where `plaintext` does.
  public func seal(
    _ plaintext: UnsafeRawBufferPointer, nonce: UnsafeRawBufferPointer,
    authenticating associatedData: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    guard output.count >= Self.tagByteCount, output.count - Self.tagByteCount >= plaintext.count else {
      throw CryptoError(.bufferTooSmall, in: "AES256GCM.seal")
    }
    try withContext(.seal, nonce) { (context) throws(CryptoError) in
      var written: Int32 = 0
      try Self.update(context, associatedData, into: nil)
      try Self.update(context, plaintext, into: output)
      try check(EVP_CipherFinal_ex(context, Self.scratch(output), &written), "EVP_CipherFinal_ex")
      let tag = output.baseAddress! + plaintext.count  // not empty: checked above
      let gave = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagByteCount), tag)
      try check(gave, "EVP_CIPHER_CTX_ctrl")
    }
    return plaintext.count + Self.tagByteCount
  }

  /// Opens what `seal` wrote: puts the plaintext (`sealed.count - 16` bytes) into `output` and answers its count.
  ///
  /// Throws `.authenticationFailed`, with `output` wiped, when key, nonce, associated data or a byte differs.
  public func open(
    _ sealed: UnsafeRawBufferPointer, nonce: UnsafeRawBufferPointer,
    authenticating associatedData: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    guard sealed.count >= Self.tagByteCount else { throw CryptoError(.authenticationFailed, in: "AES256GCM.open") }
    let count = sealed.count - Self.tagByteCount
    guard output.count >= count else { throw CryptoError(.bufferTooSmall, in: "AES256GCM.open") }
    try withContext(.open, nonce) { (context) throws(CryptoError) in
      var written: Int32 = 0
      let tag = UnsafeMutableRawPointer(mutating: sealed.baseAddress! + count)  // not empty: checked above
      let took = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagByteCount), tag)
      try check(took, "EVP_CIPHER_CTX_ctrl")
      try Self.update(context, associatedData, into: nil)
      try Self.update(context, UnsafeRawBufferPointer(rebasing: sealed[..<count]), into: output)
      guard EVP_CipherFinal_ex(context, Self.scratch(output), &written) == 1 else {
        wipe(UnsafeMutableRawBufferPointer(rebasing: output[..<count]))
        throw CryptoError(.authenticationFailed, in: "AES256GCM.open")
      }
    }
    return count
  }

  /// `plaintext` sealed as ciphertext and tag.
  public func seal(
    _ plaintext: [UInt8], nonce: [UInt8], authenticating associatedData: [UInt8]
  ) throws(CryptoError) -> [UInt8] {
    try [UInt8](count: plaintext.count + Self.tagByteCount) { (output) throws(CryptoError) in
      try plaintext.withRawBytes { (plaintext) throws(CryptoError) in
        try nonce.withRawBytes { (nonce) throws(CryptoError) in
          try associatedData.withRawBytes { (associatedData) throws(CryptoError) in
            try seal(plaintext, nonce: nonce, authenticating: associatedData, into: output)
          }
        }
      }
    }
  }

  /// The plaintext of `sealed`. Throws `.authenticationFailed` when anything differs from what was sealed.
  public func open(
    _ sealed: [UInt8], nonce: [UInt8], authenticating associatedData: [UInt8]
  ) throws(CryptoError) -> SecretBytes {
    try SecretBytes(count: max(sealed.count - Self.tagByteCount, 0)) { (output) throws(CryptoError) in
      try sealed.withRawBytes { (sealed) throws(CryptoError) in
        try nonce.withRawBytes { (nonce) throws(CryptoError) in
          try associatedData.withRawBytes { (associatedData) throws(CryptoError) in
            try open(sealed, nonce: nonce, authenticating: associatedData, into: output)
          }
        }
      }
    }
  }

  /// Runs `body` with a context that is ready for the first byte under `nonce`, and keeps the context.
  private func withContext(
    _ direction: Direction, _ nonce: UnsafeRawBufferPointer, _ body: (OpaquePointer) throws(CryptoError) -> Void
  ) throws(CryptoError) {
    guard nonce.count == Self.nonceByteCount else { throw CryptoError(.invalidParameter, in: "AES256GCM") }
    try preservingErrorQueue { () throws(CryptoError) in
      let context: OpaquePointer
      if let ready = pool.take() { context = ready } else { context = try newContext() }
      do throws(CryptoError) {
        // Without a key: the one that the context holds.
        let start = nonce.baseAddress?.assumingMemoryBound(to: UInt8.self)
        try check(EVP_CipherInit_ex2(context, nil, nil, start, direction.rawValue, nil), "EVP_CipherInit_ex2")
        try body(context)
      } catch {
        EVP_CIPHER_CTX_free(context)
        throw error
      }
      if !pool.give(context) { EVP_CIPHER_CTX_free(context) }
    }
  }

  private func newContext() throws(CryptoError) -> OpaquePointer {
    let cipher = try Self.algorithm.pointer
    let context = try check(EVP_CIPHER_CTX_new(), "EVP_CIPHER_CTX_new")
    let status = key.withBytes { key in
      EVP_CipherInit_ex2(
        context, cipher, key.baseAddress?.assumingMemoryBound(to: UInt8.self), nil, Direction.seal.rawValue, nil)
    }
    guard status == 1 else {
      let error = CryptoError.fromQueue("EVP_CipherInit_ex2")
      EVP_CIPHER_CTX_free(context)
      throw error
    }
    return context
  }

  /// Takes in `input`; without an `output` it is associated data.
  @inline(__always)
  private static func update(
    _ context: OpaquePointer, _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer?
  ) throws(CryptoError) {
    var written: Int32 = 0
    let destination = output?.baseAddress?.assumingMemoryBound(to: UInt8.self)
    try forEachChunk(of: input) { (chunk, offset) throws(CryptoError) in
      let target = destination.map { $0 + offset }
      try check(EVP_CipherUpdate(context, target, &written, chunk.start, chunk.count), "EVP_CipherUpdate")
    }
  }

  /// GCM writes nothing at its end, but libcrypto wants an address.
  private static func scratch(_ output: UnsafeMutableRawBufferPointer) -> UnsafeMutablePointer<UInt8>? {
    output.baseAddress?.assumingMemoryBound(to: UInt8.self)
  }
}

/// Hands `body` the bytes in pieces whose counts libcrypto's Int32 can hold, with the offset of each. A piece is a
/// multiple of every cipher's block size. Not called for no bytes.
@inline(__always)
func forEachChunk(
  of bytes: UnsafeRawBufferPointer,
  _ body: (_ chunk: (start: UnsafePointer<UInt8>, count: Int32), _ offset: Int) throws(CryptoError) -> Void
) throws(CryptoError) {
  guard let base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
  var offset = 0
  while offset < bytes.count {
    let count = min(bytes.count - offset, 1 << 30)
    try body((base + offset, Int32(count)), offset)
    offset += count
  }
}
