/// The tables of each schema version and the way from one to the next.
///
/// `user_version` holds the version. An older store is brought forward, a newer one refused.
struct Schema: Sendable {
  /// One schema version.
  struct Version: Sendable {
    let number: Int64
    /// What makes this version from the one before (the first: from an empty file).
    let migration: [String]
    /// Every statement in sqlite_schema of this version; anything else there was put in by somebody else.
    let objects: Set<String>
  }

  /// "SRoo", in the file's header.
  static let applicationID: Int64 = 0x5352_6F6F

  /// Oldest first, numbered from 1 without a gap.
  let versions: [Version]

  var newest: Version { versions[versions.count - 1] }

  func version(_ number: Int64) -> Version? { versions.first { $0.number == number } }

  static let current = Schema(versions: [
    Version(number: 1, migration: tables, objects: Set(tables))
  ])

  private static let tables = [
    "CREATE TABLE state (id INTEGER PRIMARY KEY, store_id BLOB NOT NULL, key_check BLOB NOT NULL, "
      + "sealed BLOB NOT NULL) STRICT",
    "CREATE TABLE tokens (token INTEGER PRIMARY KEY, version INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT",
    "CREATE TABLE pins (token INTEGER NOT NULL, role INTEGER NOT NULL, version INTEGER NOT NULL, "
      + "sealed BLOB NOT NULL, PRIMARY KEY (token, role)) STRICT, WITHOUT ROWID",
    "CREATE TABLE objects (id INTEGER PRIMARY KEY, token INTEGER NOT NULL, version INTEGER NOT NULL, "
      + "private_version INTEGER NOT NULL, public BLOB NOT NULL, private BLOB) STRICT",
  ]
}

/// Every statement the store runs after opening, prepared once.
struct Statements {
  let begin: Statement
  let commit: Statement
  let rollback: Statement
  let savepoint: Statement
  let release: Statement
  let rollbackToSavepoint: Statement
  let putState: Statement
  let token: Statement
  let tokens: Statement
  let putToken: Statement
  let deleteToken: Statement
  let pin: Statement
  let putPIN: Statement
  let deletePIN: Statement
  let object: Statement
  let objects: Statement
  let objectNames: Statement
  let insertObject: Statement
  let updateObject: Statement
  let deleteObject: Statement
  let deleteObjects: Statement

  init(_ database: Database) throws(StorageError) {
    begin = try database.prepare("BEGIN IMMEDIATE")
    commit = try database.prepare("COMMIT")
    rollback = try database.prepare("ROLLBACK")
    savepoint = try database.prepare("SAVEPOINT writer")
    release = try database.prepare("RELEASE writer")
    rollbackToSavepoint = try database.prepare("ROLLBACK TO writer")
    putState = try database.prepare("UPDATE state SET sealed = ?1 WHERE id = 1")
    token = try database.prepare("SELECT version, sealed FROM tokens WHERE token = ?1")
    tokens = try database.prepare("SELECT token, version, sealed FROM tokens ORDER BY token")
    putToken = try database.prepare("INSERT OR REPLACE INTO tokens (token, version, sealed) VALUES (?1, ?2, ?3)")
    deleteToken = try database.prepare("DELETE FROM tokens WHERE token = ?1")
    pin = try database.prepare("SELECT version, sealed FROM pins WHERE token = ?1 AND role = ?2")
    putPIN = try database.prepare(
      "INSERT OR REPLACE INTO pins (token, role, version, sealed) VALUES (?1, ?2, ?3, ?4)")
    deletePIN = try database.prepare("DELETE FROM pins WHERE token = ?1 AND role = ?2")
    let columns = "id, token, version, private_version, public, private"
    object = try database.prepare("SELECT \(columns) FROM objects WHERE id = ?1 AND token = ?2")
    objects = try database.prepare("SELECT \(columns) FROM objects WHERE token = ?1 ORDER BY id")
    objectNames = try database.prepare("SELECT id, version FROM objects WHERE token = ?1")
    insertObject = try database.prepare(
      "INSERT INTO objects (\(columns)) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
    updateObject = try database.prepare(
      "UPDATE objects SET version = ?2, private_version = ?3, public = ?4, private = ?5 WHERE id = ?1")
    deleteObject = try database.prepare("DELETE FROM objects WHERE id = ?1")
    deleteObjects = try database.prepare("DELETE FROM objects WHERE token = ?1")
  }
}
