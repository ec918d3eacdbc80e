/// One key of the file.
struct ConfigurationKey: Sendable {
  let name: String
  /// What kind of value it takes, as the help shows it.
  let value: String
  /// What it is when it is not set.
  let standard: String
  let meaning: String
  /// Puts the value where it belongs; answers what is wrong with it, nil when nothing is.
  let set: @Sendable (inout Configuration, ConfigurationValue) -> String?
}

extension ConfigurationKey {
  /// Every key there is.
  static let all: [ConfigurationKey] = [
    ConfigurationKey(
      name: "store", value: "directory", standard: "$XDG_DATA_HOME/strongroom, else ~/.local/share/strongroom",
      meaning: "Where the token keeps its objects; one secure world serves one store.",
      set: { $1.path(into: &$0.store) }),
    ConfigurationKey(
      name: "secure-world", value: "file", standard: "strongroom-tee beside the module",
      meaning: "The program that is started as the secure world.",
      set: { $1.path(into: &$0.secureWorld) }),
    ConfigurationKey(
      name: "socket", value: "path", standard: "none",
      meaning: "Connect to a secure world that runs as a service there, and start none.",
      set: { $1.path(into: &$0.socket) }),
    ConfigurationKey(
      name: "idle-seconds", value: "0...31536000", standard: "60",
      meaning: "How long a secure world that was started on demand stays without a client.",
      set: { $1.number(into: &$0.idleSeconds, in: 0...31_536_000) }),
    ConfigurationKey(
      name: "slots", value: "1...16", standard: "1",
      meaning: "How many slots, with a token each, the module shows.",
      set: { $1.number(into: &$0.slots, in: 1...16) }),
    ConfigurationKey(
      name: "display-directory", value: "directory", standard: "none",
      meaning: "Where the display writes the frames it shows. Without it there is no display.",
      set: { $1.path(into: &$0.displayDirectory) }),
    ConfigurationKey(
      name: "peripheral", value: "file", standard: "strongroom-peripheral beside the secure world",
      meaning: "The program that is started as decoder and display.",
      set: { $1.path(into: &$0.peripheral) }),
    ConfigurationKey(
      name: "pool-svp-bytes", value: "bytes", standard: "64M",
      meaning: "The pool of buffers for secure video playback. One program gets half of a pool at most.",
      set: { $1.byteCount(into: &$0.secureVideoPlaybackPoolByteCount) }),
    ConfigurationKey(
      name: "pool-tui-bytes", value: "bytes", standard: "16M",
      meaning: "The pool of buffers for trusted UI.",
      set: { $1.byteCount(into: &$0.trustedUIPoolByteCount) }),
    ConfigurationKey(
      name: "pool-svr-bytes", value: "bytes", standard: "64M",
      meaning: "The pool of buffers for secure video recording.",
      set: { $1.byteCount(into: &$0.secureVideoRecordingPoolByteCount) }),
    ConfigurationKey(
      name: "pool-key-bytes", value: "bytes", standard: "64K",
      meaning: "The pool of buffers for key material.",
      set: { $1.byteCount(into: &$0.keyPoolByteCount) }),
    ConfigurationKey(
      name: "memory-limit", value: "bytes", standard: "256M",
      meaning: "How much of the secure world's memory one client may hold.",
      set: { $1.byteCount(into: &$0.memoryLimit) }),
    ConfigurationKey(
      name: "log", value: "none, stderr or file", standard: "none",
      meaning: "Where the secure world writes its log. The module writes none.",
      set: { $1.log(into: &$0.log) }),
  ]

  private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

  static func named(_ name: String) -> ConfigurationKey? { byName[name] }
}

extension Configuration {
  /// The keys of the file with their meaning, as text of at most 100 columns.
  public static var helpText: String {
    var text = """
      A line is `key = value`, empty, or a comment that begins with #. Sizes take K, M or G. Paths are absolute or
      begin with ~/.

      """
    for key in ConfigurationKey.all {
      text += "\n\(key.name) = \(key.value)\n    \(key.meaning)\n    Without it: \(key.standard).\n"
    }
    return text
  }
}
