import CP11Kit
import Foundation

/// A pkcs11: URI (RFC 7512), parsed and matched by libp11-kit.
final class URI {
  let text: String
  private let uri: OpaquePointer

  /// Throws a usage failure that says what libp11-kit makes of it.
  init(_ text: String) throws {
    self.text = text
    guard let new = p11_kit_uri_new() else { throw Failure("out of memory") }
    uri = new
    let result = p11_kit_uri_parse(text, P11KitUriType(rawValue: 0xffff), uri)
    guard result == 0 else {
      let reason = p11_kit_uri_message(result).map { String(cString: $0) } ?? "error \(result)"
      throw Failure.usage("\(URI.withoutPIN(text)): not a pkcs11: URI: \(reason)")
    }
    // RFC 7512, 2.3: a consumer that does not know an attribute of the path must not match anything.
    guard p11_kit_uri_any_unrecognized(uri) == 0 else {
      throw Failure.usage("\(URI.withoutPIN(text)): the URI has attributes that are not known")
    }
  }

  deinit { p11_kit_uri_free(uri) }

  static func isURI(_ text: String) -> Bool { text.lowercased().hasPrefix("pkcs11:") }

  /// The URI for messages: a PIN in it does not appear in them.
  var description: String { Self.withoutPIN(text) }

  private static func withoutPIN(_ text: String) -> String {
    text.replacingOccurrences(of: "pin-value=[^&;]*", with: "pin-value=...", options: .regularExpression)
  }

  /// The PIN that the URI carries.
  var pin: String? { p11_kit_uri_get_pin_value(uri).map { String(cString: $0) } }
  /// The file that holds the PIN: a path, or a file: URI.
  var pinFile: String? {
    guard let source = p11_kit_uri_get_pin_source(uri).map({ String(cString: $0) }) else { return nil }
    return source.hasPrefix("file:") ? URL(string: source)?.path : source
  }
  var modulePath: String? { p11_kit_uri_get_module_path(uri).map { String(cString: $0) } }

  /// Whether a token is one that the URI names. `tokenInfo` points to a CK_TOKEN_INFO, `slotInfo` to a CK_SLOT_INFO.
  func matches(slot: UInt, slotInfo: UnsafeMutableRawPointer, tokenInfo: UnsafeMutableRawPointer) -> Bool {
    let wanted = p11_kit_uri_get_slot_id(uri)
    if wanted != UInt.max && wanted != slot { return false }
    return p11_kit_uri_match_slot_info(uri, slotInfo.assumingMemoryBound(to: ck_slot_info.self)) == 1
      && p11_kit_uri_match_token_info(uri, tokenInfo.assumingMemoryBound(to: ck_token_info.self)) == 1
  }

  /// The attributes of the object that the URI names: CKA_LABEL, CKA_ID, CKA_CLASS.
  var attributes: [(type: UInt, value: [UInt8])] {
    var count: UInt = 0
    guard let first = p11_kit_uri_get_attributes(uri, &count) else { return [] }
    return UnsafeBufferPointer(start: first, count: Int(count)).map { attribute in
      let value = UnsafeRawBufferPointer(start: attribute.value, count: Int(attribute.value_len))
      return (attribute.type, [UInt8](value))
    }
  }
}
