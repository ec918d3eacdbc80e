import CryptoCore
import Cryptoki
import Mechanisms

/// A private key between its three forms: the attributes of an object, PKCS #8, and the key that computes.
enum PrivateKeyMaterial {
  case rsa(RSAPrivateKey)
  case ec(ECPrivateKey)
  case edwards(EdwardsPrivateKey)
  case montgomery(MontgomeryPrivateKey)

  /// The key of a private key object. Throws CKR_ATTRIBUTE_VALUE_INVALID where there is no such key, and
  /// CKR_CURVE_NOT_SUPPORTED.
  init(_ attributes: AttributeSet, secret: (AttributeType) -> SecretBytes?) throws(ReturnValue) {
    guard let keyType = attributes.ulong(.keyType).map({ KeyType(rawValue: $0) }) else { throw .templateIncomplete }
    do {
      if keyType == .rsa {
        guard let modulus = attributes.bytes(.modulus), let exponent = secret(.privateExponent) else {
          throw ReturnValue.templateIncomplete
        }
        self = .rsa(
          try RSAPrivateKey(
            RSAPrivateComponents(
              modulus: modulus, publicExponent: attributes.bytes(.publicExponent), privateExponent: exponent,
              prime1: secret(.prime1), prime2: secret(.prime2), exponent1: secret(.exponent1),
              exponent2: secret(.exponent2), coefficient: secret(.coefficient)), sizes: KeyCodec.rsaSizes))
        return
      }
      guard let parameters = attributes.bytes(.ecParams), let value = secret(.value) else {
        throw ReturnValue.templateIncomplete
      }
      switch try Curve.named(parameters, for: keyType) {
      case .p256: self = .ec(try ECPrivateKey(.p256, scalar: value))
      case .p384: self = .ec(try ECPrivateKey(.p384, scalar: value))
      case .p521: self = .ec(try ECPrivateKey(.p521, scalar: value))
      case .edwards25519: self = .edwards(try EdwardsPrivateKey(.ed25519, seed: value))
      case .curve25519: self = .montgomery(try MontgomeryPrivateKey(.x25519, privateBytes: value))
      }
    } catch let error as ReturnValue {
      throw error
    } catch {
      throw .attributeValueInvalid
    }
  }

  /// The key in a PKCS #8 encoding. Throws CKR_WRAPPED_KEY_INVALID, and CKR_CURVE_NOT_SUPPORTED.
  init(pkcs8: SecretBytes, keyType: KeyType) throws(ReturnValue) {
    do throws(CryptoError) {
      switch keyType {
      case .rsa: self = .rsa(try RSAPrivateKey(pkcs8: pkcs8, sizes: KeyCodec.rsaSizes))
      case .ec: self = .ec(try ECPrivateKey(pkcs8: pkcs8))
      case .ecEdwards: self = .edwards(try EdwardsPrivateKey(pkcs8: pkcs8))
      case .ecMontgomery: self = .montgomery(try MontgomeryPrivateKey(pkcs8: pkcs8))
      default: throw CryptoError(.invalidKey, in: "PrivateKeyMaterial")
      }
    } catch {
      throw error.kind == .unsupported ? .curveNotSupported : .wrappedKeyInvalid
    }
    guard keyType == .rsa || curve != nil else { throw .curveNotSupported }
  }

  /// A new key for the attributes of the public half.
  static func generate(_ keyType: KeyType, _ attributes: AttributeSet) throws(ReturnValue) -> PrivateKeyMaterial {
    if keyType == .rsa {
      guard let bitCount = attributes.ulong(.modulusBits).flatMap({ Int(exactly: $0) }),
        KeyCodec.generatedRSASizes.contains(bitCount), bitCount % 8 == 0
      else { throw .attributeValueInvalid }
      do throws(CryptoError) {
        return .rsa(
          try RSAPrivateKey.generate(
            bitCount: bitCount, publicExponent: attributes.bytes(.publicExponent) ?? [1, 0, 1],
            sizes: KeyCodec.generatedRSASizes))
      } catch {
        throw error.kind == .invalidParameter ? .attributeValueInvalid : .functionFailed
      }
    }
    let curve = try Curve.named(attributes.bytes(.ecParams) ?? [], for: keyType)
    return try computing { () throws(CryptoError) in
      switch curve {
      case .p256: .ec(try ECPrivateKey.generate(.p256))
      case .p384: .ec(try ECPrivateKey.generate(.p384))
      case .p521: .ec(try ECPrivateKey.generate(.p521))
      case .edwards25519: .edwards(try EdwardsPrivateKey.generate(.ed25519))
      case .curve25519: .montgomery(try MontgomeryPrivateKey.generate(.x25519))
      }
    }
  }

  /// The curve, of keys on a curve that the token has.
  var curve: Curve? {
    switch self {
    case .rsa: nil
    case .ec(let key):
      switch key.curve {
      case .p256: .p256
      case .p384: .p384
      case .p521: .p521
      }
    case .edwards(let key): key.curve == .ed25519 ? .edwards25519 : nil
    case .montgomery(let key): key.curve == .x25519 ? .curve25519 : nil
    }
  }

  /// The public point without DER around it; empty for RSA.
  var point: [UInt8] {
    switch self {
    case .rsa: []
    case .ec(let key): key.publicPoint
    case .edwards(let key): key.publicBytes
    case .montgomery(let key): key.publicBytes
    }
  }

  func publicKeyInfo() throws(CryptoError) -> [UInt8] {
    switch self {
    case .rsa(let key): try key.publicKey.subjectPublicKeyInfo()
    case .ec(let key): try key.publicKey().subjectPublicKeyInfo()
    case .edwards(let key): try key.publicKey().subjectPublicKeyInfo()
    case .montgomery(let key): try key.subjectPublicKeyInfo()
    }
  }

  func pkcs8() throws(CryptoError) -> SecretBytes {
    switch self {
    case .rsa(let key): try key.pkcs8()
    case .ec(let key): try key.pkcs8()
    case .edwards(let key): try key.pkcs8()
    case .montgomery(let key): try key.pkcs8()
    }
  }

  /// All values of footnote 7.
  func secretValues() throws(CryptoError) -> [(AttributeType, SecretBytes)] {
    switch self {
    case .rsa(let key):
      let components = try key.components()
      let optional: [(AttributeType, SecretBytes?)] = [
        (.privateExponent, components.privateExponent), (.prime1, components.prime1), (.prime2, components.prime2),
        (.exponent1, components.exponent1), (.exponent2, components.exponent2),
        (.coefficient, components.coefficient),
      ]
      return optional.compactMap { type, value in value.map { (type, $0) } }
    case .ec(let key): return [(.value, key.scalar)]
    case .edwards(let key): return [(.value, key.seed)]
    case .montgomery(let key): return [(.value, key.privateBytes)]
    }
  }

  var cryptographicKey: CryptographicKey {
    switch self {
    case .rsa(let key): CryptographicKey(key)
    case .ec(let key): CryptographicKey(key)
    case .edwards(let key): CryptographicKey(key)
    case .montgomery(let key): CryptographicKey(key)
    }
  }
}
