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
