/// How an application uses threads (the flags of CK_C_INITIALIZE_ARGS). PKCS#11 3.2, chapter 3.
public struct InitializeFlags: NamedFlags {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension InitializeFlags {
  @inlinable public static var libraryCantCreateOSThreads: Self { Self(rawValue: 0x1) }
  @inlinable public static var osLockingOK: Self { Self(rawValue: 0x2) }
}

extension InitializeFlags {
  public static let namedValues: [(value: Self, name: String)] = [
    (.libraryCantCreateOSThreads, "CKF_LIBRARY_CANT_CREATE_OS_THREADS"),
    (.osLockingOK, "CKF_OS_LOCKING_OK"),
  ]
}
