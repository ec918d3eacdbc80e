/// Whether an ML-DSA or SLH-DSA signature is randomised (CK_HEDGE_TYPE, CKH_). PKCS#11 3.2, chapter 6.
public struct HedgeType: NamedConstant {
  public let rawValue: UInt

  @inlinable public init(rawValue: UInt) {
    self.rawValue = rawValue
  }
}

extension HedgeType {
  @inlinable public static var hedgePreferred: Self { Self(rawValue: 0x0) }
  @inlinable public static var hedgeRequired: Self { Self(rawValue: 0x1) }
  @inlinable public static var deterministicRequired: Self { Self(rawValue: 0x2) }
}

extension HedgeType {
  public static let namedValues: [(value: Self, name: String)] = [
    (.hedgePreferred, "CKH_HEDGE_PREFERRED"),
    (.hedgeRequired, "CKH_HEDGE_REQUIRED"),
    (.deterministicRequired, "CKH_DETERMINISTIC_REQUIRED"),
  ]
}
