import CLinux
import Glibc

/// The clock that is never set: for durations and deadlines.
public enum MonotonicClock {
  /// Nanoseconds since some moment in the past.
  @inline(__always)
  public static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }
}

/// The processors of this machine, as far as this process may use them.
public enum Processor {
  /// The number of the processor the calling thread runs on; it may be another one a moment later.
  @inline(__always)
  public static var current: Int { Int(clinux_current_processor()) }

  /// How many processors this thread may run on.
  public static var count: Int { Int(clinux_processor_count()) }

  /// Tells the processor that this is a waiting loop.
  @inline(__always)
  public static func pause() { clinux_pause() }

  /// Binds the calling thread to one processor.
  public static func bind(to processor: Int) throws(SystemError) {
    guard let number = Int32(exactly: processor) else { throw SystemError("sched_setaffinity", EINVAL) }
    try checked("sched_setaffinity") { clinux_bind_to_processor(number) }
  }
}

/// The set of processors a thread may run on, to be put back after a `Processor.bind`.
public struct ProcessorSet: Sendable {
  private var words = [UInt64](repeating: 0, count: 16)

  /// The set of the calling thread.
  public init() throws(SystemError) {
    let words = [UInt64](repeating: 0, count: 16)
    var copy = words
    let answer = copy.withUnsafeMutableBytes { clinux_processor_mask($0.baseAddress!, $0.count, 0) }
    if answer < 0 { throw SystemError("sched_getaffinity", errno) }
    self.words = copy
  }

  /// Lets the calling thread run on this set.
  public func apply() throws(SystemError) {
    var copy = words
    let answer = copy.withUnsafeMutableBytes { clinux_processor_mask($0.baseAddress!, $0.count, 1) }
    if answer < 0 { throw SystemError("sched_setaffinity", errno) }
  }

  /// The same set without one processor; nil when none would remain.
  public func removing(_ processor: Int) -> ProcessorSet? {
    guard contains(processor) else { return self }
    var set = self
    set.words[processor / 64] &= ~(1 << UInt64(processor % 64))
    return set.words.allSatisfy { $0 == 0 } ? nil : set
  }

  public func contains(_ processor: Int) -> Bool {
    processor >= 0 && processor < 1024 && words[processor / 64] & (1 << UInt64(processor % 64)) != 0
  }
}
