import CryptoCore
import Cryptoki
import Mechanisms
import Synchronization
import TokenProtocol

/// Who a client is logged in as.
enum Role: Sendable, Equatable {
  case nobody, user, securityOfficer
}

/// What a token keeps for one client: its login, its sessions, its session objects.
///
/// Sessions are the client's own affair until a request names one; then there is a record of it, up to `sessionLimit`.
public final class Client: Sendable {
  static let sessionLimit = 1 << 14
  /// Session objects of one client.
  static let objectLimit = 1 << 17
  struct Session {
    var isReadWrite: Bool
    private var byFunction: [KeyFunction: ActiveOperation] = [:]
    private var restrictedDecryption: ActiveOperation?
    /// The one operation that a context-specific login has permitted.
    var authorized: Authorization?

    init(isReadWrite: Bool) { self.isReadWrite = isReadWrite }

    subscript(kind: ActiveOperation.Kind) -> ActiveOperation? {
      get {
        switch kind {
        case .function(let function): byFunction[function]
        case .restrictedDecryption: restrictedDecryption
        }
      }
      set {
        switch kind {
        case .function(let function): byFunction[function] = newValue
        case .restrictedDecryption: restrictedDecryption = newValue
        }
      }
    }

    var operations: [ActiveOperation] { Array(byFunction.values) + (restrictedDecryption.map { [$0] } ?? []) }
  }

  struct Authorization: Equatable {
    let function: KeyFunction
    let key: UInt64
  }

  /// How many sessions there are records of, to be read without the client's lock.
  final class SessionCounts: Sendable {
    /// All of them in the lower half, those that may write in the upper.
    private let both = Atomic<UInt64>(0)

    var current: (all: UInt32, readWrite: UInt32) {
      let both = both.load(ordering: .relaxed)
      return (UInt32(truncatingIfNeeded: both), UInt32(truncatingIfNeeded: both >> 32))
    }

    fileprivate func set(all: Int, readWrite: Int) {
      both.store(UInt64(all) | UInt64(readWrite) << 32, ordering: .relaxed)
    }
  }

  struct State {
    /// Bytes of the attributes and secrets of its session objects, and as many of what its operations hold back or gather.
    let byteLimit: Int
    var role = Role.nobody {
      didSet {
        logins.advance()
        forgetAdmissions()
      }
    }
    fileprivate let logins: ChangeNumber
    var loginNumber: UInt64 { logins.current }
    /// The security officer's means to give the user a PIN.
    var tokenKey: SecretBytes?
    var sessions: [UInt32: Session] = [:]
    private var readWriteCount = 0
    private let sessionCounts: SessionCounts
    /// The session noted last, while it is open as it was noted: a client mostly goes on with the same one.
    private var latest: SessionReference?
    /// Whether the token has forgotten this record: whoever still holds it gets nothing more from it.
    private(set) var isGone = false
    var objects = ObjectIndex() { didSet { forgetAdmissions() } }
    private(set) var admissions = Admissions()
    /// Counts what makes admissions be forgotten.
    private(set) var changes: UInt64 = 0
    var objectByteCount = 0
    var heldByteCount = 0

    init(byteLimit: Int, _ sessionCounts: SessionCounts, _ logins: ChangeNumber) {
      self.byteLimit = byteLimit
      self.sessionCounts = sessionCounts
      self.logins = logins
    }
  }

  public let id: ClientID
  let sessionCounts = SessionCounts()
  /// Counts logins and logouts; to be read without the client's lock, too.
  let logins = ChangeNumber()
  private let state: Mutex<State>
  /// Held by whoever changes one of the session objects, so that such changes happen one after another.
  let changing = Mutex<Void>(())

  init(_ id: ClientID, byteLimit: Int) {
    self.id = id
    state = Mutex(State(byteLimit: byteLimit, sessionCounts, logins))
  }

  @inline(__always)
  func withState<R: ~Copyable>(_ body: (inout State) throws(ReturnValue) -> R) throws(ReturnValue) -> R {
    let result: Result<R, ReturnValue> = state.withLock { state in
      do throws(ReturnValue) {
        return .success(try body(&state))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  func reading<R>(_ body: (inout State) -> R) -> R {
    state.withLock { body(&$0) }
  }

  /// Ends what an operation counted for.
  func letGo(_ byteCount: Int) {
    if byteCount > 0 { reading { $0.heldByteCount -= byteCount } }
  }

  var role: Role { state.withLock { $0.role } }

  /// Notes that the client uses a session and answers who the client is logged in as, and by which login. Throws
  /// CKR_SESSION_COUNT, and CKR_DEVICE_REMOVED when the client has gone.
  func enter(_ session: SessionReference) throws(ReturnValue) -> (role: Role, loginNumber: UInt64) {
    try withState { (state) throws(ReturnValue) in
      try state.note(session)
      return (state.role, state.loginNumber)
    }
  }
}

extension Client.State {
  /// Puts a new session object in place: CKR_DEVICE_MEMORY past the client's limits.
  mutating func insert(_ new: Object) throws(ReturnValue) {
    let byteCount = objectByteCount + new.byteCount
    guard objects.count < Client.objectLimit, byteCount <= byteLimit else { throw .deviceMemory }
    objectByteCount = byteCount
    objects.insertNew(new)
  }

  /// The same of the session objects among new ones, all or none.
  mutating func insert(_ new: [Object]) throws(ReturnValue) {
    var byteCount = objectByteCount
    for object in new where !object.isToken { byteCount += object.byteCount }
    guard objects.count + new.count <= Client.objectLimit, byteCount <= byteLimit else {
      throw .deviceMemory
    }
    objectByteCount = byteCount
    for object in new where !object.isToken { objects.insertNew(object) }
  }

  mutating func remove(_ handle: UInt64) {
    if let object = objects.remove(handle) { objectByteCount -= object.byteCount }
  }

  /// Puts a changed object in the place of what it was: CKR_DEVICE_MEMORY past the client's limit.
  mutating func replace(_ object: Object) throws(ReturnValue) {
    guard let old = objects[object.handle] else { return }
    let byteCount = objectByteCount + object.byteCount - old.byteCount
    guard byteCount <= byteLimit || object.byteCount <= old.byteCount else { throw .deviceMemory }
    objectByteCount = byteCount
    objects.insert(object)
  }

  /// Whether there is a record of a session.
  func isOpen(_ number: UInt32) -> Bool { latest?.number == number || sessions[number] != nil }

  mutating func note(_ session: SessionReference) throws(ReturnValue) {
    if latest == session { return }
    if isGone { throw .deviceRemoved }
    latest = nil
    if let known = sessions[session.number] {
      if known.isReadWrite { readWriteCount -= 1 }
      sessions[session.number]?.isReadWrite = session.isReadWrite
    } else {
      guard sessions.count < Client.sessionLimit else { throw .sessionCount }
      sessions[session.number] = Client.Session(isReadWrite: session.isReadWrite)
    }
    if session.isReadWrite { readWriteCount += 1 }
    sessionCounts.set(all: sessions.count, readWrite: readWriteCount)
    latest = session
  }

  /// Ends a session: its operations and its objects go.
  mutating func close(_ number: UInt32) {
    guard let session = sessions.removeValue(forKey: number) else { return }
    latest = nil
    forgetAdmissions()
    if session.isReadWrite { readWriteCount -= 1 }
    sessionCounts.set(all: sessions.count, readWrite: readWriteCount)
    for operation in session.operations { release(operation) }
    for object in objects.objects(of: number) { remove(object.handle) }
  }

  /// Ends all sessions and with them the login.
  mutating func closeAll() {
    role = .nobody
    tokenKey = nil
    for session in sessions.values {
      for operation in session.operations { release(operation) }
    }
    sessions = [:]
    latest = nil
    readWriteCount = 0
    sessionCounts.set(all: 0, readWrite: 0)
    // Each was a session's.
    objects.removeAll()
    objectByteCount = 0
  }

  /// Ends everything, for good.
  mutating func leave() {
    closeAll()
    isGone = true
  }

  /// Ends the login: private session objects, operations and authorisations go with it (C_Logout).
  mutating func logOut() {
    role = .nobody
    tokenKey = nil
    for number in Array(sessions.keys) {
      for operation in sessions[number]?.operations ?? [] { end(operation, in: number) }
      sessions[number]?.authorized = nil
    }
    let own = objects.all.filter(\.isPrivate).map(\.handle)
    for handle in own { remove(handle) }
  }

  // MARK: Operations

  mutating func keep(_ admission: Admission) { admissions.keep(admission) }

  private mutating func forgetAdmissions() {
    changes &+= 1
    admissions.removeAll()
  }

  /// Counts what an operation holds in memory against the client's quota, in the place of what it counted for before.
  mutating func count(_ byteCount: Int, insteadOf counted: inout Int) throws(ReturnValue) {
    let sum = heldByteCount - counted + byteCount
    guard sum <= byteLimit else { throw .deviceMemory }
    heldByteCount = sum
    counted = byteCount
  }

  /// The same for an operation of a session. Throws CKR_OPERATION_NOT_INITIALIZED when it, or its login, has been ended
  /// meanwhile.
  mutating func count(_ byteCount: Int, for active: ActiveOperation) throws(ReturnValue) {
    guard !active.hasEnded, stands(active.loginNumber) else { throw .operationNotInitialized }
    try count(ActiveOperation.ownByteCount + byteCount, insteadOf: &active.countedByteCount)
  }

  /// Ends an operation that no session has: it counts for nothing from now on.
  mutating func release(_ active: ActiveOperation) {
    active.hasEnded = true
    heldByteCount -= active.countedByteCount
    active.countedByteCount = 0
  }

  /// Gives a session an operation that was begun in it.
  ///
  /// Throws CKR_OPERATION_ACTIVE when it has one of the kind, CKR_SESSION_HANDLE_INVALID or CKR_USER_NOT_LOGGED_IN when
  /// the session or the login that it was begun with has ended, CKR_DEVICE_MEMORY past the client's limit.
  mutating func place(_ active: ActiveOperation, in session: UInt32) throws(ReturnValue) {
    guard let place = sessions[session] else { throw isGone ? .deviceRemoved : .sessionHandleInvalid }
    guard place[active.kind] == nil else { throw .operationActive }
    guard stands(active.loginNumber) else { throw .userNotLoggedIn }
    try count(active.operation.heldByteCount, for: active)
    sessions[session]?[active.kind] = active
  }

  /// Whether the login of this number, if one is needed, is the present one.
  private func stands(_ needed: UInt64?) -> Bool { needed == nil || needed == loginNumber }

  /// Throws CKR_OPERATION_NOT_INITIALIZED when an operation in one part may not go on: its session has ended, or the login
  /// that its key needs.
  func checkGoesOn(in session: UInt32, loginNumber needed: UInt64?) throws(ReturnValue) {
    guard isOpen(session), stands(needed) else { throw .operationNotInitialized }
  }

  /// An operation of a session, for the caller alone to work with until it calls its `release`.
  func take(_ kind: ActiveOperation.Kind, in session: UInt32) throws(ReturnValue) -> ActiveOperation {
    guard let active = sessions[session]?[kind] else { throw .operationNotInitialized }
    guard active.take() else { throw .operationActive }
    return active
  }

  /// Removes an operation, if it is still the session's.
  mutating func end(_ active: ActiveOperation, in session: UInt32) {
    guard sessions[session]?[active.kind] === active else { return }
    sessions[session]?[active.kind] = nil
    release(active)
  }

  /// Whether the session has an operation of a kind.
  func isActive(_ kind: ActiveOperation.Kind, in session: UInt32) -> Bool { sessions[session]?[kind] != nil }

  /// Removes the operation of a kind, if the session has one.
  mutating func end(_ kind: ActiveOperation.Kind, in session: UInt32) {
    if let active = sessions[session]?[kind] { end(active, in: session) }
  }
}
