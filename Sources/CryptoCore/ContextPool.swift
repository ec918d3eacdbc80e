import Synchronization

/// Ready libcrypto contexts of one key, lent to one operation at a time, without a lock.
///
/// Holds at most eight idle ones; what is given back beyond that is for the giver to free.
final class ContextPool: Sendable {
  private let slots = InlineArray<8, Atomic<UInt>> { _ in Atomic(0) }

  /// An idle context, now the caller's, or nil when the caller has to make one.
  @inline(__always)
  func take() -> OpaquePointer? {
    for index in slots.indices where slots[index].load(ordering: .relaxed) != 0 {
      let bits = slots[index].exchange(0, ordering: .acquiring)
      if bits != 0 { return OpaquePointer(bitPattern: bits) }
    }
    return nil
  }

  /// Keeps `context` for the next operation; false when the pool is full and the context stays the caller's.
  @inline(__always)
  func give(_ context: OpaquePointer) -> Bool {
    for index in slots.indices where slots[index].load(ordering: .relaxed) == 0 {
      let bits = UInt(bitPattern: context)
      if slots[index].compareExchange(expected: 0, desired: bits, ordering: .releasing).exchanged { return true }
    }
    return false
  }
}
