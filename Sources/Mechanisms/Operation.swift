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
public struct Operation: ~Copyable {
  public let function: KeyFunction
  /// Whether it holds input, or what that yields, in memory: `heldByteCount`.
  public let holdsInput: Bool
  /// Whether the operation withholds its output until its end, so that `finishWithheld` serves it.
  public let withholdsOutput: Bool
  private let family: MechanismFamily
  /// Of the mechanisms that work at the end alone. The others hold the one key that they work with in their state.
  private let scheme: Scheme?
  private let state: State
  /// In the state `cipher`.
  private var cipher: CipherOperation?
  /// The computation of a MAC, in the state `authentication`.
  private var code: MessageAuthenticationCode?
  /// How much a counter takes before it would wrap; the largest number when nothing bounds it.
  private var bytesLeft: UInt64

  private enum State {
    /// Output follows input.
    case cipher
    /// Decryption whose output waits for the tag.
    case withheld(WithheldPlaintext)
    case authentication(byteCount: Int)
    /// Signature over a digest computed here.
    case digest(Digest)
    /// Input that is needed whole.
    case gathered(GatheredBytes)
  }

  /// Begins an operation with a key that `KeyPolicy.check` has admitted for it.
  public init(
    function: KeyFunction, mechanism: borrowing Mechanism, facts: borrowing MechanismFacts,
    key: __shared CryptographicKey
  ) throws(ReturnValue) {
    let state: State
    var cipher: CipherOperation?
    var code: MessageAuthenticationCode?
    var bytesLeft = UInt64.max
    var scheme: Scheme?
    var holdsInput = false
    var withholdsOutput = false
    switch facts.family {
    case .hmac(let hash, let isGeneral):
      state = .authentication(
        byteCount: isGeneral ? try Self.macByteCount(mechanism.parameters) : hash.digestByteCount)
      code = try Self.code(function, try key.authenticationKey(hash))
    case .aesCMAC(let isGeneral):
      state = .authentication(byteCount: isGeneral ? try Self.macByteCount(mechanism.parameters) : 16)
      code = try Self.code(function, try key.authenticationKey(nil))
    case .rsaPKCS(let hash?), .rsaPSS(let hash?), .ecdsa(let hash?):
      state = .digest(try folding(function) { () throws(CryptoError) in try Digest(hash) })
      scheme = Scheme(key, facts.family.endNeedsParameters ? mechanism.parameters : .none)
    case .rsaPKCS, .rsaPSS, .ecdsa, .rsaRaw, .rsaOAEP, .edDSA, .aesKeyWrap, .aesKeyWrapPadded:
      state = .gathered(GatheredBytes())
      scheme = Scheme(key, facts.family.endNeedsParameters ? mechanism.parameters : .none)
      holdsInput = true
    case let family:
      cipher = try Self.cipher(function, mechanism.parameters, family, try key.aes)
      if function != .encrypt, case .gcm(_, _, let tagBitCount) = mechanism.parameters, let begun = cipher.take() {
        state = .withheld(WithheldPlaintext(begun, tagByteCount: Int(tagBitCount / 8)))
        (holdsInput, withholdsOutput) = (true, true)
      } else {
        state = .cipher
      }
      if family == .aesCTR, case .counter(let bitCount, let block) = mechanism.parameters {
        bytesLeft = block.withUnsafeBytes { block in
          Self.bytes(ofBlocks: counterBlocksBeforeWrap(firstBlock: block, counterBits: Int(bitCount)))
        }
      }
    }
    self.function = function
    self.holdsInput = holdsInput
    self.withholdsOutput = withholdsOutput
    family = facts.family
    self.scheme = scheme
    self.state = state
    self.cipher = cipher
    self.code = code
    self.bytesLeft = bytesLeft
  }

  private static func code(
    _ function: KeyFunction, _ key: consuming MessageAuthenticationKey
  ) throws(ReturnValue) -> MessageAuthenticationCode {
    do throws(CryptoError) { return try MessageAuthenticationCode(key) } catch { throw error.returnValue(of: function) }
  }

  private static func macByteCount(_ parameters: MechanismParameters) throws(ReturnValue) -> Int {
    guard case .macByteCount(let count) = parameters else { throw .mechanismParamInvalid }
    return Int(count)
  }

  private static func cipher(
    _ function: KeyFunction, _ parameters: MechanismParameters, _ family: MechanismFamily, _ key: AESKey
  ) throws(ReturnValue) -> CipherOperation {
    let direction: CipherDirection = function == .encrypt ? .encrypt : .decrypt
    do throws(CryptoError) {
      // Family before parameters: a pair of both would be a copy of both.
      switch family {
      case .aesECB: return try key.begin(.ecb, direction)
      case .aesCBC, .aesCBCPad:
        guard case .iv(let iv) = parameters else { break }
        return try iv.withUnsafeBytes { (iv) throws(CryptoError) in
          try key.begin(family == .aesCBC ? .cbc(iv: iv) : .cbcPadded(iv: iv), direction)
        }
      case .aesCTR:
        guard case .counter(_, let block) = parameters else { break }
        return try block.withUnsafeBytes { (block) throws(CryptoError) in
          try key.begin(.counter(firstBlock: block), direction)
        }
      case .aesGCM:
        guard case .gcm(let iv, let aad, let tagBitCount) = parameters else { break }
        let cipher = try iv.withUnsafeBytes { (iv) throws(CryptoError) in
          let tag: TagPlacement = function == .encrypt ? .behindCiphertext : .apart
          return try key.begin(.gcm(iv: iv, tagByteCount: Int(tagBitCount / 8), tag: tag), direction)
        }
        if !aad.isEmpty {
          try aad.withRawBytes { (aad) throws(CryptoError) in try cipher.authenticate(aad) }
        }
        return cipher
      default: break
      }
    } catch {
      throw error.returnValue(of: function)
    }
    throw .mechanismInvalid
  }

  /// The bytes of so many counter blocks, or more than any caller can have: the counter may not run into the part of the
  /// block that is the nonce (CK_AES_CTR_PARAMS).
  private static func bytes(ofBlocks blocks: UInt64) -> UInt64 {
    let (bytes, overflow) = blocks.multipliedReportingOverflow(by: 16)
    return overflow ? .max : bytes
  }

  // MARK: Counts

  /// How many bytes `update` will write for `inputByteCount` more bytes; exact.
  public func updateByteCount(for inputByteCount: Int) -> Int {
    switch state {
    case .cipher: cipher?.outputByteCount(forUpdate: inputByteCount) ?? 0
    default: 0
    }
  }

  /// The most that `finish` will write; exact, but for CBC with padding and RSA decryption, which may write less.
  public var finishByteCount: Int {
    switch state {
    case .cipher: cipher?.mostAtFinish() ?? 0
    case .withheld(let plaintext): plaintext.byteCount
    case .authentication(let byteCount): byteCount
    case .digest: signatureByteCount
    case .gathered(let bytes): gatheredByteCount(bytes.count)
    }
  }

  /// Bytes of input, output or parameters that the operation holds in memory, for quotas.
  public var heldByteCount: Int {
    switch state {
    case .withheld(let plaintext): plaintext.heldByteCount
    case .gathered(let bytes): bytes.count + (scheme?.byteCount ?? 0)
    case .cipher, .authentication, .digest: 0
    }
  }

  /// An upper bound on the output of a whole operation over `inputByteCount` bytes; exact for signatures and for
  /// everything that encrypts. For size queries, without an operation.
  public static func outputByteCount(
    _ function: KeyFunction, _ mechanism: borrowing Mechanism, _ facts: MechanismFacts, _ key: KeyDescription,
    inputByteCount count: Int
  ) -> Int {
    outputByteCount(function, mechanism, facts, keySize: key.size, inputByteCount: count)
  }

  /// The same by the size in the key's description.
  public static func outputByteCount(
    _ function: KeyFunction, _ mechanism: borrowing Mechanism, _ facts: MechanismFacts, keySize: UInt32,
    inputByteCount count: Int
  ) -> Int {
    let encrypts = function == .encrypt
    switch facts.family {
    case .hmac(let hash, let isGeneral):
      guard isGeneral, case .macByteCount(let byteCount) = mechanism.parameters else { return hash.digestByteCount }
      return Int(byteCount)
    case .aesCMAC(let isGeneral):
      guard isGeneral, case .macByteCount(let byteCount) = mechanism.parameters else { return 16 }
      return Int(byteCount)
    case .rsaPKCS, .rsaPSS, .rsaRaw, .rsaOAEP: return (Int(keySize) + 7) / 8
    case .ecdsa: return 2 * ((Int(keySize) + 7) / 8)
    case .edDSA: return 64
    case .aesCBCPad: return encrypts ? (count & ~15).saturatingAdd(16) : count
    case .aesGCM:
      guard case .gcm(_, _, let tagBitCount) = mechanism.parameters else { return count }
      let tag = Int(tagBitCount / 8)
      return encrypts ? count.saturatingAdd(tag) : max(count - tag, 0)
    case .aesKeyWrap: return encrypts ? count.saturatingAdd(8) : max(count - 8, 0)
    case .aesKeyWrapPadded:
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
      case .cipher: UInt64(byteCount) <= bytesLeft
      case .gathered(let bytes): bytes.count.saturatingAdd(byteCount) <= longestGathered
      default: true
      }
    guard fits else { throw function == .decrypt ? .encryptedDataLenRange : .dataLenRange }
  }

  // MARK: Parts

  /// Takes in `input` and answers how many bytes it wrote to `output`. `output` may be the memory of `input`.
  public mutating func update(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(ReturnValue) -> Int {
    switch state {
    case .cipher:
      try checkInput(byteCount: input.count)
      let count = try folding(function) { () throws(CryptoError) in try cipher?.update(input, into: output) ?? 0 }
      if bytesLeft != .max { bytesLeft -= UInt64(input.count) }
      return count
    case .withheld(let plaintext):
      try folding(function) { () throws(CryptoError) in try plaintext.update(input) }
    case .authentication:
      try folding(function) { () throws(CryptoError) in try code?.update(input) }
    case .digest(let digest):
      try folding(function) { () throws(CryptoError) in try digest.update(input) }
    case .gathered(let bytes):
      // Data that can never be valid is not collected: a single block of RSA, a digest.
      try checkInput(byteCount: input.count)
      bytes.append(input)
    }
    return 0
  }

  /// Ends an encryption, decryption or signature: writes the last bytes to `output` and answers their count.
  public mutating func finish(into output: UnsafeMutableRawBufferPointer) throws(ReturnValue) -> Int {
    switch state {
    case .cipher:
      return try folding(function) { () throws(CryptoError) in try cipher?.finish(into: output) ?? 0 }
    case .withheld:
      guard output.count >= finishByteCount else { throw .bufferTooSmall }
      var place = 0
      try finishWithheld { (piece: UnsafeRawBufferPointer) throws(ReturnValue) in
        output.copy(piece, at: place)
        place += piece.count
      }
      return place
    case .authentication(let byteCount):
      guard output.count >= byteCount else { throw .bufferTooSmall }
      return try authenticationCode { (full: UnsafeRawBufferPointer) throws(ReturnValue) in
        output.copyMemory(from: UnsafeRawBufferPointer(rebasing: full[..<byteCount]))
        return byteCount
      }
    case .digest(let digest):
      guard output.count >= finishByteCount else { throw .bufferTooSmall }
      let hash: [UInt8]
      if let finished = scheme?.finishedDigest {
        hash = finished
      } else {
        hash = try folding(function) { () throws(CryptoError) in try digest.finish() }
        scheme?.finishedDigest = hash
      }
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

  /// Verifies the tag of an operation that withholds its output, and then lends the output in pieces, once.
  /// Throws CKR_ENCRYPTED_DATA_INVALID, with nothing lent, on a wrong tag.
  public mutating func finishWithheld(_ body: (UnsafeRawBufferPointer) throws(ReturnValue) -> Void) throws(ReturnValue)
  {
    switch state {
    case .withheld(let plaintext): try plaintext.release(orElse: { $0.returnValue(of: function) }, body)
    default: throw .operationNotInitialized
    }
  }

  /// Whether the end reads what it has written: half an EdDSA signature is hashed for the other half, each round of a key wrap
  /// works on the last one's result. Memory that somebody else can write is nothing for it.
  public var readsOutputBack: Bool {
    switch state {
    case .cipher, .authentication: false
    case .withheld, .digest, .gathered: true
    }
  }

  /// Ends a verification. Throws CKR_SIGNATURE_LEN_RANGE or CKR_SIGNATURE_INVALID unless `signature` is right.
  public mutating func finishVerification(_ signature: UnsafeRawBufferPointer) throws(ReturnValue) {
    switch state {
    case .authentication(let byteCount):
      guard signature.count == byteCount else { throw .signatureLenRange }
      let matches = try authenticationCode { (full: UnsafeRawBufferPointer) throws(ReturnValue) in
        constantTimeEqual(UnsafeRawBufferPointer(rebasing: full.prefix(byteCount)), signature)
      }
      guard matches else { throw .signatureInvalid }
    case .digest(let digest):
      let hash = try folding(function) { () throws(CryptoError) in try digest.finish() }
      try hash.withRawBytes { (hash) throws(ReturnValue) in try verify(hash, signature) }
    case .gathered(let bytes):
      try bytes.joined().withBytes { (data) throws(ReturnValue) in try verify(data, signature) }
    case .cipher, .withheld: throw .operationNotInitialized
    }
  }

  private func authenticationCode<R>(
    _ body: (UnsafeRawBufferPointer) throws(ReturnValue) -> R
  ) throws(ReturnValue) -> R {
    var full = InlineArray<64, UInt8>(repeating: 0)
    var span = full.mutableSpan
    return try span.withUnsafeMutableBytes { (memory) throws(ReturnValue) in
      defer { wipe(memory) }
      let count = try folding(function) { () throws(CryptoError) in try code?.finish(into: memory) ?? 0 }
      return try body(UnsafeRawBufferPointer(rebasing: memory.prefix(count)))
    }
  }
}

extension Operation {
  var key: CryptographicKey? { scheme?.key }
  var parameters: MechanismParameters { scheme?.parameters ?? .none }
  var mechanismFamily: MechanismFamily { family }
}

/// What a mechanism that works at the end alone keeps for that, apart from the operation, which is moved about and has to be
/// small.
private final class Scheme {
  let key: CryptographicKey
  let parameters: MechanismParameters
  /// The digest that is signed, once it is computed: a signature that found no room is asked for again.
  var finishedDigest: [UInt8]?

  init(_ key: CryptographicKey, _ parameters: MechanismParameters) {
    self.key = key
    self.parameters = parameters
  }

  /// Bytes of what may be of any length.
  var byteCount: Int { if case .oaep(_, _, let label) = parameters { label.count } else { 0 } }
}

extension MechanismFamily {
  /// Whether the end of an operation asks for the parameters again.
  fileprivate var endNeedsParameters: Bool {
    switch self {
    case .rsaPSS, .rsaOAEP, .aesKeyWrap, .aesKeyWrapPadded: true
    default: false
    }
  }
}

extension Int {
  /// The sum, or the largest number when it does not fit.
  package func saturatingAdd(_ other: Int) -> Int {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
