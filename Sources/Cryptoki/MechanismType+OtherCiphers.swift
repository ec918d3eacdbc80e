// Mechanisms (PKCS#11 3.2, chapter 6): Other block and stream ciphers, KEA, GOST.

extension MechanismType {
  @inlinable public static var rc2KeyGen: Self { Self(rawValue: 0x100) }
  @inlinable public static var rc2ECB: Self { Self(rawValue: 0x101) }
  @inlinable public static var rc2CBC: Self { Self(rawValue: 0x102) }
  @inlinable public static var rc2MAC: Self { Self(rawValue: 0x103) }
  @inlinable public static var rc2MACGeneral: Self { Self(rawValue: 0x104) }
  @inlinable public static var rc2CBCPad: Self { Self(rawValue: 0x105) }
  @inlinable public static var rc4KeyGen: Self { Self(rawValue: 0x110) }
  @inlinable public static var rc4: Self { Self(rawValue: 0x111) }
  @inlinable public static var desKeyGen: Self { Self(rawValue: 0x120) }
  @inlinable public static var desECB: Self { Self(rawValue: 0x121) }
  @inlinable public static var desCBC: Self { Self(rawValue: 0x122) }
  @inlinable public static var desMAC: Self { Self(rawValue: 0x123) }
  @inlinable public static var desMACGeneral: Self { Self(rawValue: 0x124) }
  @inlinable public static var desCBCPad: Self { Self(rawValue: 0x125) }
  @inlinable public static var des2KeyGen: Self { Self(rawValue: 0x130) }
  @inlinable public static var des3KeyGen: Self { Self(rawValue: 0x131) }
  @inlinable public static var des3ECB: Self { Self(rawValue: 0x132) }
  @inlinable public static var des3CBC: Self { Self(rawValue: 0x133) }
  @inlinable public static var des3MAC: Self { Self(rawValue: 0x134) }
  @inlinable public static var des3MACGeneral: Self { Self(rawValue: 0x135) }
  @inlinable public static var des3CBCPad: Self { Self(rawValue: 0x136) }
  @inlinable public static var des3CMACGeneral: Self { Self(rawValue: 0x137) }
  @inlinable public static var des3CMAC: Self { Self(rawValue: 0x138) }
  @inlinable public static var cdmfKeyGen: Self { Self(rawValue: 0x140) }
  @inlinable public static var cdmfECB: Self { Self(rawValue: 0x141) }
  @inlinable public static var cdmfCBC: Self { Self(rawValue: 0x142) }
  @inlinable public static var cdmfMAC: Self { Self(rawValue: 0x143) }
  @inlinable public static var cdmfMACGeneral: Self { Self(rawValue: 0x144) }
  @inlinable public static var cdmfCBCPad: Self { Self(rawValue: 0x145) }
  @inlinable public static var desOFB64: Self { Self(rawValue: 0x150) }
  @inlinable public static var desOFB8: Self { Self(rawValue: 0x151) }
  @inlinable public static var desCFB64: Self { Self(rawValue: 0x152) }
  @inlinable public static var desCFB8: Self { Self(rawValue: 0x153) }
  @inlinable public static var castKeyGen: Self { Self(rawValue: 0x300) }
  @inlinable public static var castECB: Self { Self(rawValue: 0x301) }
  @inlinable public static var castCBC: Self { Self(rawValue: 0x302) }
  @inlinable public static var castMAC: Self { Self(rawValue: 0x303) }
  @inlinable public static var castMACGeneral: Self { Self(rawValue: 0x304) }
  @inlinable public static var castCBCPad: Self { Self(rawValue: 0x305) }
  @inlinable public static var cast3KeyGen: Self { Self(rawValue: 0x310) }
  @inlinable public static var cast3ECB: Self { Self(rawValue: 0x311) }
  @inlinable public static var cast3CBC: Self { Self(rawValue: 0x312) }
  @inlinable public static var cast3MAC: Self { Self(rawValue: 0x313) }
  @inlinable public static var cast3MACGeneral: Self { Self(rawValue: 0x314) }
  @inlinable public static var cast3CBCPad: Self { Self(rawValue: 0x315) }
  @inlinable public static var cast128KeyGen: Self { Self(rawValue: 0x320) }
  /// Older spelling of `cast128KeyGen`.
  @inlinable public static var cast5KeyGen: Self { .cast128KeyGen }
  @inlinable public static var cast128ECB: Self { Self(rawValue: 0x321) }
  /// Older spelling of `cast128ECB`.
  @inlinable public static var cast5ECB: Self { .cast128ECB }
  @inlinable public static var cast128CBC: Self { Self(rawValue: 0x322) }
  /// Older spelling of `cast128CBC`.
  @inlinable public static var cast5CBC: Self { .cast128CBC }
  @inlinable public static var cast128MAC: Self { Self(rawValue: 0x323) }
  /// Older spelling of `cast128MAC`.
  @inlinable public static var cast5MAC: Self { .cast128MAC }
  @inlinable public static var cast128MACGeneral: Self { Self(rawValue: 0x324) }
  /// Older spelling of `cast128MACGeneral`.
  @inlinable public static var cast5MACGeneral: Self { .cast128MACGeneral }
  @inlinable public static var cast128CBCPad: Self { Self(rawValue: 0x325) }
  /// Older spelling of `cast128CBCPad`.
  @inlinable public static var cast5CBCPad: Self { .cast128CBCPad }
  @inlinable public static var rc5KeyGen: Self { Self(rawValue: 0x330) }
  @inlinable public static var rc5ECB: Self { Self(rawValue: 0x331) }
  @inlinable public static var rc5CBC: Self { Self(rawValue: 0x332) }
  @inlinable public static var rc5MAC: Self { Self(rawValue: 0x333) }
  @inlinable public static var rc5MACGeneral: Self { Self(rawValue: 0x334) }
  @inlinable public static var rc5CBCPad: Self { Self(rawValue: 0x335) }
  @inlinable public static var ideaKeyGen: Self { Self(rawValue: 0x340) }
  @inlinable public static var ideaECB: Self { Self(rawValue: 0x341) }
  @inlinable public static var ideaCBC: Self { Self(rawValue: 0x342) }
  @inlinable public static var ideaMAC: Self { Self(rawValue: 0x343) }
  @inlinable public static var ideaMACGeneral: Self { Self(rawValue: 0x344) }
  @inlinable public static var ideaCBCPad: Self { Self(rawValue: 0x345) }
  @inlinable public static var camelliaKeyGen: Self { Self(rawValue: 0x550) }
  @inlinable public static var camelliaECB: Self { Self(rawValue: 0x551) }
  @inlinable public static var camelliaCBC: Self { Self(rawValue: 0x552) }
  @inlinable public static var camelliaMAC: Self { Self(rawValue: 0x553) }
  @inlinable public static var camelliaMACGeneral: Self { Self(rawValue: 0x554) }
  @inlinable public static var camelliaCBCPad: Self { Self(rawValue: 0x555) }
  @inlinable public static var camelliaECBEncryptData: Self { Self(rawValue: 0x556) }
  @inlinable public static var camelliaCBCEncryptData: Self { Self(rawValue: 0x557) }
  @inlinable public static var camelliaCTR: Self { Self(rawValue: 0x558) }
  @inlinable public static var ariaKeyGen: Self { Self(rawValue: 0x560) }
  @inlinable public static var ariaECB: Self { Self(rawValue: 0x561) }
  @inlinable public static var ariaCBC: Self { Self(rawValue: 0x562) }
  @inlinable public static var ariaMAC: Self { Self(rawValue: 0x563) }
  @inlinable public static var ariaMACGeneral: Self { Self(rawValue: 0x564) }
  @inlinable public static var ariaCBCPad: Self { Self(rawValue: 0x565) }
  @inlinable public static var ariaECBEncryptData: Self { Self(rawValue: 0x566) }
  @inlinable public static var ariaCBCEncryptData: Self { Self(rawValue: 0x567) }
  @inlinable public static var seedKeyGen: Self { Self(rawValue: 0x650) }
  @inlinable public static var seedECB: Self { Self(rawValue: 0x651) }
  @inlinable public static var seedCBC: Self { Self(rawValue: 0x652) }
  @inlinable public static var seedMAC: Self { Self(rawValue: 0x653) }
  @inlinable public static var seedMACGeneral: Self { Self(rawValue: 0x654) }
  @inlinable public static var seedCBCPad: Self { Self(rawValue: 0x655) }
  @inlinable public static var seedECBEncryptData: Self { Self(rawValue: 0x656) }
  @inlinable public static var seedCBCEncryptData: Self { Self(rawValue: 0x657) }
  @inlinable public static var skipjackKeyGen: Self { Self(rawValue: 0x1000) }
  @inlinable public static var skipjackECB64: Self { Self(rawValue: 0x1001) }
  @inlinable public static var skipjackCBC64: Self { Self(rawValue: 0x1002) }
  @inlinable public static var skipjackOFB64: Self { Self(rawValue: 0x1003) }
  @inlinable public static var skipjackCFB64: Self { Self(rawValue: 0x1004) }
  @inlinable public static var skipjackCFB32: Self { Self(rawValue: 0x1005) }
  @inlinable public static var skipjackCFB16: Self { Self(rawValue: 0x1006) }
  @inlinable public static var skipjackCFB8: Self { Self(rawValue: 0x1007) }
  @inlinable public static var skipjackWrap: Self { Self(rawValue: 0x1008) }
  @inlinable public static var skipjackPrivateWrap: Self { Self(rawValue: 0x1009) }
  @inlinable public static var skipjackRelayX: Self { Self(rawValue: 0x100a) }
  @inlinable public static var keaKeyPairGen: Self { Self(rawValue: 0x1010) }
  @inlinable public static var keaKeyDerive: Self { Self(rawValue: 0x1011) }
  @inlinable public static var keaDerive: Self { Self(rawValue: 0x1012) }
  @inlinable public static var fortezzaTimestamp: Self { Self(rawValue: 0x1020) }
  @inlinable public static var batonKeyGen: Self { Self(rawValue: 0x1030) }
  @inlinable public static var batonECB128: Self { Self(rawValue: 0x1031) }
  @inlinable public static var batonECB96: Self { Self(rawValue: 0x1032) }
  @inlinable public static var batonCBC128: Self { Self(rawValue: 0x1033) }
  @inlinable public static var batonCounter: Self { Self(rawValue: 0x1034) }
  @inlinable public static var batonShuffle: Self { Self(rawValue: 0x1035) }
  @inlinable public static var batonWrap: Self { Self(rawValue: 0x1036) }
  @inlinable public static var juniperKeyGen: Self { Self(rawValue: 0x1060) }
  @inlinable public static var juniperECB128: Self { Self(rawValue: 0x1061) }
  @inlinable public static var juniperCBC128: Self { Self(rawValue: 0x1062) }
  @inlinable public static var juniperCounter: Self { Self(rawValue: 0x1063) }
  @inlinable public static var juniperShuffle: Self { Self(rawValue: 0x1064) }
  @inlinable public static var juniperWrap: Self { Self(rawValue: 0x1065) }
  @inlinable public static var fasthash: Self { Self(rawValue: 0x1070) }
  @inlinable public static var blowfishKeyGen: Self { Self(rawValue: 0x1090) }
  @inlinable public static var blowfishCBC: Self { Self(rawValue: 0x1091) }
  @inlinable public static var twofishKeyGen: Self { Self(rawValue: 0x1092) }
  @inlinable public static var twofishCBC: Self { Self(rawValue: 0x1093) }
  @inlinable public static var blowfishCBCPad: Self { Self(rawValue: 0x1094) }
  @inlinable public static var twofishCBCPad: Self { Self(rawValue: 0x1095) }
  @inlinable public static var desECBEncryptData: Self { Self(rawValue: 0x1100) }
  @inlinable public static var desCBCEncryptData: Self { Self(rawValue: 0x1101) }
  @inlinable public static var des3ECBEncryptData: Self { Self(rawValue: 0x1102) }
  @inlinable public static var des3CBCEncryptData: Self { Self(rawValue: 0x1103) }
  @inlinable public static var gostr3410KeyPairGen: Self { Self(rawValue: 0x1200) }
  @inlinable public static var gostr3410: Self { Self(rawValue: 0x1201) }
  @inlinable public static var gostr3410WithGOSTR3411: Self { Self(rawValue: 0x1202) }
  @inlinable public static var gostr3410KeyWrap: Self { Self(rawValue: 0x1203) }
  @inlinable public static var gostr3410Derive: Self { Self(rawValue: 0x1204) }
  @inlinable public static var gostr3411: Self { Self(rawValue: 0x1210) }
  @inlinable public static var gostr3411HMAC: Self { Self(rawValue: 0x1211) }
  @inlinable public static var gost28147KeyGen: Self { Self(rawValue: 0x1220) }
  @inlinable public static var gost28147ECB: Self { Self(rawValue: 0x1221) }
  @inlinable public static var gost28147: Self { Self(rawValue: 0x1222) }
  @inlinable public static var gost28147MAC: Self { Self(rawValue: 0x1223) }
  @inlinable public static var gost28147KeyWrap: Self { Self(rawValue: 0x1224) }
}
