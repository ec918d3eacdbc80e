import COpenSSL

/// A cryptographic operation that did not happen, and why.
///
/// Carries names and libcrypto's reason text, never input, output or key bytes, so it may be logged.
public struct CryptoError: Error, Equatable, Sendable {
  /// What a caller may have to tell apart.
  public enum Kind: Equatable, Sendable {
    /// A tag or integrity value does not match: nothing of the output may be used.
    case authenticationFailed
    /// Decrypted padding is malformed.
    case badPadding
    /// The input's or output's byte count is not one that the algorithm takes.
    case dataLength
    /// The message does not fit the key (RSA: longer than the padding leaves room for, or not below the modulus).
    case messageTooLongForKey
    /// Key material that is malformed, out of range or inconsistent.
    case invalidKey
    /// A public point that is malformed or not on the curve, or a peer value that gives no secret.
    case invalidPoint
    /// A parameter (IV, tag, salt, cost or output length) outside what the algorithm allows.
    case invalidParameter
    /// The caller's output buffer cannot hold the result; nothing was written.
    case bufferTooSmall
    /// The algorithm or parameter is not in this libcrypto.
    case unsupported
    /// libcrypto refused for a reason of its own: memory, entropy.
    case libraryFailure
  }

  public let kind: Kind
  /// The libcrypto function, or the operation of this module, that failed.
  public let function: String
  /// libcrypto's text for the reason, or a sentence of ours.
  public let reason: String

  public init(_ kind: Kind, in function: String, reason: String = "") {
    self.kind = kind
    self.function = function
    self.reason = reason
  }

  /// The newest entry of the calling thread's error queue, as the reason why `function` failed.
  static func fromQueue(_ function: String, _ kind: Kind = .libraryFailure) -> CryptoError {
    let code = ERR_peek_last_error()
    guard code != 0, let text = ERR_reason_error_string(code) else { return CryptoError(kind, in: function) }
    return CryptoError(kind, in: function, reason: String(cString: text))
  }
}

/// Runs `body` and leaves the calling thread's libcrypto error queue as it was before: the queue may be a host's.
@inline(__always)
func preservingErrorQueue<Result: ~Copyable>(
  _ body: () throws(CryptoError) -> Result
) throws(CryptoError) -> Result {
  ERR_set_mark()
  defer { ERR_pop_to_mark() }
  return try body()
}

/// Throws the queue's newest reason unless `status` is 1, libcrypto's word for success.
@inline(__always)
func check(_ status: Int32, _ function: String, _ kind: CryptoError.Kind = .libraryFailure) throws(CryptoError) {
  if status != 1 { throw CryptoError.fromQueue(function, kind) }
}

/// Unwraps a pointer that libcrypto gives as NULL on failure.
@inline(__always)
func check(
  _ pointer: OpaquePointer?, _ function: String, _ kind: CryptoError.Kind = .libraryFailure
) throws(CryptoError) -> OpaquePointer {
  guard let pointer else { throw CryptoError.fromQueue(function, kind) }
  return pointer
}
