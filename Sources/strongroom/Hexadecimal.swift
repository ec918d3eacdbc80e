/// Bytes as hexadecimal digits in lower case.
func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// The bytes that hexadecimal digits name, blanks, colons and a leading 0x aside; nil where it is no such text.
func bytes(hexadecimal text: some StringProtocol) -> [UInt8]? {
  var digits = String(text).filter { $0 != " " && $0 != ":" }
  if digits.hasPrefix("0x") { digits.removeFirst(2) }
  guard digits.utf8.count.isMultiple(of: 2) else { return nil }
  var bytes: [UInt8] = []
  var rest = digits[...]
  while let first = rest.popFirst(), let second = rest.popFirst() {
    guard let high = first.hexDigitValue, let low = second.hexDigitValue else { return nil }
    bytes.append(UInt8(high << 4 | low))
  }
  return bytes
}
