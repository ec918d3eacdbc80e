import COpenSSL

/// How a message is padded for RSA encryption.
public enum RSAEncryptionScheme: Equatable, Sendable {
  /// RSAES-PKCS1-v1_5 (RFC 8017, section 7.2).
  case pkcs1
  /// RSAES-OAEP with MGF1 (RFC 8017, section 7.1).
  case oaep(hash: HashAlgorithm, maskHash: HashAlgorithm, label: [UInt8] = [])
  /// The bare operation on the number that the data is; shorter data has leading zeros.
  case unpadded

  /// The longest message for a modulus of `byteCount` bytes; negative when not even an empty one fits.
  public func longestMessage(modulusByteCount byteCount: Int) -> Int {
    switch self {
    case .pkcs1: byteCount - 11
    case .oaep(let hash, _, _): byteCount - 2 * hash.digestByteCount - 2
    case .unpadded: byteCount
    }
  }

  fileprivate func withParameters<Result>(
    _ body: (UnsafePointer<OSSL_PARAM>) throws(CryptoError) -> Result
  ) throws(CryptoError) -> Result {
    var parameters = ParameterList()
    switch self {
    case .pkcs1: parameters.text("pad-mode", "pkcs1")
    case .unpadded: parameters.text("pad-mode", "none")
    case .oaep(let hash, let maskHash, let label):
      parameters.text("pad-mode", "oaep")
      parameters.text("digest", hash.name)
      parameters.text("mgf1-digest", maskHash.name)
      guard !label.isEmpty else { break }
      return try label.withRawBytes { (label) throws(CryptoError) in
        parameters.octets("oaep-label", label)
        return try body(parameters.pointer)
      }
    }
    return try body(parameters.pointer)
  }
}

extension RSAPublicKey {
  /// Encrypts `message` into the first `byteCount` bytes of `output` and answers that count.
  ///
  /// Throws `.messageTooLongForKey`, or `.bufferTooSmall`.
  public func encrypt(
    _ message: UnsafeRawBufferPointer, _ scheme: RSAEncryptionScheme, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    guard message.count <= scheme.longestMessage(modulusByteCount: byteCount) else {
      throw CryptoError(.messageTooLongForKey, in: "RSAPublicKey.encrypt")
    }
    guard output.count >= byteCount else { throw CryptoError(.bufferTooSmall, in: "RSAPublicKey.encrypt") }
    if scheme == .unpadded, message.count < byteCount {
      return try leftPadded(message, byteCount).withBytes { (padded) throws(CryptoError) in
        try encryptFitting(padded, scheme, into: output)
      }
    }
    return try encryptFitting(message, scheme, into: output)
  }

  /// `message` encrypted.
  public func encrypt(_ message: [UInt8], _ scheme: RSAEncryptionScheme) throws(CryptoError) -> [UInt8] {
    try [UInt8](count: byteCount) { (output) throws(CryptoError) in
      try message.withRawBytes { (message) throws(CryptoError) in try encrypt(message, scheme, into: output) }
    }
  }

  private func encryptFitting(
    _ message: UnsafeRawBufferPointer, _ scheme: RSAEncryptionScheme, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    try key.withContext { (context) throws(CryptoError) in
      try scheme.withParameters { (list) throws(CryptoError) in
        try check(EVP_PKEY_encrypt_init_ex(context, list), "EVP_PKEY_encrypt_init_ex", .unsupported)
      }
    } _: { (context) throws(CryptoError) in
      var count = output.count
      // An empty message still needs an address.
      let empty: [UInt8] = [0]
      let status = empty.withUnsafeBufferPointer { empty in
        EVP_PKEY_encrypt(
          context, output.baseAddress?.assumingMemoryBound(to: UInt8.self), &count,
          message.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? empty.baseAddress, message.count)
      }
      try check(status, "EVP_PKEY_encrypt", scheme == .unpadded ? .messageTooLongForKey : .libraryFailure)
      return count
    }
  }
}

extension RSAPrivateKey {
  /// The message in `ciphertext`.
  ///
  /// Throws `.dataLength` unless the ciphertext has the modulus's byte count, `.messageTooLongForKey` where it is not
  /// below the modulus, and `.badPadding` for whatever else is wrong with it, without saying what: a caller who
  /// answers strangers answers both alike. How far the time tells is libcrypto's: its padding checks run in constant
  /// time up to the answer.
  ///
  /// With `.pkcs1` and a libcrypto that rejects implicitly (3.2 and later), wrong padding is no error: the answer is a
  /// message made up from the key and the ciphertext, the same each time, so that nobody learns which paddings are right.
  public func decrypt(
    _ ciphertext: UnsafeRawBufferPointer, _ scheme: RSAEncryptionScheme
  ) throws(CryptoError) -> SecretBytes {
    guard ciphertext.count == byteCount else { throw CryptoError(.dataLength, in: "RSAPrivateKey.decrypt") }
    guard scheme.longestMessage(modulusByteCount: byteCount) >= 0 else {
      throw CryptoError(.messageTooLongForKey, in: "RSAPrivateKey.decrypt", reason: "the hash is too long for the key")
    }
    guard publicKey.modulus.withRawBytes({ ciphertext.lexicographicallyPrecedes($0) }) else {
      throw CryptoError(.messageTooLongForKey, in: "RSAPrivateKey.decrypt")
    }
    return try key.withContext { (context) throws(CryptoError) in
      try scheme.withParameters { (list) throws(CryptoError) in
        try check(EVP_PKEY_decrypt_init_ex(context, list), "EVP_PKEY_decrypt_init_ex", .unsupported)
      }
    } _: { (context) throws(CryptoError) in
      try SecretBytes(count: byteCount) { (output) throws(CryptoError) in
        var count = output.count
        let status = EVP_PKEY_decrypt(
          context, output.baseAddress?.assumingMemoryBound(to: UInt8.self), &count,
          ciphertext.baseAddress?.assumingMemoryBound(to: UInt8.self), ciphertext.count)
        guard status == 1 else { throw CryptoError(.badPadding, in: "RSAPrivateKey.decrypt") }
        return count
      }
    }
  }

  /// The message in `ciphertext`.
  public func decrypt(_ ciphertext: [UInt8], _ scheme: RSAEncryptionScheme) throws(CryptoError) -> SecretBytes {
    try ciphertext.withRawBytes { (ciphertext) throws(CryptoError) in try decrypt(ciphertext, scheme) }
  }
}

private func leftPadded(_ message: UnsafeRawBufferPointer, _ count: Int) -> SecretBytes {
  SecretBytes(count: count) { bytes in
    UnsafeMutableRawBufferPointer(rebasing: bytes[(count - message.count)...]).copyMemory(from: message)
    return count
  }
}
