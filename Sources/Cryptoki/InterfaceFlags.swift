/// What an interface promises (the flags of CK_INTERFACE). PKCS#11 3.2, chapter 3.
public struct InterfaceFlags: NamedFlags {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension InterfaceFlags {
  @inlinable public static var interfaceForkSafe: Self { Self(rawValue: 0x1) }
}

extension InterfaceFlags {
  public static let namedValues: [(value: Self, name: String)] = [
    (.interfaceForkSafe, "CKF_INTERFACE_FORK_SAFE")
  ]
}
