import COpenSSL

extension ECPrivateKey {
  /// The x-coordinate of this key's scalar times the peer's point, in the curve's byte count (SEC 1, section 3.3.1).
  ///
  /// Throws `.invalidPoint` unless the peer's point (uncompressed or compressed) is on this curve.
  public func sharedSecret(withPoint point: [UInt8]) throws(CryptoError) -> SecretBytes {
    try sharedSecret(with: try ECPublicKey(curve, point: point))
  }

  /// The x-coordinate of this key's scalar times the peer's point. Throws `.invalidPoint` for a key of another curve.
  public func sharedSecret(with peer: ECPublicKey) throws(CryptoError) -> SecretBytes {
    guard peer.curve == curve else { throw CryptoError(.invalidPoint, in: "ECPrivateKey", reason: "another curve's") }
    return try key.sharedSecret(with: peer.key, count: curve.byteCount)
  }
}

extension ProviderKey {
  /// The shared secret with `peer`, whose point is already checked.
  fileprivate func sharedSecret(with peer: ProviderKey, count: Int) throws(CryptoError) -> SecretBytes {
    try withKeptContext(.derive) { (context) throws(CryptoError) in
      try check(EVP_PKEY_derive_init(context), "EVP_PKEY_derive_init")
    } _: { (context) throws(CryptoError) in
      // 0: libcrypto's own check multiplies the point by the order, which these curves do not need.
      let status = EVP_PKEY_derive_set_peer_ex(context, peer.pointer, 0)
      try check(status, "EVP_PKEY_derive_set_peer_ex", .invalidPoint)
      return try SecretBytes(count: count) { (output) throws(CryptoError) in
        var count = output.count
        let start = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        try check(EVP_PKEY_derive(context, start, &count), "EVP_PKEY_derive", .invalidPoint)
        return count
      }
    }
  }
}

/// The curves of RFC 7748.
public enum MontgomeryCurve: UInt8, CaseIterable, Sendable {
  case x25519, x448

  /// The bytes of a private key, of a public key and of a shared secret.
  public var byteCount: Int { self == .x25519 ? 32 : 56 }

  var name: String { self == .x25519 ? "X25519" : "X448" }
  var algorithm: KeyEnvelope.Algorithm { .edwards(self == .x25519 ? 110 : 111) }
}

/// A private key for X25519 or X448 (RFC 7748). Threads may share it.
public final class MontgomeryPrivateKey: Sendable {
  public let curve: MontgomeryCurve
  /// The private key as RFC 7748 encodes it. The caller decides who may see it.
  public let privateBytes: SecretBytes
  public let publicBytes: [UInt8]
  private let key: ProviderKey

  /// Throws `.invalidKey` unless `bytes` has the curve's byte count.
  public init(_ curve: MontgomeryCurve, privateBytes bytes: SecretBytes) throws(CryptoError) {
    guard bytes.count == curve.byteCount else { throw CryptoError(.invalidKey, in: "MontgomeryPrivateKey") }
    key = try ProviderKey.fromRawPrivateKey(curve.name, bytes)
    publicBytes = try key.rawPublicKey(count: curve.byteCount)
    self.curve = curve
    privateBytes = bytes
  }

  public static func generate(_ curve: MontgomeryCurve) throws(CryptoError) -> MontgomeryPrivateKey {
    try MontgomeryPrivateKey(curve, privateBytes: try .random(count: curve.byteCount))
  }

  /// The shared secret with the peer's public key (RFC 7748, section 6).
  ///
  /// Throws `.invalidPoint` for a peer value of another byte count, and for one that gives the all-zero secret.
  public func sharedSecret(with peer: [UInt8]) throws(CryptoError) -> SecretBytes {
    guard peer.count == curve.byteCount else { throw CryptoError(.invalidPoint, in: "MontgomeryPrivateKey") }
    return try key.sharedSecret(with: try ProviderKey.fromRawPublicKey(curve.name, peer), count: curve.byteCount)
  }

  /// The public key's SubjectPublicKeyInfo in DER (RFC 8410).
  public func subjectPublicKeyInfo() throws(CryptoError) -> [UInt8] {
    try curve.subjectPublicKeyInfo(publicBytes: publicBytes)
  }

  /// The key as PKCS #8 PrivateKeyInfo in DER (RFC 8410).
  public func pkcs8() throws(CryptoError) -> SecretBytes {
    try KeyEnvelope.rawPrivateKeyInfo(curve.algorithm, privateBytes)
  }

  /// A key from PKCS #8 PrivateKeyInfo. Throws `.invalidKey`.
  public convenience init(pkcs8 secret: SecretBytes) throws(CryptoError) {
    let (algorithm, bytes) = try KeyEnvelope.readRawPrivateKeyInfo(secret)
    guard let curve = MontgomeryCurve.allCases.first(where: { $0.algorithm == algorithm }) else {
      throw CryptoError(.invalidKey, in: "MontgomeryPrivateKey", reason: "another algorithm's key")
    }
    try self.init(curve, privateBytes: bytes)
  }
}

extension MontgomeryCurve {
  /// The SubjectPublicKeyInfo of a public key of this curve (RFC 8410). Throws `.invalidPoint` for another byte count.
  public func subjectPublicKeyInfo(publicBytes: [UInt8]) throws(CryptoError) -> [UInt8] {
    guard publicBytes.count == byteCount else { throw CryptoError(.invalidPoint, in: "MontgomeryCurve") }
    return try KeyEnvelope.publicKeyInfo(algorithm, key: publicBytes)
  }

  /// The public key in a SubjectPublicKeyInfo of this curve. Throws `.invalidKey`.
  public func publicBytes(subjectPublicKeyInfo bytes: [UInt8]) throws(CryptoError) -> [UInt8] {
    try KeyEnvelope.readRawPublicKey(bytes, algorithm, count: byteCount)
  }
}
