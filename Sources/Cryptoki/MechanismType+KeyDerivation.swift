// Mechanisms (PKCS#11 3.2, chapter 6): Key derivation: generic secrets, SSL, TLS, WTLS, passwords, SP800-108, HKDF,
// IKE, CT-KIP.

extension MechanismType {
  @inlinable public static var tls12ExtendedMasterKeyDerive: Self { Self(rawValue: 0x56) }
  @inlinable public static var tls12ExtendedMasterKeyDeriveDH: Self { Self(rawValue: 0x57) }
  @inlinable public static var genericSecretKeyGen: Self { Self(rawValue: 0x350) }
  @inlinable public static var concatenateBaseAndKey: Self { Self(rawValue: 0x360) }
  @inlinable public static var concatenateBaseAndData: Self { Self(rawValue: 0x362) }
  @inlinable public static var concatenateDataAndBase: Self { Self(rawValue: 0x363) }
  @inlinable public static var xorBaseAndData: Self { Self(rawValue: 0x364) }
  @inlinable public static var extractKeyFromKey: Self { Self(rawValue: 0x365) }
  @inlinable public static var ssl3PreMasterKeyGen: Self { Self(rawValue: 0x370) }
  @inlinable public static var ssl3MasterKeyDerive: Self { Self(rawValue: 0x371) }
  @inlinable public static var ssl3KeyAndMACDerive: Self { Self(rawValue: 0x372) }
  @inlinable public static var ssl3MasterKeyDeriveDH: Self { Self(rawValue: 0x373) }
  @inlinable public static var tlsPreMasterKeyGen: Self { Self(rawValue: 0x374) }
  @inlinable public static var tlsMasterKeyDerive: Self { Self(rawValue: 0x375) }
  @inlinable public static var tlsKeyAndMACDerive: Self { Self(rawValue: 0x376) }
  @inlinable public static var tlsMasterKeyDeriveDH: Self { Self(rawValue: 0x377) }
  @inlinable public static var tlsPRF: Self { Self(rawValue: 0x378) }
  @inlinable public static var ssl3MD5MAC: Self { Self(rawValue: 0x380) }
  @inlinable public static var ssl3SHA1MAC: Self { Self(rawValue: 0x381) }
  @inlinable public static var pbeMD2DESCBC: Self { Self(rawValue: 0x3a0) }
  @inlinable public static var pbeMD5DESCBC: Self { Self(rawValue: 0x3a1) }
  @inlinable public static var pbeMD5CASTCBC: Self { Self(rawValue: 0x3a2) }
  @inlinable public static var pbeMD5CAST3CBC: Self { Self(rawValue: 0x3a3) }
  @inlinable public static var pbeMD5CAST128CBC: Self { Self(rawValue: 0x3a4) }
  /// Older spelling of `pbeMD5CAST128CBC`.
  @inlinable public static var pbeMD5CAST5CBC: Self { .pbeMD5CAST128CBC }
  @inlinable public static var pbeSHA1CAST128CBC: Self { Self(rawValue: 0x3a5) }
  /// Older spelling of `pbeSHA1CAST128CBC`.
  @inlinable public static var pbeSHA1CAST5CBC: Self { .pbeSHA1CAST128CBC }
  @inlinable public static var pbeSHA1RC4_128: Self { Self(rawValue: 0x3a6) }
  @inlinable public static var pbeSHA1RC4_40: Self { Self(rawValue: 0x3a7) }
  @inlinable public static var pbeSHA1DES3EDECBC: Self { Self(rawValue: 0x3a8) }
  @inlinable public static var pbeSHA1DES2EDECBC: Self { Self(rawValue: 0x3a9) }
  @inlinable public static var pbeSHA1RC2_128CBC: Self { Self(rawValue: 0x3aa) }
  @inlinable public static var pbeSHA1RC2_40CBC: Self { Self(rawValue: 0x3ab) }
  @inlinable public static var sp800_108CounterKDF: Self { Self(rawValue: 0x3ac) }
  @inlinable public static var sp800_108FeedbackKDF: Self { Self(rawValue: 0x3ad) }
  @inlinable public static var sp800_108DoublePipelineKDF: Self { Self(rawValue: 0x3ae) }
  @inlinable public static var pkcs5PBKD2: Self { Self(rawValue: 0x3b0) }
  @inlinable public static var pbaSHA1WithSHA1HMAC: Self { Self(rawValue: 0x3c0) }
  @inlinable public static var wtlsPreMasterKeyGen: Self { Self(rawValue: 0x3d0) }
  @inlinable public static var wtlsMasterKeyDerive: Self { Self(rawValue: 0x3d1) }
  @inlinable public static var wtlsMasterKeyDeriveDHECC: Self { Self(rawValue: 0x3d2) }
  @inlinable public static var wtlsPRF: Self { Self(rawValue: 0x3d3) }
  @inlinable public static var wtlsServerKeyAndMACDerive: Self { Self(rawValue: 0x3d4) }
  @inlinable public static var wtlsClientKeyAndMACDerive: Self { Self(rawValue: 0x3d5) }
  @inlinable public static var tls10MACServer: Self { Self(rawValue: 0x3d6) }
  @inlinable public static var tls10MACClient: Self { Self(rawValue: 0x3d7) }
  @inlinable public static var tls12MAC: Self { Self(rawValue: 0x3d8) }
  @inlinable public static var tls12KDF: Self { Self(rawValue: 0x3d9) }
  @inlinable public static var tls12MasterKeyDerive: Self { Self(rawValue: 0x3e0) }
  @inlinable public static var tls12KeyAndMACDerive: Self { Self(rawValue: 0x3e1) }
  @inlinable public static var tls12MasterKeyDeriveDH: Self { Self(rawValue: 0x3e2) }
  @inlinable public static var tls12KeySafeDerive: Self { Self(rawValue: 0x3e3) }
  @inlinable public static var tlsMAC: Self { Self(rawValue: 0x3e4) }
  @inlinable public static var tlsKDF: Self { Self(rawValue: 0x3e5) }
  @inlinable public static var kipDerive: Self { Self(rawValue: 0x510) }
  @inlinable public static var kipWrap: Self { Self(rawValue: 0x511) }
  @inlinable public static var kipMAC: Self { Self(rawValue: 0x512) }
  @inlinable public static var hkdfDerive: Self { Self(rawValue: 0x402a) }
  @inlinable public static var hkdfData: Self { Self(rawValue: 0x402b) }
  @inlinable public static var hkdfKeyGen: Self { Self(rawValue: 0x402c) }
  @inlinable public static var ike2PRFPlusDerive: Self { Self(rawValue: 0x402e) }
  @inlinable public static var ikePRFDerive: Self { Self(rawValue: 0x402f) }
  @inlinable public static var ike1PRFDerive: Self { Self(rawValue: 0x4030) }
  @inlinable public static var ike1ExtendedDerive: Self { Self(rawValue: 0x4031) }
  @inlinable public static var pubKeyFromPrivKey: Self { Self(rawValue: 0x403a) }
}
