import Testing

@testable import CryptoCore

/// One test at a time: the blocks that are kept are the process's.
@Suite(.serialized) struct SecretBlockTests {
  @Test("what was written to a block is gone when the next owner has it, and as soon as it is said to be used")
  func wiped() throws {
    for size in [SecretBlock.Size.short, .long] {
      let block = try SecretBlock(size)
      #expect(block.bytes.count == size.byteCount)
      block.willWrite(to: 50_000)
      for index in 0..<50_000 { block.bytes[index] = 0xaa }
      block.wipe(to: 20_000)
      #expect(block.bytes[..<20_000].allSatisfy { $0 == 0 })
      #expect(block.bytes[20_000..<50_000].allSatisfy { $0 == 0xaa })
      block.wipe(to: 10_000)
      block.wipe(to: .max)
      #expect(block.bytes.allSatisfy { $0 == 0 })
    }
    // More than are kept: all that are, and fresh ones.
    func takeAll() throws -> [SecretBlock] { try (0..<SecretBlock.keptCount + 2).map { _ in try SecretBlock(.short) } }
    for block in try takeAll() {
      block.willWrite(to: block.bytes.count)
      block.bytes.initializeMemory(as: UInt8.self, repeating: 0x55)
    }
    for block in try takeAll() { #expect(block.bytes.allSatisfy { $0 == 0 }) }
  }

  @Test("only so many blocks are kept, and owners never share one")
  func bounded() throws {
    var held = try (0..<3 * SecretBlock.keptCount).map { _ in try SecretBlock(.short) }
    #expect(Set(held.map { UInt(bitPattern: $0.bytes.baseAddress) }).count == held.count)
    held = []
    #expect(SecretBlock.keptNow == SecretBlock.keptCount)
    held.append(try SecretBlock(.short))
    #expect(SecretBlock.keptNow == SecretBlock.keptCount - 1)
    _ = try SecretBlock(.long)
    #expect(SecretBlock.keptNow == SecretBlock.keptCount - 1)
  }
}
