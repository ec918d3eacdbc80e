import CryptoCore
import Foundation
import Glibc
import Testing

@testable import SecureStorage

@Suite("Tampering and rollback")
struct TamperTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  /// A closed store with three objects, a token and a PIN.
  private func fill() throws {
    let store = try workshop.open()
    try store.commit { (transaction) throws(StorageError) in
      try transaction.put(StoredToken(token: 1, content: Array("token".utf8)))
      for text in ["one", "two", "three"] { _ = try transaction.insert(token: 1, publicPart: Array(text.utf8)) }
    }
    try store.setPIN(1, .user, pin: secret("1234"), tokenKey: .random(count: 32))
  }

  private func change(_ text: String) throws {
    let store = try workshop.open()
    try store.insert(text)
  }

  // MARK: Rollback

  @Test("an older copy of the database is refused, with or without its log")
  func olderCopy() throws {
    try fill()
    let old = try workshop.files()
    try change("four")
    let new = try workshop.files()

    for except in [["anchor"], ["anchor", "strongroom.db-wal"], ["anchor", "strongroom.db"]] as [Set<String>] {
      try workshop.restore(new)
      try workshop.restore(old, except: except)
      if except.contains("strongroom.db-wal") { try workshop.remove("strongroom.db-wal") }
      if except.contains("strongroom.db") {
        // The newest file with the older log: the checkpoint at closing moved everything into the file, so whichever
        // of the two SQLite takes, the result is either whole or refused.
        if let refusal = try workshop.refusal() { #expect(refusal.rollback != nil || refusal.isTampered) }
        continue
      }
      let rollback = try #require(try workshop.refusal()?.rollback)
      #expect(rollback.databaseCounter.map { $0 < rollback.anchorCounter } == true)
      #expect(StorageError.rolledBack(rollback).description.contains("strongroom store accept-rollback"))
    }
    try workshop.restore(new)
    #expect(try workshop.open().texts() == ["one", "two", "three", "four"], "the newest copy still opens")
  }

  @Test("accepting an older copy goes on with it and makes the newer one the older")
  func acceptance() throws {
    try fill()
    let old = try workshop.files()
    try change("four")
    let new = try workshop.files()
    try workshop.restore(old, except: ["anchor"])
    let accepted = try #require(try SecureStore.acceptRollback(directory: workshop.store))
    #expect(accepted.databaseCounter.flatMap { found in accepted.anchorCounter.map { found < $0 } } == true)
    #expect(!accepted.recordsDiffered)
    #expect(try workshop.open().texts() == ["one", "two", "three"])
    #expect(try SecureStore.acceptRollback(directory: workshop.store) == nil, "there is nothing to accept any more")
    try workshop.restore(new, except: ["anchor"])
    #expect(try workshop.refusal()?.rollback != nil)
  }

  @Test("a missing database is refused; accepting makes an empty store")
  func missingDatabase() throws {
    try fill()
    try workshop.remove("strongroom.db")
    try workshop.remove("strongroom.db-wal")
    let rollback = try #require(try workshop.refusal()?.rollback)
    #expect(rollback.databaseCounter == nil)
    #expect(rollback.description.contains("is missing"))
    #expect(try SecureStore.acceptRollback(directory: workshop.store) != nil)
    #expect(try workshop.open().texts().isEmpty)
  }

  @Test("a database ahead of the anchor is a crash, not a rollback, and the anchor is advanced")
  func crashBeforeAnchor() throws {
    try fill()
    let anchor = try workshop.read("anchor")
    try change("four")
    let newest = try workshop.read("anchor")
    try workshop.write("anchor", anchor)
    #expect(try workshop.open().texts().last == "four")
    let keys = try workshop.open().keys
    let directory = try StoreDirectory(path: workshop.store)
    let now = try Anchor.read(in: directory, keys: keys)
    try workshop.write("anchor", newest)
    #expect(try Anchor.read(in: directory, keys: keys) == now)
  }

  @Test("a missing anchor is refused unless accepted")
  func missingAnchor() throws {
    try fill()
    try workshop.remove("anchor")
    #expect(try workshop.refusal()?.isTampered == true)
    let accepted = try #require(try SecureStore.acceptRollback(directory: workshop.store))
    #expect(accepted.anchorCounter == nil)
    #expect(try workshop.open().texts().count == 3)
  }

  @Test("a torn anchor slot is survived when the database is ahead, and refused when it is not")
  func tornAnchor() throws {
    try fill()
    try change("four")
    let good = try workshop.read("anchor")
    // Where the newest counter is.
    let counters = [0, 4096].map { offset in
      good[offset + 24..<offset + 32].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    }
    let newest = counters[0] > counters[1] ? 0 : 4096
    #expect(counters[0] != counters[1])

    // The newer slot is torn: what the power failing during its writing leaves.
    var torn = good
    torn[newest + 40] ^= 1
    try workshop.write("anchor", torn)
    do { #expect(try workshop.open().texts().count == 4) }

    // The same damage beside a database that is as old as the other slot.
    try change("five")
    let files = try workshop.files()
    do {
      let store = try workshop.open()
      try store.insert("six")
    }
    var anchor = try workshop.read("anchor")
    let after = [0, 4096].map { offset in
      anchor[offset + 24..<offset + 32].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    }
    let last = after[0] > after[1] ? 0 : 4096
    anchor[last] ^= 1
    try workshop.restore(files, except: ["anchor"])
    try workshop.write("anchor", anchor)
    #expect(try workshop.refusal()?.rollback != nil, "destroying the newest slot does not help an older database")
  }

  @Test("garbage, truncated and foreign anchors are refused")
  func badAnchors() throws {
    try fill()
    let good = try workshop.read("anchor")
    #expect(good.count == Anchor.byteCount)
    for bad in [Data(), Data(good.prefix(40)), Data(repeating: 0x5A, count: 8192), Data(count: 8192)] {
      try workshop.write("anchor", bad)
      #expect(try workshop.refusal()?.isTampered == true)
    }
    let other = try Workshop()
    do { try other.open().insert("other") }
    try workshop.write("anchor", try other.read("anchor"))
    let refusal = try #require(try workshop.refusal())
    #expect(refusal.description.contains("another store"))
    // One byte of a counter raised, without the key for its code.
    var raised = good
    raised[24] &+= 1
    raised[4096 + 24] &+= 1
    try workshop.write("anchor", raised)
    #expect(try workshop.refusal()?.isTampered == true)
    try workshop.write("anchor", good)
    #expect(try workshop.refusal() == nil)
  }

  // MARK: Rows

  @Test("a deleted row is detected", arguments: ["objects WHERE id = 2", "tokens", "pins"])
  func deletedRow(_ rows: String) throws {
    try fill()
    try workshop.alter("DELETE FROM \(rows)")
    #expect(try workshop.refusal()?.isTampered == true)
    let accepted = try #require(try SecureStore.acceptRollback(directory: workshop.store))
    #expect(accepted.recordsDiffered)
    let store = try workshop.open()
    #expect(store.damaged.isEmpty)
  }

  @Test("an old row pasted in is detected", arguments: ["objects", "tokens", "pins"])
  func replayedRow(_ table: String) throws {
    try fill()
    let copy = workshop.root + "/old.db"
    try FileManager.default.copyItem(atPath: workshop.store + "/strongroom.db", toPath: copy)
    do {
      let store = try workshop.open()
      try store.commit { (transaction) throws(StorageError) in
        try transaction.put(StoredToken(token: 1, content: Array("renamed".utf8)))
        _ = try transaction.update(1, of: 1, publicPart: Array("changed".utf8))
      }
      #expect(throws: StorageError.pinIncorrect(remaining: 9)) { try store.unlock(1, .user, pin: secret("0000")) }
    }
    try workshop.alter("ATTACH '\(copy)' AS old; INSERT OR REPLACE INTO main.\(table) SELECT * FROM old.\(table)")
    #expect(try workshop.refusal()?.isTampered == true)
  }

  @Test("the old state row pasted in is detected, alone and with all its records")
  func replayedState() throws {
    try fill()
    let copy = workshop.root + "/old.db"
    try FileManager.default.copyItem(atPath: workshop.store + "/strongroom.db", toPath: copy)
    try change("four")
    try workshop.alter("ATTACH '\(copy)' AS old; INSERT OR REPLACE INTO main.state SELECT * FROM old.state")
    #expect(try workshop.refusal()?.rollback != nil)
    try workshop.alter("DELETE FROM objects WHERE id = 4")
    #expect(try workshop.refusal()?.rollback != nil)
  }

  @Test("rows with exchanged contents are damaged records, rows with exchanged numbers are refused")
  func swappedRows() throws {
    try fill()
    let files = try workshop.files()
    try workshop.alter(
      "CREATE TEMP TABLE t AS SELECT id, public, version FROM objects; "
        + "UPDATE objects SET public = (SELECT public FROM t WHERE t.id = 3 - objects.id) WHERE id < 3")
    do {
      let store = try workshop.open()
      #expect(store.damaged == [.object(token: 1, id: 1), .object(token: 1, id: 2)])
      #expect(try store.texts() == ["three"], "the others stay usable")
      #expect(throws: StorageError.corrupt(.object(token: 1, id: 2))) { try store.object(2, of: 1) }
    }
    try workshop.restore(files)
    try workshop.alter(
      "CREATE TEMP TABLE t AS SELECT id, public, version FROM objects; "
        + "UPDATE objects SET (public, version) = "
        + "(SELECT public, version FROM t WHERE t.id = 3 - objects.id) WHERE id < 3"
    )
    #expect(try workshop.refusal()?.isTampered == true)
    try workshop.restore(files)
    try workshop.alter("UPDATE objects SET token = 2 WHERE id = 1")
    #expect(try workshop.refusal()?.isTampered == true)
  }

  @Test("a damaged object is reported, can be deleted, and harms no other", arguments: [0, 5, 12, 20, 35])
  func damagedObject(_ offset: Int) throws {
    try fill()
    try workshop.alter(
      "UPDATE objects SET public = "
        + "CAST(substr(public, 1, \(offset)) || x'00FF' || substr(public, \(offset + 3)) AS BLOB) "
        + "WHERE id = 2")
    do {
      let store = try workshop.open()
      #expect(store.damaged == [.object(token: 1, id: 2)])
      #expect(try store.texts() == ["one", "three"])
      #expect(throws: StorageError.corrupt(.object(token: 1, id: 2))) {
        try store.commit { (transaction) throws(StorageError) in
          try transaction.update(2, of: 1, publicPart: [])
        }
      }
      try store.insert("four")
      try store.commit { (transaction) throws(StorageError) in try transaction.delete(2, of: 1) }
    }
    let store = try workshop.open()
    #expect(store.damaged.isEmpty)
    #expect(try store.texts() == ["one", "three", "four"])
  }

  @Test("a damaged token record and a damaged PIN are reported and can be replaced")
  func damagedTokenAndPIN() throws {
    try fill()
    try workshop.alter("UPDATE tokens SET sealed = x'00'; UPDATE pins SET sealed = zeroblob(100)")
    do {
      let store = try workshop.open()
      #expect(store.damaged == [.token(1), .pin(token: 1, role: .user)])
      #expect(throws: StorageError.corrupt(.token(1))) { try store.token(1) }
      #expect(throws: StorageError.corrupt(.pin(token: 1, role: .user))) {
        try store.unlock(1, .user, pin: secret("1234"))
      }
      #expect(throws: StorageError.corrupt(.pin(token: 1, role: .user))) { try store.pinStatus(1, .user) }
      try store.commit { (transaction) throws(StorageError) in
        try transaction.put(StoredToken(token: 1, content: [9]))
      }
      try store.setPIN(1, .user, pin: secret("5678"), tokenKey: .random(count: 32))
    }
    let store = try workshop.open()
    #expect(store.damaged.isEmpty)
    #expect(try store.token(1)?.content == [9])
  }

  @Test("a private part from an older writing of its object is damage")
  func replayedPrivatePart() throws {
    let copy = workshop.root + "/old.db"
    do {
      let store = try workshop.open()
      let key = try store.privatePartKey(token: 1, tokenKey: .random(count: 32))
      let object = try store.insert("a", secret: NewPrivatePart(secret("old"), key: key))
      store.database.checkpoint()
      try FileManager.default.copyItem(atPath: workshop.store + "/strongroom.db", toPath: copy)
      _ = try store.commit { (transaction) throws(StorageError) in
        try transaction.update(object.id, of: 1, publicPart: [1], privatePart: .replaced(secret("new"), key))
      }
    }
    try workshop.alter(
      "ATTACH '\(copy)' AS old; UPDATE main.objects SET private_version = "
        + "(SELECT private_version FROM old.objects), private = (SELECT private FROM old.objects)")
    #expect(try workshop.open().damaged == [.object(token: 1, id: 1)])
  }

  @Test("a damaged state row stops the store")
  func damagedState() throws {
    try fill()
    let files = try workshop.files()
    for alteration in [
      "UPDATE state SET sealed = zeroblob(100)", "DELETE FROM state", "UPDATE state SET store_id = x'01'",
      "UPDATE state SET sealed = x''",
    ] {
      try workshop.restore(files)
      try workshop.alter(alteration)
      #expect(try workshop.refusal()?.isTampered == true, "\(alteration)")
      #expect(throws: StorageError.self) { try SecureStore.acceptRollback(directory: workshop.store) }
    }
  }

  // MARK: Files

  @Test("a trigger, view, index or table that somebody added is refused")
  func addedSchema() throws {
    try fill()
    let files = try workshop.files()
    for addition in [
      "CREATE TRIGGER t AFTER INSERT ON objects BEGIN DELETE FROM pins; END", "CREATE VIEW v AS SELECT * FROM objects",
      "CREATE INDEX i ON objects (token)", "CREATE TABLE t (a)", "ALTER TABLE objects ADD COLUMN extra BLOB",
    ] {
      try workshop.restore(files)
      try workshop.alter(addition)
      #expect(try workshop.refusal()?.isTampered == true, "\(addition)")
    }
  }

  @Test("a newer schema, another application's database and an unauthentic version are refused")
  func otherDatabases() throws {
    try fill()
    let files = try workshop.files()
    try workshop.alter("PRAGMA user_version = 2")
    let newer = try #require(try workshop.refusal())
    #expect(newer == .newerSchema(found: 2, supported: 1))
    #expect(newer.description.contains("newer program"))
    try workshop.restore(files)
    try workshop.alter("PRAGMA application_id = 5")
    #expect(try workshop.refusal()?.isNotAStore == true)
    try workshop.restore(files)
    try workshop.alter("PRAGMA user_version = 0")
    #expect(try workshop.refusal()?.isTampered == true)
  }

  @Test("truncated and garbage database files are refused and nothing traps")
  func brokenDatabase() throws {
    try fill()
    // All content into the file, so that the log cannot stand in for it.
    try workshop.remove("strongroom.db-wal")
    try #require(try workshop.refusal() == nil)
    try workshop.remove("strongroom.db-wal")
    let files = try workshop.files()
    let good = try workshop.read("strongroom.db")
    for count in [0, 1, 50, 100, 512, 4096, 8192, good.count - 4096, good.count - 1] {
      try workshop.restore(files)
      try workshop.write("strongroom.db", good.prefix(count))
      // A few bytes short is damage to one record; SQLite reads them as zeros.
      if try workshop.refusal() == nil { #expect(try !workshop.open().damaged.isEmpty, "\(count) of \(good.count)") }
    }
    try workshop.restore(files)
    try workshop.write("strongroom.db", Data(repeating: 0x47, count: good.count))
    #expect(try workshop.refusal()?.isNotAStore == true)
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<60 {
      try workshop.restore(files)
      var damaged = good
      for _ in 0..<8 { damaged[Int.random(in: 0..<damaged.count, using: &generator)] = .random(in: 0...255) }
      try workshop.write("strongroom.db", damaged)
      // Whatever was hit: refused, or every record is as it was or reported.
      guard let store = try? workshop.open() else { continue }
      let texts = try store.texts()
      #expect(texts.allSatisfy { ["one", "two", "three"].contains($0) })
      #expect(texts.count + store.damaged.filter { if case .object = $0 { true } else { false } }.count == 3)
    }
  }

  @Test("a garbage log is as good as none")
  func garbageLog() throws {
    try fill()
    let count = try workshop.read("strongroom.db-wal").count
    try workshop.write("strongroom.db-wal", Data((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }))
    #expect(try workshop.open().texts() == ["one", "two", "three"], "closing had moved the log into the file")
  }

  @Test("the device key: missing, short, open to others or another store's is refused with the reason")
  func deviceKey() throws {
    try fill()
    let good = try workshop.read("device.key")
    #expect(good.count == 32)
    func refused(_ reason: String) throws {
      let refusal = try #require(try workshop.refusal())
      #expect(refusal.isDeviceKey)
      #expect(refusal.description.contains(reason), "\(refusal)")
    }
    try workshop.remove("device.key")
    try refused("is missing")
    try workshop.write("device.key", good.prefix(31))
    try refused("31 bytes")
    try workshop.write("device.key", Data(repeating: 1, count: 32))
    try refused("not the key that")
    try workshop.write("device.key", good)
    chmod(workshop.store + "/device.key", 0o640)
    try refused("mode 600")
    chmod(workshop.store + "/device.key", 0o600)
    #expect(try workshop.refusal() == nil)
  }

  @Test("the making of a store that was interrupted anywhere is finished at the next opening")
  func interruptedCreation() throws {
    do { _ = try workshop.open() }
    let files = try workshop.files()
    #expect(Set(files.keys) == ["device.key", "anchor", "strongroom.db", "strongroom.db-wal"])
    let zero = try #require(files["anchor"])
    // The device key alone; then with the anchor as it is before the first commit.
    try workshop.restore(["device.key": files["device.key"]!])
    do { #expect(try workshop.open().texts().isEmpty) }
    let keys: StoreKeys
    do { keys = try workshop.open().keys }
    do { _ = try Anchor.create(in: StoreDirectory(path: workshop.store), keys: keys, counter: 0) }
    let start = try workshop.read("anchor")
    #expect(start != zero)
    let key = try workshop.read("device.key")
    try workshop.restore(["device.key": key, "anchor": start])
    do { #expect(try workshop.open().texts().isEmpty) }
    // With the database made and empty, as a file of no bytes and as one with a header.
    try workshop.restore(["device.key": key, "anchor": start, "strongroom.db": Data()])
    do { #expect(try workshop.open().texts().isEmpty) }
    try workshop.restore(["device.key": key, "anchor": start])
    try workshop.alter("PRAGMA journal_mode = WAL")
    #expect(try workshop.read("strongroom.db").count > 0)
    do {
      let store = try workshop.open()
      try store.insert("works")
    }
    #expect(try workshop.open().texts() == ["works"])
    for name in ["device.key", "anchor", "strongroom.db", "strongroom.db-wal"] {
      var status = stat()
      #expect(stat(workshop.store + "/" + name, &status) == 0)
      #expect(status.st_mode & 0o777 == 0o600, "\(name) is its owner's alone")
    }
    var status = stat()
    #expect(stat(workshop.store, &status) == 0 && status.st_mode & 0o777 == 0o700)
  }

  @Test("an older schema is migrated once, and then belongs to the newer program")
  func migration() throws {
    try fill()
    let column = "ALTER TABLE tokens ADD COLUMN note TEXT"
    let first = Schema.current.newest
    let changed = first.objects.map {
      $0.hasPrefix("CREATE TABLE tokens")
        ? $0.replacingOccurrences(of: "NULL) STRICT", with: "NULL, note TEXT) STRICT") : $0
    }
    let second = Schema.Version(number: 2, migration: [column], objects: Set(changed))
    let schema = Schema(versions: [first, second])
    let cost = PINCost(n: 16, r: 1, p: 1)
    do {
      let store = try SecureStore.open(directory: workshop.store, schema: schema, pinCost: cost)
      #expect(try store.texts() == ["one", "two", "three"])
      #expect(try store.database.number("PRAGMA user_version") == 2)
      try store.insert("four")
    }
    #expect(try workshop.refusal() == .newerSchema(found: 2, supported: 1))
    let store = try SecureStore.open(directory: workshop.store, schema: schema, pinCost: cost)
    #expect(try store.texts() == ["one", "two", "three", "four"])
  }
}
