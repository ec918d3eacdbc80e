import Testing

@testable import Mechanisms

@Suite struct GatheredBytesTests {
  private func append(_ bytes: [UInt8], to gathered: GatheredBytes) { bytes.withUnsafeBytes { gathered.append($0) } }

  private func whole(_ gathered: GatheredBytes) -> [UInt8] { gathered.joined().withBytes { [UInt8]($0) } }

  @Test("however short the pieces, the memory is about what is held", arguments: [1, 7, 1000, 100_000])
  func shortPieces(pieceByteCount: Int) {
    let gathered = GatheredBytes()
    var expected: [UInt8] = []
    while expected.count < 300_000 {
      let piece = (0..<pieceByteCount).map { UInt8(truncatingIfNeeded: expected.count &+ $0 &* 3) }
      append(piece, to: gathered)
      expected += piece
      if expected.count > 1000 { guard gathered.allocatedByteCount <= 2 * expected.count + 64 else { break } }
    }
    #expect(gathered.count == expected.count)
    #expect(gathered.allocatedByteCount <= 2 * expected.count + 64)
    #expect(gathered.blockCount <= 20)
    #expect(whole(gathered) == expected)
    // What was asked for can go on.
    append([1, 2], to: gathered)
    #expect(whole(gathered) == expected + [1, 2])
    #expect(whole(gathered) == expected + [1, 2])
  }

  @Test("one piece is kept as it is, and nothing is nothing")
  func onePiece() {
    let gathered = GatheredBytes()
    #expect(whole(gathered).isEmpty)
    append([], to: gathered)
    append([1, 2, 3], to: gathered)
    #expect(gathered.allocatedByteCount == 3 && whole(gathered) == [1, 2, 3])
  }
}
