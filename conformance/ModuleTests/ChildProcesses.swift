import Foundation
import Glibc

/// The exit status of a child, nil when a signal or the time limit ended it.
func status(of child: pid_t, seconds: Int = 20) -> Int32? {
  for _ in 0..<(seconds * 100) {
    var bits: Int32 = 0
    if waitpid(child, &bits, WNOHANG) == child { return bits & 0x7f == 0 ? bits >> 8 & 0xff : nil }
    usleep(10_000)
  }
  kill(child, SIGKILL)
  return nil
}

extension TestStore {
  /// The processes of this store's secure world that run the peripheral program as this peripheral.
  func peripherals(_ kind: String) -> Set<pid_t> {
    guard let world = secureWorld else { return [] }
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return Set(
      entries.compactMap { pid_t($0) }.filter { pid in
        let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
        let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        guard words.count >= 2, words[0].hasSuffix("strongroom-peripheral"), words[1] == kind else { return false }
        // The launcher, which is the secure world's child, is its parent.
        return Self.parent(of: pid).flatMap(Self.parent(of:)) == world
      })
  }

  private static func parent(of pid: pid_t) -> pid_t? {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
      let name = text.lastIndex(of: ")")
    else { return nil }
    return text[name...].split(separator: " ").dropFirst(2).first.flatMap { pid_t($0) }
  }
}
