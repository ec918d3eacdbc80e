import Testing

@testable import CryptoCore

struct CommonEncryptionTests {
  private let key = try! AESKey(secret("2b7e151628aed2a6abf7158809cf4f3c"))

  /// Key stream blocks by ECB, the counter's low 64 bits counted here.
  private func keyStream(high: UInt64, low: UInt64, blocks: Int) throws -> [UInt8] {
    let counters = (0..<blocks).flatMap { index -> [UInt8] in
      let counter = low &+ UInt64(index)
      return withUnsafeBytes(of: high.bigEndian) { Array($0) } + withUnsafeBytes(of: counter.bigEndian) { Array($0) }
    }
    return try Mode.ecb.begin(key, .encrypt).run(counters)
  }

  private func run(iv: [UInt8], _ input: [UInt8], parts: [Int]) throws -> [UInt8] {
    let stream = try iv.withUnsafeBytes { try CommonEncryptionCounterStream(key: key, iv: $0) }
    let first = try run(stream, input, parts)
    // Started again, from somewhere else and back, it is as new.
    let last = [UInt8](repeating: 0xff, count: 16)
    try last.withUnsafeBytes { try stream.start(from: $0) }
    _ = try run(stream, input, [3])
    try iv.withUnsafeBytes { try stream.start(from: $0) }
    #expect(try run(stream, input, parts) == first)
    return first
  }

  private func run(_ stream: CommonEncryptionCounterStream, _ input: [UInt8], _ parts: [Int]) throws -> [UInt8] {
    var output: [UInt8] = []
    var rest = input[...]
    for part in parts + [Int.max] {
      var range = Array(rest.prefix(part))
      rest = rest.dropFirst(part)
      try range.withUnsafeMutableBytes { try stream.apply(UnsafeRawBufferPointer($0), into: $0) }
      output += range
    }
    return output
  }

  @Test("only the low 64 bits count and they wrap, wherever ranges are cut")
  func wrap() throws {
    for before in 0...4 {
      let low = 0 &- UInt64(before)
      let expected = try keyStream(high: 0xffff_ffff_ffff_ffff, low: low, blocks: 8)
      let iv = [UInt8](repeating: 0xff, count: 8) + withUnsafeBytes(of: low.bigEndian) { Array($0) }
      let zeros = [UInt8](repeating: 0, count: 8 * 16)
      for parts in [[], [1, 2, 3], [16, 16], [15, 1, 17, 0, 40], [64], [63, 2], Array(repeating: 1, count: 128)] {
        #expect(try run(iv: iv, zeros, parts: parts) == expected, "\(before) blocks before the wrap, \(parts)")
      }
    }
  }

  @Test("a counter of 32 bits wraps without touching what stands before it")
  func narrowCounter() throws {
    var block = InlineArray<16, UInt8>(repeating: 0xff)
    block[15] = 0xfe
    let high = [UInt8](repeating: 0xff, count: 12)
    let counters: [[UInt8]] = [[255, 255, 255, 254], [255, 255, 255, 255], [0, 0, 0, 0], [0, 0, 0, 1]]
    let expected = try Mode.ecb.begin(key, .encrypt).run(counters.flatMap { high + $0 })
    let stream = try CounterStream(key: key, firstBlock: block, counterByteCount: 4)
    var output = [UInt8](repeating: 0, count: 64)
    try output.withUnsafeMutableBytes { bytes in
      for range in [0..<5, 5..<33, 33..<64] {
        let part = UnsafeMutableRawBufferPointer(rebasing: bytes[range])
        try stream.apply(UnsafeRawBufferPointer(part), into: part.baseAddress)
      }
    }
    #expect(output == expected)
  }

  @Test("an 8-byte IV stands over a counter of zero")
  func shortIV() throws {
    let iv = hex("0102030405060708")
    let expected = try keyStream(high: 0x0102_0304_0506_0708, low: 0, blocks: 3)
    #expect(try run(iv: iv, [UInt8](repeating: 0, count: 48), parts: [7]) == expected)
    for count in [0, 7, 9, 15, 17] {
      #expect(kind { _ = try run(iv: [UInt8](repeating: 0, count: count), [], parts: []) } == .invalidParameter)
    }
  }

  @Test("blocks chain across ranges until the chain starts again")
  func blocks() throws {
    let iv = [UInt8](repeating: 4, count: 16)
    let plaintext = (0..<64).map { UInt8($0) }
    let ciphertext = try Mode.cbc(iv).begin(key, .encrypt).run(plaintext)
    let stream = try iv.withUnsafeBytes { try CommonEncryptionBlockStream(key: key, iv: $0) }
    for _ in 0..<2 {
      var output = ciphertext
      try output.withUnsafeMutableBytes { bytes in
        for range in [0..<16, 16..<16, 16..<64] {
          let part = UnsafeMutableRawBufferPointer(rebasing: bytes[range])
          try stream.apply(UnsafeRawBufferPointer(part), into: part)
        }
      }
      #expect(output == plaintext)
      try iv.withUnsafeBytes { try stream.chain(from: $0) }
    }
    var part = [UInt8](repeating: 0, count: 17)
    #expect(
      kind { try part.withUnsafeMutableBytes { try stream.apply(UnsafeRawBufferPointer($0), into: $0) } } == .dataLength
    )
    #expect(kind { try part.withUnsafeBytes { try stream.chain(from: $0) } } == .invalidParameter)
    let empty = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    #expect(kind { try ciphertext.withUnsafeBytes { try stream.apply($0, into: empty) } } == .bufferTooSmall)
  }
}
