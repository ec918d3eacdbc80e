import ArgumentParser
import Foundation
import MediaContainer

struct AuditCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit", abstract: "Search a process's memory for secrets.",
    subcommands: [Memory.self, Samples.self, AES.self], defaultSubcommand: Memory.self)

  struct Memory: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Search every readable mapping of a process for byte strings.",
      discussion: """
        A file of needles has one in hexadecimal on each line, and after a blank a name; needles of one name are counted \
        together. A control is a byte string that the process is known to hold: where it is not found, the search itself \
        has failed. What a mapped file holds at the same place on disk is counted apart (tables of a library), and so is, of \
        a needle whose bytes count up by one, what goes on counting after it: a video library fills such tables in.
        Exit code 0: no needle was found, and every control was.
        """)

    @Option(help: "The process.") var pid: Int32
    @Option(help: "A byte string in hexadecimal, 8 bytes or more; may be repeated.") var needle: [String] = []
    @Option(help: "A file of needles; may be repeated.") var needlesFromFile: [String] = []
    @Option(help: "A byte string in hexadecimal that must be found.") var control: String?
    @Option(help: "A file that holds it.") var controlFile: String?
    @Option(help: "Write what was found to this file, and do not complain: the state before a secret exists.")
    var remember: String?
    @Option(help: "Do not count what such a file says was there, at the same address, before.") var known: String?

    func run() throws {
      var needles = try needle.map { try Self.needle($0, named: "needle \($0.prefix(16))", from: "--needle") }
      for path in needlesFromFile { needles += try Self.needles(of: path) }
      guard !needles.isEmpty else { throw Failure.usage("nothing to search for: give --needle or --needles-from-file") }
      let wanted = needles.count
      if let control { needles.append(try Self.needle(control, named: "control", from: "--control")) }
      if let controlFile {
        let text = String(decoding: try contents(of: controlFile, limit: 65_536), as: UTF8.self)
        needles.append(try Self.needle(text.filter { !$0.isWhitespace }, named: "control", from: controlFile))
      }
      guard pid > 0, pid != getpid() else { throw Failure.usage("--pid \(pid) is not another process") }
      var search = try MemorySearch(needles)
      try search.search(process: pid)
      let before = Set(try known.map { try Self.lines(of: $0) } ?? [])
      try report(search, needles, wanted, before)
      if let remember {
        let lines = search.hits.map { Self.line(of: $0, needles) + "\n" }
        try write(Array(lines.joined().utf8), to: remember)
      }
    }

    private static func line(of hit: MemorySearch.Hit, _ needles: [MemorySearch.Needle]) -> String {
      String(hit.address, radix: 16) + " " + hexadecimal(needles[hit.needle].bytes)
    }

    private static func lines(of path: String) throws -> [String] {
      String(decoding: try contents(of: path), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    private func report(
      _ search: MemorySearch, _ needles: [MemorySearch.Needle], _ wanted: Int, _ before: Set<String>
    ) throws {
      print("  searched \(search.byteCount) bytes in \(search.mappingCount) readable mappings")
      for (name, byteCount) in search.unreadable {
        print("  the kernel refuses \(byteCount) bytes of \(name.isEmpty ? "an unnamed mapping" : name)")
      }
      var failures: [String] = []
      var names: [String] = []
      for needle in needles where !names.contains(needle.name) { names.append(needle.name) }
      for name in names {
        let numbers = Set(needles.indices.filter { needles[$0].name == name })
        let isControl = numbers.allSatisfy { $0 >= wanted }
        let all = search.hits.filter { numbers.contains($0.needle) }
        let explained = Dictionary(grouping: isControl ? [] : all) { hit in
          if hit.isPartOfFile { return "in mapped files as they are on disk" }
          if hit.isPartOfTable { return "in tables that go on counting" }
          return before.contains(Self.line(of: hit, needles)) ? "there before" : ""
        }
        let found = isControl ? all : explained[""] ?? []
        let places = Set(found.map { $0.mapping.isEmpty ? "unnamed memory" : $0.mapping }).sorted()
        var text = "  \(name)" + (numbers.count == 1 ? "" : " (\(numbers.count) byte strings)")
        text += ": found \(found.count) times" + (places.isEmpty ? "" : " in " + places.joined(separator: ", "))
        let apart = explained.filter { !$0.key.isEmpty }.map { "\($0.value.count) \($0.key)" }.sorted()
        if !apart.isEmpty { text += "; not counted: " + apart.joined(separator: ", ") }
        print(text)
        if isControl && found.isEmpty { failures.append("the control was not found: the search itself failed") }
        if !isControl && !found.isEmpty && remember == nil { failures.append("\(name) was found") }
      }
      if !failures.isEmpty { throw Failure(failures.joined(separator: "; ")) }
    }

    private static func needle(_ text: String, named name: String, from place: String) throws -> MemorySearch.Needle {
      guard let needle = bytes(hexadecimal: text) else { throw Failure.usage("\(place): not hexadecimal") }
      return MemorySearch.Needle(name: name, bytes: needle)
    }

    private static func needles(of path: String) throws -> [MemorySearch.Needle] {
      let text = String(decoding: try contents(of: path), as: UTF8.self)
      return try text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().compactMap { index, line in
        let parts = line.split(separator: " ", maxSplits: 1)
        guard let digits = parts.first, !digits.hasPrefix("#") else { return nil }
        let name = parts.count > 1 ? String(parts[1]) : path
        return try needle(String(digits), named: name, from: "\(path):\(index + 1)")
      }
    }
  }

  struct Samples: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print needles of clear video: what protection hides of a file.",
      discussion: """
        Takes windows of the clear file's samples that lie in protected ranges, differ there from the protected file in at \
        least 8 bytes, and occur nowhere in the protected file.
        """)

    @Option(help: "The file in the clear.") var clear: String
    @Option(help: "The same video, protected.") var protected: String
    @Option(help: "Bytes of a window.") var window = 32

    func run() throws {
      guard (16...4096).contains(window) else { throw Failure.usage("--window \(window): 16 to 4096 bytes") }
      let windows = try SampleWindows.windows(clear: clear, protected: protected, byteCount: window)
      guard !windows.isEmpty else { throw Failure("\(protected) hides nothing of \(clear)") }
      for window in windows { print(hexadecimal(window), "clear sample bytes") }
    }
  }

  struct AES: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "key", abstract: "Print needles of an AES-128 key: its bytes, its hexadecimal text, its round keys.")

    @Argument(help: "A file that holds the key's 16 bytes; default: standard input.") var file: String?

    func run() throws {
      let key = try contents(of: file)
      guard key.count == 16 else { throw Failure.usage("the key has \(key.count) bytes; AES-128 takes 16") }
      print(hexadecimal(key), "content key")
      print(hexadecimal(Array(hexadecimal(key).utf8)), "content key as hexadecimal text")
      print(hexadecimal(Array(hexadecimal(key).uppercased().utf8)), "content key as hexadecimal text")
      let schedule = AESKeySchedule(key)
      for round in [1, 2, 10] {
        print(hexadecimal(schedule.roundKey(round)), "AES round keys")
        // The decryption schedule of AES instructions holds the inner ones after InvMixColumns.
        if round < 10 { print(hexadecimal(schedule.inverseRoundKey(round)), "AES round keys") }
      }
    }
  }
}
