import Testing

@testable import CryptoCore

@Suite struct ContextPoolTests {
  @Test("every pool keeps one context, and all together so many more, however many pools there are")
  func bounded() throws {
    // No context at all, only the address of one: the pool does not look at what it keeps.
    let context = try #require(OpaquePointer(bitPattern: 8))
    let count = ContextPool.mostBesides / 7 + 500
    let pools = (0..<count).map { _ in ContextPool() }
    var kept = 0
    for pool in pools {
      #expect(pool.give(context))
      kept += (0..<9).count { _ in pool.give(context) }
    }
    #expect(kept <= ContextPool.mostBesides && kept > ContextPool.mostBesides / 2)
    #expect(ContextPool.besidesNow <= ContextPool.mostBesides)
    // What was taken can be given back.
    #expect(pools[0].take() != nil && pools[0].give(context))
    var taken = 0
    for pool in pools { while pool.take() != nil { taken += 1 } }
    #expect(taken == kept + count)
  }

  @Test("a pool that goes gives its places to others")
  func givenBack() throws {
    let context = try #require(OpaquePointer(bitPattern: 8))
    for _ in 0..<ContextPool.mostBesides / 7 * 3 {
      let pool = ContextPool()
      for _ in 0..<8 { _ = pool.give(context) }
    }
    #expect(ContextPool.besidesNow < ContextPool.mostBesides)
  }
}
