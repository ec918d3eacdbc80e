import LinuxSystem
import Synchronization

/// The page that every client maps read-only: what the secure world lets be known without a crossing.
///
/// | offset | bytes | meaning |
/// | --- | --- | --- |
/// | 0 | 8 | key generation: changes whenever a description of a key that a client may have kept is no longer true |
///
/// A client takes the generation before it asks for a description and uses the description as long as the page shows
/// the same. A client that ignores it gains nothing: every operation is decided here.
final class PublishedState: Sendable {
  private let region: SharedRegion
  private let generation = Atomic<UInt64>(1)

  /// Bytes of the page.
  static let byteCount = 4096

  init(_ region: SharedRegion) {
    self.region = region
    SharedCounter(region.base).store(1)
  }

  /// Makes every description of a key that a client keeps out of date.
  func advanceKeyGeneration() {
    let (_, new) = generation.wrappingAdd(1, ordering: .acquiringAndReleasing)
    // Two writers may store in either order; any value that clients have not seen serves, and both are new to them.
    SharedCounter(region.base).store(new)
  }
}
