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

  /// What the last system call left in errno, with the name of what it was about.
  static func system(_ name: String) -> Failure { Failure("\(name): \(String(cString: strerror(errno)))") }
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

/// Writes a complaint to standard error, if that takes it.
func complain(_ message: String) {
  fflush(nil)  // What was printed before comes before.
  try? write(Array("strongroom: \(message)\n".utf8), to: STDERR_FILENO, named: "standard error")
}
