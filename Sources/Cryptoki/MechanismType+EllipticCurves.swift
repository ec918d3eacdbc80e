// Mechanisms (PKCS#11 3.2, chapter 6): Elliptic curves, extended triple Diffie-Hellman, double ratchet.

extension MechanismType {
  @inlinable public static var ecKeyPairGen: Self { Self(rawValue: 0x1040) }
  /// Older spelling of `ecKeyPairGen`.
  @inlinable public static var ecdsaKeyPairGen: Self { .ecKeyPairGen }
  @inlinable public static var ecdsa: Self { Self(rawValue: 0x1041) }
  @inlinable public static var ecdsaSHA1: Self { Self(rawValue: 0x1042) }
  @inlinable public static var ecdsaSHA224: Self { Self(rawValue: 0x1043) }
  @inlinable public static var ecdsaSHA256: Self { Self(rawValue: 0x1044) }
  @inlinable public static var ecdsaSHA384: Self { Self(rawValue: 0x1045) }
  @inlinable public static var ecdsaSHA512: Self { Self(rawValue: 0x1046) }
  @inlinable public static var ecdsaSHA3_224: Self { Self(rawValue: 0x1047) }
  @inlinable public static var ecdsaSHA3_256: Self { Self(rawValue: 0x1048) }
  @inlinable public static var ecdsaSHA3_384: Self { Self(rawValue: 0x1049) }
  @inlinable public static var ecdsaSHA3_512: Self { Self(rawValue: 0x104a) }
  @inlinable public static var ecdh1Derive: Self { Self(rawValue: 0x1050) }
  @inlinable public static var ecdh1CofactorDerive: Self { Self(rawValue: 0x1051) }
  @inlinable public static var ecmqvDerive: Self { Self(rawValue: 0x1052) }
  @inlinable public static var ecdhAESKeyWrap: Self { Self(rawValue: 0x1053) }
  @inlinable public static var ecEdwardsKeyPairGen: Self { Self(rawValue: 0x1055) }
  @inlinable public static var ecMontgomeryKeyPairGen: Self { Self(rawValue: 0x1056) }
  @inlinable public static var eddsa: Self { Self(rawValue: 0x1057) }
  @inlinable public static var ecKeyPairGenWExtraBits: Self { Self(rawValue: 0x140b) }
  @inlinable public static var x3dhInitialize: Self { Self(rawValue: 0x4023) }
  @inlinable public static var x3dhRespond: Self { Self(rawValue: 0x4024) }
  @inlinable public static var x2ratchetInitialize: Self { Self(rawValue: 0x4025) }
  @inlinable public static var x2ratchetRespond: Self { Self(rawValue: 0x4026) }
  @inlinable public static var x2ratchetEncrypt: Self { Self(rawValue: 0x4027) }
  @inlinable public static var x2ratchetDecrypt: Self { Self(rawValue: 0x4028) }
  @inlinable public static var xeddsa: Self { Self(rawValue: 0x4029) }
  @inlinable public static var ecdhXAESKeyWrap: Self { Self(rawValue: 0x4038) }
  @inlinable public static var ecdhCofAESKeyWrap: Self { Self(rawValue: 0x4039) }
}
