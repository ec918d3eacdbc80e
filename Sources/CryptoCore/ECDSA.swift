import COpenSSL

extension ECPrivateKey {
  /// Signs `digest` (FIPS 186-5, section 6.4) into the first `curve.signatureByteCount` bytes of `output` as r || s and
  /// answers that count.
  ///
  /// Of a digest longer than the order the leftmost bits count. Throws `.dataLength` for an empty digest or one above
  /// 1 MiB, or `.bufferTooSmall`.
  public func sign(
    _ digest: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    guard (1...1 << 20).contains(digest.count) else { throw CryptoError(.dataLength, in: "ECPrivateKey.sign") }
    guard output.count >= curve.signatureByteCount else {
      throw CryptoError(.bufferTooSmall, in: "ECPrivateKey.sign")
    }
    return try key.withKeptContext(.sign) { (context) throws(CryptoError) in
      try check(EVP_PKEY_sign_init(context), "EVP_PKEY_sign_init")
    } _: { (context) throws(CryptoError) in
      var encoded = InlineArray<160, UInt8>(repeating: 0)  // above P-521's longest, 139
      var span = encoded.mutableSpan
      return try span.withUnsafeMutableBytes { (encoded) throws(CryptoError) in
        var count = encoded.count
        let status = EVP_PKEY_sign(
          context, encoded.baseAddress?.assumingMemoryBound(to: UInt8.self), &count,
          digest.baseAddress?.assumingMemoryBound(to: UInt8.self), digest.count)
        try check(status, "EVP_PKEY_sign")
        var outer = DERReader(UnsafeRawBufferPointer(rebasing: encoded[..<count]))
        var reader = try outer.readSequence()
        try place(try reader.readNatural(), output, half: 0)
        try place(try reader.readNatural(), output, half: 1)
        return curve.signatureByteCount
      }
    }
  }

  /// The signature r || s of `digest`.
  public func sign(_ digest: [UInt8]) throws(CryptoError) -> [UInt8] {
    try [UInt8](count: curve.signatureByteCount) { (output) throws(CryptoError) in
      try digest.withRawBytes { (digest) throws(CryptoError) in try sign(digest, into: output) }
    }
  }

  /// Writes `number` right-aligned into one half of a signature.
  private func place(
    _ number: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer, half: Int
  ) throws(CryptoError) {
    let width = curve.byteCount
    guard number.count <= width else { throw CryptoError(.libraryFailure, in: "EVP_PKEY_sign") }
    let field = UnsafeMutableRawBufferPointer(rebasing: output[half * width..<(half + 1) * width])
    field.initializeMemory(as: UInt8.self, repeating: 0)
    UnsafeMutableRawBufferPointer(rebasing: field[(width - number.count)...]).copyMemory(from: number)
  }
}

extension ECPublicKey {
  /// Whether `signature`, r || s, is this key's for `digest`. A signature or a digest of a byte count that signing never
  /// takes or gives is not valid.
  public func isValid(
    _ signature: UnsafeRawBufferPointer, for digest: UnsafeRawBufferPointer
  ) throws(CryptoError) -> Bool {
    guard signature.count == curve.signatureByteCount, (1...1 << 20).contains(digest.count) else { return false }
    var writer = DERWriter(capacity: signature.count + 16)
    try writer.element(DERTag.sequence) { (writer) throws(CryptoError) in
      writer.natural(UnsafeRawBufferPointer(rebasing: signature[curve.byteCount...]))
      writer.natural(UnsafeRawBufferPointer(rebasing: signature[..<curve.byteCount]))
    }
    let encoded = writer.publicBytes()
    return try key.withKeptContext(.verify) { (context) throws(CryptoError) in
      try check(EVP_PKEY_verify_init(context), "EVP_PKEY_verify_init")
    } _: { (context) throws(CryptoError) in
      EVP_PKEY_verify(
        context, encoded, encoded.count, digest.baseAddress?.assumingMemoryBound(to: UInt8.self), digest.count) == 1
    }
  }

  /// Whether `signature`, r || s, is this key's for `digest`.
  public func isValid(_ signature: [UInt8], for digest: [UInt8]) throws(CryptoError) -> Bool {
    try signature.withRawBytes { (signature) throws(CryptoError) in
      try digest.withRawBytes { (digest) throws(CryptoError) in try isValid(signature, for: digest) }
    }
  }
}
