import COpenSSL

/// How a message becomes an RSA signature.
public enum RSASignatureScheme: Equatable, Sendable {
  /// RSASSA-PKCS1-v1_5 over a digest: the DigestInfo of the hash is put before it (RFC 8017, section 8.2).
  case pkcs1(HashAlgorithm)
  /// PKCS #1 v1.5 type 1 padding around the data as given, no DigestInfo added.
  case pkcs1Unhashed
  /// RSASSA-PSS over a digest with MGF1 (RFC 8017, section 8.1).
  case pss(hash: HashAlgorithm, maskHash: HashAlgorithm, saltByteCount: Int)
  /// The bare private-key operation on the number that the data is; shorter data has leading zeros.
  case unpadded
}

/// libcrypto's names in parameter lists.
private enum PadMode {
  static let pkcs1: StaticString = "pkcs1"
  static let pss: StaticString = "pss"
  static let none: StaticString = "none"
}

extension RSAPrivateKey {
  /// Signs `input` (for `.pkcs1` and `.pss` a digest of the hash's byte count) into the first `byteCount` bytes of
  /// `output` and answers that count.
  ///
  /// Throws `.dataLength` for a digest of another byte count, `.messageTooLongForKey`, or `.bufferTooSmall`.
  public func sign(
    _ input: UnsafeRawBufferPointer, _ scheme: RSASignatureScheme, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    guard output.count >= byteCount else { throw CryptoError(.bufferTooSmall, in: "RSAPrivateKey.sign") }
    return try scheme.withEncodedInput(input, for: publicKey) { (message) throws(CryptoError) in
      try signEncoded(message, scheme, into: output)
    }
  }

  /// The signature of `input`.
  public func sign(_ input: [UInt8], _ scheme: RSASignatureScheme) throws(CryptoError) -> [UInt8] {
    try [UInt8](count: byteCount) { (output) throws(CryptoError) in
      try input.withRawBytes { (input) throws(CryptoError) in try sign(input, scheme, into: output) }
    }
  }

  private func signEncoded(
    _ message: UnsafeRawBufferPointer, _ scheme: RSASignatureScheme, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    let prepare = { (context: OpaquePointer) throws(CryptoError) in
      try scheme.withParameters { (list) throws(CryptoError) in
        try check(EVP_PKEY_sign_init_ex(context, list), "EVP_PKEY_sign_init_ex", .unsupported)
      }
    }
    let sign = { (context: OpaquePointer) throws(CryptoError) -> Int in
      var count = output.count
      let status = EVP_PKEY_sign(
        context, output.baseAddress?.assumingMemoryBound(to: UInt8.self), &count,
        message.baseAddress?.assumingMemoryBound(to: UInt8.self), message.count)
      // The lengths fit, so what libcrypto refuses here is a number that is not below the modulus.
      try check(status, "EVP_PKEY_sign", scheme == .unpadded ? .messageTooLongForKey : .libraryFailure)
      return count
    }
    return scheme.usesKeptContext
      ? try key.withKeptContext(.sign, prepare: prepare, sign) : try key.withContext(prepare: prepare, sign)
  }
}

extension RSAPublicKey {
  /// Whether `signature` is this key's for `input` (as `RSAPrivateKey.sign` takes it). A signature or an input of a
  /// wrong byte count is not valid. Throws `.unsupported` for a scheme that this libcrypto does not have.
  public func isValid(
    _ signature: UnsafeRawBufferPointer, for input: UnsafeRawBufferPointer, _ scheme: RSASignatureScheme
  ) throws(CryptoError) -> Bool {
    guard signature.count == byteCount else { return false }
    do throws(CryptoError) {
      return try scheme.withEncodedInput(input, for: self) { (message) throws(CryptoError) in
        try isValidEncoded(signature, for: message, scheme)
      }
    } catch {
      if error.kind == .dataLength || error.kind == .messageTooLongForKey { return false }
      throw error
    }
  }

  /// Whether `signature` is this key's for `input`.
  public func isValid(
    _ signature: [UInt8], for input: [UInt8], _ scheme: RSASignatureScheme
  ) throws(CryptoError) -> Bool {
    try signature.withRawBytes { (signature) throws(CryptoError) in
      try input.withRawBytes { (input) throws(CryptoError) in try isValid(signature, for: input, scheme) }
    }
  }

  /// The data that `signature` was made of, for `.pkcs1Unhashed` and `.unpadded`.
  ///
  /// Throws `.dataLength` unless the signature has the modulus's byte count, `.messageTooLongForKey` where it is not below
  /// the modulus, `.badPadding`, and `.unsupported` for the schemes over digests.
  public func recover(
    _ signature: UnsafeRawBufferPointer, _ scheme: RSASignatureScheme
  ) throws(CryptoError) -> [UInt8] {
    guard scheme == .pkcs1Unhashed || scheme == .unpadded else {
      throw CryptoError(.unsupported, in: "RSAPublicKey.recover")
    }
    guard signature.count == byteCount else { throw CryptoError(.dataLength, in: "RSAPublicKey.recover") }
    guard modulus.withRawBytes({ signature.lexicographicallyPrecedes($0) }) else {
      throw CryptoError(.messageTooLongForKey, in: "RSAPublicKey.recover")
    }
    return try key.withContext { (context) throws(CryptoError) in
      try scheme.withParameters { (list) throws(CryptoError) in
        let status = EVP_PKEY_verify_recover_init_ex(context, list)
        try check(status, "EVP_PKEY_verify_recover_init_ex", .unsupported)
      }
    } _: { (context) throws(CryptoError) in
      try [UInt8](count: byteCount) { (output) throws(CryptoError) in
        var count = output.count
        let status = EVP_PKEY_verify_recover(
          context, output.baseAddress?.assumingMemoryBound(to: UInt8.self), &count,
          signature.baseAddress?.assumingMemoryBound(to: UInt8.self), signature.count)
        try check(status, "EVP_PKEY_verify_recover", .badPadding)
        return count
      }
    }
  }

  private func isValidEncoded(
    _ signature: UnsafeRawBufferPointer, for message: UnsafeRawBufferPointer, _ scheme: RSASignatureScheme
  ) throws(CryptoError) -> Bool {
    let prepare = { (context: OpaquePointer) throws(CryptoError) in
      try scheme.withParameters { (list) throws(CryptoError) in
        try check(EVP_PKEY_verify_init_ex(context, list), "EVP_PKEY_verify_init_ex", .unsupported)
      }
    }
    let verify = { (context: OpaquePointer) throws(CryptoError) -> Bool in
      EVP_PKEY_verify(
        context, signature.baseAddress?.assumingMemoryBound(to: UInt8.self), signature.count,
        message.baseAddress?.assumingMemoryBound(to: UInt8.self), message.count) == 1
    }
    return scheme.usesKeptContext
      ? try key.withKeptContext(.verify, prepare: prepare, verify) : try key.withContext(prepare: prepare, verify)
  }
}

extension RSASignatureScheme {
  /// PKCS #1 v1.5, hashed or not, is the same to libcrypto once the DigestInfo is ours: one kept context serves it.
  fileprivate var usesKeptContext: Bool {
    switch self {
    case .pkcs1, .pkcs1Unhashed: true
    case .pss, .unpadded: false
    }
  }

  fileprivate func withParameters<Result>(
    _ body: (UnsafePointer<OSSL_PARAM>) throws(CryptoError) -> Result
  ) throws(CryptoError) -> Result {
    var parameters = ParameterList()
    switch self {
    case .pkcs1, .pkcs1Unhashed: parameters.text("pad-mode", PadMode.pkcs1)
    case .unpadded: parameters.text("pad-mode", PadMode.none)
    case .pss(let hash, let maskHash, let saltByteCount):
      parameters.text("pad-mode", PadMode.pss)
      parameters.text("digest", hash.name)
      parameters.text("mgf1-digest", maskHash.name)
      parameters.signedNumber("saltlen", Int32(clamping: saltByteCount))
    }
    return try body(parameters.pointer)
  }

  /// Checks the byte count of `input` and lends what the private-key operation is given.
  fileprivate func withEncodedInput<Result>(
    _ input: UnsafeRawBufferPointer, for key: RSAPublicKey,
    _ body: (UnsafeRawBufferPointer) throws(CryptoError) -> Result
  ) throws(CryptoError) -> Result {
    switch self {
    case .pkcs1(let hash):
      try expectDigest(hash, input)
      let encoded = hash.digestInfoPrefix + input
      try expectRoom(encoded.count <= key.byteCount - 11)
      return try encoded.withRawBytes(body)
    case .pkcs1Unhashed:
      try expectRoom(input.count <= key.byteCount - 11)
      return try body(input)
    case .pss(let hash, _, let saltByteCount):
      try expectDigest(hash, input)
      let room = (key.bitCount + 6) / 8 - hash.digestByteCount - 2
      try expectRoom(saltByteCount >= 0 && saltByteCount <= room)
      return try body(input)
    case .unpadded:
      try expectRoom(input.count <= key.byteCount)
      if input.count == key.byteCount { return try body(input) }
      return try ([UInt8](repeating: 0, count: key.byteCount - input.count) + input).withRawBytes(body)
    }
  }

  private func expectDigest(_ hash: HashAlgorithm, _ input: UnsafeRawBufferPointer) throws(CryptoError) {
    guard input.count == hash.digestByteCount else { throw CryptoError(.dataLength, in: "RSA", reason: "digest size") }
  }

  private func expectRoom(_ fits: Bool) throws(CryptoError) {
    guard fits else { throw CryptoError(.messageTooLongForKey, in: "RSA") }
  }
}
