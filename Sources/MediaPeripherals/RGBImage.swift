import CMedia
import Glibc
import Peripherals

/// A picture of 8-bit R, G, B samples without padding between rows.
struct RGBImage {
  let width: Int
  let height: Int
  private(set) var samples: [UInt8]

  /// A black picture.
  init(width: Int, height: Int) {
    self.width = width
    self.height = height
    samples = [UInt8](repeating: 0, count: 3 * width * height)
  }

  /// The I420 picture `planes` scaled to `width` x `height`.
  init(_ info: FrameInfo, planes: UnsafeRawBufferPointer, width: Int, height: Int) throws(PeripheralStatus) {
    guard let base = planes.baseAddress, planes.count >= info.byteCount else { throw .memoryTooSmall }
    self.init(width: width, height: height)
    let scaler = try Scaler(
      from: (info.width, info.height, AV_PIX_FMT_YUV420P), to: (width, height, AV_PIX_FMT_RGB24))
    scaler.setColours(
      matrixCoefficients: info.matrixCoefficients, isFullRange: info.isFullRange, height: info.height)
    let inputs = info.planes.map { Optional((base + $0.offset).assumingMemoryBound(to: UInt8.self)) }
    // libswscale writes whole vectors: rows are padded there and cut here.
    let stride = (3 * width + 63) & ~63
    let rows = UnsafeMutableRawPointer.allocate(byteCount: stride * height + 64, alignment: 64)
    defer { rows.deallocate() }
    try scaler.scale(
      inputs, info.planes.map { Int32($0.stride) }, into: rows,
      layout: [FrameInfo.Plane(offset: 0, stride: stride, width: 3 * width, height: height)])
    samples.withUnsafeMutableBytes { bytes in
      for row in 0..<height {
        bytes[row * 3 * width..<(row + 1) * 3 * width].copyBytes(
          from: UnsafeRawBufferPointer(start: rows + row * stride, count: 3 * width))
      }
    }
  }

  /// Puts `image` at (x, y); what reaches past an edge is cut.
  mutating func draw(_ image: RGBImage, x: Int, y: Int) {
    let (columns, rows) = (min(image.width, width - x), min(image.height, height - y))
    guard x >= 0, y >= 0, columns > 0, rows > 0 else { return }
    for row in 0..<rows {
      let source = 3 * row * image.width
      let target = 3 * ((y + row) * width + x)
      samples.replaceSubrange(target..<target + 3 * columns, with: image.samples[source..<source + 3 * columns])
    }
  }

  /// The picture as a PNG file.
  func png() throws(PeripheralStatus) -> [UInt8] {
    guard let encoder = avcodec_find_encoder(AV_CODEC_ID_PNG) else { throw .unsupported }
    var context = avcodec_alloc_context3(encoder)
    defer { avcodec_free_context(&context) }
    guard let context else { throw .resources }
    context.pointee.width = Int32(width)
    context.pointee.height = Int32(height)
    context.pointee.pix_fmt = AV_PIX_FMT_RGB24
    context.pointee.time_base = AVRational(num: 1, den: 1)
    context.pointee.thread_count = 1
    context.pointee.compression_level = 3
    try check(avcodec_open2(context, encoder, nil), or: .unsupported)

    let picture = try Picture()
    picture.frame.pointee.width = Int32(width)
    picture.frame.pointee.height = Int32(height)
    picture.frame.pointee.format = AV_PIX_FMT_RGB24.rawValue
    try check(av_frame_get_buffer(picture.frame, 0), or: .resources)
    guard let rows = picture.frame.pointee.data.0 else { throw .resources }
    let stride = Int(picture.frame.pointee.linesize.0)
    samples.withUnsafeBytes { bytes in
      for row in 0..<height {
        UnsafeMutableRawBufferPointer(start: rows + row * stride, count: 3 * width)
          .copyMemory(from: .init(rebasing: bytes[row * 3 * width..<(row + 1) * 3 * width]))
      }
    }
    try check(avcodec_send_frame(context, picture.frame), or: .resources)
    var packet = av_packet_alloc()
    defer { av_packet_free(&packet) }
    guard let packet else { throw .resources }
    try check(avcodec_receive_packet(context, packet), or: .resources)
    return Array(UnsafeRawBufferPointer(start: packet.pointee.data, count: Int(packet.pointee.size)))
  }
}
