/// How to wait for a slot event (the flags of C_WaitForSlotEvent). PKCS#11 3.2, chapter 5.
public struct SlotEventFlags: NamedFlags {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension SlotEventFlags {
  @inlinable public static var dontBlock: Self { Self(rawValue: 0x1) }
}

extension SlotEventFlags {
  public static let namedValues: [(value: Self, name: String)] = [
    (.dontBlock, "CKF_DONT_BLOCK")
  ]
}
