import CryptoCore
import Cryptoki
import SecureStorage
import TokenProtocol

/// Initialisation, PINs and logins (PKCS#11 3.2, 5.5 and 5.6).
extension Token {
  /// Bytes of a PIN.
  static let pinByteCounts = 4...255

  // MARK: Token information

  var information: TokenInformation {
    let (record, clients) = reading { ($0.record, Array($0.clients.values)) }
    var sessionCount: UInt32 = 0
    var readWriteCount: UInt32 = 0
    for client in clients {
      client.reading { state in
        sessionCount &+= UInt32(truncatingIfNeeded: state.sessions.count)
        for session in state.sessions.values where session.isReadWrite { readWriteCount &+= 1 }
      }
    }
    return TokenInformation(
      label: record.label, serialNumber: record.serialNumber,
      flags: UInt32(truncatingIfNeeded: flags(record).rawValue),
      minimumPINByteCount: UInt32(Self.pinByteCounts.lowerBound),
      maximumPINByteCount: UInt32(Self.pinByteCounts.upperBound),
      sessionCount: sessionCount, readWriteSessionCount: readWriteCount,
      mechanisms: Self.mechanisms.map(\.type.rawValue))
  }

  private func flags(_ record: TokenRecord) -> TokenFlags {
    var flags: TokenFlags = [.rng, .loginRequired, .restoreKeyNotNeeded]
    if record.isInitialized { flags.insert(.tokenInitialized) }
    if let user = try? store.pinStatus(slot, .user) {
      flags.insert(.userPINInitialized)
      flags.formUnion(
        Self.flags(user, low: .userPINCountLow, final: .userPINFinalTry, locked: .userPINLocked))
    }
    if let officer = try? store.pinStatus(slot, .securityOfficer) {
      flags.formUnion(Self.flags(officer, low: .soPINCountLow, final: .soPINFinalTry, locked: .soPINLocked))
    }
    return flags
  }

  /// Low: a wrong PIN was given since the last right one. Final: one more locks.
  private static func flags(
    _ status: PINStatus, low: TokenFlags, final: TokenFlags, locked: TokenFlags
  ) -> TokenFlags {
    if status.isLocked { return locked }
    var flags: TokenFlags = []
    if status.tries > 0 { flags.insert(low) }
    if status.remaining == 1 { flags.insert(final) }
    return flags
  }

  // MARK: Initialisation

  /// C_InitToken. All objects go, and the user's PIN.
  func initialize(_ request: InitializeToken) throws(ReturnValue) {
    guard request.label.count == TokenRecord.labelByteCount else { throw .argumentsBad }
    guard String(validating: request.label, as: UTF8.self) != nil else { throw .argumentsBad }
    guard Self.pinByteCounts.contains(request.pin.count) else { throw .pinLenRange }
    try serially { () throws(ReturnValue) in
      try refuseSessions()
      var record = reading { $0.record }
      let pin = SecretBytes(copying: request.pin)
      if record.isInitialized {
        _ = try storing { () throws(StorageError) in try store.unlock(slot, .securityOfficer, pin: pin) }
      }
      record.label = request.label
      record.isInitialized = true
      let tokenKey = try computing { () throws(CryptoError) in try SecretBytes.random(count: 32) }
      let prepared = try storing { () throws(StorageError) in
        try store.preparePIN(slot, .securityOfficer, pin: pin, tokenKey: tokenKey)
      }
      try refuseSessions()
      reading { $0.epoch += 1 }
      try storing { () throws(StorageError) in
        try store.commit { (transaction) throws(StorageError) in
          try transaction.deleteAll(of: slot)
          try transaction.removePIN(slot, .user)
          try transaction.put(StoredToken(token: slot, content: record.stored))
          try transaction.setPIN(prepared)
        }
      }
      reading { state in
        state.record = record
        state.objects.removeAll()
        state.sealed = []
        state.privateKey = nil
        state.users = []
        let builtIn = BuiltInObjects.make(handles: sessionHandles)
        for object in builtIn { state.objects.insert(object) }
      }
    }
    keysChanged()
  }

  private func refuseSessions() throws(ReturnValue) {
    let clients = reading { Array($0.clients.values) }
    for client in clients where client.reading({ !$0.sessions.isEmpty || $0.role != .nobody }) {
      throw .sessionExists
    }
  }

  /// C_InitPIN.
  func initializePIN(_ request: InitializePIN, _ client: Client) throws(ReturnValue) {
    _ = try client.enter(request.session)
    let (role, tokenKey) = client.reading { ($0.role, $0.tokenKey) }
    guard role == .securityOfficer, let tokenKey else { throw .userNotLoggedIn }
    guard request.session.isReadWrite else { throw .sessionReadOnly }
    guard Self.pinByteCounts.contains(request.pin.count) else { throw .pinLenRange }
    let pin = SecretBytes(copying: request.pin)
    try storing { () throws(StorageError) in try store.setPIN(slot, .user, pin: pin, tokenKey: tokenKey) }
  }

  /// C_SetPIN: the security officer's own PIN when he is logged in, else the user's.
  func setPIN(_ request: SetPIN, _ client: Client) throws(ReturnValue) {
    let role: PINRole = try client.enter(request.session) == .securityOfficer ? .securityOfficer : .user
    guard request.session.isReadWrite else { throw .sessionReadOnly }
    guard Self.pinByteCounts.contains(request.newPIN.count) else { throw .pinLenRange }
    let tokenKey = try unlock(role, request.oldPIN)
    let pin = SecretBytes(copying: request.newPIN)
    try storing { () throws(StorageError) in try store.setPIN(slot, role, pin: pin, tokenKey: tokenKey) }
  }

  /// The token key, for the right PIN. What cannot be a PIN is no try.
  private func unlock(_ role: PINRole, _ pin: [UInt8]) throws(ReturnValue) -> SecretBytes {
    guard reading({ $0.record.isInitialized }) else { throw .userPINNotInitialized }
    guard Self.pinByteCounts.contains(pin.count) else { throw .pinIncorrect }
    let pin = SecretBytes(copying: pin)
    return try storing { () throws(StorageError) in try store.unlock(slot, role, pin: pin) }
  }

  // MARK: Login

  /// C_Login.
  func logIn(_ request: Login, _ client: Client) throws(ReturnValue) {
    let current = try client.enter(request.session)
    switch request.userType {
    case .user:
      try refuseSecondLogin(current, as: .user)
      try openPrivateObjects(with: try unlock(.user, request.pin), for: client)
    case .so:
      try refuseSecondLogin(current, as: .securityOfficer)
      guard !request.hasReadOnlySessions, request.session.isReadWrite else { throw .sessionReadOnlyExists }
      let tokenKey = try unlock(.securityOfficer, request.pin)
      try client.withState { (state) throws(ReturnValue) in
        try refuseSecondLogin(state.role, as: .securityOfficer)
        state.role = .securityOfficer
        state.tokenKey = tokenKey
      }
    case .contextSpecific: try authorize(request, client)
    default: throw .userTypeInvalid
    }
  }

  private func refuseSecondLogin(_ current: Role, as role: Role) throws(ReturnValue) {
    guard current != .nobody else { return }
    throw current == role ? .userAlreadyLoggedIn : .userAnotherAlreadyLoggedIn
  }

  private func openPrivateObjects(with tokenKey: SecretBytes, for client: Client) throws(ReturnValue) {
    try serially { () throws(ReturnValue) in
      let key = try storing { () throws(StorageError) in
        try store.privatePartKey(token: slot, tokenKey: tokenKey)
      }
      openSealedObjects(with: key)
      try client.withState { (state) throws(ReturnValue) in
        try refuseSecondLogin(state.role, as: .user)
        state.role = .user
      }
      reading { state in
        state.privateKey = key
        state.users.insert(client.id)
        // The client may have gone while its PIN was looked at.
        if state.clients[client.id] == nil { forget(user: client.id, in: &state) }
      }
    }
  }

  /// How many sealed objects are opened at a time.
  private static let openedAtOnce = 1024

  /// Puts the private objects that are still sealed in place, without their secrets; a damaged one is left out. By and by, so
  /// that there are never two forms of all of them in memory, and so that one thread puts in place while another opens.
  private func openSealedObjects(with key: PrivatePartKey) {
    let isMany = reading { $0.sealed.count } > Self.openedAtOnce
    store.unsealPrivate(
      with: key, isMany: isMany,
      { [self] in
        reading { state in
          let part = Array(state.sealed.suffix(Self.openedAtOnce))
          state.sealed.removeLast(part.count)
          if state.sealed.isEmpty { state.sealed = [] }
          return part
        }
      },
      { stored, bytes in
        StoredForm.attributes(privatePart: bytes).map { Self.tokenObject(stored.id, $0, secrets: nil) }
      },
      { [self] opened in
        reading { state in
          for object in opened { state.objects.insertNew(object) }
        }
      })
  }

  /// C_Login with CKU_CONTEXT_SPECIFIC: the next operation of this function with this key in this session may run.
  private func authorize(_ request: Login, _ client: Client) throws(ReturnValue) {
    guard client.role == .user else { throw .userNotLoggedIn }
    let key = try object(request.contextKey, for: client, .operationNotInitialized)
    guard key.asksForPIN else { throw .operationNotInitialized }
    do throws(ReturnValue) {
      _ = try unlock(.user, request.pin)
    } catch {
      if error == .pinLocked { logOut(client) }
      throw error
    }
    client.reading {
      $0.sessions[request.session.number]?.authorized =
        Client.Authorization(function: request.contextFunction, key: request.contextKey)
    }
  }

  /// C_Logout.
  func logOut(_ request: InSession, _ client: Client) throws(ReturnValue) {
    guard try client.enter(request.session) != .nobody else { throw .userNotLoggedIn }
    logOut(client)
  }

  func logOut(_ client: Client) {
    client.reading { $0.logOut() }
    reading { forget(user: client.id, in: &$0) }
  }

  /// When the last user has gone, what private objects' secrets were in memory goes too.
  private func forget(user id: ClientID, in state: inout State) {
    guard state.users.remove(id) != nil, state.users.isEmpty else { return }
    state.privateKey = nil
    for object in state.objects.all where object.isPrivate { object.material?.drop() }
  }

  // MARK: Sessions

  func closeSessions(_ request: CloseSessions, _ client: Client) {
    if request.all {
      logOut(client)
      client.reading { state in
        for number in Array(state.sessions.keys) { state.close(number) }
      }
    } else {
      client.reading { state in
        for number in request.numbers { state.close(number) }
      }
    }
  }

  /// Forgets a client that has gone: its login, its sessions and its session objects.
  func clientGone(_ id: ClientID) {
    guard let client = reading({ $0.clients.removeValue(forKey: id) }) else { return }
    client.markGone()
    logOut(client)
  }

  /// Runs `body` while nobody else changes objects or roles.
  func serially<R>(_ body: () throws(ReturnValue) -> R) throws(ReturnValue) -> R {
    let result: Result<R, ReturnValue> = changing.withLock { _ in
      do throws(ReturnValue) {
        return .success(try body())
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }
}
