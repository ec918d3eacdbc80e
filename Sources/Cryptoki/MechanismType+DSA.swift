// Mechanisms (PKCS#11 3.2, chapter 6): DSA.

extension MechanismType {
  @inlinable public static var dsaKeyPairGen: Self { Self(rawValue: 0x10) }
  @inlinable public static var dsa: Self { Self(rawValue: 0x11) }
  @inlinable public static var dsaSHA1: Self { Self(rawValue: 0x12) }
  @inlinable public static var dsaSHA224: Self { Self(rawValue: 0x13) }
  @inlinable public static var dsaSHA256: Self { Self(rawValue: 0x14) }
  @inlinable public static var dsaSHA384: Self { Self(rawValue: 0x15) }
  @inlinable public static var dsaSHA512: Self { Self(rawValue: 0x16) }
  @inlinable public static var dsaSHA3_224: Self { Self(rawValue: 0x18) }
  @inlinable public static var dsaSHA3_256: Self { Self(rawValue: 0x19) }
  @inlinable public static var dsaSHA3_384: Self { Self(rawValue: 0x1a) }
  @inlinable public static var dsaSHA3_512: Self { Self(rawValue: 0x1b) }
  @inlinable public static var dsaParameterGen: Self { Self(rawValue: 0x2000) }
  @inlinable public static var dsaProbabilisticParameterGen: Self { Self(rawValue: 0x2003) }
  /// Older spelling of `dsaProbabilisticParameterGen`.
  @inlinable public static var dsaProbablisticParameterGen: Self { .dsaProbabilisticParameterGen }
  @inlinable public static var dsaShaweTaylorParameterGen: Self { Self(rawValue: 0x2004) }
  @inlinable public static var dsaFIPSGGen: Self { Self(rawValue: 0x2005) }
}
