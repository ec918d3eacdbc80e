import CLinux
import Foundation
import Glibc
import LinuxSystem
import Testing

/// What a process may do to another of its user, tried by system calls; true where one of them was let through.
private struct Intrusion: Sendable {
  let name: String
  let attempt: @Sendable (pid_t) -> Bool

  private static func opens(_ path: String, _ flags: Int32) -> Bool {
    let number = open(path, flags)
    if number >= 0 { close(number) }
    return number >= 0
  }

  /// A function of the C library that Swift does not import.
  private static func call(_ name: String, _ a: Int, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0) -> Int {
    typealias Call = @convention(c) (Int, Int, Int, Int) -> Int
    return unsafeBitCast(dlsym(UnsafeMutableRawPointer(bitPattern: 0), name), to: Call.self)(a, b, c, d)
  }

  static let all: [Intrusion] = [
    Intrusion(name: "read its memory through /proc") { opens("/proc/\($0)/mem", O_RDONLY) },
    Intrusion(name: "write its memory through /proc") { opens("/proc/\($0)/mem", O_RDWR) },
    Intrusion(name: "list its mappings") { opens("/proc/\($0)/maps", O_RDONLY) },
    Intrusion(name: "read its environment") { opens("/proc/\($0)/environ", O_RDONLY) },
    Intrusion(name: "see what it has open") { pid in
      var path = [CChar](repeating: 0, count: 256)
      return (0..<64).contains { readlink("/proc/\(pid)/fd/\($0)", &path, path.count) >= 0 }
    },
    Intrusion(name: "trace it") { pid in
      guard call("ptrace", 0x4206 /* PTRACE_SEIZE */, Int(pid)) == 0 else { return false }
      _ = call("ptrace", 17 /* PTRACE_DETACH */, Int(pid))
      return true
    },
    Intrusion(name: "take a descriptor of it") { pid in
      let process = call("syscall", 434 /* pidfd_open */, Int(pid))
      defer { if process >= 0 { close(Int32(process)) } }
      let taken = process < 0 ? -1 : call("syscall", 438 /* pidfd_getfd */, process, 0)
      if taken >= 0 { close(Int32(taken)) }
      return taken >= 0
    },
  ]
}

/// Gives up every privilege of root but keeps the user, for good: files stay readable, and processes are an ordinary user's.
private func dropCapabilities() -> Bool {
  let symbol = dlsym(UnsafeMutableRawPointer(bitPattern: 0), "capset")
  guard geteuid() == 0 else { return true }
  for capability in 0...63
  where clinux_prctl(24 /* PR_CAPBSET_DROP */, UInt(capability), 0, 0, 0) != 0 && capability < 38 {
    return false
  }
  guard let symbol else { return false }
  var header: (UInt32, Int32) = (0x2008_0522, 0)
  var sets: (UInt64, UInt64, UInt64) = (0, 0, 0)
  typealias SetCapabilities = @convention(c) (UnsafeMutableRawPointer, UnsafeMutableRawPointer) -> Int32
  return unsafeBitCast(symbol, to: SetCapabilities.self)(&header, &sets) == 0
}

extension WorldSuite {
  @Suite("What confines the running secure world")
  struct ConfinementTests {
    @Test("system calls are filtered, privileges cannot grow, and there is no core file")
    func kernelState() throws {
      let world = try World()
      #expect(try world.status("Seccomp") == "2")
      #expect(try world.status("NoNewPrivs") == "1")
      let limits = try String(contentsOfFile: "/proc/\(world.pid)/limits", encoding: .utf8)
      let core = try #require(limits.split(separator: "\n").first { $0.hasPrefix("Max core file size") })
      #expect(core.split(separator: " ").dropFirst(4).prefix(2) == ["0", "0"])
      // With threads of clients as without.
      let client = try world.user()
      _ = try client.aes()
      for thread in try FileManager.default.contentsOfDirectory(atPath: "/proc/\(world.pid)/task") {
        let status = try String(contentsOfFile: "/proc/\(world.pid)/task/\(thread)/status", encoding: .utf8)
        #expect(status.contains("Seccomp:\t2\n") && status.contains("NoNewPrivs:\t1\n"))
      }
    }

    @Test("a process of the same user reads, traces and robs it in no way, and does so with any other process")
    func sameUser() async throws {
      let report = NSTemporaryDirectory() + "strongroom-intrusion-\(getpid())"
      defer { unlink(report) }
      await #expect(processExitsWith: .success) { [report = report as String] in
        func require(_ condition: Bool, _ text: String) {
          if !condition {
            try? text.write(toFile: report, atomically: false, encoding: .utf8)
            _exit(1)
          }
        }
        require(dropCapabilities(), "cannot give up root's privileges")
        let world: World
        do {
          world = try World()
          _ = try world.user().aes()
        } catch { return require(false, "no secure world: \(error)") }
        for intrusion in Intrusion.all {
          require(!intrusion.attempt(world.pid), "somebody could \(intrusion.name)")
        }
        require(world.isAlive, "the secure world has ended")
        // The same attempts on a process that does not resist.
        let other = try spawnChild(
          executable: "/bin/sleep", arguments: ["sleep", "60"], environment: [], descriptors: [])
        usleep(100_000)
        for intrusion in Intrusion.all where intrusion.name != "take a descriptor of it" {
          require(intrusion.attempt(other.pid), "the test could not \(intrusion.name) of a process without protection")
        }
        other.signal(SIGKILL)
      }
      let intrusion = try? String(contentsOfFile: report, encoding: .utf8)
      #expect(intrusion == nil)
    }

    @Test("a process of another user neither connects nor gets anything of it")
    func otherUser() async throws {
      let world = try World()
      // Without root there is only the own user, and what it may is the test before.
      guard getuid() == 0 else { return }
      await #expect(processExitsWith: .exitCode(0)) { [pid = world.pid as Int32, socket = world.socket as String] in
        guard setgroups(0, nil) == 0, setgid(65534) == 0, setuid(65534) == 0 else { _exit(100) }
        if (try? WireClient(socket)) != nil { _exit(99) }
        let successes = Intrusion.all.count { $0.attempt(pid) }
        _exit(Int32(successes))
      }
    }

    @Test("it holds its store, its clients and memory, and nothing else")
    func descriptors() throws {
      let world = try World()
      guard getuid() == 0 else {
        // Then nobody here sees what it holds, and that is as it should be.
        #expect(throws: (any Error).self) { try world.openFiles }
        return
      }
      let client = try world.user()
      let buffers = try (0..<3).map { _ in try client.buffer(10_000) }
      let exported = client.export(buffers[0])
      defer { exported.descriptors.forEach { _ = close($0) } }
      let expected = [
        world.store, "/dev/null", "socket:", "anon_inode:[eventpoll]", "/memfd:", "/secretmem", "anon_inode:secretmem",
      ]
      for file in try world.openFiles {
        #expect(expected.contains { file.hasPrefix($0) }, "\(file)")
      }
      // None of the sockets is one of a network.
      let sockets = Set(try world.openFiles.compactMap { $0.hasPrefix("socket:[") ? $0.dropFirst(8).dropLast() : nil })
      #expect(sockets.count >= 3)
      for table in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet", "netlink"] {
        let text = (try? String(contentsOfFile: "/proc/net/\(table)", encoding: .utf8)) ?? ""
        for line in text.split(separator: "\n") {
          #expect(sockets.isDisjoint(with: line.split(separator: " ")), "\(table)")
        }
      }
    }
  }
}
