import CFunctionTable
import Configuration
import Glibc
import LinuxSystem
import ObjectInvoke

/// Why the secure world cannot be reached, in a sentence for the person who set it up.
struct StartFailure: Error {
  let reason: String
  /// Whether it may be otherwise in a moment, with nobody having changed anything.
  var isPassing = false

  /// A guest writes nothing into its host's streams, unless somebody asks.
  func report() {
    guard Environment.value(of: "STRONGROOM_DEBUG") != nil else { return }
    let line = "strongroom: \(reason)\n"
    _ = Array(line.utf8).withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}

/// Finds the secure world of one store, or starts it.
struct SecureWorldStarter {
  private let configuration: Configuration
  /// Nanoseconds from the first attempt to the last.
  private static let patience: UInt64 = 10_000_000_000
  /// How often the program is started when it ends without a word. Somebody may be killing it again and again, and it comes up
  /// when he is done; one that crashes would do so for ever.
  private static let attempts = 10
  /// Microseconds from such an end to the next start: each time twice as long, up to the longest.
  private static let firstPause: UInt32 = 20_000
  private static let longestPause: UInt32 = 500_000

  /// What became of a program that was started.
  private enum Start {
    case listens
    /// It says why it cannot serve; it would say so again.
    case refused(String)
    /// It ended without a word.
    case ended
    /// It has not said anything yet.
    case silent
  }

  /// As the user's or the system's configuration says.
  init(readingConfiguration: ()) throws(StartFailure) {
    do throws(ConfigurationError) {
      configuration = try Configuration.load()
    } catch {
      throw StartFailure(reason: "\(error)")
    }
  }

  private var store: String { configuration.store }
  private var socket: String { configuration.socket ?? store + "/tee.sock" }

  /// Connects, having started the secure world if nobody listens. Of several processes that come at once, one starts
  /// it.
  func connect() throws(StartFailure) -> InvokeClient {
    let deadline = MonotonicClock.now() &+ Self.patience
    if let client = try attempt() { return client }
    guard configuration.socket == nil else { throw notServing() }
    try makeStore()
    return try connect(holding: try takeLock(), until: deadline)
  }

  private func notServing() -> StartFailure {
    StartFailure(
      reason: "no secure world listens on \(socket): start strongroom.service, or take `socket` out of "
        + (configuration.file ?? "the configuration"), isPassing: true)
  }

  private func takeLock() throws(StartFailure) -> LockFile {
    let path = store + "/start.lock"
    do throws(SystemError) {
      return try LockFile(path: path, timeout: Self.patience)
    } catch {
      throw StartFailure(
        reason: "the store \(store): cannot lock \(path): \(error)", isPassing: error.code == EWOULDBLOCK)
    }
  }

  private func connect(
    holding lock: borrowing LockFile, until deadline: UInt64
  ) throws(StartFailure) -> InvokeClient {
    if let client = try attempt() { return client }
    let program = try locate()
    var pause = Self.firstPause
    for _ in 0..<Self.attempts {
      switch try start(program, until: deadline) {
      case .listens: break
      case .refused(let reason): throw StartFailure(reason: "the secure world does not start: \(reason)")
      case .silent:
        throw StartFailure(reason: "the secure world does not come up: \(program) is silent", isPassing: true)
      case .ended:
        usleep(pause)
        pause = min(pause * 2, Self.longestPause)
      }
      if let client = try attempt() { return client }
      if MonotonicClock.now() >= deadline { break }
    }
    throw StartFailure(
      reason: "the secure world does not come up: \(program) ended before it listened, again and again",
      isPassing: true)
  }

  /// nil when nobody listens.
  private func attempt() throws(StartFailure) -> InvokeClient? {
    do throws(InvokeError) {
      return try InvokeClient(connecting: socket)
    } catch {
      switch error {
      case .notListening, .peerGone: return nil
      case .versionMismatch(let version):
        throw StartFailure(
          reason: "the secure world that runs speaks version \(version) of the protocol and this module another: "
            + "stop it, and the next program starts the one that belongs to the module")
      case .refused(let code): throw StartFailure(reason: "the secure world refuses this process (errno \(code))")
      case .resources(let code): throw StartFailure(reason: "no room to connect (errno \(code))")
      case .malformedReply: throw StartFailure(reason: "what listens on \(socket) is not a secure world")
      }
    }
  }

  /// Makes the store's directory, for this user alone, where there is none.
  private func makeStore() throws(StartFailure) {
    var path = ""
    for component in store.split(separator: "/", omittingEmptySubsequences: true) {
      path += "/" + component
      guard mkdir(path, 0o700) != 0, errno != EEXIST else { continue }
      let code = errno
      // A directory on the way that exists may still refuse mkdir for other reasons.
      var status = stat()
      guard stat(path, &status) != 0 else { continue }
      throw StartFailure(reason: "the store \(store): cannot make \(path): \(SystemError("mkdir", code))")
    }
  }

  /// Starts the program and waits for its word that it listens.
  private func start(_ program: String, until deadline: UInt64) throws(StartFailure) -> Start {
    // A socket pair, because it is made close-on-exec in one step: no other thread's child inherits it.
    let pair: MessageSocketPair
    do throws(SystemError) {
      pair = try MessageSocket.pair()
    } catch {
      throw StartFailure(reason: "no descriptor to start \(program): \(error)")
    }
    let near = pair.near
    let far = pair.far
    do throws(SystemError) {
      try spawnDetached(
        executable: program, arguments: [program, "--store", store, "--ready-fd", "3"],
        environment: environment(), readyDescriptor: far.descriptor.number)
    } catch {
      let key = configuration.secureWorld == nil ? "" : ", which `secure-world` names"
      throw StartFailure(reason: "cannot start \(program)\(key): \(error)")
    }
    _ = consume far
    return word(from: near.descriptor, until: deadline)
  }

  /// What the secure world needs to find the configuration that this process found. The rest of the host's environment
  /// is none of its business: neither the host's secrets nor what steers the loader.
  private func environment() -> [String] {
    guard !Environment.isPrivileged else { return [] }
    return Environment.all().filter { variable in
      variable.hasPrefix("STRONGROOM_") || variable.hasPrefix("XDG_") || variable.hasPrefix("HOME=")
    }
  }

  /// One byte says that it listens; the end without one, that it has given up. Text before the end is the reason.
  private func word(from near: borrowing Descriptor, until deadline: UInt64) -> Start {
    let now = MonotonicClock.now()
    let events = try? waitForEvents(near.number, .readable, timeout: deadline > now ? deadline - now : 0)
    guard let events, !events.isEmpty else { return .silent }
    var memory = [UInt8](repeating: 0, count: 1024)
    let count = memory.withUnsafeMutableBytes { bytes in (try? near.read(into: bytes)) ?? 0 }
    if count == 0 { return .ended }
    if count == 1 { return .listens }
    // The blank at its end only sees to it that a reason has more than one byte.
    return .refused(String(decoding: memory[..<(count - 1)], as: UTF8.self))
  }

  // MARK: The program

  private static let name = "strongroom-tee"

  /// The configured program, else the one beside the module (a build folder), else the one of the installation that the
  /// module's folder belongs to: PREFIX/libexec/strongroom, for a module in PREFIX/lib or a folder below it.
  private func locate() throws(StartFailure) -> String {
    if let program = configuration.secureWorld { return program }
    guard let folder = Self.moduleFolder() else { throw StartFailure(reason: "cannot tell where the module lies") }
    var candidates = ["\(folder)/\(Self.name)"]
    var prefix = folder
    for _ in 0..<4 {
      guard let slash = prefix.lastIndex(of: "/") else { break }
      prefix = String(prefix[..<slash])
      candidates.append("\(prefix)/libexec/strongroom/\(Self.name)")
    }
    for candidate in candidates where access(candidate, X_OK) == 0 { return candidate }
    throw StartFailure(reason: "\(Self.name) is neither of: \(candidates.joined(separator: ", "))")
  }

  /// The folder that the loader took this module from: of the file that is mapped where the module's tables lie.
  private static func moduleFolder() -> String? {
    let address = UInt(bitPattern: strongroom_functions_2_40())
    guard let maps = fopen("/proc/self/maps", "re") else { return nil }
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer {
      free(line)
      fclose(maps)
    }
    // first-end permissions offset device inode path
    while getline(&line, &capacity, maps) > 0 {
      guard let line else { return nil }
      var position: UnsafeMutablePointer<CChar>?
      let first = strtoul(line, &position, 16)
      guard let dash = position, dash.pointee == CChar(bitPattern: UInt8(ascii: "-")) else { continue }
      let end = strtoul(dash + 1, nil, 16)
      guard first <= address, address < end, let slash = strchr(line, Int32(UInt8(ascii: "/"))),
        let last = strrchr(slash, Int32(UInt8(ascii: "/")))
      else { continue }
      last.pointee = 0
      return String(cString: slash)
    }
    return nil
  }
}
