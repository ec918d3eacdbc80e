import CryptoCore
import Cryptoki

/// The ends of operations over input that was gathered whole or hashed.
extension Operation {
  /// The bytes of a signature by this key.
  var signatureByteCount: Int {
    switch key?.material {
    case .rsaPublic(let key)?: key.byteCount
    case .rsaPrivate(let key)?: key.byteCount
    case .ecPublic(let key)?: key.curve.signatureByteCount
    case .ecPrivate(let key)?: key.curve.signatureByteCount
    case .edwardsPublic(let key)?: key.curve.signatureByteCount
    case .edwardsPrivate(let key)?: key.curve.signatureByteCount
    default: 0
    }
  }

  /// The most that the end of a gathered operation over `count` bytes will write.
  func gatheredByteCount(_ count: Int) -> Int {
    switch (mechanismFamily, function) {
    case (.aesKeyWrap, .encrypt): count.saturatingAdd(8)
    case (.aesKeyWrapPadded, .encrypt): (count.saturatingAdd(7) & ~7).saturatingAdd(8)
    case (.aesKeyWrap, _), (.aesKeyWrapPadded, _): max(count - 8, 0)
    case (.rsaPKCS, .decrypt): max(signatureByteCount - 11, 0)
    case (.rsaOAEP, .decrypt): longestOAEPMessage
    default: signatureByteCount
    }
  }

  private var longestOAEPMessage: Int {
    guard let scheme = try? encryptionScheme else { return 0 }
    return max(scheme.longestMessage(modulusByteCount: signatureByteCount), 0)
  }

  /// Whether the end may write less than `finishByteCount`, so that only the end itself can say what room it needs.
  var mayWriteLess: Bool {
    guard function == .decrypt else { return false }
    switch mechanismFamily {
    case .rsaPKCS, .rsaOAEP, .aesKeyWrapPadded: return true
    default: return false
    }
  }

  /// The most input that is collected: more could not be valid, or is more than a process should hold.
  var longestGathered: Int {
    switch mechanismFamily {
    case .rsaPKCS, .rsaPSS, .rsaRaw, .rsaOAEP: signatureByteCount
    case .ecdsa: 1 << 16
    default: 1 << 30
    }
  }

  /// Signs a digest, or the data itself for the mechanisms that hash it within or not at all.
  func sign(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(ReturnValue) -> Int {
    try folding(.sign) { () throws(CryptoError) in
      switch key?.material {
      case .rsaPrivate(let key)?: try key.sign(input, try signatureScheme, into: output)
      case .ecPrivate(let key)?: try key.sign(input, into: output)
      case .edwardsPrivate(let key)?: try key.sign(input, into: output)
      default: throw CryptoError(.unsupported, in: "sign")
      }
    }
  }

  /// Verifies; throws CKR_SIGNATURE_LEN_RANGE or CKR_SIGNATURE_INVALID.
  func verify(_ input: UnsafeRawBufferPointer, _ signature: UnsafeRawBufferPointer) throws(ReturnValue) {
    guard signature.count == signatureByteCount else { throw .signatureLenRange }
    let isValid = try folding(.verify) { () throws(CryptoError) in
      switch key?.material {
      case .rsaPublic(let key)?: try key.isValid(signature, for: input, try signatureScheme)
      case .ecPublic(let key)?: try key.isValid(signature, for: input)
      case .edwardsPublic(let key)?: try key.isValid(signature, for: input)
      default: throw CryptoError(.unsupported, in: "verify")
      }
    }
    guard isValid else { throw .signatureInvalid }
  }

  /// Encrypts or decrypts what was gathered.
  func transform(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(ReturnValue) -> Int {
    switch (mechanismFamily, function) {
    case (.aesKeyWrap, _), (.aesKeyWrapPadded, _): return try transformByKeyWrap(input, into: output)
    default: break
    }
    switch key?.material {
    case .rsaPublic(let key)?:
      return try folding(.encrypt) { () throws(CryptoError) in
        try key.encrypt(input, try encryptionScheme, into: output)
      }
    case .rsaPrivate(let key)?:
      let message = try folding(.decrypt) { () throws(CryptoError) in try key.decrypt(input, try encryptionScheme) }
      return try message.withBytes { (message) throws(ReturnValue) in try copy(message, into: output) }
    default: throw .keyTypeInconsistent
    }
  }

  private func copy(
    _ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(ReturnValue) -> Int {
    guard output.count >= bytes.count else { throw .bufferTooSmall }
    output.copyBytes(from: bytes)
    return bytes.count
  }

  private func transformByKeyWrap(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(ReturnValue) -> Int {
    guard let aes = try key?.aes else { throw .operationNotInitialized }
    let iv: [UInt8] = if case .iv(let iv) = parameters { iv.array } else { [] }
    let number = iv.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let value64: UInt64? = iv.isEmpty ? nil : number
    let value32: UInt32? = iv.isEmpty ? nil : UInt32(truncatingIfNeeded: number)
    if function == .encrypt {
      return try folding(.encrypt) { () throws(CryptoError) in
        mechanismFamily == .aesKeyWrap
          ? try aes.wrap(input, initialValue: value64, into: output)
          : try aes.wrapPadded(input, initialValue: value32, into: output)
      }
    }
    // Into memory of its own, so that nothing is written before the integrity value has been checked.
    let plain = try folding(.decrypt) { () throws(CryptoError) in
      try SecretBytes(count: input.count) { (room) throws(CryptoError) in
        mechanismFamily == .aesKeyWrap
          ? try aes.unwrap(input, initialValue: value64, into: room)
          : try aes.unwrapPadded(input, initialValue: value32, into: room)
      }
    }
    return try plain.withBytes { (plain) throws(ReturnValue) in try copy(plain, into: output) }
  }

  private var encryptionScheme: RSAEncryptionScheme {
    get throws(CryptoError) {
      switch (mechanismFamily, parameters) {
      case (.rsaPKCS, _): return .pkcs1
      case (.rsaRaw, _): return .unpadded
      case (.rsaOAEP, .oaep(let hashType, let mgf, let label)):
        guard let hash = MechanismTable.hash(named: hashType), let mask = MechanismTable.hash(ofMaskGeneration: mgf)
        else { throw CryptoError(.invalidParameter, in: "OAEP") }
        return .oaep(hash: hash, maskHash: mask, label: label)
      default: throw CryptoError(.unsupported, in: "RSA encryption")
      }
    }
  }

  private var signatureScheme: RSASignatureScheme {
    get throws(CryptoError) {
      switch (mechanismFamily, parameters) {
      case (.rsaPKCS(let hash?), _): return .pkcs1(hash)
      case (.rsaPKCS(nil), _): return .pkcs1Unhashed
      case (.rsaRaw, _): return .unpadded
      case (.rsaPSS, .pss(let hashType, let mgf, let saltByteCount)):
        guard let hash = MechanismTable.hash(named: hashType), let mask = MechanismTable.hash(ofMaskGeneration: mgf)
        else { throw CryptoError(.invalidParameter, in: "PSS") }
        return .pss(hash: hash, maskHash: mask, saltByteCount: Int(saltByteCount))
      default: throw CryptoError(.unsupported, in: "RSA signature")
      }
    }
  }
}
