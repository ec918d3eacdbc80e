import Synchronization

/// A reference that is made when it is first needed, by whichever thread comes first, and kept as long as its owner.
///
/// It does what `AtomicLazyReference` does, whose generic code is looked up again at each use: that took as long as the
/// cryptography of a short operation.
package struct KeptReference<Instance: AnyObject & Sendable>: ~Copyable, Sendable {
  /// The bits of a retained reference, 0 before there is one. They change once.
  @usableFromInline let bits = Atomic<UInt>(0)

  @inlinable package init() {}

  deinit {
    if let pointer = UnsafeRawPointer(bitPattern: bits.load(ordering: .acquiring)) {
      Unmanaged<Instance>.fromOpaque(pointer).release()
    }
  }

  /// Lends the reference, which lives as long as the owner; nil before there is one.
  @inlinable @inline(__always)
  package func lend<R>(_ body: (Instance) -> R) -> R? {
    guard let pointer = UnsafeRawPointer(bitPattern: bits.load(ordering: .acquiring)) else { return nil }
    return Unmanaged<Instance>.fromOpaque(pointer)._withUnsafeGuaranteedRef { body($0) }
  }

  /// The reference; nil before there is one.
  @inlinable @inline(__always)
  package var instance: Instance? { lend { $0 } }

  /// Keeps `new`, and answers it or what another thread has kept before.
  @inlinable
  package func keep(_ new: Instance) -> Instance {
    let retained = Unmanaged.passRetained(new)
    let (exchanged, winner) = bits.compareExchange(
      expected: 0, desired: UInt(bitPattern: retained.toOpaque()), ordering: .acquiringAndReleasing)
    guard !exchanged, let pointer = UnsafeRawPointer(bitPattern: winner) else { return new }
    retained.release()
    return Unmanaged<Instance>.fromOpaque(pointer).takeUnretainedValue()
  }
}
