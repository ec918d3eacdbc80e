import LinuxSystem
import Synchronization
import Wire

/// What one client may use of the server.
public struct ClientLimits: Sendable {
  /// Channels, that is threads that invoke at once without sharing the control socket.
  public var channelCount = 320
  /// References in the client's object table, the root not counted.
  public var objectCount = 65536
  /// Bytes of this process that the client's invocations may hold at once for long requests, input, output and replies.
  public var privateByteCount = 256 << 20
  /// Bytes of memory that the client shares with this process.
  public var sharedByteCount = 256 << 20

  public init() {}
}

/// A client as the server's objects see it: its identity and the table of the objects it may invoke.
///
/// One per connection. Object ids mean something only in the table they were made in.
public final class ClientEnvironment: Sendable {
  public let identity: ClientIdentity
  /// Tells this connection from every other one in the life of the server.
  public let number: UInt64
  public let limits: ClientLimits

  private struct Table {
    var nextID: UInt64 = 1
    var objects: [UInt64: any InvocableObject] = [:]
    var isClosed = false
  }
  private let table = Mutex(Table())
  /// Changes when an id stops to be valid; whoever remembers an object asks again then.
  private let removals = Atomic<UInt64>(0)
  private let gone = Atomic<Bool>(false)
  let privateBytes: ByteQuota
  let sharedBytes: ByteQuota

  init(identity: ClientIdentity, number: UInt64, limits: ClientLimits) {
    self.identity = identity
    self.number = number
    self.limits = limits
    privateBytes = ByteQuota(limits.privateByteCount)
    sharedBytes = ByteQuota(limits.sharedByteCount)
  }

  /// Whether the client has gone: nobody will see a reply any more.
  public var hasGone: Bool { gone.load(ordering: .acquiring) }

  func markGone() {
    gone.store(true, ordering: .releasing)
  }

  /// Counts bytes against the client's quota; `.noMemory` when it would be passed.
  func reserve(_ count: Int) throws(InvocationError) {
    guard privateBytes.take(count) else { throw .noMemory }
  }

  func giveBack(_ count: Int) {
    privateBytes.giveBack(count)
  }

  /// The bytes of this process that the client's invocations hold now.
  public var reservedByteCount: Int { privateBytes.taken }
  /// The bytes that the client shares with this process.
  public var sharedByteCount: Int { sharedBytes.taken }

  /// Gives the client a reference to `object` and answers its id.
  ///
  /// - Throws: `.noMemory` when the client's quota is used up, `.peerGone` when it has gone: `object.released` is not
  ///   called.
  public func addObject(_ object: any InvocableObject) throws(InvocationError) -> UInt64 {
    try table.withLock { table throws(InvocationError) in
      guard !table.isClosed else { throw .peerGone }
      guard table.objects.count < limits.objectCount else { throw .noMemory }
      let id = table.nextID
      table.nextID += 1
      table.objects[id] = object
      return id
    }
  }

  /// The object of that id, nil where this client has none.
  public func object(_ id: UInt64) -> (any InvocableObject)? {
    table.withLock { $0.objects[id] }
  }

  /// Drops a reference; the id is not given out again. An unknown id is ignored.
  public func release(_ id: UInt64) {
    guard id != ObjectReference.root else { return }
    let object = table.withLock { table in
      let object = table.objects.removeValue(forKey: id)
      if object != nil { removals.wrappingAdd(1, ordering: .releasing) }
      return object
    }
    object?.released()
  }

  /// The number of references the client holds, the root not counted.
  public var objectCount: Int {
    table.withLock { $0.objects.count - ($0.objects[ObjectReference.root] == nil ? 0 : 1) }
  }

  var removalCount: UInt64 { removals.load(ordering: .acquiring) }

  func setRoot(_ object: any InvocableObject) {
    table.withLock { $0.objects[ObjectReference.root] = object }
  }

  /// Releases everything.
  func close() {
    let objects = table.withLock { table in
      let objects = table.objects
      table.objects = [:]
      table.isClosed = true
      removals.wrappingAdd(1, ordering: .releasing)
      return objects
    }
    for object in objects.values { object.released() }
  }
}
