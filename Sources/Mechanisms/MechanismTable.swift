import CryptoCore
import Cryptoki

/// What a mechanism does, with the choices that its name fixes. Everything that depends on a mechanism switches over this.
public enum MechanismFamily: Sendable, Equatable {
  case digest(HashAlgorithm)
  /// `general`: the MAC's length is the parameter.
  case hmac(HashAlgorithm, general: Bool)
  case aesCMAC(general: Bool)
  case aesECB
  case aesCBC
  case aesCBCPad
  case aesCTR
  case aesGCM
  /// RFC 3394.
  case aesKeyWrap
  /// RFC 5649.
  case aesKeyWrapPadded
  /// PKCS#1 v1.5; without a hash, over the bytes as given.
  case rsaPKCS(HashAlgorithm?)
  /// Unpadded (CKM_RSA_X_509).
  case rsaRaw
  case rsaPSS(HashAlgorithm?)
  case rsaOAEP
  /// Without a hash, over a digest.
  case ecdsa(HashAlgorithm?)
  case edDSA
  case ecdh
  case generateKey(KeyType)
  case generateKeyPair(KeyType)
}

/// One line of the mechanism table: CK_MECHANISM_INFO and what the mechanism does.
public struct MechanismFacts: Sendable {
  public let type: MechanismType
  public let family: MechanismFamily
  /// Bits for RSA and elliptic curves and generic secrets, bytes for AES; 0 where keys have no size or none is used.
  public let minimumKeySize: UInt32
  public let maximumKeySize: UInt32
  public let flags: MechanismFlags
}

/// The mechanisms of the token: the one list that mechanism lists, mechanism information, checks and dispatch come from.
public enum MechanismTable {
  /// In ascending order of the CKM_ value.
  public static let all: [MechanismFacts] = (symmetric + rsa + ellipticCurve + hashed).sorted {
    $0.type.rawValue < $1.type.rawValue
  }

  /// The facts about a mechanism, or nil when the token does not have it.
  public static func facts(_ type: MechanismType) -> MechanismFacts? {
    guard type.rawValue < UInt32(places.count) else { return nil }
    let place = Int(places[Int(type.rawValue)])
    return place == 0 ? nil : all[place - 1]
  }

  /// The place of each mechanism in `all`, from 1, by its CKM_ value; 0 where there is none.
  private static let places: [UInt8] = {
    var places = [UInt8](repeating: 0, count: Int(all.last?.type.rawValue ?? 0) + 1)
    for (index, facts) in all.enumerated() { places[Int(facts.type.rawValue)] = UInt8(index + 1) }
    return places
  }()

  /// The hash that a digest mechanism names, as in the parameters of PSS and OAEP.
  public static func hash(named type: MechanismType) -> HashAlgorithm? {
    if case .digest(let hash)? = facts(type)?.family { hash } else { nil }
  }

  /// The hash of a mask generation function (CKG_ value).
  public static func hash(ofMaskGeneration mgf: UInt32) -> HashAlgorithm? {
    maskGenerationHashes.first { $0.0 == mgf }?.1
  }

  /// The hash of a key derivation function (CKD_ value): nil for CKD_NULL, and nil inside nil when it is unknown.
  public static func hash(ofKeyDerivation kdf: UInt32) -> HashAlgorithm?? {
    if kdf == 1 { return .some(nil) }
    guard let found = keyDerivationHashes.first(where: { $0.0 == kdf }) else { return nil }
    return .some(found.1)
  }

  private static let maskGenerationHashes: [(UInt32, HashAlgorithm)] = [
    (0x1, .sha1), (0x5, .sha224), (0x2, .sha256), (0x3, .sha384), (0x4, .sha512),
    (0x6, .sha3_224), (0x7, .sha3_256), (0x8, .sha3_384), (0x9, .sha3_512),
  ]

  private static let keyDerivationHashes: [(UInt32, HashAlgorithm)] = [
    (0x2, .sha1), (0x5, .sha224), (0x6, .sha256), (0x7, .sha384), (0x8, .sha512),
    (0xa, .sha3_224), (0xb, .sha3_256), (0xc, .sha3_384), (0xd, .sha3_512),
  ]

  private static func row(
    _ type: MechanismType, _ family: MechanismFamily, _ minimum: UInt32, _ maximum: UInt32, _ flags: MechanismFlags
  ) -> MechanismFacts {
    MechanismFacts(type: type, family: family, minimumKeySize: minimum, maximumKeySize: maximum, flags: flags)
  }

  private static let symmetric: [MechanismFacts] = [
    row(.genericSecretKeyGen, .generateKey(.genericSecret), 8, 32768, .generate),
    row(.aesKeyGen, .generateKey(.aes), 16, 32, .generate),
    row(.aesECB, .aesECB, 16, 32, [.encrypt, .decrypt, .wrap, .unwrap]),
    row(.aesCBC, .aesCBC, 16, 32, [.encrypt, .decrypt, .wrap, .unwrap]),
    row(.aesCBCPad, .aesCBCPad, 16, 32, [.encrypt, .decrypt, .wrap, .unwrap]),
    row(.aesCTR, .aesCTR, 16, 32, [.encrypt, .decrypt]),
    row(
      .aesGCM, .aesGCM, 16, 32,
      [.encrypt, .decrypt, .wrap, .unwrap, .messageEncrypt, .messageDecrypt, .multiMessage]),
    row(.aesKeyWrap, .aesKeyWrap, 16, 32, [.encrypt, .decrypt, .wrap, .unwrap]),
    row(.aesKeyWrapKWP, .aesKeyWrapPadded, 16, 32, [.encrypt, .decrypt, .wrap, .unwrap]),
    row(.aesCMAC, .aesCMAC(general: false), 16, 32, [.sign, .verify]),
    row(.aesCMACGeneral, .aesCMAC(general: true), 16, 32, [.sign, .verify]),
  ]

  /// The sizes of RSA keys in bits. What is generated has 2048 or more; smaller keys are taken in, for old signatures.
  private static let rsaSizes: (UInt32, UInt32) = (1024, 8192)

  /// Bits of the smallest RSA modulus that the token generates.
  public static let smallestGeneratedModulus: UInt32 = 2048

  private static let rsa: [MechanismFacts] =
    [
      row(.rsaPKCSKeyPairGen, .generateKeyPair(.rsa), smallestGeneratedModulus, rsaSizes.1, .generateKeyPair),
      row(
        .rsaPKCS, .rsaPKCS(nil), rsaSizes.0, rsaSizes.1, [.encrypt, .decrypt, .sign, .verify, .wrap, .unwrap]),
      row(.rsaX509, .rsaRaw, rsaSizes.0, rsaSizes.1, [.encrypt, .decrypt, .sign, .verify, .wrap, .unwrap]),
      row(.rsaPKCSPSS, .rsaPSS(nil), rsaSizes.0, rsaSizes.1, [.sign, .verify]),
      row(.rsaPKCSOAEP, .rsaOAEP, rsaSizes.0, rsaSizes.1, [.encrypt, .decrypt, .wrap, .unwrap]),
    ]
    + rsaHashes.flatMap { pkcs, pss, hash in
      [
        row(pkcs, .rsaPKCS(hash), rsaSizes.0, rsaSizes.1, [.sign, .verify]),
        row(pss, .rsaPSS(hash), rsaSizes.0, rsaSizes.1, [.sign, .verify]),
      ]
    }

  private static let rsaHashes: [(MechanismType, MechanismType, HashAlgorithm)] = [
    (.sha1RSAPKCS, .sha1RSAPKCSPSS, .sha1), (.sha224RSAPKCS, .sha224RSAPKCSPSS, .sha224),
    (.sha256RSAPKCS, .sha256RSAPKCSPSS, .sha256), (.sha384RSAPKCS, .sha384RSAPKCSPSS, .sha384),
    (.sha512RSAPKCS, .sha512RSAPKCSPSS, .sha512), (.sha3_224RSAPKCS, .sha3_224RSAPKCSPSS, .sha3_224),
    (.sha3_256RSAPKCS, .sha3_256RSAPKCSPSS, .sha3_256), (.sha3_384RSAPKCS, .sha3_384RSAPKCSPSS, .sha3_384),
    (.sha3_512RSAPKCS, .sha3_512RSAPKCSPSS, .sha3_512),
  ]

  /// Named curves over prime fields, by OID or name, with points in the uncompressed form.
  private static let curveFlags: MechanismFlags = [.ecFP, .ecOID, .ecUncompress]

  private static let ellipticCurve: [MechanismFacts] = [
    row(.ecKeyPairGen, .generateKeyPair(.ec), 256, 521, curveFlags.union(.generateKeyPair)),
    row(.ecEdwardsKeyPairGen, .generateKeyPair(.ecEdwards), 255, 255, [.generateKeyPair, .ecOID, .ecCurveName]),
    row(.ecMontgomeryKeyPairGen, .generateKeyPair(.ecMontgomery), 255, 255, [.generateKeyPair, .ecOID, .ecCurveName]),
    row(.ecdsa, .ecdsa(nil), 256, 521, curveFlags.union([.sign, .verify])),
    row(.ecdsaSHA1, .ecdsa(.sha1), 256, 521, curveFlags.union([.sign, .verify])),
    row(.ecdsaSHA224, .ecdsa(.sha224), 256, 521, curveFlags.union([.sign, .verify])),
    row(.ecdsaSHA256, .ecdsa(.sha256), 256, 521, curveFlags.union([.sign, .verify])),
    row(.ecdsaSHA384, .ecdsa(.sha384), 256, 521, curveFlags.union([.sign, .verify])),
    row(.ecdsaSHA512, .ecdsa(.sha512), 256, 521, curveFlags.union([.sign, .verify])),
    row(.ecdsaSHA3_224, .ecdsa(.sha3_224), 256, 521, curveFlags.union([.sign, .verify])),
    row(.ecdsaSHA3_256, .ecdsa(.sha3_256), 256, 521, curveFlags.union([.sign, .verify])),
    row(.ecdsaSHA3_384, .ecdsa(.sha3_384), 256, 521, curveFlags.union([.sign, .verify])),
    row(.ecdsaSHA3_512, .ecdsa(.sha3_512), 256, 521, curveFlags.union([.sign, .verify])),
    row(.eddsa, .edDSA, 255, 255, [.sign, .verify, .ecOID, .ecCurveName]),
    row(.ecdh1Derive, .ecdh, 255, 521, curveFlags.union(.derive)),
    row(.ecdh1CofactorDerive, .ecdh, 255, 521, curveFlags.union(.derive)),
  ]

  private static let hashed: [MechanismFacts] = hashes.flatMap { digest, hmac, general, hash in
    [
      row(digest, .digest(hash), 0, 0, .digest),
      row(hmac, .hmac(hash, general: false), 8, 32768, [.sign, .verify]),
      row(general, .hmac(hash, general: true), 8, 32768, [.sign, .verify]),
    ]
  }

  private static let hashes: [(MechanismType, MechanismType, MechanismType, HashAlgorithm)] = [
    (.sha1, .sha1HMAC, .sha1HMACGeneral, .sha1),
    (.sha224, .sha224HMAC, .sha224HMACGeneral, .sha224),
    (.sha256, .sha256HMAC, .sha256HMACGeneral, .sha256),
    (.sha384, .sha384HMAC, .sha384HMACGeneral, .sha384),
    (.sha512, .sha512HMAC, .sha512HMACGeneral, .sha512),
    (.sha512_224, .sha512_224HMAC, .sha512_224HMACGeneral, .sha512_224),
    (.sha512_256, .sha512_256HMAC, .sha512_256HMACGeneral, .sha512_256),
    (.sha3_224, .sha3_224HMAC, .sha3_224HMACGeneral, .sha3_224),
    (.sha3_256, .sha3_256HMAC, .sha3_256HMACGeneral, .sha3_256),
    (.sha3_384, .sha3_384HMAC, .sha3_384HMACGeneral, .sha3_384),
    (.sha3_512, .sha3_512HMAC, .sha3_512HMACGeneral, .sha3_512),
  ]
}
