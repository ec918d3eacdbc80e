/// The mask generation function of RSA OAEP and PSS (CK_RSA_PKCS_MGF_TYPE, CKG_MGF1_). PKCS#11 3.2, chapter 6.
public struct MaskGenerationFunction: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension MaskGenerationFunction {
  @inlinable public static var mgf1SHA1: Self { Self(rawValue: 0x1) }
  @inlinable public static var mgf1SHA256: Self { Self(rawValue: 0x2) }
  @inlinable public static var mgf1SHA384: Self { Self(rawValue: 0x3) }
  @inlinable public static var mgf1SHA512: Self { Self(rawValue: 0x4) }
  @inlinable public static var mgf1SHA224: Self { Self(rawValue: 0x5) }
  @inlinable public static var mgf1SHA3_224: Self { Self(rawValue: 0x6) }
  @inlinable public static var mgf1SHA3_256: Self { Self(rawValue: 0x7) }
  @inlinable public static var mgf1SHA3_384: Self { Self(rawValue: 0x8) }
  @inlinable public static var mgf1SHA3_512: Self { Self(rawValue: 0x9) }
}

extension MaskGenerationFunction {
  public static let namedValues: [(value: Self, name: String)] = [
    (.mgf1SHA1, "CKG_MGF1_SHA1"),
    (.mgf1SHA256, "CKG_MGF1_SHA256"),
    (.mgf1SHA384, "CKG_MGF1_SHA384"),
    (.mgf1SHA512, "CKG_MGF1_SHA512"),
    (.mgf1SHA224, "CKG_MGF1_SHA224"),
    (.mgf1SHA3_224, "CKG_MGF1_SHA3_224"),
    (.mgf1SHA3_256, "CKG_MGF1_SHA3_256"),
    (.mgf1SHA3_384, "CKG_MGF1_SHA3_384"),
    (.mgf1SHA3_512, "CKG_MGF1_SHA3_512"),
  ]
}
