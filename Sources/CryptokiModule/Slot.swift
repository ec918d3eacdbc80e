import Cryptoki
import Synchronization
import TokenProtocol
import Wire

/// A slot with its token, as one connection to the secure world sees it.
final class Slot: Sendable {
  let id: UInt32
  let connection: Connection
  /// The token's object at the secure world.
  let token: UInt64
  let keys: KeyCache
  let random = RandomReserve()
  /// Held while sessions are counted in and out, and while somebody logs in or out: closing the last session logs
  /// out, and no new session may come between. To be taken after a session's own lock, never before it.
  let lifecycle = Mutex(())

  /// The user type plus 1; 0 when nobody is logged in. Kept for C_GetSessionInfo; the secure world decides by its own.
  private let login = Atomic<UInt>(0)
  /// Written by who holds `lifecycle`.
  private let readOnlyCount = Atomic<Int>(0)
  private let readWriteCount = Atomic<Int>(0)
  private let mechanismTypes = Mutex<[UInt32]?>(nil)

  struct SessionCounts: Sendable {
    let readOnly: Int
    let readWrite: Int
    var all: Int { readOnly + readWrite }
  }

  init(id: UInt32, connection: Connection, token: UInt64) {
    self.id = id
    self.connection = connection
    self.token = token
    keys = KeyCache(published: connection.client.published)
  }

  /// Who is logged in.
  var loggedIn: UserType? {
    get {
      let bits = login.load(ordering: .relaxed)
      return bits == 0 ? nil : UserType(rawValue: bits - 1)
    }
    set {
      login.store(newValue.map { $0.rawValue &+ 1 } ?? 0, ordering: .relaxed)
      keys.removeAll()
    }
  }

  /// This process's open sessions.
  var sessionCounts: SessionCounts {
    SessionCounts(
      readOnly: readOnlyCount.load(ordering: .relaxed), readWrite: readWriteCount.load(ordering: .relaxed))
  }

  /// Counts a session that was opened (1) or closed (-1). To be called with `lifecycle` held.
  func countSession(isReadWrite: Bool, _ change: Int) {
    if isReadWrite {
      readWriteCount.store(readWriteCount.load(ordering: .relaxed) + change, ordering: .relaxed)
    } else {
      readOnlyCount.store(readOnlyCount.load(ordering: .relaxed) + change, ordering: .relaxed)
    }
  }

  /// What the secure world says of the token now.
  func information() throws(ReturnValue) -> TokenInformation {
    try request(.tokenInformation, NoFields()) { (reader) throws(WireError) in
      try TokenInformation(from: &reader)
    }
  }

  /// The mechanisms that work at the secure world; they do not change while it runs.
  func mechanisms() throws(ReturnValue) -> [UInt32] {
    if let known = mechanismTypes.withLock({ $0 }) { return known }
    let types = try information().mechanisms
    mechanismTypes.withLock { $0 = types }
    return types
  }
}
