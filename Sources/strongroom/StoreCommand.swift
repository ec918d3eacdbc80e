import ArgumentParser
import Configuration
import Foundation

struct StoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "store", abstract: "Look at the secure world's store, or accept an older one.",
    subcommands: [Status.self, AcceptRollback.self], defaultSubcommand: Status.self)

  struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show where the store lies and what is in its folder.")

    func run() throws {
      let configuration = try ConfigCommand.load()
      if let socket = configuration.socket {
        print("the store is that of the service at \(socket), which alone looks into it")
        return
      }
      let store = configuration.store
      if access(store, F_OK) != 0 && errno == ENOENT {
        print("\(store)\n  no store yet; the first program that uses the token makes it")
        return
      }
      guard access(store, R_OK | X_OK) == 0 else { throw Failure.system(store) }
      let names = try FileManager.default.contentsOfDirectory(atPath: store)
      print(store)
      for name in names.sorted() {
        let attributes = try? FileManager.default.attributesOfItem(atPath: store + "/" + name)
        let size = (attributes?[.size] as? Int) ?? 0
        let mode = (attributes?[.posixPermissions] as? Int) ?? 0
        print(
          "  \(name.padding(toLength: max(name.count, 24), withPad: " ", startingAt: 0)) \(size) bytes, mode \(String(mode, radix: 8))"
        )
      }
    }
  }

  struct AcceptRollback: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Accept a store that is older than its anchor says.",
      discussion: """
        The secure world refuses a store that was put back to an older state: keys that were destroyed and PIN tries that \
        were counted would be undone. After restoring a backup of your own this accepts it, once.
        """)

    @Flag(help: "Do it.") var yes = false

    func run() throws {
      let configuration = try ConfigCommand.load()
      guard yes else {
        throw Failure.usage("this undoes the protection against rollback of \(configuration.store); say --yes to do it")
      }
      let program = try configuration.secureWorld ?? StoreCommand.secureWorld()
      let arguments = [program, "--store", configuration.store, "--accept-rollback"]
      var pointers = arguments.map { strdup($0) } + [nil]
      execv(program, &pointers)
      throw Failure.usage("cannot run \(Failure.system(program))")
    }
  }

  /// The program of the secure world: beside this one (a build folder), or in the libexec folder of its prefix.
  private static func secureWorld() throws -> String {
    let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    let candidates = [
      folder.appendingPathComponent("strongroom-tee").path,
      folder.deletingLastPathComponent().appendingPathComponent("libexec/strongroom/strongroom-tee").path,
    ]
    guard let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
      throw Failure.usage("the secure world's program is neither of \(candidates.joined(separator: ", "))")
    }
    return found
  }
}
