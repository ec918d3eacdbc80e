/// The text of facts.inc, which the programs of conformance/c include (conformance/c/abi.c says what is in it).
struct FactsInclude {
  var lines: [String] = []

  /// How many checks abi.c makes of these lines.
  var checks = 0

  init() throws {
    let typedefs = try Facts.typedefs()
    for typedef in typedefs { add("TYPE(\(typedef.name), \(typedef.type))", checks: 1) }
    for constant in try Facts.constants() {
      add("CONSTANT(\(constant.name), 0x\(String(constant.value, radix: 16))UL)", checks: 1)
    }
    var rule = LayoutRule(typedefs: typedefs)
    for structure in try Facts.structures() {
      let (fields, layout) = try rule.place(structure)
      add("STRUCTURE(\(structure.name), \(layout.size), \(layout.alignment))", checks: 2)
      for placed in fields {
        let dimensions = placed.field.count.map { "[\($0)]" } ?? ""
        let place = "\(dimensions), \(placed.offset), \(placed.size)"
        add("FIELD(\(structure.name), \(placed.field.name), \(placed.field.type), \(place))", checks: 3)
      }
    }
    try addFunctions()
  }

  private mutating func addFunctions() throws {
    let functions = try Facts.functions()
    for function in functions { add("FUNCTION(\(function.name), \(function.parameters))", checks: 2) }
    let lists = [
      ("CK_FUNCTION_LIST", ["2.40"]), ("CK_FUNCTION_LIST_3_0", ["2.40", "3.0"]),
      ("CK_FUNCTION_LIST_3_2", ["2.40", "3.0", "3.2"]),
    ]
    for (list, versions) in lists {
      let members = functions.filter { versions.contains($0.introducedIn) }
      // CK_VERSION is two bytes, padded to the alignment of the pointers that follow.
      add("LIST(\(list), \(8 * (members.count + 1)))", checks: 3)
      for (index, function) in members.enumerated() {
        add("ENTRY(\(list), \(function.name), \(8 * (index + 1)))", checks: 2)
      }
    }
  }

  private mutating func add(_ line: String, checks: Int) {
    lines.append(line)
    self.checks += checks
  }
}
