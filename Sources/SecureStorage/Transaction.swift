import CryptoCore

/// The changes of one commit. Valid inside the closure that it is given to.
///
/// Every call throws `.noSpace`, `.io` or `.databaseDamaged`; the whole commit is undone when the closure lets the
/// error through.
public struct Transaction: ~Copyable {
  let store: SecureStore
  private var keys: StoreKeys { store.keys }
  private var statements: Statements { store.statements }

  // Not inlined: specialising `commit` with this in it crashes the optimiser of Swift 6.3.1.
  @inline(never)
  init(_ store: SecureStore) { self.store = store }

  // MARK: Tokens

  /// Writes a token's record, new or in place of the old one.
  public func put(_ token: StoredToken) throws(StorageError) {
    try forgetToken(token.token)
    let record = try RecordIdentity(newVersionOf: .token, token: token.token, id: 0, keys)
    let sealed = try keys.sealWhole(token.content, of: record)
    statements.putToken.bind(1, token.token)
    statements.putToken.bind(2, record.version)
    try statements.putToken.bind(3, sealed)
    try statements.putToken.run()
    try store.working.add(record, keys)
  }

  /// A token's record, with what this commit has changed; nil when there is none.
  public func token(_ token: UInt32) throws(StorageError) -> StoredToken? { try store.storedToken(token) }

  /// Removes a token with its objects and PINs. Throws `.notFound`.
  public func deleteToken(_ token: UInt32) throws(StorageError) {
    guard try forgetToken(token) else { throw .notFound(.token(token)) }
    statements.deleteToken.bind(1, token)
    try statements.deleteToken.run()
    for role in PINRole.allCases { try removePIN(token, role) }
    try deleteAll(of: token)
  }

  // MARK: Objects

  /// Writes a new object that `SecureStore.prepare` sealed.
  public func insert(_ prepared: PreparedObject) throws(StorageError) -> StoredObject {
    let object = prepared.object
    let row = statements.insertObject
    row.bind(1, object.id)
    row.bind(2, object.token)
    row.bind(3, prepared.version)
    row.bind(4, object.privatePart?.version ?? 0)
    try row.bind(5, prepared.sealedPublicPart)
    try row.bind(6, object.privatePart?.bytes)
    try row.run()
    store.working.add(prepared.digestElement)
    return object
  }

  /// Replaces an object's public part, and its private part as `privatePart` says. Throws `.notFound`, `.corrupt`.
  public func update(
    _ id: UInt64, of token: UInt32, publicPart: [UInt8], privatePart: PrivatePartChange = .kept
  ) throws(StorageError) -> StoredObject {
    guard let (old, oldRecord) = try store.storedObject(id, of: token) else {
      throw .notFound(.object(token: token, id: id))
    }
    let record = try RecordIdentity(newVersionOf: .object, token: token, id: id, keys)
    let sealedPrivatePart: SealedPrivatePart?
    switch privatePart {
    case .kept: sealedPrivatePart = old.privatePart
    case .removed: sealedPrivatePart = nil
    case .replaced(let content, let key):
      precondition(key.token == token, "a private part is sealed for its own token")
      sealedPrivatePart = try keys.sealPrivatePart(content, of: record, with: key)
    }
    let sealed = try keys.sealPublicPart(publicPart, of: record, beside: sealedPrivatePart)
    let row = statements.updateObject
    row.bind(1, id)
    row.bind(2, record.version)
    row.bind(3, sealedPrivatePart?.version ?? 0)
    try row.bind(4, sealed)
    try row.bind(5, sealedPrivatePart?.bytes)
    try row.run()
    try store.working.remove(oldRecord, keys)
    try store.working.add(record, keys)
    return StoredObject(token: token, id: id, publicPart: publicPart, privatePart: sealedPrivatePart)
  }

  /// An object, with what this commit has changed; nil when there is none.
  public func object(_ id: UInt64, of token: UInt32) throws(StorageError) -> StoredObject? {
    try store.storedObject(id, of: token)?.object
  }

  /// Removes an object, damaged or not. Throws `.notFound`.
  public func delete(_ id: UInt64, of token: UInt32) throws(StorageError) {
    statements.object.bind(1, id)
    statements.object.bind(2, token)
    guard try statements.object.step() else { throw .notFound(.object(token: token, id: id)) }
    let record = RecordIdentity(.object, token: token, id: id, version: statements.object.uint64(2))
    statements.object.reset()
    statements.deleteObject.bind(1, id)
    try statements.deleteObject.run()
    try store.working.remove(record, keys)
  }

  /// Removes all objects of a token.
  public func deleteAll(of token: UInt32) throws(StorageError) {
    statements.objectNames.bind(1, token)
    defer { statements.objectNames.reset() }
    while try statements.objectNames.step() {
      let id = statements.objectNames.uint64(0)
      let version = statements.objectNames.uint64(1)
      try store.working.remove(RecordIdentity(.object, token: token, id: id, version: version), keys)
    }
    statements.deleteObjects.bind(1, token)
    try statements.deleteObjects.run()
  }

  // MARK: PINs

  /// Writes a PIN that `SecureStore.preparePIN` made; the try counter starts at 0.
  public func setPIN(_ pin: PreparedPIN) throws(StorageError) {
    if let replaced = pin.replaced {
      guard let now = try pinRecord(pin.token, pin.role), now.salt == replaced.salt else {
        throw .pinIncorrect(remaining: 1)
      }
      if now.status.isLocked { throw .pinLocked }
    }
    store.pins.forget(PINUnlocking.Name(token: pin.token, role: pin.role))
    try put(pin.record, pin.token, pin.role)
  }

  /// Removes a role's PIN, if it has one.
  public func removePIN(_ token: UInt32, _ role: PINRole) throws(StorageError) {
    guard let version = try pinVersion(token, role) else { return }
    store.pins.forget(PINUnlocking.Name(token: token, role: role))
    statements.deletePIN.bind(1, token)
    statements.deletePIN.bind(2, role.rawValue)
    try statements.deletePIN.run()
    try store.working.remove(RecordIdentity(.pin, token: token, id: UInt64(role.rawValue), version: version), keys)
  }

  func pinRecord(_ token: UInt32, _ role: PINRole) throws(StorageError) -> PINRecord? {
    try store.storedPIN(token, role)
  }

  func put(_ pin: PINRecord, _ token: UInt32, _ role: PINRole) throws(StorageError) {
    if let version = try pinVersion(token, role) {
      try store.working.remove(RecordIdentity(.pin, token: token, id: UInt64(role.rawValue), version: version), keys)
    }
    let record = try RecordIdentity(newVersionOf: .pin, token: token, id: UInt64(role.rawValue), keys)
    let sealed = try keys.sealWhole(pin.encoded(), of: record)
    statements.putPIN.bind(1, token)
    statements.putPIN.bind(2, role.rawValue)
    statements.putPIN.bind(3, record.version)
    try statements.putPIN.bind(4, sealed)
    try statements.putPIN.run()
    try store.working.add(record, keys)
  }

  private func pinVersion(_ token: UInt32, _ role: PINRole) throws(StorageError) -> UInt64? {
    statements.pin.bind(1, token)
    statements.pin.bind(2, role.rawValue)
    guard try statements.pin.step() else { return nil }
    defer { statements.pin.reset() }
    return statements.pin.uint64(0)
  }

  /// Takes a token's record, damaged or not, out of the digest; false when there is none.
  @discardableResult
  private func forgetToken(_ token: UInt32) throws(StorageError) -> Bool {
    statements.token.bind(1, token)
    guard try statements.token.step() else { return false }
    let record = RecordIdentity(.token, token: token, id: 0, version: statements.token.uint64(0))
    statements.token.reset()
    try store.working.remove(record, keys)
    return true
  }
}
