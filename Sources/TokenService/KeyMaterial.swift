import CryptoCore
import Cryptoki
import Mechanisms
import Synchronization

/// The secret part of an object: its unrevealed values while they are unsealed, and the key parsed from them, kept.
///
/// Both are dropped, and thereby wiped, when the last client that may use a private object logs out; they come back
/// from the store with the next use.
final class KeyMaterial: Sendable {
  private struct State {
    var secrets: SecretAttributes?
    var key: CryptographicKey?
  }

  private let state: Mutex<State>
  /// Bytes of the secrets that it was made with.
  let byteCount: Int

  init(_ secrets: SecretAttributes?) {
    byteCount = secrets?.byteCount ?? 0
    state = Mutex(State(secrets: secrets, key: nil))
  }

  var secrets: SecretAttributes? { state.withLock { $0.secrets } }

  var key: CryptographicKey? { state.withLock { $0.key } }

  func keep(_ secrets: SecretAttributes) { state.withLock { $0.secrets = secrets } }

  /// Keeps `key`, or answers the one that another thread has kept meanwhile.
  func keep(_ key: CryptographicKey) -> CryptographicKey {
    state.withLock {
      if let kept = $0.key { return kept }
      $0.key = key
      return key
    }
  }

  func drop() {
    state.withLock { $0 = State(secrets: nil, key: nil) }
  }
}
