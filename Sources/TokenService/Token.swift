import CryptoCore
import Cryptoki
import Mechanisms
import SecureStorage
import Synchronization
import TokenProtocol

/// One token: its objects, its roles, and what its clients are doing with it. Any thread may call.
///
/// The locks of the state, a client's and the token's, are held for looking things up and putting things in place only, never
/// for cryptography or while the store commits; a client's may be held when the token's is taken, not the other way round.
/// An `Object` does not change, so what was looked up is used without a lock. What has to happen one after the other, commits
/// and all, is `serially` and `changing`, in this order, and before the others.
public final class Token: Sendable {
  struct State {
    var record: TokenRecord
    var objects = ObjectIndex() { didSet { objectChanges.advance() } }
    let objectChanges = ChangeNumber()
    var clients: [ClientID: Client] = [:]
    /// The clients that are logged in as the user; the key below is there as long as there is one.
    var users: Set<ClientID> = []
    /// What private objects are sealed under.
    var privateKey: PrivatePartKey?
    /// The private objects as the store keeps them, until the first login opens them.
    var sealed: [StoredObject] = []
  }

  /// The slot that the token is in: its number in the store.
  public let slot: UInt32
  let store: SecureStore
  let publicObjectKey: PrivatePartKey
  let state: Mutex<State>
  /// Of the token's objects, all of them: readable without the lock.
  let objectChanges: ChangeNumber
  /// Held by whoever changes the roles, and by guests who add to the token or change it, so that such changes happen one after
  /// another.
  let rolesAndGuests = Mutex<Void>(())
  /// Held by whoever changes or removes one of the token's objects, by its handle: changes of one object happen one after
  /// another, those of different ones share commits.
  private let objectLocks = InlineArray<64, Mutex<Void>> { _ in Mutex(()) }
  /// Counts initialisations, so that what began before one is not put in place after it: see `Entry`. Changed with the
  /// token's lock held.
  let epoch = Atomic<UInt64>(0)
  let sessionHandles = SessionHandles()
  /// A random number, another each time that the token is opened.
  let opening: UInt64
  private let clientByteLimit: Int
  private let onKeyChange: @Sendable () -> Void
  private let onKeyKept: @Sendable () -> Void
  /// The materials of token objects that keep something.
  private let watched = Mutex<[KeyMaterial]>([])

  /// The mechanisms that work at run time.
  static let mechanisms: [MechanismFacts] = MechanismTable.all.filter(\.family.isAvailable)

  /// Opens the token in a slot of the store; an unknown slot gets a token that is not initialised.
  ///
  /// `clientByteLimit`: bytes that the session objects of one client may take, and that its operations may hold.
  /// `onKeyChange` is called after an attribute of one of its objects was changed, one was destroyed, or the token
  /// initialised: what clients remember of keys may then be wrong.
  /// `onKeyKept` is called when a token object's secrets or parsed key begin to be kept in memory: `dropUnusedKeys` is then worth
  /// calling.
  public init(
    store: SecureStore, slot: UInt32, clientByteLimit: Int = 256 << 20,
    onKeyChange: @escaping @Sendable () -> Void = {}, onKeyKept: @escaping @Sendable () -> Void = {}
  ) throws(StorageError) {
    self.store = store
    self.slot = slot
    self.clientByteLimit = clientByteLimit
    self.onKeyChange = onKeyChange
    self.onKeyKept = onKeyKept
    publicObjectKey = try store.publicObjectSecretKey(token: slot)
    opening = UInt64.random(in: 0 ... .max)
    var first: State
    if let stored = try store.token(slot) {
      guard let record = TokenRecord(stored: stored.content) else { throw .corrupt(.token(slot)) }
      first = State(record: record)
    } else {
      let serial: [UInt8]
      do { serial = try randomBytes(count: TokenRecord.serialByteCount / 2) } catch {
        throw .cryptography("no random bytes for a serial number")
      }
      let record = TokenRecord(newSerialNumber: serial)
      try store.commit { (transaction) throws(StorageError) in
        try transaction.put(StoredToken(token: slot, content: record.stored))
      }
      first = State(record: record)
    }
    var sealed = try store.objects(of: slot)
    sealed.removeAll { stored in
      if StoredForm.isPrivate(stored.publicPart) { return false }
      if let attributes = StoredForm.attributes(publicPart: stored.publicPart) {
        first.objects.insertNew(Self.tokenObject(stored.id, attributes, secrets: nil))
      }
      return true
    }
    first.sealed = sealed
    for object in BuiltInObjects.make(handles: sessionHandles) { first.objects.insert(object) }
    objectChanges = first.objectChanges
    state = Mutex(first)
  }

  /// A token object as it is in memory.
  static func tokenObject(_ id: UInt64, _ attributes: AttributeSet, secrets: SecretAttributes?) -> Object {
    Object(
      handle: ObjectHandles.ofTokenObject(id), attributes: attributes,
      material: attributes.isKey ? KeyMaterial(secrets) : nil, session: nil)
  }

  // MARK: Looking up

  func reading<R>(_ body: (inout State) -> R) -> R { state.withLock { body(&$0) } }

  /// The record of a client, made when it is asked for first. Nobody asks for one of a client that has gone.
  func client(_ id: ClientID) -> Client {
    reading { state in
      if let client = state.clients[id] { return client }
      let client = Client(id, byteLimit: clientByteLimit)
      state.clients[id] = client
      return client
    }
  }

  /// The object with this handle, if the client may know of it. Private objects exist for the user alone.
  func object(_ handle: UInt64, for client: Client, _ missing: ReturnValue) throws(ReturnValue) -> Object {
    let (role, own) = client.reading { ($0.role, $0.objects[handle]) }
    guard let object = own ?? reading({ $0.objects[handle] }), !object.isPrivate || role == .user else {
      throw missing
    }
    return object
  }

  /// The same for a request that makes or changes something: private objects exist under the login that it began under alone.
  func object(
    _ handle: UInt64, for client: Client, in entry: Entry, _ missing: ReturnValue
  ) throws(ReturnValue) -> Object {
    let (isUser, own) = client.reading {
      ($0.role == .user && $0.loginNumber == entry.loginNumber, $0.objects[handle])
    }
    guard let object = own ?? reading({ $0.objects[handle] }), !object.isPrivate || isUser else { throw missing }
    return object
  }

  /// The object with this handle, for the client as it is in a session, which is noted with it.
  func object(
    _ handle: UInt64, for client: Client, in session: SessionReference, _ missing: ReturnValue
  ) throws(ReturnValue) -> Object {
    let (role, own) = try client.withState { (state) throws(ReturnValue) in
      try state.note(session)
      return (state.role, state.objects[handle])
    }
    guard let object = own ?? reading({ $0.objects[handle] }), !object.isPrivate || role == .user else {
      throw missing
    }
    return object
  }

  /// The handles of all objects that the client may know of and that match the template, ascending.
  func find(
    _ template: AttributeSet, for client: Client, in session: SessionReference
  ) throws(ReturnValue) -> [UInt64] {
    let keys = ObjectIndex.Keys(template)
    var candidates: [Object] = []
    let role = try client.withState { (state) throws(ReturnValue) in
      try state.note(session)
      state.objects.appendCandidates(for: keys, to: &candidates)
      return state.role
    }
    reading { $0.objects.appendCandidates(for: keys, to: &candidates) }
    // What an object may have without its being among the attributes that are kept with it.
    let special = template.withEntries { entries in
      entries.filter { AttributeTable.mayBeSecret($0.type) || $0.type == .checkValue }.map(\.type)
    }
    var plain = template
    for type in special { plain.remove(type) }
    var handles: [UInt64] = []
    for object in candidates where !object.isPrivate || role == .user {
      if object.attributes.contains(all: plain), special.allSatisfy({ matches(object, template, $0) }) {
        handles.append(object.handle)
      }
    }
    handles.sort()
    return handles
  }

  /// A secret value matches only where it could be read as well: a search must not be a way to guess it.
  private func matches(_ object: Object, _ template: AttributeSet, _ type: AttributeType) -> Bool {
    template.withBytes(type) { wanted in
      guard let wanted else { return true }
      if object.isSecret(type) {
        guard !object.concealsSecrets, let secrets = try? secrets(of: object) else { return false }
        return secrets.withValue(type) { $0.map { sameBytes($0, wanted) } ?? false }
      }
      guard let attributes = try? allAttributes(of: object) else { return false }
      return attributes.withBytes(type) { $0.map { sameBytes($0, wanted) } ?? false }
    }
  }

  // MARK: Secrets

  /// The secret values of an object, read from the store if they are not at hand.
  ///
  /// Throws `gone` when somebody has destroyed the object since it was looked up.
  func secrets(of object: Object, _ gone: ReturnValue = .objectHandleInvalid) throws(ReturnValue) -> SecretAttributes? {
    guard let material = object.material else { return nil }
    if let secrets = material.secrets { return secrets }
    guard object.isToken, object.objectClass != .publicKey else { return nil }
    let id = ObjectHandles.storeID(object.handle)
    let privateKey = reading { $0.privateKey }
    guard let key = object.isPrivate ? privateKey : publicObjectKey else { throw .userNotLoggedIn }
    let content = try storing { () throws(StorageError) -> SecretBytes? in
      guard let stored = try store.object(id, of: slot) else { return nil }
      return try store.unsealPrivate(stored, with: key)
    }
    guard let opened = content else { throw gone }
    let found = object.isPrivate ? StoredForm.secrets(privatePart: opened) : SecretAttributes(encoded: opened)
    guard let found else { throw .deviceError }
    material.keep(found)
    watch(object)
    // The last user may have logged out meanwhile.
    if object.isPrivate, reading({ $0.privateKey == nil }) { material.drop() }
    return found
  }

  /// The key in an object, parsed once.
  func key(of object: Object) throws(ReturnValue) -> CryptographicKey {
    if let key = object.material?.key { return key }
    return try parseKey(of: object)
  }

  @inline(never)
  private func parseKey(of object: Object) throws(ReturnValue) -> CryptographicKey {
    guard let material = object.material else { throw .keyHandleInvalid }
    let key = try KeyCodec.key(object.attributes, try secrets(of: object, .keyHandleInvalid))
    let kept = material.keep(key)
    watch(object)
    if object.isPrivate, object.isToken, reading({ $0.privateKey == nil }) { material.drop() }
    return kept
  }

  /// Runs `body` while nobody else changes this object, or removes it from the token.
  func changing<R>(
    _ handle: UInt64, of client: Client, _ body: () throws(ReturnValue) -> R
  ) throws(ReturnValue) -> R {
    guard ObjectHandles.isOfTokenObject(handle) else { return try holding(client.changing, body) }
    return try holding(objectLocks[Int(truncatingIfNeeded: handle / 2 % UInt64(objectLocks.count))], body)
  }

  func keysChanged() { onKeyChange() }

  // MARK: Keeping keys

  /// Notes that a token object's material keeps something. What session objects keep is nowhere else.
  func watch(_ object: Object) {
    guard object.isToken, let material = object.material, material.beginWatch() else { return }
    watched.withLock { $0.append(material) }
    onKeyKept()
  }

  /// Drops secrets and parsed keys of token objects that were not used since the last call; they come back with the next use.
  /// Answers whether some are still kept.
  func dropUnusedKeys() -> Bool {
    let all = watched.withLock { watched in
      let all = watched
      watched = []
      return all
    }
    let kept = all.filter { $0.isKeptWhenWatched() }
    return watched.withLock { watched in
      watched += kept
      return !watched.isEmpty
    }
  }
}

/// Runs `body` with a lock held that guards an order and no data.
func holding<R>(
  _ lock: borrowing Mutex<Void>, _ body: () throws(ReturnValue) -> R
) throws(ReturnValue) -> R {
  let result: Result<R, ReturnValue> = lock.withLock { _ in
    do throws(ReturnValue) {
      return .success(try body())
    } catch {
      return .failure(error)
    }
  }
  return try result.get()
}

/// The objects that every token has without anybody having made them.
enum BuiltInObjects {
  /// The profiles whose every demand is met (PKCS#11 Profiles 3.2). Extended Provider and Authentication Token ask for
  /// C_LoginUser and are not claimed without it.
  private static let profiles: [ProfileID] = [.baselineProvider]

  static func make(handles: SessionHandles) -> [Object] {
    profiles.map { profile in
      var attributes = AttributeSet()
      attributes.set(.class, ObjectClass.profile.rawValue)
      attributes.set(.profileID, profile.rawValue)
      attributes.set(.uniqueID, Array("profile-\(profile.rawValue)".utf8))
      attributes.set(.label, Array(profile.name.utf8))
      attributes.set(.token, true)
      for type in [AttributeType.private, .modifiable, .copyable, .destroyable] { attributes.set(type, false) }
      return Object(handle: handles.next(), attributes: attributes, material: nil, session: nil)
    }
  }
}
