/// Where the salt of PBKDF2 comes from (CK_PKCS5_PBKDF2_SALT_SOURCE_TYPE, CKZ_). PKCS#11 3.2, chapter 6.
public struct SaltSource: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension SaltSource {
  @inlinable public static var saltSpecified: Self { Self(rawValue: 0x1) }
}

extension SaltSource {
  public static let namedValues: [(value: Self, name: String)] = [
    (.saltSpecified, "CKZ_SALT_SPECIFIED")
  ]
}
