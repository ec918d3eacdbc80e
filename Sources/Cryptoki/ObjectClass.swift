/// The class of an object (CK_OBJECT_CLASS, CKO_). PKCS#11 3.2, chapter 4.
public struct ObjectClass: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }

  /// Whether the value is in the range the specification leaves to vendors.
  @inlinable public var isVendorDefined: Bool { rawValue & 0x8000_0000 != 0 }
}

extension ObjectClass {
  @inlinable public static var data: Self { Self(rawValue: 0x0) }
  @inlinable public static var certificate: Self { Self(rawValue: 0x1) }
  @inlinable public static var publicKey: Self { Self(rawValue: 0x2) }
  @inlinable public static var privateKey: Self { Self(rawValue: 0x3) }
  @inlinable public static var secretKey: Self { Self(rawValue: 0x4) }
  @inlinable public static var hwFeature: Self { Self(rawValue: 0x5) }
  @inlinable public static var domainParameters: Self { Self(rawValue: 0x6) }
  @inlinable public static var mechanism: Self { Self(rawValue: 0x7) }
  @inlinable public static var otpKey: Self { Self(rawValue: 0x8) }
  @inlinable public static var profile: Self { Self(rawValue: 0x9) }
  @inlinable public static var validation: Self { Self(rawValue: 0xa) }
  @inlinable public static var trust: Self { Self(rawValue: 0xb) }
  @inlinable public static var vendorDefined: Self { Self(rawValue: 0x8000_0000) }
}

extension ObjectClass {
  public static let namedValues: [(value: Self, name: String)] = [
    (.data, "CKO_DATA"),
    (.certificate, "CKO_CERTIFICATE"),
    (.publicKey, "CKO_PUBLIC_KEY"),
    (.privateKey, "CKO_PRIVATE_KEY"),
    (.secretKey, "CKO_SECRET_KEY"),
    (.hwFeature, "CKO_HW_FEATURE"),
    (.domainParameters, "CKO_DOMAIN_PARAMETERS"),
    (.mechanism, "CKO_MECHANISM"),
    (.otpKey, "CKO_OTP_KEY"),
    (.profile, "CKO_PROFILE"),
    (.validation, "CKO_VALIDATION"),
    (.trust, "CKO_TRUST"),
    (.vendorDefined, "CKO_VENDOR_DEFINED"),
  ]
}
