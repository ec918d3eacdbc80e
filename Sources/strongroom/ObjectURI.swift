import CCryptoki
import Cryptoki

/// URIs of objects, and what their parts look like.
enum ObjectURI {
  /// The URI of an object: its token, label, identifier and class.
  static func of(_ object: CK_OBJECT_HANDLE, in session: Session) -> String {
    var parts = ["token=" + encoded(session.tokenLabel)]
    if let label = session.bytes(object, .label), !label.isEmpty { parts.append("object=" + encoded(label)) }
    if let id = session.bytes(object, .id), !id.isEmpty {
      parts.append("id=" + id.map { "%" + hexadecimal([$0]) }.joined())
    }
    let types: [ObjectClass: String] = [
      .certificate: "cert", .data: "data", .privateKey: "private", .publicKey: "public", .secretKey: "secret-key",
    ]
    if let number = session.number(object, .class), let type = types[ObjectClass(rawValue: number)] {
      parts.append("type=" + type)
    }
    return "pkcs11:" + parts.joined(separator: ";")
  }

  /// Text percent-encoded for the path of a pkcs11: URI (RFC 7512, 2.3).
  static func encoded(_ text: String) -> String { encoded(Array(text.utf8)) }

  private static let unreserved = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~".utf8)

  private static func encoded(_ bytes: [UInt8]) -> String {
    bytes.map { unreserved.contains($0) ? String(UnicodeScalar($0)) : "%" + hexadecimal([$0]) }.joined()
  }

  /// A CKA_ID from its hexadecimal digits.
  static func identifier(_ text: String) throws -> [UInt8] {
    guard let id = bytes(hexadecimal: text) else {
      throw Failure.usage("--id \"\(text)\" is not hexadecimal with an even number of digits")
    }
    return id
  }
}
