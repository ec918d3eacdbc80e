import CCryptoki
import CryptoCore
import Cryptoki
import Mechanisms
import Synchronization
import TokenProtocol

/// An open session: made in the normal world; the secure world hears of it with the first request that names it.
///
final class Session: Sendable {
  let handle: CK_SESSION_HANDLE
  /// The number by which the secure world knows it.
  let number: UInt32
  let slot: Slot
  let isReadWrite: Bool

  /// nil once the session is closed.
  private let operations = Mutex<SessionOperations?>(SessionOperations())
  private let isAnnounced = Atomic<Bool>(false)

  init(handle: CK_SESSION_HANDLE, number: UInt32, slot: Slot, isReadWrite: Bool) {
    self.handle = handle
    self.number = number
    self.slot = slot
    self.isReadWrite = isReadWrite
  }

  /// Runs `body` alone in this session. Throws CKR_SESSION_HANDLE_INVALID when the session was closed meanwhile.
  @inline(__always)
  func withOperations(_ body: (inout SessionOperations) throws(ReturnValue) -> Void) throws(ReturnValue) {
    try operations.withLock { (operations) throws(ReturnValue) in
      guard operations != nil else { throw .sessionHandleInvalid }
      try body(&operations!)
    }
  }

  /// The session in a request: from now on the secure world has a record of it, which closing it has to remove.
  /// To be called inside `withOperations`.
  func announced() -> SessionReference {
    announce()
    return reference
  }

  /// The session in a request that is yet to be made.
  var reference: SessionReference { SessionReference(number: number, isReadWrite: isReadWrite) }

  /// What `announced` does, for a request that has the reference already.
  func announce() {
    if !isAnnounced.load(ordering: .relaxed) { isAnnounced.store(true, ordering: .relaxed) }
  }

  /// Set in the numbers by which the secure world knows the sessions of multi-part messages: a message operation may be
  /// active beside an ordinary one of the same kind, so it has a session of its own there.
  static let messageMark: UInt32 = 1 << 31

  /// The session of multi-part messages in a request.
  func announcedForMessages() -> SessionReference {
    announce()
    return SessionReference(number: number | Self.messageMark, isReadWrite: isReadWrite)
  }

  /// Ends the session after the call that is running in it, and tells whether the secure world has a record of it.
  func close() -> Bool {
    operations.withLock { $0 = nil }
    return isAnnounced.load(ordering: .relaxed)
  }

  /// The state by mode and login (PKCS#11 3.2, 3.3 and C_GetSessionInfo).
  var state: SessionState {
    switch (slot.loggedIn, isReadWrite) {
    case (.user?, true): .rwUserFunctions
    case (.user?, false): .roUserFunctions
    case (.so?, _): .rwSOFunctions
    case (_, true): .rwPublicSession
    case (_, false): .roPublicSession
    }
  }
}

/// The operations that are active in a session: at most one of each kind.
struct SessionOperations {
  var encrypt: KeyOperationState?
  var decrypt: KeyOperationState?
  /// A decryption of the vendor interface, in the place of `decrypt`.
  var decryptInto: RestrictedDecryption?
  var sign: KeyOperationState?
  var verify: KeyOperationState?
  var messageEncrypt: MessageOperationState?
  var messageDecrypt: MessageOperationState?
  var digest: DigestState?
  var search: SearchState?
  /// The last operation with a key that came to its end, kept to be started again.
  private var idle: KeyOperationState?
  /// The last hash computation, kept to be started again.
  var idleDigest: Digest?
  /// The key that an operation was started with last.
  var recentKey: KeyCache.Recent?

  subscript(function: KeyFunction) -> KeyOperationState? {
    get {
      switch function {
      case .encrypt: encrypt
      case .decrypt: decrypt
      case .sign: sign
      case .verify: verify
      }
    }
    set {
      switch function {
      case .encrypt: encrypt = newValue
      case .decrypt: decrypt = newValue
      case .sign: sign = newValue
      case .verify: verify = newValue
      }
    }
  }
}

extension SessionOperations {
  /// Ends an operation that has done its work.
  mutating func end(_ function: KeyFunction) {
    switch function {
    case .encrypt: idle = encrypt.take()
    case .decrypt: idle = decrypt.take()
    case .sign: idle = sign.take()
    case .verify: idle = verify.take()
    }
    idle?.rest()
  }

  /// The last operation that ended, if it is the same use of the same key.
  mutating func takeIdle(_ function: KeyFunction, _ mechanism: MechanismType, _ key: KnownKey) -> KeyOperationState? {
    guard idle?.isFit(for: function, mechanism, key) == true else { return nil }
    return idle.take()
  }
}

/// What C_FindObjectsInit found and C_FindObjects has not given out yet.
struct SearchState {
  private let handles: [UInt64]
  private var next = 0

  init(handles: [UInt64]) { self.handles = handles }

  /// Gives out the next handles, `capacity` of them at most, and answers how many.
  mutating func give(to places: UnsafeMutablePointer<CK_OBJECT_HANDLE>, _ capacity: CK_ULONG) -> CK_ULONG {
    let count = min(handles.count - next, Int(clamping: capacity))
    for index in 0..<count { places[index] = UInt(handles[next + index]) }
    next += count
    return UInt(count)
  }
}
