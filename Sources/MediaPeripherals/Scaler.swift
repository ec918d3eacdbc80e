import CMedia
import Peripherals

/// Converts pictures of one size and pixel format to another: owns libswscale's context.
struct Scaler: ~Copyable {
  typealias Geometry = (width: Int, height: Int, format: AVPixelFormat)
  private let context: OpaquePointer
  private let sourceHeight: Int32

  init(from source: Geometry, to destination: Geometry) throws(PeripheralStatus) {
    let flags = SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT
    guard sws_isSupportedInput(source.format) > 0,
      let context = sws_getContext(
        Int32(source.width), Int32(source.height), source.format, Int32(destination.width),
        Int32(destination.height), destination.format, flags, nil, nil, nil)
    else { throw .unsupported }
    self.context = context
    sourceHeight = Int32(source.height)
  }

  deinit { sws_freeContext(context) }

  /// Names the colours of a YUV source; the destination is RGB of full range.
  borrowing func setColours(matrixCoefficients: UInt8, isFullRange: Bool, height: Int) {
    // Unspecified: BT.709 from high definition on, BT.601 below, as players guess.
    let space =
      switch matrixCoefficients {
      case 1: SWS_CS_ITU709
      case 4...7: SWS_CS_ITU601
      case 9, 10: SWS_CS_BT2020
      default: height >= 720 ? SWS_CS_ITU709 : SWS_CS_ITU601
      }
    let unity: Int32 = 1 << 16
    sws_setColorspaceDetails(
      context, sws_getCoefficients(space), isFullRange ? 1 : 0, sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, unity, unity)
  }

  /// Converts planes to planes that lie behind `destination` as `layout` says.
  borrowing func scale(
    _ planes: [UnsafePointer<UInt8>?], _ strides: [Int32], into destination: UnsafeMutableRawPointer,
    layout: [FrameInfo.Plane]
  ) throws(PeripheralStatus) {
    var outputs: [UnsafeMutablePointer<UInt8>?] = layout.map {
      (destination + $0.offset).assumingMemoryBound(to: UInt8.self)
    }
    var outputStrides = layout.map { Int32($0.stride) }
    // libswscale looks at four planes whatever the format has.
    while outputs.count < 4 {
      outputs.append(nil)
      outputStrides.append(0)
    }
    let inputs = planes + [UnsafePointer<UInt8>?](repeating: nil, count: max(0, 4 - planes.count))
    let inputStrides = strides + [Int32](repeating: 0, count: max(0, 4 - strides.count))
    try check(
      sws_scale(context, inputs, inputStrides, 0, sourceHeight, outputs, outputStrides), or: .resources)
  }
}
