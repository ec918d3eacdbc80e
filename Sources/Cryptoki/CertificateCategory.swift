/// Whose certificate it is (CK_CERTIFICATE_CATEGORY). PKCS#11 3.2, chapter 4.
public struct CertificateCategory: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension CertificateCategory {
  @inlinable public static var unspecified: Self { Self(rawValue: 0x0) }
  @inlinable public static var tokenUser: Self { Self(rawValue: 0x1) }
  @inlinable public static var authority: Self { Self(rawValue: 0x2) }
  @inlinable public static var otherEntity: Self { Self(rawValue: 0x3) }
}

extension CertificateCategory {
  public static let namedValues: [(value: Self, name: String)] = [
    (.unspecified, "CK_CERTIFICATE_CATEGORY_UNSPECIFIED"),
    (.tokenUser, "CK_CERTIFICATE_CATEGORY_TOKEN_USER"),
    (.authority, "CK_CERTIFICATE_CATEGORY_AUTHORITY"),
    (.otherEntity, "CK_CERTIFICATE_CATEGORY_OTHER_ENTITY"),
  ]
}
