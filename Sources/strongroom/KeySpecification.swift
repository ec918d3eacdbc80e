import ArgumentParser
import CCryptoki
import Cryptoki

/// What to generate: `rsa:2048`, `ec:p256`, `ed25519`, `x25519`, `aes:256` (bits), `generic:32` (bytes).
enum KeySpecification: Equatable {
  case rsa(bits: CK_ULONG)
  /// A curve by the DER encoding of its object identifier, for one of three key types.
  case ec(curve: [UInt8], KeyType)
  case secret(byteCount: CK_ULONG, KeyType)

  static let spellings = "rsa:2048|3072|4096, ec:p256|p384|p521, ed25519, x25519, aes:128|192|256, generic:BYTES"

  private static let curves: [String: ([UInt8], KeyType)] = [
    "ec:p256": ([0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], .ec),
    "ec:p384": ([0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22], .ec),
    "ec:p521": ([0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23], .ec),
    "ed25519": ([0x06, 0x03, 0x2b, 0x65, 0x70], .ecEdwards),
    "x25519": ([0x06, 0x03, 0x2b, 0x65, 0x6e], .ecMontgomery),
  ]

  init(_ text: String) throws {
    if let (curve, type) = Self.curves[text.lowercased()] {
      self = .ec(curve: curve, type)
      return
    }
    let parts = text.lowercased().split(separator: ":", omittingEmptySubsequences: false)
    if parts.count == 2, let number = CK_ULONG(parts[1]) {
      switch parts[0] {
      case "rsa" where number >= 1024 && number <= 16384 && number.isMultiple(of: 8):
        self = .rsa(bits: number)
        return
      case "aes" where [128, 192, 256].contains(number):
        self = .secret(byteCount: number / 8, .aes)
        return
      case "generic" where number > 0 && number <= 4096:
        self = .secret(byteCount: number, .genericSecret)
        return
      default: break
      }
    }
    throw Failure.usage("\"\(text)\" is no kind of key; there is \(Self.spellings)")
  }

  var isSecret: Bool { if case .secret = self { true } else { false } }

  /// Whether a key of this kind can unwrap others.
  var unwraps: Bool {
    switch self {
    case .rsa, .secret(_, .aes): true
    default: false
    }
  }

  /// What a key of this kind is for when nobody says otherwise.
  var usage: [KeyUsage] {
    switch self {
    case .rsa: [.sign, .decrypt]
    case .ec(_, .ecEdwards): [.sign]
    case .ec(_, .ecMontgomery): [.derive]
    case .ec: [.sign, .derive]
    case .secret(_, .aes): [.encrypt, .decrypt]
    case .secret: [.sign, .derive]
    }
  }

  /// Makes the key in the token; answers the private or secret key.
  func generate(
    in session: Session, usage: [KeyUsage], common: () -> Template, secretAttributes: (Template) -> Void
  ) throws -> CK_OBJECT_HANDLE {
    let secret = common()
    secret.adding(.private, true).adding(.sensitive, true)
    for use in KeyUsage.allCases {
      if let type = use.attribute(isSecret: isSecret) { secret.adding(type, usage.contains(use)) }
    }
    secretAttributes(secret)
    switch self {
    case .secret(let byteCount, let type):
      secret.adding(.class, ObjectClass.secretKey.rawValue).adding(.keyType, type.rawValue).adding(.valueLen, byteCount)
      secret.adding(.verify, usage.contains(.sign))
      return try session.generateKey(type == .aes ? .aesKeyGen : .genericSecretKeyGen, secret)
    case .rsa(let bits):
      let open = common().adding(.class, ObjectClass.publicKey.rawValue).adding(.modulusBits, bits)
      open.adding(.publicExponent, [1, 0, 1] as [UInt8]).adding(.verify, usage.contains(.sign))
      open.adding(.encrypt, usage.contains(.decrypt)).adding(.wrap, usage.contains(.unwrap))
      secret.adding(.class, ObjectClass.privateKey.rawValue)
      return try session.generateKeyPair(.rsaPKCSKeyPairGen, public: open, private: secret).private
    case .ec(let curve, let type):
      let open = common().adding(.class, ObjectClass.publicKey.rawValue).adding(.ecParams, curve)
      if usage.contains(.sign) { open.adding(.verify, true) }
      secret.adding(.class, ObjectClass.privateKey.rawValue)
      let mechanism: MechanismType =
        switch type {
        case .ecEdwards: .ecEdwardsKeyPairGen
        case .ecMontgomery: .ecMontgomeryKeyPairGen
        default: .ecKeyPairGen
        }
      return try session.generateKeyPair(mechanism, public: open, private: secret).private
    }
  }
}

/// What a private or secret key may be used for.
enum KeyUsage: String, CaseIterable, ExpressibleByArgument {
  case encrypt, decrypt, sign, derive, wrap, unwrap

  /// The attribute that says so on the private or secret key; nil where that key has none.
  func attribute(isSecret: Bool) -> AttributeType? {
    switch self {
    case .encrypt: isSecret ? .encrypt : nil
    case .decrypt: .decrypt
    case .sign: .sign
    case .derive: .derive
    case .wrap: isSecret ? .wrap : nil
    case .unwrap: .unwrap
    }
  }
}

/// Use-cases of restricted buffers by name.
enum UseCase: String, CaseIterable, ExpressibleByArgument {
  case playback, trustedUI = "trusted-ui", recording, keyMaterial = "key-material"

  var value: CK_STRONGROOM_USE_CASE {
    switch self {
    case .playback: CKU_STRONGROOM_SECURE_VIDEO_PLAYBACK
    case .trustedUI: CKU_STRONGROOM_TRUSTED_UI
    case .recording: CKU_STRONGROOM_SECURE_VIDEO_RECORDING
    case .keyMaterial: CKU_STRONGROOM_KEY_MATERIAL
    }
  }
}
