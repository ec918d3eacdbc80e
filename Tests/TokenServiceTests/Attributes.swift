import Cryptoki
import TokenProtocol

extension Attribute {
  static func flag(_ type: AttributeType, _ value: Bool) -> Attribute { Attribute(type, .bytes([value ? 1 : 0])) }
  static func number(_ type: AttributeType, _ value: UInt) -> Attribute {
    Attribute(type, .bytes(withUnsafeBytes(of: value.littleEndian) { [UInt8]($0) }))
  }
  static func bytes(_ type: AttributeType, _ value: [UInt8]) -> Attribute { Attribute(type, .bytes(value)) }
  static func text(_ type: AttributeType, _ value: String) -> Attribute { Attribute(type, .bytes(Array(value.utf8))) }
  static func of(_ value: ObjectClass) -> Attribute { .number(.class, value.rawValue) }
  static func of(_ value: KeyType) -> Attribute { .number(.keyType, value.rawValue) }
  static let onToken = Attribute.flag(.token, true)
}

/// A small generator with a seed, so that a failure can be repeated.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(bound, 1))) }
  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}
