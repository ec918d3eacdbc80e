import CMedia
import Foundation
import Glibc
import LinuxSystem
import MediaContainer
import Peripherals
import RestrictedMemory
import Testing

/// The published media, what is known of it, and libav's own AES to undo its protection with.
enum Media {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "conformance/media")

  static func path(_ name: String) -> String { folder.appending(path: name).path }

  /// MD5 of each of the 25 frames' I420 planes.
  static func frameDigests() throws -> [String] {
    try String(contentsOf: folder.appending(path: "video.md5"), encoding: .utf8).split(separator: "\n").map(String.init)
  }

  static let videoKey = Array(UInt8(0)...15)
  static let audioKey = Array(UInt8(0x10)...0x1F)

  static func packets(_ name: String) throws -> (track: MediaTrack, packets: [MediaPacket]) {
    let demuxer = try Demuxer(path: path(name))
    let track = try demuxer.tracks.first ?? demuxer.videoTrack()
    var packets: [MediaPacket] = []
    while let packet = try demuxer.next() {
      if packet.trackIndex == track.index { packets.append(packet) }
    }
    return (track, packets)
  }
}

extension [UInt8] {
  var hex: String { map { String(format: "%02x", $0) }.joined() }
}

/// AES-128 of libavutil as a sample cipher: another implementation than the project's.
final class ReferenceCipher: SampleCipher {
  typealias Failure = Never
  private let mode: ProtectionScheme.Mode
  private let block: OpaquePointer
  private let counter: OpaquePointer
  private let key: [UInt8]
  private var chain: [UInt8] = []

  init(_ scheme: ProtectionScheme, key: [UInt8]) {
    mode = scheme.mode
    self.key = key
    block = av_aes_alloc()
    counter = av_aes_ctr_alloc()
    av_aes_init(block, key, 128, 1)
  }

  deinit {
    av_free(UnsafeMutableRawPointer(block))
    av_aes_ctr_free(counter)
  }

  func restart(at iv: SampleIV) {
    chain = iv.bytes
    av_aes_ctr_init(counter, key)
    av_aes_ctr_set_full_iv(counter, chain)
  }

  func update(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) {
    let source = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
    let target = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
    switch mode {
    case .counter: av_aes_ctr_crypt(counter, target, source, Int32(input.count))
    case .chaining: av_aes_crypt(block, target, source, Int32(input.count / 16), &chain, 1)
    }
  }
}

extension PacketProtection {
  func map(sampleByteCount: Int) throws -> SampleMap {
    try SampleMap(
      scheme: try #require(ProtectionScheme(rawValue: scheme)),
      pattern: EncryptionPattern(crypt: UInt8(cryptBlockCount), skip: UInt8(skipBlockCount)), iv: iv,
      subsamples: subsamples.map {
        RestrictedMemory.Subsample(clear: $0.clearByteCount, protected: $0.protectedByteCount)
      },
      sampleByteCount: sampleByteCount)
  }
}

/// A folder that goes with the test.
final class TemporaryFolder {
  let path: String
  init() throws {
    let url = FileManager.default.temporaryDirectory.appending(path: "strongroom-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.path
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }

  var files: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }
  func content(_ file: String) throws -> Data { try Data(contentsOf: URL(filePath: path).appending(path: file)) }
}

/// The peripheral program that was built with the tests.
let peripheralExecutable: String = {
  let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
  return URL(filePath: own).deletingLastPathComponent().appending(path: "strongroom-peripheral").path
}()
