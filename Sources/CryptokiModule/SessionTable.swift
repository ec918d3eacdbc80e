import CCryptoki
import Cryptoki
import LinuxSystem

/// A session's place in the table: 64 bytes that never move and are never given back, so that whoever has a handle may look
/// there at any time, without a lock.
///
///     +0   8  the handle of the session that is open here; 0 while there is none, or it is being closed
///     +8   4  the session's lock, held for the time of a call
///     +16  8  the session, a retained reference
///
/// A session ends in three steps: its handle is taken away, and with that nobody comes in any more; whoever takes the lock
/// then has waited for the call that was in; and the reference is given up with the table's lock held. So the reference is
/// good for who holds the session's lock and has seen the handle since, or holds the table's lock and sees it.
private struct SessionPlace: @unchecked Sendable {
  static let byteCount = 64
  let address: UnsafeMutableRawPointer

  @inline(__always) var handle: SharedCounter { SharedCounter(address) }
  @inline(__always) var lock: WordLock { WordLock(address + 8) }
  /// nil while no session was ever here or the last one has been given up.
  @inline(__always) var session: Unmanaged<Session>? {
    get { address.load(fromByteOffset: 16, as: UnsafeRawPointer?.self).map { Unmanaged.fromOpaque($0) } }
    nonmutating set {
      address.storeBytes(
        of: newValue.map { UnsafeRawPointer($0.toOpaque()) }, toByteOffset: 16, as: UnsafeRawPointer?.self)
    }
  }
}

/// The open sessions of this process, by handle.
///
/// A handle holds the session's place in the table and how often the place was used, so that a handle of a closed
/// session names nothing, however soon the place is used again.
///
/// `@unchecked Sendable`: the pieces only ever come into being, `SessionPlace` says who touches what of a place, and the rest is
/// touched with the table's lock held.
final class SessionTable: @unchecked Sendable {
  /// Low bits of a handle that hold the place, from 1.
  private static let placeBits: UInt = 20
  private static let placeMask: UInt = (1 << placeBits) - 1
  /// Places in the first piece; each other has twice as many as the one before it.
  private static let firstPiece: UInt = 64
  private static let pieceCount = 15

  /// The addresses of the pieces, 0 for one that is not there yet, and then the table's lock.
  private let pieces: UnsafeMutableRawPointer = {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: (pieceCount + 1) * 8, alignment: 8)
    memory.initializeMemory(as: UInt64.self, repeating: 0, count: pieceCount + 1)
    return memory
  }()

  // Both with the table's lock held.
  /// How many places there are.
  @exclusivity(unchecked) private var count: UInt = 0
  /// Places that can be used again, and how often each was used.
  @exclusivity(unchecked) private var free: [(index: UInt, useCount: UInt)] = []

  @inline(__always)
  private func withLock<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    let lock = WordLock(pieces + Self.pieceCount * 8)
    lock.lock()
    defer { lock.unlock() }
    return try body()
  }

  deinit {
    for piece in 0..<Self.pieceCount {
      UnsafeMutableRawPointer(bitPattern: UInt(SharedCounter(pieces + piece * 8).load()))?.deallocate()
    }
    pieces.deallocate()
  }

  @inline(__always)
  private func place(_ index: UInt) -> SessionPlace? {
    guard index < Self.placeMask else { return nil }
    let number = index &+ Self.firstPiece
    let piece = (UInt.bitWidth &- 1 &- number.leadingZeroBitCount) &- Self.firstPiece.trailingZeroBitCount
    let start = SharedCounter(pieces + piece &* 8).load()
    guard let base = UnsafeMutableRawPointer(bitPattern: UInt(start)) else { return nil }
    let offset = number &- Self.firstPiece << UInt(truncatingIfNeeded: piece)
    return SessionPlace(address: base + Int(bitPattern: offset &* UInt(SessionPlace.byteCount)))
  }

  /// The place that a handle names, if the handle is a session's now.
  @inline(__always)
  private func place(of handle: CK_SESSION_HANDLE) throws(ReturnValue) -> SessionPlace {
    // Of handle 0 the index wraps, and there is no such place.
    guard let place = place(handle & Self.placeMask &- 1), place.handle.load() == UInt64(handle) else {
      throw .sessionHandleInvalid
    }
    return place
  }

  /// Lends the session with this handle to `body`, alone in it: two calls in one session come one after the other.
  ///
  /// Throws CKR_SESSION_HANDLE_INVALID, also when the session was closed while this waited.
  @inline(__always)
  func enter(
    _ handle: CK_SESSION_HANDLE, _ body: (Session) throws(ReturnValue) -> Void
  ) throws(ReturnValue) {
    let place = try place(of: handle)
    place.lock.lock()
    defer { place.lock.unlock() }
    guard place.handle.load() == UInt64(handle), let session = place.session else { throw .sessionHandleInvalid }
    let result: Result<Void, ReturnValue> = session._withUnsafeGuaranteedRef { session in
      do throws(ReturnValue) { return .success(try body(session)) } catch { return .failure(error) }
    }
    try result.get()
  }

  /// Lends the session with this handle to `body`, which waits for nothing and leaves the session's operations alone: a call
  /// may be running in the session. Throws CKR_SESSION_HANDLE_INVALID.
  @inline(__always)
  func look<R>(
    _ handle: CK_SESSION_HANDLE, _ body: (Session) throws(ReturnValue) -> R
  ) throws(ReturnValue) -> R {
    let place = try place(of: handle)
    return try withLock { () throws(ReturnValue) in
      guard place.handle.load() == UInt64(handle), let session = place.session else { throw .sessionHandleInvalid }
      let result: Result<R, ReturnValue> = session._withUnsafeGuaranteedRef { session in
        do throws(ReturnValue) { return .success(try body(session)) } catch { return .failure(error) }
      }
      return try result.get()
    }
  }

  /// Opens a session and answers its handle. Throws CKR_SESSION_COUNT when the table is full.
  func open(in slot: Slot, isReadWrite: Bool) throws(ReturnValue) -> CK_SESSION_HANDLE {
    try withLock { () throws(ReturnValue) in
      let (index, useCount): (UInt, UInt)
      if let free = free.popLast() {
        (index, useCount) = free
      } else {
        (index, useCount) = (count, 0)
        guard index < Self.placeMask else { throw .sessionCount }
        if place(index) == nil { makePiece(of: index) }
        count += 1
      }
      guard let place = place(index) else { throw .sessionCount }
      // Wraps after 2^44 uses of one place.
      let handle = ((useCount &+ 1) & (UInt.max >> Self.placeBits)) << Self.placeBits | (index &+ 1)
      let session = Session(handle: handle, number: UInt32(index &+ 1), slot: slot, isReadWrite: isReadWrite)
      place.session = Unmanaged.passRetained(session)
      place.handle.store(UInt64(handle))
      return handle
    }
  }

  private func makePiece(of index: UInt) {
    let number = index &+ Self.firstPiece
    let piece = (UInt.bitWidth &- 1 &- number.leadingZeroBitCount) &- Self.firstPiece.trailingZeroBitCount
    let byteCount = SessionPlace.byteCount * Int(Self.firstPiece << UInt(piece))
    let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: SessionPlace.byteCount)
    memory.initializeMemory(as: UInt64.self, repeating: 0, count: byteCount / 8)
    SharedCounter(pieces + piece &* 8).store(UInt64(UInt(bitPattern: memory)))
  }

  /// A session whose handle names nothing any more. It is to be given to `release`, and lives until then.
  struct Ended {
    fileprivate let session: Unmanaged<Session>
    fileprivate let place: SessionPlace

    /// Lends the session.
    @inline(__always)
    func lend<R>(_ body: (Session) -> R) -> R { session._withUnsafeGuaranteedRef(body) }
  }

  /// Takes the handle from its session; nil when somebody else has. Waits for nothing.
  func end(_ handle: CK_SESSION_HANDLE) -> Ended? {
    guard handle != 0, let place = place(handle & Self.placeMask &- 1),
      place.handle.compareExchange(expected: UInt64(handle), desired: 0) == UInt64(handle),
      // It stays where it is until `release`.
      let session = place.session
    else { return nil }
    return Ended(session: session, place: place)
  }

  /// The same for all sessions that `isMeant` says yes of.
  func endAll(where isMeant: (Session) -> Bool) -> [Ended] {
    withLock {
      (0..<count).compactMap { index in
        guard let place = place(index) else { return nil }
        let handle = UInt(place.handle.load())
        guard handle != 0, let session = place.session, session._withUnsafeGuaranteedRef(isMeant) else { return nil }
        return end(handle)
      }
    }
  }

  /// Waits for the call that is running in the session, if there is one; false when that takes longer than so many
  /// nanoseconds.
  func waitForCall(in ended: Ended, timeout: UInt64? = nil) -> Bool {
    if let timeout {
      guard ended.place.lock.lock(timeout: timeout) else { return false }
    } else {
      ended.place.lock.lock()
    }
    ended.place.lock.unlock()
    return true
  }

  /// Gives the places of ended sessions, and with them their numbers, to new ones. No call may be running in them.
  func release(_ sessions: some Collection<Ended>) {
    withLock {
      for ended in sessions {
        ended.place.session = nil
        let handle = ended.lend { $0.handle }
        free.append((handle & Self.placeMask &- 1, handle >> Self.placeBits))
      }
    }
    // The place's reference.
    for ended in sessions { ended.session.release() }
  }
}
