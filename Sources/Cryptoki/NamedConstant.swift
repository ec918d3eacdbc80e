/// A number that the specification gives names to, kept open: every raw value is representable, known or not.
///
/// The Swift name of a constant is its name in the specification without the family prefix (CKM_, CKA_, ... or the longer
/// prefix its type's comment gives), its words joined in camel case: the first word in lower case, the others
/// capitalised, acronyms and words with a digit in upper case. An underscore stays only between two digits. So
/// CKM_SHA256_RSA_PKCS_PSS is `.sha256RSAPKCSPSS` and CKM_SHA3_256_HMAC is `.sha3_256HMAC`. The test of the rule lists
/// the acronyms and the few words that are two (CKA_X2RATCHET_BAGSIZE is `.x2ratchetBagSize`).
///
/// The constants are inlinable computed properties, so that a `switch` over them in another room compiles to
/// comparisons with numbers, and loading the module initialises nothing.
public protocol NamedConstant: RawRepresentable, Hashable, Sendable, CustomStringConvertible
where RawValue: FixedWidthInteger & UnsignedInteger & Sendable {
  init(rawValue: RawValue)

  /// Every value that the specification names, ascending, each with its current name.
  static var namedValues: [(value: Self, name: String)] { get }

  /// The older spellings that the specification still lists for some of those values.
  static var olderNames: [(value: Self, name: String)] { get }
}

extension NamedConstant {
  public static var olderNames: [(value: Self, name: String)] { [] }

  /// The name in the specification ("CKM_AES_GCM"), or the number ("0x80001234") where it has none.
  public var name: String {
    let table = Self.namedValues
    var low = 0
    var high = table.count
    while low < high {
      let middle = (low + high) / 2
      if table[middle].value.rawValue < rawValue { low = middle + 1 } else { high = middle }
    }
    guard low < table.count, table[low].value == self else { return hexadecimal(rawValue) }
    return table[low].name
  }

  public var description: String { name }

  /// The constant of that name in the specification, current or older; nil where there is none.
  public init?(name: String) {
    let entry = Self.namedValues.first { $0.name == name } ?? Self.olderNames.first { $0.name == name }
    guard let entry else { return nil }
    self = entry.value
  }
}

/// The number in hexadecimal with at least eight digits, as the specification writes its constants.
func hexadecimal(_ number: some FixedWidthInteger & UnsignedInteger) -> String {
  let digits = String(number, radix: 16)
  return "0x" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
}
