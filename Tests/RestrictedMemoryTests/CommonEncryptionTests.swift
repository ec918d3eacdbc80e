import RestrictedMemory
import Testing

/// Undoes nothing: records what a cipher would have been asked, and inverts the bytes so that a test sees where.
private struct RecordingCipher: SampleCipher {
  struct Refusal: Error {}
  typealias Failure = Refusal
  enum Event: Equatable {
    case restart(SampleIV)
    case update(Int)
  }
  var events: [Event] = []
  var failsAfter = Int.max

  mutating func restart(at iv: SampleIV) { events.append(.restart(iv)) }

  mutating func update(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) throws(Refusal) {
    if events.count >= failsAfter { throw Refusal() }
    events.append(.update(input.count))
    #expect(output.count == input.count)
    for index in input.indices { output[index] = ~input[index] }
  }
}

private let iv16 = Array(UInt8(1)...16)
private let vector = SampleIV(high: 0x0102_0304_0506_0708, low: 0x090A_0B0C_0D0E_0F10)

private func segments(
  _ scheme: ProtectionScheme, _ pattern: EncryptionPattern = .none, _ subsamples: [(UInt32, UInt32)], size: Int,
  iv: [UInt8] = iv16
) throws -> [SampleMap.Segment] {
  let map = try SampleMap(
    scheme: scheme, pattern: pattern, iv: iv, subsamples: subsamples.map { Subsample(clear: $0, protected: $1) },
    sampleByteCount: size)
  return Array(map.segments)
}

private func clear(_ offset: Int, _ count: Int) -> SampleMap.Segment {
  SampleMap.Segment(offset: offset, byteCount: count, treatment: .clear)
}
private func encrypted(_ offset: Int, _ count: Int, _ restart: SampleIV? = nil) -> SampleMap.Segment {
  SampleMap.Segment(offset: offset, byteCount: count, treatment: .encrypted(restart: restart))
}

@Suite("Common Encryption: which bytes are enciphered")
struct SampleMapTests {
  @Test("cenc runs one key stream over all protected ranges, partial blocks carried on")
  func cenc() throws {
    #expect(
      try segments(.cenc, .none, [(5, 21), (5, 7), (2, 0)], size: 40)
        == [clear(0, 5), encrypted(5, 21, vector), clear(26, 5), encrypted(31, 7), clear(38, 2)])
    #expect(try segments(.cenc, .none, [], size: 33) == [encrypted(0, 33, vector)])
  }

  @Test("an 8-byte IV is followed by a zero block counter")
  func shortIV() throws {
    let map = try SampleMap(scheme: .cenc, iv: Array(iv16.prefix(8)), sampleByteCount: 16)
    #expect(map.iv == SampleIV(high: vector.high, low: 0))
    #expect(map.iv.bytes == Array(iv16.prefix(8)) + [UInt8](repeating: 0, count: 8))
  }

  @Test("the low 64 bits of the counter wrap without a carry")
  func counterWrap() throws {
    let iv = Array(iv16.prefix(8)) + [UInt8](repeating: 0xFF, count: 7) + [0xFE]
    let start = SampleIV(high: vector.high, low: .max - 1)
    let wrapped = SampleIV(high: vector.high, low: 0)
    // Two blocks are left before the wrap, and a range that ends in mid-block does not move the place.
    #expect(
      try segments(.cenc, .none, [(0, 20), (3, 30)], size: 53, iv: iv)
        == [encrypted(0, 20, start), clear(20, 3), encrypted(23, 12), encrypted(35, 18, wrapped)])
    // A wrap at the end of a range restarts in the next one.
    #expect(
      try segments(.cenc, .none, [(0, 32), (0, 16)], size: 48, iv: iv)
        == [encrypted(0, 32, start), encrypted(32, 16, wrapped)])
  }

  @Test("cens counts enciphered blocks only, and its pattern starts anew in every subsample")
  func cens() throws {
    #expect(
      try segments(.cens, EncryptionPattern(crypt: 1, skip: 2), [(4, 80), (0, 20)], size: 104)
        == [
          clear(0, 4), encrypted(4, 16, vector), clear(20, 32), encrypted(52, 16), clear(68, 16),
          encrypted(84, 16), clear(100, 4),
        ])
  }

  @Test(
    "without a pattern cens, cbc1 and cbcs leave a trailing partial block clear",
    arguments: [
      ProtectionScheme.cens, .cbc1, .cbcs,
    ])
  func wholeSample(_ scheme: ProtectionScheme) throws {
    #expect(try segments(scheme, .none, [], size: 45) == [encrypted(0, 32, vector), clear(32, 13)])
    #expect(try segments(scheme, .none, [], size: 15) == [clear(0, 15)])
    #expect(try segments(scheme, .none, [], size: 16) == [encrypted(0, 16, vector)])
  }

  @Test("cbc1 chains across subsamples")
  func cbc1() throws {
    #expect(
      try segments(.cbc1, .none, [(3, 32), (1, 16), (2, 0)], size: 54)
        == [clear(0, 3), encrypted(3, 32, vector), clear(35, 1), encrypted(36, 16), clear(52, 2)])
  }

  @Test("cbcs restarts chain and pattern in every subsample and skips by pattern")
  func cbcs() throws {
    // 1:9 over 11 blocks and 5 bytes: block, nine clear, block, rest clear.
    #expect(
      try segments(.cbcs, EncryptionPattern(crypt: 1, skip: 9), [(10, 181), (7, 14), (0, 18)], size: 230)
        == [
          clear(0, 10), encrypted(10, 16, vector), clear(26, 144), encrypted(170, 16), clear(186, 5),
          clear(191, 7), clear(198, 14), encrypted(212, 16, vector), clear(228, 2),
        ])
    // The skipped part swallows the partial block.
    #expect(
      try segments(.cbcs, EncryptionPattern(crypt: 1, skip: 9), [(0, 40)], size: 40)
        == [encrypted(0, 16, vector), clear(16, 24)])
    #expect(
      try segments(.cbcs, EncryptionPattern(crypt: 10, skip: 0), [(0, 400)], size: 400) == [encrypted(0, 400, vector)])
  }

  @Test("segments cover every sample exactly once", arguments: ProtectionScheme.allCases)
  func cover(_ scheme: ProtectionScheme) throws {
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<200 {
      let subsamples = (0..<Int.random(in: 0...6, using: &generator)).map { _ in
        let protected = UInt32.random(in: 0...400, using: &generator)
        return Subsample(
          clear: .random(in: 0...40, using: &generator), protected: scheme == .cbc1 ? protected & ~15 : protected)
      }
      let size =
        subsamples.isEmpty
        ? 77 : subsamples.reduce(0) { $0 + Int($1.clearByteCount) + Int($1.protectedByteCount) }
      let pattern =
        scheme.hasPattern
        ? EncryptionPattern(crypt: .random(in: 1...15, using: &generator), skip: .random(in: 0...15, using: &generator))
        : .none
      let map = try SampleMap(
        scheme: scheme, pattern: pattern, iv: iv16, subsamples: subsamples, sampleByteCount: size)
      var next = 0
      for segment in map.segments {
        #expect(segment.offset == next)
        #expect(segment.byteCount > 0)
        if scheme != .cenc, segment.treatment != .clear { #expect(segment.byteCount % 16 == 0) }
        next += segment.byteCount
      }
      #expect(next == size)
    }
  }

  @Test("a sum that is not the sample's size is refused, also near 2^64")
  func sums() {
    let most = Subsample(clear: .max, protected: .max)
    for (subsamples, size) in [
      ([Subsample(clear: 1, protected: 16)], 16), ([Subsample(clear: 1, protected: 16)], 18),
      ([Subsample](repeating: most, count: 65_535), 10), ([Subsample(clear: 0, protected: 0)], 1), ([], -1),
    ] {
      #expect {
        try SampleMap(scheme: .cenc, iv: iv16, subsamples: subsamples, sampleByteCount: size)
      } throws: {
        if case .sizeMismatch? = $0 as? SampleMapError { true } else { false }
      }
    }
    #expect(throws: SampleMapError.tooManySubsamples(65_536)) {
      try SampleMap(
        scheme: .cenc, iv: iv16, subsamples: .init(repeating: Subsample(clear: 0, protected: 0), count: 65_536),
        sampleByteCount: 0)
    }
  }

  @Test(
    "patterns that mean nothing are refused",
    arguments: [
      (ProtectionScheme.cbcs, UInt8(0), UInt8(9)), (.cens, 0, 1), (.cbcs, 16, 0), (.cbcs, 1, 16), (.cens, 255, 255),
      (.cenc, 1, 9), (.cbc1, 1, 0),
    ])
  func patterns(_ scheme: ProtectionScheme, _ crypt: UInt8, _ skip: UInt8) {
    #expect(throws: SampleMapError.pattern(crypt: crypt, skip: skip)) {
      try SampleMap(
        scheme: scheme, pattern: EncryptionPattern(crypt: crypt, skip: skip), iv: iv16, sampleByteCount: 32)
    }
  }

  @Test("IVs of other lengths are refused", arguments: [0, 1, 7, 9, 12, 15, 17, 4096])
  func ivLengths(_ count: Int) {
    #expect(throws: SampleMapError.ivLength(count)) {
      try SampleMap(scheme: .cbcs, iv: .init(repeating: 0, count: count), sampleByteCount: 32)
    }
    #expect(throws: SampleMapError.ivLength(8)) {
      try SampleMap(scheme: .cbc1, iv: .init(repeating: 0, count: 8), sampleByteCount: 32)
    }
  }

  @Test("cbc1 refuses a protected range that ends in mid-block")
  func cbc1Partial() {
    #expect(throws: SampleMapError.partialBlock(subsample: 1)) {
      try segments(.cbc1, .none, [(0, 16), (0, 17)], size: 33)
    }
  }
}

@Suite("Common Encryption: driving a cipher")
struct SampleCipherTests {
  /// The sample comes in pieces, each in memory of its own that goes with the next one.
  private func decipher(
    _ map: SampleMap, _ sample: [UInt8], with cipher: inout RecordingCipher, pieceByteCount: Int = .max,
    endsAt end: Int = .max
  ) throws -> [UInt8] {
    var output = [UInt8](repeating: 0x55, count: map.byteCount)
    var failure: (any Error)?
    var position = 0
    var lent = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    defer { lent.deallocate() }
    output.withUnsafeMutableBytes { destination in
      do {
        try map.decipher(into: destination, with: &cipher) { most in
          let count = min(most, pieceByteCount, min(sample.count, end) - position)
          guard count > 0 else { throw RecordingCipher.Refusal() }
          lent.deallocate()
          lent = .allocate(byteCount: count, alignment: 1)
          lent.copyBytes(from: sample[position..<position + count])
          position += count
          return UnsafeRawBufferPointer(lent)
        }
      } catch { failure = error }
    }
    if failure != nil { #expect(output.allSatisfy { $0 == 0 }, "a failed sample leaves nothing behind") }
    if let failure { throw failure }
    #expect(position == sample.count, "all of it is taken")
    return output
  }

  @Test(
    "exactly the encrypted segments pass through the cipher",
    arguments: [
      EncryptionPattern.none, EncryptionPattern(crypt: 1, skip: 9), EncryptionPattern(crypt: 15, skip: 1),
      EncryptionPattern(crypt: 2, skip: 0),
    ])
  func treatment(_ pattern: EncryptionPattern) throws {
    let sample = (0..<70_003).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    let map = try SampleMap(
      scheme: .cbcs, pattern: pattern, iv: iv16,
      subsamples: [
        Subsample(clear: 3, protected: 50_000), Subsample(clear: 0, protected: 19_980),
        Subsample(clear: 20, protected: 0),
      ],
      sampleByteCount: sample.count)
    var expected = sample
    var encryptedCount = 0
    for segment in map.segments where segment.treatment != .clear {
      for index in segment.offset..<segment.offset + segment.byteCount { expected[index] = ~expected[index] }
      encryptedCount += segment.byteCount
    }
    var cipher = RecordingCipher()
    #expect(try decipher(map, sample, with: &cipher) == expected)
    #expect(cipher.events.filter { $0 == .restart(vector) }.count == 2)
    let updated = cipher.events.reduce(0) { if case .update(let count) = $1 { $0 + count } else { $0 } }
    #expect(updated == encryptedCount)
    #expect(cipher.events.count < 30, "a pattern is not one cipher call a block")
    for piece in [1, 5, 16, 17, 1000, 4096, 65_536] {
      var other = RecordingCipher()
      #expect(try decipher(map, sample, with: &other, pieceByteCount: piece) == expected, "pieces of \(piece)")
      #expect(other.events.allSatisfy { if case .update(let count) = $0 { count % 16 == 0 } else { true } })
    }
  }

  @Test("a stream takes what comes, block or not", arguments: [1, 7, 16, 100])
  func streamPieces(_ piece: Int) throws {
    let sample = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
    let map = try SampleMap(
      scheme: .cenc, iv: iv16, subsamples: [Subsample(clear: 10, protected: 333), Subsample(clear: 0, protected: 657)],
      sampleByteCount: 1000)
    var cipher = RecordingCipher()
    let output = try decipher(map, sample, with: &cipher, pieceByteCount: piece)
    #expect(output == sample.prefix(10) + sample.dropFirst(10).map { ~$0 })
    #expect(cipher.events.filter { $0 == .restart(vector) }.count == 1)
    var late = RecordingCipher(failsAfter: 5)
    #expect(throws: RecordingCipher.Refusal.self) {
      _ = try decipher(map, sample, with: &late, pieceByteCount: piece)
    }
    #expect(throws: RecordingCipher.Refusal.self, "input that ends before the sample") {
      _ = try decipher(map, sample, with: &cipher, pieceByteCount: piece, endsAt: 500)
    }
  }

  @Test("a cipher that fails in mid-sample leaves zeros")
  func failure() throws {
    let map = try SampleMap(
      scheme: .cbcs, pattern: .init(crypt: 1, skip: 9), iv: iv16,
      subsamples: [Subsample(clear: 2, protected: 64), Subsample(clear: 2, protected: 64)], sampleByteCount: 132)
    var cipher = RecordingCipher(failsAfter: 3)
    #expect(throws: RecordingCipher.Refusal.self) {
      _ = try decipher(map, .init(repeating: 7, count: 132), with: &cipher)
    }
  }
}
