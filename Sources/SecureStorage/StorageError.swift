import CryptoCore
import Glibc

/// A record of a store, by name.
public enum RecordName: Hashable, Sendable, CustomStringConvertible {
  case token(UInt32)
  case pin(token: UInt32, role: PINRole)
  case object(token: UInt32, id: UInt64)

  public var description: String {
    switch self {
    case .token(let token): "the record of token \(token)"
    case .pin(let token, let role): "the \(role) PIN of token \(token)"
    case .object(let token, let id): "object \(id) of token \(token)"
    }
  }
}

/// What an older copy of a store looks like: how many commits the anchor has seen and how many the database holds.
public struct Rollback: Equatable, Sendable {
  /// The counter of the newest commit that the anchor vouches for.
  public let anchorCounter: UInt64
  /// The counter in the database; nil when there is no database at all.
  public let databaseCounter: UInt64?
  public let directory: String
}

/// Why the store does not open, or did not do what was asked. Names no secret, so it may be logged and shown.
public enum StorageError: Error, Equatable, Sendable {
  /// Another process has the store open.
  case inUse(directory: String, processID: Int32?)
  /// The database is older than the anchor says. Nothing was modified.
  case rolledBack(Rollback)
  /// The store as a whole is not what was written; the text says what differs. Nothing was modified.
  case tampered(String)
  /// A newer version of this program wrote the store. Nothing was modified.
  case newerSchema(found: Int64, supported: Int64)
  /// The database file is something else. Nothing was modified.
  case notAStore(String)
  /// The device key is missing, unusable or another store's; the text says which. Nothing was modified.
  case deviceKey(String)
  /// SQLite finds the database file broken.
  case databaseDamaged(String)
  /// This record does not open under its key. Others are not concerned; it can be deleted.
  case corrupt(RecordName)
  case notFound(RecordName)
  /// No space on the file system. Nothing of the change is visible; the store stays usable.
  case noSpace
  /// The system refused a file operation; `code` is the errno value.
  case io(operation: String, path: String, code: Int32)
  /// Syncing failed earlier, so that what is on disk is not known. Open the store again.
  case failed(String)
  /// The role has no PIN.
  case pinNotSet
  /// The PIN is wrong; so many tries remain.
  case pinIncorrect(remaining: UInt32)
  /// The tries are used up; the PIN was not looked at.
  case pinLocked
  /// libcrypto refused for a reason that is not the data's.
  case cryptography(String)
}

extension StorageError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .inUse(let directory, let processID):
      "the store \(directory) is in use by another process" + (processID.map { " (\($0))" } ?? "")
    case .rolledBack(let rollback): rollback.description
    case .tampered(let what):
      "the store was altered: \(what). Restore the newest copy of the store directory; if there is none and the "
        + "present content is to be trusted, run `strongroom store accept-rollback`. Nothing was modified."
    case .newerSchema(let found, let supported):
      "the store has schema version \(found), this program knows up to \(supported): use the newer program. "
        + "Nothing was modified."
    case .notAStore(let why): "not a store of this program: \(why). Nothing was modified."
    case .deviceKey(let why): "device key: \(why)"
    case .databaseDamaged(let why): "the database file is damaged (\(why)): restore the newest copy of the store"
    case .corrupt(let record): "\(record) is damaged"
    case .notFound(let record): "there is no such record: \(record)"
    case .noSpace: "no space left for the store; nothing was changed"
    case .io(let operation, let path, let code): "\(operation) \(path): \(String(cString: strerror(code)))"
    case .failed(let why): "the store stopped after a failed write (\(why)); open it again"
    case .pinNotSet: "the PIN is not set"
    case .pinIncorrect(let remaining): "the PIN is wrong; \(remaining) tries remain"
    case .pinLocked: "the PIN is locked"
    case .cryptography(let why): "cryptography failed: \(why)"
    }
  }
}

extension Rollback: CustomStringConvertible {
  public var description: String {
    let found = databaseCounter.map { "holds commit \($0)" } ?? "is missing"
    return "the store \(directory) was put back to an older state: its database \(found), but commit "
      + "\(anchorCounter) was already made. Restore the newest copy of the store directory; if there is none, "
      + "`strongroom store accept-rollback` goes on with the older state (older PINs and try counters included). "
      + "Nothing was modified."
  }
}

extension StorageError {
  init(_ error: CryptoError) { self = .cryptography("\(error.function): \(error.reason)") }

  /// The errno of a failed call as an error.
  static func fromErrno(_ operation: String, _ path: String) -> StorageError {
    let code = errno
    return isSpace(code) ? .noSpace : .io(operation: operation, path: path, code: code)
  }

  /// Whether `code` says that there is no room: a full file system, a quota, a file size limit.
  static func isSpace(_ code: Int32) -> Bool { code == ENOSPC || code == EDQUOT || code == EFBIG }
}

/// Runs `body` with libcrypto's errors turned into this room's.
@inline(__always)
func cryptography<T: ~Copyable>(_ body: () throws(CryptoError) -> T) throws(StorageError) -> T {
  do throws(CryptoError) { return try body() } catch { throw StorageError(error) }
}
