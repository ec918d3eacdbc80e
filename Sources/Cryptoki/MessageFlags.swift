/// Where a part of a message stands (the flags of C_EncryptMessageNext and its like). PKCS#11 3.2, chapter 5.
public struct MessageFlags: NamedFlags {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension MessageFlags {
  @inlinable public static var endOfMessage: Self { Self(rawValue: 0x1) }
}

extension MessageFlags {
  public static let namedValues: [(value: Self, name: String)] = [
    (.endOfMessage, "CKF_END_OF_MESSAGE")
  ]
}
