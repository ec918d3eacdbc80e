/// Where the salt of HKDF comes from (`ulSaltType` of CK_HKDF_PARAMS, CKF_HKDF_SALT_): one of them, never a union.
/// PKCS#11 3.2, chapter 6.
public struct HKDFSaltType: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension HKDFSaltType {
  @inlinable public static var null: Self { Self(rawValue: 0x1) }
  @inlinable public static var data: Self { Self(rawValue: 0x2) }
  @inlinable public static var key: Self { Self(rawValue: 0x4) }
}

extension HKDFSaltType {
  public static let namedValues: [(value: Self, name: String)] = [
    (.null, "CKF_HKDF_SALT_NULL"),
    (.data, "CKF_HKDF_SALT_DATA"),
    (.key, "CKF_HKDF_SALT_KEY"),
  ]
}
