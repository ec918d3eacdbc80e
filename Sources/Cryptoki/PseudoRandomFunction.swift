/// The pseudo-random function of PBKDF2 (CK_PKCS5_PBKD2_PSEUDO_RANDOM_FUNCTION_TYPE, CKP_PKCS5_PBKD2_). PKCS#11 3.2,
/// chapter 6.
public struct PseudoRandomFunction: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension PseudoRandomFunction {
  @inlinable public static var hmacSHA1: Self { Self(rawValue: 0x1) }
  @inlinable public static var hmacGOSTR3411: Self { Self(rawValue: 0x2) }
  @inlinable public static var hmacSHA224: Self { Self(rawValue: 0x3) }
  @inlinable public static var hmacSHA256: Self { Self(rawValue: 0x4) }
  @inlinable public static var hmacSHA384: Self { Self(rawValue: 0x5) }
  @inlinable public static var hmacSHA512: Self { Self(rawValue: 0x6) }
  @inlinable public static var hmacSHA512_224: Self { Self(rawValue: 0x7) }
  @inlinable public static var hmacSHA512_256: Self { Self(rawValue: 0x8) }
}

extension PseudoRandomFunction {
  public static let namedValues: [(value: Self, name: String)] = [
    (.hmacSHA1, "CKP_PKCS5_PBKD2_HMAC_SHA1"),
    (.hmacGOSTR3411, "CKP_PKCS5_PBKD2_HMAC_GOSTR3411"),
    (.hmacSHA224, "CKP_PKCS5_PBKD2_HMAC_SHA224"),
    (.hmacSHA256, "CKP_PKCS5_PBKD2_HMAC_SHA256"),
    (.hmacSHA384, "CKP_PKCS5_PBKD2_HMAC_SHA384"),
    (.hmacSHA512, "CKP_PKCS5_PBKD2_HMAC_SHA512"),
    (.hmacSHA512_224, "CKP_PKCS5_PBKD2_HMAC_SHA512_224"),
    (.hmacSHA512_256, "CKP_PKCS5_PBKD2_HMAC_SHA512_256"),
  ]
}
