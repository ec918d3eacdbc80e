/// Who answers for memory that is held for somebody.
public protocol MemoryAccount: AnyObject {
  /// Counts so many more bytes, until they are given back; false, and nothing is counted, when that is more than there may be.
  func take(_ byteCount: Int) -> Bool
  func giveBack(_ byteCount: Int)
}
