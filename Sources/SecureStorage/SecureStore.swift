import CryptoCore
import Glibc
import Synchronization

/// The secure world's storage: tokens, their objects and PINs, sealed, rollback-protected, durable.
///
/// One process holds a store at a time; any number of its threads may call. docs/storage.md describes the scheme.
public final class SecureStore: @unchecked Sendable {
  // Everything that changes is touched with `monitor` held only, but for the atomic.
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
  var batch: Batch?
  /// Set when it is not known what is on disk.
  var failure: StorageError?
  /// Writers that have asked for the lock and not yet got it.
  let arriving = Atomic<Int>(0)
  /// How many writers the last commit had or made wait, and how long it took: what the next one may wait for.
  var expectedWriters = 1
  var lastCommitNanoseconds: UInt64 = 0
  /// Readers that wait for the open transaction to end.
  var waitingReaders = 0
  /// How many synced transactions were made since opening.
  var transactionCount: UInt64 = 0

  let pins: PINUnlocking

  /// Records that did not open; using one throws `.corrupt`, deleting it works.
  public let damaged: [RecordName]
  /// The directory that was given.
  public var directory: String { files.path }

  /// Opens the store in `directory`, making it where there is none, and checks all of it.
  ///
  /// `visitor` gets each object while the records are read anyway. It must not call the store. What it got is void when
  /// opening throws, since the check over all records comes last.
  /// Throws any of the cases up to `databaseDamaged` of `StorageError`; nothing is modified then.
  public static func open(
    directory: String, visitor: ((StoredObject) throws(StorageError) -> Void)? = nil
  ) throws(StorageError) -> SecureStore {
    try open(directory: directory, schema: .current, pinCost: .standard, visitor: visitor)
  }

  /// Takes the content of `directory` for the truth although it is older than the anchor says, has no usable anchor, or
  /// lacks records: an operator's decision, never a program's. Opens the store once and closes it again.
  ///
  /// Answers nil when there was nothing to accept. Throws when the device key or the state row is bad.
  public static func acceptRollback(directory: String) throws(StorageError) -> AcceptedContent? {
    let opening = StoreOpening(path: directory, schema: .current, policy: .accept)
    let opened = try opening.run(nil)
    // The connection ends before the lock goes.
    defer { withExtendedLifetime(opened.directory) { opened.database.close() } }
    return opened.acceptance
  }

  static func open(
    directory: String, schema: Schema, pinCost: PINCost, visitor: ((StoredObject) throws(StorageError) -> Void)? = nil
  ) throws(StorageError) -> SecureStore {
    let opening = StoreOpening(path: directory, schema: schema, policy: .refuse)
    return try SecureStore(try opening.run(visitor), pinCost)
  }

  private init(_ opened: StoreOpening.Result, _ pinCost: PINCost) throws(StorageError) {
    files = opened.directory
    database = opened.database
    keys = opened.keys
    anchor = opened.anchor
    durable = opened.state
    working = opened.state
    damaged = opened.damaged
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
    if batch != nil {
      waitingReaders += 1
      while batch != nil { monitor.wait() }
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

  /// Calls `body` with each undamaged object of a token, in the order of their ids. `body` must not call the store.
  public func forEachObject(
    of token: UInt32, _ body: (StoredObject) throws(StorageError) -> Void
  ) throws(StorageError) {
    try reading { () throws(StorageError) in
      statements.objects.bind(1, token)
      defer { statements.objects.reset() }
      while try statements.objects.step() {
        if let object = try keys.object(in: statements.objects) { try body(object) }
      }
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

  // MARK: Private parts

  /// The key of the private parts of a token's private objects, from the token key that `unlock` gives.
  public func privatePartKey(token: UInt32, tokenKey: SecretBytes) throws(StorageError) -> PrivatePartKey {
    PrivatePartKey(token: token, key: try keys.privatePartKey(token: token, tokenKey: tokenKey))
  }

  /// The key of the private parts of public objects: needs no PIN, so the device key alone opens them.
  public func publicObjectSecretKey(token: UInt32) throws(StorageError) -> PrivatePartKey {
    PrivatePartKey(token: token, key: try keys.privatePartKey(token: token, tokenKey: nil))
  }

  /// An object's private part. Throws `.notFound` when it has none, `.corrupt` when it is damaged or of another key.
  public func unsealPrivate(_ object: StoredObject, with key: PrivatePartKey) throws(StorageError) -> SecretBytes {
    let name = RecordName.object(token: object.token, id: object.id)
    guard let part = object.privatePart else { throw .notFound(name) }
    guard let opened = try keys.openPrivatePart(part, token: object.token, id: object.id, with: key) else {
      throw .corrupt(name)
    }
    return opened
  }
}
