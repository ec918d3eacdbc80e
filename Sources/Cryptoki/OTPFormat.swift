/// How a one-time password is written (CKA_OTP_FORMAT, CK_OTP_FORMAT_). PKCS#11 3.2, chapter 6.
public struct OTPFormat: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension OTPFormat {
  @inlinable public static var decimal: Self { Self(rawValue: 0x0) }
  @inlinable public static var hexadecimal: Self { Self(rawValue: 0x1) }
  @inlinable public static var alphanumeric: Self { Self(rawValue: 0x2) }
  @inlinable public static var binary: Self { Self(rawValue: 0x3) }
}

extension OTPFormat {
  public static let namedValues: [(value: Self, name: String)] = [
    (.decimal, "CK_OTP_FORMAT_DECIMAL"),
    (.hexadecimal, "CK_OTP_FORMAT_HEXADECIMAL"),
    (.alphanumeric, "CK_OTP_FORMAT_ALPHANUMERIC"),
    (.binary, "CK_OTP_FORMAT_BINARY"),
  ]
}
