/// How a shared secret of ECDH or X9.42 becomes a key (CK_EC_KDF_TYPE, CK_X9_42_DH_KDF_TYPE, CKD_). PKCS#11 3.2,
/// chapter 6.
public struct KeyDerivationFunction: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension KeyDerivationFunction {
  @inlinable public static var null: Self { Self(rawValue: 0x1) }
  @inlinable public static var sha1KDF: Self { Self(rawValue: 0x2) }
  @inlinable public static var sha1KDFASN1: Self { Self(rawValue: 0x3) }
  @inlinable public static var sha1KDFConcatenate: Self { Self(rawValue: 0x4) }
  @inlinable public static var sha224KDF: Self { Self(rawValue: 0x5) }
  @inlinable public static var sha256KDF: Self { Self(rawValue: 0x6) }
  @inlinable public static var sha384KDF: Self { Self(rawValue: 0x7) }
  @inlinable public static var sha512KDF: Self { Self(rawValue: 0x8) }
  @inlinable public static var cpdiversifyKDF: Self { Self(rawValue: 0x9) }
  @inlinable public static var sha3_224KDF: Self { Self(rawValue: 0xa) }
  @inlinable public static var sha3_256KDF: Self { Self(rawValue: 0xb) }
  @inlinable public static var sha3_384KDF: Self { Self(rawValue: 0xc) }
  @inlinable public static var sha3_512KDF: Self { Self(rawValue: 0xd) }
  @inlinable public static var sha1KDFSP800: Self { Self(rawValue: 0xe) }
  @inlinable public static var sha224KDFSP800: Self { Self(rawValue: 0xf) }
  @inlinable public static var sha256KDFSP800: Self { Self(rawValue: 0x10) }
  @inlinable public static var sha384KDFSP800: Self { Self(rawValue: 0x11) }
  @inlinable public static var sha512KDFSP800: Self { Self(rawValue: 0x12) }
  @inlinable public static var sha3_224KDFSP800: Self { Self(rawValue: 0x13) }
  @inlinable public static var sha3_256KDFSP800: Self { Self(rawValue: 0x14) }
  @inlinable public static var sha3_384KDFSP800: Self { Self(rawValue: 0x15) }
  @inlinable public static var sha3_512KDFSP800: Self { Self(rawValue: 0x16) }
  @inlinable public static var blake2b160KDF: Self { Self(rawValue: 0x17) }
  @inlinable public static var blake2b256KDF: Self { Self(rawValue: 0x18) }
  @inlinable public static var blake2b384KDF: Self { Self(rawValue: 0x19) }
  @inlinable public static var blake2b512KDF: Self { Self(rawValue: 0x1a) }
}

extension KeyDerivationFunction {
  public static let namedValues: [(value: Self, name: String)] = [
    (.null, "CKD_NULL"),
    (.sha1KDF, "CKD_SHA1_KDF"),
    (.sha1KDFASN1, "CKD_SHA1_KDF_ASN1"),
    (.sha1KDFConcatenate, "CKD_SHA1_KDF_CONCATENATE"),
    (.sha224KDF, "CKD_SHA224_KDF"),
    (.sha256KDF, "CKD_SHA256_KDF"),
    (.sha384KDF, "CKD_SHA384_KDF"),
    (.sha512KDF, "CKD_SHA512_KDF"),
    (.cpdiversifyKDF, "CKD_CPDIVERSIFY_KDF"),
    (.sha3_224KDF, "CKD_SHA3_224_KDF"),
    (.sha3_256KDF, "CKD_SHA3_256_KDF"),
    (.sha3_384KDF, "CKD_SHA3_384_KDF"),
    (.sha3_512KDF, "CKD_SHA3_512_KDF"),
    (.sha1KDFSP800, "CKD_SHA1_KDF_SP800"),
    (.sha224KDFSP800, "CKD_SHA224_KDF_SP800"),
    (.sha256KDFSP800, "CKD_SHA256_KDF_SP800"),
    (.sha384KDFSP800, "CKD_SHA384_KDF_SP800"),
    (.sha512KDFSP800, "CKD_SHA512_KDF_SP800"),
    (.sha3_224KDFSP800, "CKD_SHA3_224_KDF_SP800"),
    (.sha3_256KDFSP800, "CKD_SHA3_256_KDF_SP800"),
    (.sha3_384KDFSP800, "CKD_SHA3_384_KDF_SP800"),
    (.sha3_512KDFSP800, "CKD_SHA3_512_KDF_SP800"),
    (.blake2b160KDF, "CKD_BLAKE2B_160_KDF"),
    (.blake2b256KDF, "CKD_BLAKE2B_256_KDF"),
    (.blake2b384KDF, "CKD_BLAKE2B_384_KDF"),
    (.blake2b512KDF, "CKD_BLAKE2B_512_KDF"),
  ]
}
