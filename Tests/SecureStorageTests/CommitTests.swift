import CryptoCore
import Foundation
import Synchronization
import Testing

@testable import SecureStorage

@Suite("Shared commits", .serialized)
struct CommitTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  @Test("writers on many threads share commits and each keeps its own outcome")
  func sharing() throws {
    let perThread = 100
    do {
      let store = try workshop.open()
      let before = store.transactionCount
      let refused = Atomic<Int>(0)
      onThreads(8) { thread in
        for number in 0..<perThread {
          do throws(StorageError) {
            try store.commit { (transaction) throws(StorageError) in
              _ = try transaction.insert(token: UInt32(thread), publicPart: Array("\(number)".utf8))
              if number % 4 == 3 { throw .pinNotSet }
            }
          } catch {
            if error == .pinNotSet { refused.add(1, ordering: .relaxed) }
          }
        }
      }
      #expect(refused.load(ordering: .relaxed) == 8 * perThread / 4)
      let commits = store.transactionCount - before
      #expect(commits <= UInt64(8 * perThread * 3 / 4))
      print("\(8 * perThread) writers' turns in \(commits) synced transactions")
    }
    let store = try workshop.open()
    for thread in 0..<8 {
      #expect(
        try store.texts(token: UInt32(thread)) == (0..<perThread).filter { $0 % 4 != 3 }.map(String.init))
    }
  }

  @Test("more writers at once than a commit takes are all served", .timeLimit(.minutes(1)))
  func manyWriters() throws {
    let count = 150
    do {
      let store = try workshop.open()
      for round in 0..<3 {
        let before = store.transactionCount
        onThreads(count) { thread in
          do throws(StorageError) {
            try store.insert("\(round)/\(thread)")
          } catch { Issue.record("\(error)") }
        }
        #expect(store.transactionCount - before < count)
      }
      // One who is alone again is not kept waiting for the others.
      try store.insert("alone")
    }
    let expected = (0..<3).flatMap { round in (0..<count).map { "\(round)/\($0)" } } + ["alone"]
    #expect(try workshop.open().texts().sorted() == expected.sorted())
  }

  @Test("a store that may write no more tells every writer so, however many come at once", .timeLimit(.minutes(1)))
  func failedStore() throws {
    let store = try workshop.open()
    try store.insert("before")
    store.failure = .failed("as after an anchor that could not be written")
    onThreads(8) { thread in
      for number in 0..<1000 {
        do throws(StorageError) {
          try store.insert("\(thread)/\(number)")
          Issue.record("written")
        } catch {
          guard case .failed = error else {
            Issue.record("\(error)")
            return
          }
        }
      }
    }
    #expect(try store.texts() == ["before"])
  }

  @Test("a writer that is refused first in a shared commit takes nothing from those after it")
  func firstRefused() throws {
    do {
      let store = try workshop.open()
      onThreads(6) { thread in
        for number in 0..<60 {
          let isRefused = thread < 3
          do throws(StorageError) {
            try store.commit { (transaction) throws(StorageError) in
              _ = try transaction.insert(token: 1, publicPart: Array("\(thread)/\(number)".utf8))
              if isRefused { throw .pinNotSet }
            }
            if isRefused { Issue.record("accepted") }
          } catch {
            if !isRefused || error != .pinNotSet { Issue.record("\(error)") }
          }
        }
      }
    }
    let expected = (3..<6).flatMap { thread in (0..<60).map { "\(thread)/\($0)" } }
    #expect(try workshop.open().texts().sorted() == expected.sorted())
  }

  @Test("objects are written in any order, and no id is given twice")
  func preparedObjects() throws {
    var ids: [UInt64] = []
    do {
      let store = try workshop.open()
      let prepared = try ["first", "second", "third"].map {
        try store.prepare(token: 1, publicPart: Array($0.utf8))
      }
      // The second is never written.
      for object in [prepared[2], prepared[0]] {
        let written = try store.commit { (transaction) throws(StorageError) in try transaction.insert(object) }
        ids.append(written.id)
      }
      #expect(ids[0] == ids[1] + 2)
      #expect(try store.insert("fourth").id == ids[0] + 1)
    }
    let store = try workshop.open()
    #expect(try store.texts() == ["first", "third", "fourth"])
    #expect(try store.insert("fifth").id == ids[0] + 2)
  }

  @Test("readers see durable content only and are not shut out by writers", .timeLimit(.minutes(1)))
  func readers() throws {
    let store = try workshop.open()
    let stop = Atomic<Bool>(false)
    let odd = Atomic<Int>(0)
    let reads = Atomic<Int>(0)
    onThreads(4) { thread in
      if thread == 0 {
        for _ in 0..<300 {
          var count = 0
          do throws(StorageError) {
            count = try store.objects(of: 1).count
          } catch { Issue.record("\(error)") }
          if count % 2 != 0 { odd.add(1, ordering: .relaxed) }
          reads.add(1, ordering: .relaxed)
        }
        stop.store(true, ordering: .relaxed)
      } else {
        while !stop.load(ordering: .relaxed) {
          do throws(StorageError) {
            try store.commit { (transaction) throws(StorageError) in
              _ = try transaction.insert(token: 1, publicPart: [1])
              _ = try transaction.insert(token: 1, publicPart: [2])
            }
          } catch { Issue.record("\(error)") }
        }
      }
    }
    #expect(odd.load(ordering: .relaxed) == 0)
    #expect(reads.load(ordering: .relaxed) == 300)
  }
}
