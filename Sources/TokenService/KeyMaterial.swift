import CryptoCore
import Cryptoki
import Mechanisms
import Synchronization

/// The secret part of an object: its unrevealed values while they are unsealed, and the key parsed from them, kept.
///
/// Both are dropped, and thereby wiped, when the last client that may use a private object logs out, and when a token object was
/// not used for a while; they come back from the store with the next use.
final class KeyMaterial: Sendable {
  private struct State {
    var secrets: SecretAttributes?
    var key: CryptographicKey?
    /// Whether it was used since somebody asked.
    var isUsed = false
    /// Whether it is among those that are looked at for that.
    var isWatched = false

    var isEmpty: Bool { secrets == nil && key == nil }

    /// Lends what is kept, as a use of it.
    mutating func use<Kept>(_ kept: Kept?) -> Kept? {
      isUsed = isUsed || kept != nil
      return kept
    }
  }

  private let state: Mutex<State>
  /// Bytes that a key counts for beside its values: what libcrypto keeps of it once it is used in a way or two.
  static let ownByteCount = 4 << 10

  /// Bytes of the secrets that it was made with.
  let byteCount: Int

  init(_ secrets: SecretAttributes?) {
    byteCount = secrets?.byteCount ?? 0
    state = Mutex(State(secrets: secrets, key: nil))
  }

  var secrets: SecretAttributes? { state.withLock { $0.use($0.secrets) } }

  var key: CryptographicKey? { state.withLock { $0.use($0.key) } }

  /// Whether nothing is kept. Asking is no use.
  var isEmpty: Bool { state.withLock { $0.isEmpty } }

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
    // What is dropped is wiped without the lock.
    let kept = state.withLock { state in
      let kept = state
      state.secrets = nil
      state.key = nil
      return kept
    }
    _ = kept
  }

  /// Counts it among those that are watched; false when it was already.
  func beginWatch() -> Bool {
    state.withLock { state in
      state.isUsed = true
      if state.isWatched { return false }
      state.isWatched = true
      return true
    }
  }

  /// Drops what was not used since the last call. False when nothing is kept, and it is not watched any longer.
  func isKeptWhenWatched() -> Bool {
    let isUsed = state.withLock { state in
      let isUsed = state.isUsed && !state.isEmpty
      state.isUsed = false
      state.isWatched = isUsed
      return isUsed
    }
    if !isUsed { drop() }
    return isUsed
  }
}
