import Foundation

/// How often this process has the memory file of that name open. Other tests open and close other files meanwhile.
func openCount(ofMemoryFile name: String) throws -> Int {
  let folder = "/proc/self/fd"
  return try FileManager.default.contentsOfDirectory(atPath: folder).count { number in
    let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\(number)")
    return target?.hasPrefix("/memfd:\(name) ") ?? false
  }
}
