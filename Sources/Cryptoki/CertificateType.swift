/// The format of a certificate object (CK_CERTIFICATE_TYPE, CKC_). PKCS#11 3.2, chapter 4.
public struct CertificateType: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }

  /// Whether the value is in the range the specification leaves to vendors.
  @inlinable public var isVendorDefined: Bool { rawValue & 0x8000_0000 != 0 }
}

extension CertificateType {
  @inlinable public static var x509: Self { Self(rawValue: 0x0) }
  @inlinable public static var x509AttrCert: Self { Self(rawValue: 0x1) }
  @inlinable public static var wtls: Self { Self(rawValue: 0x2) }
  @inlinable public static var vendorDefined: Self { Self(rawValue: 0x8000_0000) }
}

extension CertificateType {
  public static let namedValues: [(value: Self, name: String)] = [
    (.x509, "CKC_X_509"),
    (.x509AttrCert, "CKC_X_509_ATTR_CERT"),
    (.wtls, "CKC_WTLS"),
    (.vendorDefined, "CKC_VENDOR_DEFINED"),
  ]
}
