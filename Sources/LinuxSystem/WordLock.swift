/// A lock that is one word of memory, 0 at first: for what lies in memory that nobody owns. The memory is lent.
///
/// To take it and to give it back is one locked instruction each while nobody else wants it. It knows no owner, so that who
/// holds it must not take it again.
@frozen
public struct WordLock: Sendable {
  /// 0: free; 1: held; 2: held, and others may sleep for it.
  @usableFromInline let word: SharedWord

  @inline(__always)
  public init(_ address: UnsafeMutableRawPointer) { word = SharedWord(address) }

  /// Takes the lock, as soon as it is free.
  @inline(__always)
  public func lock() {
    if word.compareExchange(expected: 0, desired: 1) != 0 { _ = lockSlowly(until: nil) }
  }

  /// Takes the lock; false when it was not to be had in so many nanoseconds.
  public func lock(timeout: UInt64) -> Bool {
    word.compareExchange(expected: 0, desired: 1) == 0 || lockSlowly(until: MonotonicClock.now() &+ timeout)
  }

  /// Gives the lock back. To be called by who has it.
  @inline(__always)
  public func unlock() {
    if word.exchange(0) == 2 { word.wake() }
  }

  @inline(never)
  @usableFromInline
  func lockSlowly(until end: UInt64?) -> Bool {
    while word.exchange(2) != 0 {
      var rest: UInt64?
      if let end {
        let now = MonotonicClock.now()
        guard now < end else { return false }
        rest = end &- now
      }
      _ = word.wait(while: 2, timeout: rest)
    }
    return true
  }
}
