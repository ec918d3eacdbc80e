/// Handles of token objects come from the store's ids, those of session objects from a counter: even and odd, so that
/// neither is ever used again for the other.
public enum ObjectHandles {
  public static func ofTokenObject(_ storeID: UInt64) -> UInt64 { storeID &* 2 &+ 2 }
  public static func storeID(_ handle: UInt64) -> UInt64 { (handle &- 2) / 2 }
  public static func ofSessionObject(_ number: UInt64) -> UInt64 { number &* 2 &+ 1 }
  public static func isOfTokenObject(_ handle: UInt64) -> Bool { handle % 2 == 0 }
}
