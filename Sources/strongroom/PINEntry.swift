import Foundation

/// The terminal at which a PIN is asked for, and how it was before. A signal's handler, which is handed nothing, finds it here; it runs
/// while this program, of one thread, waits for input.
private nonisolated(unsafe) var silentTerminal: (number: Int32, before: termios) = (-1, termios())

/// What a person, or the end of a terminal, ends a program with.
private let endings = [SIGINT, SIGTERM, SIGHUP, SIGQUIT]

/// Gives the terminal back as it was, and lets the signal do what it does.
private func endSilence(_ number: Int32) {
  tcsetattr(silentTerminal.number, TCSANOW, &silentTerminal.before)
  _ = "\n".withCString { Glibc.write(silentTerminal.number, $0, 1) }
  signal(number, SIG_DFL)
  raise(number)
}

/// Asks for PINs at the terminal, and reads them from files.
enum PINEntry {
  /// Whose PIN is wanted, with the ways to give it.
  enum Kind: String {
    case user = "--pin, --pin-file or STRONGROOM_PIN"
    case officer = "--so-pin or STRONGROOM_SO_PIN"
    case new = "--new-pin or STRONGROOM_NEW_PIN"
  }

  /// Asks at the terminal, without echo. Throws where there is none.
  static func ask(_ what: String, _ kind: Kind) throws -> String {
    let terminal = open("/dev/tty", O_RDWR | O_CLOEXEC)
    guard terminal >= 0 else {
      throw Failure.usage("\(what) is needed and there is no terminal to ask at; give \(kind.rawValue)")
    }
    defer { close(terminal) }
    var before = termios()
    guard tcgetattr(terminal, &before) == 0 else { throw Failure.usage("\(what): the terminal cannot be set up") }
    silentTerminal = (terminal, before)
    let handlers = endings.map { ($0, signal($0, endSilence)) }
    var silent = before
    silent.c_lflag &= ~tcflag_t(ECHO)
    tcsetattr(terminal, TCSAFLUSH, &silent)
    defer {
      tcsetattr(terminal, TCSAFLUSH, &before)
      _ = "\n".withCString { Glibc.write(terminal, $0, 1) }
      for (number, handler) in handlers { signal(number, handler) }
    }
    let prompt = Array("\(what): ".utf8)
    _ = Glibc.write(terminal, prompt, prompt.count)
    var line: [UInt8] = []
    var byte: UInt8 = 0
    while read(terminal, &byte, 1) == 1, byte != 0x0a { line.append(byte) }
    return String(decoding: line, as: UTF8.self)
  }

  /// Asks for a new PIN twice.
  static func askNew(_ what: String, _ kind: Kind) throws -> String {
    let first = try ask(what, kind)
    guard try ask("\(what), again", kind) == first else { throw Failure("the two entries differ; nothing was changed") }
    return first
  }

  static func firstLine(of path: String) throws -> String {
    let bytes = try contents(of: path, limit: 65_536)
    guard let text = String(validating: bytes.prefix { $0 != 0x0a && $0 != 0x0d }, as: UTF8.self) else {
      throw Failure("\(path): the PIN is not UTF-8")
    }
    return text
  }
}
