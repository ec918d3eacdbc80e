/// Who validated a token (CK_VALIDATION_AUTHORITY_TYPE, CKV_AUTHORITY_TYPE_). PKCS#11 3.2, chapter 4.
public struct ValidationAuthorityType: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension ValidationAuthorityType {
  @inlinable public static var unspecified: Self { Self(rawValue: 0x0) }
  @inlinable public static var nistCMVP: Self { Self(rawValue: 0x1) }
  @inlinable public static var commonCriteria: Self { Self(rawValue: 0x2) }
}

extension ValidationAuthorityType {
  public static let namedValues: [(value: Self, name: String)] = [
    (.unspecified, "CKV_AUTHORITY_TYPE_UNSPECIFIED"),
    (.nistCMVP, "CKV_AUTHORITY_TYPE_NIST_CMVP"),
    (.commonCriteria, "CKV_AUTHORITY_TYPE_COMMON_CRITERIA"),
  ]
}
