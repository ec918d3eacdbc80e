import Glibc
import LinuxSystem
import Peripherals

/// The folder that a display writes its frames to: frame-000001.png and so on.
///
/// A file appears whole or not at all. Numbers go on after the highest that is there, so that a display started again
/// overwrites nothing.
final class FrameFolder {
  private let directory: Descriptor
  private var lastNumber: UInt64

  /// Opens the folder, which must exist; the folder is held by its descriptor from then on.
  init(path: String) throws(SystemError) {
    directory = try Descriptor.open(path, O_RDONLY | O_DIRECTORY)
    lastNumber = Self.highestNumber(in: path)
  }

  var descriptor: Int32 { directory.number }

  /// Writes the next frame.
  func add(_ png: [UInt8]) throws(PeripheralStatus) {
    let number = lastNumber + 1
    try replace(Self.name(number), with: png)
    lastNumber = number
  }

  /// Writes `file` beside its place and then moves it there.
  func replace(_ file: String, with content: [UInt8]) throws(PeripheralStatus) {
    let part = ".\(file).part"
    unlinkat(directory.number, part, 0)
    let descriptor = openat(
      directory.number, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode_t(0o600))
    guard descriptor >= 0 else { throw .storage }
    let written = Self.write(content, to: descriptor)
    guard close(descriptor) == 0, written, renameat(directory.number, part, directory.number, file) == 0 else {
      unlinkat(directory.number, part, 0)
      throw .storage
    }
  }

  private static func write(_ content: [UInt8], to descriptor: Int32) -> Bool {
    content.withUnsafeBytes { bytes in
      var left = bytes[...]
      while !left.isEmpty {
        let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: left).baseAddress, left.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        left = left.dropFirst(count)
      }
      return true
    }
  }

  private static func name(_ number: UInt64) -> String {
    let digits = String(number)
    return "frame-" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits + ".png"
  }

  private static func highestNumber(in path: String) -> UInt64 {
    guard let listing = opendir(path) else { return 0 }
    defer { closedir(listing) }
    var highest: UInt64 = 0
    while let entry = readdir(listing) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard name.hasPrefix("frame-"), name.hasSuffix(".png"), let number = UInt64(name.dropFirst(6).dropLast(4)),
        number < .max
      else { continue }
      highest = max(highest, number)
    }
    return highest
  }
}
