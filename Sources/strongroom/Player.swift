import CCryptoki
import Configuration
import Cryptoki
import Foundation
import MediaContainer

/// Takes packets from a file to the display: a batch of samples into a restricted buffer with one call, from there to
/// the decoder one by one, and each decoded frame to the display.
final class Player {
  private let session: Session
  private let strongroom: CK_STRONGROOM_FUNCTION_LIST
  private let track: MediaTrack
  private let key: CK_OBJECT_HANDLE
  private let file: String
  private let expected: [String]?
  private let stream: CK_OBJECT_HANDLE

  /// Called after each frame that was shown, with its number from 1.
  var atFrame: (UInt) -> Void = { _ in }
  var progress: ProgressLine?
  private(set) var frameCount: UInt = 0
  private(set) var sampleCount = 0
  private(set) var protectedSampleCount = 0
  /// The numbers of the frames whose digest is another than expected.
  private(set) var mismatches: [UInt] = []
  let framesShownBefore: CK_ULONG

  /// Samples that go into one call.
  private static let batchSampleCount = 8
  /// Bytes of a batch at most, unless one sample alone has more.
  private static let batchByteCount = 4 << 20

  init(
    _ session: Session, _ track: MediaTrack, key: CK_OBJECT_HANDLE, file: String, expected: [String]?
  ) throws {
    self.session = session
    self.track = track
    self.key = key
    self.file = file
    self.expected = expected
    strongroom = try session.module.strongroom()
    let codec: CK_STRONGROOM_CODEC
    switch track.codec {
    case .h264: codec = CKC_STRONGROOM_H264
    case .hevc: codec = CKC_STRONGROOM_HEVC
    case .other(let name): throw Failure("\(file): the video is \(name); the decoder knows H.264 and HEVC")
    }
    var status = CK_STRONGROOM_DISPLAY_STATUS()
    var configuration = track.configuration
    var stream: CK_OBJECT_HANDLE = 0
    let module = session.module
    let list = strongroom
    do {
      try during("the display") {
        try module.call("GetDisplayStatus", list.GetDisplayStatus(session.handle, &status))
      }
    } catch let error as ModuleError where error.value.rawValue == CKR_STRONGROOM_PERIPHERAL_UNAVAILABLE {
      throw Self.noDisplay(error)
    }
    try during("the decoder") {
      try module.call(
        "OpenDecoder",
        list.OpenDecoder(session.handle, codec, &configuration, CK_ULONG(configuration.count), &stream))
    }
    framesShownBefore = status.ulFrameCount
    self.stream = stream
  }

  deinit { _ = session.functions.C_DestroyObject(session.handle, stream) }

  /// Why there is no display, as far as the configuration tells.
  private static func noDisplay(_ error: ModuleError) -> Error {
    guard let configuration = try? Configuration.load() else { return error }
    if let socket = configuration.socket {
      return Failure("the service at \(socket) has no display; `display-directory` of its configuration makes one")
    }
    guard let directory = configuration.displayDirectory else {
      return Failure.usage("there is no display: `display-directory` is not set; `strongroom config` explains it")
    }
    if access(directory, W_OK | X_OK) != 0 { return Failure.usage("the display: \(Failure.system(directory))") }
    return Failure(
      "the display did not start: is strongroom-peripheral beside strongroom-tee? A secure world that was there before "
        + "`display-directory` was set has none; it ends \(configuration.idleSeconds) s after its last client")
  }

  /// Plays the track to its end.
  func play(_ demuxer: Demuxer) throws {
    defer { progress?.finish() }
    var batch: [MediaPacket] = []
    var byteCount = 0
    var keyIDs: Set<[UInt8]> = []
    while let packet = try next(demuxer) {
      guard packet.trackIndex == track.index, !packet.data.isEmpty else { continue }
      if let protection = packet.protection {
        try check(protection)
        keyIDs.insert(protection.keyID)
        guard keyIDs.count == 1 else {
          throw Failure("\(file): the video is protected with several keys; only one can be given")
        }
      }
      let isFull = batch.count == Self.batchSampleCount || byteCount + packet.data.count > Self.batchByteCount
      if !batch.isEmpty && (isFull || !Self.sameParameters(batch, packet)) {
        try play(batch)
        batch = []
        byteCount = 0
      }
      batch.append(packet)
      byteCount += packet.data.count
    }
    if !batch.isEmpty { try play(batch) }
    try decode(CK_OBJECT_HANDLE(CK_INVALID_HANDLE), 0, 0, 0)
    guard frameCount > 0 else { throw Failure("\(file): the decoder made no picture of it") }
  }

  func status() throws -> CK_STRONGROOM_DISPLAY_STATUS {
    var status = CK_STRONGROOM_DISPLAY_STATUS()
    try session.call("GetDisplayStatus", strongroom.GetDisplayStatus(session.handle, &status))
    return status
  }

  func writeContactSheet() throws {
    try session.call("WriteContactSheet", strongroom.WriteContactSheet(session.handle))
  }

  private func next(_ demuxer: Demuxer) throws -> MediaPacket? {
    do { return try demuxer.next() } catch { throw Failure("\(error)") }
  }

  private func check(_ protection: PacketProtection) throws {
    if key == CK_OBJECT_HANDLE(CK_INVALID_HANDLE) {
      throw Failure.usage(
        "\(file) is protected with the key \(hexadecimal(protection.keyID)); give --key, or --wrapped-key and --unwrapping-key"
      )
    }
    guard protection.iv.count == 16 else {
      throw Failure("\(file): an IV has \(protection.iv.count) bytes")
    }
  }

  /// Whether a packet can be in one call with the others: clear ones go with any.
  private static func sameParameters(_ batch: [MediaPacket], _ packet: MediaPacket) -> Bool {
    guard let new = packet.protection, let old = batch.lazy.compactMap(\.protection).first else { return true }
    return new.scheme == old.scheme && new.cryptBlockCount == old.cryptBlockCount
      && new.skipBlockCount == old.skipBlockCount
  }

  private func play(_ batch: [MediaPacket]) throws {
    let byteCount = batch.reduce(0) { $0 + $1.data.count }
    let buffer = try RestrictedBuffer(session, .playback, byteCount: UInt(byteCount))
    try decrypt(batch, into: buffer)
    var offset = 0
    for packet in batch {
      try decode(buffer.handle, CK_ULONG(offset), CK_ULONG(packet.data.count), Int(packet.pts))
      offset += packet.data.count
    }
  }

  /// Puts the samples one after the other into the buffer.
  private func decrypt(_ batch: [MediaPacket], into buffer: RestrictedBuffer) throws {
    let protection = batch.lazy.compactMap(\.protection).first
    var parameters = CK_STRONGROOM_SAMPLE_PARAMS(
      scheme: protection.map { CK_STRONGROOM_SCHEME($0.scheme) } ?? CKS_STRONGROOM_CENC,
      ulCryptByteBlock: CK_ULONG(protection?.cryptBlockCount ?? 0),
      ulSkipByteBlock: CK_ULONG(protection?.skipBlockCount ?? 0))

    // Everything that the samples point to lies in two arrays for the time of the call.
    var data: [UInt8] = []
    var subsamples: [CK_STRONGROOM_SUBSAMPLE] = []
    var counts: [Int] = []
    for packet in batch {
      data += packet.data
      let first = subsamples.count
      if let protection = packet.protection {
        protectedSampleCount += 1
        subsamples += protection.subsamples.map {
          CK_STRONGROOM_SUBSAMPLE(
            ulClearLen: CK_ULONG($0.clearByteCount), ulProtectedLen: CK_ULONG($0.protectedByteCount))
        }
      } else {
        subsamples.append(CK_STRONGROOM_SUBSAMPLE(ulClearLen: CK_ULONG(packet.data.count), ulProtectedLen: 0))
      }
      counts.append(subsamples.count - first)
    }
    sampleCount += batch.count
    let usedKey = protection == nil ? CK_OBJECT_HANDLE(CK_INVALID_HANDLE) : key
    let result = data.withUnsafeMutableBufferPointer { data in
      subsamples.withUnsafeMutableBufferPointer { subsamples in
        var offset = 0
        var subsample = 0
        var samples: [CK_STRONGROOM_SAMPLE] = []
        for (packet, count) in zip(batch, counts) {
          var sample = CK_STRONGROOM_SAMPLE()
          sample.pData = data.baseAddress.map { $0 + offset }
          sample.ulDataLen = CK_ULONG(packet.data.count)
          if let iv = packet.protection?.iv {
            withUnsafeMutableBytes(of: &sample.iv) { $0.copyBytes(from: iv.prefix(16)) }
          }
          sample.pSubsamples = count == 0 ? nil : subsamples.baseAddress.map { $0 + subsample }
          sample.ulSubsampleCount = CK_ULONG(count)
          sample.hBuffer = buffer.handle
          sample.ulOffset = CK_ULONG(offset)
          samples.append(sample)
          offset += packet.data.count
          subsample += count
        }
        return strongroom.DecryptSamples(session.handle, usedKey, &parameters, &samples, CK_ULONG(samples.count))
      }
    }
    try during("\(file): samples \(sampleCount - batch.count + 1) to \(sampleCount)") {
      try session.call("DecryptSamples", result)
    }
  }

  /// Hands one access unit to the decoder, or with a length of 0 the end, and shows what comes back.
  private func decode(_ buffer: CK_OBJECT_HANDLE, _ offset: CK_ULONG, _ count: CK_ULONG, _ timestamp: Int) throws {
    var frames = [CK_STRONGROOM_FRAME](repeating: CK_STRONGROOM_FRAME(), count: 16)
    var frameCount = CK_ULONG(frames.count)
    try during("\(file): frame \(self.frameCount + 1)") {
      try session.call(
        "Decode", strongroom.Decode(session.handle, stream, buffer, offset, count, timestamp, &frames, &frameCount))
    }
    let surfaces = try frames.prefix(Int(min(frameCount, 16))).map {
      try RestrictedBuffer(session, adopting: $0.hBuffer)
    }
    for surface in surfaces { try present(surface) }
  }

  private func present(_ surface: RestrictedBuffer) throws {
    try during("\(file): frame \(frameCount + 1)") {
      try session.call("Present", strongroom.Present(session.handle, surface.handle, nil))
    }
    frameCount += 1
    if let expected {
      let status = try status()
      let digest = withUnsafeBytes(of: status.lastMD5) { hexadecimal($0) }
      let index = Int(frameCount) - 1
      if index >= expected.count || expected[index] != digest { mismatches.append(frameCount) }
    }
    progress?.show(frameCount)
    atFrame(frameCount)
  }
}
