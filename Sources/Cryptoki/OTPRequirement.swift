/// Whether a one-time password needs a parameter (CK_OTP_PARAM_). PKCS#11 3.2, chapter 6.
public struct OTPRequirement: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension OTPRequirement {
  @inlinable public static var ignored: Self { Self(rawValue: 0x0) }
  @inlinable public static var optional: Self { Self(rawValue: 0x1) }
  @inlinable public static var mandatory: Self { Self(rawValue: 0x2) }
}

extension OTPRequirement {
  public static let namedValues: [(value: Self, name: String)] = [
    (.ignored, "CK_OTP_PARAM_IGNORED"),
    (.optional, "CK_OTP_PARAM_OPTIONAL"),
    (.mandatory, "CK_OTP_PARAM_MANDATORY"),
  ]
}
