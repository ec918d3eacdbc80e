/// How a one-time password is to be made (the value of CK_OTP_FLAGS). PKCS#11 3.2, chapter 6.
public struct OTPFlags: NamedFlags {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension OTPFlags {
  @inlinable public static var nextOTP: Self { Self(rawValue: 0x1) }
  @inlinable public static var excludeTime: Self { Self(rawValue: 0x2) }
  @inlinable public static var excludeCounter: Self { Self(rawValue: 0x4) }
  @inlinable public static var excludeChallenge: Self { Self(rawValue: 0x8) }
  @inlinable public static var excludePIN: Self { Self(rawValue: 0x10) }
  @inlinable public static var userFriendlyOTP: Self { Self(rawValue: 0x20) }
}

extension OTPFlags {
  public static let namedValues: [(value: Self, name: String)] = [
    (.nextOTP, "CKF_NEXT_OTP"),
    (.excludeTime, "CKF_EXCLUDE_TIME"),
    (.excludeCounter, "CKF_EXCLUDE_COUNTER"),
    (.excludeChallenge, "CKF_EXCLUDE_CHALLENGE"),
    (.excludePIN, "CKF_EXCLUDE_PIN"),
    (.userFriendlyOTP, "CKF_USER_FRIENDLY_OTP"),
  ]
}
