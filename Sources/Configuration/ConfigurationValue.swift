/// A value as the file has it. Each reader answers what is wrong with it, nil when nothing is.
struct ConfigurationValue {
  let text: String
  let home: String?

  /// The longest path the system takes, bytes (PATH_MAX less the final zero).
  private static let pathByteLimit = 4095

  func path(into target: inout String) -> String? {
    var path = text
    if text.hasPrefix("~/") {
      guard let home else { return "there is no home directory that ~ could stand for" }
      path = home + text.dropFirst()
    }
    guard path.hasPrefix("/") else { return "'\(text)' is not an absolute path" }
    guard path.utf8.count <= ConfigurationValue.pathByteLimit else { return "the path is too long" }
    while path.utf8.count > 1, path.hasSuffix("/") { path.removeLast() }
    target = path
    return nil
  }

  func path(into target: inout String?) -> String? {
    var path = ""
    let problem = self.path(into: &path)
    if problem == nil { target = path }
    return problem
  }

  private var isDecimal: Bool { !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) } }

  func number<Number: FixedWidthInteger>(into target: inout Number, in range: ClosedRange<Number>) -> String? {
    guard isDecimal, let number = Number(text), range.contains(number) else {
      return "'\(text)' is not a number from \(range.lowerBound) to \(range.upperBound)"
    }
    target = number
    return nil
  }

  func byteCount(into target: inout Int) -> String? {
    var digits = text
    var shift = 0
    switch text.last {
    case "K", "k": shift = 10
    case "M", "m": shift = 20
    case "G", "g": shift = 30
    default: break
    }
    if shift > 0 { digits.removeLast() }
    let problem = "'\(text)' is not a size from 4K to 64G (a number, or one with K, M or G)"
    guard ConfigurationValue(text: digits, home: nil).isDecimal, let number = Int(digits) else { return problem }
    let (count, overflow) = number.multipliedReportingOverflow(by: 1 << shift)
    guard !overflow, (4 << 10...64 << 30).contains(count) else { return problem }
    target = count
    return nil
  }

  func log(into target: inout Configuration.Log) -> String? {
    switch text {
    case "none": target = .none
    case "stderr": target = .standardError
    default:
      var file = ""
      if path(into: &file) != nil { return "'\(text)' is neither none, stderr nor an absolute path" }
      target = .file(file)
    }
    return nil
  }
}

extension Configuration {
  /// A longer line is no setting, bytes.
  static let lineByteLimit = 8192

  /// Takes over what the lines of `text` say.
  mutating func read(_ text: String, of file: String, home: String?) throws(ConfigurationError) {
    var lineOfKey: [String: Int] = [:]
    var number = 0
    for lineBytes in text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      number += 1
      func problem(_ reason: String) -> ConfigurationError {
        ConfigurationError(file: file, line: number, reason: reason)
      }
      guard lineBytes.count <= Configuration.lineByteLimit else {
        throw problem("the line is longer than \(Configuration.lineByteLimit) bytes")
      }
      let line = trimmed(Substring(lineBytes))
      if line.isEmpty || line.hasPrefix("#") { continue }
      guard !line.unicodeScalars.contains(where: { $0.value < 0x20 && $0 != "\t" || $0.value == 0x7f }) else {
        throw problem("the line holds a control character")
      }
      guard let equals = line.firstIndex(of: "=") else { throw problem("this is not `key = value`") }
      let name = String(trimmed(line[..<equals]))
      let value = String(trimmed(line[line.index(after: equals)...]))
      guard let key = ConfigurationKey.named(name) else {
        throw problem(
          "there is no key '\(name)'; there are \(ConfigurationKey.all.map(\.name).joined(separator: ", "))")
      }
      if let first = lineOfKey[name] { throw problem("'\(name)' is set already in line \(first)") }
      lineOfKey[name] = number
      guard !value.isEmpty else { throw problem("'\(name)' has no value") }
      guard !value.contains(" #") else { throw problem("\(name): a comment has a line of its own") }
      if let reason = key.set(&self, ConfigurationValue(text: value, home: home)) {
        throw problem("\(name): \(reason)")
      }
    }
  }

  private func trimmed(_ text: Substring) -> Substring {
    func isBlank(_ character: Character) -> Bool {
      character == " " || character == "\t" || character == "\r"
    }
    var text = text.drop(while: isBlank)
    while let last = text.last, isBlank(last) { text.removeLast() }
    return text
  }
}
