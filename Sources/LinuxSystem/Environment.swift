import CLinux
import Glibc

/// The environment of the process, for a library that may run in a program with raised privileges.
public enum Environment {
  /// A variable's value, or nil where it is not set or the program runs with raised privileges (secure_getenv(3)).
  /// Bytes that are not UTF-8 count as not set.
  public static func value(of name: String) -> String? {
    guard let text = clinux_secure_getenv(name) else { return nil }
    return String(validatingCString: text)
  }

  /// Whether the program runs with raised privileges (set-user-ID, file capabilities): what the user of such a
  /// program says in the environment or in files of theirs must not decide what is run or written.
  public static var isPrivileged: Bool { clinux_is_privileged() != 0 }

  /// The user's home directory: HOME, else the user database's entry; nil where neither says an absolute path.
  public static func homeDirectory() -> String? {
    if let home = value(of: "HOME"), home.hasPrefix("/") { return home }
    var capacity = 1024
    while capacity <= 1 << 20 {
      var entry = passwd()
      var found: UnsafeMutablePointer<passwd>?
      var memory = [CChar](repeating: 0, count: capacity)
      let (code, home) = memory.withUnsafeMutableBufferPointer { buffer -> (Int32, String?) in
        let code = getpwuid_r(getuid(), &entry, buffer.baseAddress!, buffer.count, &found)
        guard code == 0, found != nil, let directory = entry.pw_dir else { return (code, nil) }
        return (code, String(validatingCString: directory))
      }
      if code == ERANGE {
        capacity *= 2
        continue
      }
      return home.flatMap { $0.hasPrefix("/") ? $0 : nil }
    }
    return nil
  }

  /// All variables as `NAME=value` texts, to be handed to a program that is started; none where the program has
  /// raised privileges.
  public static func all() -> [String] {
    var texts: [String] = []
    if isPrivileged { return texts }
    var index = 0
    while let text = clinux_environment_entry(index) {
      texts.append(String(cString: text))
      index += 1
    }
    return texts
  }
}
