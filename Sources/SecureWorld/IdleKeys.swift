import Glibc
import LinuxSystem
import Synchronization

/// Gives up token keys that nobody uses: what was unsealed and parsed leaves the memory between one and two intervals after its
/// last use.
///
/// A thread looks once an interval while keys are kept. When none are it sleeps without limit, so that an idle secure world is
/// woken twice and then left alone.
final class IdleKeys: Sendable {
  /// Seconds.
  private let interval: UInt32
  private let areKept = Atomic<Bool>(false)
  private let place = SleepingPlace()

  init(interval: UInt32 = 60) { self.interval = interval }

  /// To be called when keys begin to be kept.
  func noteKept() {
    if !areKept.exchange(true, ordering: .sequentiallyConsistent) { place.wakeAll() }
  }

  /// Begins to look. `dropUnused` drops what was not used since it was called last and answers whether something is still kept;
  /// nil ends it.
  func start(_ dropUnused: @escaping @Sendable () -> Bool?) throws(SystemError) {
    try startThread(name: "idle keys", stackSize: 128 << 10) { [self] in
      while true {
        place.sleep { !areKept.load(ordering: .sequentiallyConsistent) }
        var left = interval
        while left > 0 { left = sleep(left) }
        areKept.store(false, ordering: .sequentiallyConsistent)
        guard let isKept = dropUnused() else { return }
        if isKept { areKept.store(true, ordering: .sequentiallyConsistent) }
      }
    }
  }
}
