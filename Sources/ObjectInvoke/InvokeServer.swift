import CLinux
import Glibc
import LinuxSystem
import Synchronization

/// What a server grants in all.
public struct ServerLimits: Sendable {
  /// Connections at once.
  public var clientCount = 1024
  /// Connections of one user at once.
  public var clientCountPerUser = 512
  /// Connections of one process at once: so that one program cannot lock out the others of its user. A process of
  /// another PID name space has no number here, and is not counted.
  public var clientCountPerProcess = 64
  /// Channels of all clients at once, and of one process. A channel takes a thread and six of the 65530 mappings that a process
  /// may have; without a channel clients are served on their control socket.
  public var channelCount = 4096
  public var channelCountPerProcess = 1024
  /// Memories that all clients share with the server at once, and that one process does. Each takes a mapping.
  public var sharedMemoryCount = 8192
  public var sharedMemoryCountPerProcess = 1024
  /// What each client may use.
  public var client = ClientLimits()
  /// Nanoseconds a new connection has to say hello.
  public var helloTimeout: UInt64 = 10_000_000_000
  /// Address space of a thread's stack in bytes.
  public var stackByteCount = 512 << 10

  public init() {}
}

/// The secure side of object invoke: listens on a socket and hosts the objects that clients invoke.
///
/// Plain threads: one accepts, one per client serves its control socket, one per channel its invocations. What a client
/// does wrong ends its own connection and nothing else.
public final class InvokeServer: Sendable {
  public let limits: ServerLimits
  /// The memory every client gets to read, if there is any; the host program alone writes it.
  public let published: SharedRegion?

  let turns: SpinTurns
  private let publishedFile: Descriptor?
  /// The number of `publishedFile`.
  let publishedDescriptor: Int32?
  private let listener: MessageListener
  private let root: @Sendable (ClientEnvironment) throws -> any InvocableObject
  private let onClientGone: @Sendable (ClientEnvironment) -> Void

  private struct State {
    var clients: [UInt64: ServerClient] = [:]
    var nextNumber: UInt64 = 1
    var clientCountByUser: [UInt32: Int] = [:]
    var clientCountByProcess: [Int32: Int] = [:]
    var isStopped = false
    var lastChange = MonotonicClock.now()
  }
  private let state = Mutex(State())
  let channelCounts: ProcessCounts
  let sharedMemoryCounts: ProcessCounts
  /// Changes when a client leaves and when the server stops: the host's thread sleeps on it.
  private let changes: SharedWord

  /// Makes a server on a socket that listens already; `start` lets it accept.
  ///
  /// - Parameters:
  ///   - published: made by `SharedRegion.create(published: true)`; sent to every client at hello.
  ///   - root: makes the object that a new client's `ObjectReference.root` names. What it throws refuses the client
  ///     (`InvocationError` with its errno, else EPERM).
  ///   - onClientGone: called when all objects of a client have been released and none of its invocations is in
  ///     progress.
  public init(
    listener: consuming MessageListener, limits: ServerLimits = ServerLimits(),
    published: consuming CreatedRegion? = nil,
    root: @escaping @Sendable (ClientEnvironment) throws -> any InvocableObject,
    onClientGone: @escaping @Sendable (ClientEnvironment) -> Void = { _ in }
  ) {
    self.listener = listener
    self.limits = limits
    self.root = root
    self.onClientGone = onClientGone
    channelCounts = ProcessCounts(all: limits.channelCount, perProcess: limits.channelCountPerProcess)
    sharedMemoryCounts = ProcessCounts(all: limits.sharedMemoryCount, perProcess: limits.sharedMemoryCountPerProcess)
    if let created = consume published {
      self.published = created.region
      publishedDescriptor = created.descriptor.number
      publishedFile = consume created.descriptor
    } else {
      self.published = nil
      publishedDescriptor = nil
      publishedFile = nil
    }
    turns = SpinTurns(limit: Processor.count / 2)
    let word = UnsafeMutableRawPointer.allocate(byteCount: 4, alignment: 4)
    word.storeBytes(of: 0, as: UInt32.self)
    changes = SharedWord(word)
  }

  deinit {
    changes.address.deallocate()
  }

  /// Starts to accept clients.
  public func start() throws(SystemError) {
    try startThread(name: "accept", stackSize: limits.stackByteCount) { [self] in acceptClients() }
    try startThread(name: "measure") { [turns] in turns.measure() }
  }

  /// The number of clients that are connected.
  public var clientCount: Int { state.withLock { $0.clients.count } }

  /// Sleeps until there has been no client for `idle` nanoseconds (nil: without limit), or the server was stopped.
  ///
  /// - Parameter firstClient: how many nanoseconds the first client has at least: it started the server and is on its way,
  ///   however short the idle time is.
  public func waitUntilIdle(for idle: UInt64?, firstClient: UInt64 = 10_000_000_000) {
    while true {
      let word = changes.load()
      let (isStopped, isEmpty, last, isUnused) = state.withLock {
        ($0.isStopped, $0.clients.isEmpty, $0.lastChange, $0.nextNumber == 1)
      }
      if isStopped { return }
      var timeout: UInt64?
      if let idle, isEmpty {
        let idle = isUnused ? max(idle, firstClient) : idle
        let passed = MonotonicClock.now() &- last
        if passed >= idle { return }
        timeout = idle - passed
      }
      _ = changes.wait(while: word, timeout: timeout)
    }
  }

  /// Ends every connection, waits until all clients' objects have been released, and accepts nobody any more.
  ///
  /// - Parameter timeout: nanoseconds to wait for invocations in progress.
  /// - Returns: whether everything has ended in that time.
  @discardableResult
  public func stop(timeout: UInt64 = 10_000_000_000) -> Bool {
    let clients = state.withLock { state in
      state.isStopped = true
      return Array(state.clients.values)
    }
    shutdown(listener.descriptor.number, Int32(SHUT_RDWR))
    for client in clients { client.drop() }
    noteChange()
    let deadline = MonotonicClock.now() &+ timeout
    while true {
      let word = changes.load()
      if state.withLock({ $0.clients.isEmpty }) { return true }
      let now = MonotonicClock.now()
      guard now < deadline else { return false }
      _ = changes.wait(while: word, timeout: deadline - now)
    }
  }

  private func noteChange() {
    changes.add(1)
    changes.wake(.max)
  }

  private func acceptClients() {
    while !state.withLock({ $0.isStopped }) {
      do throws(SystemError) {
        try accept(try listener.accept())
      } catch {
        // Out of descriptors, memory or threads for now: those that leave make room.
        if state.withLock({ $0.isStopped }) { return }
        usleep(10_000)
      }
    }
  }

  private func accept(_ socket: consuming MessageSocket) throws(SystemError) {
    let credentials = try socket.peerCredentials()
    let number = state.withLock { state -> UInt64? in
      guard !state.isStopped, state.clients.count < limits.clientCount,
        state.clientCountByUser[credentials.uid, default: 0] < limits.clientCountPerUser,
        credentials.pid == 0
          || state.clientCountByProcess[credentials.pid, default: 0] < limits.clientCountPerProcess
      else { return nil }
      state.nextNumber += 1
      return state.nextNumber
    }
    guard let number else { return }
    let environment = ClientEnvironment(
      identity: ClientIdentity(credentials), number: number, limits: limits.client)
    let client = ServerClient(server: self, socket: socket, environment: environment)
    let isStopped = state.withLock { state in
      state.clients[number] = client
      state.clientCountByUser[credentials.uid, default: 0] += 1
      state.clientCountByProcess[credentials.pid, default: 0] += 1
      return state.isStopped
    }
    if isStopped { client.drop() }
    do throws(SystemError) {
      try startThread(name: "control", stackSize: limits.stackByteCount) { [self] in
        client.run()
        remove(client)
      }
    } catch {
      client.drop()
      remove(client)
      throw error
    }
  }

  private func remove(_ client: ServerClient) {
    onClientGone(client.environment)
    state.withLock { state in
      let peer = client.environment.identity.credentials
      state.clients[client.environment.number] = nil
      state.clientCountByUser[peer.uid, default: 1] -= 1
      if state.clientCountByUser[peer.uid] == 0 { state.clientCountByUser[peer.uid] = nil }
      state.clientCountByProcess[peer.pid, default: 1] -= 1
      if state.clientCountByProcess[peer.pid] == 0 { state.clientCountByProcess[peer.pid] = nil }
      state.lastChange = MonotonicClock.now()
    }
    noteChange()
  }

  /// Gives a new client its root object; answers an errno.
  func admit(_ environment: ClientEnvironment) -> Int32 {
    do {
      environment.setRoot(try root(environment))
      return 0
    } catch let error as InvocationError {
      return error.code
    } catch {
      return EPERM
    }
  }
}

/// How many of something each process has, and all together. Processes of other PID name spaces have no number here, and count
/// as one.
final class ProcessCounts: Sendable {
  private struct State {
    var all = 0
    var byProcess: [Int32: Int] = [:]
  }
  private let limits: (all: Int, perProcess: Int)
  private let state = Mutex(State())

  init(all: Int, perProcess: Int) { limits = (all, perProcess) }

  /// Counts one more; false when that would be too many.
  func take(_ process: Int32) -> Bool {
    state.withLock { state in
      let own = state.byProcess[process, default: 0]
      guard state.all < limits.all, own < limits.perProcess else { return false }
      state.all += 1
      state.byProcess[process] = own + 1
      return true
    }
  }

  func giveBack(_ process: Int32) {
    state.withLock { state in
      state.all -= 1
      let own = state.byProcess[process, default: 1] - 1
      state.byProcess[process] = own == 0 ? nil : own
    }
  }
}
