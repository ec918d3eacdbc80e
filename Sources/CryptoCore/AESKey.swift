import COpenSSL

/// An AES key (FIPS 197) with its key schedules computed once.
///
/// For each mode and direction it keeps ready EVP_CIPHER_CTX, so that an operation costs the setting of an IV.
/// Threads may share it: each operation borrows a context of its own.
public final class AESKey: Sendable {
  public static let blockByteCount = 16

  /// 16, 24 or 32.
  public let byteCount: Int
  private let key: SecretBytes
  /// By schedule, made when the first context comes back: a key is mostly used in one way or two.
  private let pools = InlineArray<9, KeptReference<ContextPool>> { _ in KeptReference() }

  /// Throws `.invalidKey` unless `key` has 16, 24 or 32 bytes.
  public init(_ key: SecretBytes) throws(CryptoError) {
    guard key.count == 16 || key.count == 24 || key.count == 32 else {
      throw CryptoError(.invalidKey, in: "AESKey", reason: "not 16, 24 or 32 bytes")
    }
    self.key = key
    byteCount = key.count
  }

  deinit {
    for index in pools.indices {
      guard let pool = pools[index].instance else { continue }
      while let context = pool.take() { EVP_CIPHER_CTX_free(context) }
    }
  }

  /// What a kept context is set up for. The raw value is its pool's index.
  enum Schedule: Int {
    case ecbEncrypt, ecbDecrypt, cbcEncrypt, cbcDecrypt, cbcPaddedEncrypt, cbcPaddedDecrypt, counter, gcmEncrypt,
      gcmDecrypt

    var encrypts: Bool {
      switch self {
      case .ecbEncrypt, .cbcEncrypt, .cbcPaddedEncrypt, .counter, .gcmEncrypt: true
      case .ecbDecrypt, .cbcDecrypt, .cbcPaddedDecrypt, .gcmDecrypt: false
      }
    }

    fileprivate var leavesPaddingToCaller: Bool {
      switch self {
      case .ecbEncrypt, .ecbDecrypt, .cbcEncrypt, .cbcDecrypt: true
      default: false
      }
    }

    fileprivate func algorithm(keyByteCount: Int) -> FetchedAlgorithm {
      let family =
        switch self {
        case .ecbEncrypt, .ecbDecrypt: AESKey.ecb
        case .cbcEncrypt, .cbcDecrypt, .cbcPaddedEncrypt, .cbcPaddedDecrypt: AESKey.cbc
        case .counter: AESKey.ctr
        case .gcmEncrypt, .gcmDecrypt: AESKey.gcm
        }
      return family[keyByteCount / 8 - 2]
    }
  }

  /// A context for `schedule`, the caller's until `giveBack`. Its IV is not set, its IV byte count is the mode's usual.
  func takeContext(_ schedule: Schedule) throws(CryptoError) -> OpaquePointer {
    if let ready = pools[schedule.rawValue].lend({ $0.take() }) ?? nil { return ready }
    return try makeContext(schedule)
  }

  /// Ends a loan. A context with changed parameters is freed by its borrower instead.
  func giveBack(_ context: OpaquePointer, _ schedule: Schedule) {
    let isKept =
      pools[schedule.rawValue].lend { $0.give(context) } ?? pools[schedule.rawValue].keep(ContextPool()).give(context)
    if !isKept { EVP_CIPHER_CTX_free(context) }
  }

  private func makeContext(_ schedule: Schedule) throws(CryptoError) -> OpaquePointer {
    let cipher = try schedule.algorithm(keyByteCount: byteCount).pointer
    // Given as a parameter, not by EVP_CIPHER_CTX_set_padding, whose flag costs a parameter call at every start.
    var parameters = ParameterList()
    if schedule.leavesPaddingToCaller { parameters.number("padding", 0) }
    let list = parameters.pointer
    return try preservingErrorQueue { () throws(CryptoError) in
      let context = try check(EVP_CIPHER_CTX_new(), "EVP_CIPHER_CTX_new")
      let status = key.withBytes { key in
        EVP_CipherInit_ex2(
          context, cipher, key.baseAddress?.assumingMemoryBound(to: UInt8.self), nil, schedule.encrypts ? 1 : 0, list)
      }
      guard status == 1 else {
        let error = CryptoError.fromQueue("EVP_CipherInit_ex2")
        EVP_CIPHER_CTX_free(context)
        throw error
      }
      return context
    }
  }

  static let ecb = family("ECB")
  static let cbc = family("CBC")
  static let ctr = family("CTR")
  static let gcm = family("GCM")

  private static func family(_ mode: String) -> [FetchedAlgorithm] {
    [128, 192, 256].map { FetchedAlgorithm.cipher("AES-\($0)-\(mode)") }
  }
}

/// Starts `context` again under the key that it holds. A NULL `iv` is for modes that have none.
@inline(__always)
func restart(_ context: OpaquePointer, iv: UnsafeRawPointer?) throws(CryptoError) {
  guard EVP_CipherInit_ex2(context, nil, nil, iv?.assumingMemoryBound(to: UInt8.self), -1, nil) == 1 else {
    throw CryptoError(.libraryFailure, in: "EVP_CipherInit_ex2")
  }
}

/// Feeds `input` to `context` and answers how many bytes came out at `output`, which has room for them.
@inline(__always)
func transform(
  _ context: OpaquePointer, _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer?
) throws(CryptoError) -> Int {
  var total = 0
  try forEachChunk(of: input) { (chunk, _) throws(CryptoError) in
    var written: Int32 = 0
    let target = output.map { ($0 + total).assumingMemoryBound(to: UInt8.self) }
    guard EVP_CipherUpdate(context, target, &written, chunk.start, chunk.count) == 1 else {
      throw CryptoError(.libraryFailure, in: "EVP_CipherUpdate")
    }
    total += Int(written)
  }
  return total
}
