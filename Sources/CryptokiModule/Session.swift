import CCryptoki
import CryptoCore
import Cryptoki
import Mechanisms
import TokenProtocol

/// An open session: made in the normal world; the secure world hears of it with the first request that names it.
///
/// `@unchecked Sendable`: what changes is touched by the call that has the session's lock (`SessionTable.enter`), and by who
/// closes it, after that.
final class Session: @unchecked Sendable {
  let handle: CK_SESSION_HANDLE
  /// The number by which the secure world knows it.
  let number: UInt32
  let slot: Slot
  let isReadWrite: Bool
  /// Of the slot's keys.
  let keyClock: KeyCache.Clock

  /// The operations that are active.
  @exclusivity(unchecked) var operations = SessionOperations()
  /// Whether the secure world has a record of it.
  @exclusivity(unchecked) private(set) var isAnnounced = false

  init(handle: CK_SESSION_HANDLE, number: UInt32, slot: Slot, isReadWrite: Bool) {
    self.handle = handle
    self.number = number
    self.slot = slot
    self.isReadWrite = isReadWrite
    keyClock = slot.keys.clock
  }

  /// The session in a request: from now on the secure world has a record of it, which closing it has to remove.
  /// To be called inside `enter`.
  func announced() -> SessionReference {
    announce()
    return reference
  }

  /// The session in a request that is yet to be made.
  var reference: SessionReference { SessionReference(number: number, isReadWrite: isReadWrite) }

  /// What `announced` does, for a request that has the reference already.
  @inline(__always)
  func announce() { isAnnounced = true }

  /// Set in the numbers by which the secure world knows the sessions of multi-part messages: a message operation may be
  /// active beside an ordinary one of the same kind, so it has a session of its own there.
  static let messageMark: UInt32 = 1 << 31

  /// The session of multi-part messages in a request.
  func announcedForMessages() -> SessionReference {
    announce()
    return SessionReference(number: number | Self.messageMark, isReadWrite: isReadWrite)
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
  var idleDigest: DigestState?
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
  /// Whether an operation of that kind is active.
  func isActive(_ function: KeyFunction) -> Bool {
    switch function {
    case .encrypt: encrypt != nil
    case .decrypt: decrypt != nil || decryptInto != nil
    case .sign: sign != nil
    case .verify: verify != nil
    }
  }

  /// Takes the active operation out; it is to be put back, or to be kept with `keepIdle`.
  mutating func take(_ function: KeyFunction) -> KeyOperationState? {
    switch function {
    case .encrypt: encrypt.take()
    case .decrypt: decrypt.take()
    case .sign: sign.take()
    case .verify: verify.take()
    }
  }

  /// Keeps an operation that has done its work.
  mutating func keepIdle(_ operation: consuming KeyOperationState) {
    operation.rest()
    idle = operation
  }

  /// Starts the last operation that ended once more, if it is the same use of the same key, which is known to be as it was.
  ///
  /// Throws CKR_MECHANISM_PARAM_INVALID for a parameter that is not the mechanism's.
  mutating func restart(
    _ function: KeyFunction, _ mechanism: UnsafeMutablePointer<CK_MECHANISM>, _ key: UInt64, _ stamp: KeyCache.Stamp
  ) throws(ReturnValue) -> Bool {
    guard idle?.isFit(for: function, mechanism.pointee.mechanism, key, stamp) == true, let kept = idle.take() else {
      return false
    }
    try kept.restart(reading: mechanism)
    self[function] = kept
    return true
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
