/// A parameter of a one-time password (CK_OTP_PARAM_TYPE, CK_OTP_). PKCS#11 3.2, chapter 6.
public struct OTPParameterType: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension OTPParameterType {
  @inlinable public static var value: Self { Self(rawValue: 0x0) }
  @inlinable public static var pin: Self { Self(rawValue: 0x1) }
  @inlinable public static var challenge: Self { Self(rawValue: 0x2) }
  @inlinable public static var time: Self { Self(rawValue: 0x3) }
  @inlinable public static var counter: Self { Self(rawValue: 0x4) }
  @inlinable public static var flags: Self { Self(rawValue: 0x5) }
  @inlinable public static var outputLength: Self { Self(rawValue: 0x6) }
  @inlinable public static var outputFormat: Self { Self(rawValue: 0x7) }
}

extension OTPParameterType {
  public static let namedValues: [(value: Self, name: String)] = [
    (.value, "CK_OTP_VALUE"),
    (.pin, "CK_OTP_PIN"),
    (.challenge, "CK_OTP_CHALLENGE"),
    (.time, "CK_OTP_TIME"),
    (.counter, "CK_OTP_COUNTER"),
    (.flags, "CK_OTP_FLAGS"),
    (.outputLength, "CK_OTP_OUTPUT_LENGTH"),
    (.outputFormat, "CK_OTP_OUTPUT_FORMAT"),
  ]
}
