import Synchronization

/// So many bytes that may be held for somebody, and how many of them are.
public final class ByteQuota: Sendable {
  private let limit: Int
  private let used = Atomic<Int>(0)

  public init(_ limit: Int) { self.limit = limit }

  public var taken: Int { used.load(ordering: .relaxed) }

  /// Counts so many more bytes, until they are given back; false, and nothing is counted, when that passes the limit.
  public func take(_ count: Int) -> Bool {
    guard count >= 0, count <= limit else { return false }
    if used.wrappingAdd(count, ordering: .relaxed).newValue > limit {
      used.wrappingSubtract(count, ordering: .relaxed)
      return false
    }
    return true
  }

  public func giveBack(_ count: Int) {
    used.wrappingSubtract(count, ordering: .relaxed)
  }
}
