import COpenSSL

/// The numbers of an RSA private key (RFC 8017, section 3.2). Public ones big-endian without leading zeros.
public struct RSAPrivateComponents: Sendable {
  public var modulus: [UInt8]
  /// nil on import: found from the others, or 65537 where only the modulus and the private exponent are known.
  public var publicExponent: [UInt8]?
  public var privateExponent: SecretBytes
  public var prime1: SecretBytes?
  public var prime2: SecretBytes?
  public var exponent1: SecretBytes?
  public var exponent2: SecretBytes?
  public var coefficient: SecretBytes?

  public init(
    modulus: [UInt8], publicExponent: [UInt8]?, privateExponent: SecretBytes, prime1: SecretBytes? = nil,
    prime2: SecretBytes? = nil, exponent1: SecretBytes? = nil, exponent2: SecretBytes? = nil,
    coefficient: SecretBytes? = nil
  ) {
    self.modulus = modulus
    self.publicExponent = publicExponent
    self.privateExponent = privateExponent
    self.prime1 = prime1
    self.prime2 = prime2
    self.exponent1 = exponent1
    self.exponent2 = exponent2
    self.coefficient = coefficient
  }
}

/// The sizes of RSA keys, in bits of the modulus.
public enum RSAKeySize {
  /// What may be generated or brought in with its private half.
  public static let privateKey = 2048...8192
  /// What may verify or encrypt.
  public static let publicKey = 1024...8192
}

/// An RSA public key. Threads may share it.
public final class RSAPublicKey: Sendable {
  /// Big-endian, without leading zeros.
  public let modulus: [UInt8]
  /// Big-endian, without leading zeros.
  public let publicExponent: [UInt8]
  public let bitCount: Int
  let key: ProviderKey

  /// The bytes of the modulus, of a signature and of a ciphertext.
  public var byteCount: Int { modulus.count }

  /// A key from its numbers. Throws `.invalidKey` unless the modulus is odd with a bit count in `sizes`, and the
  /// exponent odd, above 1, below the modulus, and of at most 64 bits where the modulus has more than 3072 (libcrypto's
  /// limit).
  public init(
    modulus: [UInt8], publicExponent: [UInt8], sizes: ClosedRange<Int> = RSAKeySize.publicKey
  ) throws(CryptoError) {
    self.modulus = [UInt8](modulus.drop { $0 == 0 })
    self.publicExponent = [UInt8](publicExponent.drop { $0 == 0 })
    bitCount = try Self.checkedBitCount(modulus: self.modulus, publicExponent: self.publicExponent, sizes: sizes)
    var parameters = ParameterList()
    self.modulus.withRawBytes { parameters.integer("n", $0) }
    self.publicExponent.withRawBytes { parameters.integer("e", $0) }
    key = try ProviderKey.make("RSA", pair: false, parameters)
  }

  /// A key from its SubjectPublicKeyInfo. Throws `.invalidKey`.
  public convenience init(
    subjectPublicKeyInfo bytes: [UInt8], sizes: ClosedRange<Int> = RSAKeySize.publicKey
  ) throws(CryptoError) {
    let (modulus, exponent) = try bytes.withRawBytes { (bytes) throws(CryptoError) in
      try KeyEnvelope.readPublicKeyInfo(bytes) { (algorithm, key) throws(CryptoError) in
        guard algorithm == .rsa else { throw CryptoError(.invalidKey, in: "RSAPublicKey", reason: "not an RSA key") }
        var outer = DERReader(key)
        var reader = try outer.readSequence()
        try outer.expectEnd()
        let numbers = ([UInt8](try reader.readNatural()), [UInt8](try reader.readNatural()))
        try reader.expectEnd()
        return numbers
      }
    }
    try self.init(modulus: modulus, publicExponent: exponent, sizes: sizes)
  }

  /// The key's SubjectPublicKeyInfo in DER.
  public func subjectPublicKeyInfo() throws(CryptoError) -> [UInt8] {
    var writer = DERWriter(capacity: modulus.count + publicExponent.count + 32)
    try writer.element(DERTag.sequence) { (writer) throws(CryptoError) in
      writer.natural(publicExponent)
      writer.natural(modulus)
    }
    return try KeyEnvelope.publicKeyInfo(.rsa, key: writer.publicBytes())
  }

  private static func checkedBitCount(
    modulus: [UInt8], publicExponent: [UInt8], sizes: ClosedRange<Int>
  ) throws(CryptoError) -> Int {
    guard let first = modulus.first, modulus.count <= 2048 else {
      throw CryptoError(.invalidKey, in: "RSAPublicKey", reason: "modulus size")
    }
    let bitCount = modulus.count * 8 - first.leadingZeroBitCount
    guard sizes.contains(bitCount) else { throw CryptoError(.invalidKey, in: "RSAPublicKey", reason: "modulus size") }
    guard let last = modulus.last, last & 1 == 1 else {
      throw CryptoError(.invalidKey, in: "RSAPublicKey", reason: "even modulus")
    }
    let isBelowModulus =
      publicExponent.count < modulus.count
      || publicExponent.count == modulus.count && publicExponent.lexicographicallyPrecedes(modulus)
    guard let low = publicExponent.last, low & 1 == 1, publicExponent != [1], isBelowModulus,
      bitCount <= 3072 || publicExponent.count <= 8
    else { throw CryptoError(.invalidKey, in: "RSAPublicKey", reason: "public exponent") }
    return bitCount
  }
}

/// An RSA private key, with its blinding kept. Threads may share it.
public final class RSAPrivateKey: Sendable {
  public let publicKey: RSAPublicKey
  let key: ProviderKey

  /// The bytes of the modulus, of a signature and of a ciphertext.
  public var byteCount: Int { publicKey.byteCount }

  /// A key from its numbers; those missing of the primes and what follows from them are computed.
  ///
  /// Throws `.invalidKey` unless the given numbers belong together: the primes' product is the modulus, and both
  /// exponents are inverse modulo each prime less one. That the primes are prime is not tested, which would take
  /// milliseconds: whoever brings in a key already knows it.
  public init(
    _ components: RSAPrivateComponents, sizes: ClosedRange<Int> = RSAKeySize.privateKey
  ) throws(CryptoError) {
    let complete = try RSAKeyCompletion.complete(components, sizes: sizes)
    let publicKey = try RSAPublicKey(
      modulus: components.modulus, publicExponent: complete.publicExponent, sizes: sizes)
    var parameters = ParameterList()
    publicKey.modulus.withRawBytes { parameters.integer("n", $0) }
    publicKey.publicExponent.withRawBytes { parameters.integer("e", $0) }
    for (name, number) in complete.secrets { number.withBytes { parameters.integer(name, $0) } }
    key = try ProviderKey.make("RSA", pair: true, parameters)
    self.publicKey = publicKey
  }

  private init(adopting key: ProviderKey, sizes: ClosedRange<Int>) throws(CryptoError) {
    self.key = key
    publicKey = try RSAPublicKey(
      modulus: try key.number("n").publicBytes(), publicExponent: try key.number("e").publicBytes(), sizes: sizes)
  }

  /// A new key with a modulus of `bitCount` bits.
  ///
  /// Throws `.invalidParameter` for a count outside `sizes` or an exponent that is even, below 3 or of more than 64 bits.
  /// Takes from 50 milliseconds (2048 bits) to many seconds (8192).
  public static func generate(
    bitCount: Int, publicExponent: [UInt8] = [1, 0, 1], sizes: ClosedRange<Int> = RSAKeySize.privateKey
  ) throws(CryptoError) -> RSAPrivateKey {
    let exponent = [UInt8](publicExponent.drop { $0 == 0 })
    guard sizes.contains(bitCount), let last = exponent.last, last & 1 == 1, exponent != [1], exponent.count <= 8 else {
      throw CryptoError(.invalidParameter, in: "RSAPrivateKey.generate")
    }
    var parameters = ParameterList()
    parameters.number("bits", UInt64(bitCount))
    exponent.withRawBytes { parameters.integer("e", $0) }
    return try RSAPrivateKey(adopting: try ProviderKey.generate("RSA", parameters), sizes: sizes)
  }

  /// All numbers of the key. The caller decides who may see them.
  public func components() throws(CryptoError) -> RSAPrivateComponents {
    RSAPrivateComponents(
      modulus: publicKey.modulus, publicExponent: publicKey.publicExponent,
      privateExponent: try key.number("d").secretBytes(),
      prime1: try key.number("rsa-factor1").secretBytes(),
      prime2: try key.number("rsa-factor2").secretBytes(),
      exponent1: try key.number("rsa-exponent1").secretBytes(),
      exponent2: try key.number("rsa-exponent2").secretBytes(),
      coefficient: try key.number("rsa-coefficient1").secretBytes())
  }

  /// The key as PKCS #8 PrivateKeyInfo in DER, around RFC 8017's RSAPrivateKey.
  public func pkcs8() throws(CryptoError) -> SecretBytes {
    var writer = DERWriter(capacity: byteCount * 6 + 128)
    try writer.element(DERTag.sequence) { (writer) throws(CryptoError) in
      for name in ["rsa-coefficient1", "rsa-exponent2", "rsa-exponent1", "rsa-factor2", "rsa-factor1", "d"] {
        writer.natural(try key.number(name).secretBytes())
      }
      writer.natural(publicKey.publicExponent)
      writer.natural(publicKey.modulus)
      writer.natural([0])
    }
    return try KeyEnvelope.privateKeyInfo(.rsa, key: writer.secretBytes())
  }

  /// A key from PKCS #8 PrivateKeyInfo. Throws `.invalidKey`; two primes only.
  public convenience init(
    pkcs8 bytes: UnsafeRawBufferPointer, sizes: ClosedRange<Int> = RSAKeySize.privateKey
  ) throws(CryptoError) {
    let components = try KeyEnvelope.readPrivateKeyInfo(bytes) { (algorithm, key) throws(CryptoError) in
      guard algorithm == .rsa else { throw CryptoError(.invalidKey, in: "RSAPrivateKey", reason: "not an RSA key") }
      return try Self.readComponents(key)
    }
    try self.init(components, sizes: sizes)
  }

  /// A key from PKCS #8 PrivateKeyInfo. Throws `.invalidKey`; two primes only.
  public convenience init(
    pkcs8 secret: SecretBytes, sizes: ClosedRange<Int> = RSAKeySize.privateKey
  ) throws(CryptoError) {
    let components = try secret.withBytes { (bytes) throws(CryptoError) in
      try KeyEnvelope.readPrivateKeyInfo(bytes) { (algorithm, key) throws(CryptoError) in
        guard algorithm == .rsa else { throw CryptoError(.invalidKey, in: "RSAPrivateKey", reason: "not an RSA key") }
        return try Self.readComponents(key)
      }
    }
    try self.init(components, sizes: sizes)
  }

  private static func readComponents(_ bytes: UnsafeRawBufferPointer) throws(CryptoError) -> RSAPrivateComponents {
    var outer = DERReader(bytes)
    var reader = try outer.readSequence()
    try outer.expectEnd()
    guard try reader.readNatural().elementsEqual([0]) else {
      throw CryptoError(.unsupported, in: "RSAPrivateKey", reason: "more than two primes")
    }
    let modulus = [UInt8](try reader.readNatural())
    let publicExponent = [UInt8](try reader.readNatural())
    var secrets: [SecretBytes] = []
    for _ in 0..<6 { secrets.append(SecretBytes(copying: try reader.readNatural())) }
    try reader.expectEnd()
    return RSAPrivateComponents(
      modulus: modulus, publicExponent: publicExponent, privateExponent: secrets[0], prime1: secrets[1],
      prime2: secrets[2], exponent1: secrets[3], exponent2: secrets[4], coefficient: secrets[5])
  }
}
