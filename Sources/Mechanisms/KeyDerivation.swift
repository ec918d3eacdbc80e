import CryptoCore
import Cryptoki

/// What C_DeriveKey does once policy has been decided.
public enum KeyDerivation {
  /// The secret that `key` and the mechanism's parameters give, of `byteCount` bytes, or of the mechanism's own length when
  /// that is nil.
  ///
  /// CKM_ECDH1_DERIVE with CKD_NULL gives the shared secret, from whose beginning what is too much is taken away (PKCS#11 3.2,
  /// 6.3.17); with a key derivation function it gives any length that is asked for. The cofactor of all curves here is 1.
  ///
  /// Throws CKR_MECHANISM_PARAM_INVALID for a public point that is not on the key's curve, CKR_KEY_SIZE_RANGE for a length
  /// that cannot be had.
  public static func derive(
    mechanism: Mechanism, facts: MechanismFacts, from key: CryptographicKey, byteCount: Int?
  ) throws(ReturnValue) -> SecretBytes {
    guard facts.family == .ecdh, case .ecdh(let kdf, let sharedData, let publicPoint) = mechanism.parameters else {
      throw .mechanismInvalid
    }
    guard let hash = MechanismTable.hash(ofKeyDerivation: kdf) else { throw .mechanismParamInvalid }
    let shared = try sharedSecret(key, publicPoint)
    guard let hash else {
      // Without a function there is nothing that shared data could enter.
      guard sharedData.isEmpty else { throw .mechanismParamInvalid }
      return try tail(of: shared, byteCount ?? shared.count)
    }
    do throws(CryptoError) {
      return try x963KeyDerivation(
        hash, sharedSecret: shared, sharedInfo: sharedData, count: byteCount ?? shared.count)
    } catch {
      throw error.kind == .invalidParameter ? .keySizeRange : .functionFailed
    }
  }

  private static func sharedSecret(
    _ key: CryptographicKey, _ publicPoint: [UInt8]
  ) throws(ReturnValue) -> SecretBytes {
    do throws(CryptoError) {
      switch key.material {
      case .ecPrivate(let key):
        if let point = PointEncoding.point(publicPoint, fieldByteCount: key.curve.byteCount) {
          return try key.sharedSecret(withPoint: point)
        }
      case .montgomeryPrivate(let key):
        if let point = PointEncoding.point(publicPoint, fieldByteCount: key.curve.byteCount) {
          return try key.sharedSecret(with: point)
        }
      default: break
      }
    } catch {
      throw error.kind == .invalidPoint ? .mechanismParamInvalid : .functionFailed
    }
    throw .mechanismParamInvalid
  }

  private static func tail(of secret: SecretBytes, _ byteCount: Int) throws(ReturnValue) -> SecretBytes {
    guard byteCount >= 1, byteCount <= secret.count else { throw .keySizeRange }
    return secret.withBytes { SecretBytes(copying: UnsafeRawBufferPointer(rebasing: $0.suffix(byteCount))) }
  }
}
