/// The two envelopes of asymmetric keys: SubjectPublicKeyInfo (RFC 5280, section 4.1) and PrivateKeyInfo
/// (PKCS #8, RFC 5958).
enum KeyEnvelope {
  /// Room for both envelopes' headers, algorithm and parameters.
  private static let overhead = 64

  /// What an algorithm identifier says: the content of the object identifier, and the DER of the parameters (empty for
  /// none).
  struct Algorithm: Equatable {
    let identifier: [UInt8]
    let parameters: [UInt8]

    /// rsaEncryption with NULL (RFC 8017, appendix A.1).
    static let rsa = Algorithm(
      identifier: [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01], parameters: [DERTag.null, 0])

    /// id-ecPublicKey with a named curve (RFC 5480).
    static func ellipticCurve(_ curve: [UInt8]) -> Algorithm {
      Algorithm(
        identifier: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01],
        parameters: [DERTag.objectIdentifier, UInt8(curve.count)] + curve)
    }

    /// 1.3.101.`last` without parameters (RFC 8410).
    static func edwards(_ last: UInt8) -> Algorithm { Algorithm(identifier: [0x2b, 0x65, last], parameters: []) }
  }

  static func publicKeyInfo(_ algorithm: Algorithm, key: [UInt8]) throws(CryptoError) -> [UInt8] {
    var writer = DERWriter(capacity: key.count + overhead)
    try writer.element(DERTag.sequence) { (writer) throws(CryptoError) in
      try writer.element(DERTag.bitString) { (writer) throws(CryptoError) in
        writer.raw(key)
        writer.raw([0])
      }
      try write(algorithm, to: &writer)
    }
    return writer.publicBytes()
  }

  static func privateKeyInfo(_ algorithm: Algorithm, key: SecretBytes) throws(CryptoError) -> SecretBytes {
    var writer = DERWriter(capacity: key.count + overhead)
    try writer.element(DERTag.sequence) { (writer) throws(CryptoError) in
      try writer.element(DERTag.octetString) { (writer) throws(CryptoError) in key.withBytes { writer.raw($0) } }
      try write(algorithm, to: &writer)
      writer.natural([0])
    }
    return writer.secretBytes()
  }

  /// Has `body` read the algorithm and the key of a SubjectPublicKeyInfo.
  static func readPublicKeyInfo<Result>(
    _ bytes: UnsafeRawBufferPointer,
    _ body: (Algorithm, UnsafeRawBufferPointer) throws(CryptoError) -> Result
  ) throws(CryptoError) -> Result {
    var outer = DERReader(bytes)
    var reader = try outer.readSequence()
    try outer.expectEnd()
    let algorithm = try readAlgorithm(&reader)
    let key = try reader.readBitString()
    try reader.expectEnd()
    return try body(algorithm, key)
  }

  /// Has `body` read the algorithm and the key of a PrivateKeyInfo; attributes and a public key beside it are passed
  /// over.
  static func readPrivateKeyInfo<Result>(
    _ bytes: UnsafeRawBufferPointer,
    _ body: (Algorithm, UnsafeRawBufferPointer) throws(CryptoError) -> Result
  ) throws(CryptoError) -> Result {
    var outer = DERReader(bytes)
    var reader = try outer.readSequence()
    try outer.expectEnd()
    let version = try reader.readNatural()
    guard version.count == 1, version[0] <= 1 else {
      throw CryptoError(.invalidKey, in: "PrivateKeyInfo", reason: "unknown version")
    }
    let algorithm = try readAlgorithm(&reader)
    let key = try reader.read(DERTag.octetString)
    for tag in [DERTag.contextConstructed(0), DERTag.context(1)] where reader.nextTag == tag {
      _ = try reader.read(tag)
    }
    try reader.expectEnd()
    return try body(algorithm, key)
  }

  private static func write(_ algorithm: Algorithm, to writer: inout DERWriter) throws(CryptoError) {
    try writer.element(DERTag.sequence) { (writer) throws(CryptoError) in
      writer.raw(algorithm.parameters)
      try writer.element(DERTag.objectIdentifier) { (writer) throws(CryptoError) in
        writer.raw(algorithm.identifier)
      }
    }
  }

  private static func readAlgorithm(_ reader: inout DERReader) throws(CryptoError) -> Algorithm {
    let content = try reader.read(DERTag.sequence)
    var inner = DERReader(content)
    let identifier = try inner.read(DERTag.objectIdentifier)
    var rest = inner
    if !inner.isAtEnd { _ = try inner.readAny() }
    try inner.expectEnd()
    var parameters: [UInt8] = []
    if let tag = rest.nextTag {
      let value = try rest.readAny()
      guard value.count < 0x80 else {
        throw CryptoError(.invalidKey, in: "AlgorithmIdentifier", reason: "unknown parameters")
      }
      parameters = [tag, UInt8(value.count)] + value
    }
    return Algorithm(identifier: [UInt8](identifier), parameters: parameters)
  }
}

// RFC 8410: a private key is an octet string of its own, a public key its bytes.
extension KeyEnvelope {
  static func rawPrivateKeyInfo(_ algorithm: Algorithm, _ bytes: SecretBytes) throws(CryptoError) -> SecretBytes {
    var writer = DERWriter(capacity: bytes.count + 8)
    try writer.element(DERTag.octetString) { (writer) throws(CryptoError) in bytes.withBytes { writer.raw($0) } }
    return try privateKeyInfo(algorithm, key: writer.secretBytes())
  }

  static func readRawPrivateKeyInfo(
    _ secret: SecretBytes
  ) throws(CryptoError) -> (algorithm: Algorithm, bytes: SecretBytes) {
    try secret.withBytes { (bytes) throws(CryptoError) in
      try readPrivateKeyInfo(bytes) { (algorithm, key) throws(CryptoError) in
        var reader = DERReader(key)
        let bytes = SecretBytes(copying: try reader.read(DERTag.octetString))
        try reader.expectEnd()
        return (algorithm, bytes)
      }
    }
  }

  static func readRawPublicKey(
    _ bytes: [UInt8], _ expected: Algorithm, count: Int
  ) throws(CryptoError) -> [UInt8] {
    try bytes.withRawBytes { (bytes) throws(CryptoError) in
      try readPublicKeyInfo(bytes) { (algorithm, key) throws(CryptoError) in
        guard algorithm == expected, key.count == count else {
          throw CryptoError(.invalidKey, in: "SubjectPublicKeyInfo", reason: "another algorithm's key")
        }
        return [UInt8](key)
      }
    }
  }
}
