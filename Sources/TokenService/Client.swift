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
    /// By `KeyFunction`.
    var operations: [KeyFunction: ActiveOperation] = [:]
    /// The one operation that a context-specific login has permitted.
    var authorized: Authorization?
  }

  struct Authorization: Equatable {
    let function: KeyFunction
    let key: UInt64
  }

  struct State {
    /// Bytes of the attributes and secrets of its session objects, and as many of what its operations hold back or gather.
    let byteLimit: Int
    var role = Role.nobody { didSet { forgetAdmissions() } }
    /// The security officer's means to give the user a PIN.
    var tokenKey: SecretBytes?
    var sessions: [UInt32: Session] = [:]
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

    init(byteLimit: Int) { self.byteLimit = byteLimit }
  }

  public let id: ClientID
  private let state: Mutex<State>

  init(_ id: ClientID, byteLimit: Int) {
    self.id = id
    state = Mutex(State(byteLimit: byteLimit))
  }

  func withState<R>(_ body: (inout State) throws(ReturnValue) -> R) throws(ReturnValue) -> R {
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

  /// Notes that the client uses a session and answers the client's role. Throws CKR_SESSION_COUNT, and
  /// CKR_DEVICE_REMOVED when the client has gone.
  func enter(_ session: SessionReference) throws(ReturnValue) -> Role {
    try withState { (state) throws(ReturnValue) in
      try state.note(session)
      return state.role
    }
  }
}

extension Client.State {
  /// Puts the session objects among new ones in place, or none of them: CKR_DEVICE_MEMORY past the client's limits.
  mutating func insert(_ new: [Object]) throws(ReturnValue) {
    var byteCount = objectByteCount
    for object in new where !object.isToken { byteCount += object.byteCount }
    guard objects.count + new.count <= Client.objectLimit, byteCount <= byteLimit else {
      throw .deviceMemory
    }
    objectByteCount = byteCount
    for object in new where !object.isToken { objects.insert(object) }
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
    if sessions[session.number] != nil {
      sessions[session.number]?.isReadWrite = session.isReadWrite
      latest = session
      return
    }
    guard sessions.count < Client.sessionLimit else { throw .sessionCount }
    sessions[session.number] = Client.Session(isReadWrite: session.isReadWrite)
    latest = session
  }

  /// Ends a session: its operations and its objects go.
  mutating func close(_ number: UInt32) {
    guard let session = sessions.removeValue(forKey: number) else { return }
    latest = nil
    forgetAdmissions()
    for operation in session.operations.values { release(operation) }
    let own = objects.all.filter { $0.session == number }.map(\.handle)
    for handle in own { remove(handle) }
  }

  /// Ends all sessions and with them the login.
  mutating func closeAll() {
    logOut()
    for number in Array(sessions.keys) { close(number) }
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
      for operation in sessions[number]?.operations.values.map({ $0 }) ?? [] { release(operation) }
      sessions[number]?.operations = [:]
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

  mutating func release(_ active: ActiveOperation) {
    heldByteCount -= active.countedByteCount
    active.countedByteCount = 0
  }

  /// Removes an operation, if it is still the session's.
  mutating func end(_ function: KeyFunction, in session: UInt32, _ active: ActiveOperation) {
    guard sessions[session]?.operations[function] === active else { return }
    sessions[session]?.operations[function] = nil
    release(active)
  }
}
