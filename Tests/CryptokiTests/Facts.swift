import Foundation

/// The facts of the standard in conformance/facts, read from their tables.
enum Facts {
  /// The folder of the package.
  static let package = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The rows of a table without its heading; a row always has `columns` fields.
  private static func rows(_ file: String, columns: Int) throws -> [[String]] {
    let table = package.appendingPathComponent("conformance/facts/\(file)")
    let lines = try String(contentsOf: table, encoding: .utf8).split(whereSeparator: \.isNewline)
    return try lines.dropFirst().map { line in
      let fields = line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      guard fields.count == columns else { throw Malformed(row: String(line)) }
      return fields
    }
  }

  struct Malformed: Error {
    var row: String
  }

  struct Constant {
    var name: String
    var value: UInt64
  }

  /// Every constant with its number, an alias with the number of what it stands for.
  static func constants() throws -> [Constant] {
    let rows = try rows("constants.csv", columns: 4)
    var numbers: [String: UInt64] = [:]
    return try rows.map { row in
      let name = row[1]
      let written = row[3]
      guard let value = number(written) ?? numbers[written] else { throw Malformed(row: row.joined(separator: ",")) }
      numbers[name] = value
      return Constant(name: name, value: value)
    }
  }

  /// The number that a C expression of the tables stands for: a literal, its complement, or the array flag with one.
  private static func number(_ written: String) -> UInt64? {
    if written == "(~0UL)" { return .max }
    if written.hasPrefix("(CKF_ARRAY_ATTRIBUTE|"), written.hasSuffix(")") {
      return number(String(written.dropFirst(21).dropLast())).map { $0 | 0x4000_0000 }
    }
    let literal = written.hasSuffix("UL") ? written.dropLast(2) : written[...]
    return literal.hasPrefix("0x") ? UInt64(literal.dropFirst(2), radix: 16) : UInt64(literal)
  }

  struct Typedef {
    var name: String
    var type: String
  }

  static func typedefs() throws -> [Typedef] {
    try rows("types.csv", columns: 2).map { Typedef(name: $0[0], type: $0[1]) }
  }

  struct Field {
    var name: String
    var type: String
    /// The number of elements, nil where the field is no array.
    var count: Int?
  }

  struct Structure {
    var name: String
    var fields: [Field]
  }

  static func structures() throws -> [Structure] {
    var structures: [Structure] = []
    for row in try rows("structs.csv", columns: 4) {
      let parts = row[3].split(whereSeparator: { $0 == "[" || $0 == "]" })
      let field = Field(name: String(parts[0]), type: row[2], count: parts.count > 1 ? Int(parts[1]) : nil)
      if structures.last?.name != row[0] { structures.append(Structure(name: row[0], fields: [])) }
      guard Int(row[1]) == structures[structures.count - 1].fields.count else {
        throw Malformed(row: row.joined(separator: ","))
      }
      structures[structures.count - 1].fields.append(field)
    }
    return structures
  }

  struct Function {
    var name: String
    var introducedIn: String
    /// The parameters as C declares them, in parentheses.
    var parameters: String
  }

  /// The functions in the order of the function lists.
  static func functions() throws -> [Function] {
    var functions: [(function: Function, parameters: [String])] = []
    for row in try rows("functions.csv", columns: 6) {
      if functions.last?.function.name != row[2] {
        functions.append((Function(name: row[2], introducedIn: row[1], parameters: ""), []))
      }
      guard Int(row[0]) == functions.count else { throw Malformed(row: row.joined(separator: ",")) }
      if !row[4].isEmpty { functions[functions.count - 1].parameters.append("\(row[4]) \(row[5])") }
    }
    return functions.map { entry in
      var function = entry.function
      function.parameters = "(\(entry.parameters.isEmpty ? "void" : entry.parameters.joined(separator: ", ")))"
      return function
    }
  }
}
