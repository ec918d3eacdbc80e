// Mechanisms (PKCS#11 3.2, chapter 6): Digests, HMAC and hash-based key derivation.

extension MechanismType {
  @inlinable public static var sha512_224: Self { Self(rawValue: 0x48) }
  @inlinable public static var sha512_224HMAC: Self { Self(rawValue: 0x49) }
  @inlinable public static var sha512_224HMACGeneral: Self { Self(rawValue: 0x4a) }
  @inlinable public static var sha512_224KeyDerivation: Self { Self(rawValue: 0x4b) }
  @inlinable public static var sha512_256: Self { Self(rawValue: 0x4c) }
  @inlinable public static var sha512_256HMAC: Self { Self(rawValue: 0x4d) }
  @inlinable public static var sha512_256HMACGeneral: Self { Self(rawValue: 0x4e) }
  @inlinable public static var sha512_256KeyDerivation: Self { Self(rawValue: 0x4f) }
  @inlinable public static var sha512T: Self { Self(rawValue: 0x50) }
  @inlinable public static var sha512THMAC: Self { Self(rawValue: 0x51) }
  @inlinable public static var sha512THMACGeneral: Self { Self(rawValue: 0x52) }
  @inlinable public static var sha512TKeyDerivation: Self { Self(rawValue: 0x53) }
  @inlinable public static var md2: Self { Self(rawValue: 0x200) }
  @inlinable public static var md2HMAC: Self { Self(rawValue: 0x201) }
  @inlinable public static var md2HMACGeneral: Self { Self(rawValue: 0x202) }
  @inlinable public static var md5: Self { Self(rawValue: 0x210) }
  @inlinable public static var md5HMAC: Self { Self(rawValue: 0x211) }
  @inlinable public static var md5HMACGeneral: Self { Self(rawValue: 0x212) }
  @inlinable public static var sha1: Self { Self(rawValue: 0x220) }
  @inlinable public static var sha1HMAC: Self { Self(rawValue: 0x221) }
  @inlinable public static var sha1HMACGeneral: Self { Self(rawValue: 0x222) }
  @inlinable public static var ripemd128: Self { Self(rawValue: 0x230) }
  @inlinable public static var ripemd128HMAC: Self { Self(rawValue: 0x231) }
  @inlinable public static var ripemd128HMACGeneral: Self { Self(rawValue: 0x232) }
  @inlinable public static var ripemd160: Self { Self(rawValue: 0x240) }
  @inlinable public static var ripemd160HMAC: Self { Self(rawValue: 0x241) }
  @inlinable public static var ripemd160HMACGeneral: Self { Self(rawValue: 0x242) }
  @inlinable public static var sha256: Self { Self(rawValue: 0x250) }
  @inlinable public static var sha256HMAC: Self { Self(rawValue: 0x251) }
  @inlinable public static var sha256HMACGeneral: Self { Self(rawValue: 0x252) }
  @inlinable public static var sha224: Self { Self(rawValue: 0x255) }
  @inlinable public static var sha224HMAC: Self { Self(rawValue: 0x256) }
  @inlinable public static var sha224HMACGeneral: Self { Self(rawValue: 0x257) }
  @inlinable public static var sha384: Self { Self(rawValue: 0x260) }
  @inlinable public static var sha384HMAC: Self { Self(rawValue: 0x261) }
  @inlinable public static var sha384HMACGeneral: Self { Self(rawValue: 0x262) }
  @inlinable public static var sha512: Self { Self(rawValue: 0x270) }
  @inlinable public static var sha512HMAC: Self { Self(rawValue: 0x271) }
  @inlinable public static var sha512HMACGeneral: Self { Self(rawValue: 0x272) }
  @inlinable public static var sha3_256: Self { Self(rawValue: 0x2b0) }
  @inlinable public static var sha3_256HMAC: Self { Self(rawValue: 0x2b1) }
  @inlinable public static var sha3_256HMACGeneral: Self { Self(rawValue: 0x2b2) }
  @inlinable public static var sha3_256KeyGen: Self { Self(rawValue: 0x2b3) }
  @inlinable public static var sha3_224: Self { Self(rawValue: 0x2b5) }
  @inlinable public static var sha3_224HMAC: Self { Self(rawValue: 0x2b6) }
  @inlinable public static var sha3_224HMACGeneral: Self { Self(rawValue: 0x2b7) }
  @inlinable public static var sha3_224KeyGen: Self { Self(rawValue: 0x2b8) }
  @inlinable public static var sha3_384: Self { Self(rawValue: 0x2c0) }
  @inlinable public static var sha3_384HMAC: Self { Self(rawValue: 0x2c1) }
  @inlinable public static var sha3_384HMACGeneral: Self { Self(rawValue: 0x2c2) }
  @inlinable public static var sha3_384KeyGen: Self { Self(rawValue: 0x2c3) }
  @inlinable public static var sha3_512: Self { Self(rawValue: 0x2d0) }
  @inlinable public static var sha3_512HMAC: Self { Self(rawValue: 0x2d1) }
  @inlinable public static var sha3_512HMACGeneral: Self { Self(rawValue: 0x2d2) }
  @inlinable public static var sha3_512KeyGen: Self { Self(rawValue: 0x2d3) }
  @inlinable public static var md5KeyDerivation: Self { Self(rawValue: 0x390) }
  @inlinable public static var md2KeyDerivation: Self { Self(rawValue: 0x391) }
  @inlinable public static var sha1KeyDerivation: Self { Self(rawValue: 0x392) }
  @inlinable public static var sha256KeyDerivation: Self { Self(rawValue: 0x393) }
  @inlinable public static var sha384KeyDerivation: Self { Self(rawValue: 0x394) }
  @inlinable public static var sha512KeyDerivation: Self { Self(rawValue: 0x395) }
  @inlinable public static var sha224KeyDerivation: Self { Self(rawValue: 0x396) }
  @inlinable public static var sha3_256KeyDerivation: Self { Self(rawValue: 0x397) }
  /// Older spelling of `sha3_256KeyDerivation`.
  @inlinable public static var sha3_256KeyDerive: Self { .sha3_256KeyDerivation }
  @inlinable public static var sha3_224KeyDerivation: Self { Self(rawValue: 0x398) }
  /// Older spelling of `sha3_224KeyDerivation`.
  @inlinable public static var sha3_224KeyDerive: Self { .sha3_224KeyDerivation }
  @inlinable public static var sha3_384KeyDerivation: Self { Self(rawValue: 0x399) }
  /// Older spelling of `sha3_384KeyDerivation`.
  @inlinable public static var sha3_384KeyDerive: Self { .sha3_384KeyDerivation }
  @inlinable public static var sha3_512KeyDerivation: Self { Self(rawValue: 0x39a) }
  /// Older spelling of `sha3_512KeyDerivation`.
  @inlinable public static var sha3_512KeyDerive: Self { .sha3_512KeyDerivation }
  @inlinable public static var shake128KeyDerivation: Self { Self(rawValue: 0x39b) }
  /// Older spelling of `shake128KeyDerivation`.
  @inlinable public static var shake128KeyDerive: Self { .shake128KeyDerivation }
  @inlinable public static var shake256KeyDerivation: Self { Self(rawValue: 0x39c) }
  /// Older spelling of `shake256KeyDerivation`.
  @inlinable public static var shake256KeyDerive: Self { .shake256KeyDerivation }
  @inlinable public static var sha1KeyGen: Self { Self(rawValue: 0x4003) }
  @inlinable public static var sha224KeyGen: Self { Self(rawValue: 0x4004) }
  @inlinable public static var sha256KeyGen: Self { Self(rawValue: 0x4005) }
  @inlinable public static var sha384KeyGen: Self { Self(rawValue: 0x4006) }
  @inlinable public static var sha512KeyGen: Self { Self(rawValue: 0x4007) }
  @inlinable public static var sha512_224KeyGen: Self { Self(rawValue: 0x4008) }
  @inlinable public static var sha512_256KeyGen: Self { Self(rawValue: 0x4009) }
  @inlinable public static var sha512TKeyGen: Self { Self(rawValue: 0x400a) }
  @inlinable public static var blake2b160: Self { Self(rawValue: 0x400c) }
  @inlinable public static var blake2b160HMAC: Self { Self(rawValue: 0x400d) }
  @inlinable public static var blake2b160HMACGeneral: Self { Self(rawValue: 0x400e) }
  @inlinable public static var blake2b160KeyDerive: Self { Self(rawValue: 0x400f) }
  @inlinable public static var blake2b160KeyGen: Self { Self(rawValue: 0x4010) }
  @inlinable public static var blake2b256: Self { Self(rawValue: 0x4011) }
  @inlinable public static var blake2b256HMAC: Self { Self(rawValue: 0x4012) }
  @inlinable public static var blake2b256HMACGeneral: Self { Self(rawValue: 0x4013) }
  @inlinable public static var blake2b256KeyDerive: Self { Self(rawValue: 0x4014) }
  @inlinable public static var blake2b256KeyGen: Self { Self(rawValue: 0x4015) }
  @inlinable public static var blake2b384: Self { Self(rawValue: 0x4016) }
  @inlinable public static var blake2b384HMAC: Self { Self(rawValue: 0x4017) }
  @inlinable public static var blake2b384HMACGeneral: Self { Self(rawValue: 0x4018) }
  @inlinable public static var blake2b384KeyDerive: Self { Self(rawValue: 0x4019) }
  @inlinable public static var blake2b384KeyGen: Self { Self(rawValue: 0x401a) }
  @inlinable public static var blake2b512: Self { Self(rawValue: 0x401b) }
  @inlinable public static var blake2b512HMAC: Self { Self(rawValue: 0x401c) }
  @inlinable public static var blake2b512HMACGeneral: Self { Self(rawValue: 0x401d) }
  @inlinable public static var blake2b512KeyDerive: Self { Self(rawValue: 0x401e) }
  @inlinable public static var blake2b512KeyGen: Self { Self(rawValue: 0x401f) }
}
