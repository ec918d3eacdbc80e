/// What a trust object says of a certificate (CK_TRUST, CKT_). PKCS#11 3.2, chapter 4.
public struct Trust: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension Trust {
  @inlinable public static var trustUnknown: Self { Self(rawValue: 0x0) }
  @inlinable public static var trusted: Self { Self(rawValue: 0x1) }
  @inlinable public static var trustAnchor: Self { Self(rawValue: 0x2) }
  @inlinable public static var notTrusted: Self { Self(rawValue: 0x3) }
  @inlinable public static var trustMustVerifyTrust: Self { Self(rawValue: 0x4) }
}

extension Trust {
  public static let namedValues: [(value: Self, name: String)] = [
    (.trustUnknown, "CKT_TRUST_UNKNOWN"),
    (.trusted, "CKT_TRUSTED"),
    (.trustAnchor, "CKT_TRUST_ANCHOR"),
    (.notTrusted, "CKT_NOT_TRUSTED"),
    (.trustMustVerifyTrust, "CKT_TRUST_MUST_VERIFY_TRUST"),
  ]
}
