import Glibc

/// Where threads sleep until others have changed something (a futex), so that waiting costs nothing.
public final class SleepingPlace: Sendable {
  /// Counts the calls of `wakeAll`: one that comes before a thread sleeps is not missed.
  private let word: SharedWord

  public init() {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 4, alignment: 4)
    memory.storeBytes(of: 0, as: UInt32.self)
    word = SharedWord(memory)
  }

  deinit { word.address.deallocate() }

  /// Has every sleeper look at its condition again.
  public func wakeAll() {
    word.add(1)
    word.wake(.max)
  }

  /// Sleeps while `condition` holds; it is looked at after each `wakeAll`.
  public func sleep(while condition: () -> Bool) {
    while true {
      let count = word.load()
      guard condition() else { return }
      _ = word.wait(while: count, timeout: nil)
    }
  }
}
