/// A feature of the device that is presented as an object (CK_HW_FEATURE_TYPE, CKH_). PKCS#11 3.2, chapter 4.
public struct HardwareFeatureType: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }

  /// Whether the value is in the range the specification leaves to vendors.
  @inlinable public var isVendorDefined: Bool { rawValue & 0x8000_0000 != 0 }
}

extension HardwareFeatureType {
  @inlinable public static var monotonicCounter: Self { Self(rawValue: 0x1) }
  @inlinable public static var clock: Self { Self(rawValue: 0x2) }
  @inlinable public static var userInterface: Self { Self(rawValue: 0x3) }
  @inlinable public static var vendorDefined: Self { Self(rawValue: 0x8000_0000) }
}

extension HardwareFeatureType {
  public static let namedValues: [(value: Self, name: String)] = [
    (.monotonicCounter, "CKH_MONOTONIC_COUNTER"),
    (.clock, "CKH_CLOCK"),
    (.userInterface, "CKH_USER_INTERFACE"),
    (.vendorDefined, "CKH_VENDOR_DEFINED"),
  ]
}
