/// A set of flags (CK_FLAGS) that the specification gives names to; bits without a name are kept.
///
/// The Swift names follow the rule of `NamedConstant`.
public protocol NamedFlags: OptionSet, Hashable, Sendable, CustomStringConvertible where RawValue == UInt {
  /// Every flag that the specification names, ascending, each with its current name.
  static var namedValues: [(value: Self, name: String)] { get }

  /// The older spellings that the specification still lists for some of those flags.
  static var olderNames: [(value: Self, name: String)] { get }
}

extension NamedFlags {
  public static var olderNames: [(value: Self, name: String)] { [] }

  /// The names in the specification joined by " | ", bits without a name as one number, "0" for the empty set.
  public var name: String {
    var parts: [String] = []
    var rest = rawValue
    for entry in Self.namedValues where rest & entry.value.rawValue != 0 {
      parts.append(entry.name)
      rest &= ~entry.value.rawValue
    }
    if rest != 0 { parts.append(hexadecimal(rest)) }
    return parts.isEmpty ? "0" : parts.joined(separator: " | ")
  }

  public var description: String { name }
}
