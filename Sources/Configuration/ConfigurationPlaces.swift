import Glibc
import LinuxSystem

/// Where configuration and store are looked for.
public struct ConfigurationPlaces: Equatable, Sendable {
  /// The file that was named, which must then exist.
  public var namedFile: String?
  /// The files that are tried in turn otherwise.
  public var files: [String]
  /// The user's home directory, for paths that begin with `~/`.
  public var home: String?
  /// The store's directory where the configuration names none.
  public var defaultStore: String

  /// - Parameters:
  ///   - variable: the value of an environment variable, nil where it is not set.
  ///   - isPrivileged: whether environment and user are not to be trusted.
  public init(
    variable: (String) -> String?, home: String?, isPrivileged: Bool,
    systemFile: String = "/etc/strongroom/strongroom.conf", systemStore: String = "/var/lib/strongroom"
  ) {
    guard !isPrivileged else {
      self.home = nil
      files = [systemFile]
      defaultStore = systemStore
      return
    }
    // A relative path in an XDG variable is to be ignored (XDG Base Directory Specification 0.8).
    func directory(_ name: String, _ beneathHome: String) -> String? {
      if let value = variable(name), value.hasPrefix("/") { return value }
      return home.map { $0 + beneathHome }
    }
    self.home = home
    if let named = variable("STRONGROOM_CONF"), !named.isEmpty { namedFile = named }
    files = [directory("XDG_CONFIG_HOME", "/.config").map { $0 + "/strongroom/strongroom.conf" }, systemFile]
      .compactMap { $0 }
    defaultStore = directory("XDG_DATA_HOME", "/.local/share").map { $0 + "/strongroom" } ?? systemStore
  }

  /// The places of this process.
  public static var process: ConfigurationPlaces {
    ConfigurationPlaces(
      variable: { Environment.value(of: $0) }, home: Environment.homeDirectory(),
      isPrivileged: Environment.isPrivileged)
  }

  /// A file of more bytes than this is no configuration.
  static let fileByteLimit = 64 << 10

  /// The path and text of the file that counts; nil when there is none.
  func firstFile() throws(ConfigurationError) -> (path: String, text: String)? {
    if let namedFile {
      return (namedFile, try text(of: namedFile, isNamed: true) ?? "")
    }
    for path in files {
      if let text = try text(of: path, isNamed: false) { return (path, text) }
    }
    return nil
  }

  private func text(of path: String, isNamed: Bool) throws(ConfigurationError) -> String? {
    let bytes: [UInt8]
    do throws(SystemError) {
      bytes = try read(path)
    } catch {
      if !isNamed, error.code == ENOENT || error.code == ENOTDIR { return nil }
      throw ConfigurationError(file: path, line: nil, reason: "cannot be read (\(error))")
    }
    guard bytes.count <= ConfigurationPlaces.fileByteLimit else {
      throw ConfigurationError(
        file: path, line: nil, reason: "is longer than \(ConfigurationPlaces.fileByteLimit) bytes")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      let line = bytes.prefix(validPrefixCount(of: bytes)).count { $0 == UInt8(ascii: "\n") } + 1
      throw ConfigurationError(file: path, line: line, reason: "is not UTF-8 text")
    }
    return text
  }

  /// The bytes of a file, up to one more than it may have.
  private func read(_ path: String) throws(SystemError) -> [UInt8] {
    let file = try Descriptor.open(path, O_RDONLY | O_NONBLOCK)
    var failure: SystemError?
    let bytes = [UInt8](unsafeUninitializedCapacity: ConfigurationPlaces.fileByteLimit + 1) { memory, count in
      do throws(SystemError) {
        while count < memory.count {
          let part = try file.read(
            into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(memory)[count...]))
          if part == 0 { break }
          count += part
        }
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return bytes
  }

  private func validPrefixCount(of bytes: [UInt8]) -> Int {
    var count = 0
    for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      guard String(validating: line, as: UTF8.self) != nil else { return count }
      count += line.count + 1
    }
    return count
  }
}
