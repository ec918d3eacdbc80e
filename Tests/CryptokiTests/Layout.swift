/// Size and alignment of a C type, in bytes.
struct Layout {
  var size: Int
  var alignment: Int
}

/// Works out the layout of the structures from the facts alone, by natural alignment on a 64-bit system: every field at
/// the next multiple of its alignment, the structure padded to a multiple of its largest.
struct LayoutRule {
  private var layouts: [String: Layout] = [
    "unsigned char": Layout(size: 1, alignment: 1),
    "unsigned long int": Layout(size: 8, alignment: 8),
    "long int": Layout(size: 8, alignment: 8),
  ]
  private var typedefs: [String: String]

  init(typedefs: [Facts.Typedef]) {
    self.typedefs = Dictionary(uniqueKeysWithValues: typedefs.map { ($0.name, $0.type) })
  }

  private static let pointer = Layout(size: 8, alignment: 8)
  private static let callbacks: Set = ["CK_CREATEMUTEX", "CK_DESTROYMUTEX", "CK_LOCKMUTEX", "CK_UNLOCKMUTEX"]

  struct Unknown: Error {
    var type: String
  }

  private func layout(of type: String) throws -> Layout {
    if type.hasSuffix("*") || Self.callbacks.contains(type) { return Self.pointer }
    if let known = layouts[type] { return known }
    guard let meaning = typedefs[type] else { throw Unknown(type: type) }
    return try layout(of: meaning)
  }

  struct PlacedField {
    var field: Facts.Field
    var offset: Int
    var size: Int
  }

  /// Places the fields of a structure; structures that use it can be placed after it.
  mutating func place(_ structure: Facts.Structure) throws -> (fields: [PlacedField], layout: Layout) {
    var placed: [PlacedField] = []
    var end = 0
    var alignment = 1
    for field in structure.fields {
      let element = try layout(of: field.type)
      let offset = (end + element.alignment - 1) / element.alignment * element.alignment
      let size = element.size * (field.count ?? 1)
      placed.append(PlacedField(field: field, offset: offset, size: size))
      end = offset + size
      alignment = max(alignment, element.alignment)
    }
    let whole = Layout(size: (end + alignment - 1) / alignment * alignment, alignment: alignment)
    layouts[structure.name] = whole
    return (placed, whole)
  }
}
