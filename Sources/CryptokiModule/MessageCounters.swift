import Cryptoki
import Synchronization

/// The counters from which IVs of messages are made, one for each key: an IV that was used once with a key is not made
/// again by this process, whichever of its sessions and operations asks, also after C_Finalize or a restart of the secure
/// world: a token's key has the same handle then. (A session's key may have the handle of an earlier one; the count goes on.)
final class MessageCounters: Sendable {
  struct Owner: Hashable {
    let slot: UInt32
    /// The handle.
    let key: UInt64
  }

  private struct Counter {
    /// How many IVs have been made.
    var count: UInt64 = 0
    /// Where CKG_GENERATE begins, so that two processes do not make the same IVs.
    let start: UInt64
  }

  private let counters = Mutex<[Owner: Counter]>([:])

  /// The next value of the key's counter, for IVs with so many bits of it, and where CKG_GENERATE begins.
  ///
  /// Throws CKR_KEY_EXHAUSTED when all values of so many bits have been given.
  func next(
    of key: Owner, bitCount: Int, random: (UnsafeMutableRawBufferPointer) throws(ReturnValue) -> Void
  ) throws(ReturnValue) -> (count: UInt64, start: UInt64) {
    var fresh: UInt64 = 0
    if counters.withLock({ $0[key] == nil }) {
      try withUnsafeMutableBytes(of: &fresh) { (bytes) throws(ReturnValue) in try random(bytes) }
    }
    return try counters.withLock { (counters) throws(ReturnValue) in
      var counter = counters[key] ?? Counter(start: fresh)
      guard bitCount >= 64 || counter.count >> UInt64(max(bitCount, 0)) == 0 else { throw .keyExhausted }
      defer {
        counter.count += 1
        counters[key] = counter
      }
      return (counter.count, counter.start)
    }
  }
}
