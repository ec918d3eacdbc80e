import COpenSSL

private let hkdf = FetchedAlgorithm.derivation("HKDF")
private let scryptDerivation = FetchedAlgorithm.derivation("SCRYPT")
private let x963 = FetchedAlgorithm.derivation("X963KDF")

/// HKDF with SHA-256, extract and expand (RFC 5869).
///
/// Throws `.invalidParameter` unless `count` is 1 to 255 * 32 and the key is not empty.
public func hkdfSHA256(
  key: SecretBytes, salt: [UInt8] = [], info: [UInt8], count: Int
) throws(CryptoError) -> SecretBytes {
  guard count > 0, count <= 255 * 32, key.count > 0 else { throw CryptoError(.invalidParameter, in: "hkdfSHA256") }
  return try key.withBytes { (key) throws(CryptoError) in
    try salt.withRawBytes { (salt) throws(CryptoError) in
      try info.withRawBytes { (info) throws(CryptoError) in
        var parameters = ParameterList()
        parameters.text("digest", "SHA256")
        parameters.octets("key", key)
        if !salt.isEmpty { parameters.octets("salt", salt) }
        parameters.octets("info", info)
        return try derive(hkdf, parameters, count: count)
      }
    }
  }
}

/// scrypt (RFC 7914) with cost `n` (a power of two above 1), block size `r` and parallelisation `p`.
///
/// Takes about `128 * r * n` bytes of memory while it runs. Throws `.invalidParameter` for costs outside the RFC's,
/// for more than 1 GiB of memory, or for a `count` of 0.
public func scrypt(
  password: SecretBytes, salt: [UInt8], n: UInt64, r: UInt32, p: UInt32, count: Int
) throws(CryptoError) -> SecretBytes {
  let memoryLimit: UInt64 = 1 << 30
  guard count > 0, count <= 1 << 20, n > 1, n & (n - 1) == 0, n <= memoryLimit, r > 0, p > 0,
    UInt64(r) * UInt64(p) < 1 << 30
  else { throw CryptoError(.invalidParameter, in: "scrypt") }
  let blockByteCount = 128 * UInt64(r)
  let (blocks, overflow) = blockByteCount.multipliedReportingOverflow(by: n + UInt64(p) + 2)
  guard !overflow, blocks <= memoryLimit else { throw CryptoError(.invalidParameter, in: "scrypt") }
  return try password.withBytes { (password) throws(CryptoError) in
    try salt.withRawBytes { (salt) throws(CryptoError) in
      var parameters = ParameterList()
      parameters.octets("pass", password)
      parameters.octets("salt", salt)
      parameters.number("n", n)
      parameters.number("r", UInt64(r))
      parameters.number("p", UInt64(p))
      parameters.number("maxmem_bytes", blocks + 4096)
      return try derive(scryptDerivation, parameters, count: count)
    }
  }
}

/// The ANSI X9.63 key derivation (SEC 1, section 3.6.1) of `count` bytes from a shared secret and what both sides know.
///
/// Throws `.invalidParameter` for an empty secret or a `count` that is not 1 to 2^24.
public func x963KeyDerivation(
  _ hash: HashAlgorithm, sharedSecret: SecretBytes, sharedInfo: UnsafeRawBufferPointer, count: Int
) throws(CryptoError) -> SecretBytes {
  guard sharedSecret.count > 0, (1...1 << 24).contains(count) else {
    throw CryptoError(.invalidParameter, in: "x963KeyDerivation")
  }
  return try sharedSecret.withBytes { (sharedSecret) throws(CryptoError) in
    var parameters = ParameterList()
    parameters.text("digest", hash.name)
    parameters.octets("key", sharedSecret)
    if sharedInfo.count > 0 { parameters.octets("info", sharedInfo) }
    return try derive(x963, parameters, count: count)
  }
}

/// The ANSI X9.63 key derivation (SEC 1, section 3.6.1).
public func x963KeyDerivation(
  _ hash: HashAlgorithm, sharedSecret: SecretBytes, sharedInfo: [UInt8], count: Int
) throws(CryptoError) -> SecretBytes {
  try sharedInfo.withRawBytes { (info) throws(CryptoError) in
    try x963KeyDerivation(hash, sharedSecret: sharedSecret, sharedInfo: info, count: count)
  }
}

private func derive(
  _ algorithm: FetchedAlgorithm, _ parameters: borrowing ParameterList, count: Int
) throws(CryptoError) -> SecretBytes {
  let function = try algorithm.pointer
  return try preservingErrorQueue { () throws(CryptoError) in
    let context = try check(EVP_KDF_CTX_new(function), "EVP_KDF_CTX_new")
    defer { EVP_KDF_CTX_free(context) }
    let list = parameters.pointer
    return try SecretBytes(count: count) { (output) throws(CryptoError) in
      let start = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
      try check(EVP_KDF_derive(context, start, output.count, list), "EVP_KDF_derive")
      return output.count
    }
  }
}
