import CMedia
import Glibc

/// Why a file could not be played: the file, and what is wrong with it.
public struct DemuxerError: Error, Equatable, Sendable, CustomStringConvertible {
  public let path: String
  public let reason: String

  public init(path: String, reason: String) {
    self.path = path
    self.reason = reason
  }

  public var description: String { "\(path): \(reason)" }
}

/// How one packet is protected (ISO/IEC 23001-7), as the file says.
public struct PacketProtection: Sendable, Equatable {
  /// A clear range followed by a protected one, in bytes.
  public struct Subsample: Sendable, Equatable {
    public let clearByteCount: UInt32
    public let protectedByteCount: UInt32
  }

  /// The four characters of the `schm` box, big-endian: 0x63656e63 is cenc.
  public let scheme: UInt32
  public let keyID: [UInt8]
  /// 16 bytes; an IV of 8 bytes is followed by zeros.
  public let iv: [UInt8]
  /// The pattern in 16-byte blocks; both zero where there is none.
  public let cryptBlockCount: UInt32
  public let skipBlockCount: UInt32
  /// Empty: the whole packet is protected.
  public let subsamples: [Subsample]
}

/// One access unit as it lies in the file.
public struct MediaPacket: Sendable {
  public let trackIndex: Int
  /// Still enciphered where `protection` says so.
  public let data: [UInt8]
  /// In the track's unit of time.
  public let pts: Int64
  public let dts: Int64
  public let isKeyFrame: Bool
  /// Nil for a packet in the clear, such as a lead-in.
  public let protection: PacketProtection?
}

/// One track of a file.
public struct MediaTrack: Sendable {
  public enum Kind: Sendable, Equatable { case video, audio, other }
  public enum Codec: Sendable, Equatable {
    case h264, hevc
    case other(name: String)
  }

  public let index: Int
  public let kind: Kind
  public let codec: Codec
  /// The codec's own record: avcC, hvcC, AudioSpecificConfig.
  public let configuration: [UInt8]
  /// Of a picture in luma samples; zero for audio.
  public let width: Int
  public let height: Int
  /// Seconds in one unit of `pts`, as a fraction.
  public let timeBase: (numerator: Int32, denominator: Int32)
}

/// Takes MP4 files apart by libavformat, without decoding or deciphering anything.
public final class Demuxer {
  public let path: String
  public let tracks: [MediaTrack]
  private var context: UnsafeMutablePointer<AVFormatContext>?
  private var packet: UnsafeMutablePointer<AVPacket>?

  /// Opens a local file; throws a message that says why it cannot be played.
  public init(path: String) throws(DemuxerError) {
    av_log_set_level(AV_LOG_QUIET)
    self.path = path
    guard access(path, R_OK) == 0 else {
      throw DemuxerError(path: path, reason: String(cString: strerror(errno)))
    }
    // Neither the name nor anything inside of the file may make the library open something else.
    var options: OpaquePointer?
    av_dict_set(&options, "protocol_whitelist", "file", 0)
    defer { av_dict_free(&options) }
    var opened: UnsafeMutablePointer<AVFormatContext>?
    let result = avformat_open_input(&opened, "file:" + path, nil, &options)
    guard result >= 0, let opened else {
      throw DemuxerError(path: path, reason: "not an MP4 file, or a damaged one")
    }
    var closing: UnsafeMutablePointer<AVFormatContext>? = opened
    guard let name = opened.pointee.iformat.pointee.name, String(cString: name).contains("mp4") else {
      avformat_close_input(&closing)
      throw DemuxerError(path: path, reason: "not an MP4 file")
    }
    guard let packet = av_packet_alloc() else {
      avformat_close_input(&closing)
      throw DemuxerError(path: path, reason: "out of memory")
    }
    context = opened
    self.packet = packet
    tracks = (0..<Int(opened.pointee.nb_streams)).compactMap { index in
      opened.pointee.streams[index].map { MediaTrack(index: index, $0.pointee) }
    }
  }

  deinit {
    av_packet_free(&packet)
    avformat_close_input(&context)
  }

  /// The first video track; throws when there is none.
  public func videoTrack() throws(DemuxerError) -> MediaTrack {
    guard let track = tracks.first(where: { $0.kind == .video }) else {
      throw DemuxerError(path: path, reason: "no video track")
    }
    return track
  }

  /// The next packet of any track in the file's order, or nil at the end.
  public func next() throws(DemuxerError) -> MediaPacket? {
    guard let packet else { return nil }
    let result = av_read_frame(context, packet)
    if result == strongroom_av_eof() { return nil }
    guard result >= 0 else { throw DemuxerError(path: path, reason: "damaged: a packet cannot be read") }
    defer { av_packet_unref(packet) }
    let source = packet.pointee
    return MediaPacket(
      trackIndex: Int(source.stream_index),
      data: Array(UnsafeBufferPointer(start: source.data, count: Int(source.size))), pts: source.pts, dts: source.dts,
      isKeyFrame: source.flags & AV_PKT_FLAG_KEY != 0, protection: try protection(of: packet))
  }

  private func protection(
    of packet: UnsafeMutablePointer<AVPacket>
  ) throws(DemuxerError) -> PacketProtection? {
    var size = 0
    guard let sideData = av_packet_get_side_data(packet, AV_PKT_DATA_ENCRYPTION_INFO, &size) else { return nil }
    guard let info = av_encryption_info_get_side_data(sideData, size) else {
      throw DemuxerError(path: path, reason: "damaged: a packet's protection cannot be read")
    }
    defer { av_encryption_info_free(info) }
    let source = info.pointee
    return PacketProtection(
      scheme: source.scheme, keyID: Array(UnsafeBufferPointer(start: source.key_id, count: Int(source.key_id_size))),
      iv: Array(UnsafeBufferPointer(start: source.iv, count: Int(source.iv_size))),
      cryptBlockCount: source.crypt_byte_block, skipBlockCount: source.skip_byte_block,
      subsamples: UnsafeBufferPointer(start: source.subsamples, count: Int(source.subsample_count)).map {
        PacketProtection.Subsample(
          clearByteCount: $0.bytes_of_clear_data, protectedByteCount: $0.bytes_of_protected_data)
      })
  }
}

extension MediaTrack {
  fileprivate init(index: Int, _ stream: AVStream) {
    let parameters = stream.codecpar.pointee
    self.index = index
    kind =
      switch parameters.codec_type {
      case AVMEDIA_TYPE_VIDEO: .video
      case AVMEDIA_TYPE_AUDIO: .audio
      default: .other
      }
    codec =
      switch parameters.codec_id {
      case AV_CODEC_ID_H264: .h264
      case AV_CODEC_ID_HEVC: .hevc
      default: .other(name: String(cString: avcodec_get_name(parameters.codec_id)))
      }
    configuration = Array(
      UnsafeBufferPointer(start: parameters.extradata, count: Int(max(0, parameters.extradata_size))))
    (width, height) = (Int(parameters.width), Int(parameters.height))
    timeBase = (stream.time_base.num, stream.time_base.den)
  }
}
