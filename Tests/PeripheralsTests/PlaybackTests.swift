import CMedia
import Foundation
import Glibc
import LinuxSystem
import MediaContainer
import Peripherals
import RestrictedMemory
import Testing

/// Secure world, decoder and display as the runtime puts them together.
private struct Player {
  let folder: TemporaryFolder
  let pools: PoolSet
  let decoder: VideoDecoder
  let display: Display

  init(_ kinds: [UseCase: Pool.Kind] = PoolSet.standardKinds) throws {
    folder = try TemporaryFolder()
    pools = PoolSet(kinds)
    let launcher = PeripheralLauncher(
      executable: peripheralExecutable, arguments: [.decoder: [], .display: [folder.path]])
    decoder = VideoDecoder(launcher: launcher)
    display = Display(launcher: launcher)
  }

  var pool: Pool { get throws { try pools.pool(for: .secureVideoPlayback) } }

  func open() throws -> DecoderStream {
    try decoder.open(.h264, configuration: Media.packets("clear.mp4").track.configuration)
  }

  /// A restricted buffer with these bytes.
  func buffer(_ bytes: [UInt8]) throws -> RestrictedBuffer {
    let buffer = try pool.allocate(byteCount: UInt64(bytes.count))
    try bytes.withUnsafeBytes { try buffer.write($0, at: 0, by: .client) }
    return buffer
  }

  func decode(_ stream: DecoderStream, _ bytes: [UInt8], pts: Int64 = 0) throws -> [DecodedFrame] {
    try stream.decode(buffer(bytes), offset: 0, count: UInt64(bytes.count), pts: pts, surfaces: pool)
  }
}

@Suite("Playback")
struct PlaybackTests {
  @Test("a film decodes to its published frames, which the display shows as pictures")
  func endToEnd() throws {
    let player = try Player()
    let (track, packets) = try Media.packets("clear.mp4")
    let expected = try Media.frameDigests()
    let stream = try player.decoder.open(.h264, configuration: track.configuration)
    var shown: [String] = []
    var times: [Int64] = []
    func show(_ frames: [DecodedFrame]) throws {
      for frame in frames {
        #expect(frame.surface.picture == frame.info)
        #expect(try player.display.present(frame.surface) == UInt64(shown.count + 1))
        shown.append(try player.display.status().lastFrameMD5.hex)
        times.append(frame.info.pts)
      }
    }
    for packet in packets { try show(try player.decode(stream, packet.data, pts: packet.pts)) }
    while true {
      let frames = try stream.flush(surfaces: player.pool)
      if frames.isEmpty { break }
      try show(frames)
    }
    #expect(shown == expected)
    #expect(times == packets.map(\.pts).sorted())
    #expect(try player.display.status().frameCount == 25)
    #expect(try player.pool.usage.used == 0, "every surface went back to its pool")

    #expect(try player.display.contactSheet() == "contact-sheet.png")
    let names = (1...25).map { String(format: "frame-%06d.png", $0) }
    #expect(player.folder.files == ["contact-sheet.png"] + names)
    for name in player.folder.files {
      let file = try player.folder.content(name)
      #expect(file.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]))
      #expect(file.suffix(8).prefix(4) == Data("IEND".utf8))
    }
    // Five by five pictures of 160 x 120 with four samples between: IHDR's width and height.
    #expect(Array(try player.folder.content("contact-sheet.png")[16..<24]) == [0, 0, 3, 56, 0, 0, 2, 112])

    // After the end the stream takes the film again from its key frame.
    #expect(try packets.prefix(8).flatMap { try player.decode(stream, $0.data, pts: $0.pts) }.isEmpty == false)
  }

  @Test("the digest over all frames is SHA-256 over their planes")
  func digest() throws {
    let player = try Player()
    let surface = try player.pool.allocate(byteCount: 12)
    let planes = Array(UInt8(1)...6)
    try planes.withUnsafeBytes { try surface.write($0, at: 0, by: .cryptoEngine) }
    let info = try #require(FrameInfo(width: 2, height: 2, stride: 2, pts: 0))
    #expect(
      try player.display.status().allFramesSHA256.hex
        == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    for number in 1...2 { #expect(try player.display.present(surface, info) == UInt64(number)) }
    let status = try player.display.status()
    #expect(status.frameCount == 2)
    #expect(status.allFramesSHA256.hex == sha256(planes + planes).hex)
    #expect(status.lastFrameMD5.hex == "6ac1e56bc78f031059be7be854522c4c")
  }

  private func sha256(_ bytes: [UInt8]) -> [UInt8] {
    let context = av_sha_alloc()
    defer { av_free(UnsafeMutableRawPointer(context)) }
    av_sha_init(context, 256)
    av_sha_update(context, bytes, bytes.count)
    var digest = [UInt8](repeating: 0, count: 32)
    av_sha_final(context, &digest)
    return digest
  }

  @Test("bitstreams of noise are answers, and the next film is not disturbed")
  func noise() throws {
    let player = try Player()
    let (track, packets) = try Media.packets("clear.mp4")
    let hostile = try player.decoder.open(.h264, configuration: track.configuration)
    let fine = try player.open()
    var generator = SystemRandomNumberGenerator()
    for round in 0..<50 {
      var bytes = packets[round % packets.count].data
      for _ in 0..<20 { bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255) }
      do { _ = try player.decode(hostile, bytes) } catch PeripheralError.refused(.undecodable) {}
    }
    #expect(try packets.prefix(8).flatMap { try player.decode(fine, $0.data) }.isEmpty == false)
  }

  @Test("a configuration record of noise is refused, or leads to nothing")
  func configuration() throws {
    let player = try Player()
    let error = #expect(throws: PeripheralError.self) {
      _ = try player.decoder.open(.h264, configuration: [1, 0x64, 0])
    }
    #expect(error == .refused(.codec))
    #expect(throws: PeripheralError.refused(.malformed)) {
      _ = try player.decoder.open(.h264, configuration: .init(repeating: 0, count: 70_000))
    }
  }

  @Test("a decoder that dies is reported, to its own stream only")
  func death() throws {
    let player = try Player()
    // A name of its own, to find the process by.
    let program = player.folder.path + "/victim"
    try FileManager.default.createSymbolicLink(atPath: program, withDestinationPath: peripheralExecutable)
    let decoder = VideoDecoder(launcher: PeripheralLauncher(executable: program, arguments: [.decoder: []]))
    let configuration = try Media.packets("clear.mp4").track.configuration
    let victim = try decoder.open(.h264, configuration: configuration)
    let child = try #require(try process(named: program))
    let other = try decoder.open(.h264, configuration: configuration)
    let packets = try Media.packets("clear.mp4").packets
    _ = try player.decode(victim, packets[0].data)
    kill(child, SIGKILL)
    #expect(throws: PeripheralError.died) { _ = try player.decode(victim, packets[1].data) }
    #expect(!victim.isAlive)
    #expect(throws: PeripheralError.died) { _ = try victim.flush(surfaces: player.pool) }
    _ = try player.decode(other, packets[0].data)
  }

  private func process(named program: String) throws -> pid_t? {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { pid_t($0) }.first { pid in
      let command = (try? String(contentsOfFile: "/proc/\(pid)/cmdline", encoding: .utf8)) ?? ""
      return command.hasPrefix(program + "\0")
    }
  }

  @Test("buffers of other use-cases reach neither decoder nor display")
  func matrix() throws {
    let player = try Player()
    let stream = try player.open()
    let key = try player.pools.pool(for: .keyMaterial).allocate(byteCount: 64)
    let recording = try player.pools.pool(for: .secureVideoRecording).allocate(byteCount: 64)
    for buffer in [key, recording] {
      #expect(throws: PeripheralError.memory(.denied(.decoder, .read, buffer.useCase))) {
        _ = try stream.decode(buffer, offset: 0, count: 64, pts: 0, surfaces: player.pool)
      }
      #expect(throws: PeripheralError.memory(.denied(.display, .read, buffer.useCase))) {
        try player.display.present(buffer)
      }
      let info = try #require(FrameInfo(width: 2, height: 2, stride: 2, pts: 0))
      #expect(throws: PeripheralError.memory(.denied(.display, .read, buffer.useCase))) {
        try player.display.present(buffer, info)
      }
    }
    #expect(try player.display.status().frameCount == 0)
  }

  @Test("a picture larger than its surface, and a buffer without a picture, are not shown")
  func pictures() throws {
    let player = try Player()
    let surface = try player.pool.allocate(byteCount: 23)
    #expect(throws: PeripheralError.noPicture) { try player.display.present(surface) }
    let info = try #require(FrameInfo(width: 4, height: 4, stride: 4, pts: 0))
    #expect(throws: PeripheralError.memory(.tooSmall)) { try player.display.present(surface, info) }
    #expect(player.folder.files.isEmpty)
    #expect(throws: PeripheralError.refused(.noPicture)) { try player.display.contactSheet() }
  }

  @Test(
    "ranges outside of the buffer do not reach the decoder",
    arguments: [
      (UInt64(0), UInt64(65)), (64, 1), (63, 2), (2, .max), (.max, 2),
    ])
  func ranges(_ offset: UInt64, _ count: UInt64) throws {
    let player = try Player()
    let stream = try player.open()
    let buffer = try player.pool.allocate(byteCount: 64)
    let error = #expect(throws: PeripheralError.self) {
      _ = try stream.decode(buffer, offset: offset, count: count, pts: 0, surfaces: player.pool)
    }
    #expect(error == .memory(.tooSmall) || error == .memory(.offsetPastEnd))
  }

  @Test("an exhausted pool makes pictures wait, and none is lost")
  func backPressure() throws {
    // Room for one access unit and two pictures of 160 x 120.
    let player = try Player([.secureVideoPlayback: .fixed(byteCount: 4096 + 2 * 32_768)])
    let stream = try player.open()
    var held: [DecodedFrame] = []
    var times: [Int64] = []
    var refusals = 0
    func hold(_ frames: [DecodedFrame]) {
      held += frames
      times += frames.map(\.info.pts)
    }
    let packets = try Media.packets("clear.mp4").packets
    for packet in packets {
      do { hold(try player.decode(stream, packet.data, pts: packet.pts)) } catch PeripheralError.memory(.exhausted) {
        refusals += 1
        held.removeAll()
        hold(try player.decode(stream, packet.data, pts: packet.pts))
      }
    }
    while true {
      held.removeAll()
      let frames = try stream.flush(surfaces: player.pool)
      if frames.isEmpty { break }
      hold(frames)
    }
    #expect(refusals > 5)
    #expect(times == packets.map(\.pts).sorted())
  }

  @Test("no more streams than allowed, and another when one has ended")
  func streamLimit() throws {
    let folder = try TemporaryFolder()
    let launcher = PeripheralLauncher(executable: peripheralExecutable, arguments: [.decoder: []])
    let decoder = VideoDecoder(launcher: launcher, streamLimit: 1)
    do {
      let stream = try decoder.open(.h264, configuration: [])
      #expect(throws: PeripheralError.tooManyStreams) { _ = try decoder.open(.h264, configuration: []) }
      #expect(stream.isAlive)
    }
    _ = try decoder.open(.h264, configuration: [])
    #expect(throws: PeripheralError.unavailable) { _ = try Display(launcher: launcher).status() }
    withExtendedLifetime(folder) {}
  }

  @Test("a program that is not there is unavailable, or has ended at once")
  func missingProgram() {
    let launcher = PeripheralLauncher(executable: "/nonexistent/peripheral", arguments: [.decoder: []])
    #expect(throws: PeripheralError.unavailable) {
      _ = try VideoDecoder(launcher: launcher).open(.h264, configuration: [])
    }
    let wrong = PeripheralLauncher(executable: "/bin/true", arguments: [.decoder: []])
    #expect(throws: PeripheralError.died) {
      _ = try VideoDecoder(launcher: wrong).open(.h264, configuration: [])
    }
  }

  @Test("a display started again overwrites nothing, and one that cannot write says so")
  func folders() throws {
    let folder = try TemporaryFolder()
    let pools = PoolSet()
    let surface = try pools.pool(for: .secureVideoPlayback).allocate(byteCount: 6)
    let info = try #require(FrameInfo(width: 2, height: 2, stride: 2, pts: 0))
    for run in 1...2 {
      let display = Display(
        launcher: PeripheralLauncher(executable: peripheralExecutable, arguments: [.display: [folder.path]]))
      #expect(try display.present(surface, info) == 1)
      #expect(folder.files.count == run)
    }
    #expect(folder.files == ["frame-000001.png", "frame-000002.png"])
    try FileManager.default.createDirectory(
      atPath: folder.path + "/frame-000003.png", withIntermediateDirectories: false)
    try Data([1]).write(to: URL(filePath: folder.path + "/frame-000003.png/x"))
    let display = Display(
      launcher: PeripheralLauncher(executable: peripheralExecutable, arguments: [.display: [folder.path]]))
    #expect(try display.present(surface, info) == 1)
    #expect(folder.files.contains("frame-000004.png"))
    let nowhere = Display(
      launcher: PeripheralLauncher(executable: peripheralExecutable, arguments: [.display: ["/nonexistent"]]))
    #expect(throws: PeripheralError.died) { try nowhere.present(surface, info) }
  }

  @Test("a recording comes from the camera and can be read by the crypto engine only")
  func camera() throws {
    let launcher = PeripheralLauncher(executable: peripheralExecutable, arguments: [.camera: []])
    let camera = Camera(launcher: launcher)
    let pools = PoolSet()
    let recording = try pools.pool(for: .secureVideoRecording).allocate(byteCount: 16 * 16 * 3 / 2)
    #expect(try camera.capture(into: recording, width: 16, height: 16) == 1)
    #expect(recording.picture?.width == 16)
    let first = try recording.readable(offset: 0, count: 384, by: .cryptoEngine).withBytes { Array($0) }
    #expect(Set(first).count > 16)
    #expect(try camera.capture(into: recording, width: 16, height: 16) == 2)
    #expect(try recording.readable(offset: 0, count: 384, by: .cryptoEngine).withBytes { Array($0) } != first)
    #expect(throws: PeripheralError.memory(.tooSmall)) { try camera.capture(into: recording, width: 17, height: 16) }
    let playback = try pools.pool(for: .secureVideoPlayback).allocate(byteCount: 384)
    #expect(throws: PeripheralError.memory(.denied(.camera, .write, .secureVideoPlayback))) {
      try camera.capture(into: playback, width: 16, height: 16)
    }
  }
}
