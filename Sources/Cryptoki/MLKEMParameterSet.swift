/// A parameter set of ML-KEM (CK_ML_KEM_PARAMETER_SET_TYPE, CKP_ML_KEM_). PKCS#11 3.2, chapter 6.
public struct MLKEMParameterSet: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension MLKEMParameterSet {
  @inlinable public static var mlKEM512: Self { Self(rawValue: 0x1) }
  @inlinable public static var mlKEM768: Self { Self(rawValue: 0x2) }
  @inlinable public static var mlKEM1024: Self { Self(rawValue: 0x3) }
}

extension MLKEMParameterSet {
  public static let namedValues: [(value: Self, name: String)] = [
    (.mlKEM512, "CKP_ML_KEM_512"),
    (.mlKEM768, "CKP_ML_KEM_768"),
    (.mlKEM1024, "CKP_ML_KEM_1024"),
  ]
}
