import CLinux
import Glibc
import LinuxSystem

/// The files this process may still open: what is beneath the given directories and nothing else. What is open stays
/// open.
///
/// Also taken away, where the kernel can: TCP sockets (Linux 6.7), abstract UNIX sockets of others and signals to
/// processes outside (Linux 6.12). Documentation/userspace-api/landlock.rst.
public struct Landlock: Sendable {
  /// What may be done beneath a directory.
  public enum Access: Sendable {
    /// Read files and list directories.
    case read
    /// Also create, write, rename and remove regular files and directories.
    case readWrite
  }

  private var rules: [(path: String, access: Access)] = []
  /// Whether signals to processes outside stay allowed, for a process that has to end children it started before.
  public var mayingSignalOthers = false

  public init() {}

  /// Lets files beneath `path` (a directory, or one file) be used.
  public mutating func allow(_ path: String, _ access: Access) {
    rules.append((path, access))
  }

  // LANDLOCK_ACCESS_FS_*, and since which version of the interface.
  private static let executeFile: UInt64 = 1 << 0
  private static let readFile: UInt64 = 1 << 2
  private static let readDirectory: UInt64 = 1 << 3
  private static let writeFile: UInt64 = 1 << 1
  private static let removeDirectory: UInt64 = 1 << 4
  private static let removeFile: UInt64 = 1 << 5
  private static let makeDirectory: UInt64 = 1 << 7
  private static let makeRegular: UInt64 = 1 << 8
  private static let refer: UInt64 = 1 << 13
  private static let truncate: UInt64 = 1 << 14
  /// Everything version 1 knows: bits 0 to 12.
  private static let firstVersion: UInt64 = (1 << 13) - 1
  private static let onFiles = executeFile | readFile | writeFile | truncate | 1 << 15

  private static func handledFiles(_ version: Int32) -> UInt64 {
    var access = firstVersion
    if version >= 2 { access |= refer }
    if version >= 3 { access |= truncate }
    if version >= 5 { access |= 1 << 15 }
    return access
  }

  private static func bits(_ access: Access) -> UInt64 {
    switch access {
    case .read: readFile | readDirectory
    case .readWrite:
      readFile | readDirectory | writeFile | removeDirectory | removeFile | makeDirectory | makeRegular | refer
        | truncate
    }
  }

  /// Restricts the calling thread and those it starts, for good. PR_SET_NO_NEW_PRIVS must be set (`harden`).
  ///
  /// - Returns: the version of the kernel's interface; 0 where the kernel has none, and nothing is restricted.
  /// - Throws: EBUSY when the process has other threads already, which would stay free; what opening a path reports.
  @discardableResult
  public func apply() throws(SystemError) -> Int {
    if let threads = threadCount(), threads > 1 { throw SystemError("landlock_restrict_self", EBUSY) }
    let version = clinux_landlock_version()
    guard version > 0 else { return 0 }
    let handled = Landlock.handledFiles(version)
    let scopes: UInt64 = version >= 6 ? (mayingSignalOthers ? 1 : 3) : 0
    let number = clinux_landlock_create(handled, version >= 4 ? 3 : 0, scopes, version)
    guard number >= 0 else { throw SystemError("landlock_create_ruleset", errno) }
    let ruleset = Descriptor(adopting: number)
    for rule in rules {
      let place = try Descriptor.open(rule.path, CLINUX_O_PATH)
      var status = stat()
      guard fstat(place.number, &status) == 0 else { throw SystemError("fstat", errno) }
      var access = Landlock.bits(rule.access) & handled
      if status.st_mode & S_IFMT != S_IFDIR { access &= Landlock.onFiles }
      guard clinux_landlock_allow_beneath(ruleset.number, place.number, access) == 0 else {
        throw SystemError("landlock_add_rule", errno)
      }
    }
    guard clinux_landlock_restrict(ruleset.number) == 0 else { throw SystemError("landlock_restrict_self", errno) }
    return Int(version)
  }

  /// nil where /proc is not there to tell.
  private func threadCount() -> Int? {
    guard let directory = opendir("/proc/self/task") else { return nil }
    defer { closedir(directory) }
    var count = 0
    while let entry = readdir(directory) {
      if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
    }
    return count
  }
}
