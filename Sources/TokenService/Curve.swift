import Cryptoki
import Mechanisms

/// A named curve of the token, as CKA_EC_PARAMS names it: by object identifier or by name (PKCS#11 3.2, 6.3.3).
enum Curve: CaseIterable, Sendable {
  case p256, p384, p521, edwards25519, curve25519

  private struct Facts {
    let keyType: KeyType
    let fieldBitCount: UInt32
    /// The DER of the object identifiers; the first is the standard's, later ones are older.
    let identifiers: [[UInt8]]
    let names: [String]
  }

  private var facts: Facts {
    switch self {
    case .p256:
      Facts(
        keyType: .ec, fieldBitCount: 256, identifiers: [[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]],
        names: ["secp256r1", "prime256v1", "P-256"])
    case .p384:
      Facts(
        keyType: .ec, fieldBitCount: 384, identifiers: [[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22]],
        names: ["secp384r1", "P-384"])
    case .p521:
      Facts(
        keyType: .ec, fieldBitCount: 521, identifiers: [[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23]],
        names: ["secp521r1", "P-521"])
    case .edwards25519:
      // id-Ed25519 of RFC 8410, and the identifier that GnuPG used before it.
      Facts(
        keyType: .ecEdwards, fieldBitCount: 255,
        identifiers: [
          [0x06, 0x03, 0x2b, 0x65, 0x70], [0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01],
        ], names: ["edwards25519", "Ed25519"])
    case .curve25519:
      // id-X25519 of RFC 8410, and the identifier that GnuPG used before it.
      Facts(
        keyType: .ecMontgomery, fieldBitCount: 255,
        identifiers: [
          [0x06, 0x03, 0x2b, 0x65, 0x6e], [0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x97, 0x55, 0x01, 0x05, 0x01],
        ], names: ["curve25519", "X25519"])
    }
  }

  /// CKK_EC, CKK_EC_EDWARDS or CKK_EC_MONTGOMERY.
  var keyType: KeyType { facts.keyType }
  var fieldBitCount: UInt32 { facts.fieldBitCount }
  /// Bytes of a coordinate, and of a private value.
  var fieldByteCount: Int { (Int(fieldBitCount) + 7) / 8 }
  /// The DER of the standard's object identifier.
  var identifier: [UInt8] { facts.identifiers[0] }

  private static let byParameters: [[UInt8]: Curve] = {
    var table: [[UInt8]: Curve] = [:]
    for curve in allCases {
      for identifier in curve.facts.identifiers { table[identifier] = curve }
      // PrintableString.
      for name in curve.facts.names { table[[0x13, UInt8(name.utf8.count)] + name.utf8] = curve }
    }
    // OpenSC writes the name of this curve with a length of one too many (pkcs11-tool up to 0.26).
    table[[0x13, 0x0b] + "curve25519".utf8] = .curve25519
    return table
  }()

  /// The curve that a value of CKA_EC_PARAMS names; nil for one the token does not have.
  init?(parameters: [UInt8]) {
    guard let curve = Self.byParameters[parameters] else { return nil }
    self = curve
  }

  /// The curve that a value of CKA_EC_PARAMS names for keys of a type.
  ///
  /// Throws CKR_ATTRIBUTE_VALUE_INVALID for what is not DER, CKR_CURVE_NOT_SUPPORTED for a curve the token does not
  /// have, or not for this type of key.
  static func named(_ parameters: [UInt8], for keyType: KeyType) throws(ReturnValue) -> Curve {
    guard let curve = Curve(parameters: parameters) else {
      throw isParameters(parameters) ? .curveNotSupported : .attributeValueInvalid
    }
    guard curve.keyType == keyType else { throw .curveNotSupported }
    return curve
  }

  /// Whether the bytes are one DER value of a form that CKA_EC_PARAMS may have: an object identifier, a name,
  /// implicitCA, or explicit parameters (which no curve of the token is given by).
  private static func isParameters(_ bytes: [UInt8]) -> Bool {
    guard bytes.count >= 2, [0x05, 0x06, 0x13, 0x30].contains(bytes[0]) else { return false }
    if bytes[1] < 0x80 { return Int(bytes[1]) == bytes.count - 2 }
    let lengthByteCount = Int(bytes[1] & 0x7f)
    guard (1...2).contains(lengthByteCount), bytes.count >= 2 + lengthByteCount else { return false }
    let length = bytes[2..<2 + lengthByteCount].reduce(0) { $0 << 8 | Int($1) }
    return length == bytes.count - 2 - lengthByteCount
  }

  /// The point without DER around it. Throws CKR_ATTRIBUTE_VALUE_INVALID for what has no point's length.
  func point(_ value: [UInt8]) throws(ReturnValue) -> [UInt8] {
    guard let point = PointEncoding.point(value, fieldByteCount: fieldByteCount) else { throw .attributeValueInvalid }
    return point
  }
}
