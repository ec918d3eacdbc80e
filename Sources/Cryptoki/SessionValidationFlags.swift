/// The validation state of a session (C_GetSessionValidationFlags, CKS_). PKCS#11 3.2, chapter 5.
public struct SessionValidationFlags: NamedFlags {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension SessionValidationFlags {
  @inlinable public static var lastValidationOK: Self { Self(rawValue: 0x1) }
}

extension SessionValidationFlags {
  public static let namedValues: [(value: Self, name: String)] = [
    (.lastValidationOK, "CKS_LAST_VALIDATION_OK")
  ]
}
