import Synchronization

/// Ready libcrypto contexts of one key, lent to one operation at a time, without a lock.
///
/// Holds at most eight idle ones; what is given back beyond that is for the giver to free. Every pool may hold one, all together
/// `mostBesides` more: keys are many, and used by several threads at once few.
final class ContextPool: Sendable {
  private let slots = InlineArray<8, Atomic<UInt>> { _ in Atomic(0) }
  /// How many slots besides the first this pool may use.
  private let besides = Atomic<Int>(0)

  /// About 1 KiB each.
  static let mostBesides = 1 << 14
  private static let allBesides = Atomic<Int>(0)
  /// Slots that all pools together use besides their first.
  static var besidesNow: Int { allBesides.load(ordering: .relaxed) }

  deinit { Self.allBesides.subtract(besides.load(ordering: .relaxed), ordering: .relaxed) }

  /// Takes one more slot into use; false when all pools use as many as they may.
  @inline(never)
  private func addSlot(_ index: Int) -> Bool {
    guard Self.allBesides.add(1, ordering: .relaxed).newValue <= Self.mostBesides,
      besides.compareExchange(expected: index - 1, desired: index, ordering: .relaxed).exchanged
    else {
      Self.allBesides.subtract(1, ordering: .relaxed)
      return besides.load(ordering: .relaxed) >= index
    }
    return true
  }

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
      guard index <= besides.load(ordering: .relaxed) || addSlot(index) else { return false }
      let bits = UInt(bitPattern: context)
      if slots[index].compareExchange(expected: 0, desired: bits, ordering: .releasing).exchanged { return true }
    }
    return false
  }
}
