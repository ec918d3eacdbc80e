import CSeccomp
import Glibc
import LinuxSystem

/// The system calls this process may still make (seccomp(2)).
///
/// A call that is not on the list fails with EPERM, so that a library that probes for something gets an answer it can
/// deal with; clone3 fails with ENOSYS, since its flags lie in memory where a filter cannot look, and the C library
/// then takes clone.
public struct SystemCallFilter: Sendable {
  /// Who the list is for.
  public enum Profile: Sendable {
    /// The secure world: files (Landlock says which), the sockets it has, threads, memory.
    case secureWorld
    /// A peripheral: as the secure world, without accepting connections and without waiting for children.
    case peripheral
  }

  public let profile: Profile

  public init(_ profile: Profile) {
    self.profile = profile
  }

  /// Allows the list to all threads of the process, for good. PR_SET_NO_NEW_PRIVS must be set (`harden`).
  public func apply() throws(SystemError) {
    guard let filter = seccomp_init(Action.errno(EPERM)) else { throw SystemError("seccomp_init", ENOMEM) }
    defer { seccomp_release(filter) }
    try check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1))
    // A call through another architecture's numbers has no business here.
    try check(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, Action.killProcess))
    // Sorted into a tree: a wake-up should not walk the whole list.
    try check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2))
    for name in SystemCallFilter.unconditional(profile) {
      try add(filter, Action.allow, name, [])
    }
    for rule in SystemCallFilter.conditional { try add(filter, Action.allow, rule.name, rule.conditions) }
    for name in ["tgkill", "kill", "rt_tgsigqueueinfo"] {
      try add(filter, Action.allow, name, [.equal(0, UInt64(getpid()))])
    }
    try add(filter, Action.errno(ENOSYS), "clone3", [])
    try check(seccomp_load(filter))
  }

  private enum Action {
    static let allow: UInt32 = 0x7fff_0000
    static let killProcess: UInt32 = 0x8000_0000
    static func errno(_ code: Int32) -> UInt32 { 0x0005_0000 | UInt32(code) & 0xffff }
  }

  private func check(_ code: Int32) throws(SystemError) {
    if code < 0 { throw SystemError("seccomp", -code) }
  }

  private func add(
    _ filter: scmp_filter_ctx, _ action: UInt32, _ name: String, _ conditions: [Condition]
  ) throws(SystemError) {
    // Names this library or architecture does not know name nothing that could be called.
    let number = seccomp_syscall_resolve_name(name)
    guard number >= 0 else { return }
    let comparisons = conditions.map(\.comparison)
    let code = comparisons.withUnsafeBufferPointer {
      seccomp_rule_add_array(filter, action, number, UInt32($0.count), $0.baseAddress)
    }
    try check(code)
  }

  /// What an argument must be.
  private struct Condition: Sendable {
    let argument: UInt32
    let mask: UInt64
    let value: UInt64

    static func equal(_ argument: UInt32, _ value: UInt64) -> Condition {
      Condition(argument: argument, mask: 0xffff_ffff, value: value)
    }
    static func has(_ argument: UInt32, _ bits: UInt64) -> Condition {
      Condition(argument: argument, mask: bits, value: bits)
    }
    static func lacks(_ argument: UInt32, _ bits: UInt64) -> Condition {
      Condition(argument: argument, mask: bits, value: 0)
    }
    static func isNull(_ argument: UInt32) -> Condition {
      Condition(argument: argument, mask: .max, value: 0)
    }

    var comparison: scmp_arg_cmp {
      scmp_arg_cmp(arg: argument, op: SCMP_CMP_MASKED_EQ, datum_a: mask, datum_b: value)
    }
  }

  private static let conditional: [(name: String, conditions: [Condition])] = [
    // Threads, not processes.
    ("clone", [.has(0, 0x0001_0000 /* CLONE_THREAD */)]),
    // No new code.
    ("mmap", [.lacks(2, UInt64(PROT_EXEC))]),
    ("mprotect", [.lacks(2, UInt64(PROT_EXEC))]),
    ("socketpair", [.equal(0, UInt64(AF_UNIX))]),
    // Reading one's own limits and name, not changing others'.
    ("prlimit64", [.equal(0, 0), .isNull(2)]),
    ("prctl", [.equal(0, 15 /* PR_SET_NAME */)]),
    ("prctl", [.equal(0, 16 /* PR_GET_NAME */)]),
    ("prctl", [.equal(0, 3 /* PR_GET_DUMPABLE */)]),
    ("sched_setaffinity", [.equal(0, 0)]),
    ("sched_getaffinity", []),
  ]

  private static func unconditional(_ profile: Profile) -> [String] {
    switch profile {
    case .secureWorld: memory + threads + time + descriptors + messages + files + serving
    case .peripheral: memory + threads + time + descriptors + messages + files + watchdog
    }
  }

  private static let memory = [
    "brk", "munmap", "mremap", "madvise", "mlock", "mlock2", "munlock", "msync", "memfd_create", "memfd_secret",
    "getrandom", "membarrier",
  ]
  private static let threads = [
    "futex", "futex_waitv", "set_robust_list", "get_robust_list", "set_tid_address", "rseq", "exit", "exit_group",
    "gettid", "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getcpu", "sched_yield",
    "sched_getparam", "sched_getscheduler", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending",
    "rt_sigsuspend", "rt_sigtimedwait", "sigaltstack", "restart_syscall", "sysinfo", "uname", "getrlimit",
    "getrusage", "times",
  ]
  private static let time = [
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
  ]
  private static let descriptors = [
    "read", "readv", "pread64", "preadv", "write", "writev", "pwrite64", "pwritev", "close", "close_range", "dup",
    "dup2", "dup3", "fcntl", "lseek", "fstat", "newfstatat", "statx", "poll", "ppoll", "select", "pselect6",
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "eventfd2", "pipe2", "signalfd4", "timerfd_create",
    "timerfd_settime", "ftruncate", "fallocate",
  ]
  private static let messages = [
    "sendmsg", "recvmsg", "sendto", "recvfrom", "shutdown", "getsockopt", "setsockopt", "getsockname", "getpeername",
  ]
  /// Which files, Landlock says.
  private static let files = [
    "open", "openat", "stat", "lstat", "access", "faccessat", "faccessat2", "unlink", "unlinkat", "rename",
    "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "fsync", "fdatasync", "sync_file_range", "flock", "fchmod",
    "fchown", "truncate", "umask", "utimensat", "getdents64", "getcwd", "readlink", "readlinkat", "statfs",
    "fstatfs",
  ]
  /// A request that takes too long ends the process.
  private static let watchdog = ["alarm", "setitimer"]
  private static let serving = ["accept", "accept4", "wait4", "waitid", "pidfd_send_signal"]
}
