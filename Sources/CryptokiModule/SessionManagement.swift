public import CCryptoki
import Cryptoki
import Mechanisms
import TokenProtocol

// PKCS#11 3.2, 5.6: session management.

@c @implementation
public func C_OpenSession(
  _ slotID: CK_SLOT_ID, _ flags: CK_FLAGS, _ application: CK_VOID_PTR?, _ notify: CK_NOTIFY?,
  _ handle: CK_SESSION_HANDLE_PTR?
) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    let handle = try place(handle)
    let flags = SessionFlags(rawValue: flags)
    guard flags.contains(.serialSession) else { throw .sessionParallelNotSupported }
    guard !flags.contains(.asyncSession) else { throw .sessionAsyncNotSupported }
    guard flags.isSubset(of: [.serialSession, .rwSession]) else { throw .argumentsBad }
    let slot = try library.slot(slotID)
    let isReadWrite = flags.contains(.rwSession)
    try slot.lifecycle.withLock { (_) throws(ReturnValue) in
      if !isReadWrite, slot.loggedIn == .so { throw .sessionReadWriteSOExists }
      handle.pointee = try library.sessions.open(in: slot, isReadWrite: isReadWrite)
      slot.countSession(isReadWrite: isReadWrite, 1)
    }
  }
}

@c @implementation
public func C_CloseSession(_ handle: CK_SESSION_HANDLE) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    guard let ended = library.sessions.end(handle) else { throw .sessionHandleInvalid }
    let slot = ended.lend { $0.slot }
    library.close(CollectionOfOne(ended), of: slot)
  }
}

@c @implementation
public func C_CloseAllSessions(_ slotID: CK_SLOT_ID) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    let slot = try library.slot(slotID)
    let ended = library.sessions.endAll { $0.slot.id == slot.id }
    // Sessions of a secure world that has died belong to a slot object of their own.
    let others = ended.compactMap { ended in
      let other = ended.lend { $0.slot }
      return other === slot ? nil : (ended, other)
    }
    library.close(ended.filter { $0.lend { $0.slot === slot } }, of: slot)
    for (ended, other) in others { library.close(CollectionOfOne(ended), of: other) }
  }
}

extension Library {
  /// Closes sessions whose handles are gone. The secure world is told when it keeps something for them, and with the
  /// last session of a token that somebody is logged in to (PKCS#11 3.2, 5.6.7: closing the last session logs out).
  fileprivate func close(_ ended: some Collection<SessionTable.Ended>, of slot: Slot) {
    // First, without `lifecycle`, which a call may want.
    var announced: [UInt32] = []
    for ended in ended {
      _ = sessions.waitForCall(in: ended)
      let (isAnnounced, number) = ended.lend { ($0.isAnnounced, $0.number) }
      if isAnnounced { announced += [number, number | Session.messageMark] }
    }
    slot.lifecycle.withLock { _ in
      for ended in ended { slot.countSession(isReadWrite: ended.lend { $0.isReadWrite }, -1) }
      let logsOut = slot.sessionCounts.all == 0 && slot.loggedIn != nil
      if !slot.connection.isDead {
        slot.connection.restricted.remove(ofSessions: ended.lazy.map { $0.lend { $0.handle } }) {
          slot.connection.client.release($0)
        }
      }
      if !announced.isEmpty || logsOut, !slot.connection.isDead {
        // Only a dead connection refuses, and with it everything of the session is gone.
        var left = logsOut ? [] : announced[...]
        repeat {
          let part = Array(left.prefix(RequestLimits.sessions))
          try? slot.request(.closeSessions, CloseSessions(numbers: part, all: logsOut))
          left = left.dropFirst(part.count)
        } while !left.isEmpty
      }
      if !announced.isEmpty { slot.keys.removePublicKeys() }
      if logsOut { slot.loggedIn = nil }
    }
    sessions.release(ended)
  }
}

@c @implementation
public func C_GetSessionInfo(_ handle: CK_SESSION_HANDLE, _ info: CK_SESSION_INFO_PTR?) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    var answer = CK_SESSION_INFO()
    try library.sessions.look(handle) { (session) throws(ReturnValue) in
      guard !session.slot.connection.isDead else { throw .deviceRemoved }
      let flags: SessionFlags = session.isReadWrite ? [.serialSession, .rwSession] : .serialSession
      answer = CK_SESSION_INFO(
        slotID: UInt(session.slot.id), state: session.state.rawValue, flags: flags.rawValue, ulDeviceError: 0)
    }
    try place(info).pointee = answer
  }
}

@c @implementation
public func C_SessionCancel(_ handle: CK_SESSION_HANDLE, _ flags: CK_FLAGS) -> CK_RV {
  inSession(handle) { (session, operations) throws(ReturnValue) in
    let flags = MechanismFlags(rawValue: flags)
    session.giveUp(KeyFunction.allCases.filter { flags.contains($0.mechanismFlag) }, &operations)
    if flags.contains(.messageEncrypt) { session.endMessages(.encrypt, &operations) }
    if flags.contains(.messageDecrypt) { session.endMessages(.decrypt, &operations) }
    if flags.contains(.digest) { operations.digest = nil }
    if flags.contains(.findObjects) { operations.search = nil }
  }
}

@c @implementation
public func C_GetOperationState(
  _ handle: CK_SESSION_HANDLE, _ state: CK_BYTE_PTR?, _ stateCount: CK_ULONG_PTR?
) -> CK_RV {
  notSupported(handle)
}

@c @implementation
public func C_SetOperationState(
  _ handle: CK_SESSION_HANDLE, _ state: CK_BYTE_PTR?, _ stateCount: CK_ULONG, _ encryptionKey: CK_OBJECT_HANDLE,
  _ authenticationKey: CK_OBJECT_HANDLE
) -> CK_RV {
  notSupported(handle)
}

@c @implementation
public func C_Login(
  _ handle: CK_SESSION_HANDLE, _ userType: CK_USER_TYPE, _ pin: CK_UTF8CHAR_PTR?, _ pinCount: CK_ULONG
) -> CK_RV {
  inSession(handle) { (session, operations) throws(ReturnValue) in
    let user = UserType(rawValue: userType)
    switch user {
    case .so, .user: try session.login(user, try callerPIN(pin, pinCount))
    case .contextSpecific: try session.authorize(&operations, try callerPIN(pin, pinCount))
    default: throw .userTypeInvalid
    }
  }
}

extension Session {
  fileprivate func login(_ user: UserType, _ pin: [UInt8]) throws(ReturnValue) {
    try slot.lifecycle.withLock { (_) throws(ReturnValue) in
      let request = Login(
        session: announced(), userType: user, pin: pin, hasReadOnlySessions: slot.sessionCounts.readOnly > 0)
      try slot.request(.login, request, options: [.long, .secret])
      slot.loggedIn = user
    }
  }

  /// CKU_CONTEXT_SPECIFIC: authorises the active operation whose key asks for the PIN each time (PKCS#11 3.2, 5.6.12).
  fileprivate func authorize(_ operations: inout SessionOperations, _ pin: [UInt8]) throws(ReturnValue) {
    for function in [KeyFunction.sign, .decrypt, .encrypt, .verify] {
      guard let operation = operations[function], !operation.isAway,
        operation.key.description.usage.contains(.alwaysAuthenticate)
      else { continue }
      let request = Login(
        session: announced(), userType: .contextSpecific, pin: pin, contextFunction: function,
        contextKey: operation.key.handle)
      do throws(ReturnValue) {
        return try slot.request(.login, request, options: [.long, .secret])
      } catch {
        // The last wrong PIN locks it, and whoever guesses PINs is logged out.
        if error == .pinLocked { slot.loggedIn = nil }
        throw error
      }
    }
    throw .operationNotInitialized
  }
}

@c @implementation
public func C_LoginUser(
  _ handle: CK_SESSION_HANDLE, _ userType: CK_USER_TYPE, _ pin: CK_UTF8CHAR_PTR?, _ pinCount: CK_ULONG,
  _ name: CK_UTF8CHAR_PTR?, _ nameCount: CK_ULONG
) -> CK_RV {
  notSupported(handle)
}

@c @implementation
public func C_Logout(_ handle: CK_SESSION_HANDLE) -> CK_RV {
  inSession(handle) { (session, _) throws(ReturnValue) in
    let slot = session.slot
    try slot.lifecycle.withLock { (_) throws(ReturnValue) in
      try slot.request(.logout, InSession(session: session.announced()))
      slot.loggedIn = nil
    }
  }
}

@c @implementation
public func C_GetSessionValidationFlags(
  _ handle: CK_SESSION_HANDLE, _ type: CK_SESSION_VALIDATION_FLAGS_TYPE, _ flags: CK_FLAGS_PTR?
) -> CK_RV {
  notSupported(handle)
}
