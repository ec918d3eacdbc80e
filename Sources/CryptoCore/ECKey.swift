import COpenSSL

/// A public key on a NIST curve. Threads may share it.
public final class ECPublicKey: Sendable {
  public let curve: EllipticCurve
  /// The point, uncompressed (SEC 1, section 2.3.3).
  public let point: [UInt8]
  let key: ProviderKey

  /// A key from an uncompressed or compressed point. Throws `.invalidPoint` unless it is on the curve and not at
  /// infinity.
  public convenience init(_ curve: EllipticCurve, point encoded: UnsafeRawBufferPointer) throws(CryptoError) {
    try self.init(curve, validPoint: try curve.uncompressedPoint(encoded))
  }

  /// A key from an uncompressed or compressed point. Throws `.invalidPoint`.
  public convenience init(_ curve: EllipticCurve, point encoded: [UInt8]) throws(CryptoError) {
    let point = try encoded.withRawBytes { (encoded) throws(CryptoError) in try curve.uncompressedPoint(encoded) }
    try self.init(curve, validPoint: point)
  }

  init(_ curve: EllipticCurve, validPoint point: [UInt8]) throws(CryptoError) {
    var parameters = ParameterList()
    parameters.text("group", curve.groupName)
    key = try point.withRawBytes { (point) throws(CryptoError) in
      parameters.octets("pub", point)
      return try ProviderKey.make("EC", pair: false, parameters)
    }
    self.curve = curve
    self.point = point
  }

  /// A key from its SubjectPublicKeyInfo. Throws `.invalidKey`, `.invalidPoint`, or `.unsupported` for another curve.
  public convenience init(subjectPublicKeyInfo bytes: [UInt8]) throws(CryptoError) {
    let (curve, point) = try bytes.withRawBytes { (bytes) throws(CryptoError) in
      try KeyEnvelope.readPublicKeyInfo(bytes) { (algorithm, key) throws(CryptoError) in
        (try EllipticCurve(algorithm), [UInt8](key))
      }
    }
    try self.init(curve, point: point)
  }

  /// The key's SubjectPublicKeyInfo in DER.
  public func subjectPublicKeyInfo() throws(CryptoError) -> [UInt8] {
    try KeyEnvelope.publicKeyInfo(.ellipticCurve(curve.objectIdentifier), key: point)
  }
}

/// A private key on a NIST curve. Threads may share it.
public final class ECPrivateKey: Sendable {
  public let curve: EllipticCurve
  /// The public point, uncompressed.
  public let publicPoint: [UInt8]
  /// The scalar, big-endian in the curve's byte count. The caller decides who may see it.
  public let scalar: SecretBytes
  let key: ProviderKey

  /// A key from its scalar (big-endian, any number of leading zeros or none).
  ///
  /// The public point is computed. Throws `.invalidKey` unless the scalar is above 0 and below the order, and where
  /// `publicPoint` is given and is not the scalar's.
  public init(
    _ curve: EllipticCurve, scalar given: SecretBytes, publicPoint givenPoint: [UInt8]? = nil
  ) throws(CryptoError) {
    let scalar = try Self.fixedWidth(given, curve)
    let point = try curve.publicPoint(of: scalar)
    if let givenPoint {
      let expanded = try givenPoint.withRawBytes { (bytes) throws(CryptoError) in try curve.uncompressedPoint(bytes) }
      guard expanded == point else {
        throw CryptoError(.invalidKey, in: "ECPrivateKey", reason: "the public point is another key's")
      }
    }
    var parameters = ParameterList()
    parameters.text("group", curve.groupName)
    scalar.withBytes { parameters.integer("priv", $0) }
    key = try point.withRawBytes { (point) throws(CryptoError) in
      parameters.octets("pub", point)
      return try ProviderKey.make("EC", pair: true, parameters)
    }
    self.curve = curve
    self.publicPoint = point
    self.scalar = scalar
  }

  private init(_ curve: EllipticCurve, adopting key: ProviderKey) throws(CryptoError) {
    self.key = key
    self.curve = curve
    publicPoint = try key.octets("pub", limit: 1 + 2 * curve.byteCount)
    scalar = try key.number("priv").secretBytes(count: curve.byteCount)
  }

  /// A new key.
  public static func generate(_ curve: EllipticCurve) throws(CryptoError) -> ECPrivateKey {
    var parameters = ParameterList()
    parameters.text("group", curve.groupName)
    return try ECPrivateKey(curve, adopting: try ProviderKey.generate("EC", parameters))
  }

  public func publicKey() throws(CryptoError) -> ECPublicKey { try ECPublicKey(curve, validPoint: publicPoint) }

  private static func fixedWidth(_ given: SecretBytes, _ curve: EllipticCurve) throws(CryptoError) -> SecretBytes {
    if given.count == curve.byteCount { return given }
    guard given.count <= 4 * curve.byteCount else { throw CryptoError(.invalidKey, in: "ECPrivateKey") }
    let number = try BigNumber.of(given)
    guard number.byteCount <= curve.byteCount else { throw CryptoError(.invalidKey, in: "ECPrivateKey") }
    return try number.secretBytes(count: curve.byteCount)
  }

  /// The key as PKCS #8 PrivateKeyInfo in DER, around RFC 5915's ECPrivateKey with the public point.
  public func pkcs8() throws(CryptoError) -> SecretBytes {
    var writer = DERWriter(capacity: scalar.count + publicPoint.count + 64)
    try writer.element(DERTag.sequence) { (writer) throws(CryptoError) in
      try writer.element(DERTag.contextConstructed(1)) { (writer) throws(CryptoError) in
        try writer.element(DERTag.bitString) { (writer) throws(CryptoError) in
          writer.raw(publicPoint)
          writer.raw([0])
        }
      }
      try writer.element(DERTag.octetString) { (writer) throws(CryptoError) in scalar.withBytes { writer.raw($0) } }
      writer.natural([1])
    }
    return try KeyEnvelope.privateKeyInfo(.ellipticCurve(curve.objectIdentifier), key: writer.secretBytes())
  }

  /// A key from PKCS #8 PrivateKeyInfo. Throws `.invalidKey`, `.invalidPoint`, or `.unsupported` for another curve.
  public convenience init(pkcs8 secret: SecretBytes) throws(CryptoError) {
    let (curve, scalar, point) = try secret.withBytes { (bytes) throws(CryptoError) in
      try KeyEnvelope.readPrivateKeyInfo(bytes) { (algorithm, key) throws(CryptoError) in
        let curve = try EllipticCurve(algorithm)
        let (scalar, point) = try Self.readPrivateKey(key)
        return (curve, scalar, point)
      }
    }
    try self.init(curve, scalar: scalar, publicPoint: point)
  }

  private static func readPrivateKey(
    _ bytes: UnsafeRawBufferPointer
  ) throws(CryptoError) -> (scalar: SecretBytes, point: [UInt8]?) {
    var outer = DERReader(bytes)
    var reader = try outer.readSequence()
    try outer.expectEnd()
    guard try reader.readNatural().elementsEqual([1]) else {
      throw CryptoError(.invalidKey, in: "ECPrivateKey", reason: "unknown version")
    }
    let scalar = SecretBytes(copying: try reader.read(DERTag.octetString))
    if reader.nextTag == DERTag.contextConstructed(0) { _ = try reader.readAny() }  // the curve once more
    var point: [UInt8]?
    if reader.nextTag == DERTag.contextConstructed(1) {
      var inner = DERReader(try reader.readAny())
      point = [UInt8](try inner.readBitString())
      try inner.expectEnd()
    }
    try reader.expectEnd()
    return (scalar, point)
  }
}

extension EllipticCurve {
  init(_ algorithm: KeyEnvelope.Algorithm) throws(CryptoError) {
    for curve in EllipticCurve.allCases where algorithm == .ellipticCurve(curve.objectIdentifier) {
      self = curve
      return
    }
    let isEllipticCurve = algorithm.identifier == KeyEnvelope.Algorithm.ellipticCurve([]).identifier
    throw CryptoError(isEllipticCurve ? .unsupported : .invalidKey, in: "EllipticCurve", reason: "not a curve we have")
  }
}
