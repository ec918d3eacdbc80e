import Cryptoki
import Foundation

/// A message for the person at the terminal: what is wrong, and where.
struct Failure: Error, CustomStringConvertible {
  enum Kind {
    /// Something was refused, was not found, or did not hold.
    case refused
    /// The command line or the configuration is wrong.
    case usage

    var exitCode: Int32 {
      switch self {
      case .refused: 1
      case .usage: 2
      }
    }
  }

  let description: String
  let kind: Kind

  init(_ description: String, kind: Kind = .refused) {
    self.description = description
    self.kind = kind
  }

  static func usage(_ description: String) -> Failure { Failure(description, kind: .usage) }
}

/// A refusal by the module, with the function that answered it and what was being done.
struct ModuleError: Error, CustomStringConvertible {
  let function: String
  let value: ReturnValue
  var context: String?

  var description: String {
    let head = context.map { "\($0): " } ?? ""
    let tail = value.advice.map { " (\($0))" } ?? ""
    return "\(head)\(function) answered \(value.strongroomName)\(tail)"
  }
}

/// Runs `body`; a refusal inside gets `context`, which says what was being done and to what.
func during<Answer>(_ context: @autoclosure () -> String, _ body: () throws -> Answer) throws -> Answer {
  do { return try body() } catch var error as ModuleError {
    if error.context == nil { error.context = context() }
    throw error
  }
}

/// Writes a complaint to standard error.
func complain(_ message: String) {
  fflush(nil)  // What was printed before comes before.
  FileHandle.standardError.write(Data("strongroom: \(message)\n".utf8))
}

/// What a file or pipe holds, at most `limit` bytes; the message of a failure names the file.
func contents(of path: String, limit: Int = 1 << 30) throws -> [UInt8] {
  let file = open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { throw Failure("\(path): \(String(cString: strerror(errno)))") }
  defer { close(file) }
  var bytes: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = read(file, &piece, piece.count)
    if count < 0 {
      if errno == EINTR { continue }
      throw Failure("\(path): \(String(cString: strerror(errno)))")
    }
    if count == 0 { return bytes }
    bytes += piece[..<count]
    guard bytes.count <= limit else { throw Failure("\(path): larger than \(limit) bytes") }
  }
}

/// Writes `bytes` to a file, or to standard output where no path is given.
func write(_ bytes: [UInt8], to path: String?) throws {
  guard let path else {
    FileHandle.standardOutput.write(Data(bytes))
    return
  }
  let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
  guard file >= 0 else { throw Failure("\(path): \(String(cString: strerror(errno)))") }
  var rest = bytes[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
    if count < 0 && errno == EINTR { continue }
    guard count > 0 else {
      let reason = String(cString: strerror(errno))
      close(file)
      throw Failure("\(path): \(reason)")
    }
    rest = rest.dropFirst(count)
  }
  guard close(file) == 0 else { throw Failure("\(path): \(String(cString: strerror(errno)))") }
}

/// What a file holds, or standard input where the path is missing or "-".
func input(_ path: String?) throws -> [UInt8] {
  guard let path, path != "-" else { return [UInt8](FileHandle.standardInput.readDataToEndOfFile()) }
  return try contents(of: path)
}
