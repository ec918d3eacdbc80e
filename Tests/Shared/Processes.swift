import Glibc
import LinuxSystem

/// fork(2), which Swift does not let be called by its name.
let forkProcess = unsafeBitCast(
  dlsym(UnsafeMutableRawPointer(bitPattern: 0), "fork"), to: (@convention(c) () -> pid_t).self)

/// Whether the condition becomes true within the time, which is for a machine that is busy with much else.
func becomesTrue(seconds: Double = 10, _ condition: () throws -> Bool) rethrows -> Bool {
  let end = MonotonicClock.now() + UInt64(seconds * 1_000_000_000)
  while MonotonicClock.now() < end {
    if try condition() { return true }
    usleep(1000)
  }
  return try condition()
}
