import CCryptoki
import Foundation
import Glibc

/// A store for this process's tests, with an initialised token in slot 0.
///
/// Processes that a test starts inherit the configuration and so use the same store.
struct TestStore {
  static let shared = TestStore()

  static let userPIN = "1234-user"
  static let officerPIN = "5678-officer"

  let folder: String

  private init() {
    let environment = ProcessInfo.processInfo.environment
    if let inherited = environment["STRONGROOM_TEST_FOLDER"] {
      folder = inherited
      return
    }
    folder = NSTemporaryDirectory() + "strongroom-module-tests-\(getpid())"
    try? FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    try? FileManager.default.createDirectory(atPath: folder + "/frames", withIntermediateDirectories: true)
    try? """
    store = \(folder)/store
    idle-seconds = 1
    display-directory = \(folder)/frames
    pool-tui-bytes = 2M
    pool-key-bytes = 64K

    """.write(toFile: folder + "/strongroom.conf", atomically: true, encoding: .utf8)
    setenv("STRONGROOM_CONF", folder + "/strongroom.conf", 1)
    setenv("STRONGROOM_TEST_FOLDER", folder, 1)
    setenv("STRONGROOM_TEST_OWNER", "\(getpid())", 1)
    setenv("STRONGROOM_DEBUG", "1", 1)
    atexit { TestStore.remove() }
    let started = p11.C_Initialize!(nil)
    require(started == CKR_OK, "C_Initialize: \(name(started))")
    initializeToken()
    _ = p11.C_Finalize!(nil)
  }

  private func initializeToken() {
    var label = [UInt8](repeating: 0x20, count: 32)
    label.replaceSubrange(0..<4, with: Array("test".utf8))
    var officer = Array(Self.officerPIN.utf8)
    var user = Array(Self.userPIN.utf8)
    func check(_ result: CK_RV, _ step: String) { require(result == CKR_OK, "\(step): \(name(result))") }
    check(p11.C_InitToken!(0, &officer, UInt(officer.count), &label), "C_InitToken")
    var session: CK_SESSION_HANDLE = 0
    check(p11.C_OpenSession!(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, nil, nil, &session), "C_OpenSession")
    check(p11.C_Login!(session, CKU_SO, &officer, UInt(officer.count)), "C_Login")
    check(p11.C_InitPIN!(session, &user, UInt(user.count)), "C_InitPIN")
    check(p11.C_CloseSession!(session), "C_CloseSession")
  }

  private static func remove() {
    guard getenv("STRONGROOM_TEST_OWNER").map({ String(cString: $0) }) == "\(getpid())" else { return }
    try? FileManager.default.removeItem(atPath: TestStore.shared.folder)
  }

  /// The process id of the secure world of this store, or nil when none runs.
  var secureWorld: pid_t? {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    for entry in entries {
      guard let pid = pid_t(entry), let line = FileManager.default.contents(atPath: "/proc/\(entry)/cmdline") else {
        continue
      }
      let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
      if words.first?.hasSuffix("strongroom-tee") == true, words.contains(folder + "/store") { return pid }
    }
    return nil
  }
}

/// The module between C_Initialize and C_Finalize, in a test.
final class InitializedModule: Sendable {
  init() {
    _ = TestStore.shared
    let result = p11.C_Initialize!(nil)
    require(result == CKR_OK, "C_Initialize: \(name(result))")
  }

  deinit { _ = p11.C_Finalize!(nil) }

  func open(readWrite: Bool = true) -> CK_SESSION_HANDLE {
    var session: CK_SESSION_HANDLE = 0
    let flags = readWrite ? CKF_SERIAL_SESSION | CKF_RW_SESSION : CKF_SERIAL_SESSION
    let result = p11.C_OpenSession!(0, flags, nil, nil, &session)
    require(result == CKR_OK, "C_OpenSession: \(name(result))")
    return session
  }

  /// A read-write session with the user logged in.
  func openAsUser() -> CK_SESSION_HANDLE {
    let session = open()
    let result = login(session)
    require(result == CKR_OK, "C_Login: \(name(result))")
    return session
  }

  func login(_ session: CK_SESSION_HANDLE, _ pin: String = TestStore.userPIN, as user: UInt = CKU_USER) -> CK_RV {
    var pin = Array(pin.utf8)
    return p11.C_Login!(session, user, &pin, UInt(pin.count))
  }

  func state(_ session: CK_SESSION_HANDLE) -> UInt? {
    var info = CK_SESSION_INFO()
    return p11.C_GetSessionInfo!(session, &info) == CKR_OK ? info.state : nil
  }
}

/// A CKR as a number in hexadecimal, for messages.
func name(_ result: CK_RV) -> String { "CKR 0x" + String(result, radix: 16) }
