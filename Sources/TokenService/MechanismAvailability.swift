import CryptoCore
import Cryptoki
import Mechanisms

extension MechanismFamily {
  /// Whether this process's libcrypto has what the mechanism is made of. A mechanism that it lacks is not announced.
  var isAvailable: Bool {
    switch self {
    case .digest(let hash): hash.isAvailable
    case .hmac(let hash, _): hash.isAvailable && MessageAuthenticationKey.isHMACAvailable
    case .aesCMAC: MessageAuthenticationKey.isCMACAvailable
    case .aesECB, .aesCBC, .aesCBCPad, .aesCTR, .aesKeyWrap, .aesKeyWrapPadded: AESKey.isAvailable
    case .aesGCM: AESKey.isGCMAvailable
    case .rsaPKCS(let hash), .rsaPSS(let hash): RSAPublicKey.isAvailable && hash?.isAvailable != false
    case .rsaRaw, .rsaOAEP: RSAPublicKey.isAvailable
    case .ecdsa(let hash): Self.hasNISTCurves && hash?.isAvailable != false
    case .edDSA: EdwardsCurve.ed25519.isAvailable
    case .ecdh: Self.hasNISTCurves || MontgomeryCurve.x25519.isAvailable
    case .generateKey: true
    case .generateKeyPair(let keyType):
      switch keyType {
      case .rsa: RSAPublicKey.isAvailable
      case .ecEdwards: EdwardsCurve.ed25519.isAvailable
      case .ecMontgomery: MontgomeryCurve.x25519.isAvailable
      default: Self.hasNISTCurves
      }
    }
  }

  private static var hasNISTCurves: Bool { EllipticCurve.allCases.allSatisfy(\.isAvailable) }
}
