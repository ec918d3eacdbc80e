import Foundation
import MediaContainer
import RestrictedMemory
import Testing

@Suite("Files")
struct ContainerTests {
  @Test(
    "a protected video says how each of its packets is protected",
    arguments: [
      ("v_cenc.mp4", ProtectionScheme.cenc, UInt32(0), UInt32(0)), ("v_cens.mp4", .cens, 1, 9),
      ("v_cbc1.mp4", .cbc1, 0, 0), ("v_cbcs.mp4", .cbcs, 1, 9), ("ff_cenc.mp4", .cenc, 0, 0),
    ])
  func protection(_ name: String, _ scheme: ProtectionScheme, _ crypt: UInt32, _ skip: UInt32) throws {
    let (track, packets) = try Media.packets(name)
    #expect(track.codec == .h264 && track.width == 160 && track.height == 120)
    #expect(track.configuration.first == 1, "an avcC record begins with its version")
    #expect(packets.count == 25)
    for packet in packets {
      let protection = try #require(packet.protection)
      #expect(protection.scheme == scheme.rawValue)
      #expect(protection.keyID.hex == "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf")
      #expect(protection.iv.count == 16)
      #expect((protection.cryptBlockCount, protection.skipBlockCount) == (crypt, skip))
      #expect(!protection.subsamples.isEmpty)
    }
  }

  @Test("a clear file's packets have no protection")
  func clear() throws {
    #expect(try Media.packets("clear.mp4").packets.allSatisfy { $0.protection == nil })
  }

  @Test(
    "deciphered by the map, every sample of every scheme is the clear file's sample",
    arguments: [
      "v_cenc.mp4", "v_cens.mp4", "v_cbc1.mp4", "v_cbcs.mp4", "ff_cenc.mp4", "a_cenc.mp4", "a_cens.mp4", "a_cbc1.mp4",
      "a_cbcs.mp4",
    ])
  func decipher(_ name: String) throws {
    let isAudio = name.hasPrefix("a_")
    let (track, packets) = try Media.packets(name)
    let clear = try Demuxer(path: Media.path("clear.mp4"))
    let clearTrack = try #require(clear.tracks.first { $0.kind == track.kind })
    var (count, enciphered) = (0, 0)
    while let expected = try clear.next() {
      if expected.trackIndex != clearTrack.index { continue }
      let packet = try #require(packets.dropFirst(count).first)
      count += 1
      let protection = try #require(packet.protection)
      let map = try protection.map(sampleByteCount: packet.data.count)
      var cipher = ReferenceCipher(map.scheme, key: isAudio ? Media.audioKey : Media.videoKey)
      var output = [UInt8](repeating: 0, count: packet.data.count)
      try packet.data.withUnsafeBytes { source in
        var rest = source[...]
        try output.withUnsafeMutableBytes { output in
          // In pieces that keep to no block.
          try map.decipher(into: output, with: &cipher) { most in
            let piece = rest.prefix(min(most, 1001))
            rest = rest.dropFirst(piece.count)
            return UnsafeRawBufferPointer(rebasing: piece)
          }
        }
        #expect(rest.isEmpty)
      }
      #expect(output == expected.data, "sample \(count) of \(name)")
      // A sample may be too small for a single protected block.
      if packet.data != expected.data { enciphered += 1 }
    }
    #expect(count == packets.count && count > 24)
    #expect(enciphered > 20)
  }

  @Test("files that cannot be played say why")
  func refused() throws {
    let folder = try TemporaryFolder()
    let text = folder.path + "/text.mp4"
    try Data("this is not a film".utf8).write(to: URL(filePath: text))
    #expect(throws: DemuxerError(path: text, reason: "not an MP4 file, or a damaged one")) { try Demuxer(path: text) }
    let wave = folder.path + "/sound.wav"
    let header: [UInt8] =
      Array("RIFF".utf8) + [36, 0, 0, 0] + Array("WAVEfmt ".utf8)
      + [16, 0, 0, 0, 1, 0, 1, 0, 0x44, 0xAC, 0, 0, 0x88, 0x58, 1, 0, 2, 0, 16, 0] + Array("data".utf8) + [0, 0, 0, 0]
    try Data(header).write(to: URL(filePath: wave))
    #expect(throws: DemuxerError(path: wave, reason: "not an MP4 file")) { try Demuxer(path: wave) }
    let missing = folder.path + "/missing.mp4"
    #expect(throws: DemuxerError(path: missing, reason: "No such file or directory")) { try Demuxer(path: missing) }
    let audio = try Demuxer(path: Media.path("a_cenc.mp4"))
    #expect(throws: DemuxerError(path: audio.path, reason: "no video track")) { try audio.videoTrack() }
    #expect(throws: DemuxerError.self) { try Demuxer(path: "http://127.0.0.1:9/film.mp4") }
  }
}
