// Mechanisms (PKCS#11 3.2, chapter 6): Diffie-Hellman.

extension MechanismType {
  @inlinable public static var dhPKCSKeyPairGen: Self { Self(rawValue: 0x20) }
  @inlinable public static var dhPKCSDerive: Self { Self(rawValue: 0x21) }
  @inlinable public static var x9_42DHKeyPairGen: Self { Self(rawValue: 0x30) }
  @inlinable public static var x9_42DHDerive: Self { Self(rawValue: 0x31) }
  @inlinable public static var x9_42DHHybridDerive: Self { Self(rawValue: 0x32) }
  @inlinable public static var x9_42MQVDerive: Self { Self(rawValue: 0x33) }
  @inlinable public static var dhPKCSParameterGen: Self { Self(rawValue: 0x2001) }
  @inlinable public static var x9_42DHParameterGen: Self { Self(rawValue: 0x2002) }
}
