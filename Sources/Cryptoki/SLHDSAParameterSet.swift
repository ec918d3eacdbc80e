/// A parameter set of SLH-DSA (CK_SLH_DSA_PARAMETER_SET_TYPE, CKP_SLH_DSA_). PKCS#11 3.2, chapter 6.
public struct SLHDSAParameterSet: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension SLHDSAParameterSet {
  @inlinable public static var slhDSASHA2_128S: Self { Self(rawValue: 0x1) }
  @inlinable public static var slhDSASHAKE128S: Self { Self(rawValue: 0x2) }
  @inlinable public static var slhDSASHA2_128F: Self { Self(rawValue: 0x3) }
  @inlinable public static var slhDSASHAKE128F: Self { Self(rawValue: 0x4) }
  @inlinable public static var slhDSASHA2_192S: Self { Self(rawValue: 0x5) }
  @inlinable public static var slhDSASHAKE192S: Self { Self(rawValue: 0x6) }
  @inlinable public static var slhDSASHA2_192F: Self { Self(rawValue: 0x7) }
  @inlinable public static var slhDSASHAKE192F: Self { Self(rawValue: 0x8) }
  @inlinable public static var slhDSASHA2_256S: Self { Self(rawValue: 0x9) }
  @inlinable public static var slhDSASHAKE256S: Self { Self(rawValue: 0xa) }
  @inlinable public static var slhDSASHA2_256F: Self { Self(rawValue: 0xb) }
  @inlinable public static var slhDSASHAKE256F: Self { Self(rawValue: 0xc) }
}

extension SLHDSAParameterSet {
  public static let namedValues: [(value: Self, name: String)] = [
    (.slhDSASHA2_128S, "CKP_SLH_DSA_SHA2_128S"),
    (.slhDSASHAKE128S, "CKP_SLH_DSA_SHAKE_128S"),
    (.slhDSASHA2_128F, "CKP_SLH_DSA_SHA2_128F"),
    (.slhDSASHAKE128F, "CKP_SLH_DSA_SHAKE_128F"),
    (.slhDSASHA2_192S, "CKP_SLH_DSA_SHA2_192S"),
    (.slhDSASHAKE192S, "CKP_SLH_DSA_SHAKE_192S"),
    (.slhDSASHA2_192F, "CKP_SLH_DSA_SHA2_192F"),
    (.slhDSASHAKE192F, "CKP_SLH_DSA_SHAKE_192F"),
    (.slhDSASHA2_256S, "CKP_SLH_DSA_SHA2_256S"),
    (.slhDSASHAKE256S, "CKP_SLH_DSA_SHAKE_256S"),
    (.slhDSASHA2_256F, "CKP_SLH_DSA_SHA2_256F"),
    (.slhDSASHAKE256F, "CKP_SLH_DSA_SHAKE_256F"),
  ]
}
