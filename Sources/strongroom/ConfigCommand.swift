import ArgumentParser
import Configuration

struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Show the configuration in effect, and what each key means.",
    subcommands: [Show.self, Check.self], defaultSubcommand: Show.self)

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show the configuration in effect, and every key.")

    func run() throws {
      let configuration = try ConfigCommand.load()
      print(configuration.file.map { "# from \($0)" } ?? "# no configuration file: these are the defaults")
      ConfigCommand.show(configuration)
      print("\nThe first of these files counts, and no other: the one that STRONGROOM_CONF names,")
      print("~/.config/strongroom/strongroom.conf, /etc/strongroom/strongroom.conf.\n")
      print(Configuration.helpText, terminator: "")
    }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Check a configuration file; complaints name the line.")

    @Argument(help: "The file.") var file: String

    func run() throws {
      do {
        let configuration = try Configuration.load(file: file)
        print("\(file): good")
        ConfigCommand.show(configuration)
      } catch { throw Failure.usage("\(error)") }
    }
  }

  static func load() throws -> Configuration {
    do { return try Configuration.load() } catch { throw Failure.usage("\(error)") }
  }

  /// Two lines for `strongroom info`: what the secure world is, and where its store lies.
  static func showSummary() throws {
    let configuration = try load()
    let world =
      configuration.socket.map { "the service at \($0)" } ?? configuration.secureWorld
      ?? "strongroom-tee beside the module, started on demand"
    print("  configuration   \(configuration.file ?? "none, the defaults hold")")
    print("  store           \(configuration.socket == nil ? configuration.store : "the service's")")
    print("  secure world    \(world)")
    print("  display         \(configuration.displayDirectory ?? "none")")
  }

  private static func show(_ configuration: Configuration) {
    let log =
      switch configuration.log {
      case .none: "none"
      case .standardError: "stderr"
      case .file(let path): path
      }
    let lines: [(String, String?)] = [
      ("store", configuration.store), ("secure-world", configuration.secureWorld), ("socket", configuration.socket),
      ("idle-seconds", "\(configuration.idleSeconds)"), ("slots", "\(configuration.slots)"),
      ("display-directory", configuration.displayDirectory), ("peripheral", configuration.peripheral),
      ("pool-svp-bytes", "\(configuration.secureVideoPlaybackPoolByteCount)"),
      ("pool-tui-bytes", "\(configuration.trustedUIPoolByteCount)"),
      ("pool-svr-bytes", "\(configuration.secureVideoRecordingPoolByteCount)"),
      ("pool-key-bytes", "\(configuration.keyPoolByteCount)"), ("memory-limit", "\(configuration.memoryLimit)"),
      ("log", log),
    ]
    for (key, value) in lines { print(value.map { "\(key) = \($0)" } ?? "# \(key) is not set") }
  }
}
