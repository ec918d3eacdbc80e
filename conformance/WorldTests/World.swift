import Foundation
import Glibc
import LinuxSystem
import ObjectInvoke
import TokenProtocol

/// A secure world of its own for a test: a real `strongroom-tee` process on a store in a temporary folder, which both go with it.
final class World {
  static let officerPIN = "5678-officer"
  static let userPIN = "1234-user"

  let folder: String
  private(set) var pid: pid_t = 0

  var store: String { folder + "/store" }
  var socket: String { store + "/tee.sock" }

  /// - Parameter configuration: lines of strongroom.conf beside the ones that every test wants.
  init(_ configuration: String = "") throws {
    folder = NSTemporaryDirectory() + "strongroom-world-" + UUID().uuidString
    try FileManager.default.createDirectory(
      atPath: folder + "/store", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    try "idle-seconds = 60\n\(configuration)".write(
      toFile: folder + "/strongroom.conf", atomically: true, encoding: .utf8)
    try start()
    try initializeToken()
  }

  deinit {
    stop()
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// The program that was built with the tests.
  static let program: String = {
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return (own as NSString).deletingLastPathComponent + "/strongroom-tee"
  }()

  struct NotStarted: Error { let reason: String }

  /// Starts the process and waits until clients may connect.
  func start() throws {
    let pair = try MessageSocket.pair()
    let near = pair.near
    let far = pair.far
    let child = try spawnChild(
      executable: Self.program, arguments: [Self.program, "--store", store, "--ready-fd", "3"],
      environment: ["STRONGROOM_CONF=\(folder)/strongroom.conf", "HOME=\(folder)"],
      descriptors: [far.descriptor.number])
    _ = consume far
    pid = child.pid
    var word = [UInt8](repeating: 0, count: 1024)
    let count = try word.withUnsafeMutableBytes { try near.descriptor.read(into: $0) }
    if count != 1 { throw NotStarted(reason: String(decoding: word[..<count], as: UTF8.self)) }
  }

  /// Kills the process with everything in it.
  func stop() {
    guard pid > 0 else { return }
    kill(pid, SIGKILL)
    var bits: Int32 = 0
    // The child has no exit signal, so only a wait for all kinds of children sees it.
    _ = waitpid(pid, &bits, Int32(bitPattern: 0x4000_0000 /* __WALL */))
    pid = 0
  }

  private func initializeToken() throws {
    let client = try WireClient(socket)
    var label = [UInt8](repeating: 0x20, count: 32)
    label.replaceSubrange(0..<5, with: Array("world".utf8))
    try client.call(.initializeToken, InitializeToken(pin: Array(Self.officerPIN.utf8), label: label))
    try client.logIn(.so, Self.officerPIN)
    try client.call(.initializePIN, InitializePIN(session: client.session, pin: Array(Self.userPIN.utf8)))
  }

  func guest() throws -> WireClient { try WireClient(socket) }

  func user() throws -> WireClient {
    let client = try WireClient(socket)
    try client.logIn(.user, Self.userPIN)
    return client
  }

  // MARK: What the kernel says of the process

  /// A line of /proc/PID/status.
  func status(_ name: String) throws -> String {
    let text = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
    let line = text.split(separator: "\n").first { $0.hasPrefix(name + ":") }
    return (line?.dropFirst(name.count + 1) ?? "").trimmingCharacters(in: .whitespaces)
  }

  var isAlive: Bool { pid > 0 && kill(pid, 0) == 0 && (try? status("State"))?.hasPrefix("Z") == false }

  var threadCount: Int { get throws { Int(try status("Threads")) ?? -1 } }

  func threadCount(named name: String) throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task").count { thread in
      (try? String(contentsOfFile: "/proc/\(pid)/task/\(thread)/comm", encoding: .utf8)) == name + "\n"
    }
  }

  /// Resident memory in KiB.
  var residentKiB: Int { get throws { Int(try status("VmRSS").split(separator: " ").first ?? "") ?? -1 } }

  /// What the process has open; readable for the privileged only, since it is not dumpable.
  var openFiles: [String] {
    get throws {
      try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").compactMap {
        try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\($0)")
      }
    }
  }
}
