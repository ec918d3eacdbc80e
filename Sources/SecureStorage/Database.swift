import CSQLite
import Glibc

/// One connection to the store's SQLite file. Not for two threads at once: `SecureStore` serialises.
final class Database {
  private var handle: OpaquePointer?
  let path: String
  private var statements: [OpaquePointer] = []
  /// Frames in the log after the last commit, written by SQLite's hook.
  private let logFrames = UnsafeMutablePointer<Int32>.allocate(capacity: 1)

  /// Opens the file, made where absent. Changes nothing of an existing one: no checkpoint happens unless asked for, and
  /// with exclusive locking the log's index is kept in this process's memory.
  init(path: String) throws(StorageError) {
    var handle: OpaquePointer?
    let flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE
    let status = sqlite3_open_v2(path, &handle, flags, nil)
    guard status == SQLITE_OK, let handle else {
      let code = handle.map { sqlite3_system_errno($0) } ?? ENOMEM
      sqlite3_close_v2(handle)
      throw .io(operation: "open", path: path, code: code)
    }
    self.handle = handle
    self.path = path
    logFrames.initialize(to: 0)
    sqlite3_extended_result_codes(handle, 1)
    sqlite3_wal_hook(
      handle,
      { context, _, _, frames in
        context?.assumingMemoryBound(to: Int32.self).pointee = frames
        return SQLITE_OK
      }, logFrames)
    // The file may come from somebody else: its schema runs no code, and no statement of ours can touch it.
    for (option, on) in [
      (SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1), (SQLITE_DBCONFIG_DEFENSIVE, 1), (SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
      (SQLITE_DBCONFIG_ENABLE_TRIGGER, 0), (SQLITE_DBCONFIG_ENABLE_VIEW, 0), (SQLITE_DBCONFIG_ENABLE_FKEY, 0),
    ] {
      try check(csqlite_configure(handle, option, Int32(on)))
    }
    try execute("PRAGMA locking_mode = EXCLUSIVE")
    try execute("PRAGMA synchronous = FULL")
    try execute("PRAGMA temp_store = MEMORY")
    try execute("PRAGMA cell_size_check = ON")
  }

  deinit {
    close()
    logFrames.deallocate()
  }

  /// Ends the connection and its statements; nothing is to be called afterwards.
  func close() {
    for statement in statements { sqlite3_finalize(statement) }
    statements = []
    sqlite3_close_v2(handle)
    handle = nil
  }

  /// Frames (pages) in the log after the last commit.
  var logFrameCount: Int32 { logFrames.pointee }

  /// Whether no transaction is open: after an error, whether SQLite has rolled it back by itself.
  var isOutsideTransaction: Bool { sqlite3_get_autocommit(handle) != 0 }

  /// Runs statements that give no rows or whose rows do not matter.
  func execute(_ sql: String) throws(StorageError) {
    try check(sqlite3_exec(handle, sql, nil, nil, nil))
  }

  /// A statement that lives as long as the connection.
  func prepare(_ sql: String) throws(StorageError) -> Statement {
    var pointer: OpaquePointer?
    try check(sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &pointer, nil))
    guard let pointer else { throw .databaseDamaged("no statement in \(sql)") }
    statements.append(pointer)
    return Statement(pointer: pointer, database: self)
  }

  /// The first column of the first row of `sql` as a number, 0 when there is none.
  func number(_ sql: String) throws(StorageError) -> Int64 {
    var value: Int64 = 0
    try rows(sql) { (row) throws(StorageError) in value = row.int64(0) }
    return value
  }

  /// Calls `body` with each row of `sql`.
  func rows(_ sql: String, _ body: (borrowing Statement) throws(StorageError) -> Void) throws(StorageError) {
    var pointer: OpaquePointer?
    try check(sqlite3_prepare_v2(handle, sql, -1, &pointer, nil))
    guard let pointer else { return }
    defer { sqlite3_finalize(pointer) }
    let statement = Statement(pointer: pointer, database: self)
    while try statement.step() { try body(statement) }
  }

  /// Moves the log's content into the file. What does not fit stays in the log.
  func checkpoint() {
    sqlite3_wal_checkpoint_v2(handle, nil, SQLITE_CHECKPOINT_PASSIVE, nil, nil)
  }

  /// Throws what a result code of SQLite means.
  func check(_ status: Int32) throws(StorageError) {
    if status != SQLITE_OK { throw error(status) }
  }

  func error(_ status: Int32) -> StorageError {
    let system = sqlite3_system_errno(handle)
    let message = sqlite3_errmsg(handle).map { String(cString: $0) } ?? "error \(status)"
    switch status & 0xFF {
    case SQLITE_FULL: return .noSpace
    case SQLITE_NOTADB: return .notAStore("\(path) is not a database")
    case SQLITE_CORRUPT, SQLITE_MISMATCH, SQLITE_SCHEMA, SQLITE_CONSTRAINT, SQLITE_ERROR, SQLITE_FORMAT:
      return .databaseDamaged(message)
    case SQLITE_IOERR where status == syncCode || status == directorySyncCode:
      return .failed(message)
    case SQLITE_IOERR where StorageError.isSpace(system): return .noSpace
    case SQLITE_IOERR where status == shortReadCode: return .databaseDamaged(message)
    case SQLITE_READONLY: return .io(operation: "write", path: path, code: EROFS)
    case SQLITE_BUSY, SQLITE_LOCKED: return .inUse(directory: path, processID: nil)
    case SQLITE_NOMEM: return .io(operation: "access", path: path, code: ENOMEM)
    default: return .io(operation: message, path: path, code: system)
    }
  }
}

// Extended codes, whose macros Swift does not import.
private let shortReadCode = SQLITE_IOERR | (2 << 8)
private let syncCode = SQLITE_IOERR | (4 << 8)
private let directorySyncCode = SQLITE_IOERR | (5 << 8)

/// A prepared statement, owned by its connection.
struct Statement {
  fileprivate let pointer: OpaquePointer
  fileprivate unowned let database: Database

  func bind(_ index: Int32, _ value: UInt32) { sqlite3_bind_int64(pointer, index, Int64(value)) }

  /// 64-bit numbers keep their bits; SQLite's are signed.
  func bind(_ index: Int32, _ value: UInt64) { sqlite3_bind_int64(pointer, index, Int64(bitPattern: value)) }

  /// Binds a copy of `bytes`.
  func bind(_ index: Int32, _ bytes: [UInt8]) throws(StorageError) { try bind(index, bytes[...]) }

  /// Binds a copy of `bytes`, or NULL.
  func bind(_ index: Int32, _ bytes: ArraySlice<UInt8>?) throws(StorageError) {
    guard let bytes else {
      sqlite3_bind_null(pointer, index)
      return
    }
    let status = bytes.withUnsafeBytes {
      csqlite_bind_copied_blob(pointer, index, $0.baseAddress, sqlite3_uint64($0.count))
    }
    try database.check(status)
  }

  /// Runs to the next row; false at the end, after which the statement is reset.
  func step() throws(StorageError) -> Bool {
    let status = sqlite3_step(pointer)
    if status == SQLITE_ROW { return true }
    let error = status == SQLITE_DONE ? nil : database.error(status)
    sqlite3_reset(pointer)
    if let error { throw error }
    return false
  }

  /// Runs a statement that gives no rows.
  func run() throws(StorageError) {
    if try step() { reset() }
  }

  /// Ends a statement before its last row.
  func reset() { sqlite3_reset(pointer) }

  func int64(_ column: Int32) -> Int64 { sqlite3_column_int64(pointer, column) }

  func uint64(_ column: Int32) -> UInt64 { UInt64(bitPattern: sqlite3_column_int64(pointer, column)) }

  /// A slot number, nil when the column holds something else.
  func uint32(_ column: Int32) -> UInt32? { UInt32(exactly: sqlite3_column_int64(pointer, column)) }

  func isNull(_ column: Int32) -> Bool { sqlite3_column_type(pointer, column) == SQLITE_NULL }

  /// A blob's bytes, lent until the next step or reset.
  func bytes(_ column: Int32) -> UnsafeRawBufferPointer {
    let start = sqlite3_column_blob(pointer, column)
    return UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(pointer, column)))
  }

  func text(_ column: Int32) -> String {
    sqlite3_column_text(pointer, column).map { String(cString: $0) } ?? ""
  }
}
