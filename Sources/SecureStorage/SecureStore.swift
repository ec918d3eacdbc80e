import CryptoCore
import Glibc
import LinuxSystem
import Synchronization

/// The secure world's storage: tokens, their objects and PINs, sealed, rollback-protected, durable.
///
/// One process holds a store at a time; any number of its threads may call. docs/storage.md describes the scheme.
public final class SecureStore: @unchecked Sendable {
  // Everything that changes is touched with `monitor` held, or by the writer that has the database to itself.
  let keys: StoreKeys
  let database: Database
  let statements: Statements
  let anchor: Anchor
  let monitor = Monitor()
  private let files: StoreDirectory

  /// As on disk.
  var durable: StoreState
  /// As in the open transaction, if there is one.
  var working: StoreState
  /// The next object's id. Ids given out stay given out, whatever becomes of the object.
  let nextObjectID: Atomic<UInt64>
  /// Writers in line. The first leads when the one who leads now has done.
  var waitingWriters: [Writer] = []
  /// Whether a writer leads the line, and whether it has the database to itself.
  var isLed = false
  var isWriting = false
  /// Whether the one who leads waits for more writers, one of whom may lead then.
  var isGathering = false
  /// How many writers the last commit had or made wait, and how long it took.
  var expectedWriters = 1
  var lastCommitNanoseconds: UInt64 = 0
  /// Set when it is not known what is on disk.
  var failure: StorageError?
  /// Readers that wait for the open transaction to end.
  var waitingReaders = 0
  /// How many synced transactions were made since opening.
  var transactionCount: UInt64 = 0

  /// What opening read of objects, by token, until somebody asks for it or something changes.
  var readAtOpening: [UInt32: [StoredObject]]

  let pins: PINUnlocking

  /// Records that did not open; using one throws `.corrupt`, deleting it works.
  public let damaged: [RecordName]
  /// The directory that was given.
  public var directory: String { files.path }

  /// Opens the store in `directory`, making it where there is none, and checks all of it.
  ///
  /// Throws any of the cases up to `databaseDamaged` of `StorageError`; nothing is modified then.
  public static func open(directory: String) throws(StorageError) -> SecureStore {
    try open(directory: directory, schema: .current, pinCost: .standard)
  }

  /// Takes the content of `directory` for the truth although it is older than the anchor says, has no usable anchor, or
  /// lacks records: an operator's decision, never a program's. Opens the store once and closes it again.
  ///
  /// Answers nil when there was nothing to accept. Throws when the device key or the state row is bad.
  public static func acceptRollback(directory: String) throws(StorageError) -> AcceptedContent? {
    let opening = StoreOpening(path: directory, schema: .current, policy: .accept)
    let opened = try opening.run()
    // The connection ends before the lock goes.
    defer { withExtendedLifetime(opened.directory) { opened.database.close() } }
    return opened.acceptance
  }

  static func open(directory: String, schema: Schema, pinCost: PINCost) throws(StorageError) -> SecureStore {
    let opening = StoreOpening(path: directory, schema: schema, policy: .refuse)
    return try SecureStore(try opening.run(), pinCost)
  }

  private init(_ opened: StoreOpening.Result, _ pinCost: PINCost) throws(StorageError) {
    files = opened.directory
    database = opened.database
    keys = opened.keys
    anchor = opened.anchor
    nextObjectID = Atomic(opened.state.nextObjectID)
    durable = opened.state
    working = opened.state
    damaged = opened.damaged
    readAtOpening = opened.objects
    statements = try Statements(opened.database)
    pins = try PINUnlocking(cost: pinCost)
    try extendLog()
  }

  deinit {
    if failure == nil, database.logFrameCount > 0 { database.checkpoint() }
    database.close()  // before the lock goes
  }

  /// The log keeps this many bytes: syncing a write inside them changes no file size, which halves a commit's time.
  private static let logByteCount = 4 << 20
  /// The log is checkpointed when it holds this many pages, half of the above.
  static let checkpointFrameCount: Int32 = 512

  /// Writes zeros behind the log's content; SQLite takes them for no frames. Does without on a full disk.
  private func extendLog() throws(StorageError) {
    guard let byteCount = try files.byteCount(of: StoreDirectory.logName), byteCount < Self.logByteCount else { return }
    let file = try files.open(StoreDirectory.logName, O_RDWR)
    defer { close(file) }
    let zeros = [UInt8](repeating: 0, count: Self.logByteCount - byteCount)
    do throws(StorageError) {
      try zeros.span.withUnsafeBytes { (zeros) throws(StorageError) in
        try writeAll(zeros, to: file, at: byteCount, path: files.path(of: StoreDirectory.logName))
      }
      fdatasync(file)
    } catch {
      ftruncate(file, off_t(byteCount))
    }
  }

  // MARK: Reading

  /// Runs `body` when no transaction is open, so that it sees durable content only.
  func reading<T>(_ body: () throws(StorageError) -> T) throws(StorageError) -> T {
    monitor.lock()
    defer { monitor.unlock() }
    if isWriting {
      waitingReaders += 1
      while isWriting { monitor.wait() }
      waitingReaders -= 1
      if waitingReaders == 0 { monitor.wakeAll() }
    }
    return try body()
  }

  /// The tokens' records, by number. Damaged ones are left out (see `damaged`).
  public func tokens() throws(StorageError) -> [StoredToken] {
    try reading { () throws(StorageError) in
      var tokens: [StoredToken] = []
      defer { statements.tokens.reset() }
      while try statements.tokens.step() {
        guard let token = statements.tokens.uint32(0) else { continue }
        let record = RecordIdentity(.token, token: token, id: 0, version: statements.tokens.uint64(1))
        if let content = try keys.openWhole(statements.tokens.bytes(2), of: record) {
          tokens.append(StoredToken(token: token, content: content))
        }
      }
      return tokens
    }
  }

  /// A token's record; nil when there is none. Throws `.corrupt`.
  public func token(_ token: UInt32) throws(StorageError) -> StoredToken? {
    try reading { () throws(StorageError) in try storedToken(token) }
  }

  /// The undamaged objects of a token, in the order of their ids.
  ///
  /// What opening has read anyway is handed out once: whoever asks first after it costs no second reading.
  public func objects(of token: UInt32) throws(StorageError) -> [StoredObject] {
    try reading { () throws(StorageError) in
      if let read = readAtOpening.removeValue(forKey: token) { return read }
      var objects: [StoredObject] = []
      statements.objects.bind(1, token)
      defer { statements.objects.reset() }
      while try statements.objects.step() {
        if let object = try keys.object(in: statements.objects) { objects.append(object) }
      }
      return objects
    }
  }

  /// One object; nil when there is none. Throws `.corrupt`.
  public func object(_ id: UInt64, of token: UInt32) throws(StorageError) -> StoredObject? {
    try reading { () throws(StorageError) in try storedObject(id, of: token)?.object }
  }

  func storedToken(_ token: UInt32) throws(StorageError) -> StoredToken? {
    statements.token.bind(1, token)
    guard try statements.token.step() else { return nil }
    defer { statements.token.reset() }
    let record = RecordIdentity(.token, token: token, id: 0, version: statements.token.uint64(0))
    guard let content = try keys.openWhole(statements.token.bytes(1), of: record) else {
      throw .corrupt(.token(token))
    }
    return StoredToken(token: token, content: content)
  }

  func storedObject(
    _ id: UInt64, of token: UInt32
  ) throws(StorageError) -> (object: StoredObject, record: RecordIdentity)? {
    let row = statements.object
    row.bind(1, id)
    row.bind(2, token)
    guard try row.step() else { return nil }
    defer { row.reset() }
    guard let object = try keys.object(in: row) else { throw .corrupt(.object(token: token, id: id)) }
    return (object, RecordIdentity(.object, token: token, id: id, version: row.uint64(2)))
  }

  // MARK: Making objects

  /// Gives a new object its id and seals it; `Transaction.insert` writes it. `privatePart`'s key must be the token's.
  ///
  /// This is most of the work, and writers do it side by side.
  public func prepare(
    token: UInt32, publicPart: [UInt8], privatePart: NewPrivatePart? = nil
  ) throws(StorageError) -> PreparedObject {
    let id = nextObjectID.wrappingAdd(1, ordering: .relaxed).oldValue
    let record = try RecordIdentity(newVersionOf: .object, token: token, id: id, keys)
    var sealedPrivatePart: SealedPrivatePart?
    if let privatePart {
      precondition(privatePart.key.token == token, "a private part is sealed for its own token")
      sealedPrivatePart = try keys.sealPrivatePart(privatePart.content, of: record, with: privatePart.key)
    }
    return PreparedObject(
      object: StoredObject(token: token, id: id, publicPart: publicPart, privatePart: sealedPrivatePart),
      version: record.version,
      sealedPublicPart: try keys.sealPublicPart(publicPart, of: record, beside: sealedPrivatePart),
      digestElement: try keys.digestElement(of: record))
  }

  // MARK: Private parts

  /// The key of the private parts of a token's private objects, from the token key that `unlock` gives.
  public func privatePartKey(token: UInt32, tokenKey: SecretBytes) throws(StorageError) -> PrivatePartKey {
    try keys.privatePartKey(token: token, tokenKey: tokenKey)
  }

  /// The key of the private parts of public objects: needs no PIN, so the device key alone opens them.
  public func publicObjectSecretKey(token: UInt32) throws(StorageError) -> PrivatePartKey {
    try keys.privatePartKey(token: token, tokenKey: nil)
  }

  /// An object's private part. Throws `.notFound` when it has none, `.corrupt` when it is damaged or of another key.
  public func unsealPrivate(_ object: StoredObject, with key: PrivatePartKey) throws(StorageError) -> SecretBytes {
    let name = RecordName.object(token: object.token, id: object.id)
    guard let part = object.privatePart else { throw .notFound(name) }
    var isAuthentic = false
    let opened = try SecretBytes(count: part.byteCount) { (output) throws(StorageError) in
      let count = try keys.openPrivatePart(part, token: object.token, id: object.id, with: key, into: output)
      isAuthentic = count != nil
      return count ?? 0
    }
    guard isAuthentic else { throw .corrupt(name) }
    return opened
  }

  /// Unseals objects part by part: those that `next` gives, until it gives none, go to `take` as what `body` makes of each and its
  /// private part, in no particular order. Nothing comes of those that are damaged or of another key, and of those that `body` makes
  /// nothing of. `isMany`: two threads share the parts.
  ///
  /// The bytes lent to `body` are secret memory, gone when it returns.
  public func unsealPrivate<T>(
    with key: PrivatePartKey, isMany: Bool, _ next: @escaping @Sendable () -> [StoredObject],
    _ body: @escaping @Sendable (StoredObject, UnsafeRawBufferPointer) -> T?,
    _ take: @escaping @Sendable ([T]) -> Void
  ) {
    @Sendable func unsealParts() {
      while true {
        let part = next()
        if part.isEmpty { return }
        take(unseal(part, with: key, body))
      }
    }
    var helper = isMany ? try? startThread(name: "unseal") { unsealParts() } : nil
    unsealParts()
    helper.take()?.join()
  }

  private func unseal<T>(
    _ objects: [StoredObject], with key: PrivatePartKey, _ body: (StoredObject, UnsafeRawBufferPointer) -> T?
  ) -> [T] {
    let room = objects.reduce(0) { max($0, $1.privatePart?.byteCount ?? 0) }
    var made: [T] = []
    made.reserveCapacity(objects.count)
    // One piece of secret memory for one part after another.
    _ = SecretBytes(count: room) { memory in
      for object in objects {
        guard let part = object.privatePart else { continue }
        let count = try? keys.openPrivatePart(part, token: object.token, id: object.id, with: key, into: memory)
        guard let count, let one = body(object, UnsafeRawBufferPointer(rebasing: memory[..<count])) else { continue }
        made.append(one)
      }
      return room
    }
    return made
  }
}
