// Mechanisms (PKCS#11 3.2, chapter 6): AES.

extension MechanismType {
  @inlinable public static var aesXTS: Self { Self(rawValue: 0x1071) }
  @inlinable public static var aesXTSKeyGen: Self { Self(rawValue: 0x1072) }
  @inlinable public static var aesKeyGen: Self { Self(rawValue: 0x1080) }
  @inlinable public static var aesECB: Self { Self(rawValue: 0x1081) }
  @inlinable public static var aesCBC: Self { Self(rawValue: 0x1082) }
  @inlinable public static var aesMAC: Self { Self(rawValue: 0x1083) }
  @inlinable public static var aesMACGeneral: Self { Self(rawValue: 0x1084) }
  @inlinable public static var aesCBCPad: Self { Self(rawValue: 0x1085) }
  @inlinable public static var aesCTR: Self { Self(rawValue: 0x1086) }
  @inlinable public static var aesGCM: Self { Self(rawValue: 0x1087) }
  @inlinable public static var aesCCM: Self { Self(rawValue: 0x1088) }
  @inlinable public static var aesCTS: Self { Self(rawValue: 0x1089) }
  @inlinable public static var aesCMAC: Self { Self(rawValue: 0x108a) }
  @inlinable public static var aesCMACGeneral: Self { Self(rawValue: 0x108b) }
  @inlinable public static var aesXCBCMAC: Self { Self(rawValue: 0x108c) }
  @inlinable public static var aesXCBCMAC96: Self { Self(rawValue: 0x108d) }
  @inlinable public static var aesGMAC: Self { Self(rawValue: 0x108e) }
  @inlinable public static var aesECBEncryptData: Self { Self(rawValue: 0x1104) }
  @inlinable public static var aesCBCEncryptData: Self { Self(rawValue: 0x1105) }
  @inlinable public static var aesOFB: Self { Self(rawValue: 0x2104) }
  @inlinable public static var aesCFB64: Self { Self(rawValue: 0x2105) }
  @inlinable public static var aesCFB8: Self { Self(rawValue: 0x2106) }
  @inlinable public static var aesCFB128: Self { Self(rawValue: 0x2107) }
  @inlinable public static var aesCFB1: Self { Self(rawValue: 0x2108) }
  @inlinable public static var aesKeyWrap: Self { Self(rawValue: 0x2109) }
  @inlinable public static var aesKeyWrapPad: Self { Self(rawValue: 0x210a) }
  @inlinable public static var aesKeyWrapKWP: Self { Self(rawValue: 0x210b) }
  @inlinable public static var aesKeyWrapPKCS7: Self { Self(rawValue: 0x210c) }
}
