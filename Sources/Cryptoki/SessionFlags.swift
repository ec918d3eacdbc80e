/// The mode of a session (the flags of C_OpenSession and CK_SESSION_INFO). PKCS#11 3.2, chapter 3.
public struct SessionFlags: NamedFlags {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension SessionFlags {
  @inlinable public static var rwSession: Self { Self(rawValue: 0x2) }
  @inlinable public static var serialSession: Self { Self(rawValue: 0x4) }
  @inlinable public static var asyncSession: Self { Self(rawValue: 0x8) }
}

extension SessionFlags {
  public static let namedValues: [(value: Self, name: String)] = [
    (.rwSession, "CKF_RW_SESSION"),
    (.serialSession, "CKF_SERIAL_SESSION"),
    (.asyncSession, "CKF_ASYNC_SESSION"),
  ]
}
