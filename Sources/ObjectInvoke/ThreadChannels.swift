import Glibc
import Synchronization

/// The channel each thread used last, kept in a pthread key: no compiler-made thread-local storage, which a library
/// that can be unloaded could not have.
enum ThreadChannels {
  /// nil where the process has no key left; channels are then taken and given back for every invocation.
  private static let made: pthread_key_t? = {
    var key = pthread_key_t()
    // At a thread's end its channel goes back to the free ones.
    let code = pthread_key_create(&key) { pointer in
      guard let pointer else { return }
      leave(Unmanaged<ClientChannel>.fromOpaque(pointer))
    }
    return code == 0 ? key : nil
  }()

  /// The key plus 1, once it is known that there is one: each invocation asks.
  private static let known = Atomic<UInt>(0)

  private static var key: pthread_key_t? {
    @inline(__always) get {
      let known = known.load(ordering: .relaxed)
      return known == 0 ? findKey() : pthread_key_t(truncatingIfNeeded: known &- 1)
    }
  }

  @inline(never)
  private static func findKey() -> pthread_key_t? {
    guard let made else { return nil }
    known.store(UInt(made) &+ 1, ordering: .relaxed)
    return made
  }

  /// Ends the thread's ownership of a channel; its reference, which was the key's, is given up with it.
  private static func leave(_ channel: Unmanaged<ClientChannel>) {
    let isFree = channel._withUnsafeGuaranteedRef { left in
      guard left.acquire() else { return false }
      left.belongsToThread = false
      return true
    }
    // In use only if the thread ends in the middle of an invocation: the channel then goes with it.
    if isFree { channel.endUse() } else { channel.release() }
  }

  /// The channel of this thread and that client, acquired; nil when there is none, or the thread is inside of an
  /// invocation.
  @inline(__always)
  static func current(_ state: ClientState) -> Unmanaged<ClientChannel>? {
    guard let key, let pointer = pthread_getspecific(key) else { return nil }
    let channel = Unmanaged<ClientChannel>.fromOpaque(pointer)
    return channel._withUnsafeGuaranteedRef { $0.state === state && $0.acquire() } ? channel : nil
  }

  /// Lets go of the thread's channel if it is that client's and not in use.
  static func forget(_ state: ClientState) {
    guard let key, let pointer = pthread_getspecific(key) else { return }
    let channel = Unmanaged<ClientChannel>.fromOpaque(pointer)
    guard channel.takeUnretainedValue().state === state, !channel.takeUnretainedValue().isInUse else { return }
    pthread_setspecific(key, nil)
    leave(channel)
  }

  /// Makes an acquired channel the thread's own, unless the thread is inside of an invocation on the one it has.
  static func keep(_ channel: ClientChannel) {
    guard let key else { return }
    if let pointer = pthread_getspecific(key) {
      let other = Unmanaged<ClientChannel>.fromOpaque(pointer)
      guard !other.takeUnretainedValue().isInUse else { return }
      pthread_setspecific(key, nil)
      leave(other)
    }
    // The reference that an acquired channel has is the key's from now on.
    channel.belongsToThread = pthread_setspecific(key, Unmanaged.passUnretained(channel).toOpaque()) == 0
  }
}
