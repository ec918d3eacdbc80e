import Foundation

// Foundation's file handles end the program where a file cannot be read or written; these say so.

/// A file, or standard input, that is read piece by piece.
final class InputFile {
  /// What messages call it.
  let name: String
  private let descriptor: Int32

  /// Opens the file at `path`; standard input where that is missing or "-".
  init(_ path: String?) throws {
    guard let path, path != "-" else {
      name = "standard input"
      descriptor = STDIN_FILENO
      return
    }
    name = path
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Failure.system(path) }
  }

  deinit { if descriptor > STDIN_FILENO { close(descriptor) } }

  /// The next `count` bytes; fewer only at the end.
  func next(_ count: Int) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: count) { memory, filled in
      while filled < count {
        let part = read(descriptor, memory.baseAddress! + filled, count - filled)
        if part < 0 && errno == EINTR { continue }
        guard part >= 0 else { throw Failure.system(name) }
        if part == 0 { return }
        filled += part
      }
    }
  }

  /// All bytes that are left, at most `limit`.
  func rest(limit: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while case let piece = try next(1 << 20), !piece.isEmpty {
      bytes += piece
      guard bytes.count <= limit else { throw Failure("\(name): larger than \(limit) bytes") }
    }
    return bytes
  }
}

/// What a file holds, or standard input where the path is missing or "-": at most `limit` bytes.
func contents(of path: String?, limit: Int = 1 << 30) throws -> [UInt8] {
  try InputFile(path).rest(limit: limit)
}

/// Writes `bytes` to a file, or to standard output where no path is given.
func write(_ bytes: [UInt8], to path: String?) throws {
  guard let path else {
    fflush(nil)
    return try write(bytes, to: STDOUT_FILENO, named: "standard output")
  }
  let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
  guard file >= 0 else { throw Failure.system(path) }
  do {
    try write(bytes, to: file, named: path)
  } catch {
    close(file)
    throw error
  }
  guard close(file) == 0 else { throw Failure.system(path) }
}

/// Writes all of `bytes` to an open file; `name` is for the message of a failure.
func write(_ bytes: [UInt8], to descriptor: Int32, named name: String) throws {
  var rest = bytes[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    if count < 0 && errno == EINTR { continue }
    guard count > 0 else { throw Failure.system(name) }
    rest = rest.dropFirst(count)
  }
}
