import CCryptoki
import Foundation
import MediaContainer

/// The published media and what is known of them.
enum TestMedia {
  static let folder = (#filePath as NSString).deletingLastPathComponent + "/../media"
  static let videoKey = Array(UInt8(0)...15)
  static let audioKey = Array(UInt8(0x10)...0x1f)

  static func frameDigests() throws -> [[UInt8]] {
    try String(contentsOfFile: folder + "/video.md5", encoding: .utf8).split(separator: "\n").map { line in
      stride(from: 0, to: 32, by: 2).compactMap { UInt8(line.dropFirst($0).prefix(2), radix: 16) }
    }
  }

  static func packets(_ file: String, _ kind: MediaTrack.Kind) throws -> (track: MediaTrack, packets: [MediaPacket]) {
    let demuxer = try Demuxer(path: folder + "/" + file)
    guard let track = demuxer.tracks.first(where: { $0.kind == kind }) else {
      throw DemuxerError(path: file, reason: "no such track")
    }
    var packets: [MediaPacket] = []
    while let packet = try demuxer.next() { if packet.trackIndex == track.index { packets.append(packet) } }
    return (track, packets)
  }
}

/// How samples are protected.
struct Protection {
  var scheme: UInt
  var crypt: UInt = 0
  var skip: UInt = 0

  static let cenc = Protection(scheme: CKS_STRONGROOM_CENC)
  static let cens = Protection(scheme: CKS_STRONGROOM_CENS)
  static let cbc1 = Protection(scheme: CKS_STRONGROOM_CBC1)
  static let cbcs = Protection(scheme: CKS_STRONGROOM_CBCS)
}

/// A sample of a batch.
struct Sample {
  var data: [UInt8]
  var iv: [UInt8]
  var subsamples: [(clear: UInt, protected: UInt)]
  var buffer: CK_OBJECT_HANDLE
  var offset: UInt

  init(
    _ data: [UInt8], _ iv: [UInt8], _ subsamples: [(clear: UInt, protected: UInt)] = [],
    into buffer: CK_OBJECT_HANDLE, at offset: UInt
  ) {
    (self.data, self.iv, self.subsamples) = (data, iv, subsamples)
    (self.buffer, self.offset) = (buffer, offset)
  }

  /// A packet of a file; one in the clear is said to be.
  init(_ packet: MediaPacket, into buffer: CK_OBJECT_HANDLE, at offset: UInt) {
    var subsamples: [(clear: UInt, protected: UInt)] = [(UInt(packet.data.count), 0)]
    if let protection = packet.protection {
      subsamples = protection.subsamples.map { (UInt($0.clearByteCount), UInt($0.protectedByteCount)) }
    }
    self.init(packet.data, packet.protection?.iv ?? [], subsamples, into: buffer, at: offset)
  }
}

/// DecryptSamples of a batch.
func decryptSamples(
  _ session: CK_SESSION_HANDLE, _ key: CK_OBJECT_HANDLE, _ protection: Protection, _ samples: [Sample]
) -> CK_RV {
  var data = samples.flatMap(\.data) + [0]
  var subsamples =
    samples.flatMap(\.subsamples).map { CK_STRONGROOM_SUBSAMPLE(ulClearLen: $0.clear, ulProtectedLen: $0.protected) }
    + [CK_STRONGROOM_SUBSAMPLE()]
  var parameters = CK_STRONGROOM_SAMPLE_PARAMS(
    scheme: protection.scheme, ulCryptByteBlock: protection.crypt, ulSkipByteBlock: protection.skip)
  return data.withUnsafeMutableBufferPointer { data in
    subsamples.withUnsafeMutableBufferPointer { subsamples in
      var (place, first) = (0, 0)
      var batch = samples.map { sample in
        var entry = CK_STRONGROOM_SAMPLE()
        entry.pData = data.baseAddress.map { $0 + place }
        entry.ulDataLen = UInt(sample.data.count)
        withUnsafeMutableBytes(of: &entry.iv) { $0.copyBytes(from: sample.iv.prefix(16)) }
        entry.pSubsamples = sample.subsamples.isEmpty ? nil : subsamples.baseAddress.map { $0 + first }
        entry.ulSubsampleCount = UInt(sample.subsamples.count)
        entry.hBuffer = sample.buffer
        entry.ulOffset = sample.offset
        place += sample.data.count
        first += sample.subsamples.count
        return entry
      }
      return vendor.DecryptSamples!(session, key, &parameters, &batch, UInt(batch.count))
    }
  }
}
