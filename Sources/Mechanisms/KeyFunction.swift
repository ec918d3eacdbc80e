import Cryptoki

/// What a key is used for in an operation that has a state: the five operations of a session that take a key.
public enum KeyFunction: UInt8, Sendable, CaseIterable {
  case encrypt = 0
  case decrypt = 1
  case sign = 2
  case verify = 3

  /// The flag that a mechanism needs in CK_MECHANISM_INFO.
  public var mechanismFlag: MechanismFlags {
    switch self {
    case .encrypt: .encrypt
    case .decrypt: .decrypt
    case .sign: .sign
    case .verify: .verify
    }
  }

  /// The attribute that permits a key this use.
  public var usage: KeyUsage {
    switch self {
    case .encrypt: .encrypt
    case .decrypt: .decrypt
    case .sign: .sign
    case .verify: .verify
    }
  }
}
