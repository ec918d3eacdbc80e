import Peripherals
import Testing
import Wire

@Suite("Frame descriptions")
struct FrameInfoTests {
  @Test("odd sizes round chroma up, and the planes fill the surface")
  func layout() throws {
    let info = try #require(FrameInfo(width: 5, height: 3, stride: 7, pts: 0))
    #expect(info.byteCount == 7 * 3 + 2 * 4 * 2)
    #expect(info.planes.map(\.offset) == [0, 21, 29])
    #expect(info.planes.map(\.width) == [5, 3, 3])
    #expect(info.planes.map(\.height) == [3, 2, 2])
    let last = try #require(info.planes.last)
    #expect(last.offset + last.stride * last.height == info.byteCount)
  }

  @Test(
    "sizes that do not fit make no description",
    arguments: [
      (0, 1, 1), (1, 0, 1), (-1, 1, 1), (16_385, 1, 16_385), (1, 16_385, 1), (8, 8, 7), (8, 8, 32_769),
      (Int.max, Int.max, Int.max),
    ])
  func sizes(_ width: Int, _ height: Int, _ stride: Int) {
    #expect(FrameInfo(width: width, height: height, stride: stride, pts: 0) == nil)
  }

  private func read(_ bytes: [UInt8]) throws(WireError) -> FrameInfo {
    try bytes.withUnsafeBufferPointer { (bytes) throws(WireError) in
      var reader = WireReader(UnsafeRawBufferPointer(bytes))
      return try FrameInfo(from: &reader)
    }
  }

  @Test("what is written is read, and nothing else is")
  func wire() throws {
    let info = try #require(
      FrameInfo(width: 1920, height: 1080, stride: 1920, pts: -7, matrixCoefficients: 9, isFullRange: true))
    var writer = WireWriter()
    info.write(to: &writer)
    let bytes = writer.withMessage { Array($0) }
    #expect(bytes.count == FrameInfo.wireByteCount)
    #expect(try read(bytes) == info)
    #expect(throws: WireError.truncated) { try read(Array(bytes.dropLast())) }
    for (index, value) in [(0, UInt8(0)), (1, 0xFF), (8, 1), (12, 2), (25, 2)] {
      var damaged = bytes
      damaged[index] = value
      if index == 0 { damaged[1] = 0 }
      #expect(throws: WireError.invalid) { try read(damaged) }
    }
  }
}
