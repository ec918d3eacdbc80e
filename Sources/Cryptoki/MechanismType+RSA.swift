// Mechanisms (PKCS#11 3.2, chapter 6): RSA.

extension MechanismType {
  @inlinable public static var rsaPKCSKeyPairGen: Self { Self(rawValue: 0x0) }
  @inlinable public static var rsaPKCS: Self { Self(rawValue: 0x1) }
  @inlinable public static var rsa9796: Self { Self(rawValue: 0x2) }
  @inlinable public static var rsaX509: Self { Self(rawValue: 0x3) }
  @inlinable public static var md2RSAPKCS: Self { Self(rawValue: 0x4) }
  @inlinable public static var md5RSAPKCS: Self { Self(rawValue: 0x5) }
  @inlinable public static var sha1RSAPKCS: Self { Self(rawValue: 0x6) }
  @inlinable public static var ripemd128RSAPKCS: Self { Self(rawValue: 0x7) }
  @inlinable public static var ripemd160RSAPKCS: Self { Self(rawValue: 0x8) }
  @inlinable public static var rsaPKCSOAEP: Self { Self(rawValue: 0x9) }
  @inlinable public static var rsaX9_31KeyPairGen: Self { Self(rawValue: 0xa) }
  @inlinable public static var rsaX9_31: Self { Self(rawValue: 0xb) }
  @inlinable public static var sha1RSAX9_31: Self { Self(rawValue: 0xc) }
  @inlinable public static var rsaPKCSPSS: Self { Self(rawValue: 0xd) }
  @inlinable public static var sha1RSAPKCSPSS: Self { Self(rawValue: 0xe) }
  @inlinable public static var sha256RSAPKCS: Self { Self(rawValue: 0x40) }
  @inlinable public static var sha384RSAPKCS: Self { Self(rawValue: 0x41) }
  @inlinable public static var sha512RSAPKCS: Self { Self(rawValue: 0x42) }
  @inlinable public static var sha256RSAPKCSPSS: Self { Self(rawValue: 0x43) }
  @inlinable public static var sha384RSAPKCSPSS: Self { Self(rawValue: 0x44) }
  @inlinable public static var sha512RSAPKCSPSS: Self { Self(rawValue: 0x45) }
  @inlinable public static var sha224RSAPKCS: Self { Self(rawValue: 0x46) }
  @inlinable public static var sha224RSAPKCSPSS: Self { Self(rawValue: 0x47) }
  @inlinable public static var sha3_256RSAPKCS: Self { Self(rawValue: 0x60) }
  @inlinable public static var sha3_384RSAPKCS: Self { Self(rawValue: 0x61) }
  @inlinable public static var sha3_512RSAPKCS: Self { Self(rawValue: 0x62) }
  @inlinable public static var sha3_256RSAPKCSPSS: Self { Self(rawValue: 0x63) }
  @inlinable public static var sha3_384RSAPKCSPSS: Self { Self(rawValue: 0x64) }
  @inlinable public static var sha3_512RSAPKCSPSS: Self { Self(rawValue: 0x65) }
  @inlinable public static var sha3_224RSAPKCS: Self { Self(rawValue: 0x66) }
  @inlinable public static var sha3_224RSAPKCSPSS: Self { Self(rawValue: 0x67) }
  @inlinable public static var rsaAESKeyWrap: Self { Self(rawValue: 0x1054) }
  @inlinable public static var rsaPKCSTPM1_1: Self { Self(rawValue: 0x4001) }
  @inlinable public static var rsaPKCSOAEPTPM1_1: Self { Self(rawValue: 0x4002) }
}
