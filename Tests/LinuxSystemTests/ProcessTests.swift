import Foundation
import Glibc
import Testing

@testable import LinuxSystem

/// Starts `/bin/sh -c script` detached with the write end of a pipe as descriptor 3 and answers what it wrote there.
private func detached(_ script: String) throws -> String {
  var ends: [Int32] = [-1, -1]
  #expect(pipe(&ends) == 0)
  let reader = Descriptor(adopting: ends[0])
  do {
    let writer = Descriptor(adopting: ends[1])
    try spawnDetached(
      executable: "/bin/sh", arguments: ["sh", "-c", script], environment: ["GREETING=hello"],
      readyDescriptor: writer.number)
  }
  var text: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 512)
  while true {
    let count = try buffer.withUnsafeMutableBytes { try reader.read(into: $0) }
    if count == 0 { return String(decoding: text, as: UTF8.self) }
    text += buffer.prefix(count)
  }
}

nonisolated(unsafe) private var childSignals: Int32 = 0

@Suite("Processes and threads", .serialized)
struct ProcessTests {
  @Test("a detached program gets its arguments, environment and ready descriptor, and nothing else")
  func spawning() throws {
    let keptOpen = try Descriptor.open("/dev/null", O_RDONLY).duplicate()
    #expect(fcntl(keptOpen.number, F_SETFD, 0) == 0)
    let text = try detached("echo \"$GREETING-$HOME\" >&3; pwd >&3; ls /proc/$$/fd | tr '\\n' ' ' >&3; umask >&3")
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.count == 4)
    #expect(lines[0] == "hello-")
    #expect(lines[1] == "/")
    #expect(lines[2].hasPrefix("0 1 2 3 "))
    #expect(!lines[2].split(separator: " ").contains("\(keptOpen.number)"))
  }

  @Test("the host sees neither a child nor SIGCHLD from a detached start, and its handlers stay")
  func undisturbed() async {
    // In a process of its own: other tests have children.
    await #expect(processExitsWith: .success) {
      signal(SIGCHLD) { _ in childSignals += 1 }
      signal(SIGUSR1, SIG_IGN)
      let text = try detached("kill -USR1 $$; echo survived >&3")
      #expect(text == "", "SIGUSR1 is at its default in the program although the host ignores it")
      usleep(50_000)
      #expect(childSignals == 0)
      #expect(waitpid(-1, nil, 0) == -1 && errno == ECHILD)
      var action = sigaction()
      sigaction(SIGUSR1, nil, &action)
      #expect(unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1)
    }
  }

  @Test("a program that does not exist is reported, and nothing is left behind")
  func missing() {
    #expect(throws: SystemError("spawn", ENOENT)) {
      try spawnDetached(executable: "/nonexistent/program", arguments: ["x"], environment: [], readyDescriptor: nil)
    }
  }

  @Test("a child reports how it ended")
  func child() throws {
    let first = try spawnChild(
      executable: "/bin/sh", arguments: ["sh", "-c", "exit 7"], environment: [], descriptors: [])
    let firstStatus = first.wait()
    #expect(firstStatus == .exited(7))
    let second = try spawnChild(
      executable: "/bin/sh", arguments: ["sh", "-c", "sleep 60"], environment: [], descriptors: [])
    let early = second.statusIfEnded()
    #expect(early == nil)
    second.signal(SIGKILL)
    let secondStatus = second.wait()
    #expect(secondStatus == .killed(signal: SIGKILL))
  }

  @Test("a thread runs with its name and all signals blocked")
  func threads() throws {
    let seen = Mutexed("")
    let thread = try startThread(name: "room-test") {
      var mask = sigset_t()
      pthread_sigmask(SIG_BLOCK, nil, &mask)
      let name = (try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)) ?? ""
      seen.set(sigismember(&mask, SIGTERM) == 1 ? name : "SIGTERM is not blocked")
    }
    thread.join()
    #expect(seen.get() == "room-test\n")
  }

  @Test("a lock file keeps others out for as long as it is held")
  func locking() throws {
    let path = "/tmp/strongroom-lock-\(getpid())"
    defer { unlink(path) }
    do {
      let held = try LockFile(path: path, timeout: 0)
      #expect(throws: SystemError("flock", EWOULDBLOCK)) { _ = try LockFile(path: path, timeout: 5_000_000) }
      #expect(held.number >= 0)
    }
    // Another suite's child, forked meanwhile, has the file open until it ends.
    let again = try LockFile(path: path, timeout: 60_000_000_000)
    #expect(again.number >= 0)
  }

  @Test("the environment has a home, and a processor of ours is current")
  func surroundings() throws {
    #expect(Environment.homeDirectory()?.hasPrefix("/") == true)
    #expect(Environment.value(of: "STRONGROOM_SURELY_NOT_SET") == nil)
    #expect(Environment.all().contains { $0.hasPrefix("PATH=") })
    #expect(Processor.count >= 1)
    #expect(try ProcessorSet().contains(Processor.current))
  }
}

private final class Mutexed: @unchecked Sendable {
  private let lock = NSLock()
  private var value: String
  init(_ value: String) { self.value = value }
  func get() -> String { lock.withLock { value } }
  func set(_ value: String) { lock.withLock { self.value = value } }
}
