import COpenSSL

/// An asymmetric key as libcrypto's provider holds it, with everything that libcrypto derives from it on first use
/// (Montgomery contexts, blinding), and ready contexts for its operations.
///
/// Threads may share it: libcrypto locks what a key caches, and each operation works in a context of its own.
final class ProviderKey: Sendable {
  /// The operations that keep ready contexts. The raw value is the pool's index.
  enum Use: Int {
    case sign, verify, derive
  }

  nonisolated(unsafe) let pointer: OpaquePointer
  private let pools = InlineArray<3, ContextPool> { _ in ContextPool() }

  init(adopting pointer: OpaquePointer) {
    self.pointer = pointer
  }

  deinit {
    for index in pools.indices {
      while let context = pools[index].take() { EVP_PKEY_CTX_free(context) }
    }
    EVP_PKEY_free(pointer)
  }

  /// A key of libcrypto's `type` from its parameters. Throws `.invalidKey` where libcrypto does not take them.
  static func make(
    _ type: String, pair: Bool, _ parameters: borrowing ParameterList
  ) throws(CryptoError) -> ProviderKey {
    let list = parameters.pointer
    return try withTypeContext(type) { (context) throws(CryptoError) in
      try check(EVP_PKEY_fromdata_init(context), "EVP_PKEY_fromdata_init")
      var key: OpaquePointer?
      let selection = pair ? strongroom_pkey_pair : strongroom_pkey_public
      try check(EVP_PKEY_fromdata(context, &key, selection, list), "EVP_PKEY_fromdata", .invalidKey)
      return ProviderKey(adopting: try check(key, "EVP_PKEY_fromdata"))
    }
  }

  /// A new key pair of libcrypto's `type`.
  static func generate(
    _ type: String, _ parameters: borrowing ParameterList
  ) throws(CryptoError) -> ProviderKey {
    let list = parameters.pointer
    return try withTypeContext(type) { (context) throws(CryptoError) in
      try check(EVP_PKEY_keygen_init(context), "EVP_PKEY_keygen_init")
      try check(EVP_PKEY_CTX_set_params(context, list), "EVP_PKEY_CTX_set_params", .invalidParameter)
      var key: OpaquePointer?
      try check(EVP_PKEY_generate(context, &key), "EVP_PKEY_generate")
      return ProviderKey(adopting: try check(key, "EVP_PKEY_generate"))
    }
  }

  private static func withTypeContext<Result>(
    _ type: String, _ body: (OpaquePointer) throws(CryptoError) -> Result
  ) throws(CryptoError) -> Result {
    let library = try LibraryContext.shared.pointer
    return try preservingErrorQueue { () throws(CryptoError) in
      let created = EVP_PKEY_CTX_new_from_name(library, type, nil)
      let context = try check(created, "EVP_PKEY_CTX_new_from_name", .unsupported)
      defer { EVP_PKEY_CTX_free(context) }
      return try body(context)
    }
  }

  /// Runs `body` with a context of this key that is set up as `prepare` does it, and keeps the context for the next
  /// operation of the same use. `prepare` must always do the same.
  func withKeptContext<Result>(
    _ use: Use, prepare: (OpaquePointer) throws(CryptoError) -> Void,
    _ body: (OpaquePointer) throws(CryptoError) -> Result
  ) throws(CryptoError) -> Result {
    try preservingErrorQueue { () throws(CryptoError) in
      let context: OpaquePointer
      if let ready = pools[use.rawValue].take() { context = ready } else { context = try newContext(prepare) }
      do throws(CryptoError) {
        let result = try body(context)
        if !pools[use.rawValue].give(context) { EVP_PKEY_CTX_free(context) }
        return result
      } catch {
        EVP_PKEY_CTX_free(context)
        throw error
      }
    }
  }

  /// Runs `body` with a context of this key for one operation.
  func withContext<Result>(
    prepare: (OpaquePointer) throws(CryptoError) -> Void, _ body: (OpaquePointer) throws(CryptoError) -> Result
  ) throws(CryptoError) -> Result {
    try preservingErrorQueue { () throws(CryptoError) in
      let context = try newContext(prepare)
      defer { EVP_PKEY_CTX_free(context) }
      return try body(context)
    }
  }

  private func newContext(_ prepare: (OpaquePointer) throws(CryptoError) -> Void) throws(CryptoError) -> OpaquePointer {
    let created = EVP_PKEY_CTX_new_from_pkey(try LibraryContext.shared.pointer, pointer, nil)
    let context = try check(created, "EVP_PKEY_CTX_new_from_pkey")
    do throws(CryptoError) {
      try prepare(context)
      return context
    } catch {
      EVP_PKEY_CTX_free(context)
      throw error
    }
  }

  /// The number that the key has under `name`.
  func number(_ name: String) throws(CryptoError) -> BigNumber {
    try preservingErrorQueue { () throws(CryptoError) in
      var number: OpaquePointer?
      try check(EVP_PKEY_get_bn_param(pointer, name, &number), "EVP_PKEY_get_bn_param", .invalidKey)
      return BigNumber(adopting: try check(number, "EVP_PKEY_get_bn_param"))
    }
  }

  /// The octets that the key has under `name`, at most `limit`.
  func octets(_ name: String, limit: Int) throws(CryptoError) -> [UInt8] {
    try [UInt8](count: limit) { (bytes) throws(CryptoError) in
      try preservingErrorQueue { () throws(CryptoError) in
        var count = 0
        let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let status = EVP_PKEY_get_octet_string_param(pointer, name, start, bytes.count, &count)
        try check(status, "EVP_PKEY_get_octet_string_param", .invalidKey)
        return count
      }
    }
  }
}

// Keys whose encoding is their bytes (RFC 7748, RFC 8032).
extension ProviderKey {
  static func fromRawPrivateKey(_ type: String, _ bytes: SecretBytes) throws(CryptoError) -> ProviderKey {
    let library = try LibraryContext.shared.pointer
    return try preservingErrorQueue { () throws(CryptoError) in
      let key = bytes.withBytes { bytes in
        EVP_PKEY_new_raw_private_key_ex(
          library, type, nil, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
      }
      return ProviderKey(adopting: try check(key, "EVP_PKEY_new_raw_private_key_ex", .invalidKey))
    }
  }

  static func fromRawPublicKey(_ type: String, _ bytes: [UInt8]) throws(CryptoError) -> ProviderKey {
    let library = try LibraryContext.shared.pointer
    return try preservingErrorQueue { () throws(CryptoError) in
      let key = EVP_PKEY_new_raw_public_key_ex(library, type, nil, bytes, bytes.count)
      return ProviderKey(adopting: try check(key, "EVP_PKEY_new_raw_public_key_ex", .invalidPoint))
    }
  }

  func rawPublicKey(count: Int) throws(CryptoError) -> [UInt8] {
    try [UInt8](count: count) { (bytes) throws(CryptoError) in
      try preservingErrorQueue { () throws(CryptoError) in
        var written = bytes.count
        let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        try check(EVP_PKEY_get_raw_public_key(pointer, start, &written), "EVP_PKEY_get_raw_public_key")
        return written
      }
    }
  }
}
