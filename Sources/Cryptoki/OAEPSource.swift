/// Where the encoding parameter of RSA OAEP comes from (CK_RSA_PKCS_OAEP_SOURCE_TYPE, CKZ_). PKCS#11 3.2, chapter 6.
public struct OAEPSource: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension OAEPSource {
  @inlinable public static var dataSpecified: Self { Self(rawValue: 0x1) }
}

extension OAEPSource {
  public static let namedValues: [(value: Self, name: String)] = [
    (.dataSpecified, "CKZ_DATA_SPECIFIED")
  ]
}
