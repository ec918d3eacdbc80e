import CMedia
import Peripherals

/// One open software decoder: owns libavcodec's context.
///
/// Access units go in by `send`, pictures come out by `receive` in presentation order.
final class VideoStream {
  private let context: UnsafeMutablePointer<AVCodecContext>
  private let packet: UnsafeMutablePointer<AVPacket>

  /// Throws `.codec` when the codec is not there or refuses its configuration record.
  init(codec: VideoCodec, configuration: UnsafeRawBufferPointer) throws(PeripheralStatus) {
    guard let decoder = avcodec_find_decoder(codec.identifier) else { throw .codec }
    guard let context = avcodec_alloc_context3(decoder) else { throw .resources }
    guard let packet = av_packet_alloc() else {
      var abandoned: UnsafeMutablePointer<AVCodecContext>? = context
      avcodec_free_context(&abandoned)
      throw .resources
    }
    self.context = context
    self.packet = packet
    context.pointee.thread_count = 1
    context.pointee.max_pixels = Self.maximumPixelCount
    if let source = configuration.baseAddress, configuration.count > 0 {
      // libavcodec reads past the end in whole words and asks for zeros there; it frees the record with the context.
      guard let copy = av_mallocz(configuration.count + Int(AV_INPUT_BUFFER_PADDING_SIZE)) else { throw .resources }
      copy.copyMemory(from: source, byteCount: configuration.count)
      context.pointee.extradata = copy.assumingMemoryBound(to: UInt8.self)
      context.pointee.extradata_size = Int32(configuration.count)
    }
    // A record that does not parse is an error here; damage in access units is concealed as far as it can be.
    context.pointee.err_recognition = AV_EF_EXPLODE
    try check(avcodec_open2(context, decoder, nil), or: .codec)
    context.pointee.err_recognition = 0
  }

  deinit {
    var packet: UnsafeMutablePointer<AVPacket>? = packet
    av_packet_free(&packet)
    var context: UnsafeMutablePointer<AVCodecContext>? = context
    avcodec_free_context(&context)
  }

  /// Gives one access unit to the decoder, which copies it. False: pictures have to be received first.
  func send(_ accessUnit: UnsafeRawBufferPointer, pts: Int64) throws(PeripheralStatus) -> Bool {
    guard let source = accessUnit.baseAddress, let size = Int32(exactly: accessUnit.count),
      size > 0, size <= Int32.max - AV_INPUT_BUFFER_PADDING_SIZE
    else { throw .undecodable }
    try check(av_new_packet(packet, size), or: .resources)
    defer { av_packet_unref(packet) }
    UnsafeMutableRawPointer(packet.pointee.data).copyMemory(from: source, byteCount: accessUnit.count)
    packet.pointee.pts = pts
    let result = avcodec_send_packet(context, packet)
    if result == strongroom_av_again() { return false }
    try check(result, or: .undecodable)
    return true
  }

  /// Says that no access units follow, so that every picture comes out.
  func drain() throws(PeripheralStatus) {
    let result = avcodec_send_packet(context, nil)
    if result != strongroom_av_eof() { try check(result, or: .undecodable) }
  }

  /// Forgets all references and pictures; access units may follow again.
  func reset() { avcodec_flush_buffers(context) }

  /// The next picture, or nil when more access units are needed or none are left.
  func receive() throws(PeripheralStatus) -> Picture? {
    let picture = try Picture()
    let result = avcodec_receive_frame(context, picture.frame)
    if result == strongroom_av_again() || result == strongroom_av_eof() { return nil }
    try check(result, or: .undecodable)
    return picture
  }

  /// 8192 x 4352: what the decoder takes at most, so that a picture header cannot ask for all memory.
  private static let maximumPixelCount: Int64 = 8192 * 4352
}

extension VideoCodec {
  fileprivate var identifier: AVCodecID {
    switch self {
    case .h264: AV_CODEC_ID_H264
    case .hevc: AV_CODEC_ID_HEVC
    case .vp9: AV_CODEC_ID_VP9
    case .av1: AV_CODEC_ID_AV1
    }
  }
}
