import CLinux
import LinuxSystem

/// A channel's shared memory as one side maps it, with the addresses of its parts.
///
/// The mapping is not inherited by a forked child and not shown in a core file.
final class ChannelMemory: Sendable {
  let region: SharedRegion
  let spinHint: SharedWord
  let serverAsleep: SharedWord
  let serverProcessor: SharedWord
  let clientAsleep: SharedWord
  let inputPut: SharedCounter
  let inputTaken: SharedCounter
  let outputPut: SharedCounter
  let outputTaken: SharedCounter
  nonisolated(unsafe) let requestLine: UnsafeMutableRawPointer
  nonisolated(unsafe) let inlineRequest: UnsafeMutableRawPointer
  nonisolated(unsafe) let replyLine: UnsafeMutableRawPointer
  nonisolated(unsafe) let inlineReply: UnsafeMutableRawPointer
  // Each ring is mapped twice in a row. `nonisolated(unsafe)`: constant addresses; the protocol says who writes when.
  nonisolated(unsafe) let inputRing: UnsafeMutableRawPointer
  nonisolated(unsafe) let outputRing: UnsafeMutableRawPointer

  private static let windows: [SharedRegion.Window] = {
    let head = SharedRegion.Window(fileOffset: 0, byteCount: ChannelLayout.inputRing)
    let input = SharedRegion.Window(fileOffset: ChannelLayout.inputRing, byteCount: ChannelLayout.ringByteCount)
    let output = SharedRegion.Window(fileOffset: ChannelLayout.outputRing, byteCount: ChannelLayout.ringByteCount)
    return [head, input, input, output, output]
  }()

  private init(_ region: SharedRegion) {
    self.region = region
    let base = region.base
    spinHint = SharedWord(base + ChannelLayout.spinHint)
    serverAsleep = SharedWord(base + ChannelLayout.serverAsleep)
    serverProcessor = SharedWord(base + ChannelLayout.serverProcessor)
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

  /// The server's end of a new channel, and the descriptor for the client.
  static func create(
    spinNanoseconds: UInt32
  ) throws(SystemError) -> (memory: ChannelMemory, descriptor: Int32) {
    let created = try SharedRegion.create(
      name: "strongroom-channel", byteCount: ChannelLayout.byteCount, windows: windows,
      options: [.notInherited, .notDumped])
    let base = created.region.base
    base.storeBytes(of: ChannelLayout.magic.littleEndian, as: UInt32.self)
    base.storeBytes(of: ChannelLayout.version.littleEndian, toByteOffset: 4, as: UInt32.self)
    base.storeBytes(of: UInt32(ChannelLayout.inlineByteCount).littleEndian, toByteOffset: 8, as: UInt32.self)
    base.storeBytes(of: UInt32(ChannelLayout.ringByteCount).littleEndian, toByteOffset: 12, as: UInt32.self)
    let memory = ChannelMemory(created.region)
    memory.spinHint.store(spinNanoseconds)
    memory.serverProcessor.store(.max)
    return (memory, created.descriptor.relinquish())
  }

  /// The client's end. EPROTO when the memory is laid out otherwise.
  static func map(_ descriptor: borrowing Descriptor) throws(SystemError) -> ChannelMemory {
    let region = try SharedRegion(
      descriptor, byteCount: ChannelLayout.byteCount, access: .readWrite, windows: windows,
      options: [.notInherited, .notDumped])
    guard SharedWord(region.base).load() == ChannelLayout.magic,
      SharedWord(region.base + 4).load() == ChannelLayout.version,
      SharedWord(region.base + 8).load() == UInt32(ChannelLayout.inlineByteCount),
      SharedWord(region.base + 12).load() == UInt32(ChannelLayout.ringByteCount)
    else { throw SystemError("ChannelMemory", 71 /* EPROTO */) }
    return ChannelMemory(region)
  }

  var requestSequence: SharedWord {
    @inline(__always) get { SharedWord(requestLine + ChannelLayout.RequestField.sequence) }
  }
  var requestEvents: SharedWord {
    @inline(__always) get { SharedWord(requestLine + ChannelLayout.RequestField.events) }
  }
  var replySequence: SharedWord {
    @inline(__always) get { SharedWord(replyLine + ChannelLayout.ReplyField.sequence) }
  }
  var replyEvents: SharedWord {
    @inline(__always) get { SharedWord(replyLine + ChannelLayout.ReplyField.events) }
  }
}
