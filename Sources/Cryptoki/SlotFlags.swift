/// What a slot is (the flags of CK_SLOT_INFO). PKCS#11 3.2, chapter 3.
public struct SlotFlags: NamedFlags {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension SlotFlags {
  @inlinable public static var tokenPresent: Self { Self(rawValue: 0x1) }
  @inlinable public static var removableDevice: Self { Self(rawValue: 0x2) }
  @inlinable public static var hwSlot: Self { Self(rawValue: 0x4) }
}

extension SlotFlags {
  public static let namedValues: [(value: Self, name: String)] = [
    (.tokenPresent, "CKF_TOKEN_PRESENT"),
    (.removableDevice, "CKF_REMOVABLE_DEVICE"),
    (.hwSlot, "CKF_HW_SLOT"),
  ]
}
