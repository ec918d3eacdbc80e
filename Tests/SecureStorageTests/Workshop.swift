import CryptoCore
import Foundation
import Glibc
import Synchronization
import Testing

@testable import SecureStorage

/// A directory of a test's own, removed at its end.
final class Workshop {
  let root: String

  init() throws {
    var template = Array("/tmp/strongroom-storage-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw StorageError.fromErrno("mkdtemp", "/tmp") }
    root = String(cString: made)
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  var store: String { root + "/store" }

  func open() throws(StorageError) -> SecureStore { try openCheaply(store) }

  /// All files of the store but the lock, with their content.
  func files() throws -> [String: Data] {
    var files: [String: Data] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: store) where name != "lock" {
      files[name] = try Data(contentsOf: URL(fileURLWithPath: store + "/" + name))
    }
    return files
  }

  func read(_ name: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: store + "/" + name)) }

  func write(_ name: String, _ content: Data) throws {
    try content.write(to: URL(fileURLWithPath: store + "/" + name))
    chmod(store + "/" + name, 0o600)
  }

  func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: store + "/" + name) }

  /// Puts back everything of `files` but what `except` names; removes files that are not in it.
  func restore(_ files: [String: Data], except: Set<String> = []) throws {
    for name in try self.files().keys where files[name] == nil && !except.contains(name) { try remove(name) }
    for (name, content) in files where !except.contains(name) { try write(name, content) }
  }

  /// Alters the closed database as somebody with an SQL shell would.
  func alter(_ sql: String) throws {
    let database = try Database(path: store + "/strongroom.db")
    try database.execute(sql)
    database.close()
  }

  /// The error with which the store refuses to open, after checking that refusing changed no file.
  func refusal() throws -> StorageError? {
    let before = try files()
    do throws(StorageError) {
      _ = try open()
      return nil
    } catch {
      #expect(try files() == before, "refusing leaves every file as it was")
      return error
    }
  }
}

/// With a scrypt that costs next to nothing.
func openCheaply(_ directory: String) throws(StorageError) -> SecureStore {
  try SecureStore.open(directory: directory, schema: .current, pinCost: PINCost(n: 16, r: 1, p: 1))
}

extension Transaction {
  /// Seals an object and writes it, in one.
  func insert(
    token: UInt32, publicPart: [UInt8], privatePart: NewPrivatePart? = nil
  ) throws(StorageError) -> StoredObject {
    try insert(store.prepare(token: token, publicPart: publicPart, privatePart: privatePart))
  }
}

extension SecureStore {
  @discardableResult
  func insert(_ text: String, token: UInt32 = 1, secret: NewPrivatePart? = nil) throws(StorageError) -> StoredObject {
    try commit { (transaction) throws(StorageError) in
      try transaction.insert(token: token, publicPart: Array(text.utf8), privatePart: secret)
    }
  }

  func texts(token: UInt32 = 1) throws(StorageError) -> [String] {
    try objects(of: token).map { String(decoding: $0.publicPart, as: UTF8.self) }
  }
}

extension SecureStore {
  /// The private parts of all objects that open, by id, made by two threads from parts of different sizes.
  func unsealAll(_ objects: [StoredObject], with key: PrivatePartKey) -> [(UInt64, [UInt8])] {
    let left = Mutex(objects[...])
    let found = Mutex<[(UInt64, [UInt8])]>([])
    unsealPrivate(
      with: key, isMany: true,
      {
        left.withLock { left in
          let part = Array(left.prefix(1 + left.count % 97))
          left.removeFirst(part.count)
          return part
        }
      },
      { object, bytes in (object.id, [UInt8](bytes)) },
      { made in found.withLock { $0 += made } })
    return found.withLock { $0 }
  }
}

func secret(_ text: String) -> SecretBytes { SecretBytes(copying: Array(text.utf8)) }

func plain(_ secret: SecretBytes) -> [UInt8] { secret.withBytes { Array($0) } }

extension StorageError {
  var isTampered: Bool { if case .tampered = self { true } else { false } }
  var isDeviceKey: Bool { if case .deviceKey = self { true } else { false } }
  var isNotAStore: Bool { if case .notAStore = self { true } else { false } }
  var isDatabaseDamaged: Bool { if case .databaseDamaged = self { true } else { false } }
  var rollback: Rollback? { if case .rolledBack(let rollback) = self { rollback } else { nil } }
}

/// Runs `body` on `count` threads at once, whatever the number of cores, and waits for all.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  let group = DispatchGroup()
  for number in 0..<count {
    group.enter()
    let thread = Foundation.Thread {
      body(number)
      group.leave()
    }
    thread.start()
  }
  group.wait()
}
