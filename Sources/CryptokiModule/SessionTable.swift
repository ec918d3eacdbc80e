import CCryptoki
import Cryptoki
import Synchronization

/// The open sessions of this process, by handle.
///
/// A handle holds the session's place in the table and how often the place was used, so that a handle of a closed
/// session names nothing, however soon the place is used again.
final class SessionTable: Sendable {
  private struct Place {
    var session: Session?
    var useCount: UInt = 0
  }

  private struct Places {
    var places: [Place] = []
    var free: [Int] = []
  }

  /// Low bits of a handle that hold the place, from 1.
  private static let placeBits: UInt = 20
  private static let placeMask: UInt = (1 << placeBits) - 1

  private let table = Mutex(Places())

  /// The session with this handle.
  func find(_ handle: CK_SESSION_HANDLE) -> Session? {
    let index = Int(handle & Self.placeMask) - 1
    return table.withLock { table in
      guard table.places.indices.contains(index) else { return nil }
      let place = table.places[index]
      return place.useCount == handle >> Self.placeBits ? place.session : nil
    }
  }

  /// Lends the session with this handle to `body`, which takes no lock, while it stays in the table. Throws
  /// CKR_SESSION_HANDLE_INVALID.
  @inline(__always)
  func look(
    _ handle: CK_SESSION_HANDLE, _ body: (borrowing Session) throws(ReturnValue) -> Void
  ) throws(ReturnValue) {
    let index = Int(handle & Self.placeMask) - 1
    try table.withLock { (table) throws(ReturnValue) in
      guard index >= 0, index < table.places.count, table.places[index].useCount == handle >> Self.placeBits,
        table.places[index].session != nil
      else { throw .sessionHandleInvalid }
      try body(table.places[index].session!)
    }
  }

  /// Opens a session. Throws CKR_SESSION_COUNT when the table is full.
  func open(in slot: Slot, isReadWrite: Bool) throws(ReturnValue) -> Session {
    try table.withLock { (table) throws(ReturnValue) in
      let index: Int
      if let free = table.free.popLast() {
        index = free
      } else {
        index = table.places.count
        guard UInt(index) < Self.placeMask else { throw .sessionCount }
        table.places.append(Place())
      }
      // Wraps after 2^44 uses of one place.
      table.places[index].useCount = (table.places[index].useCount &+ 1) & (UInt.max >> Self.placeBits)
      let handle = table.places[index].useCount << Self.placeBits | UInt(index + 1)
      let session = Session(handle: handle, number: UInt32(index + 1), slot: slot, isReadWrite: isReadWrite)
      table.places[index].session = session
      return session
    }
  }

  /// Takes the session out, so that its handle names nothing; nil when it is gone already. `release` must follow.
  func remove(_ handle: CK_SESSION_HANDLE) -> Session? {
    let index = Int(handle & Self.placeMask) - 1
    return table.withLock { table in
      guard index >= 0, index < table.places.count, table.places[index].useCount == handle >> Self.placeBits else {
        return nil
      }
      defer { table.places[index].session = nil }
      return table.places[index].session
    }
  }

  /// Gives the places of removed sessions, and with them their numbers, to new ones.
  func release(_ sessions: some Collection<Session>) {
    table.withLock { table in
      for session in sessions { table.free.append(Int(session.number) - 1) }
    }
  }

  /// The open sessions of one slot.
  func sessions(ofSlot id: UInt32) -> [Session] {
    table.withLock { table in
      table.places.compactMap { place in place.session.flatMap { $0.slot.id == id ? $0 : nil } }
    }
  }

  /// Takes all sessions out; nothing has to follow.
  func removeAll() {
    table.withLock { table in
      for index in table.places.indices where table.places[index].session != nil {
        table.places[index].session = nil
        table.free.append(index)
      }
    }
  }
}
