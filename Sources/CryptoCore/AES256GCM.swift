import COpenSSL

/// AES-256-GCM in one call, 12-byte nonce, full tag behind the ciphertext (NIST SP 800-38D): for sealing records.
public enum AES256GCM {
  public static let keyByteCount = 32
  public static let nonceByteCount = 12
  public static let tagByteCount = 16

  private static let algorithm = FetchedAlgorithm.cipher("AES-256-GCM")

  /// Writes ciphertext and tag (`plaintext.count + 16` bytes) to `output` and answers their count.
  ///
  /// The caller never gives a nonce twice under one key. `output` may start where `plaintext` does.
  public static func seal(
    _ plaintext: UnsafeRawBufferPointer, key: SecretBytes, nonce: UnsafeRawBufferPointer,
    authenticating associatedData: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    guard output.count >= tagByteCount, output.count - tagByteCount >= plaintext.count else {
      throw CryptoError(.bufferTooSmall, in: "AES256GCM.seal")
    }
    return try preservingErrorQueue { () throws(CryptoError) in
      let context = try SealingContext(algorithm, key: key, nonce: nonce, direction: .encrypt)
      try context.authenticate(associatedData)
      try context.update(plaintext, into: output)
      try check(EVP_CipherFinal_ex(context.pointer, scratch(output), &context.written), "EVP_CipherFinal_ex")
      let tag = output.baseAddress! + plaintext.count  // not empty: checked above
      let gave = EVP_CIPHER_CTX_ctrl(context.pointer, EVP_CTRL_AEAD_GET_TAG, Int32(tagByteCount), tag)
      try check(gave, "EVP_CIPHER_CTX_ctrl")
      return plaintext.count + tagByteCount
    }
  }

  /// Opens what `seal` wrote: puts the plaintext (`sealed.count - 16` bytes) into `output` and answers its count.
  ///
  /// Throws `.authenticationFailed`, with `output` wiped, when key, nonce, associated data or a byte differs.
  public static func open(
    _ sealed: UnsafeRawBufferPointer, key: SecretBytes, nonce: UnsafeRawBufferPointer,
    authenticating associatedData: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    guard sealed.count >= tagByteCount else { throw CryptoError(.authenticationFailed, in: "AES256GCM.open") }
    let count = sealed.count - tagByteCount
    guard output.count >= count else { throw CryptoError(.bufferTooSmall, in: "AES256GCM.open") }
    return try preservingErrorQueue { () throws(CryptoError) in
      let context = try SealingContext(algorithm, key: key, nonce: nonce, direction: .decrypt)
      let tag = UnsafeMutableRawPointer(mutating: sealed.baseAddress! + count)  // not empty: checked above
      let took = EVP_CIPHER_CTX_ctrl(context.pointer, EVP_CTRL_AEAD_SET_TAG, Int32(tagByteCount), tag)
      try check(took, "EVP_CIPHER_CTX_ctrl")
      try context.authenticate(associatedData)
      try context.update(UnsafeRawBufferPointer(rebasing: sealed[..<count]), into: output)
      guard EVP_CipherFinal_ex(context.pointer, scratch(output), &context.written) == 1 else {
        wipe(UnsafeMutableRawBufferPointer(rebasing: output[..<count]))
        throw CryptoError(.authenticationFailed, in: "AES256GCM.open")
      }
      return count
    }
  }

  /// `plaintext` sealed as ciphertext and tag.
  public static func seal(
    _ plaintext: SecretBytes, key: SecretBytes, nonce: [UInt8], authenticating associatedData: [UInt8]
  ) throws(CryptoError) -> [UInt8] {
    try plaintext.withBytes { (bytes) throws(CryptoError) in
      try sealed(bytes, key: key, nonce: nonce, authenticating: associatedData)
    }
  }

  /// `plaintext` sealed as ciphertext and tag.
  public static func seal(
    _ plaintext: [UInt8], key: SecretBytes, nonce: [UInt8], authenticating associatedData: [UInt8]
  ) throws(CryptoError) -> [UInt8] {
    try plaintext.withRawBytes { (bytes) throws(CryptoError) in
      try sealed(bytes, key: key, nonce: nonce, authenticating: associatedData)
    }
  }

  /// The plaintext of `sealed`. Throws `.authenticationFailed` when anything differs from what was sealed.
  public static func open(
    _ sealed: [UInt8], key: SecretBytes, nonce: [UInt8], authenticating associatedData: [UInt8]
  ) throws(CryptoError) -> SecretBytes {
    try SecretBytes(count: max(sealed.count - tagByteCount, 0)) { (output) throws(CryptoError) in
      try sealed.withRawBytes { (sealed) throws(CryptoError) in
        try nonce.withRawBytes { (nonce) throws(CryptoError) in
          try associatedData.withRawBytes { (associatedData) throws(CryptoError) in
            try open(sealed, key: key, nonce: nonce, authenticating: associatedData, into: output)
          }
        }
      }
    }
  }

  private static func sealed(
    _ plaintext: UnsafeRawBufferPointer, key: SecretBytes, nonce: [UInt8], authenticating associatedData: [UInt8]
  ) throws(CryptoError) -> [UInt8] {
    try [UInt8](count: plaintext.count + tagByteCount) { (output) throws(CryptoError) in
      try nonce.withRawBytes { (nonce) throws(CryptoError) in
        try associatedData.withRawBytes { (associatedData) throws(CryptoError) in
          try seal(plaintext, key: key, nonce: nonce, authenticating: associatedData, into: output)
        }
      }
    }
  }

  /// GCM writes nothing at its end, but libcrypto wants an address.
  private static func scratch(_ output: UnsafeMutableRawBufferPointer) -> UnsafeMutablePointer<UInt8>? {
    output.baseAddress?.assumingMemoryBound(to: UInt8.self)
  }
}

/// One EVP_CIPHER_CTX set up for one sealing or opening.
private final class SealingContext {
  enum Direction: Int32 {
    case decrypt = 0
    case encrypt = 1
  }

  let pointer: OpaquePointer
  var written: Int32 = 0

  init(
    _ algorithm: FetchedAlgorithm, key: SecretBytes, nonce: UnsafeRawBufferPointer, direction: Direction
  ) throws(CryptoError) {
    guard key.count == AES256GCM.keyByteCount else { throw CryptoError(.invalidKey, in: "AES256GCM") }
    guard nonce.count == AES256GCM.nonceByteCount else { throw CryptoError(.invalidParameter, in: "AES256GCM") }
    let cipher = try algorithm.pointer
    pointer = try check(EVP_CIPHER_CTX_new(), "EVP_CIPHER_CTX_new")
    try key.withBytes { (key) throws(CryptoError) in
      try check(
        EVP_CipherInit_ex2(
          pointer, cipher, key.baseAddress?.assumingMemoryBound(to: UInt8.self),
          nonce.baseAddress?.assumingMemoryBound(to: UInt8.self), direction.rawValue, nil), "EVP_CipherInit_ex2")
    }
  }

  deinit { EVP_CIPHER_CTX_free(pointer) }

  func authenticate(_ associatedData: UnsafeRawBufferPointer) throws(CryptoError) {
    try forEachChunk(of: associatedData) { (chunk, _) throws(CryptoError) in
      try check(EVP_CipherUpdate(pointer, nil, &written, chunk.start, chunk.count), "EVP_CipherUpdate")
    }
  }

  func update(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) throws(CryptoError) {
    let destination = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
    try forEachChunk(of: input) { (chunk, offset) throws(CryptoError) in
      let target = destination.map { $0 + offset }
      try check(EVP_CipherUpdate(pointer, target, &written, chunk.start, chunk.count), "EVP_CipherUpdate")
    }
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
