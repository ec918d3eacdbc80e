import COpenSSL

/// A key for HMAC (RFC 2104) or AES-CMAC (NIST SP 800-38B), with its padded states or subkeys computed once.
///
/// Threads may share it: each computation works in a context of its own.
public final class MessageAuthenticationKey: Sendable {
  /// The number of bytes of a full code.
  public let codeByteCount: Int
  private let pool = ContextPool()
  // A context that holds the key and is only ever duplicated.
  private nonisolated(unsafe) let template: OpaquePointer

  static let hmac = FetchedAlgorithm.authentication("HMAC")
  static let cmac = FetchedAlgorithm.authentication("CMAC")

  /// HMAC with `hash`; a key of any byte count, 0 included.
  public init(hmac hash: HashAlgorithm, key: SecretBytes) throws(CryptoError) {
    _ = try hash.algorithm.pointer
    var parameters = ParameterList()
    parameters.text("digest", hash.name)
    template = try Self.newContext(Self.hmac, key: key, parameters)
    codeByteCount = hash.digestByteCount
  }

  /// AES-CMAC; throws `.invalidKey` unless the key has 16, 24 or 32 bytes.
  public init(cmacAES key: SecretBytes) throws(CryptoError) {
    var parameters = ParameterList()
    switch key.count {
    case 16: parameters.text("cipher", "AES-128-CBC")
    case 24: parameters.text("cipher", "AES-192-CBC")
    case 32: parameters.text("cipher", "AES-256-CBC")
    default: throw CryptoError(.invalidKey, in: "MessageAuthenticationKey", reason: "not an AES key's byte count")
    }
    template = try Self.newContext(Self.cmac, key: key, parameters)
    codeByteCount = 16
  }

  deinit {
    while let context = pool.take() { EVP_MAC_CTX_free(context) }
    EVP_MAC_CTX_free(template)
  }

  /// A new computation.
  public func begin() throws(CryptoError) -> MessageAuthenticationCode { try MessageAuthenticationCode(self) }

  /// Writes the code of `message` to the first `codeByteCount` bytes of `output` and answers that count.
  ///
  /// Throws `.bufferTooSmall` when `output` is shorter. `output` may overlap `message`.
  public func authenticate(
    _ message: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    guard output.count >= codeByteCount else {
      throw CryptoError(.bufferTooSmall, in: "MessageAuthenticationKey.authenticate")
    }
    let context = try takeContext()
    defer { giveBack(context) }
    try Self.update(context, message)
    return try Self.finish(context, into: output)
  }

  public func authenticate(_ message: [UInt8]) throws(CryptoError) -> [UInt8] {
    try [UInt8](count: codeByteCount) { (output) throws(CryptoError) in
      try message.withRawBytes { (message) throws(CryptoError) in try authenticate(message, into: output) }
    }
  }

  /// Lends a context ready for the first byte of a message.
  func takeContext() throws(CryptoError) -> OpaquePointer {
    guard let context = pool.take() else {
      return try preservingErrorQueue { () throws(CryptoError) in
        let copy = try check(EVP_MAC_CTX_dup(template), "EVP_MAC_CTX_dup")
        // HMAC and CMAC states are duplicated as they stand after the key was set: at the first byte.
        return copy
      }
    }
    // Without a key: start again under the one that the context holds.
    guard EVP_MAC_init(context, nil, 0, nil) == 1 else {
      EVP_MAC_CTX_free(context)
      throw CryptoError(.libraryFailure, in: "EVP_MAC_init")
    }
    return context
  }

  func giveBack(_ context: OpaquePointer) {
    if !pool.give(context) { EVP_MAC_CTX_free(context) }
  }

  @inline(__always)
  static func update(_ context: OpaquePointer, _ bytes: UnsafeRawBufferPointer) throws(CryptoError) {
    guard let start = bytes.baseAddress, bytes.count > 0 else { return }
    guard EVP_MAC_update(context, start.assumingMemoryBound(to: UInt8.self), bytes.count) == 1 else {
      throw CryptoError(.libraryFailure, in: "EVP_MAC_update")
    }
  }

  @inline(__always)
  static func finish(
    _ context: OpaquePointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    var written = 0
    let start = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
    guard EVP_MAC_final(context, start, &written, output.count) == 1 else {
      throw CryptoError(.libraryFailure, in: "EVP_MAC_final")
    }
    return written
  }

  private static func newContext(
    _ algorithm: FetchedAlgorithm, key: SecretBytes, _ parameters: borrowing ParameterList
  ) throws(CryptoError) -> OpaquePointer {
    let function = try algorithm.pointer
    let list = parameters.pointer
    return try preservingErrorQueue { () throws(CryptoError) in
      let context = try check(EVP_MAC_CTX_new(function), "EVP_MAC_CTX_new")
      let status = key.withBytes { key in
        EVP_MAC_init(context, key.baseAddress?.assumingMemoryBound(to: UInt8.self), key.count, list)
      }
      guard status == 1 else {
        let error = CryptoError.fromQueue("EVP_MAC_init", .unsupported)
        EVP_MAC_CTX_free(context)
        throw error
      }
      return context
    }
  }
}

/// A code computation in progress. Not for two threads at once. Its context goes back to the key at the end.
public struct MessageAuthenticationCode: ~Copyable {
  public let key: MessageAuthenticationKey
  private let context: OpaquePointer

  /// A new computation.
  public init(_ key: consuming MessageAuthenticationKey) throws(CryptoError) {
    context = try key.takeContext()
    self.key = key
  }

  deinit { key.giveBack(context) }

  public func update(_ bytes: UnsafeRawBufferPointer) throws(CryptoError) {
    try MessageAuthenticationKey.update(context, bytes)
  }

  public func update(_ bytes: [UInt8]) throws(CryptoError) {
    try bytes.withRawBytes { (bytes) throws(CryptoError) in try update(bytes) }
  }

  /// Writes the full code to `output` and answers its byte count. Throws `.bufferTooSmall`, with nothing consumed,
  /// when `output` is shorter than `key.codeByteCount`.
  public func finish(into output: UnsafeMutableRawBufferPointer) throws(CryptoError) -> Int {
    guard output.count >= key.codeByteCount else {
      throw CryptoError(.bufferTooSmall, in: "MessageAuthenticationCode.finish")
    }
    return try MessageAuthenticationKey.finish(context, into: output)
  }

  public func finish() throws(CryptoError) -> [UInt8] {
    try [UInt8](count: key.codeByteCount) { (output) throws(CryptoError) in try finish(into: output) }
  }
}

/// HMAC-SHA-256 of `data` under `key`, for one use of a key; keep a `MessageAuthenticationKey` for more.
public func hmacSHA256(key: SecretBytes, data: [UInt8]) throws(CryptoError) -> [UInt8] {
  try MessageAuthenticationKey(hmac: .sha256, key: key).authenticate(data)
}
