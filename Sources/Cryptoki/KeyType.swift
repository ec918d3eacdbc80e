/// The algorithm a key belongs to (CK_KEY_TYPE, CKK_). PKCS#11 3.2, chapter 4.
public struct KeyType: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }

  /// Whether the value is in the range the specification leaves to vendors.
  @inlinable public var isVendorDefined: Bool { rawValue & 0x8000_0000 != 0 }
}

extension KeyType {
  @inlinable public static var rsa: Self { Self(rawValue: 0x0) }
  @inlinable public static var dsa: Self { Self(rawValue: 0x1) }
  @inlinable public static var dh: Self { Self(rawValue: 0x2) }
  @inlinable public static var ec: Self { Self(rawValue: 0x3) }
  /// Older spelling of `ec`.
  @inlinable public static var ecdsa: Self { .ec }
  @inlinable public static var x9_42DH: Self { Self(rawValue: 0x4) }
  @inlinable public static var kea: Self { Self(rawValue: 0x5) }
  @inlinable public static var genericSecret: Self { Self(rawValue: 0x10) }
  @inlinable public static var rc2: Self { Self(rawValue: 0x11) }
  @inlinable public static var rc4: Self { Self(rawValue: 0x12) }
  @inlinable public static var des: Self { Self(rawValue: 0x13) }
  @inlinable public static var des2: Self { Self(rawValue: 0x14) }
  @inlinable public static var des3: Self { Self(rawValue: 0x15) }
  @inlinable public static var cast: Self { Self(rawValue: 0x16) }
  @inlinable public static var cast3: Self { Self(rawValue: 0x17) }
  @inlinable public static var cast128: Self { Self(rawValue: 0x18) }
  /// Older spelling of `cast128`.
  @inlinable public static var cast5: Self { .cast128 }
  @inlinable public static var rc5: Self { Self(rawValue: 0x19) }
  @inlinable public static var idea: Self { Self(rawValue: 0x1a) }
  @inlinable public static var skipjack: Self { Self(rawValue: 0x1b) }
  @inlinable public static var baton: Self { Self(rawValue: 0x1c) }
  @inlinable public static var juniper: Self { Self(rawValue: 0x1d) }
  @inlinable public static var cdmf: Self { Self(rawValue: 0x1e) }
  @inlinable public static var aes: Self { Self(rawValue: 0x1f) }
  @inlinable public static var blowfish: Self { Self(rawValue: 0x20) }
  @inlinable public static var twofish: Self { Self(rawValue: 0x21) }
  @inlinable public static var securid: Self { Self(rawValue: 0x22) }
  @inlinable public static var hotp: Self { Self(rawValue: 0x23) }
  @inlinable public static var acti: Self { Self(rawValue: 0x24) }
  @inlinable public static var camellia: Self { Self(rawValue: 0x25) }
  @inlinable public static var aria: Self { Self(rawValue: 0x26) }
  @inlinable public static var md5HMAC: Self { Self(rawValue: 0x27) }
  @inlinable public static var sha1HMAC: Self { Self(rawValue: 0x28) }
  @inlinable public static var ripemd128HMAC: Self { Self(rawValue: 0x29) }
  @inlinable public static var ripemd160HMAC: Self { Self(rawValue: 0x2a) }
  @inlinable public static var sha256HMAC: Self { Self(rawValue: 0x2b) }
  @inlinable public static var sha384HMAC: Self { Self(rawValue: 0x2c) }
  @inlinable public static var sha512HMAC: Self { Self(rawValue: 0x2d) }
  @inlinable public static var sha224HMAC: Self { Self(rawValue: 0x2e) }
  @inlinable public static var seed: Self { Self(rawValue: 0x2f) }
  @inlinable public static var gostr3410: Self { Self(rawValue: 0x30) }
  @inlinable public static var gostr3411: Self { Self(rawValue: 0x31) }
  @inlinable public static var gost28147: Self { Self(rawValue: 0x32) }
  @inlinable public static var chacha20: Self { Self(rawValue: 0x33) }
  @inlinable public static var poly1305: Self { Self(rawValue: 0x34) }
  @inlinable public static var aesXTS: Self { Self(rawValue: 0x35) }
  @inlinable public static var sha3_224HMAC: Self { Self(rawValue: 0x36) }
  @inlinable public static var sha3_256HMAC: Self { Self(rawValue: 0x37) }
  @inlinable public static var sha3_384HMAC: Self { Self(rawValue: 0x38) }
  @inlinable public static var sha3_512HMAC: Self { Self(rawValue: 0x39) }
  @inlinable public static var blake2b160HMAC: Self { Self(rawValue: 0x3a) }
  @inlinable public static var blake2b256HMAC: Self { Self(rawValue: 0x3b) }
  @inlinable public static var blake2b384HMAC: Self { Self(rawValue: 0x3c) }
  @inlinable public static var blake2b512HMAC: Self { Self(rawValue: 0x3d) }
  @inlinable public static var salsa20: Self { Self(rawValue: 0x3e) }
  @inlinable public static var x2ratchet: Self { Self(rawValue: 0x3f) }
  @inlinable public static var ecEdwards: Self { Self(rawValue: 0x40) }
  @inlinable public static var ecMontgomery: Self { Self(rawValue: 0x41) }
  @inlinable public static var hkdf: Self { Self(rawValue: 0x42) }
  @inlinable public static var sha512_224HMAC: Self { Self(rawValue: 0x43) }
  @inlinable public static var sha512_256HMAC: Self { Self(rawValue: 0x44) }
  @inlinable public static var sha512THMAC: Self { Self(rawValue: 0x45) }
  @inlinable public static var hss: Self { Self(rawValue: 0x46) }
  @inlinable public static var xmss: Self { Self(rawValue: 0x47) }
  @inlinable public static var xmssmt: Self { Self(rawValue: 0x48) }
  @inlinable public static var mlKEM: Self { Self(rawValue: 0x49) }
  @inlinable public static var mlDSA: Self { Self(rawValue: 0x4a) }
  @inlinable public static var slhDSA: Self { Self(rawValue: 0x4b) }
  @inlinable public static var vendorDefined: Self { Self(rawValue: 0x8000_0000) }
}

extension KeyType {
  public static let namedValues: [(value: Self, name: String)] = [
    (.rsa, "CKK_RSA"),
    (.dsa, "CKK_DSA"),
    (.dh, "CKK_DH"),
    (.ec, "CKK_EC"),
    (.x9_42DH, "CKK_X9_42_DH"),
    (.kea, "CKK_KEA"),
    (.genericSecret, "CKK_GENERIC_SECRET"),
    (.rc2, "CKK_RC2"),
    (.rc4, "CKK_RC4"),
    (.des, "CKK_DES"),
    (.des2, "CKK_DES2"),
    (.des3, "CKK_DES3"),
    (.cast, "CKK_CAST"),
    (.cast3, "CKK_CAST3"),
    (.cast128, "CKK_CAST128"),
    (.rc5, "CKK_RC5"),
    (.idea, "CKK_IDEA"),
    (.skipjack, "CKK_SKIPJACK"),
    (.baton, "CKK_BATON"),
    (.juniper, "CKK_JUNIPER"),
    (.cdmf, "CKK_CDMF"),
    (.aes, "CKK_AES"),
    (.blowfish, "CKK_BLOWFISH"),
    (.twofish, "CKK_TWOFISH"),
    (.securid, "CKK_SECURID"),
    (.hotp, "CKK_HOTP"),
    (.acti, "CKK_ACTI"),
    (.camellia, "CKK_CAMELLIA"),
    (.aria, "CKK_ARIA"),
    (.md5HMAC, "CKK_MD5_HMAC"),
    (.sha1HMAC, "CKK_SHA_1_HMAC"),
    (.ripemd128HMAC, "CKK_RIPEMD128_HMAC"),
    (.ripemd160HMAC, "CKK_RIPEMD160_HMAC"),
    (.sha256HMAC, "CKK_SHA256_HMAC"),
    (.sha384HMAC, "CKK_SHA384_HMAC"),
    (.sha512HMAC, "CKK_SHA512_HMAC"),
    (.sha224HMAC, "CKK_SHA224_HMAC"),
    (.seed, "CKK_SEED"),
    (.gostr3410, "CKK_GOSTR3410"),
    (.gostr3411, "CKK_GOSTR3411"),
    (.gost28147, "CKK_GOST28147"),
    (.chacha20, "CKK_CHACHA20"),
    (.poly1305, "CKK_POLY1305"),
    (.aesXTS, "CKK_AES_XTS"),
    (.sha3_224HMAC, "CKK_SHA3_224_HMAC"),
    (.sha3_256HMAC, "CKK_SHA3_256_HMAC"),
    (.sha3_384HMAC, "CKK_SHA3_384_HMAC"),
    (.sha3_512HMAC, "CKK_SHA3_512_HMAC"),
    (.blake2b160HMAC, "CKK_BLAKE2B_160_HMAC"),
    (.blake2b256HMAC, "CKK_BLAKE2B_256_HMAC"),
    (.blake2b384HMAC, "CKK_BLAKE2B_384_HMAC"),
    (.blake2b512HMAC, "CKK_BLAKE2B_512_HMAC"),
    (.salsa20, "CKK_SALSA20"),
    (.x2ratchet, "CKK_X2RATCHET"),
    (.ecEdwards, "CKK_EC_EDWARDS"),
    (.ecMontgomery, "CKK_EC_MONTGOMERY"),
    (.hkdf, "CKK_HKDF"),
    (.sha512_224HMAC, "CKK_SHA512_224_HMAC"),
    (.sha512_256HMAC, "CKK_SHA512_256_HMAC"),
    (.sha512THMAC, "CKK_SHA512_T_HMAC"),
    (.hss, "CKK_HSS"),
    (.xmss, "CKK_XMSS"),
    (.xmssmt, "CKK_XMSSMT"),
    (.mlKEM, "CKK_ML_KEM"),
    (.mlDSA, "CKK_ML_DSA"),
    (.slhDSA, "CKK_SLH_DSA"),
    (.vendorDefined, "CKK_VENDOR_DEFINED"),
  ]

  public static let olderNames: [(value: Self, name: String)] = [
    (.ecdsa, "CKK_ECDSA"),
    (.cast5, "CKK_CAST5"),
  ]
}
