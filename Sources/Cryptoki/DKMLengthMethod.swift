/// How SP800-108 counts the derived keying material (CK_SP800_108_DKM_LENGTH_METHOD). PKCS#11 3.2, chapter 6.
public struct DKMLengthMethod: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension DKMLengthMethod {
  @inlinable public static var sumOfKeys: Self { Self(rawValue: 0x1) }
  @inlinable public static var sumOfSegments: Self { Self(rawValue: 0x2) }
}

extension DKMLengthMethod {
  public static let namedValues: [(value: Self, name: String)] = [
    (.sumOfKeys, "CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS"),
    (.sumOfSegments, "CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS"),
  ]
}
