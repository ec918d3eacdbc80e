import CryptoCore
import Cryptoki
import Wire

/// One encryption, decryption, signature or verification in progress: the engine of both worlds.
///
/// The secure world runs it with secret and private keys, the module with public keys. Not for two threads at once. Room for output
/// is checked before anything is taken in, so after CKR_BUFFER_TOO_SMALL the same call may be made again; after any other error
/// the operation is over.
///
/// Plaintext of an authenticated cipher is withheld until the tag has been verified. Mechanisms that are single-part by
/// nature (raw RSA, ECDSA over a digest, EdDSA, key wrap) gather their parts.
public final class Operation {
  public let function: KeyFunction
  /// CKA_ALWAYS_AUTHENTICATE and the like are decided before an operation exists; it holds the key it was given.
  public let key: CryptographicKey
  private let mechanism: Mechanism
  private let family: MechanismFamily
  private var state: State

  private enum State {
    /// Output follows input.
    /// `bytesLeft`: how much a counter takes before it would wrap; nil when nothing bounds it.
    case cipher(CipherOperation, bytesLeft: UInt64?)
    /// Decryption whose output waits for the tag.
    case withheld(CipherOperation, WithheldBytes, verified: Bool)
    case authentication(MessageAuthenticationCode, byteCount: Int)
    /// Signature over a digest computed here.
    case digest(Digest, finished: [UInt8]?)
    /// Input that is needed whole.
    case gathered(WithheldBytes)
  }

  /// Begins an operation with a key that `KeyPolicy.check` has admitted for it.
  public init(
    function: KeyFunction, mechanism: Mechanism, facts: MechanismFacts, key: CryptographicKey
  ) throws(ReturnValue) {
    self.function = function
    self.key = key
    self.mechanism = mechanism
    family = facts.family
    state = try Self.begin(function, mechanism.parameters, facts.family, key)
  }

  private static func begin(
    _ function: KeyFunction, _ parameters: MechanismParameters, _ family: MechanismFamily, _ key: CryptographicKey
  ) throws(ReturnValue) -> State {
    switch (family, parameters) {
    case (.hmac(let hash, false), _):
      return try authentication(function, key.authenticationKey(hash), byteCount: hash.digestByteCount)
    case (.hmac(let hash, true), .macByteCount(let count)):
      return try authentication(function, key.authenticationKey(hash), byteCount: Int(count))
    case (.aesCMAC(false), _): return try authentication(function, key.authenticationKey(nil), byteCount: 16)
    case (.aesCMAC(true), .macByteCount(let count)):
      return try authentication(function, key.authenticationKey(nil), byteCount: Int(count))
    case (.rsaPKCS(let hash?), _), (.rsaPSS(let hash?), _), (.ecdsa(let hash?), _):
      return .digest(try folding(function) { () throws(CryptoError) in try Digest(hash) }, finished: nil)
    case (.rsaPKCS, _), (.rsaPSS, _), (.ecdsa, _), (.rsaRaw, _), (.rsaOAEP, _), (.edDSA, _), (.aesKeyWrap, _),
      (.aesKeyWrapPadded, _):
      return .gathered(WithheldBytes())
    default: return try cipher(function, parameters, family, try key.aes)
    }
  }

  private static func authentication(
    _ function: KeyFunction, _ key: MessageAuthenticationKey, byteCount: Int
  ) throws(ReturnValue) -> State {
    .authentication(try folding(function) { () throws(CryptoError) in try key.begin() }, byteCount: byteCount)
  }

  private static func cipher(
    _ function: KeyFunction, _ parameters: MechanismParameters, _ family: MechanismFamily, _ key: AESKey
  ) throws(ReturnValue) -> State {
    let direction: CipherDirection = function == .encrypt ? .encrypt : .decrypt
    func operation(_ mode: CipherMode) throws(ReturnValue) -> CipherOperation {
      try folding(function) { () throws(CryptoError) in try key.begin(mode, direction) }
    }
    switch (family, parameters) {
    case (.aesECB, _): return .cipher(try operation(.ecb), bytesLeft: nil)
    case (.aesCBC, .iv(let iv)):
      return .cipher(
        try iv.withUnsafeBytes { (iv) throws(ReturnValue) in try operation(.cbc(iv: iv)) }, bytesLeft: nil)
    case (.aesCBCPad, .iv(let iv)):
      return .cipher(
        try iv.withUnsafeBytes { (iv) throws(ReturnValue) in try operation(.cbcPadded(iv: iv)) }, bytesLeft: nil)
    case (.aesCTR, .counter(let bitCount, let block)):
      return try block.withUnsafeBytes { (block) throws(ReturnValue) in
        .cipher(
          try operation(.counter(firstBlock: block)),
          bytesLeft: bytes(ofBlocks: counterBlocksBeforeWrap(firstBlock: block, counterBits: Int(bitCount))))
      }
    case (.aesGCM, .gcm(let iv, let aad, let tagBitCount)):
      let cipher = try iv.withUnsafeBytes { (iv) throws(ReturnValue) in
        try operation(.gcm(iv: iv, tagByteCount: Int(tagBitCount / 8), tag: .behindCiphertext))
      }
      if !aad.isEmpty {
        try folding(function) { () throws(CryptoError) in
          try aad.withRawBytes { (aad) throws(CryptoError) in try cipher.authenticate(aad) }
        }
      }
      return function == .encrypt
        ? .cipher(cipher, bytesLeft: nil) : .withheld(cipher, WithheldBytes(), verified: false)
    default: throw .mechanismInvalid
    }
  }

  /// The bytes of so many counter blocks, or nil when no caller can have as many: the counter may not run into the part
  /// of the block that is the nonce (CK_AES_CTR_PARAMS).
  private static func bytes(ofBlocks blocks: UInt64) -> UInt64? {
    let (bytes, overflow) = blocks.multipliedReportingOverflow(by: 16)
    return overflow ? nil : bytes
  }

  // MARK: Counts

  /// How many bytes `update` will write for `inputByteCount` more bytes; exact.
  public func updateByteCount(for inputByteCount: Int) -> Int {
    if case .cipher(let cipher, _) = state { cipher.outputByteCount(forUpdate: inputByteCount) } else { 0 }
  }

  /// The most that `finish` will write; exact, but for CBC with padding and RSA decryption, which may write less.
  public var finishByteCount: Int {
    switch state {
    case .cipher(let cipher, _): cipher.finishByteCount
    case .withheld(_, let bytes, _): bytes.count
    case .authentication(_, let byteCount): byteCount
    case .digest: signatureByteCount
    case .gathered(let bytes): gatheredByteCount(bytes.count)
    }
  }

  /// Bytes of input or output that the operation holds in memory, for quotas.
  public var heldByteCount: Int {
    switch state {
    case .withheld(_, let bytes, _), .gathered(let bytes): bytes.count
    case .cipher, .authentication, .digest: 0
    }
  }

  /// An upper bound on the output of a whole operation over `inputByteCount` bytes; exact for signatures and for
  /// everything that encrypts. For size queries, without an operation.
  public static func outputByteCount(
    _ function: KeyFunction, _ mechanism: Mechanism, _ facts: MechanismFacts, _ key: KeyDescription,
    inputByteCount count: Int
  ) -> Int {
    let encrypts = function == .encrypt
    switch (facts.family, mechanism.parameters) {
    case (.hmac(_, true), .macByteCount(let byteCount)), (.aesCMAC(true), .macByteCount(let byteCount)):
      return Int(byteCount)
    case (.hmac(let hash, _), _): return hash.digestByteCount
    case (.aesCMAC, _): return 16
    case (.rsaPKCS, _), (.rsaPSS, _), (.rsaRaw, _), (.rsaOAEP, _): return (Int(key.size) + 7) / 8
    case (.ecdsa, _): return 2 * ((Int(key.size) + 7) / 8)
    case (.edDSA, _): return 64
    case (.aesCBCPad, _): return encrypts ? (count & ~15).saturatingAdd(16) : count
    case (.aesGCM, .gcm(_, _, let tagBitCount)):
      let tag = Int(tagBitCount / 8)
      return encrypts ? count.saturatingAdd(tag) : max(count - tag, 0)
    case (.aesKeyWrap, _): return encrypts ? count.saturatingAdd(8) : max(count - 8, 0)
    case (.aesKeyWrapPadded, _):
      return encrypts ? (count.saturatingAdd(7) & ~7).saturatingAdd(8) : max(count - 8, 0)
    default: return count
    }
  }

  /// Whether so many more bytes of input can be right: what `update` would say of them, before it is given the first.
  ///
  /// Throws CKR_DATA_LEN_RANGE or CKR_ENCRYPTED_DATA_LEN_RANGE.
  public func checkInput(byteCount: Int) throws(ReturnValue) {
    let fits =
      switch state {
      case .cipher(_, let bytesLeft?): UInt64(byteCount) <= bytesLeft
      case .gathered(let bytes): bytes.count.saturatingAdd(byteCount) <= longestGathered
      default: true
      }
    guard fits else { throw function == .decrypt ? .encryptedDataLenRange : .dataLenRange }
  }

  // MARK: Parts

  /// Takes in `input` and answers how many bytes it wrote to `output`. `output` may be the memory of `input`.
  public func update(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(ReturnValue) -> Int {
    switch state {
    case .cipher(let cipher, let bytesLeft):
      try checkInput(byteCount: input.count)
      let count = try folding(function) { () throws(CryptoError) in try cipher.update(input, into: output) }
      if let bytesLeft { state = .cipher(cipher, bytesLeft: bytesLeft - UInt64(input.count)) }
      return count
    case .withheld(let cipher, let bytes, _):
      try folding(function) { () throws(CryptoError) in
        try bytes.append(atMost: cipher.outputByteCount(forUpdate: input.count)) { (room) throws(CryptoError) in
          try cipher.update(input, into: room)
        }
      }
    case .authentication(let code, _):
      try folding(function) { () throws(CryptoError) in try code.update(input) }
    case .digest(let digest, _):
      try folding(function) { () throws(CryptoError) in try digest.update(input) }
    case .gathered(let bytes):
      // Data that can never be valid is not collected: a single block of RSA, a digest.
      try checkInput(byteCount: input.count)
      bytes.append(input)
    }
    return 0
  }

  /// Ends an encryption, decryption or signature: writes the last bytes to `output` and answers their count.
  public func finish(into output: UnsafeMutableRawBufferPointer) throws(ReturnValue) -> Int {
    switch state {
    case .cipher(let cipher, _):
      return try folding(function) { () throws(CryptoError) in try cipher.finish(into: output) }
    case .withheld:
      guard output.count >= finishByteCount else { throw .bufferTooSmall }
      var place = 0
      try finishWithheld { (piece: UnsafeRawBufferPointer) throws(ReturnValue) in
        output.copy(piece, at: place)
        place += piece.count
      }
      return place
    case .authentication(let code, let byteCount):
      guard output.count >= byteCount else { throw .bufferTooSmall }
      return try authenticationCode(code) { (full: UnsafeRawBufferPointer) throws(ReturnValue) in
        output.copyBytes(from: full.prefix(byteCount))
        return byteCount
      }
    case .digest(let digest, let finished):
      guard output.count >= finishByteCount else { throw .bufferTooSmall }
      let hash: [UInt8]
      if let finished {
        hash = finished
      } else {
        hash = try folding(function) { () throws(CryptoError) in try digest.finish() }
      }
      state = .digest(digest, finished: hash)
      return try hash.withRawBytes { (hash) throws(ReturnValue) in try sign(hash, into: output) }
    case .gathered(let bytes):
      guard output.count >= finishByteCount || mayWriteLess else { throw .bufferTooSmall }
      return try bytes.joined().withBytes { (input) throws(ReturnValue) in
        switch function {
        case .encrypt, .decrypt: try transform(input, into: output)
        case .sign, .verify: try sign(input, into: output)
        }
      }
    }
  }

  /// Verifies the tag of an operation that withholds its output, and then lends the output in pieces.
  /// May be called again when `body` threw. Throws CKR_ENCRYPTED_DATA_INVALID, with nothing lent, on a wrong tag.
  public func finishWithheld(_ body: (UnsafeRawBufferPointer) throws(ReturnValue) -> Void) throws(ReturnValue) {
    guard case .withheld(let cipher, let bytes, let verified) = state else { throw .operationNotInitialized }
    if !verified {
      _ = try folding(function) { () throws(CryptoError) in
        try cipher.finish(into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
      }
      state = .withheld(cipher, bytes, verified: true)
    }
    try bytes.forEach(body)
  }

  /// Whether the operation withholds its output until its end, so that `finishWithheld` serves it.
  public var withholdsOutput: Bool {
    if case .withheld = state { true } else { false }
  }

  /// Ends a verification. Throws CKR_SIGNATURE_LEN_RANGE or CKR_SIGNATURE_INVALID unless `signature` is right.
  public func finishVerification(_ signature: UnsafeRawBufferPointer) throws(ReturnValue) {
    switch state {
    case .authentication(let code, let byteCount):
      guard signature.count == byteCount else { throw .signatureLenRange }
      let matches = try authenticationCode(code) { (full: UnsafeRawBufferPointer) throws(ReturnValue) in
        constantTimeEqual(UnsafeRawBufferPointer(rebasing: full.prefix(byteCount)), signature)
      }
      guard matches else { throw .signatureInvalid }
    case .digest(let digest, _):
      let hash = try folding(function) { () throws(CryptoError) in try digest.finish() }
      try hash.withRawBytes { (hash) throws(ReturnValue) in try verify(hash, signature) }
    case .gathered(let bytes):
      try bytes.joined().withBytes { (data) throws(ReturnValue) in try verify(data, signature) }
    case .cipher, .withheld: throw .operationNotInitialized
    }
  }

  private func authenticationCode<R>(
    _ code: MessageAuthenticationCode, _ body: (UnsafeRawBufferPointer) throws(ReturnValue) -> R
  ) throws(ReturnValue) -> R {
    var full = InlineArray<64, UInt8>(repeating: 0)
    var span = full.mutableSpan
    return try span.withUnsafeMutableBytes { (memory) throws(ReturnValue) in
      defer { wipe(memory) }
      let count = try folding(function) { () throws(CryptoError) in try code.finish(into: memory) }
      return try body(UnsafeRawBufferPointer(rebasing: memory.prefix(count)))
    }
  }
}

extension Operation {
  var parameters: MechanismParameters { mechanism.parameters }
  var mechanismFamily: MechanismFamily { family }
}

extension Int {
  /// The sum, or the largest number when it does not fit.
  func saturatingAdd(_ other: Int) -> Int {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
