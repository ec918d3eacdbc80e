import Glibc

/// Runs `body` in a child process and answers its pid. The child ends with it.
func inChild(_ body: () throws -> Int32) -> Int32 {
  let pid = forkProcess()
  if pid == 0 {
    alarm(60)
    do { _exit(try body()) } catch { _exit(250) }
  }
  return pid
}

/// The exit status of a child; minus the signal's number when a signal ended it.
func status(of pid: Int32) -> Int32 {
  var status: Int32 = 0
  waitpid(pid, &status, 0)
  return status & 0x7f == 0 ? status >> 8 & 0xff : -(status & 0x7f)
}
