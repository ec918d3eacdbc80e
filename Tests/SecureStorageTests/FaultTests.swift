import CryptoCore
import Foundation
import Glibc
import Synchronization
import Testing

@testable import SecureStorage

@Suite("Faults")
struct FaultTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  @Test("a store has one owner at a time")
  func inUse() throws {
    do {
      let store = try workshop.open()
      let error = #expect(throws: StorageError.self) { try workshop.open() }
      #expect(error == .inUse(directory: workshop.store, processID: getpid()))
      #expect(throws: StorageError.self) { try SecureStore.acceptRollback(directory: workshop.store) }
      try store.insert("unharmed")
    }
    #expect(try workshop.open().texts() == ["unharmed"])
  }

  /// Inserts until there is no room; checks that the failed commit left nothing.
  private func fillUp(_ store: SecureStore) throws -> Int {
    let object = [UInt8](repeating: 7, count: 20_000)
    for number in 0..<20_000 {
      do throws(StorageError) {
        try store.commit { (transaction) throws(StorageError) in
          _ = try transaction.insert(token: 1, publicPart: object)
          _ = try transaction.insert(token: 2, publicPart: object)
        }
      } catch {
        #expect(error == .noSpace)
        return number
      }
    }
    Issue.record("the store never got full")
    return 0
  }

  private func count(_ store: SecureStore, _ token: UInt32) throws -> Int {
    var count = 0
    count = try store.objects(of: token).count
    return count
  }

  @Test("a full database refuses the commit whole, stays usable and goes on when there is room")
  func fullDatabase() throws {
    let inserted: Int
    do {
      let store = try workshop.open()
      try store.database.execute("PRAGMA max_page_count = 300")
      inserted = try fillUp(store)
      #expect(inserted > 5)
      #expect(try count(store, 1) == inserted)
      #expect(try count(store, 2) == inserted)
      try store.commit { (transaction) throws(StorageError) in try transaction.delete(1, of: 1) }
      try store.database.execute("PRAGMA max_page_count = 100000")
      try store.insert("room again")
      #expect(try count(store, 1) == inserted)
    }
    let store = try workshop.open()
    #expect(try count(store, 1) == inserted)
    #expect(try count(store, 2) == inserted)
    #expect(store.damaged.isEmpty)
  }

  @Test("a full file system", .enabled(if: getuid() == 0, "mounting needs root"))
  func fullFileSystem() throws {
    let mountPoint = workshop.root + "/small"
    mkdir(mountPoint, 0o700)
    guard mount("strongroom-test", mountPoint, "tmpfs", 0, "size=12m") == 0 else {
      print("cannot mount here: \(String(cString: strerror(errno)))")
      return
    }
    defer { umount2(mountPoint, Int32(bitPattern: 2)) }
    let path = mountPoint + "/store"
    let filler = mountPoint + "/filler"
    var inserted = 0
    do {
      let store = try openCheaply(path)
      inserted = try fillUp(store)
      #expect(inserted > 10)
      #expect(try count(store, 1) == inserted)
      #expect(try count(store, 2) == inserted)
      #expect(throws: StorageError.noSpace) {
        try store.commit { (transaction) throws(StorageError) in
          _ = try transaction.insert(token: 3, publicPart: [UInt8](repeating: 1, count: 1 << 20))
        }
      }
    }
    // The full store opens and can be read.
    do {
      let store = try openCheaply(path)
      #expect(try count(store, 1) == inserted)
      #expect(mount("strongroom-test", mountPoint, "tmpfs", UInt(MS_REMOUNT), "size=64m") == 0)
      try store.commit { (transaction) throws(StorageError) in try transaction.delete(1, of: 1) }
      try store.insert("room again", token: 2)
    }
    do { #expect(try count(openCheaply(path), 2) == inserted + 1) }
    // No room for a new store: nothing but an error.
    #expect(FileManager.default.createFile(atPath: filler, contents: nil))
    let file = open(filler, O_WRONLY)
    while write(file, [UInt8](repeating: 0, count: 65536), 65536) > 0 {}
    close(file)
    #expect(throws: StorageError.noSpace) { try openCheaply(mountPoint + "/another") }
    unlink(filler)
    #expect(try openCheaply(mountPoint + "/another").texts().isEmpty)
  }

  @Test("a file size limit is no space", .timeLimit(.minutes(1)))
  func fileSizeLimit() async throws {
    let directory = workshop.store
    await #expect(processExitsWith: .success) { [directory = directory as String] in
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 6 << 20, rlim_max: 6 << 20)
      setrlimit(__rlimit_resource_t(UInt32(RLIMIT_FSIZE.rawValue)), &limit)
      let store = try openCheaply(directory)
      let object = [UInt8](repeating: 7, count: 100_000)
      var inserted = 0
      var refusal: StorageError?
      while refusal == nil, inserted < 1000 {
        do throws(StorageError) {
          _ = try store.commit { (transaction) throws(StorageError) in
            try transaction.insert(token: 1, publicPart: object)
          }
          inserted += 1
        } catch {
          refusal = error
        }
      }
      #expect(refusal == .noSpace)
      var count = 0
      count = try store.objects(of: 1).count
      #expect(count == inserted)
    }
    #expect(try workshop.open().damaged.isEmpty)
  }

  @Test("a directory that cannot be written, or that others can write, is refused with the reason")
  func directories() throws {
    let file = workshop.root + "/file"
    #expect(FileManager.default.createFile(atPath: file, contents: nil))
    #expect(throws: StorageError.io(operation: "open", path: file, code: ENOTDIR)) { try openCheaply(file) }
    #expect(throws: StorageError.self) { try openCheaply(file + "/below/deeper") }
    let open = workshop.root + "/open"
    mkdir(open, 0o700)
    chmod(open, 0o777)
    let refusal = #expect(throws: StorageError.self) { try openCheaply(open) }
    #expect(refusal?.isNotAStore == true)
    #expect(throws: StorageError.self) { try openCheaply("/proc/strongroom/store") }
    #expect(try openCheaply(workshop.root + "/a/b/c").texts().isEmpty, "directories above are made")
  }

  @Test("a read-only directory", .timeLimit(.minutes(1)))
  func readOnlyDirectory() async throws {
    do { try workshop.open().insert("one") }
    let directory = workshop.store
    chmod(workshop.root, 0o755)
    chmod(directory, 0o500)
    await #expect(processExitsWith: .success) { [directory = directory as String] in
      // Root may write anywhere, so become somebody else; the directory is then not to be entered at all.
      if getuid() == 0 { #expect(setuid(65534) == 0) }
      let error = #expect(throws: StorageError.self) { try openCheaply(directory) }
      let isRefusal = if case .io(_, _, let code) = error { code == EACCES || code == EROFS } else { false }
      let isKey = error?.isDeviceKey == true
      #expect(isRefusal || isKey || getuid() != 65534)
    }
    chmod(directory, 0o700)
    #expect(try workshop.open().texts() == ["one"])
  }

  @Test("killed at any moment, the store holds every acknowledged commit", .timeLimit(.minutes(3)))
  func kills() async throws {
    let directory = workshop.store
    let journal = workshop.root + "/acknowledged"
    #expect(FileManager.default.createFile(atPath: journal, contents: nil))
    var survivors = 0
    for round in 0..<50 {
      let delay = UInt32.random(in: 500...40_000)
      await #expect(processExitsWith: .signal(SIGKILL)) {
        [directory = directory as String, journal = journal as String, delay = delay as UInt32, round = round as Int] in
        let store = try openCheaply(directory)
        let acknowledged = Glibc.open(journal, O_WRONLY | O_APPEND)
        let killer = Foundation.Thread {
          usleep(delay)
          kill(getpid(), SIGKILL)
        }
        killer.start()
        // Three writers: shared commits are killed as well. Each keeps a pair of objects that only go together.
        onThreads(3) { writer in
          for number in 0... {
            let text = "\(round)/\(writer)/\(number)\n"
            _ = try! store.commit { (transaction) throws(StorageError) in
              _ = try transaction.insert(token: 1, publicPart: Array(text.utf8))
              _ = try transaction.insert(token: 2, publicPart: Array(text.utf8))
            }
            write(acknowledged, text, text.utf8.count)
          }
        }
      }
      let store = try workshop.open()
      let first = try store.texts(token: 1)
      #expect(try store.texts(token: 2) == first, "both of a pair or none")
      let lines = try String(contentsOfFile: journal, encoding: .utf8).split(separator: "\n").map { $0 + "\n" }
      let present = Set(first)
      #expect(lines.allSatisfy { present.contains(String($0)) }, "every acknowledged commit is there")
      #expect(first.count <= lines.count + 3 * (round + 1), "at most what was on its way beyond those")
      #expect(store.damaged.isEmpty)
      survivors = first.count
    }
    #expect(survivors > 50)
    print("50 kills, \(survivors) pairs of objects")
  }

  @Test("killed while guessing, no try is given back", .timeLimit(.minutes(2)))
  func killedWhileGuessing() async throws {
    do {
      let store = try workshop.open()
      try store.setPIN(1, .user, pin: secret("1234"), tokenKey: .random(count: 32), limit: 1_000_000)
    }
    let directory = workshop.store
    let journal = workshop.root + "/guesses"
    #expect(FileManager.default.createFile(atPath: journal, contents: nil))
    for _ in 0..<8 {
      let delay = UInt32.random(in: 500...20_000)
      await #expect(processExitsWith: .signal(SIGKILL)) {
        [directory = directory as String, journal = journal as String, delay = delay as UInt32] in
        let store = try openCheaply(directory)
        let answers = Glibc.open(journal, O_WRONLY | O_APPEND)
        let killer = Foundation.Thread {
          usleep(delay)
          kill(getpid(), SIGKILL)
        }
        // The first guess is past before the clock runs, so that each process has made one however slow the machine is.
        _ = try? store.unlock(1, .user, pin: secret("0000"))
        write(answers, "x", 1)
        killer.start()
        while true {
          _ = try? store.unlock(1, .user, pin: secret("0000"))
          write(answers, "x", 1)
        }
      }
      let answered = try Data(contentsOf: URL(fileURLWithPath: journal)).count
      let counted = try #require(try workshop.open().pinStatus(1, .user)?.tries)
      #expect(counted >= answered)
      #expect(counted > 0)
    }
  }

  @Test("an error while syncing stops writing until the store is opened again")
  func failedStore() throws {
    let store = try workshop.open()
    try store.insert("before")
    store.monitor.lock()
    store.failure = .failed("injected")
    store.monitor.unlock()
    #expect(throws: StorageError.failed("injected")) { try store.insert("after") }
    #expect(try store.texts() == ["before"], "reading goes on")
  }
}
