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
      // Without the client's lock, which it holds for as long as it has much to clear away.
      let counts = client.sessionCounts.current
      sessionCount &+= counts.all
      readWriteCount &+= counts.readWrite
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

  // MARK: Requests that change something

  /// What a request found when it began, for it to be completed under.
  struct Entry {
    let session: SessionReference
    let role: Role
    /// The number of the login that made the client this.
    let loginNumber: UInt64
    /// How often the token had been initialised, before anything else of it was looked at.
    let epoch: UInt64
  }

  /// Begins a request that carries what it finds over a wait: to a lock, to scrypt, to a commit. Notes the session.
  func enter(_ session: SessionReference, _ client: Client) throws(ReturnValue) -> Entry {
    let epoch = epoch.load(ordering: .acquiring)
    let (role, loginNumber) = try client.enter(session)
    return Entry(session: session, role: role, loginNumber: loginNumber, epoch: epoch)
  }

  /// Whether the token has not been initialised since the request began. Who asks with the token's lock held may rely on
  /// it until he lets go of it.
  func isStill(_ entry: Entry) -> Bool { epoch.load(ordering: .acquiring) == entry.epoch }

  /// Lends the client's state for the completion of a request.
  ///
  /// Throws CKR_SESSION_HANDLE_INVALID when the session has been closed meanwhile or the token been initialised,
  /// CKR_USER_NOT_LOGGED_IN when the login has ended that the request began under, also when there is another, and
  /// CKR_DEVICE_REMOVED when the client has gone.
  func completing<R>(
    _ entry: Entry, _ client: Client, _ body: (inout Client.State) throws(ReturnValue) -> R
  ) throws(ReturnValue) -> R {
    try client.withState { (state) throws(ReturnValue) in
      if state.isGone { throw .deviceRemoved }
      guard state.isOpen(entry.session.number) else { throw .sessionHandleInvalid }
      if let refusal = refusal(of: entry, client) { throw refusal }
      return try body(&state)
    }
  }

  /// What keeps a request from being completed, as far as it can be told without the client's lock: nobody in the store's line may
  /// wait for one.
  func refusal(of entry: Entry, _ client: Client) -> ReturnValue? {
    if !isStill(entry) { return .sessionHandleInvalid }
    return entry.role == .nobody || client.logins.current == entry.loginNumber ? nil : .userNotLoggedIn
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
      // Before the commit: what comes behind it in the store's line is refused, what comes before it goes with it.
      reading { _ in _ = epoch.add(1, ordering: .acquiringAndReleasing) }
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
        for object in state.objects.all { object.material?.drop() }
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
    let entry = try enter(request.session, client)
    guard entry.role == .securityOfficer, let tokenKey = client.reading({ $0.tokenKey }) else {
      throw .userNotLoggedIn
    }
    guard request.session.isReadWrite else { throw .sessionReadOnly }
    guard Self.pinByteCounts.contains(request.pin.count) else { throw .pinLenRange }
    let pin = SecretBytes(copying: request.pin)
    let prepared = try storing { () throws(StorageError) in
      try store.preparePIN(slot, .user, pin: pin, tokenKey: tokenKey)
    }
    try put(prepared, entry, client)
  }

  /// C_SetPIN: the security officer's own PIN when he is logged in, else the user's.
  func setPIN(_ request: SetPIN, _ client: Client) throws(ReturnValue) {
    let entry = try enter(request.session, client)
    let role: PINRole = entry.role == .securityOfficer ? .securityOfficer : .user
    guard request.session.isReadWrite else { throw .sessionReadOnly }
    guard Self.pinByteCounts.contains(request.newPIN.count) else { throw .pinLenRange }
    // Before the old PIN is tried: one that the security officer sets meanwhile is not undone by who knows the old one.
    let old = try storing { () throws(StorageError) in try store.pinIdentity(slot, role) }
    let tokenKey = try unlock(role, request.oldPIN)
    let pin = SecretBytes(copying: request.newPIN)
    let prepared = try storing { () throws(StorageError) in
      try store.preparePIN(slot, role, pin: pin, tokenKey: tokenKey, replacing: old)
    }
    try put(prepared, entry, client)
  }

  /// Gives the token a PIN, if the request for it may still be completed.
  private func put(_ pin: PreparedPIN, _ entry: Entry, _ client: Client) throws(ReturnValue) {
    try serially { () throws(ReturnValue) in
      try completing(entry, client) { (_) throws(ReturnValue) in }
      try storing { () throws(StorageError) in try store.setPIN(pin) }
    }
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
    let entry = try enter(request.session, client)
    switch request.userType {
    case .user:
      try refuseSecondLogin(entry.role, as: .user)
      try openPrivateObjects(with: try unlock(.user, request.pin), entry, client)
    case .so:
      try refuseSecondLogin(entry.role, as: .securityOfficer)
      guard !request.hasReadOnlySessions, request.session.isReadWrite else { throw .sessionReadOnlyExists }
      let tokenKey = try unlock(.securityOfficer, request.pin)
      try serially { () throws(ReturnValue) in
        try completing(entry, client) { (state) throws(ReturnValue) in
          try refuseSecondLogin(state.role, as: .securityOfficer)
          state.role = .securityOfficer
          state.tokenKey = tokenKey
        }
      }
    case .contextSpecific: try authorize(request, entry, client)
    default: throw .userTypeInvalid
    }
  }

  private func refuseSecondLogin(_ current: Role, as role: Role) throws(ReturnValue) {
    guard current != .nobody else { return }
    throw current == role ? .userAlreadyLoggedIn : .userAnotherAlreadyLoggedIn
  }

  /// The second half of the user's login.
  private func openPrivateObjects(
    with tokenKey: SecretBytes, _ entry: Entry, _ client: Client
  ) throws(ReturnValue) {
    try serially { () throws(ReturnValue) in
      try completing(entry, client) { (_) throws(ReturnValue) in }
      let key = try storing { () throws(StorageError) in
        try store.privatePartKey(token: slot, tokenKey: tokenKey)
      }
      openSealedObjects(with: key)
      try completing(entry, client) { (state) throws(ReturnValue) in
        try refuseSecondLogin(state.role, as: .user)
        state.role = .user
        reading { token in
          token.privateKey = key
          token.users.insert(client.id)
        }
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
  private func authorize(_ request: Login, _ entry: Entry, _ client: Client) throws(ReturnValue) {
    guard entry.role == .user else { throw .userNotLoggedIn }
    let key = try object(request.contextKey, for: client, in: entry, .operationNotInitialized)
    guard key.asksForPIN else { throw .operationNotInitialized }
    do throws(ReturnValue) {
      _ = try unlock(.user, request.pin)
    } catch {
      if error == .pinLocked { logOut(client) }
      throw error
    }
    let authorization = Client.Authorization(function: request.contextFunction, key: request.contextKey)
    try completing(entry, client) { (state) throws(ReturnValue) in
      state.sessions[request.session.number]?.authorized = authorization
    }
  }

  /// C_Logout.
  func logOut(_ request: InSession, _ client: Client) throws(ReturnValue) {
    guard try client.enter(request.session).role != .nobody else { throw .userNotLoggedIn }
    logOut(client)
  }

  func logOut(_ client: Client) {
    client.reading { state in
      // Of a client that has gone there is nothing left, and a later one may have its number.
      if state.isGone { return }
      state.logOut()
      forget(user: client)
    }
  }

  /// When the last user has gone, what private objects' secrets were in memory goes too. Called with the lock of the
  /// client held that is no longer logged in.
  private func forget(user client: Client) {
    reading { state in
      guard state.users.remove(client.id) != nil, state.users.isEmpty else { return }
      state.privateKey = nil
      for object in state.objects.all where object.isPrivate { object.material?.drop() }
    }
  }

  // MARK: Sessions

  func closeSessions(_ request: CloseSessions, _ client: Client) {
    if request.all {
      client.reading { state in
        state.closeAll()
        forget(user: client)
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
    client.reading { state in
      state.leave()
      forget(user: client)
    }
  }

  /// Runs `body` while nobody else changes roles, and no guest adds to the token.
  func serially<R>(_ body: () throws(ReturnValue) -> R) throws(ReturnValue) -> R {
    try holding(rolesAndGuests, body)
  }
}
