import COpenSSL

/// The signature curves of RFC 8032, used without context or prehash.
public enum EdwardsCurve: UInt8, CaseIterable, Sendable {
  case ed25519, ed448

  /// The bytes of a seed and of a public key.
  public var byteCount: Int { self == .ed25519 ? 32 : 57 }
  public var signatureByteCount: Int { 2 * byteCount }

  var name: String { self == .ed25519 ? "ED25519" : "ED448" }
  var algorithm: KeyEnvelope.Algorithm { .edwards(self == .ed25519 ? 112 : 113) }
}

/// A public key for Ed25519 or Ed448. Threads may share it.
public final class EdwardsPublicKey: Sendable {
  public let curve: EdwardsCurve
  public let publicBytes: [UInt8]
  private let key: ProviderKey
  private let contexts = MessageContexts()

  /// Throws `.invalidPoint` unless `bytes` has the curve's byte count. That it decodes to a point shows when a signature
  /// is verified: with one that does not, none is valid.
  public init(_ curve: EdwardsCurve, publicBytes bytes: [UInt8]) throws(CryptoError) {
    guard bytes.count == curve.byteCount else { throw CryptoError(.invalidPoint, in: "EdwardsPublicKey") }
    key = try ProviderKey.fromRawPublicKey(curve.name, bytes)
    self.curve = curve
    publicBytes = bytes
  }

  /// A key from its SubjectPublicKeyInfo (RFC 8410). Throws `.invalidKey`.
  public convenience init(subjectPublicKeyInfo bytes: [UInt8]) throws(CryptoError) {
    for curve in EdwardsCurve.allCases {
      if let key = try? KeyEnvelope.readRawPublicKey(bytes, curve.algorithm, count: curve.byteCount) {
        try self.init(curve, publicBytes: key)
        return
      }
    }
    throw CryptoError(.invalidKey, in: "EdwardsPublicKey", reason: "another algorithm's key")
  }

  /// The key's SubjectPublicKeyInfo in DER (RFC 8410).
  public func subjectPublicKeyInfo() throws(CryptoError) -> [UInt8] {
    try KeyEnvelope.publicKeyInfo(curve.algorithm, key: publicBytes)
  }

  /// Whether `signature` is this key's for `message`; of a wrong byte count it is not.
  public func isValid(
    _ signature: UnsafeRawBufferPointer, for message: UnsafeRawBufferPointer
  ) throws(CryptoError) -> Bool {
    guard signature.count == curve.signatureByteCount else { return false }
    return try contexts.withContext { (context, isNew) throws(CryptoError) in
      let status = EVP_DigestVerifyInit_ex(
        context, nil, nil, try LibraryContext.shared.pointer, nil, isNew ? key.pointer : nil, nil)
      try check(status, "EVP_DigestVerifyInit_ex")
      return EVP_DigestVerify(
        context, signature.baseAddress?.assumingMemoryBound(to: UInt8.self), signature.count,
        message.baseAddress?.assumingMemoryBound(to: UInt8.self), message.count) == 1
    }
  }

  /// Whether `signature` is this key's for `message`.
  public func isValid(_ signature: [UInt8], for message: [UInt8]) throws(CryptoError) -> Bool {
    try signature.withRawBytes { (signature) throws(CryptoError) in
      try message.withRawBytes { (message) throws(CryptoError) in try isValid(signature, for: message) }
    }
  }
}

/// A private key for Ed25519 or Ed448. Threads may share it.
public final class EdwardsPrivateKey: Sendable {
  public let curve: EdwardsCurve
  /// The seed (RFC 8032's private key). The caller decides who may see it.
  public let seed: SecretBytes
  public let publicBytes: [UInt8]
  private let key: ProviderKey
  private let contexts = MessageContexts()

  /// Throws `.invalidKey` unless `seed` has the curve's byte count.
  public init(_ curve: EdwardsCurve, seed: SecretBytes) throws(CryptoError) {
    guard seed.count == curve.byteCount else { throw CryptoError(.invalidKey, in: "EdwardsPrivateKey") }
    key = try ProviderKey.fromRawPrivateKey(curve.name, seed)
    publicBytes = try key.rawPublicKey(count: curve.byteCount)
    self.curve = curve
    self.seed = seed
  }

  public static func generate(_ curve: EdwardsCurve) throws(CryptoError) -> EdwardsPrivateKey {
    try EdwardsPrivateKey(curve, seed: try .random(count: curve.byteCount))
  }

  public func publicKey() throws(CryptoError) -> EdwardsPublicKey {
    try EdwardsPublicKey(curve, publicBytes: publicBytes)
  }

  /// Signs `message` into the first `curve.signatureByteCount` bytes of `output` and answers that count.
  ///
  /// Throws `.bufferTooSmall`.
  public func sign(
    _ message: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    // The algorithm reads the message twice. Somebody who shares its memory and changes it in between would get two
    // signatures with one nonce, and with them the key.
    try SecretBytes(copying: message).withBytes { (message) throws(CryptoError) in
      try signUnchanging(message, into: output)
    }
  }

  private func signUnchanging(
    _ message: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    guard output.count >= curve.signatureByteCount else {
      throw CryptoError(.bufferTooSmall, in: "EdwardsPrivateKey.sign")
    }
    return try contexts.withContext { (context, isNew) throws(CryptoError) in
      let prepared = EVP_DigestSignInit_ex(
        context, nil, nil, try LibraryContext.shared.pointer, nil, isNew ? key.pointer : nil, nil)
      try check(prepared, "EVP_DigestSignInit_ex")
      var count = output.count
      let status = EVP_DigestSign(
        context, output.baseAddress?.assumingMemoryBound(to: UInt8.self), &count,
        message.baseAddress?.assumingMemoryBound(to: UInt8.self), message.count)
      try check(status, "EVP_DigestSign")
      return count
    }
  }

  /// The signature of `message`.
  public func sign(_ message: [UInt8]) throws(CryptoError) -> [UInt8] {
    try [UInt8](count: curve.signatureByteCount) { (output) throws(CryptoError) in
      try message.withRawBytes { (message) throws(CryptoError) in try signUnchanging(message, into: output) }
    }
  }

  /// The key as PKCS #8 PrivateKeyInfo in DER (RFC 8410).
  public func pkcs8() throws(CryptoError) -> SecretBytes {
    try KeyEnvelope.rawPrivateKeyInfo(curve.algorithm, seed)
  }

  /// A key from PKCS #8 PrivateKeyInfo. Throws `.invalidKey`.
  public convenience init(pkcs8 secret: SecretBytes) throws(CryptoError) {
    let (algorithm, bytes) = try KeyEnvelope.readRawPrivateKeyInfo(secret)
    guard let curve = EdwardsCurve.allCases.first(where: { $0.algorithm == algorithm }) else {
      throw CryptoError(.invalidKey, in: "EdwardsPrivateKey", reason: "another algorithm's key")
    }
    try self.init(curve, seed: bytes)
  }
}

/// The kept EVP_MD_CTX of a key that signs messages whole: libcrypto binds such keys to message contexts.
private final class MessageContexts: Sendable {
  private let pool = ContextPool()

  deinit {
    while let context = pool.take() { EVP_MD_CTX_free(context) }
  }

  /// Runs `body` with a context; a new one has no key yet.
  func withContext<Result>(
    _ body: (_ context: OpaquePointer, _ isNew: Bool) throws(CryptoError) -> Result
  ) throws(CryptoError) -> Result {
    try preservingErrorQueue { () throws(CryptoError) in
      let kept = pool.take()
      let context = if let kept { kept } else { try check(EVP_MD_CTX_new(), "EVP_MD_CTX_new") }
      do throws(CryptoError) {
        let result = try body(context, kept == nil)
        if !pool.give(context) { EVP_MD_CTX_free(context) }
        return result
      } catch {
        EVP_MD_CTX_free(context)
        throw error
      }
    }
  }
}
