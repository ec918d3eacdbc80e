import Cryptoki
import LinuxSystem
import Mechanisms
import Synchronization
import TokenProtocol
import Wire

/// A key as the module knows it: what decides whether an operation may start, and a public key ready for work.
final class KnownKey: Sendable {
  let handle: UInt64
  let description: KeyDescription
  private let publicKey = Mutex<CryptographicKey?>(nil)

  init(handle: UInt64, description: KeyDescription) {
    self.handle = handle
    self.description = description
  }

  /// Whether operations with it need no secret and stay in this process.
  var isPublic: Bool { description.objectClass == .publicKey }

  /// The public key, parsed once. Throws what `CryptographicKey` says of bad material.
  func parsed() throws(ReturnValue) -> CryptographicKey {
    if let key = publicKey.withLock({ $0 }) { return key }
    try HostCryptography.prepare()
    let key = try CryptographicKey.publicKey(from: description)
    publicKey.withLock { $0 = key }
    return key
  }
}

/// The keys that operations were started with, as long as the generation that the secure world publishes stands.
///
/// No secret is in it, and no policy is decided by it alone: the secure world checks every operation again.
final class KeyCache: Sendable {
  private struct Content {
    var generation: UInt64 = 0
    var keys: [UInt64: KnownKey] = [:]
  }

  /// Descriptions beyond this many push the others out.
  private static let capacity = 4096

  private let content = Mutex(Content())
  /// Tells the stamp of now.
  let clock: Clock

  /// - Parameter published: the page that the secure world publishes, which must outlive this.
  init(published: SharedRegion?) {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 8)
    memory.initializeMemory(as: UInt64.self, repeating: 0, count: 2)
    let isPublished = published.map { $0.byteCount >= 8 } ?? false
    clock = Clock(
      removals: SharedCounter(memory),
      generation: isPublished ? SharedCounter(published!.base) : SharedCounter(memory + 8))
  }

  deinit { clock.removals.address.deallocate() }

  /// When something was known of a key: it is good as long as the stamp is still the same.
  struct Stamp: Equatable {
    fileprivate let generation: UInt64
    fileprivate let removals: UInt64
  }

  /// What tells the stamp of now, as long as the cache lives: two words, so that nothing has to be held to ask.
  struct Clock {
    /// Counts the times that something was forgotten.
    fileprivate let removals: SharedCounter
    /// The generation of what is known of keys: it changes when any of it may be out of date. The secure world publishes
    /// it; always 0 if it does not.
    fileprivate let generation: SharedCounter

    var now: Stamp {
      @inline(__always) get { Stamp(generation: generation.load(), removals: removals.load()) }
    }

    /// To be called with the cache's content locked.
    fileprivate func countRemoval() { removals.store(removals.loadRelaxed() &+ 1) }
  }

  /// The key that a session has used last, with what has to be as it was for it to be good still.
  struct Recent {
    fileprivate let stamp: Stamp
    fileprivate let key: KnownKey
  }

  /// The same as the other `find` for a session that mostly goes on with one key: found without a lock.
  func find(_ handle: UInt64, in session: Session, _ recent: inout Recent?) throws(ReturnValue) -> KnownKey {
    let stamp = clock.now
    if let recent, recent.key.handle == handle, recent.stamp == stamp { return recent.key }
    let key = try find(handle, in: session)
    recent = Recent(stamp: stamp, key: key)
    return key
  }

  /// The key, asked for at the secure world when it is not known in the current generation.
  ///
  /// Throws CKR_KEY_HANDLE_INVALID for a handle that names no key that this session sees.
  func find(_ handle: UInt64, in session: Session) throws(ReturnValue) -> KnownKey {
    guard handle != 0 else { throw .keyHandleInvalid }
    // Both read before the question: an answer that is overtaken by a change is kept under the older generation and asked
    // anew, and one that a removal overtook is not kept.
    let stamp = clock.now
    let generation = stamp.generation
    if let known = content.withLock({ $0.generation == generation ? $0.keys[handle] : nil }) { return known }
    let description: KeyDescription
    do throws(ReturnValue) {
      description = try session.slot.request(
        .describeKey, ObjectRequest(session: session.announced(), object: handle)
      ) { (reader) throws(WireError) in try KeyDescription(from: &reader) }
    } catch {
      throw error == .objectHandleInvalid ? .keyHandleInvalid : error
    }
    let key = KnownKey(handle: handle, description: description)
    content.withLock { content in
      guard stamp.removals == clock.now.removals else { return }
      if content.generation != generation || content.keys.count >= Self.capacity {
        content.keys.removeAll(keepingCapacity: true)
        content.generation = generation
      }
      content.keys[handle] = key
    }
    return key
  }

  /// Forgets the key of an object that was changed or destroyed: of session objects the generation says nothing.
  func remove(_ handle: UInt64) {
    content.withLock {
      $0.keys[handle] = nil
      clock.countRemoval()
    }
  }

  /// Forgets the public keys, when objects of a session that ended may be among them: operations with those ask nobody else.
  func removePublicKeys() {
    content.withLock { content in
      // Counted also when none is here: one may be under way, and a session may remember one that others pushed out.
      clock.countRemoval()
      guard content.keys.contains(where: \.value.isPublic) else { return }
      content.keys = content.keys.filter { !$0.value.isPublic }
    }
  }

  func removeAll() {
    content.withLock {
      $0.keys.removeAll()
      clock.countRemoval()
    }
  }
}
