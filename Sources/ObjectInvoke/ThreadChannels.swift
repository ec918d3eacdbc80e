import Glibc

/// The channel each thread used last, kept in a pthread key: no compiler-made thread-local storage, which a library
/// that can be unloaded could not have.
enum ThreadChannels {
  /// nil where the process has no key left; channels are then taken and given back for every invocation.
  private static let key: pthread_key_t? = {
    var key = pthread_key_t()
    // At a thread's end its channel goes back to the free ones.
    let code = pthread_key_create(&key) { pointer in
      guard let pointer else { return }
      leave(Unmanaged<ClientChannel>.fromOpaque(pointer).takeRetainedValue())
    }
    return code == 0 ? key : nil
  }()

  private static func leave(_ channel: ClientChannel) {
    channel.belongsToThread = false
    // In use only if the thread ends in the middle of an invocation: the channel then goes with it.
    if channel.acquire() { channel.release() }
  }

  /// The channel of this thread and that client, acquired; nil when there is none, or the thread is inside of an
  /// invocation.
  @inline(__always)
  static func current(_ state: ClientState) -> ClientChannel? {
    guard let key, let pointer = pthread_getspecific(key) else { return nil }
    let channel = Unmanaged<ClientChannel>.fromOpaque(pointer).takeUnretainedValue()
    return channel.state === state && channel.acquire() ? channel : nil
  }

  /// Lets go of the thread's channel if it is that client's and not in use.
  static func forget(_ state: ClientState) {
    guard let key, let pointer = pthread_getspecific(key) else { return }
    let channel = Unmanaged<ClientChannel>.fromOpaque(pointer)
    guard channel.takeUnretainedValue().state === state, channel.takeUnretainedValue().acquire() else { return }
    pthread_setspecific(key, nil)
    channel.release()
  }

  /// Makes an acquired channel the thread's own, unless the thread is inside of an invocation on the one it has.
  static func keep(_ channel: ClientChannel) {
    guard let key else { return }
    if let pointer = pthread_getspecific(key) {
      let other = Unmanaged<ClientChannel>.fromOpaque(pointer)
      guard other.takeUnretainedValue().acquire() else { return }
      let left = other.takeRetainedValue()
      left.belongsToThread = false
      left.release()
      pthread_setspecific(key, nil)
    }
    channel.belongsToThread = true
    let retained = Unmanaged.passRetained(channel)
    if pthread_setspecific(key, retained.toOpaque()) != 0 {
      channel.belongsToThread = false
      retained.release()
    }
  }
}
