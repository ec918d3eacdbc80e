import Foundation

/// A program of conformance/c: compiled into a folder of its own, run, and gone with this value's last use.
final class CProgram {
  enum Language: String, CaseIterable {
    case c11 = "C11"
    case cxx17 = "C++17"

    fileprivate var compiler: [String] {
      switch self {
      case .c11: ["cc", "-std=c11", "-x", "c"]
      case .cxx17: ["c++", "-std=c++17", "-x", "c++"]
      }
    }
  }

  struct Outcome {
    var status: Int32
    /// Standard output and standard error together.
    var output: String
  }

  private let folder: URL

  /// Compiles `sources` (paths in the package) without letting a warning pass; `facts` becomes facts.inc.
  init(_ sources: [String], as language: Language, facts: [String] = [], flags: [String] = []) throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("cryptoki-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
    try Data(facts.joined(separator: "\n").utf8).write(to: folder.appendingPathComponent("facts.inc"))
    let includes = ["include", "conformance/c", "Sources/CFunctionTable/include"].map {
      "-I" + Facts.package.appendingPathComponent($0).path
    }
    let files = sources.map { Facts.package.appendingPathComponent($0).path }
    let outcome = try Self.run(
      language.compiler + ["-Wall", "-Wextra", "-Werror", "-pedantic", "-I" + folder.path] + includes + files
        + ["-o", program] + flags,
      log: folder.appendingPathComponent("compiler.log"))
    guard outcome.status == 0 else { throw DoesNotCompile(output: outcome.output) }
  }

  deinit {
    try? FileManager.default.removeItem(at: folder)
  }

  struct DoesNotCompile: Error {
    var output: String
  }

  private var program: String { folder.appendingPathComponent("program").path }

  func run(_ arguments: [String] = []) throws -> Outcome {
    try Self.run([program] + arguments, log: folder.appendingPathComponent("program.log"))
  }

  /// Runs a command found on the path. Its output goes to a file, so that no amount of it blocks anybody.
  static func run(_ command: [String], log: URL) throws -> Outcome {
    try Data().write(to: log)
    let handle = try FileHandle(forWritingTo: log)
    defer { try? handle.close() }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    process.standardOutput = handle
    process.standardError = handle
    try process.run()
    process.waitUntilExit()
    return Outcome(status: process.terminationStatus, output: try String(contentsOf: log, encoding: .utf8))
  }
}
