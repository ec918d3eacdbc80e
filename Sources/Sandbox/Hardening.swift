import CLinux
import Glibc
import LinuxSystem

/// Takes from this process what nobody else should have of it, and what it needs no more.
///
/// - not dumpable: no other process of the same user reads its memory, traces it or takes its descriptors
///   (PR_SET_DUMPABLE);
/// - no core file (RLIMIT_CORE);
/// - no more privileges by executing something (PR_SET_NO_NEW_PRIVS);
/// - no memory that is or was writable becomes executable (PR_SET_MDWE, Linux 6.3), unless `keepingExecutableMemory`.
///
/// To be called first thing: an exec makes the process dumpable again, and so may a change of user.
/// - Returns: whether executable memory is refused; older kernels cannot.
@discardableResult
public func harden(keepingExecutableMemory: Bool = false) throws(SystemError) -> Bool {
  var none = rlimit(rlim_cur: 0, rlim_max: 0)
  guard setrlimit(__rlimit_resource_t(UInt32(RLIMIT_CORE.rawValue)), &none) == 0 else {
    throw SystemError("setrlimit", errno)
  }
  guard clinux_prctl(CLINUX_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 else { throw SystemError("prctl", errno) }
  guard clinux_prctl(CLINUX_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 else { throw SystemError("prctl", errno) }
  if keepingExecutableMemory { return false }
  return clinux_prctl(CLINUX_PR_SET_MDWE, 1, 0, 0, 0) == 0
}
