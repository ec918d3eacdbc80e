import CLinux
import Glibc
import LinuxSystem
import Testing

@testable import ObjectInvoke

/// A client that follows no rule: speaks on the socket and writes into the channel by itself.
struct RawClient: ~Copyable {
  let socket: MessageSocket

  init(_ path: String) throws {
    socket = try MessageSocket.connect(to: path, timeout: 1_000_000_000)
  }

  func send(_ message: ControlMessage, payload: [UInt8] = [], descriptors: [Int32] = []) throws {
    try payload.withUnsafeBytes { body in
      try message.withBytes { (head) throws(SystemError) in
        try socket.send(head, body, descriptors: descriptors)
      }
    }
  }

  /// The head of the next answer and its first descriptor; nil when the server has closed, or is silent for five seconds.
  func receive() throws -> (head: ControlMessage, descriptor: Int32)? {
    guard try !waitForEvents(socket.descriptor.number, .readable, timeout: 5_000_000_000).isEmpty else { return nil }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 16)
    defer { buffer.deallocate() }
    do {
      guard var message = try socket.receive(into: buffer, maximumDescriptors: 8) else { return nil }
      let head = ControlMessage(UnsafeRawBufferPointer(rebasing: buffer[..<message.byteCount]))
      return (try #require(head), message.descriptors.takeFirst()?.relinquish() ?? -1)
    } catch let error as SystemError where error.code == ECONNRESET {
      return nil
    }
  }

  /// Greets the server, in that version of the protocol; nil when it has closed.
  @discardableResult
  func hello(version: UInt32 = ControlMessage.version) throws -> ControlMessage? {
    var hello = ControlMessage(.hello, number: 1)
    hello.magic = ControlMessage.magic
    hello.version = version
    try send(hello)
    guard let answer = try receive() else { return nil }
    if answer.descriptor >= 0 { close(answer.descriptor) }
    return answer.head
  }

  /// Invokes an object over the socket; answers the head of the answer.
  func invoke(_ object: UInt64, _ operation: UInt32, _ message: [UInt8]) throws -> ControlMessage {
    var head = ControlMessage(.invoke, number: 4)
    head.object = object
    head.operation = operation
    head.messageByteCount = UInt32(message.count)
    try send(head, payload: message)
    return try #require(try receive()).head
  }

  func openChannel() throws -> ChannelMapping {
    try send(ControlMessage(.openChannel, number: 2))
    let answer = try #require(try receive())
    return try ChannelMapping.map(Descriptor(adopting: answer.descriptor))
  }

  /// The object id of shared memory and its mapping here.
  func shareMemory(_ byteCount: UInt64) throws -> (UInt64, SharedRegion) {
    var ask = ControlMessage(.shareMemory, number: 3)
    ask.bulkByteCount = byteCount
    try send(ask)
    let answer = try #require(try receive())
    let file = Descriptor(adopting: answer.descriptor)
    return (answer.head.object, try SharedRegion(file, byteCount: Int(byteCount), access: .readWrite))
  }
}

/// What a channel's request line says.
struct RawRequest {
  var sequence: UInt32 = 1
  var object: UInt64 = ObjectReference.root
  var operation: UInt32 = 0
  var flags: UInt16 = 0
  var message: [UInt8] = []
  /// How long the message is said to be; nil: as long as it is.
  var messageByteCount: UInt64?
  var inputByteCount: UInt64 = 0
  var outputCapacity: UInt64 = 0

  /// Writes the request and rings, and does not wait.
  func post(_ mapping: ChannelMapping) {
    let memory = mapping.memory
    typealias Field = ChannelLayout.RequestField
    let line = memory.requestLine
    message.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress, bytes.count <= ChannelLayout.inlineByteCount {
        memory.inlineRequest.copyMemory(from: base, byteCount: bytes.count)
      }
    }
    clinux_store64_relaxed(line + Field.object, object)
    clinux_store64_relaxed(line + Field.operationAndFlags, UInt64(operation) | UInt64(flags) << 32)
    clinux_store64_relaxed(line + Field.messageByteCount, messageByteCount ?? UInt64(message.count))
    clinux_store64_relaxed(line + Field.inputByteCount, inputByteCount)
    clinux_store64_relaxed(line + Field.outputCapacity, outputCapacity)
    memory.requestSequence.store(sequence)
    memory.requestEvents.add(1)
    memory.requestEvents.wake()
  }

  /// The errno and the result of the answer; nil when none comes in the time.
  func answer(_ mapping: ChannelMapping, seconds: Double) -> (errno: Int32, result: UInt32)? {
    let memory = mapping.memory
    guard becomesTrue(seconds: seconds, { memory.replySequence.load() == sequence }) else { return nil }
    typealias Field = ChannelLayout.ReplyField
    return (
      Int32(bitPattern: clinux_load32_relaxed(memory.replyLine + Field.errno)),
      clinux_load32_relaxed(memory.replyLine + Field.result)
    )
  }
}
