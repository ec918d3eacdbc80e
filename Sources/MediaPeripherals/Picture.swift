import CMedia
import Peripherals

/// A decoded picture: owns libav's frame.
final class Picture {
  let frame: UnsafeMutablePointer<AVFrame>

  /// An empty picture for a decoder to fill.
  init() throws(PeripheralStatus) {
    guard let frame = av_frame_alloc() else { throw .resources }
    self.frame = frame
  }

  deinit {
    var frame: UnsafeMutablePointer<AVFrame>? = frame
    av_frame_free(&frame)
  }

  /// What the picture is once written to a surface: I420, rows without padding.
  var info: FrameInfo? {
    let source = frame.pointee
    let fullRange = source.color_range == AVCOL_RANGE_JPEG || source.format == AV_PIX_FMT_YUVJ420P.rawValue
    let time = source.best_effort_timestamp
    return FrameInfo(
      width: Int(source.width), height: Int(source.height), stride: Int(source.width),
      pts: time == strongroom_av_no_pts() ? 0 : time,
      matrixCoefficients: UInt8(truncatingIfNeeded: source.colorspace.rawValue), isFullRange: fullRange)
  }

  /// Writes the planes to `surface` as `info` says; a picture of another pixel format is converted to 8-bit I420.
  func write(_ info: FrameInfo, to surface: UnsafeMutableRawBufferPointer) throws(PeripheralStatus) {
    guard surface.count >= info.byteCount, let base = surface.baseAddress else { throw .memoryTooSmall }
    let source = frame.pointee
    if source.format == AV_PIX_FMT_YUV420P.rawValue || source.format == AV_PIX_FMT_YUVJ420P.rawValue {
      let data = [source.data.0, source.data.1, source.data.2]
      let strides = [Int(source.linesize.0), Int(source.linesize.1), Int(source.linesize.2)]
      for (index, plane) in info.planes.enumerated() {
        guard let rows = data[index] else { throw .undecodable }
        for row in 0..<plane.height {
          (base + plane.offset + row * plane.stride).copyMemory(
            from: rows + row * strides[index], byteCount: plane.width)
        }
      }
      return
    }
    let format = AVPixelFormat(rawValue: source.format)
    let scaler = try Scaler(
      from: (info.width, info.height, format), to: (info.width, info.height, AV_PIX_FMT_YUV420P))
    let planes = withUnsafeBytes(of: source.data) { $0.bindMemory(to: UnsafeMutablePointer<UInt8>?.self).map { $0 } }
    let strides = withUnsafeBytes(of: source.linesize) { Array($0.bindMemory(to: Int32.self)) }
    try scaler.scale(planes.map { UnsafePointer($0) }, strides, into: base, layout: info.planes)
  }
}
