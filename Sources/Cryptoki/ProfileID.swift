/// A conformance profile (CK_PROFILE_ID, CKP_). PKCS#11 3.2, chapter 4.
public struct ProfileID: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }

  /// Whether the value is in the range the specification leaves to vendors.
  @inlinable public var isVendorDefined: Bool { rawValue & 0x8000_0000 != 0 }
}

extension ProfileID {
  @inlinable public static var invalidID: Self { Self(rawValue: 0x0) }
  @inlinable public static var baselineProvider: Self { Self(rawValue: 0x1) }
  @inlinable public static var extendedProvider: Self { Self(rawValue: 0x2) }
  @inlinable public static var authenticationToken: Self { Self(rawValue: 0x3) }
  @inlinable public static var publicCertificatesToken: Self { Self(rawValue: 0x4) }
  @inlinable public static var completeProvider: Self { Self(rawValue: 0x5) }
  @inlinable public static var hkdfTLSToken: Self { Self(rawValue: 0x6) }
  @inlinable public static var vendorDefined: Self { Self(rawValue: 0x8000_0000) }
}

extension ProfileID {
  public static let namedValues: [(value: Self, name: String)] = [
    (.invalidID, "CKP_INVALID_ID"),
    (.baselineProvider, "CKP_BASELINE_PROVIDER"),
    (.extendedProvider, "CKP_EXTENDED_PROVIDER"),
    (.authenticationToken, "CKP_AUTHENTICATION_TOKEN"),
    (.publicCertificatesToken, "CKP_PUBLIC_CERTIFICATES_TOKEN"),
    (.completeProvider, "CKP_COMPLETE_PROVIDER"),
    (.hkdfTLSToken, "CKP_HKDF_TLS_TOKEN"),
    (.vendorDefined, "CKP_VENDOR_DEFINED"),
  ]
}
