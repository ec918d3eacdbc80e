import CryptoCore
import Glibc

/// The steps from a directory to a store that has been checked (docs/storage.md, "Opening").
struct StoreOpening {
  /// What to do about content that is not what the anchor or the digest say.
  enum Policy {
    case refuse
    /// The operator takes the content as it is.
    case accept
  }

  let path: String
  let schema: Schema
  let policy: Policy

  /// What a checked store consists of.
  struct Result {
    let directory: StoreDirectory
    let database: Database
    let keys: StoreKeys
    let anchor: Anchor
    var state: StoreState
    var damaged: [RecordName] = []
    /// The sound objects by token.
    var objects: [UInt32: [StoredObject]] = [:]
    var acceptance: AcceptedContent?
  }

  func run() throws(StorageError) -> Result {
    let directory = try StoreDirectory(path: path)
    let hasDatabase = try directory.byteCount(of: StoreDirectory.databaseName) ?? 0 > 0
    let hasAnchor = try directory.byteCount(of: StoreDirectory.anchorName) != nil
    let hasKey = try directory.byteCount(of: StoreDirectory.deviceKeyName) != nil
    let deviceKey =
      hasKey || hasDatabase || hasAnchor ? try directory.readDeviceKey() : try directory.createDeviceKey()
    guard hasDatabase else { return try create(in: directory, deviceKey) }

    let hadLog = try directory.byteCount(of: StoreDirectory.logName) != nil
    do throws(StorageError) {
      if let result = try check(directory, deviceKey) { return result }
    } catch {
      // Reading made an empty log file: a refused store is left as it was found.
      if !hadLog, try directory.byteCount(of: StoreDirectory.logName) == 0 { directory.remove(StoreDirectory.logName) }
      throw error
    }
    return try create(in: directory, deviceKey)
  }

  // MARK: A new store

  private func create(in directory: StoreDirectory, _ deviceKey: SecretBytes) throws(StorageError) -> Result {
    var storeID = try Anchor.claimedStoreID(in: directory)
    var start: UInt64 = 0
    var acceptance: AcceptedContent?
    if let claimed = storeID {
      let keys = try StoreKeys(deviceKey: deviceKey, storeID: claimed)
      switch try Anchor.read(in: directory, keys: keys) {
      case .counter(0, torn: false): break
      case .counter(let counter, let torn):
        guard policy == .accept else {
          throw .rolledBack(Rollback(anchorCounter: counter, databaseCounter: nil, directory: path))
        }
        start = counter + (torn ? 1 : 0)
        acceptance = AcceptedContent(anchorCounter: counter, databaseCounter: nil, recordsDiffered: true)
      case .absent: storeID = nil
      case .unusable(let why):
        guard policy == .accept else { throw .tampered("the database is missing and \(why)") }
        storeID = nil
      }
    } else if try directory.byteCount(of: StoreDirectory.anchorName) != nil, policy == .refuse {
      throw .tampered("the database is missing and the anchor is damaged")
    }

    let makesAnchor = storeID == nil
    let identity: [UInt8]
    if let storeID {
      identity = storeID
    } else {
      identity = try cryptography { () throws(CryptoError) in try randomBytes(count: StoreKeys.storeIDByteCount) }
    }
    let keys = try StoreKeys(deviceKey: deviceKey, storeID: identity)
    // The anchor first: a database without an anchor is never a store whose making was interrupted.
    let anchor =
      makesAnchor
      ? try Anchor.create(in: directory, keys: keys, counter: 0) : try Anchor.open(in: directory, keys: keys)

    for name in [StoreDirectory.databaseName, StoreDirectory.logName] { directory.remove(name) }
    close(try directory.open(StoreDirectory.databaseName, O_RDWR | O_CREAT | O_EXCL))
    let database = try Database(path: directory.path(of: StoreDirectory.databaseName))
    try useLog(database)
    let state = StoreState(schemaVersion: schema.newest.number, counter: start + 1)
    try transaction(database) { () throws(StorageError) in
      for version in schema.versions {
        for statement in version.migration { try database.execute(statement) }
      }
      try database.execute("PRAGMA application_id = \(Schema.applicationID)")
      try database.execute("PRAGMA user_version = \(schema.newest.number)")
      let insertion = try database.prepare("INSERT INTO state (id, store_id, key_check, sealed) VALUES (1, ?1, ?2, ?3)")
      try insertion.bind(1, identity)
      try insertion.bind(2, keys.check)
      try insertion.bind(3, try state.sealed(keys))
      try insertion.run()
    }
    try directory.sync()
    try anchor.write(state.counter)
    try anchor.sync()
    return Result(
      directory: directory, database: database, keys: keys, anchor: anchor, state: state, acceptance: acceptance)
  }

  // MARK: An existing store

  /// Nil when the file holds nothing at all: the making of the store was interrupted.
  private func check(
    _ directory: StoreDirectory, _ deviceKey: SecretBytes
  ) throws(StorageError) -> Result? {
    let database = try Database(path: directory.path(of: StoreDirectory.databaseName))
    let applicationID = try database.number("PRAGMA application_id")
    let schemaVersion = try database.number("PRAGMA user_version")
    let objectCount = try database.number("SELECT count(*) FROM sqlite_schema")
    if applicationID == 0, schemaVersion == 0, objectCount == 0 {
      guard try directory.byteCount(of: StoreDirectory.anchorName) != nil else {
        throw .notAStore("\(database.path) is an empty database without an anchor")
      }
      return nil
    }
    guard applicationID == Schema.applicationID else {
      throw .notAStore("\(database.path) is the database of another application")
    }
    if schemaVersion > schema.newest.number {
      throw .newerSchema(found: schemaVersion, supported: schema.newest.number)
    }
    try checkSchema(database, schemaVersion)
    let (keys, state) = try readState(database, deviceKey)
    guard state.schemaVersion == schemaVersion else { throw .tampered("the schema version was changed") }
    let anchor = try Anchor.read(in: directory, keys: keys)
    let anchorComplaint = complaint(about: state, anchor)
    if policy == .refuse, let anchorComplaint { throw anchorComplaint }

    var result = try scan(database, keys, state)
    if policy == .refuse, let recordComplaint = result.complaint { throw recordComplaint }
    try useLog(database)
    if policy == .accept, anchorComplaint != nil || result.complaint != nil {
      return try accept(directory, database, keys, result, anchor)
    }
    return try bringForward(directory, database, keys, &result, anchor)
  }

  private func checkSchema(_ database: Database, _ number: Int64) throws(StorageError) {
    guard let version = schema.version(number) else { throw .tampered("there is no schema version \(number)") }
    var found: Set<String> = []
    var names: [String] = []
    try database.rows("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL") { (row) throws(StorageError) in
      found.insert(row.text(1))
      names.append(row.text(0))
    }
    guard found == version.objects, names.count == found.count else {
      throw .tampered("its tables are not those of schema version \(number)")
    }
  }

  private func readState(
    _ database: Database, _ deviceKey: SecretBytes
  ) throws(StorageError) -> (StoreKeys, StoreState) {
    var found: (StoreKeys, StoreState)?
    try database.rows("SELECT store_id, key_check, sealed FROM state WHERE id = 1") { (row) throws(StorageError) in
      let storeID = Array(row.bytes(0))
      guard storeID.count == StoreKeys.storeIDByteCount else { return }
      let keys = try StoreKeys(deviceKey: deviceKey, storeID: storeID)
      guard constantTimeEqual(Array(row.bytes(1)), keys.check) else {
        throw .deviceKey(
          "it is not the key that \(path) was made with (or the state row is damaged). Restore it from a copy. "
            + "Nothing was modified.")
      }
      guard let state = try StoreState(opening: row.bytes(2), keys) else { return }
      found = (keys, state)
    }
    guard let found else { throw .tampered("its state row is missing or damaged") }
    return found
  }

  private func complaint(about state: StoreState, _ anchor: Anchor.Reading) -> StorageError? {
    switch anchor {
    case .absent: return .tampered("the anchor \(path)/\(StoreDirectory.anchorName) is missing")
    case .unusable(let why): return .tampered(why)
    case .counter(let counter, let torn):
      // A slot is written after its commit is durable: beside a torn one the database is ahead of the other.
      let least = counter + (torn ? 1 : 0)
      if state.counter >= least { return nil }
      return .rolledBack(Rollback(anchorCounter: least, databaseCounter: state.counter, directory: path))
    }
  }

  /// What a walk over all records found.
  private struct Scan {
    /// As the sealed row says.
    var state: StoreState
    var digest = SetDigest()
    var count: UInt64 = 0
    var largestObjectID: UInt64 = 0
    var damaged: [RecordName] = []
    var objects: [UInt32: [StoredObject]] = [:]

    var complaint: StorageError? {
      if count != state.recordCount {
        return .tampered("it holds \(count) records instead of \(state.recordCount)")
      }
      return digest == state.digest ? nil : .tampered("records were exchanged for older ones, or for others")
    }

    mutating func add(_ record: RecordIdentity, _ keys: StoreKeys) throws(StorageError) {
      digest.add(try keys.digestElement(of: record))
      count += 1
    }
  }

  private func scan(
    _ database: Database, _ keys: StoreKeys, _ state: StoreState
  ) throws(StorageError) -> Scan {
    var scan = Scan(state: state)
    try database.rows("SELECT token, version, sealed FROM tokens") { (row) throws(StorageError) in
      let token = row.uint32(0) ?? .max
      let record = RecordIdentity(.token, token: token, id: 0, version: row.uint64(1))
      try scan.add(record, keys)
      if try keys.openWhole(row.bytes(2), of: record) == nil { scan.damaged.append(.token(token)) }
    }
    try database.rows("SELECT token, role, version, sealed FROM pins") { (row) throws(StorageError) in
      let token = row.uint32(0) ?? .max
      let record = RecordIdentity(.pin, token: token, id: row.uint64(1), version: row.uint64(2))
      try scan.add(record, keys)
      let role = row.uint32(1).flatMap(PINRole.init)
      if let role, try keys.openWhole(row.bytes(3), of: record) == nil {
        scan.damaged.append(.pin(token: token, role: role))
      }
    }
    let objects = ObjectScan(keys)
    try objects.run(database)
    scan.digest.add(objects.digest)
    scan.count += objects.count
    scan.largestObjectID = objects.largestID
    scan.damaged += objects.damaged
    scan.objects = objects.objects
    return scan
  }

  /// The operator's word that the content is the truth: a counter above all that was seen, so that the copy not
  /// accepted is the older one from then on.
  private func accept(
    _ directory: StoreDirectory, _ database: Database, _ keys: StoreKeys, _ scan: Scan, _ reading: Anchor.Reading
  ) throws(StorageError) -> Result {
    var anchored: UInt64?
    if case .counter(let counter, let torn) = reading { anchored = counter + (torn ? 1 : 0) }
    var state = scan.state
    state.counter = max(state.counter, anchored ?? 0) + 1
    state.digest = scan.digest
    state.recordCount = scan.count
    if scan.largestObjectID < UInt64(Int64.max) {
      state.nextObjectID = max(state.nextObjectID, scan.largestObjectID + 1)
    }
    try put(state, database, keys)
    let anchor = try Anchor.create(in: directory, keys: keys, counter: state.counter)
    let acceptance = AcceptedContent(
      anchorCounter: anchored, databaseCounter: scan.state.counter, recordsDiffered: scan.complaint != nil)
    var accepted = scan
    accepted.state = state
    let now = Anchor.Reading.counter(state.counter, torn: false)
    var result = try bringForward(directory, database, keys, &accepted, now, anchor)
    result.acceptance = acceptance
    return result
  }

  /// Advances an anchor that a crash left behind, and migrates.
  private func bringForward(
    _ directory: StoreDirectory, _ database: Database, _ keys: StoreKeys, _ scan: inout Scan,
    _ reading: Anchor.Reading, _ opened: Anchor? = nil
  ) throws(StorageError) -> Result {
    let anchor: Anchor
    if let opened { anchor = opened } else { anchor = try Anchor.open(in: directory, keys: keys) }
    if reading != .counter(scan.state.counter, torn: false) {
      try anchor.write(scan.state.counter)
      try anchor.sync()
    }
    for version in schema.versions where version.number > scan.state.schemaVersion {
      scan.state.schemaVersion = version.number
      scan.state.counter += 1
      try put(scan.state, database, keys) { () throws(StorageError) in
        for statement in version.migration { try database.execute(statement) }
        try database.execute("PRAGMA user_version = \(version.number)")
      }
      try anchor.write(scan.state.counter)
    }
    return Result(
      directory: directory, database: database, keys: keys, anchor: anchor, state: scan.state,
      damaged: scan.damaged, objects: scan.objects)
  }

  private func put(
    _ state: StoreState, _ database: Database, _ keys: StoreKeys,
    with change: () throws(StorageError) -> Void = { () throws(StorageError) in }
  ) throws(StorageError) {
    try transaction(database) { () throws(StorageError) in
      try change()
      let update = try database.prepare("UPDATE state SET sealed = ?1 WHERE id = 1")
      try update.bind(1, try state.sealed(keys))
      try update.run()
    }
  }

  private func transaction(
    _ database: Database, _ body: () throws(StorageError) -> Void
  ) throws(StorageError) {
    try database.execute("BEGIN IMMEDIATE")
    do throws(StorageError) {
      try body()
      try database.execute("COMMIT")
    } catch {
      if !database.isOutsideTransaction { try? database.execute("ROLLBACK") }
      throw error
    }
  }

  private func useLog(_ database: Database) throws(StorageError) {
    var mode = ""
    try database.rows("PRAGMA journal_mode = WAL") { (row) throws(StorageError) in mode = row.text(0) }
    guard mode == "wal" else { throw .databaseDamaged("the journal mode is \(mode) instead of wal") }
  }
}

/// What `SecureStore.acceptRollback` found and took for the truth.
public struct AcceptedContent: Equatable, Sendable {
  /// The newest commit that the anchor vouched for; nil when there was no usable anchor.
  public let anchorCounter: UInt64?
  /// The newest commit in the database; nil when there was none and an empty store was made.
  public let databaseCounter: UInt64?
  /// Whether records were missing, added or exchanged.
  public let recordsDiffered: Bool
}
