/// What a token can do and the state of its PINs (the flags of CK_TOKEN_INFO). PKCS#11 3.2, chapter 3.
public struct TokenFlags: NamedFlags {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension TokenFlags {
  @inlinable public static var rng: Self { Self(rawValue: 0x1) }
  @inlinable public static var writeProtected: Self { Self(rawValue: 0x2) }
  @inlinable public static var loginRequired: Self { Self(rawValue: 0x4) }
  @inlinable public static var userPINInitialized: Self { Self(rawValue: 0x8) }
  @inlinable public static var restoreKeyNotNeeded: Self { Self(rawValue: 0x20) }
  @inlinable public static var clockOnToken: Self { Self(rawValue: 0x40) }
  @inlinable public static var protectedAuthenticationPath: Self { Self(rawValue: 0x100) }
  @inlinable public static var dualCryptoOperations: Self { Self(rawValue: 0x200) }
  @inlinable public static var tokenInitialized: Self { Self(rawValue: 0x400) }
  @inlinable public static var secondaryAuthentication: Self { Self(rawValue: 0x800) }
  @inlinable public static var userPINCountLow: Self { Self(rawValue: 0x0001_0000) }
  @inlinable public static var userPINFinalTry: Self { Self(rawValue: 0x0002_0000) }
  @inlinable public static var userPINLocked: Self { Self(rawValue: 0x0004_0000) }
  @inlinable public static var userPINToBeChanged: Self { Self(rawValue: 0x0008_0000) }
  @inlinable public static var soPINCountLow: Self { Self(rawValue: 0x0010_0000) }
  @inlinable public static var soPINFinalTry: Self { Self(rawValue: 0x0020_0000) }
  @inlinable public static var soPINLocked: Self { Self(rawValue: 0x0040_0000) }
  @inlinable public static var soPINToBeChanged: Self { Self(rawValue: 0x0080_0000) }
  @inlinable public static var errorState: Self { Self(rawValue: 0x0100_0000) }
  @inlinable public static var seedRandomRequired: Self { Self(rawValue: 0x0200_0000) }
  @inlinable public static var asyncSessionSupported: Self { Self(rawValue: 0x0400_0000) }
}

extension TokenFlags {
  public static let namedValues: [(value: Self, name: String)] = [
    (.rng, "CKF_RNG"),
    (.writeProtected, "CKF_WRITE_PROTECTED"),
    (.loginRequired, "CKF_LOGIN_REQUIRED"),
    (.userPINInitialized, "CKF_USER_PIN_INITIALIZED"),
    (.restoreKeyNotNeeded, "CKF_RESTORE_KEY_NOT_NEEDED"),
    (.clockOnToken, "CKF_CLOCK_ON_TOKEN"),
    (.protectedAuthenticationPath, "CKF_PROTECTED_AUTHENTICATION_PATH"),
    (.dualCryptoOperations, "CKF_DUAL_CRYPTO_OPERATIONS"),
    (.tokenInitialized, "CKF_TOKEN_INITIALIZED"),
    (.secondaryAuthentication, "CKF_SECONDARY_AUTHENTICATION"),
    (.userPINCountLow, "CKF_USER_PIN_COUNT_LOW"),
    (.userPINFinalTry, "CKF_USER_PIN_FINAL_TRY"),
    (.userPINLocked, "CKF_USER_PIN_LOCKED"),
    (.userPINToBeChanged, "CKF_USER_PIN_TO_BE_CHANGED"),
    (.soPINCountLow, "CKF_SO_PIN_COUNT_LOW"),
    (.soPINFinalTry, "CKF_SO_PIN_FINAL_TRY"),
    (.soPINLocked, "CKF_SO_PIN_LOCKED"),
    (.soPINToBeChanged, "CKF_SO_PIN_TO_BE_CHANGED"),
    (.errorState, "CKF_ERROR_STATE"),
    (.seedRandomRequired, "CKF_SEED_RANDOM_REQUIRED"),
    (.asyncSessionSupported, "CKF_ASYNC_SESSION_SUPPORTED"),
  ]
}
