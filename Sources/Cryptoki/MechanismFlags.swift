/// What a token can do with a mechanism (the flags of CK_MECHANISM_INFO). PKCS#11 3.2, chapter 3.
public struct MechanismFlags: NamedFlags {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension MechanismFlags {
  @inlinable public static var hw: Self { Self(rawValue: 0x1) }
  @inlinable public static var messageEncrypt: Self { Self(rawValue: 0x2) }
  @inlinable public static var messageDecrypt: Self { Self(rawValue: 0x4) }
  @inlinable public static var messageSign: Self { Self(rawValue: 0x8) }
  @inlinable public static var messageVerify: Self { Self(rawValue: 0x10) }
  @inlinable public static var multiMessage: Self { Self(rawValue: 0x20) }
  /// Older spelling of `multiMessage`.
  @inlinable public static var multiMessge: Self { .multiMessage }
  @inlinable public static var findObjects: Self { Self(rawValue: 0x40) }
  @inlinable public static var encrypt: Self { Self(rawValue: 0x100) }
  @inlinable public static var decrypt: Self { Self(rawValue: 0x200) }
  @inlinable public static var digest: Self { Self(rawValue: 0x400) }
  @inlinable public static var sign: Self { Self(rawValue: 0x800) }
  @inlinable public static var signRecover: Self { Self(rawValue: 0x1000) }
  @inlinable public static var verify: Self { Self(rawValue: 0x2000) }
  @inlinable public static var verifyRecover: Self { Self(rawValue: 0x4000) }
  @inlinable public static var generate: Self { Self(rawValue: 0x8000) }
  @inlinable public static var generateKeyPair: Self { Self(rawValue: 0x0001_0000) }
  @inlinable public static var wrap: Self { Self(rawValue: 0x0002_0000) }
  @inlinable public static var unwrap: Self { Self(rawValue: 0x0004_0000) }
  @inlinable public static var derive: Self { Self(rawValue: 0x0008_0000) }
  @inlinable public static var ecFP: Self { Self(rawValue: 0x0010_0000) }
  @inlinable public static var ecF2M: Self { Self(rawValue: 0x0020_0000) }
  @inlinable public static var ecECParameters: Self { Self(rawValue: 0x0040_0000) }
  @inlinable public static var ecOID: Self { Self(rawValue: 0x0080_0000) }
  /// Older spelling of `ecOID`.
  @inlinable public static var ecNamedCurve: Self { .ecOID }
  @inlinable public static var ecUncompress: Self { Self(rawValue: 0x0100_0000) }
  @inlinable public static var ecCompress: Self { Self(rawValue: 0x0200_0000) }
  @inlinable public static var ecCurveName: Self { Self(rawValue: 0x0400_0000) }
  @inlinable public static var encapsulate: Self { Self(rawValue: 0x1000_0000) }
  @inlinable public static var decapsulate: Self { Self(rawValue: 0x2000_0000) }
  @inlinable public static var `extension`: Self { Self(rawValue: 0x8000_0000) }
}

extension MechanismFlags {
  public static let namedValues: [(value: Self, name: String)] = [
    (.hw, "CKF_HW"),
    (.messageEncrypt, "CKF_MESSAGE_ENCRYPT"),
    (.messageDecrypt, "CKF_MESSAGE_DECRYPT"),
    (.messageSign, "CKF_MESSAGE_SIGN"),
    (.messageVerify, "CKF_MESSAGE_VERIFY"),
    (.multiMessage, "CKF_MULTI_MESSAGE"),
    (.findObjects, "CKF_FIND_OBJECTS"),
    (.encrypt, "CKF_ENCRYPT"),
    (.decrypt, "CKF_DECRYPT"),
    (.digest, "CKF_DIGEST"),
    (.sign, "CKF_SIGN"),
    (.signRecover, "CKF_SIGN_RECOVER"),
    (.verify, "CKF_VERIFY"),
    (.verifyRecover, "CKF_VERIFY_RECOVER"),
    (.generate, "CKF_GENERATE"),
    (.generateKeyPair, "CKF_GENERATE_KEY_PAIR"),
    (.wrap, "CKF_WRAP"),
    (.unwrap, "CKF_UNWRAP"),
    (.derive, "CKF_DERIVE"),
    (.ecFP, "CKF_EC_F_P"),
    (.ecF2M, "CKF_EC_F_2M"),
    (.ecECParameters, "CKF_EC_ECPARAMETERS"),
    (.ecOID, "CKF_EC_OID"),
    (.ecUncompress, "CKF_EC_UNCOMPRESS"),
    (.ecCompress, "CKF_EC_COMPRESS"),
    (.ecCurveName, "CKF_EC_CURVENAME"),
    (.encapsulate, "CKF_ENCAPSULATE"),
    (.decapsulate, "CKF_DECAPSULATE"),
    (.extension, "CKF_EXTENSION"),
  ]

  public static let olderNames: [(value: Self, name: String)] = [
    (.multiMessge, "CKF_MULTI_MESSGE"),
    (.ecNamedCurve, "CKF_EC_NAMEDCURVE"),
  ]
}
