import CMedia
import LinuxSystem
import Peripherals
import Wire

/// The video decoder: compressed access units in, pictures out, both in restricted memory.
///
/// One process decodes one stream, so that a bitstream that crashes it costs nobody else a picture.
struct DecoderPeripheral: PeripheralService {
  private var stream: VideoStream?
  /// Whether the access units so far were said to be all: what follows then starts anew.
  private var isDrained = false
  private var waiting: [(picture: Picture, info: FrameInfo)] = []

  static let maximumWaitingCount = 32

  init() { av_log_set_level(AV_LOG_QUIET) }

  mutating func answer(
    _ operation: UInt32, _ request: inout WireReader, memory: consuming Descriptor?, reply: inout WireWriter
  ) throws(PeripheralStatus) {
    switch DecoderOperation(rawValue: operation) {
    case .open: try open(&request)
    case .decode: try decode(&request, memory, &reply)
    case .collect: try collect(&request, memory, &reply)
    case .flush:
      try endOfRequest(request)
      try flush()
      writeWaiting(&reply)
    case .reset:
      try endOfRequest(request)
      stream?.reset()
      isDrained = false
      waiting = []
    case nil: throw .unsupported
    }
  }

  private mutating func open(_ request: inout WireReader) throws(PeripheralStatus) {
    let codec = try field { () throws(WireError) in try request.u32() }
    let configuration = try field { () throws(WireError) in try request.lentBytes() }
    try endOfRequest(request)
    guard stream == nil else { throw .unsupported }
    guard let codec = VideoCodec(rawValue: codec) else { throw .codec }
    stream = try VideoStream(codec: codec, configuration: configuration)
  }

  private mutating func decode(
    _ request: inout WireReader, _ memory: consuming Descriptor?, _ reply: inout WireWriter
  ) throws(PeripheralStatus) {
    let offset = try field { () throws(WireError) in try request.u64() }
    let count = try field { () throws(WireError) in try request.u64() }
    let pts = try field { () throws(WireError) in try request.u64() }
    try endOfRequest(request)
    guard stream != nil else { throw .unsupported }
    if isDrained {
      stream?.reset()
      isDrained = false
    }
    guard waiting.count < Self.maximumWaitingCount else { throw .picturesWait }
    let mapping = try MappedMemory(memory, access: .read)
    let accessUnit = try mapping.range(offset: offset, count: count)
    // A decoder that is full takes the access unit once its pictures are received.
    if try !send(accessUnit, pts: Int64(bitPattern: pts)) {
      try receivePictures()
      guard try send(accessUnit, pts: Int64(bitPattern: pts)) else { throw .picturesWait }
    }
    try receivePictures()
    writeWaiting(&reply)
  }

  private func send(_ accessUnit: UnsafeRawBufferPointer, pts: Int64) throws(PeripheralStatus) -> Bool {
    try stream?.send(accessUnit, pts: pts) ?? false
  }

  private mutating func receivePictures() throws(PeripheralStatus) {
    while let picture = try stream?.receive() ?? nil {
      guard let info = picture.info else { throw .undecodable }
      waiting.append((picture, info))
    }
  }

  private mutating func flush() throws(PeripheralStatus) {
    guard stream != nil else { throw .unsupported }
    try stream?.drain()
    isDrained = true
    try receivePictures()
  }

  private mutating func collect(
    _ request: inout WireReader, _ memory: consuming Descriptor?, _ reply: inout WireWriter
  ) throws(PeripheralStatus) {
    try endOfRequest(request)
    guard let (picture, info) = waiting.first else { throw .noPicture }
    let surface = try MappedMemory(memory, access: .readWrite)
    try picture.write(info, to: surface.bytes)
    waiting.removeFirst()
    info.write(to: &reply)
  }

  private func writeWaiting(_ reply: inout WireWriter) {
    reply.u32(UInt32(waiting.count))
    for (_, info) in waiting { info.write(to: &reply) }
  }
}
