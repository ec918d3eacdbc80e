import Foundation
import Testing

@testable import Configuration

private func read(_ text: String, home: String? = "/home/u") throws -> Configuration {
  try read(Data(text.utf8), home: home)
}

private func read(_ bytes: Data, home: String? = "/home/u") throws -> Configuration {
  let path = "/tmp/strongroom-conf-\(UUID().uuidString)"
  try bytes.write(to: URL(fileURLWithPath: path))
  defer { try? FileManager.default.removeItem(atPath: path) }
  var configuration = try Configuration.load(
    file: path, from: ConfigurationPlaces(variable: { _ in nil }, home: home, isPrivileged: false))
  #expect(configuration.file == path)
  configuration.file = nil
  return configuration
}

/// The line and the reason of the error that reading `text` throws.
private func complaint(_ text: String) -> String {
  do {
    _ = try read(text)
    return "none"
  } catch let error as ConfigurationError {
    return "\(error.line ?? 0): \(error.reason)"
  } catch {
    return "\(error)"
  }
}

@Suite("Configuration")
struct ConfigurationTests {
  @Test("every key is read")
  func everything() throws {
    let configuration = try read(
      """
      # a comment
      store = /srv/token/
        secure-world=/opt/bin/tee
      socket =\t/run/tee.sock\t
      idle-seconds = 5
      slots = 16

      display-directory = ~/frames
      peripheral = /opt/bin/peripheral
      pool-svp-bytes = 1G
      pool-tui-bytes = 8192
      pool-svr-bytes = 12M
      pool-key-bytes = 4K
      memory-limit = 100m
      log = /var/log/tee#1
      """)
    var expected = Configuration(store: "/srv/token")
    expected.secureWorld = "/opt/bin/tee"
    expected.socket = "/run/tee.sock"
    expected.idleSeconds = 5
    expected.slots = 16
    expected.displayDirectory = "/home/u/frames"
    expected.peripheral = "/opt/bin/peripheral"
    expected.secureVideoPlaybackPoolByteCount = 1 << 30
    expected.trustedUIPoolByteCount = 8192
    expected.secureVideoRecordingPoolByteCount = 12 << 20
    expected.keyPoolByteCount = 4096
    expected.memoryLimit = 100 << 20
    expected.log = .file("/var/log/tee#1")
    #expect(configuration == expected)
    #expect(try read("log = stderr\r\n").log == .standardError)
    #expect(try read("log = none").log == .none)
  }

  @Test("an empty file gives the defaults")
  func defaults() throws {
    let configuration = try read("")
    #expect(configuration == Configuration(store: "/home/u/.local/share/strongroom"))
    #expect(configuration.idleSeconds == 60 && configuration.slots == 1 && configuration.displayDirectory == nil)
    #expect(configuration.keyPoolByteCount == 65536)
  }

  @Test(
    "what is wrong is named with its line",
    arguments: [
      ("\n\nstor = /x", "3: there is no key 'stor'"),
      ("slots = 0", "1: slots: '0' is not a number from 1 to 16"),
      ("slots = 17", "1: slots: '17'"),
      ("slots = +1", "1: slots: '+1'"),
      ("slots = 99999999999999999999", "1: slots:"),
      ("slots = 1\nslots = 1", "2: 'slots' is set already in line 1"),
      ("slots", "1: this is not `key = value`"),
      ("slots =", "1: 'slots' has no value"),
      ("= 1", "1: there is no key ''"),
      ("store = /a # mine", "1: store: a comment has a line of its own"),
      ("Slots = 1", "1: there is no key 'Slots'"),
      ("store = relative", "1: store: 'relative' is not an absolute path"),
      ("store = ~other/x", "1: store: '~other/x' is not an absolute path"),
      ("pool-svp-bytes = 1T", "1: pool-svp-bytes: '1T' is not a size"),
      ("pool-svp-bytes = K", "1: pool-svp-bytes:"),
      ("pool-svp-bytes = -1", "1: pool-svp-bytes:"),
      ("pool-svp-bytes = 1", "1: pool-svp-bytes:"),
      ("pool-svp-bytes = 9223372036854775807G", "1: pool-svp-bytes:"),
      ("log = syslog", "1: log: 'syslog' is neither"),
      ("store = /a\u{0}b", "1: the line holds a control character"),
      ("# " + String(repeating: "x", count: 9000), "1: the line is longer than 8192 bytes"),
      ("store = /" + String(repeating: "x", count: 5000), "1: store: the path is too long"),
      (String(repeating: "#\n", count: 40000), "0: is longer than 65536 bytes"),
    ])
  func complaints(text: String, expected: String) {
    #expect(complaint(text).hasPrefix(expected))
  }

  @Test("a file that is not UTF-8 is refused with the line")
  func encoding() throws {
    do {
      _ = try read(Data("slots = 1\nstore = /\u{e9}".utf8) + [0x0a, 0x23, 0xff])
      Issue.record("it was accepted")
    } catch let error as ConfigurationError {
      #expect(error.line == 3 && error.reason == "is not UTF-8 text")
    }
  }

  @Test("the first file that exists is read, a named one must exist, and a privileged program reads the system's alone")
  func search() throws {
    let folder = "/tmp/strongroom-conf-\(UUID().uuidString)"
    let manager = FileManager.default
    defer { try? manager.removeItem(atPath: folder) }
    for name in ["xdg/strongroom", "home/.config/strongroom", "etc"] {
      try manager.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
    }
    func places(_ variables: [String: String], home: String? = nil, privileged: Bool = false) -> ConfigurationPlaces {
      ConfigurationPlaces(
        variable: { variables[$0] }, home: home, isPrivileged: privileged, systemFile: folder + "/etc/system.conf")
    }
    let all = ["XDG_CONFIG_HOME": folder + "/xdg", "STRONGROOM_CONF": folder + "/named.conf"]
    let home = folder + "/home"

    #expect(try Configuration.load(from: places([:], home: home)).file == nil)
    #expect(throws: ConfigurationError.self) { try Configuration.load(from: places(all, home: home)) }

    func write(_ path: String, _ slots: Int) throws {
      try "slots = \(slots)".write(toFile: folder + path, atomically: false, encoding: .utf8)
    }
    try write("/etc/system.conf", 2)
    #expect(try Configuration.load(from: places([:], home: home)).slots == 2)
    try write("/home/.config/strongroom/strongroom.conf", 3)
    #expect(try Configuration.load(from: places([:], home: home)).slots == 3)
    #expect(try Configuration.load(from: places(["XDG_CONFIG_HOME": "relative"], home: home)).slots == 3)
    try write("/xdg/strongroom/strongroom.conf", 4)
    #expect(try Configuration.load(from: places(["XDG_CONFIG_HOME": folder + "/xdg"], home: home)).slots == 4)
    try write("/named.conf", 5)
    #expect(try Configuration.load(from: places(all, home: home)).slots == 5)
    let privileged = try Configuration.load(from: places(all, home: home, privileged: true))
    #expect(privileged.slots == 2 && privileged.store == "/var/lib/strongroom")
    #expect(try Configuration.load(from: places(["XDG_DATA_HOME": "/data"])).store == "/data/strongroom")
    #expect(try Configuration.load(from: places([:])).store == "/var/lib/strongroom")
  }

  @Test("a directory in the file's place is an error, not an empty configuration")
  func directory() {
    #expect(throws: ConfigurationError.self) { try Configuration.load(file: "/tmp") }
  }

  @Test("the help names every key")
  func help() {
    let help = Configuration.helpText
    for key in ConfigurationKey.all { #expect(help.contains("\n\(key.name) = ")) }
    #expect(ConfigurationKey.all.count == 13)
    #expect(help.split(separator: "\n").allSatisfy { $0.count <= 110 })
  }
}
