import CCryptoki
import Foundation
import Glibc

/// A store for one test of faults, used by processes that the test starts; it goes with the test.
final class FaultStore {
  let folder: String

  init() throws {
    folder = NSTemporaryDirectory() + "strongroom-faults-" + UUID().uuidString
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    try Self.configure(folder, "idle-seconds = 20\n")
  }

  deinit {
    World(folder).kill()
    try? FileManager.default.removeItem(atPath: folder)
  }

  static func configure(_ folder: String, _ lines: String) throws {
    try "store = \(folder)/store\n\(lines)".write(
      toFile: folder + "/strongroom.conf", atomically: true, encoding: .utf8)
  }

  /// What the process of the test could not hold true, if anything.
  var failure: String? { try? String(contentsOfFile: folder + "/report", encoding: .utf8) }

  /// The store as a process of the test sees it.
  struct World: Sendable {
    let folder: String
    var store: String { folder + "/store" }

    init(_ folder: String) { self.folder = folder }

    /// Makes it the store of this process's module.
    static func enter(_ folder: String) -> World {
      setenv("STRONGROOM_CONF", folder + "/strongroom.conf", 1)
      setenv("STRONGROOM_TEST_REPORT", folder + "/report", 1)
      return World(folder)
    }

    /// The process of the secure world, by the store's lock; nil when none runs.
    var process: pid_t? {
      guard let text = try? String(contentsOfFile: store + "/lock", encoding: .utf8),
        let pid = pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)),
        let name = try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8), name.hasPrefix("strongroom-tee")
      else { return nil }
      return pid
    }

    /// Kills the secure world, if one runs, and waits until it has gone.
    func kill() {
      guard let process else { return }
      Glibc.kill(process, SIGKILL)
      // Its files are closed when the last of its threads has gone, which may be after the first one has.
      for _ in 0..<2000 {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task")) ?? []
        let state = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ") Z "
        if threads.count <= 1, state.contains(") Z ") { return }
        usleep(2_000)
      }
    }

    func initializeToken() {
      expect(p11.C_Initialize!(nil), "C_Initialize")
      var label = [UInt8](repeating: 0x20, count: 32)
      label.replaceSubrange(0..<6, with: Array("faults".utf8))
      var officer = Array(TestStore.officerPIN.utf8)
      var user = Array(TestStore.userPIN.utf8)
      expect(p11.C_InitToken!(0, &officer, UInt(officer.count), &label), "C_InitToken")
      let session = open()
      expect(login(session, TestStore.officerPIN, as: CKU_SO), "C_Login")
      expect(p11.C_InitPIN!(session, &user, UInt(user.count)), "C_InitPIN")
      expect(p11.C_CloseSession!(session), "C_CloseSession")
    }

    func expect(_ result: CK_RV, _ step: String, line: Int = #line) {
      require(result == CKR_OK, "\(step): \(name(result))", line: line)
    }

    func open() -> CK_SESSION_HANDLE {
      var session: CK_SESSION_HANDLE = 0
      expect(p11.C_OpenSession!(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, nil, nil, &session), "C_OpenSession")
      return session
    }

    func login(_ session: CK_SESSION_HANDLE, _ pin: String = TestStore.userPIN, as user: UInt = CKU_USER) -> CK_RV {
      var pin = Array(pin.utf8)
      return p11.C_Login!(session, user, &pin, UInt(pin.count))
    }

    func openAsUser() -> CK_SESSION_HANDLE {
      let session = open()
      expect(login(session), "C_Login")
      return session
    }

    /// The token's flags that tell of PINs.
    var pinFlags: UInt {
      var info = CK_TOKEN_INFO()
      expect(p11.C_GetTokenInfo!(0, &info), "C_GetTokenInfo")
      return info.flags & 0x007f_0000
    }

    /// Calls C_Initialize, which must fail, and answers what the module wrote to standard error.
    func refusal() -> String {
      let path = folder + "/stderr"
      let kept = dup(STDERR_FILENO)
      let file = Glibc.open(path, O_CREAT | O_TRUNC | O_RDWR, 0o600)
      dup2(file, STDERR_FILENO)
      setenv("STRONGROOM_DEBUG", "1", 1)
      let result = p11.C_Initialize!(nil)
      dup2(kept, STDERR_FILENO)
      close(kept)
      close(file)
      require(result == CKR_GENERAL_ERROR, "C_Initialize: \(name(result))")
      return (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    }

    /// Runs a program that was built with the tests and answers its status and all that it wrote.
    func run(_ program: String, _ arguments: String...) -> (status: Int32, text: String) {
      let process = Process()
      let folder = (LoadedModule.shared.path as NSString).deletingLastPathComponent
      process.executableURL = URL(fileURLWithPath: folder + "/" + program)
      process.arguments = arguments
      let pipe = Pipe()
      process.standardOutput = pipe
      process.standardError = pipe
      do { try process.run() } catch { return (-1, "\(error)") }
      let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      return (process.terminationStatus, text)
    }

    /// The content of the store's files, sockets and locks left out.
    var content: [String: Data] {
      var content: [String: Data] = [:]
      for name in ["device.key", "anchor", "strongroom.db", "strongroom.db-wal"] {
        content[name] = FileManager.default.contents(atPath: store + "/" + name)
      }
      return content
    }

    func write(_ content: [String: Data]) {
      for (name, data) in content {
        require(FileManager.default.createFile(atPath: store + "/" + name, contents: data), "cannot write \(name)")
        chmod(store + "/" + name, 0o600)
      }
    }
  }
}

/// An EC key pair on the token, both halves with this label.
func tokenPair(_ session: CK_SESSION_HANDLE, _ label: String) -> CK_RV {
  generatePair(
    session, CKM_EC_KEY_PAIR_GEN,
    [
      (CKA_EC_PARAMS, .bytes([0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07])), (CKA_TOKEN, .bool(true)),
      (CKA_LABEL, .text(label)),
    ], [(CKA_TOKEN, .bool(true)), (CKA_LABEL, .text(label))]
  ).0
}
