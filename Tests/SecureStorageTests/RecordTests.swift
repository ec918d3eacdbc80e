import CryptoCore
import Foundation
import Testing

@testable import SecureStorage

@Suite("Records")
struct RecordTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  @Test("what was committed is there after reopening")
  func persistence() throws {
    do {
      let store = try workshop.open()
      try store.commit { (transaction) throws(StorageError) in
        try transaction.put(StoredToken(token: 7, content: [1, 2, 3]))
        try transaction.put(StoredToken(token: 2, content: []))
      }
      try store.insert("one")
      try store.insert("two")
      try store.insert("elsewhere", token: 9)
      try store.insert("")
    }
    let store = try workshop.open()
    #expect(
      try store.tokens() == [StoredToken(token: 2, content: []), StoredToken(token: 7, content: [1, 2, 3])])
    #expect(try store.token(7)?.content == [1, 2, 3])
    #expect(try store.token(3) == nil)
    #expect(try store.texts() == ["one", "two", ""])
    #expect(try store.texts(token: 9) == ["elsewhere"])
    #expect(store.damaged.isEmpty)
  }

  @Test("a store is reached through symbolic links above it, but its files are never links")
  func symbolicLinks() throws {
    do { try workshop.open().insert("one") }
    let link = workshop.root + "/link"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: workshop.root)
    do { #expect(try openCheaply(link + "/store").texts() == ["one"]) }
    try FileManager.default.moveItem(atPath: workshop.store + "/strongroom.db", toPath: workshop.root + "/moved.db")
    try FileManager.default.createSymbolicLink(
      atPath: workshop.store + "/strongroom.db", withDestinationPath: workshop.root + "/moved.db")
    let refusal = #expect(throws: StorageError.self) { try workshop.open() }
    #expect(refusal?.isNotAStore == true)
  }

  @Test("the log is reused and does not grow with the number of commits")
  func logSize() throws {
    let store = try workshop.open()
    for number in 0..<1500 { try store.insert("\(number)") }
    #expect(try workshop.read("strongroom.db-wal").count == 4 << 20)
  }

  @Test("what opening read is handed out once, and not after a change")
  func handedOut() throws {
    do {
      let store = try workshop.open()
      for number in 0..<50 { try store.insert("\(number)", token: UInt32(number % 3)) }
    }
    let expected = stride(from: 0, to: 50, by: 3).map(String.init)
    do {
      let store = try workshop.open()
      let token = UInt32(0)
      #expect(try store.objects(of: token).map(\.publicPart) == expected.map { Array($0.utf8) })
      #expect(try store.texts(token: 0) == expected, "the second reading")
      try store.insert("late", token: 1)
      #expect(try store.texts(token: 1).last == "late")
      #expect(try store.texts(token: 1).count == 18)
      #expect(try store.texts(token: 2).count == 16)
      #expect(try store.texts(token: 7).isEmpty)
    }
  }

  @Test("many objects, read by two threads, are those that were written, and open on two threads")
  func many() throws {
    var written: [[UInt8]] = []
    do {
      let store = try workshop.open()
      let key = try store.publicObjectSecretKey(token: 1)
      for batch in 0..<20 {
        try store.commit { (transaction) throws(StorageError) in
          for number in 0..<100 {
            // Beyond what is handed over at once, and of every length.
            let text = [UInt8](repeating: UInt8(number), count: batch * 100 + number)
            written.append(text)
            let part = NewPrivatePart(SecretBytes(copying: text), key: key)
            _ = try transaction.insert(token: 1, publicPart: [UInt8(number % 2)], privatePart: part)
          }
        }
      }
      _ = try store.insert("of another token", token: 2, secret: nil)
    }
    let store = try workshop.open()
    let objects = try store.objects(of: 1)
    #expect(objects.map(\.publicPart) == (0..<2000).map { [UInt8($0 % 2)] })
    #expect(objects.map(\.id) == objects.map(\.id).sorted())
    let key = try store.publicObjectSecretKey(token: 1)
    let opened = store.unsealAll(objects, with: key)
    #expect(opened.sorted { $0.0 < $1.0 }.map(\.1) == written)
    let other = try store.publicObjectSecretKey(token: 2)
    #expect(store.unsealAll(objects, with: other).isEmpty)
    for (object, text) in zip(objects, written) { #expect(plain(try store.unsealPrivate(object, with: key)) == text) }
  }

  @Test("a damaged record among many is named, the others are sound")
  func oneOfMany() throws {
    do {
      let store = try workshop.open()
      for batch in 0..<30 {
        try store.commit { (transaction) throws(StorageError) in
          for _ in 0..<50 {
            _ = try transaction.insert(token: 1, publicPart: [UInt8](repeating: UInt8(batch), count: 600))
          }
        }
      }
    }
    try workshop.alter("UPDATE objects SET public = zeroblob(100) WHERE id IN (700, 1400)")
    let store = try workshop.open()
    #expect(store.damaged == [.object(token: 1, id: 700), .object(token: 1, id: 1400)])
    #expect(try store.objects(of: 1).count == 1498)
  }

  @Test("an id is never used twice, deleted or not, reopened or not")
  func ids() throws {
    var ids: [UInt64] = []
    for _ in 0..<3 {
      let store = try workshop.open()
      let object = try store.insert("short-lived")
      ids.append(object.id)
      try store.commit { (transaction) throws(StorageError) in try transaction.delete(object.id, of: 1) }
      let failed = #expect(throws: StorageError.self) {
        try store.commit { (transaction) throws(StorageError) in
          ids.append(try transaction.insert(token: 1, publicPart: []).id)
          throw .pinNotSet
        }
      }
      #expect(failed == .pinNotSet)
      ids.append(try store.insert("again").id)
    }
    #expect(Set(ids).count == ids.count || ids.count == 9)
    let kept = stride(from: 0, to: 9, by: 3).flatMap { [ids[$0], ids[$0 + 2]] }
    #expect(Set(kept).count == kept.count)
    #expect(kept == kept.sorted())
  }

  @Test("update replaces, delete removes, and both know what is not there")
  func updateAndDelete() throws {
    let store = try workshop.open()
    let object = try store.insert("before")
    let updated = try store.commit { (transaction) throws(StorageError) in
      try transaction.update(object.id, of: 1, publicPart: Array("after".utf8))
    }
    #expect(updated.id == object.id)
    #expect(try store.object(object.id, of: 1)?.publicPart == Array("after".utf8))
    #expect(try store.object(object.id, of: 2) == nil, "an object belongs to its token")
    let missing = StorageError.notFound(.object(token: 2, id: object.id))
    #expect(throws: missing) {
      try store.commit { (transaction) throws(StorageError) in try transaction.delete(object.id, of: 2) }
    }
    #expect(throws: missing) {
      try store.commit { (transaction) throws(StorageError) in
        try transaction.update(object.id, of: 2, publicPart: [])
      }
    }
    try store.commit { (transaction) throws(StorageError) in try transaction.delete(object.id, of: 1) }
    #expect(try store.object(object.id, of: 1) == nil)
    #expect(throws: StorageError.notFound(.object(token: 1, id: object.id))) {
      try store.commit { (transaction) throws(StorageError) in try transaction.delete(object.id, of: 1) }
    }
  }

  @Test("a commit that throws leaves nothing, a commit of two objects leaves both")
  func atomicity() throws {
    do {
      let store = try workshop.open()
      #expect(throws: StorageError.pinLocked) {
        try store.commit { (transaction) throws(StorageError) in
          _ = try transaction.insert(token: 1, publicPart: [1])
          try transaction.put(StoredToken(token: 1, content: [1]))
          throw .pinLocked
        }
      }
      #expect(try store.texts().isEmpty)
      #expect(try store.token(1) == nil)
      try store.commit { (transaction) throws(StorageError) in
        let publicKey = try transaction.insert(token: 1, publicPart: Array("public".utf8))
        _ = try transaction.insert(token: 1, publicPart: Array("private".utf8))
        #expect(try transaction.object(publicKey.id, of: 1) == publicKey, "a commit sees its own changes")
      }
    }
    #expect(try workshop.open().texts() == ["public", "private"])
  }

  @Test("deleting a token takes its objects and PINs and leaves other tokens'")
  func deleteToken() throws {
    do {
      let store = try workshop.open()
      try store.commit { (transaction) throws(StorageError) in
        try transaction.put(StoredToken(token: 1, content: [1]))
        try transaction.put(StoredToken(token: 2, content: [2]))
      }
      try store.setPIN(1, .user, pin: secret("1234"), tokenKey: .random(count: 32))
      try store.setPIN(2, .user, pin: secret("1234"), tokenKey: .random(count: 32))
      for number in 0..<10 { try store.insert("\(number)", token: UInt32(1 + number % 2)) }
      try store.commit { (transaction) throws(StorageError) in try transaction.deleteToken(1) }
      #expect(throws: StorageError.notFound(.token(1))) {
        try store.commit { (transaction) throws(StorageError) in try transaction.deleteToken(1) }
      }
    }
    let store = try workshop.open()
    #expect(try store.tokens().map(\.token) == [2])
    #expect(try store.texts(token: 1).isEmpty)
    #expect(try store.texts(token: 2).count == 5)
    #expect(try store.pinStatus(1, .user) == nil)
    #expect(try store.pinStatus(2, .user) != nil)
  }

  @Test("a private part opens with its token's key only")
  func privateParts() throws {
    let tokenKey = try SecretBytes.random(count: 32)
    let object: StoredObject
    do {
      let store = try workshop.open()
      let key = try store.privatePartKey(token: 1, tokenKey: tokenKey)
      object = try store.insert("label", secret: NewPrivatePart(secret("the secret value"), key: key))
    }
    let store = try workshop.open()
    let key = try store.privatePartKey(token: 1, tokenKey: tokenKey)
    let read = try #require(try store.object(object.id, of: 1))
    #expect(read == object)
    #expect(read.privatePart?.byteCount == 16)
    #expect(plain(try store.unsealPrivate(read, with: key)) == Array("the secret value".utf8))

    let others = [
      try store.privatePartKey(token: 1, tokenKey: .random(count: 32)),
      try store.privatePartKey(token: 2, tokenKey: tokenKey), try store.publicObjectSecretKey(token: 1),
    ]
    for other in others {
      #expect(throws: StorageError.corrupt(.object(token: 1, id: object.id))) {
        try store.unsealPrivate(read, with: other)
      }
    }
    let without = try store.insert("no private part")
    #expect(throws: StorageError.notFound(.object(token: 1, id: without.id))) {
      try store.unsealPrivate(without, with: key)
    }
  }

  @Test("the private part stays, goes or changes in an update, and keeps to its own object")
  func privatePartChanges() throws {
    let store = try workshop.open()
    let key = try store.privatePartKey(token: 1, tokenKey: .random(count: 32))
    let first = try store.insert("a", secret: NewPrivatePart(secret("first"), key: key))
    let second = try store.insert("b", secret: NewPrivatePart(secret("second"), key: key))
    let kept = try store.commit { (transaction) throws(StorageError) in
      try transaction.update(first.id, of: 1, publicPart: Array("c".utf8))
    }
    #expect(plain(try store.unsealPrivate(kept, with: key)) == Array("first".utf8))
    let changed = try store.commit { (transaction) throws(StorageError) in
      try transaction.update(first.id, of: 1, publicPart: [], privatePart: .replaced(secret("new"), key))
    }
    let read = try #require(try store.object(first.id, of: 1))
    #expect(read == changed)
    #expect(plain(try store.unsealPrivate(read, with: key)) == Array("new".utf8))
    let foreign = StoredObject(token: 1, id: first.id, publicPart: [], privatePart: second.privatePart)
    #expect(throws: StorageError.corrupt(.object(token: 1, id: first.id))) {
      try store.unsealPrivate(foreign, with: key)
    }
    let removed = try store.commit { (transaction) throws(StorageError) in
      try transaction.update(first.id, of: 1, publicPart: [], privatePart: .removed)
    }
    #expect(removed.privatePart == nil)
    #expect(try store.object(first.id, of: 1)?.privatePart == nil)
  }

  @Test("no record lies in the files in clear")
  func confidentiality() throws {
    do {
      let store = try workshop.open()
      let key = try store.privatePartKey(token: 1, tokenKey: .random(count: 32))
      try store.insert("a label that can be seen", secret: NewPrivatePart(secret("a value that cannot"), key: key))
      try store.commit { (transaction) throws(StorageError) in
        try transaction.put(StoredToken(token: 1, content: Array("a token's label".utf8)))
      }
    }
    for (name, content) in try workshop.files() {
      for text in ["a label that", "a value that", "a token's label"] {
        #expect(content.range(of: Data(text.utf8)) == nil, "\(text) in \(name)")
      }
    }
    #expect(try workshop.read("strongroom.db").range(of: Data("CREATE TABLE tokens".utf8)) != nil, "the search finds")
  }

  @Test("large objects and many objects in one commit survive")
  func sizes() throws {
    let large = [UInt8](repeating: 0xA5, count: 3_000_000)
    do {
      let store = try workshop.open()
      try store.commit { (transaction) throws(StorageError) in
        _ = try transaction.insert(token: 1, publicPart: large)
        for number in 0..<5000 { _ = try transaction.insert(token: 2, publicPart: Array("\(number)".utf8)) }
      }
    }
    let store = try workshop.open()
    var found: [UInt8] = []
    found = try store.objects(of: 1).last?.publicPart ?? []
    #expect(found == large)
    #expect(try store.texts(token: 2) == (0..<5000).map(String.init))
    try store.commit { (transaction) throws(StorageError) in try transaction.deleteAll(of: 2) }
    #expect(try store.texts(token: 2).isEmpty)
  }

  @Test("the set digest does not depend on order and undoes what it did")
  func setDigest() throws {
    let keys = try StoreKeys(deviceKey: .random(count: 32), storeID: [UInt8](repeating: 7, count: 16))
    let records = try (0..<40).map { try RecordIdentity(newVersionOf: .object, token: 1, id: UInt64($0), keys) }
    var forward = SetDigest()
    for record in records { forward.add(try keys.digestElement(of: record)) }
    var backward = SetDigest()
    for record in records.reversed() { backward.add(try keys.digestElement(of: record)) }
    #expect(forward == backward)
    for record in records.shuffled() { forward.remove(try keys.digestElement(of: record)) }
    #expect(forward == SetDigest())
    #expect(backward != SetDigest())
    var carried = SetDigest()
    carried.words = (.max, .max, .max, 3)
    var one = SetDigest()
    one.words = (1, 0, 0, 0)
    carried.add(one)
    #expect(carried.words == (0, 0, 0, 4))
    carried.remove(one)
    #expect(carried.words == (.max, .max, .max, 3))
  }
}
