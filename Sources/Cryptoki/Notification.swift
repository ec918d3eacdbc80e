/// An event a token tells an application of (CK_NOTIFICATION, CKN_). PKCS#11 3.2, chapter 3.
public struct Notification: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension Notification {
  @inlinable public static var surrender: Self { Self(rawValue: 0x0) }
  @inlinable public static var otpChanged: Self { Self(rawValue: 0x1) }
}

extension Notification {
  public static let namedValues: [(value: Self, name: String)] = [
    (.surrender, "CKN_SURRENDER"),
    (.otpChanged, "CKN_OTP_CHANGED"),
  ]
}
