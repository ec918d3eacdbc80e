import CryptoCore
import Cryptoki

/// The checks that decide whether an operation may start. The module answers by them early, the secure world decides by them.
public enum KeyPolicy {
  /// Checks that `key` may be used for `function` with `mechanism`, and gives the mechanism's facts.
  ///
  /// Throws, in this order: CKR_MECHANISM_INVALID (unknown, not for this function, or not among CKA_ALLOWED_MECHANISMS),
  /// CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_SIZE_RANGE, CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_MECHANISM_PARAM_INVALID.
  @discardableResult
  public static func check(
    _ key: KeyDescription, _ mechanism: borrowing Mechanism, for flag: MechanismFlags, usage: KeyUsage
  ) throws(ReturnValue) -> MechanismFacts {
    let facts = try check(key, mechanism.type, for: flag, usage: usage)
    try facts.checkParameters(mechanism.parameters, for: flag)
    return facts
  }

  /// The same without a look at the mechanism's parameters.
  public static func check(
    _ key: KeyDescription, _ type: MechanismType, for flag: MechanismFlags, usage: KeyUsage
  ) throws(ReturnValue) -> MechanismFacts {
    guard let facts = MechanismTable.facts(type), facts.flags.contains(flag) else {
      throw .mechanismInvalid
    }
    guard facts.family.accepts(key, for: flag) else { throw .keyTypeInconsistent }
    guard facts.admitsSize(of: key) else { throw .keySizeRange }
    guard key.usage.contains(usage) else { throw .keyFunctionNotPermitted }
    guard key.allows(type) else { throw .mechanismInvalid }
    return facts
  }
}

extension MechanismFamily {
  /// Whether a key of this class and type can serve for the operation that `flag` names.
  func accepts(_ key: KeyDescription, for flag: MechanismFlags) -> Bool {
    switch self {
    case .hmac(let hash, _):
      return key.objectClass == .secretKey && (key.keyType == .genericSecret || key.keyType == hash.hmacKeyType)
    case .aesCMAC, .aesECB, .aesCBC, .aesCBCPad, .aesCTR, .aesGCM, .aesKeyWrap, .aesKeyWrapPadded:
      return key.objectClass == .secretKey && key.keyType == .aes
    case .rsaPKCS, .rsaRaw, .rsaPSS, .rsaOAEP:
      return key.keyType == .rsa && key.objectClass == Self.halfOfPair(for: flag)
    case .ecdsa:
      return key.keyType == .ec && key.objectClass == Self.halfOfPair(for: flag)
    case .edDSA:
      return key.keyType == .ecEdwards && key.objectClass == Self.halfOfPair(for: flag)
    case .ecdh:
      return (key.keyType == .ec || key.keyType == .ecMontgomery) && key.objectClass == .privateKey
    case .digest, .generateKey, .generateKeyPair:
      return false
    }
  }

  /// The half of a key pair that an operation takes.
  private static func halfOfPair(for flag: MechanismFlags) -> ObjectClass {
    flag == .encrypt || flag == .verify || flag == .wrap ? .publicKey : .privateKey
  }
}

extension MechanismFacts {
  /// Whether the key's size lies in the mechanism's range. Secret keys for HMAC and of generic type are counted in bits there.
  func admitsSize(of key: KeyDescription) -> Bool {
    if case .hmac = family { return key.size >= 1 }
    return key.size >= minimumKeySize && key.size <= maximumKeySize
  }

  /// Throws CKR_MECHANISM_PARAM_INVALID unless the parameter has the mechanism's shape and holds values it allows.
  public func checkParameters(_ parameters: MechanismParameters, for flag: MechanismFlags) throws(ReturnValue) {
    let valid: Bool
    switch (family, parameters) {
    case (.digest, .none), (.hmac(_, false), .none), (.aesCMAC(false), .none), (.aesECB, .none),
      (.rsaPKCS, .none), (.rsaRaw, .none), (.ecdsa, .none), (.edDSA, .none), (.generateKey, .none),
      (.generateKeyPair, .none), (.aesKeyWrap, .none), (.aesKeyWrapPadded, .none):
      valid = true
    case (.hmac(let hash, true), .macByteCount(let count)):
      valid = count >= 1 && count <= UInt32(hash.digestByteCount)
    case (.aesCMAC(true), .macByteCount(let count)): valid = count >= 1 && count <= 16
    case (.aesCBC, .iv(let iv)), (.aesCBCPad, .iv(let iv)): valid = iv.count == 16
    case (.aesKeyWrap, .iv(let iv)): valid = iv.count == 8 || iv.count == 0
    case (.aesKeyWrapPadded, .iv(let iv)): valid = iv.count == 4 || iv.count == 0
    case (.aesCTR, .counter(let bitCount, let block)):
      valid = bitCount >= 1 && bitCount <= 128 && block.count == 16
    case (.aesGCM, .gcm(let iv, _, let tagBitCount)):
      // SP 800-38D allows 128, 120, 112, 104, 96 and, for few messages, 64 and 32 bits.
      valid = iv.count >= 1 && [128, 120, 112, 104, 96, 64, 32].contains(tagBitCount)
    case (.rsaPSS(let fixed), .pss(let hashType, let mgf, _)):
      guard let hash = MechanismTable.hash(named: hashType), MechanismTable.hash(ofMaskGeneration: mgf) != nil else {
        throw .mechanismParamInvalid
      }
      valid = fixed == nil || fixed == hash
    case (.rsaOAEP, .oaep(let hashType, let mgf, _)):
      valid = MechanismTable.hash(named: hashType) != nil && MechanismTable.hash(ofMaskGeneration: mgf) != nil
    case (.edDSA, .edwards(let preHash, let context)):
      // Ed25519ph and Ed25519ctx are not offered: libcrypto 3.0 has neither.
      valid = !preHash && context.isEmpty
    case (.ecdh, .ecdh(let kdf, _, let point)):
      valid = MechanismTable.hash(ofKeyDerivation: kdf) != nil && !point.isEmpty
    default: valid = false
    }
    guard valid else { throw .mechanismParamInvalid }
  }
}

extension HashAlgorithm {
  /// The key type whose keys serve for HMAC with this hash alone (CKK_SHA256_HMAC and its kin).
  var hmacKeyType: KeyType {
    switch self {
    case .sha1: .sha1HMAC
    case .sha224: .sha224HMAC
    case .sha256: .sha256HMAC
    case .sha384: .sha384HMAC
    case .sha512: .sha512HMAC
    case .sha512_224: .sha512_224HMAC
    case .sha512_256: .sha512_256HMAC
    case .sha3_224: .sha3_224HMAC
    case .sha3_256: .sha3_256HMAC
    case .sha3_384: .sha3_384HMAC
    case .sha3_512: .sha3_512HMAC
    }
  }
}
