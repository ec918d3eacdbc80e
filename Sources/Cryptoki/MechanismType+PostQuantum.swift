// Mechanisms (PKCS#11 3.2, chapter 6): ML-KEM, ML-DSA, SLH-DSA, HSS, XMSS.

extension MechanismType {
  @inlinable public static var mlKEMKeyPairGen: Self { Self(rawValue: 0xf) }
  @inlinable public static var mlKEM: Self { Self(rawValue: 0x17) }
  @inlinable public static var mlDSAKeyPairGen: Self { Self(rawValue: 0x1c) }
  @inlinable public static var mlDSA: Self { Self(rawValue: 0x1d) }
  @inlinable public static var hashMLDSA: Self { Self(rawValue: 0x1f) }
  @inlinable public static var hashMLDSASHA224: Self { Self(rawValue: 0x23) }
  @inlinable public static var hashMLDSASHA256: Self { Self(rawValue: 0x24) }
  @inlinable public static var hashMLDSASHA384: Self { Self(rawValue: 0x25) }
  @inlinable public static var hashMLDSASHA512: Self { Self(rawValue: 0x26) }
  @inlinable public static var hashMLDSASHA3_224: Self { Self(rawValue: 0x27) }
  @inlinable public static var hashMLDSASHA3_256: Self { Self(rawValue: 0x28) }
  @inlinable public static var hashMLDSASHA3_384: Self { Self(rawValue: 0x29) }
  @inlinable public static var hashMLDSASHA3_512: Self { Self(rawValue: 0x2a) }
  @inlinable public static var hashMLDSASHAKE128: Self { Self(rawValue: 0x2b) }
  @inlinable public static var hashMLDSASHAKE256: Self { Self(rawValue: 0x2c) }
  @inlinable public static var slhDSAKeyPairGen: Self { Self(rawValue: 0x2d) }
  @inlinable public static var slhDSA: Self { Self(rawValue: 0x2e) }
  @inlinable public static var hashSLHDSA: Self { Self(rawValue: 0x34) }
  @inlinable public static var hashSLHDSASHA224: Self { Self(rawValue: 0x36) }
  @inlinable public static var hashSLHDSASHA256: Self { Self(rawValue: 0x37) }
  @inlinable public static var hashSLHDSASHA384: Self { Self(rawValue: 0x38) }
  @inlinable public static var hashSLHDSASHA512: Self { Self(rawValue: 0x39) }
  @inlinable public static var hashSLHDSASHA3_224: Self { Self(rawValue: 0x3a) }
  @inlinable public static var hashSLHDSASHA3_256: Self { Self(rawValue: 0x3b) }
  @inlinable public static var hashSLHDSASHA3_384: Self { Self(rawValue: 0x3c) }
  @inlinable public static var hashSLHDSASHA3_512: Self { Self(rawValue: 0x3d) }
  @inlinable public static var hashSLHDSASHAKE128: Self { Self(rawValue: 0x3e) }
  @inlinable public static var hashSLHDSASHAKE256: Self { Self(rawValue: 0x3f) }
  @inlinable public static var hssKeyPairGen: Self { Self(rawValue: 0x4032) }
  @inlinable public static var hss: Self { Self(rawValue: 0x4033) }
  @inlinable public static var xmssKeyPairGen: Self { Self(rawValue: 0x4034) }
  @inlinable public static var xmssmtKeyPairGen: Self { Self(rawValue: 0x4035) }
  @inlinable public static var xmss: Self { Self(rawValue: 0x4036) }
  @inlinable public static var xmssmt: Self { Self(rawValue: 0x4037) }
}
