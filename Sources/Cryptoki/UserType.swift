/// Who logs in (CK_USER_TYPE, CKU_). PKCS#11 3.2, chapter 3.
public struct UserType: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension UserType {
  @inlinable public static var so: Self { Self(rawValue: 0x0) }
  @inlinable public static var user: Self { Self(rawValue: 0x1) }
  @inlinable public static var contextSpecific: Self { Self(rawValue: 0x2) }
}

extension UserType {
  public static let namedValues: [(value: Self, name: String)] = [
    (.so, "CKU_SO"),
    (.user, "CKU_USER"),
    (.contextSpecific, "CKU_CONTEXT_SPECIFIC"),
  ]
}
