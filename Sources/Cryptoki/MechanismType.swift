/// A cryptographic mechanism (CK_MECHANISM_TYPE, CKM_).
///
/// PKCS#11 3.2, chapter 6. The mechanisms stand in one extension for each algorithm family. The ABI passes a
/// CK_ULONG; no mechanism, vendor-defined ones included, needs more than 32 bits.
public struct MechanismType: NamedConstant {
  public let rawValue: UInt32

  @inlinable public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// Whether the value is in the range the specification leaves to vendors.
  @inlinable public var isVendorDefined: Bool { rawValue & 0x8000_0000 != 0 }
}
