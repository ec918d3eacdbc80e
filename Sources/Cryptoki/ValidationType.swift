/// What was validated (CK_VALIDATION_TYPE, CKV_TYPE_). PKCS#11 3.2, chapter 4.
public struct ValidationType: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension ValidationType {
  @inlinable public static var unspecified: Self { Self(rawValue: 0x0) }
  @inlinable public static var software: Self { Self(rawValue: 0x1) }
  @inlinable public static var hardware: Self { Self(rawValue: 0x2) }
  @inlinable public static var firmware: Self { Self(rawValue: 0x3) }
  @inlinable public static var hybrid: Self { Self(rawValue: 0x4) }
}

extension ValidationType {
  public static let namedValues: [(value: Self, name: String)] = [
    (.unspecified, "CKV_TYPE_UNSPECIFIED"),
    (.software, "CKV_TYPE_SOFTWARE"),
    (.hardware, "CKV_TYPE_HARDWARE"),
    (.firmware, "CKV_TYPE_FIRMWARE"),
    (.hybrid, "CKV_TYPE_HYBRID"),
  ]
}
