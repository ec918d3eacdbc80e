import LinuxSystem

/// What `strongroom.conf` says, with the defaults for what it does not.
///
/// The first of these files that exists is read, and no other:
/// 1. the one that STRONGROOM_CONF names;
/// 2. `strongroom/strongroom.conf` in $XDG_CONFIG_HOME, or in `~/.config`;
/// 3. `/etc/strongroom/strongroom.conf`.
///
/// A program with raised privileges (set-user-ID and the like) reads the last one alone: its user must not choose what
/// program it starts or where it writes.
public struct Configuration: Equatable, Sendable {
  /// Where the secure world's log goes.
  public enum Log: Equatable, Sendable {
    case none
    case standardError
    case file(String)
  }

  /// The file that was read; nil when there is none.
  public var file: String?
  /// The directory of the token's store.
  public var store: String
  /// The program of the secure world; nil: the one beside the module.
  public var secureWorld: String?
  /// The socket of a secure world that runs as a service; nil: the module starts one on demand.
  public var socket: String?
  /// How long a secure world that was started on demand stays without a client, in seconds.
  public var idleSeconds: UInt64 = 60
  /// The number of slots.
  public var slots = 1
  /// Where the display writes its frames; nil: there is no display.
  public var displayDirectory: String?
  /// The program of the peripherals; nil: the one beside the secure world.
  public var peripheral: String?
  /// The pool sizes in bytes: secure video playback, trusted UI, secure video recording, key material.
  public var secureVideoPlaybackPoolByteCount = 64 << 20
  public var trustedUIPoolByteCount = 16 << 20
  public var secureVideoRecordingPoolByteCount = 64 << 20
  public var keyPoolByteCount = 64 << 10
  /// How much of the secure world's memory one client may hold, in bytes.
  public var memoryLimit = 256 << 20
  /// The secure world's log.
  public var log = Log.none

  /// The defaults for a user with that data directory.
  init(store: String) {
    self.store = store
  }

  /// The configuration of this process.
  ///
  /// - Throws: for a file that cannot be read, is not UTF-8 or too long, or has an unknown key or a bad value.
  public static func load() throws(ConfigurationError) -> Configuration {
    try load(from: .process)
  }

  /// The configuration that a program gets which looks for its files and directories at `places`.
  public static func load(from places: ConfigurationPlaces) throws(ConfigurationError) -> Configuration {
    var configuration = Configuration(store: places.defaultStore)
    guard let (path, text) = try places.firstFile() else { return configuration }
    configuration.file = path
    try configuration.read(text, of: path, home: places.home)
    return configuration
  }

  /// The configuration that one file describes.
  public static func load(
    file: String, from places: ConfigurationPlaces = .process
  ) throws(ConfigurationError) -> Configuration {
    var places = places
    places.namedFile = file
    return try load(from: places)
  }
}

/// Why a configuration cannot be used: the file, the line where there is one, and what is wrong.
public struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
  public let file: String
  /// From 1; nil when the file as a whole is at fault.
  public let line: Int?
  public let reason: String

  public var description: String {
    guard let line else { return "\(file): \(reason)" }
    return "\(file):\(line): \(reason)"
  }
}
