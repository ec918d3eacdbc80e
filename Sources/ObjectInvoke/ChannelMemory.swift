import CLinux
import LinuxSystem

/// The addresses of the parts of a channel's shared memory, as long as its `ChannelMapping` lives.
struct ChannelMemory: @unchecked Sendable {
  // Sendable: constant addresses; the protocol says who writes when.
  let wakeCost: SharedWord
  let serverAsleep: SharedWord
  let serverPlace: SharedWord
  let clientAsleep: SharedWord
  let inputPut: SharedCounter
  let inputTaken: SharedCounter
  let outputPut: SharedCounter
  let outputTaken: SharedCounter
  let requestLine: UnsafeMutableRawPointer
  let inlineRequest: UnsafeMutableRawPointer
  let replyLine: UnsafeMutableRawPointer
  let inlineReply: UnsafeMutableRawPointer
  // Each ring is mapped twice in a row.
  let inputRing: UnsafeMutableRawPointer
  let outputRing: UnsafeMutableRawPointer

  fileprivate init(_ base: UnsafeMutableRawPointer) {
    wakeCost = SharedWord(base + ChannelLayout.wakeCost)
    serverAsleep = SharedWord(base + ChannelLayout.serverAsleep)
    serverPlace = SharedWord(base + ChannelLayout.serverPlace)
    clientAsleep = SharedWord(base + ChannelLayout.clientAsleep)
    inputPut = SharedCounter(base + ChannelLayout.inputPut)
    inputTaken = SharedCounter(base + ChannelLayout.inputTaken)
    outputPut = SharedCounter(base + ChannelLayout.outputPut)
    outputTaken = SharedCounter(base + ChannelLayout.outputTaken)
    requestLine = base + ChannelLayout.requestLine
    inlineRequest = base + ChannelLayout.inlineRequest
    replyLine = base + ChannelLayout.replyLine
    inlineReply = base + ChannelLayout.inlineReply
    inputRing = base + ChannelLayout.inputRing
    outputRing = base + ChannelLayout.inputRing + 2 * ChannelLayout.ringByteCount
  }

  var requestSequence: SharedWord {
    @inline(__always) get { SharedWord(requestLine + ChannelLayout.RequestField.sequence) }
  }
  var requestEvents: SharedWord {
    @inline(__always) get { SharedWord(requestLine + ChannelLayout.RequestField.events) }
  }
  /// Publishes a request: its number and a new count of events, which lie side by side, in one store with a full fence.
  /// A second store would take the line away from the server while it reads it.
  @inline(__always)
  func publishRequest(_ sequence: UInt32) {
    let events = requestEvents.loadRelaxed() &+ 1
    SharedCounter(requestLine).exchange((UInt64(events) << 32 | UInt64(sequence)).littleEndian)
  }
  /// Publishes an answer in the same way.
  @inline(__always)
  func publishReply(_ sequence: UInt32) {
    let events = replyEvents.loadRelaxed() &+ 1
    SharedCounter(replyLine).exchange((UInt64(events) << 32 | UInt64(sequence)).littleEndian)
  }

  /// Takes the lines that a short request will be written to.
  @inline(__always)
  func expectRequest() {
    clinux_prefetch_write(requestLine)
    clinux_prefetch_write(inlineRequest)
    clinux_prefetch_write(inlineRequest + 64)
  }
  /// Fetches the lines that a short request lies in, and takes those that a short answer will be written to, while the
  /// work is being done.
  @inline(__always)
  func expectReply() {
    clinux_prefetch(inlineRequest)
    clinux_prefetch(inlineRequest + 64)
    clinux_prefetch_write(replyLine)
    clinux_prefetch_write(inlineReply)
  }

  var replySequence: SharedWord {
    @inline(__always) get { SharedWord(replyLine + ChannelLayout.ReplyField.sequence) }
  }
  var replyEvents: SharedWord {
    @inline(__always) get { SharedWord(replyLine + ChannelLayout.ReplyField.events) }
  }
}

/// A channel's shared memory as one side maps it.
///
/// The mapping is not inherited by a forked child and not shown in a core file.
final class ChannelMapping: Sendable {
  let region: SharedRegion
  let memory: ChannelMemory

  private static let windows: [SharedRegion.Window] = {
    let head = SharedRegion.Window(fileOffset: 0, byteCount: ChannelLayout.inputRing)
    let input = SharedRegion.Window(fileOffset: ChannelLayout.inputRing, byteCount: ChannelLayout.ringByteCount)
    let output = SharedRegion.Window(fileOffset: ChannelLayout.outputRing, byteCount: ChannelLayout.ringByteCount)
    return [head, input, input, output, output]
  }()

  private init(_ region: SharedRegion) {
    self.region = region
    memory = ChannelMemory(region.base)
  }

  /// The server's end of a new channel, and the descriptor for the client.
  static func create(
    wakeNanoseconds: UInt32
  ) throws(SystemError) -> (mapping: ChannelMapping, descriptor: Int32) {
    let created = try SharedRegion.create(
      name: "strongroom-channel", byteCount: ChannelLayout.byteCount, windows: windows,
      options: [.notInherited, .notDumped])
    let base = created.region.base
    base.storeBytes(of: ChannelLayout.magic.littleEndian, as: UInt32.self)
    base.storeBytes(of: ChannelLayout.version.littleEndian, toByteOffset: 4, as: UInt32.self)
    base.storeBytes(of: UInt32(ChannelLayout.inlineByteCount).littleEndian, toByteOffset: 8, as: UInt32.self)
    base.storeBytes(of: UInt32(ChannelLayout.ringByteCount).littleEndian, toByteOffset: 12, as: UInt32.self)
    let mapping = ChannelMapping(created.region)
    mapping.memory.wakeCost.store(wakeNanoseconds)
    mapping.memory.serverPlace.store(.max)
    return (mapping, created.descriptor.relinquish())
  }

  /// The client's end. EPROTO when the memory is laid out otherwise.
  static func map(_ descriptor: borrowing Descriptor) throws(SystemError) -> ChannelMapping {
    let region = try SharedRegion(
      descriptor, byteCount: ChannelLayout.byteCount, access: .readWrite, windows: windows,
      options: [.notInherited, .notDumped])
    guard SharedWord(region.base).load() == ChannelLayout.magic,
      SharedWord(region.base + 4).load() == ChannelLayout.version,
      SharedWord(region.base + 8).load() == UInt32(ChannelLayout.inlineByteCount),
      SharedWord(region.base + 12).load() == UInt32(ChannelLayout.ringByteCount)
    else { throw SystemError("ChannelMemory", 71 /* EPROTO */) }
    return ChannelMapping(region)
  }
}
