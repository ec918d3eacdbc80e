/// The Java MIDP security domain of a certificate (CK_JAVA_MIDP_SECURITY_DOMAIN). PKCS#11 3.2, chapter 4.
public struct JavaSecurityDomain: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension JavaSecurityDomain {
  @inlinable public static var unspecified: Self { Self(rawValue: 0x0) }
  @inlinable public static var manufacturer: Self { Self(rawValue: 0x1) }
  @inlinable public static var `operator`: Self { Self(rawValue: 0x2) }
  @inlinable public static var thirdParty: Self { Self(rawValue: 0x3) }
}

extension JavaSecurityDomain {
  public static let namedValues: [(value: Self, name: String)] = [
    (.unspecified, "CK_SECURITY_DOMAIN_UNSPECIFIED"),
    (.manufacturer, "CK_SECURITY_DOMAIN_MANUFACTURER"),
    (.operator, "CK_SECURITY_DOMAIN_OPERATOR"),
    (.thirdParty, "CK_SECURITY_DOMAIN_THIRD_PARTY"),
  ]
}
