import CryptoCore
import Cryptoki
import Mechanisms

/// Between attributes and keys: what the token computes of an object's attributes, and the key in an object.
enum KeyCodec {
  /// Bits of the RSA keys that may be brought in.
  static let rsaSizes = 1024...8192
  /// Bits of the RSA keys that are made here.
  static let generatedRSASizes: ClosedRange<Int> = {
    guard let facts = MechanismTable.facts(.rsaPKCSKeyPairGen) else { return 2048...4096 }
    return Int(facts.minimumKeySize)...Int(facts.maximumKeySize)
  }()
  /// Bytes of a generic secret.
  static let genericSecretSizes = 1...4096

  // MARK: Completing drafts

  /// Checks the values of an object that C_CreateObject makes, and adds what the token computes.
  /// Answers the secret values.
  static func complete(_ draft: inout ObjectDraft) throws(ReturnValue) -> SecretAttributes? {
    switch draft.schema.objectClass {
    case .certificate:
      try completeCertificate(&draft.attributes)
      return nil
    case .publicKey:
      try completePublicKey(&draft.attributes, of: draft.schema)
      setOrigin(&draft, generatedBy: nil)
      return nil
    case .privateKey:
      let secrets = draft.secrets
      let key = try PrivateKeyMaterial(draft.attributes) { type in secrets?.secret(type) }
      setOrigin(&draft, generatedBy: nil)
      return try completePrivateKey(&draft.attributes, key)
    case .secretKey:
      guard let secrets = draft.secrets else { throw .templateIncomplete }
      setOrigin(&draft, generatedBy: nil)
      try completeSecretKey(&draft, secrets, wrongSize: .attributeValueInvalid)
      return secrets
    default: return nil
    }
  }

  /// CKA_LOCAL and its kin: of keys made here by a mechanism, else (nil) of keys that come from elsewhere.
  static func setOrigin(_ draft: inout ObjectDraft, generatedBy mechanism: MechanismType?) {
    draft.put(.local, mechanism != nil)
    draft.put(.keyGenMechanism, mechanism.map { UInt($0.rawValue) } ?? Amount.unavailable)
    guard draft.schema.objectClass != .publicKey else { return }
    draft.put(.alwaysSensitive, mechanism != nil && draft.bool(.sensitive))
    draft.put(.neverExtractable, mechanism != nil && !draft.bool(.extractable))
  }

  /// Adds CKA_VALUE_LEN and, to what is not for one session alone, CKA_CHECK_VALUE, which `checkValue` computes of
  /// session objects when somebody asks. Throws `wrongSize` for a value that no key of the type has, and
  /// CKR_ATTRIBUTE_VALUE_INVALID for a check value of another key.
  static func completeSecretKey(
    _ draft: inout ObjectDraft, _ secrets: SecretAttributes, wrongSize: ReturnValue
  ) throws(ReturnValue) {
    let keyType = draft.schema.keyType
    guard let count = secrets.byteCount(.value), admits(count, keyType) else { throw wrongSize }
    draft.put(.valueLen, UInt(count))
    // Three bytes of a function of a short secret tell the secret: none for what a restricted key unwrapped or will
    // be.
    if draft.bool(.strongroomRestrictedOutput) { return draft.attributes.set(.checkValue, []) }
    let given = draft.gives(.checkValue) ? draft.attributes.bytes(.checkValue) : nil
    guard given?.isEmpty != true, given != nil || draft.bool(.token) else { return }
    let checkValue = try checkValue(of: secrets, keyType)
    guard given == nil || given == checkValue else { throw .attributeValueInvalid }
    draft.attributes.set(.checkValue, checkValue)
  }

  static func admits(_ byteCount: Int, _ keyType: KeyType?) -> Bool {
    keyType == .aes ? [16, 24, 32].contains(byteCount) : genericSecretSizes.contains(byteCount)
  }

  /// AES: the first three bytes of an encrypted block of zeros; others: of the SHA-1 digest (PKCS#11 3.2, secret
  /// keys).
  static func checkValue(of secrets: SecretAttributes, _ keyType: KeyType?) throws(ReturnValue) -> [UInt8] {
    guard let value = secrets.secret(.value) else { throw .deviceError }
    return try computing { () throws(CryptoError) in
      guard keyType == .aes else {
        return try value.withBytes { (value) throws(CryptoError) in
          Array(try HashAlgorithm.sha1.digest(value).prefix(3))
        }
      }
      var operation = try AESKey(value).begin(.ecb, .encrypt)
      var block = [UInt8](repeating: 0, count: 16)
      var span = block.mutableSpan
      _ = try span.withUnsafeMutableBytes { (block) throws(CryptoError) in
        try operation.update(UnsafeRawBufferPointer(block), into: block)
      }
      return Array(block.prefix(3))
    }
  }

  /// Adds the open values of a private key, and checks those that the template gave. Answers the secret ones.
  static func completePrivateKey(
    _ attributes: inout AttributeSet, _ key: PrivateKeyMaterial
  ) throws(ReturnValue) -> SecretAttributes {
    if case .rsa(let key) = key {
      attributes.set(.modulus, key.publicKey.modulus)
      attributes.set(.publicExponent, key.publicKey.publicExponent)
    } else if let curve = key.curve {
      if !attributes.contains(.ecParams) { attributes.set(.ecParams, curve.identifier) }
      let given = try attributes.bytes(.ecPoint).map { (value) throws(ReturnValue) in try curve.point(value) }
      guard given == nil || given == key.point else { throw .attributeValueInvalid }
      attributes.set(.ecPoint, PointEncoding.octetString(key.point))
    }
    let information = try computing { () throws(CryptoError) in try key.publicKeyInfo() }
    let isOther = attributes.withBytes(.publicKeyInfo) { $0.map { !$0.isEmpty && !$0.elementsEqual(information) } }
    if isOther == true { throw .attributeValueInvalid }
    attributes.set(.publicKeyInfo, information)
    return SecretAttributes(try computing { () throws(CryptoError) in try key.secretValues() })
  }

  /// Adds what follows from the values of a public key, and checks them.
  static func completePublicKey(_ attributes: inout AttributeSet, of schema: ObjectSchema) throws(ReturnValue) {
    guard let keyType = schema.keyType else { throw .templateIncomplete }
    let information: [UInt8]
    if keyType == .rsa {
      do throws(CryptoError) {
        let key = try RSAPublicKey(
          modulus: attributes.bytes(.modulus) ?? [], publicExponent: attributes.bytes(.publicExponent) ?? [],
          sizes: rsaSizes)
        attributes.set(.modulusBits, UInt(key.bitCount))
        information = try key.subjectPublicKeyInfo()
      } catch {
        throw .attributeValueInvalid
      }
    } else {
      let curve = try Curve.named(attributes.bytes(.ecParams) ?? [], for: keyType)
      let point = try curve.point(attributes.bytes(.ecPoint) ?? [])
      do throws(CryptoError) {
        switch curve {
        case .p256: information = try ECPublicKey(.p256, point: point).subjectPublicKeyInfo()
        case .p384: information = try ECPublicKey(.p384, point: point).subjectPublicKeyInfo()
        case .p521: information = try ECPublicKey(.p521, point: point).subjectPublicKeyInfo()
        case .edwards25519:
          information = try EdwardsPublicKey(.ed25519, publicBytes: point).subjectPublicKeyInfo()
        case .curve25519: information = try MontgomeryCurve.x25519.subjectPublicKeyInfo(publicBytes: point)
        }
      } catch {
        throw .attributeValueInvalid
      }
      attributes.set(.ecPoint, PointEncoding.octetString(point))
    }
    let isOther = attributes.withBytes(.publicKeyInfo) { $0.map { !$0.isEmpty && !$0.elementsEqual(information) } }
    if isOther == true { throw .attributeValueInvalid }
    attributes.set(.publicKeyInfo, information)
  }

  /// CKA_CHECK_VALUE of certificates: the first three bytes of the SHA-1 digest.
  private static func completeCertificate(_ attributes: inout AttributeSet) throws(ReturnValue) {
    guard let value = attributes.bytes(.value), !value.isEmpty else { return }
    if attributes.withBytes(.checkValue, { $0?.isEmpty == true }) { return }
    let checkValue = try computing { () throws(CryptoError) in
      Array(try HashAlgorithm.sha1.digest(value).prefix(3))
    }
    guard attributes.withBytes(.checkValue, { $0?.elementsEqual(checkValue) ?? true }) else {
      throw .attributeValueInvalid
    }
    attributes.set(.checkValue, checkValue)
  }

  // MARK: Keys of objects

  /// What the module computes public-key operations with: modulus and exponent, or parameters and point.
  static func publicParts(_ attributes: AttributeSet) -> [[UInt8]] {
    if let modulus = attributes.bytes(.modulus) { return [modulus, attributes.bytes(.publicExponent) ?? []] }
    guard let parameters = attributes.bytes(.ecParams), let curve = Curve(parameters: parameters),
      let point = attributes.bytes(.ecPoint).flatMap({ try? curve.point($0) })
    else { return [] }
    return [parameters, point]
  }

  /// The key in an object.
  static func key(_ attributes: AttributeSet, _ secrets: SecretAttributes?) throws(ReturnValue) -> CryptographicKey {
    let keyType = KeyType(rawValue: attributes.ulong(.keyType) ?? .max)
    switch attributes.ulong(.class).map({ ObjectClass(rawValue: $0) }) {
    case .secretKey?:
      guard let value = secrets?.secret(.value) else { throw .deviceError }
      return try CryptographicKey(secret: value, keyType: keyType)
    case .privateKey?:
      guard let secrets else { throw .deviceError }
      do throws(ReturnValue) {
        return try PrivateKeyMaterial(attributes, secret: secrets.secret).cryptographicKey
      } catch {
        throw .deviceError
      }
    case .publicKey?: return try publicKey(attributes, keyType)
    default: throw .keyHandleInvalid
    }
  }

  private static func publicKey(
    _ attributes: AttributeSet, _ keyType: KeyType
  ) throws(ReturnValue) -> CryptographicKey {
    let parts = publicParts(attributes)
    guard parts.count == 2 else { throw .deviceError }
    do throws(CryptoError) {
      if keyType == .rsa {
        return CryptographicKey(try RSAPublicKey(modulus: parts[0], publicExponent: parts[1], sizes: rsaSizes))
      }
      switch Curve(parameters: parts[0]) {
      case .p256?: return CryptographicKey(try ECPublicKey(.p256, point: parts[1]))
      case .p384?: return CryptographicKey(try ECPublicKey(.p384, point: parts[1]))
      case .p521?: return CryptographicKey(try ECPublicKey(.p521, point: parts[1]))
      case .edwards25519?: return CryptographicKey(try EdwardsPublicKey(.ed25519, publicBytes: parts[1]))
      case .curve25519?, nil: throw CryptoError(.unsupported, in: "KeyCodec")
      }
    } catch {
      throw .keyTypeInconsistent
    }
  }
}
