/// Who makes the IV or nonce of a message-based AEAD (CK_GENERATOR_FUNCTION, CKG_). PKCS#11 3.2, chapter 6.
public struct GeneratorFunction: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension GeneratorFunction {
  @inlinable public static var noGenerate: Self { Self(rawValue: 0x0) }
  @inlinable public static var generate: Self { Self(rawValue: 0x1) }
  @inlinable public static var generateCounter: Self { Self(rawValue: 0x2) }
  @inlinable public static var generateRandom: Self { Self(rawValue: 0x3) }
  @inlinable public static var generateCounterXor: Self { Self(rawValue: 0x4) }
}

extension GeneratorFunction {
  public static let namedValues: [(value: Self, name: String)] = [
    (.noGenerate, "CKG_NO_GENERATE"),
    (.generate, "CKG_GENERATE"),
    (.generateCounter, "CKG_GENERATE_COUNTER"),
    (.generateRandom, "CKG_GENERATE_RANDOM"),
    (.generateCounterXor, "CKG_GENERATE_COUNTER_XOR"),
  ]
}
