import CLinux
import Glibc
import LinuxSystem
import Synchronization

/// Restricted buffers as file descriptors.
///
/// A descriptor is one end of a UNIX socket pair, with nothing ever sent on it: it cannot be mapped or read, it can be
/// passed to another process, and when its last holder closes it, or dies, the other end shows a hang-up and the table
/// lets go of the buffer. It is recognised by the kernel's number of the socket (SO_COOKIE), the same for every
/// duplicate and never used twice; the inode number is not trusted, since an O_PATH descriptor has one as well.
///
/// A holder that calls `shutdown` on the socket makes it hang up for all holders: the descriptor is then dead and
/// every later use is `.revoked`. Each export makes a pair of its own, so that this reaches no other export.
public final class CapabilityTable: Sendable {
  private final class Entry: Sendable {
    let near: MessageSocket
    let buffer: RestrictedBuffer
    private let charge: ClientAccount.Charge?
    init(_ near: consuming MessageSocket, _ buffer: RestrictedBuffer, _ charge: ClientAccount.Charge?) {
      self.charge = charge
      self.near = near
      self.buffer = buffer
    }
  }

  private struct State {
    var entries: [UInt64: Entry] = [:]
    /// The latest that died, to tell a revoked descriptor from a foreign one.
    var dead: [UInt64] = []

    mutating func remove(_ cookie: UInt64) -> Entry? {
      guard let entry = entries.removeValue(forKey: cookie) else { return nil }
      if dead.count >= 1024 { dead.removeFirst(512) }
      dead.append(cookie)
      return entry
    }
  }

  private let state = Mutex(State())
  private let limit: Int
  private let events: Descriptor

  /// - Parameter limit: how many descriptors may be out at once; each takes one of the secure world's.
  public init(limit: Int = 512) throws(SystemError) {
    self.limit = limit
    let number = clinux_epoll_create()
    guard number >= 0 else { throw SystemError("epoll_create1", errno) }
    events = Descriptor(adopting: number)
  }

  /// Becomes readable (POLLIN) when a descriptor has died: then `collect` is due. Lent; valid as long as the table.
  public var eventNumber: Int32 { events.number }

  /// How many descriptors are out.
  public var count: Int { state.withLock { $0.entries.count } }

  /// A new descriptor of `buffer`, for a client: to be sent and then closed here.
  ///
  /// It is non-blocking, so that a holder who reads it gets EAGAIN rather than waiting for ever.
  /// - Parameter account: of the client that asks for it.
  public func export(
    _ buffer: RestrictedBuffer, for account: ClientAccount? = nil
  ) throws(RestrictedMemoryError) -> Descriptor {
    collect()
    guard count < limit else { throw .tooManyDescriptors }
    let charge = account?.charge(.exports)
    guard account == nil || charge != nil else { throw .tooManyDescriptors }
    do {
      return try makePair(buffer, charge)
    } catch {
      throw .system(error.code)
    }
  }

  private func makePair(_ buffer: RestrictedBuffer, _ charge: ClientAccount.Charge?) throws(SystemError) -> Descriptor {
    let pair = try MessageSocket.pair()
    pair.far.shutDownWriting()
    try pair.far.descriptor.setNonBlocking(true)
    let cookie = try MessageSocket.cookie(of: pair.far.descriptor)
    let far = try pair.far.descriptor.duplicate()
    let entry = Entry(pair.near, buffer, charge)
    state.withLock { $0.entries[cookie] = entry }
    // Only hang-up and error are asked for, and those always are: SHUT_WR alone does not count.
    guard clinux_epoll_add(events.number, entry.near.descriptor.number, 0, cookie) == 0 else {
      let code = errno
      _ = state.withLock { $0.entries.removeValue(forKey: cookie) }
      throw SystemError("epoll_ctl", code)
    }
    return far
  }

  /// The buffer behind a descriptor that a client sent, which may be any descriptor at all.
  ///
  /// Throws `.foreignDescriptor` for what is not a restricted buffer, `.revoked` for one that was shut down.
  public func buffer(of descriptor: borrowing Descriptor) throws(RestrictedMemoryError) -> RestrictedBuffer {
    guard let cookie = Self.cookie(of: descriptor) else { throw .foreignDescriptor }
    let (entry, isDead) = state.withLock { ($0.entries[cookie], $0.dead.contains(cookie)) }
    guard let entry else { throw isDead ? .revoked : .foreignDescriptor }
    if entry.near.hasHungUp() {
      _ = state.withLock { $0.remove(cookie) }
      throw .revoked
    }
    return entry.buffer
  }

  private static func cookie(of descriptor: borrowing Descriptor) -> UInt64? {
    do { return try MessageSocket.cookie(of: descriptor) } catch { return nil }
  }

  /// Lets go of the buffers whose descriptors have died.
  public func collect() {
    var cookies = [UInt64](repeating: 0, count: 64)
    while true {
      let count = clinux_epoll_wait(events.number, &cookies, Int32(cookies.count), 0)
      if count <= 0 { return }
      // The buffers go outside of the lock: zeroing them takes its time.
      let dead = cookies[..<Int(count)].compactMap { cookie in state.withLock { $0.remove(cookie) } }
      withExtendedLifetime(dead) {}
    }
  }
}
