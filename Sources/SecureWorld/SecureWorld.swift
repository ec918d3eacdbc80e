import CryptoCore
import Glibc
import LinuxSystem
import ObjectInvoke
import Peripherals
import RestrictedMemory
import SecureStorage
import Synchronization
import TokenProtocol
import TokenService

/// How a secure world is set up. The operator says so, by configuration and command line; no client does.
struct SecureWorldOptions: Sendable {
  /// Absolute path of the folder that holds the store.
  var storeDirectory: String
  /// The number of slots, 1 to 16.
  var slotCount = 1
  /// Nanoseconds without a client after which the secure world leaves; nil: never.
  var idleTime: UInt64?
  /// The pools by use-case.
  var pools: [UseCase: Pool.Kind] = PoolSet.standardKinds
  /// Bytes of the secure world's memory that one client's operations may hold.
  var clientMemoryByteCount = 256 << 20
  /// Mode of the listening socket: 0o600 for one user's secure world, 0o666 for a service of many.
  var socketMode: UInt32 = 0o600

  init(storeDirectory: String) {
    self.storeDirectory = storeDirectory
  }

  /// The socket that clients connect to.
  var socketPath: String { storeDirectory + "/tee.sock" }
}

/// The runtime of the secure world: opens the store, hosts the services, and gives each client its root object.
final class SecureWorld: Sendable {
  let tokens: [TokenObject]
  private let published: PublishedState
  private let pools: PoolSet
  private let capabilities: CapabilityTable
  private let accounts: ClientAccounts
  private let decoder: VideoDecoder
  private let display: Display
  private let presentations = PresentationQueue()
  private let idleKeys = IdleKeys()
  private let options: SecureWorldOptions
  private let log: Log
  // Given to the server when it is made.
  private let publishedRegion: Mutex<CreatedRegion?>

  /// Opens the store and what is in it. `launcher` has been prepared before anything else (see `PeripheralLauncher`).
  ///
  /// Throws `StorageError` (among them `.inUse` when another secure world serves the store) and `SystemError`.
  init(_ options: SecureWorldOptions, launcher: PeripheralLauncher, log: Log) throws {
    self.options = options
    self.log = log
    let region = try SharedRegion.create(name: "published", byteCount: PublishedState.byteCount, published: true)
    let published = PublishedState(region.region)
    self.published = published
    publishedRegion = Mutex(region)
    let store = try SecureStore.open(directory: options.storeDirectory)
    for record in store.damaged { log.write("damaged: \(record) does not open; everything else is served") }
    tokens = try (0..<UInt32(options.slotCount)).map { [idleKeys] slot in
      TokenObject(
        try Token(
          store: store, slot: slot, clientByteLimit: options.clientMemoryByteCount,
          onKeyChange: { published.advanceKeyGeneration() }, onKeyKept: { idleKeys.noteKept() }))
    }
    pools = PoolSet(options.pools)
    capabilities = try CapabilityTable()
    let limits = pools.clientLimits.merging(ClientAccounts.fixedLimits) { $1 }
    accounts = ClientAccounts(limits: limits.merging([.withheldBytes: options.clientMemoryByteCount]) { $1 })
    decoder = VideoDecoder(launcher: launcher)
    display = Display(launcher: launcher)
  }

  /// Listens on the store's socket. Only the one secure world that holds the store's lock gets here, so a socket file that lies
  /// there was left behind by one that was killed.
  ///
  /// - Parameter path: of the socket; nil: `tee.sock` in the store's folder.
  func listen(at path: String?) throws(SystemError) -> MessageListener {
    try MessageListener(path: path ?? options.socketPath, mode: options.socketMode)
  }

  /// Serves clients until there have been none for the idle time. `ready` is called when the first may connect.
  func run(_ listener: consuming MessageListener, at path: String?, ready: () -> Void) throws {
    var limits = ServerLimits()
    limits.client.privateByteCount = options.clientMemoryByteCount
    limits.client.sharedByteCount = options.clientMemoryByteCount
    let region = publishedRegion.withLock { $0.take() }
    let server = InvokeServer(
      listener: listener, limits: limits, published: region,
      root: { [self] client in
        let peer = client.identity.credentials
        log.write("client \(client.number): process \(peer.pid) of user \(peer.uid)")
        return ClientRoot(self, accounts.account(of: peer))
      },
      onClientGone: { [log, tokens] client in
        // Also when its token object never got into its table.
        for token in tokens { token.clientGone(ClientID(rawValue: client.number)) }
        log.write("client \(client.number): gone")
      })
    try startThread(name: "capabilities", stackSize: 128 << 10) { [capabilities] in
      while true {
        // Without an answer from poll nothing has died; the next export collects as well.
        _ = try? waitForEvents(capabilities.eventNumber, .readable, timeout: nil)
        capabilities.collect()
      }
    }
    // Without a hold on the tokens: the store closes when the server has stopped.
    try idleKeys.start { [weak self] in
      guard let self else { return nil }
      return tokens.filter { $0.dropUnusedKeys() }.count > 0
    }
    try server.start()
    log.write("serving the store \(options.storeDirectory), \(tokens.count) slots, with \(LibraryContext.version)")
    ready()
    server.waitUntilIdle(for: options.idleTime)
    // A client that connects from here on finds nobody, and starts the next secure world, which waits for this one's lock.
    unlink(path ?? options.socketPath)
    server.stop()
    log.write("leaving: no client for a while")
  }

  /// The service that a client opens, or nil when there is none of that number.
  func service(
    _ service: ServiceNumber, argument: UInt32, for client: ClientEnvironment, _ account: ClientAccount
  ) -> (any InvocableObject)? {
    let memory = ClientMemory(pools: pools, capabilities: capabilities, account: account)
    switch service {
    case .token:
      guard let slot = Int(exactly: argument), slot < tokens.count else { return nil }
      return TokenInvocation(tokens[slot], client: ClientID(rawValue: client.number), account, log: log)
    case .restrictedMemory: return RestrictedMemoryService(memory)
    case .peripherals:
      return PeripheralsService(decoder: decoder, display: display, presentations, memory)
    }
  }
}
