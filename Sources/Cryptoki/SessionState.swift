/// What a session may do: its mode and who is logged in (CK_STATE, CKS_). PKCS#11 3.2, chapter 3.
public struct SessionState: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension SessionState {
  @inlinable public static var roPublicSession: Self { Self(rawValue: 0x0) }
  @inlinable public static var roUserFunctions: Self { Self(rawValue: 0x1) }
  @inlinable public static var rwPublicSession: Self { Self(rawValue: 0x2) }
  @inlinable public static var rwUserFunctions: Self { Self(rawValue: 0x3) }
  @inlinable public static var rwSOFunctions: Self { Self(rawValue: 0x4) }
}

extension SessionState {
  public static let namedValues: [(value: Self, name: String)] = [
    (.roPublicSession, "CKS_RO_PUBLIC_SESSION"),
    (.roUserFunctions, "CKS_RO_USER_FUNCTIONS"),
    (.rwPublicSession, "CKS_RW_PUBLIC_SESSION"),
    (.rwUserFunctions, "CKS_RW_USER_FUNCTIONS"),
    (.rwSOFunctions, "CKS_RW_SO_FUNCTIONS"),
  ]
}
