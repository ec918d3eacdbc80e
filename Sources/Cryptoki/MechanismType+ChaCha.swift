// Mechanisms (PKCS#11 3.2, chapter 6): ChaCha20, Salsa20, Poly1305.

extension MechanismType {
  @inlinable public static var chacha20KeyGen: Self { Self(rawValue: 0x1225) }
  @inlinable public static var chacha20: Self { Self(rawValue: 0x1226) }
  @inlinable public static var poly1305KeyGen: Self { Self(rawValue: 0x1227) }
  @inlinable public static var poly1305: Self { Self(rawValue: 0x1228) }
  @inlinable public static var salsa20: Self { Self(rawValue: 0x4020) }
  @inlinable public static var chacha20Poly1305: Self { Self(rawValue: 0x4021) }
  @inlinable public static var salsa20Poly1305: Self { Self(rawValue: 0x4022) }
  @inlinable public static var salsa20KeyGen: Self { Self(rawValue: 0x402d) }
}
