/// A piece of the data that SP800-108 feeds its pseudo-random function (CK_PRF_DATA_TYPE, CK_SP800_108_). PKCS#11
/// 3.2, chapter 6.
public struct PRFDataType: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension PRFDataType {
  @inlinable public static var iterationVariable: Self { Self(rawValue: 0x1) }
  @inlinable public static var optionalCounter: Self { Self(rawValue: 0x2) }
  /// Older spelling of `optionalCounter`.
  @inlinable public static var counter: Self { .optionalCounter }
  @inlinable public static var dkmLength: Self { Self(rawValue: 0x3) }
  @inlinable public static var byteArray: Self { Self(rawValue: 0x4) }
  @inlinable public static var keyHandle: Self { Self(rawValue: 0x5) }
}

extension PRFDataType {
  public static let namedValues: [(value: Self, name: String)] = [
    (.iterationVariable, "CK_SP800_108_ITERATION_VARIABLE"),
    (.optionalCounter, "CK_SP800_108_OPTIONAL_COUNTER"),
    (.dkmLength, "CK_SP800_108_DKM_LENGTH"),
    (.byteArray, "CK_SP800_108_BYTE_ARRAY"),
    (.keyHandle, "CK_SP800_108_KEY_HANDLE"),
  ]

  public static let olderNames: [(value: Self, name: String)] = [
    (.counter, "CK_SP800_108_COUNTER")
  ]
}
