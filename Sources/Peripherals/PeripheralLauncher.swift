import CLinux
import Glibc
import LinuxSystem
import Synchronization

/// The peripherals there are.
public enum PeripheralKind: UInt8, Sendable, CaseIterable {
  case decoder = 1
  case display = 2
  case camera = 3

  /// The first argument of the peripheral program.
  public var name: String {
    switch self {
    case .decoder: "decoder"
    case .display: "display"
    case .camera: "camera"
    }
  }
}

/// Starts peripheral processes for a secure world that may execute nothing itself.
///
/// `prepare` forks a child while the secure world has no secrets, threads or sandbox yet. The child waits; when it is
/// sent the end of a connection and the number of a peripheral, it starts that program with the connection as
/// descriptor 3. It knows no other commands, and it ends with the secure world.
public final class PeripheralLauncher: Sendable {
  /// The dormant child, or nil when programs are started from this process.
  private let child: Mutex<MessageSocket?>
  private let executable: String
  private let arguments: [PeripheralKind: [String]]

  private init(_ child: consuming MessageSocket?, _ executable: String, _ arguments: [PeripheralKind: [String]]) {
    self.child = Mutex(child)
    self.executable = executable
    self.arguments = arguments
  }

  /// A launcher without a child, for a process that may execute programs itself. What it starts is a child of init.
  public convenience init(executable: String, arguments: [PeripheralKind: [String]]) {
    self.init(nil, executable, arguments)
  }

  /// Forks the launcher. To be called first of all, while this process has one thread.
  ///
  /// - Parameters:
  ///   - executable: absolute path of the peripheral program.
  ///   - arguments: for each peripheral there is, what follows its name on the command line.
  public static func prepare(
    executable: String, arguments: [PeripheralKind: [String]]
  ) throws(SystemError) -> PeripheralLauncher {
    let pair = try MessageSocket.pair()
    let pid = clinux_fork()
    if pid < 0 { throw SystemError("fork", errno) }
    if pid == 0 {
      closeEverything(except: pair.far.descriptor.number)
      serve(executable, arguments, on: pair.far)
      _exit(0)
    }
    return PeripheralLauncher(pair.near, executable, arguments)
  }

  /// Whether this peripheral was named when the secure world was started.
  public func offers(_ kind: PeripheralKind) -> Bool { arguments[kind] != nil }

  /// A new process of this kind. Throws `.unavailable` when there is none of that kind or the launcher has gone.
  ///
  /// Whether the program could be started shows at the first request: it then has ended.
  public func launch(_ kind: PeripheralKind) throws(PeripheralError) -> PeripheralConnection {
    guard offers(kind) else { throw .unavailable }
    do {
      let pair = try MessageSocket.pair()
      let number = pair.far.descriptor.number
      try child.withLock { (child) throws(SystemError) in
        switch child {
        case .some(let child):
          try withUnsafeBytes(of: kind.rawValue) { (bytes) throws(SystemError) in
            try child.send(bytes, descriptors: [number], waiting: false)
          }
        case .none:
          try spawnDetached(
            executable: executable, arguments: Self.commandLine(kind, executable, arguments), environment: [],
            readyDescriptor: number)
        }
      }
      return PeripheralConnection(pair.near)
    } catch {
      throw .unavailable
    }
  }

  private static func commandLine(
    _ kind: PeripheralKind, _ executable: String, _ arguments: [PeripheralKind: [String]]
  ) -> [String] {
    [executable, kind.name] + (arguments[kind] ?? [])
  }

  // What follows runs in the child.

  private static func serve(
    _ executable: String, _ arguments: [PeripheralKind: [String]], on connection: borrowing MessageSocket
  ) {
    _ = clinux_prctl(CLINUX_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    clinux_set_thread_name("launcher")
    withUnsafeTemporaryAllocation(byteCount: 8, alignment: 8) { buffer in
      do {
        while var message = try connection.receive(into: buffer, maximumDescriptors: 1) {
          while clinux_wait(-1, nil, 1) > 0 {}
          guard message.byteCount == 1, let kind = PeripheralKind(rawValue: buffer[0]),
            arguments[kind] != nil, let end = message.descriptors.takeFirst()
          else { continue }
          // A program that cannot be started closes the connection, which is all there is to say.
          _ = try? spawnChild(
            executable: executable, arguments: commandLine(kind, executable, arguments), environment: [],
            descriptors: [end.number])
        }
      } catch {}
    }
  }

  /// The secure world's descriptors are not the launcher's: a client that waits for one to close must not wait for it.
  private static func closeEverything(except kept: Int32) {
    guard let listing = opendir("/proc/self/fd") else { return }
    var numbers: [Int32] = []
    while let entry = readdir(listing) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if let number = Int32(name), number > 2, number != kept { numbers.append(number) }
    }
    closedir(listing)
    for number in numbers { close(number) }
  }
}
