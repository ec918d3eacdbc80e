/// A parameter set of ML-DSA (CK_ML_DSA_PARAMETER_SET_TYPE, CKP_ML_DSA_). PKCS#11 3.2, chapter 6.
public struct MLDSAParameterSet: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension MLDSAParameterSet {
  @inlinable public static var mlDSA44: Self { Self(rawValue: 0x1) }
  @inlinable public static var mlDSA65: Self { Self(rawValue: 0x2) }
  @inlinable public static var mlDSA87: Self { Self(rawValue: 0x3) }
}

extension MLDSAParameterSet {
  public static let namedValues: [(value: Self, name: String)] = [
    (.mlDSA44, "CKP_ML_DSA_44"),
    (.mlDSA65, "CKP_ML_DSA_65"),
    (.mlDSA87, "CKP_ML_DSA_87"),
  ]
}
