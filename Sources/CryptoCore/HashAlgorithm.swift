import COpenSSL

/// The hash functions of this core (FIPS 180-4, FIPS 202).
public enum HashAlgorithm: UInt8, CaseIterable, Sendable {
  // The standards' own names; without the underscore two of them would read as other numbers.
  // swift-format-ignore: AlwaysUseLowerCamelCase
  case sha1, sha224, sha256, sha384, sha512, sha512_224, sha512_256, sha3_224, sha3_256, sha3_384, sha3_512

  /// The number of bytes of a digest.
  public var digestByteCount: Int { traits.digestByteCount }

  /// The number of bytes that the function takes at a time; HMAC pads its key to it.
  public var blockByteCount: Int { traits.blockByteCount }

  /// libcrypto's name.
  var name: StaticString { traits.name }

  /// The EVP_MD, fetched once.
  var algorithm: FetchedAlgorithm { Self.algorithms[Int(rawValue)] }

  /// The DER that comes before the digest in a PKCS #1 v1.5 DigestInfo (RFC 8017, section 9.2, note 1).
  public var digestInfoPrefix: [UInt8] {
    let object = traits.objectIdentifier
    let digestCount = UInt8(digestByteCount)
    let objectCount = UInt8(object.count)
    return [0x30, objectCount + 8 + digestCount, 0x30, objectCount + 4, 0x06, objectCount] + object
      + [0x05, 0x00, 0x04, digestCount]
  }

  private struct Traits: Sendable {
    let name: StaticString
    let digestByteCount: Int
    let blockByteCount: Int
    let objectIdentifier: [UInt8]
  }

  private var traits: Traits { Self.table[Int(rawValue)] }

  // id-sha1 is 1.3.14.3.2.26; the others are 2.16.840.1.101.3.4.2.n (NIST's hash arc).
  private static let table: [Traits] = [
    Traits(name: "SHA1", digestByteCount: 20, blockByteCount: 64, objectIdentifier: [0x2b, 0x0e, 0x03, 0x02, 0x1a]),
    Traits(name: "SHA2-224", digestByteCount: 28, blockByteCount: 64, objectIdentifier: nistHash(4)),
    Traits(name: "SHA2-256", digestByteCount: 32, blockByteCount: 64, objectIdentifier: nistHash(1)),
    Traits(name: "SHA2-384", digestByteCount: 48, blockByteCount: 128, objectIdentifier: nistHash(2)),
    Traits(name: "SHA2-512", digestByteCount: 64, blockByteCount: 128, objectIdentifier: nistHash(3)),
    Traits(name: "SHA2-512/224", digestByteCount: 28, blockByteCount: 128, objectIdentifier: nistHash(5)),
    Traits(name: "SHA2-512/256", digestByteCount: 32, blockByteCount: 128, objectIdentifier: nistHash(6)),
    Traits(name: "SHA3-224", digestByteCount: 28, blockByteCount: 144, objectIdentifier: nistHash(7)),
    Traits(name: "SHA3-256", digestByteCount: 32, blockByteCount: 136, objectIdentifier: nistHash(8)),
    Traits(name: "SHA3-384", digestByteCount: 48, blockByteCount: 104, objectIdentifier: nistHash(9)),
    Traits(name: "SHA3-512", digestByteCount: 64, blockByteCount: 72, objectIdentifier: nistHash(10)),
  ]

  private static func nistHash(_ last: UInt8) -> [UInt8] { [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last] }

  private static let algorithms = table.map { FetchedAlgorithm.digest("\($0.name)") }
}
