import CryptoCore
import Foundation
import Testing

struct SecretBytesTests {
  @Test("a secret holds a copy of what it was made from")
  func copies() {
    let secret = SecretBytes(copying: [1, 2, 3])
    #expect(secret.count == 3)
    #expect(secret.exposed == [1, 2, 3])
    #expect(SecretBytes(count: 4).exposed == [0, 0, 0, 0])
    #expect(SecretBytes(count: 0).exposed == [])
  }

  @Test("filling keeps as many bytes as the filler answers, never more than were there")
  func fills() throws {
    let shorter = SecretBytes(count: 8) { bytes in
      bytes.copyBytes(from: [9, 8, 7])
      return 3
    }
    #expect(shorter.exposed == [9, 8, 7])
    #expect(SecretBytes(count: 2) { _ in 1000 }.count == 2)
    #expect(SecretBytes(count: 2) { _ in -1 }.count == 0)
    #expect(throws: CryptoError.self) {
      try SecretBytes(count: 2) { (_) throws(CryptoError) in throw CryptoError(.badPadding, in: "test") }
    }
  }

  @Test("matching compares content and count")
  func matches() {
    let secret = SecretBytes(copying: [1, 2, 3])
    #expect(secret.matches(SecretBytes(copying: [1, 2, 3])))
    #expect(!secret.matches(SecretBytes(copying: [1, 2, 4])))
    #expect(!secret.matches(SecretBytes(copying: [1, 2])))
    #expect(!secret.matches(SecretBytes(copying: [1, 2, 3, 0])))
    #expect(SecretBytes(count: 0).matches(SecretBytes(count: 0)))
    #expect(constantTimeEqual([], []))
    #expect(!constantTimeEqual([0], []))
  }

  // The arena is the process's, so one test tells its whole story.
  @Test("the arena serves distinct aligned blocks and overflows to the heap")
  func arena() throws {
    let protection = try SecretArena.enable(byteCount: 256 * 1024)
    #expect(SecretArena.protection == protection)
    #expect(try SecretArena.enable(byteCount: 4096) == protection)
    #expect(kind { _ = try SecretArena.enable(byteCount: 0) } == .invalidParameter)
    #expect(kind { _ = try SecretArena.enable(byteCount: -1) } == .invalidParameter)

    let counts = [0, 1, 16, 31, 32, 33, 48, 64, 100, 2047, 2048, 2049, 4096, 4097, 20_000]
    for _ in 0..<20 {
      var held: [(secret: SecretBytes, mark: UInt8)] = []
      for round in 0..<12 {
        for count in counts {
          let mark = UInt8(truncatingIfNeeded: round &* 31 &+ count)
          held.append((SecretBytes(copying: Array(repeating: mark, count: count)), mark))
        }
        held.removeAll { $0.secret.count % 3 == round % 3 }
      }
      var ranges: [Range<Int>] = []
      for (secret, mark) in held {
        #expect(secret.exposed.allSatisfy { $0 == mark })
        secret.withBytes { bytes in
          let start = Int(bitPattern: bytes.baseAddress)
          #expect(start % 16 == 0)
          if !bytes.isEmpty { ranges.append(start..<start + bytes.count) }
        }
      }
      ranges.sort { $0.lowerBound < $1.lowerBound }
      #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound })
    }

    let huge = SecretBytes(count: 1 << 20)
    #expect(huge.count == 1 << 20)
  }

  @Test("secrets come and go on many threads")
  func threads() async {
    await withTaskGroup(of: Bool.self) { group in
      for thread in 0..<8 {
        group.addTask {
          (0..<2000).allSatisfy { round in
            let bytes = [UInt8](repeating: UInt8(thread), count: round % 300)
            return SecretBytes(copying: bytes).exposed == bytes
          }
        }
      }
      for await intact in group { #expect(intact) }
    }
  }
}

struct RandomTests {
  @Test("random bytes differ and fill their buffer")
  func fills() throws {
    #expect(try randomBytes(count: 0) == [])
    let first = try randomBytes(count: 64)
    #expect(try first != randomBytes(count: 64))
    #expect(Set(first).count > 20)
    let secret = try SecretBytes.random(count: 32)
    #expect(try !secret.matches(SecretBytes.random(count: 32)))
    // More than a DRBG gives in one request.
    let many = try randomBytes(count: 1 << 20)
    #expect(many.suffix(64).contains { $0 != 0 })
  }

  @Test("keys from the reserve are whole and never given twice, whatever their length and the thread")
  func reserve() async throws {
    let keys = try await withThrowingTaskGroup(of: [[UInt8]].self) { group in
      for _ in 0..<4 {
        group.addTask {
          try (0..<300).map { number in
            var key = [UInt8](repeating: 0, count: [16, 32, 64, 65, 400][number % 5])
            try key.withUnsafeMutableBytes { try KeyReserve.fill($0) }
            return key
          }
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    #expect(keys.count == 1200)
    // Sixteen bytes in a row that two keys share would be the same bytes given twice.
    var seen: Set<[UInt8]> = []
    for key in keys {
      for start in stride(from: 0, through: key.count - 16, by: 16) { seen.insert(Array(key[start..<start + 16])) }
    }
    #expect(seen.count == keys.reduce(0) { $0 + $1.count / 16 })
    #expect(!keys.contains { $0.suffix(16).allSatisfy { $0 == 0 } })
    try KeyReserve.fill(UnsafeMutableRawBufferPointer(start: nil, count: 0))
  }
}
