import Configuration
import CryptoCore
import Glibc
import LinuxSystem
import Peripherals
import RestrictedMemory
import Sandbox
import SecureStorage

/// The program `strongroom-tee`: one secure world for one store.
///
/// Started by the module when a client needs it, or by the operator as a service. It prints nothing; what goes wrong at the start is
/// said to whoever started it (`--ready-fd`), or to standard error when that is nobody.
public enum SecureWorldProgram {
  static let usage = """
    usage: strongroom-tee [--store DIR] [--ready-fd N] [--service] [--accept-rollback]

      --store DIR        the folder of the store; default: as configured
      --ready-fd N       write one byte to descriptor N when clients may connect, or else why not
      --service          serve every user of the machine, and stay when nobody is connected
      --accept-rollback  take a store that is older than its anchor for the newest there is, and exit
      --help             show this

    Everything else is in strongroom.conf; `strongroom config` explains it.

    """

  private struct Arguments {
    var store: String?
    var readyDescriptor: Int32?
    var isService = false
    var acceptsRollback = false
  }

  /// A reason to give up, for the person who started the program.
  private struct Failure: Error {
    let reason: String
    var status: Int32 = 1
  }

  /// Runs the program and answers its exit status: 0, 1 when it could not serve, 2 for wrong arguments.
  public static func run(_ words: [String]) -> Int32 {
    var arguments = Arguments()
    do throws(Failure) {
      guard let given = try parse(words.dropFirst()) else {
        print(usage, terminator: "")
        return 0
      }
      arguments = given
      try serve(arguments)
      return 0
    } catch {
      report(error.reason, to: arguments.readyDescriptor)
      return error.status
    }
  }

  private static func parse(_ words: ArraySlice<String>) throws(Failure) -> Arguments? {
    var arguments = Arguments()
    var words = words
    while let word = words.popFirst() {
      switch word {
      case "--help": return nil
      case "--service": arguments.isService = true
      case "--accept-rollback": arguments.acceptsRollback = true
      case "--store":
        guard let value = words.popFirst() else { throw Failure(reason: "--store wants a folder", status: 2) }
        arguments.store = value
      case "--ready-fd":
        guard let value = words.popFirst().flatMap(Int32.init), value > 2 else {
          throw Failure(reason: "--ready-fd wants the number of a descriptor above 2", status: 2)
        }
        arguments.readyDescriptor = value
      default: throw Failure(reason: "unknown argument \(word)\n\(usage)", status: 2)
      }
    }
    return arguments
  }

  private static func report(_ reason: String, to descriptor: Int32?) {
    // One byte would mean that all is well.
    let text = Array((descriptor == nil ? "strongroom-tee: \(reason)\n" : reason + " ").utf8)
    _ = text.withUnsafeBytes { write(descriptor ?? STDERR_FILENO, $0.baseAddress, $0.count) }
  }

  // MARK: Serving

  private static func serve(_ arguments: Arguments) throws(Failure) {
    let configuration: Configuration
    do { configuration = try Configuration.load() } catch { throw Failure(reason: "\(error)", status: 2) }
    let store = try absolutePath(arguments.store ?? configuration.store)
    umask(0o077)
    signal(SIGPIPE, SIG_IGN)
    // A file size limit then refuses a write instead of killing the process.
    signal(SIGXFSZ, SIG_IGN)
    LibraryContext.refuseConfigurationFile()
    if arguments.acceptsRollback { return try acceptRollback(store) }

    Heap.limitToProcessors()
    // First of all, while there is one thread and no secret: the launcher, which starts peripherals later.
    let launcher = try guarding("fork the launcher") { try prepareLauncher(configuration) }
    // Nobody reads this process's memory, and no core file is ever written of it, from here on.
    try guarding("harden the process") { _ = try harden() }
    raiseDescriptorLimit()
    // Threads that wait for clients then run as soon as they are woken (`docs/waiting.md`).
    requestTimeSlice(100_000)
    try guarding("map secret memory") { _ = try SecretArena.enable(byteCount: secretArenaByteCount) }

    var options = SecureWorldOptions(storeDirectory: store)
    options.slotCount = configuration.slots
    options.idleTime = arguments.isService ? nil : configuration.idleSeconds &* 1_000_000_000
    options.clientMemoryByteCount = configuration.memoryLimit
    options.socketMode = arguments.isService ? 0o666 : 0o600
    options.pools = pools(configuration)
    let log = try openLog(configuration.log)
    let world: SecureWorld
    do {
      world = try SecureWorld(options, launcher: launcher, log: log)
    } catch let error as StorageError {
      log.write("not serving: \(error)")
      throw Failure(reason: "\(error)")
    } catch {
      throw Failure(reason: "cannot open the store \(store): \(error)")
    }
    let socket: String? = configuration.socket.flatMap { arguments.isService ? $0 : nil }
    try guarding("listen") {
      let listener = try world.listen(at: socket)
      try confine(to: store, socket: socket)
      try world.run(listener, at: socket) { tellReady(arguments.readyDescriptor) }
    }
  }

  private static func openLog(_ place: Configuration.Log) throws(Failure) -> Log {
    switch place {
    case .none: return Log()
    case .standardError: return try guarding("log to standard error") { try Log(standardError: ()) }
    case .file(let path): return try guarding("open the log \(path)") { try Log(path: path) }
    }
  }

  /// Bytes of secret memory for keys: within the 8 MiB that a user may lock by default, with room for restricted buffers.
  private static let secretArenaByteCount = 2 << 20

  /// Each connection and each restricted buffer takes a descriptor; what is customary for a soft limit is too few for many clients.
  private static func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit) == 0 else { return }
    limit.rlim_cur = min(limit.rlim_max, 1 << 16)
    setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit)
  }

  private static func prepareLauncher(_ configuration: Configuration) throws -> PeripheralLauncher {
    let executable = configuration.peripheral ?? besideThisProgram("strongroom-peripheral")
    var arguments: [PeripheralKind: [String]] = [:]
    if access(executable, X_OK) == 0 {
      arguments[.decoder] = []
      if let directory = configuration.displayDirectory { arguments[.display] = [directory] }
    }
    return try PeripheralLauncher.prepare(executable: executable, arguments: arguments)
  }

  private static func besideThisProgram(_ name: String) -> String {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &path, path.count - 1)
    guard count > 0 else { return "/nonexistent/\(name)" }
    let program = String(decoding: path[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return program[..<(program.lastIndex(of: "/") ?? program.startIndex)] + "/" + name
  }

  private static func pools(_ configuration: Configuration) -> [UseCase: Pool.Kind] {
    [
      .secureVideoPlayback: .dynamic(step: 16 << 20, limit: configuration.secureVideoPlaybackPoolByteCount),
      .trustedUI: .fixed(byteCount: configuration.trustedUIPoolByteCount),
      .secureVideoRecording: .dynamic(step: 16 << 20, limit: configuration.secureVideoRecordingPoolByteCount),
      .keyMaterial: .fixed(byteCount: configuration.keyPoolByteCount),
    ]
  }

  /// Only the store's files, no new programs, no network; before the first thread but this one.
  private static func confine(to store: String, socket: String?) throws {
    var landlock = Landlock()
    landlock.allow(store, .readWrite)
    landlock.allow("/proc/self", .read)
    if let socket, let slash = socket.lastIndex(of: "/") { landlock.allow(String(socket[..<slash]), .readWrite) }
    _ = try landlock.apply()
    try SystemCallFilter(.secureWorld).apply()
  }

  private static func tellReady(_ descriptor: Int32?) {
    guard let descriptor else { return }
    var byte: UInt8 = 1
    write(descriptor, &byte, 1)
    close(descriptor)
  }

  private static func acceptRollback(_ store: String) throws(Failure) {
    do throws(StorageError) {
      if let accepted = try SecureStore.acceptRollback(directory: store) {
        print("The store \(store) is taken as it is: \(accepted)")
      } else {
        print("The store \(store) is the newest there is; nothing was changed.")
      }
    } catch {
      throw Failure(reason: "\(error)")
    }
  }

  private static func absolutePath(_ path: String) throws(Failure) -> String {
    if path.hasPrefix("/") { return path }
    guard let here = getcwd(nil, 0) else { throw Failure(reason: "no working directory to find \(path) from") }
    defer { free(here) }
    return String(cString: here) + "/" + path
  }

  private static func guarding<R>(_ what: String, _ body: () throws -> R) throws(Failure) -> R {
    do { return try body() } catch { throw Failure(reason: "cannot \(what): \(error)") }
  }
}
