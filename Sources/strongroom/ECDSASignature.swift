/// An ECDSA signature in its two forms: r and s side by side, as PKCS#11 has it, and DER, as OpenSSL and X.509 have it.
enum ECDSASignature {
  /// SEQUENCE { INTEGER r, INTEGER s }.
  static func der(_ plain: [UInt8]) -> [UInt8] {
    let half = plain.count / 2
    let numbers = [plain.prefix(half), plain.suffix(half)].flatMap { number -> [UInt8] in
      var digits = Array(number.drop { $0 == 0 })
      // A number whose first bit is set would be negative.
      if digits.first.map({ $0 >= 0x80 }) ?? true { digits.insert(0, at: 0) }
      return [0x02] + length(digits.count) + digits
    }
    return [0x30] + length(numbers.count) + numbers
  }

  private static func length(_ count: Int) -> [UInt8] { count < 0x80 ? [UInt8(count)] : [0x81, UInt8(count)] }

  /// r and s with `numberByteCount` bytes each; nil where `der` is something else.
  static func plain(_ der: [UInt8], numberByteCount: Int) -> [UInt8]? {
    var rest = der[...]
    guard let body = element(0x30, &rest), rest.isEmpty else { return nil }
    rest = body
    guard let r = element(0x02, &rest), let s = element(0x02, &rest), rest.isEmpty else { return nil }
    var plain: [UInt8] = []
    for number in [r, s] {
      let digits = number.drop { $0 == 0 }
      guard digits.count <= numberByteCount else { return nil }
      plain += [UInt8](repeating: 0, count: numberByteCount - digits.count) + digits
    }
    return plain
  }

  /// The content of the element with that tag at the beginning of `bytes`, which is taken off.
  private static func element(_ tag: UInt8, _ bytes: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    guard bytes.popFirst() == tag, var count = bytes.popFirst() else { return nil }
    if count == 0x81 {
      guard let long = bytes.popFirst() else { return nil }
      count = long
    } else if count >= 0x80 {
      return nil
    }
    guard bytes.count >= count else { return nil }
    defer { bytes = bytes.dropFirst(Int(count)) }
    return bytes.prefix(Int(count))
  }
}
