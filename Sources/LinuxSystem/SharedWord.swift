import CLinux
import Glibc

/// A 32-bit word in memory that two processes write. The memory is lent.
///
/// Each method reads or writes the word exactly once, so a value that was checked is the value that is used.
@frozen
public struct SharedWord: @unchecked Sendable {
  // Sendable: only atomic operations reach the word.
  public let address: UnsafeMutableRawPointer

  @inline(__always)
  public init(_ address: UnsafeMutableRawPointer) { self.address = address }

  @inline(__always)
  public func load() -> UInt32 { clinux_load32_acquire(address) }
  @inline(__always)
  public func loadRelaxed() -> UInt32 { clinux_load32_relaxed(address) }
  @inline(__always)
  public func store(_ value: UInt32) { clinux_store32_release(address, value) }
  @inline(__always)
  public func storeRelaxed(_ value: UInt32) { clinux_store32_relaxed(address, value) }
  /// Stores with a full fence: a load after it cannot have been made before it.
  @inline(__always)
  @discardableResult
  public func exchange(_ value: UInt32) -> UInt32 { clinux_exchange32(address, value) }
  /// Stores `desired` if the word is `expected`; answers what it was.
  @inline(__always)
  public func compareExchange(expected: UInt32, desired: UInt32) -> UInt32 {
    clinux_compare_exchange32(address, expected, desired)
  }
  @inline(__always)
  @discardableResult
  public func add(_ value: UInt32) -> UInt32 { clinux_add32(address, value) }

  public enum WaitResult: Sendable { case woken, changed, timedOut }

  /// Sleeps while the word is `expected`, at most `timeout` nanoseconds (nil: without limit). Interrupted sleeps and
  /// wake-ups without a reason answer `.woken`: the caller looks again.
  public func wait(while expected: UInt32, timeout: UInt64?) -> WaitResult {
    switch clinux_futex_wait(address, expected, timeout.map { Int64(min($0, 1 << 62)) } ?? -1) {
    case ETIMEDOUT: .timedOut
    case EAGAIN: .changed
    default: .woken
    }
  }

  /// Wakes up to `count` sleepers and answers how many there were.
  @discardableResult
  public func wake(_ count: Int32 = 1) -> Int { Int(clinux_futex_wake(address, count)) }
}

/// A 64-bit counter in memory that two processes use. The memory is lent.
@frozen
public struct SharedCounter: @unchecked Sendable {
  // Sendable: only atomic operations reach the word.
  public let address: UnsafeMutableRawPointer

  @inline(__always)
  public init(_ address: UnsafeMutableRawPointer) { self.address = address }

  @inline(__always)
  public func load() -> UInt64 { clinux_load64_acquire(address) }
  @inline(__always)
  public func loadRelaxed() -> UInt64 { clinux_load64_relaxed(address) }
  @inline(__always)
  public func store(_ value: UInt64) { clinux_store64_release(address, value) }
  @inline(__always)
  public func storeRelaxed(_ value: UInt64) { clinux_store64_relaxed(address, value) }
  /// Stores with a full fence: a load after it cannot have been made before it.
  @inline(__always)
  @discardableResult
  public func exchange(_ value: UInt64) -> UInt64 { clinux_exchange64(address, value) }
  /// Stores `desired` if the counter is `expected`; answers what it was.
  @inline(__always)
  public func compareExchange(expected: UInt64, desired: UInt64) -> UInt64 {
    clinux_compare_exchange64(address, expected, desired)
  }
}

/// A full fence between what this thread did before and what it does after.
@inline(__always)
public func fence() { clinux_fence() }
