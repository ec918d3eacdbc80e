import CLinux
import Glibc
import Testing

@testable import LinuxSystem
@testable import Sandbox

/// The exit status of a child of one thread that runs `body`. A child that forked out of the quiet process of an exit test runs a
/// few system calls and leaves; that is safe.
private func outcome(_ body: () throws -> Int32) -> Int32 { status(of: inChild(body)) }

/// The errno of a call that must fail; 0 when it does not.
private func code(_ call: () -> Int) -> Int32 {
  errno = 0
  return call() < 0 ? errno : 0
}

/// Gives up root, which no protection within one user applies to.
private func becomeOrdinaryUser() {
  if geteuid() == 0 {
    guard setgroups(0, nil) == 0, setgid(65534) == 0, setuid(65534) == 0 else {
      _exit(251)
    }
  }
}

private func makeFolder(_ name: String) -> String {
  let path = "/tmp/strongroom-sandbox-\(getpid())-\(name)"
  mkdir(path, 0o777)
  chmod(path, 0o777)
  return path
}

/// A system call by its number, for those Glibc hides or adorns.
private func raw(_ number: Int, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0) -> Int {
  typealias Call = @convention(c) (Int, Int, Int, Int, Int, Int, Int) -> Int
  let call = unsafeBitCast(dlsym(UnsafeMutableRawPointer(bitPattern: 0), "syscall"), to: Call.self)
  return call(number, a, b, c, d, e, 0)
}

@Suite("Sandbox", .serialized)
struct SandboxTests {
  @Test("hardening makes the process undumpable, without core file and without new privileges")
  func hardening() {
    let status = outcome {
      let refusesExecutable = try harden()
      var limit = rlimit()
      getrlimit(__rlimit_resource_t(UInt32(RLIMIT_CORE.rawValue)), &limit)
      guard limit.rlim_cur == 0, limit.rlim_max == 0 else { return 1 }
      guard clinux_prctl(CLINUX_PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 else { return 2 }
      guard clinux_prctl(CLINUX_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 else { return 3 }
      if refusesExecutable {
        let memory = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard mprotect(memory, 4096, PROT_READ | PROT_EXEC) == -1, errno == EACCES else { return 4 }
      }
      return 0
    }
    #expect(status == 0)
  }

  @Test("a process of the same user reads the memory of one that is not hardened, and not of one that is")
  func memory() throws {
    /// What reading a word of the victim's memory by its /proc file and attaching to it report.
    func attempt(hardened: Bool) throws -> (read: Int32, attach: Int32) {
      let ready = try MessageSocket.pair()
      let word = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
      word.pointee = 0x1234_5678
      defer { word.deallocate() }
      let victim = forkProcess()
      if victim == 0 {
        alarm(20)
        becomeOrdinaryUser()
        if hardened {
          do { try harden() } catch { _exit(252) }
        } else {
          clinux_prctl(CLINUX_PR_SET_DUMPABLE, 1, 0, 0, 0)
        }
        try? withUnsafeBytes(of: UInt8(1)) { try ready.far.send($0) }
        while true { pause() }
      }
      defer {
        kill(victim, SIGKILL)
        var status: Int32 = 0
        waitpid(victim, &status, 0)
      }
      let events = try waitForEvents(ready.near.descriptor.number, .readable, timeout: 10_000_000_000)
      try #require(events == .readable)
      let read = outcome {
        becomeOrdinaryUser()
        let file = open("/proc/\(victim)/mem", O_RDONLY)
        guard file >= 0 else { return errno }
        var value: UInt64 = 0
        guard pread(file, &value, 8, off_t(Int(bitPattern: word))) == 8 else { return errno }
        return value == 0x1234_5678 ? 0 : 253
      }
      let attach = outcome {
        becomeOrdinaryUser()
        let number = 16  // PTRACE_ATTACH, of the ptrace call of x86_64 and of the generic table
        #if arch(x86_64)
          let call = 101
        #else
          let call = 117
        #endif
        return code { raw(call, number, Int(victim)) }
      }
      return (read, attach)
    }
    let exposed = try attempt(hardened: false)
    #expect(exposed.read == 0, "the control: without hardening it can be read")
    #expect(exposed.attach == 0)
    let shielded = try attempt(hardened: true)
    #expect(shielded.read == EACCES)
    #expect(shielded.attach == EPERM)
  }

  @Test("Landlock leaves the given directories and nothing else")
  func landlock() throws {
    try #require(clinux_landlock_version() > 0, "the kernel has no Landlock")
    let writable = makeFolder("w")
    let readable = makeFolder("r")
    let other = makeFolder("o")
    func make(_ path: String) -> Int32 { open(path, O_CREAT | O_RDWR, 0o600) }
    close(make(readable + "/file"))
    close(make(other + "/file"))
    defer {
      for path in [writable + "/file", readable + "/file", other + "/file"] { unlink(path) }
      for path in [writable, readable, other] { rmdir(path) }
    }
    let status = outcome {
      try harden()
      var landlock = Landlock()
      landlock.allow(writable, .readWrite)
      landlock.allow(readable, .read)
      try landlock.apply()
      let file = make(writable + "/file")
      guard file >= 0 else { return 1 }
      guard rename(writable + "/file", writable + "/other") == 0 else { return 2 }
      guard unlink(writable + "/other") == 0 else { return 3 }
      guard open(readable + "/file", O_RDONLY) >= 0 else { return 4 }
      guard open(readable + "/file", O_RDWR) == -1, errno == EACCES else { return 5 }
      guard unlink(readable + "/file") == -1, errno == EACCES else { return 6 }
      guard open(other + "/file", O_RDONLY) == -1, errno == EACCES else { return 7 }
      guard open("/etc/passwd", O_RDONLY) == -1, errno == EACCES else { return 8 }
      guard open("/proc/\(getppid())/maps", O_RDONLY) == -1, errno == EACCES else { return 9 }
      if clinux_landlock_version() >= 6 {
        guard kill(getppid(), 0) == -1, errno == EPERM else { return 10 }
      }
      return 0
    }
    #expect(status == 0)
  }

  @Test("Landlock is refused where another thread would stay free, and for a path that does not exist")
  func landlockRefusals() {
    let threads = outcome {
      try harden()
      try startThread(name: "other") { while true { pause() } }
      do {
        try Landlock().apply()
        return 1
      } catch let error as SystemError {
        return error.code
      }
    }
    #expect(threads == EBUSY)
    let missing = outcome {
      try harden()
      var landlock = Landlock()
      landlock.allow("/nonexistent", .read)
      do {
        try landlock.apply()
        return 1
      } catch let error as SystemError {
        return error.code
      }
    }
    #expect(missing == ENOENT)
  }

  @Test("the system call filter refuses what a secure world never does", arguments: [0, 1])
  func refusals(profile: Int) {
    let status = outcome {
      try harden()
      try SystemCallFilter(profile == 0 ? .secureWorld : .peripheral).apply()
      guard code({ Int(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)) }) == EPERM else { return 1 }
      guard code({ Int(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)) }) == EPERM else { return 2 }
      let arguments: [UnsafeMutablePointer<CChar>?] = [strdup("/bin/true"), nil]
      guard code({ Int(execve("/bin/true", arguments, arguments)) }) == EPERM else { return 3 }
      guard code({ Int(forkProcess()) }) == EPERM else { return 4 }
      #if arch(x86_64)
        guard code({ raw(101, 0) }) == EPERM else { return 5 }  // ptrace
        guard code({ raw(57) }) == EPERM else { return 6 }  // fork
        guard code({ raw(310, Int(getppid())) }) == EPERM else { return 7 }  // process_vm_readv
        guard code({ raw(435, 0, 0) }) == ENOSYS else { return 8 }  // clone3
        guard code({ raw(321, 0, 0, 0) }) == EPERM else { return 9 }  // bpf
      #endif
      let memory = mmap(nil, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      guard memory == MAP_FAILED, errno == EPERM else { return 10 }
      guard code({ Int(kill(getppid(), 0)) }) == EPERM else { return 11 }
      var limit = rlimit(rlim_cur: 10, rlim_max: 10)
      guard code({ Int(setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit)) }) == EPERM else {
        return 12
      }
      guard code({ Int(clinux_prctl(CLINUX_PR_SET_DUMPABLE, 1, 0, 0, 0)) }) == EPERM else { return 13 }
      return 0
    }
    #expect(status == 0)
  }

  @Test("under the filter files, memory, sockets, threads and processor binding work")
  func allowances() throws {
    let folder = makeFolder("f")
    defer {
      unlink(folder + "/file")
      unlink(folder + "/socket")
      rmdir(folder)
    }
    let status = outcome {
      let listener = try MessageListener(path: folder + "/socket")
      let client = try MessageSocket.connect(to: folder + "/socket", timeout: 1_000_000_000)
      try harden()
      var landlock = Landlock()
      landlock.allow(folder, .readWrite)
      try landlock.apply()
      try SystemCallFilter(.secureWorld).apply()

      let server = try listener.accept()
      let region = try SharedRegion.create(name: "test", byteCount: 4096)
      try withUnsafeBytes(of: 7) { try client.send($0, descriptors: [region.descriptor.number]) }
      var buffer = [UInt8](repeating: 0, count: 64)
      let count = try buffer.withUnsafeMutableBytes {
        try server.receive(into: $0, maximumDescriptors: 1)?.descriptors.count
      }
      guard count == 1 else { return 1 }
      guard try server.peerCredentials().pid == getpid() else { return 2 }
      let pair = try MessageSocket.pair()
      guard try MessageSocket.cookie(of: pair.near.descriptor) != 0 else { return 3 }

      let file = try Descriptor.open(folder + "/file", O_CREAT | O_RDWR)
      var lock = flock()
      lock.l_type = Int16(F_WRLCK)
      guard withUnsafeMutablePointer(to: &lock, { fcntl(file.number, F_SETLK, $0) }) == 0 else { return 4 }
      guard fdatasync(file.number) == 0, ftruncate(file.number, 4096) == 0 else { return 5 }
      let shared = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file.number, 0)
      guard shared != MAP_FAILED else { return 6 }
      let secret = try SecretRegion(byteCount: 4096)
      secret.base.storeBytes(of: 1, as: UInt8.self)

      let processors = try ProcessorSet()
      let word = SharedWord(region.region.base)
      let thread = try startThread(name: "under filter") {
        do {
          try Processor.bind(to: Processor.current)
          try processors.apply()
          word.store(1)
        } catch {
          word.store(2)
        }
        word.wake()
      }
      _ = word.wait(while: 0, timeout: 5_000_000_000)
      thread.join()
      guard word.load() == 1 else { return 7 }
      raise(0)
      return 0
    }
    #expect(status == 0)
  }
}
