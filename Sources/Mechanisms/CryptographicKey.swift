import CryptoCore
import Cryptoki
import Synchronization

/// A key ready for work: parsed once, with its schedules, blinding and padded states kept.
///
/// Threads may share it. Who holds one holds the secret in it, so the owner of the object drops it with the object.
public final class CryptographicKey: Sendable {
  /// What kind of key this is. Public keys occur in the normal world, the others in the secure world only.
  enum Material: Sendable {
    case secret(SecretBytes)
    case aes(AESKey, SecretBytes)
    case rsaPublic(RSAPublicKey)
    case rsaPrivate(RSAPrivateKey)
    case ecPublic(ECPublicKey)
    case ecPrivate(ECPrivateKey)
    case edwardsPublic(EdwardsPublicKey)
    case edwardsPrivate(EdwardsPrivateKey)
    case montgomeryPrivate(MontgomeryPrivateKey)
  }

  let material: Material
  /// The AES key of the material: where it can be lent without being counted.
  private let aesKey: AESKey?
  /// Keys for MACs by hash; the place after the last hash is CMAC's.
  private let authenticationKeys = InlineArray<12, KeptReference<MessageAuthenticationKey>> { _ in
    KeptReference()
  }
  /// How many of them are kept, or are about to be.
  private let authenticationKeyCount = Atomic<Int>(0)
  /// The first ones that are used are kept: each takes some KiB, and nobody uses one key with many hashes. Another is made for each use.
  private static let mostAuthenticationKeys = 2

  init(_ material: Material) {
    self.material = material
    if case .aes(let key, _) = material { aesKey = key } else { aesKey = nil }
  }

  /// A secret key. Throws CKR_KEY_SIZE_RANGE for an AES key of a wrong size.
  public convenience init(secret: SecretBytes, keyType: KeyType) throws(ReturnValue) {
    if keyType == .aes {
      guard let key = try? AESKey(secret) else { throw .keySizeRange }
      self.init(.aes(key, secret))
    } else {
      self.init(.secret(secret))
    }
  }

  public convenience init(_ key: RSAPrivateKey) { self.init(.rsaPrivate(key)) }
  public convenience init(_ key: RSAPublicKey) { self.init(.rsaPublic(key)) }
  public convenience init(_ key: ECPrivateKey) { self.init(.ecPrivate(key)) }
  public convenience init(_ key: ECPublicKey) { self.init(.ecPublic(key)) }
  public convenience init(_ key: EdwardsPrivateKey) { self.init(.edwardsPrivate(key)) }
  public convenience init(_ key: EdwardsPublicKey) { self.init(.edwardsPublic(key)) }
  public convenience init(_ key: MontgomeryPrivateKey) { self.init(.montgomeryPrivate(key)) }

  /// The public key of a description, with its `publicParts`.
  ///
  /// Throws CKR_KEY_TYPE_INCONSISTENT when it is no public key, CKR_KEY_FUNCTION_NOT_PERMITTED when its parts make no key
  /// that works.
  public static func publicKey(from description: KeyDescription) throws(ReturnValue) -> CryptographicKey {
    guard description.objectClass == .publicKey, description.publicParts.count == 2 else { throw .keyTypeInconsistent }
    let parts = description.publicParts
    do throws(CryptoError) {
      switch description.keyType {
      case .rsa: return CryptographicKey(try RSAPublicKey(modulus: parts[0], publicExponent: parts[1]))
      case .ec:
        if let curve = EllipticCurve.allCases.first(where: { UInt32($0.bitCount) == description.size }) {
          return CryptographicKey(try ECPublicKey(curve, point: parts[1]))
        }
      case .ecEdwards: return CryptographicKey(try EdwardsPublicKey(.ed25519, publicBytes: parts[1]))
      default: break
      }
    } catch {
      throw .keyFunctionNotPermitted
    }
    throw .keyTypeInconsistent
  }

  /// The AES key, for the rooms that drive it themselves. Throws CKR_KEY_TYPE_INCONSISTENT for another kind.
  public var aes: AESKey {
    get throws(ReturnValue) {
      guard let aesKey else { throw .keyTypeInconsistent }
      return aesKey
    }
  }

  /// The bytes of a secret key.
  var secret: SecretBytes {
    get throws(ReturnValue) {
      switch material {
      case .secret(let bytes), .aes(_, let bytes): return bytes
      default: throw .keyTypeInconsistent
      }
    }
  }

  /// The state for HMAC with `hash`, or for AES-CMAC when it is nil; of the first two that are asked for, the kept one.
  func authenticationKey(_ hash: HashAlgorithm?) throws(ReturnValue) -> MessageAuthenticationKey {
    let place = hash.map { Int($0.rawValue) } ?? authenticationKeys.count - 1
    if let kept = authenticationKeys[place].instance { return kept }
    let secret = try secret
    let made: MessageAuthenticationKey
    do throws(CryptoError) {
      if let hash {
        made = try MessageAuthenticationKey(hmac: hash, key: secret)
      } else {
        made = try MessageAuthenticationKey(cmacAES: secret)
      }
    } catch {
      throw error.kind == .unsupported ? .mechanismInvalid : .generalError
    }
    if authenticationKeyCount.add(1, ordering: .relaxed).oldValue < Self.mostAuthenticationKeys {
      let kept = authenticationKeys[place].keep(made)
      if kept === made { return made }
      authenticationKeyCount.subtract(1, ordering: .relaxed)
      return kept
    }
    authenticationKeyCount.subtract(1, ordering: .relaxed)
    return made
  }
}
