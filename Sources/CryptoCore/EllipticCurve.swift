import COpenSSL

/// The prime curves of NIST (SP 800-186, section 3.2.1). Their cofactor is 1: a point on the curve is in the group.
public enum EllipticCurve: UInt8, CaseIterable, Sendable {
  case p256, p384, p521

  /// The bits of the field and of the order.
  public var bitCount: Int {
    switch self {
    case .p256: 256
    case .p384: 384
    case .p521: 521
    }
  }

  /// The bytes of a coordinate, of a scalar and of a half of a signature.
  public var byteCount: Int { (bitCount + 7) / 8 }

  /// The bytes of an ECDSA signature r || s.
  public var signatureByteCount: Int { 2 * byteCount }

  /// The content of the curve's object identifier (RFC 5480, section 2.1.1.1).
  public var objectIdentifier: [UInt8] {
    switch self {
    case .p256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]
    case .p384: [0x2b, 0x81, 0x04, 0x00, 0x22]
    case .p521: [0x2b, 0x81, 0x04, 0x00, 0x23]
    }
  }

  var groupName: StaticString {
    switch self {
    case .p256: "P-256"
    case .p384: "P-384"
    case .p521: "P-521"
    }
  }

  /// libcrypto's group, made at first use and kept.
  var group: OpaquePointer {
    get throws(CryptoError) {
      guard let group = Self.groups[Int(rawValue)].pointer else {
        throw CryptoError(.unsupported, in: "EC_GROUP_new_by_curve_name_ex")
      }
      return group
    }
  }

  private struct Group: @unchecked Sendable {  // never changed after it is made
    let pointer: OpaquePointer?
  }

  private static let groups: [Group] = [NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1].map { name in
    let group = try? preservingErrorQueue { () throws(CryptoError) in
      try check(
        EC_GROUP_new_by_curve_name_ex(LibraryContext.shared.pointer, nil, name), "EC_GROUP_new_by_curve_name_ex")
    }
    return Group(pointer: group)
  }

  /// The uncompressed form of the point that `encoded` stands for.
  ///
  /// Throws `.invalidPoint` unless it is an uncompressed or compressed point (SEC 1, section 2.3.3) of this curve, and
  /// not the point at infinity.
  func uncompressedPoint(_ encoded: UnsafeRawBufferPointer) throws(CryptoError) -> [UInt8] {
    let isUncompressed = encoded.first == 4 && encoded.count == 1 + 2 * byteCount
    let isCompressed = (encoded.first == 2 || encoded.first == 3) && encoded.count == 1 + byteCount
    guard isUncompressed || isCompressed else {
      throw CryptoError(.invalidPoint, in: "EllipticCurve", reason: "neither uncompressed nor compressed")
    }
    let group = try group
    return try preservingErrorQueue { () throws(CryptoError) in
      let point = try check(EC_POINT_new(group), "EC_POINT_new")
      defer { EC_POINT_free(point) }
      // Checks that the coordinates are in the field and the point on the curve.
      let start = encoded.baseAddress?.assumingMemoryBound(to: UInt8.self)
      try check(EC_POINT_oct2point(group, point, start, encoded.count, nil), "EC_POINT_oct2point", .invalidPoint)
      return try encode(point, group)
    }
  }

  /// The uncompressed public point of `scalar`. Throws `.invalidKey` unless it is above 0 and below the order.
  func publicPoint(of scalar: SecretBytes) throws(CryptoError) -> [UInt8] {
    let group = try group
    return try preservingErrorQueue { () throws(CryptoError) in
      let number = try BigNumber.of(scalar)
      guard let order = EC_GROUP_get0_order(group), number.bitCount > 0, BN_cmp(number.pointer, order) < 0 else {
        throw CryptoError(.invalidKey, in: "EllipticCurve", reason: "scalar out of range")
      }
      let point = try check(EC_POINT_new(group), "EC_POINT_new")
      defer { EC_POINT_free(point) }
      let scratch = try check(BN_CTX_secure_new_ex(LibraryContext.shared.pointer), "BN_CTX_secure_new_ex")
      defer { BN_CTX_free(scratch) }
      // The generator's multiple is computed in constant time.
      try check(EC_POINT_mul(group, point, number.pointer, nil, nil, scratch), "EC_POINT_mul")
      return try encode(point, group)
    }
  }

  private func encode(_ point: OpaquePointer, _ group: OpaquePointer) throws(CryptoError) -> [UInt8] {
    try [UInt8](count: 1 + 2 * byteCount) { (bytes) throws(CryptoError) in
      let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
      let count = EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, start, bytes.count, nil)
      guard count == bytes.count else { throw CryptoError.fromQueue("EC_POINT_point2oct", .invalidPoint) }
      return count
    }
  }
}
