import Glibc
import LinuxSystem
import Synchronization
import Wire

/// One client's connection as the server holds it: the control socket, the thread that serves it, the channels.
final class ServerClient: Sendable {
  let server: InvokeServer
  let environment: ClientEnvironment
  private let socket: MessageSocket
  private let channels = Mutex<[ServerChannel]>([])
  /// What the last answer of the control socket came in. A client that asks again has read it.
  private let lastAnswer = Mutex<LongAnswer?>(nil)

  init(server: InvokeServer, socket: consuming MessageSocket, environment: ClientEnvironment) {
    self.server = server
    self.socket = socket
    self.environment = environment
  }

  /// Ends the connection: the client broke the protocol, or the server stops.
  func drop() {
    environment.markGone()
    socket.shutDown()
  }

  func hasHungUp() -> Bool { socket.hasHungUp() }

  /// Serves the control socket until its end, then releases all the client had.
  func run() {
    if greet() {
      let capacity = ControlMessage.byteCount + ControlMessage.inlinePayloadLimit
      if let buffer = PrivateBytes(count: capacity) {
        while serveMessage(buffer.bytes) {}
      }
    }
    drop()
    lastAnswer.withLock { $0 = nil }
    // A channel's thread may be on its way to sleep: it is woken until it has left.
    while true {
      let remaining = channels.withLock { $0 }
      if remaining.isEmpty { break }
      for channel in remaining { channel.wake() }
      usleep(200)
    }
    environment.close()
  }

  // MARK: Control messages

  private func receive(_ buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> ReceivedMessage? {
    try socket.receive(into: buffer, maximumDescriptors: ControlMessage.descriptorLimit + 1)
  }

  /// Exchanges hello; false when the client is none of ours.
  private func greet() -> Bool {
    guard let events = try? waitForEvents(socket.descriptor.number, .readable, timeout: server.limits.helloTimeout),
      events.contains(.readable), let buffer = PrivateBytes(count: 256),
      let message = try? receive(buffer.bytes), message.descriptors.isEmpty,
      let hello = ControlMessage(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<message.byteCount])),
      hello.kind == ControlMessage.Kind.hello.rawValue, hello.magic == ControlMessage.magic
    else { return false }
    var answer = ControlMessage(.hello, number: hello.number)
    answer.magic = ControlMessage.magic
    answer.version = ControlMessage.version
    if hello.version != ControlMessage.version { answer.errno = EPROTONOSUPPORT }
    if answer.errno == 0 { answer.errno = server.admit(environment) }
    var descriptors: [Int32] = []
    if answer.errno == 0, let published = server.publishedDescriptor {
      descriptors = [published]
      answer.bulkByteCount = UInt64(server.published?.byteCount ?? 0)
    }
    return send(answer, descriptors: descriptors) && answer.errno == 0
  }

  private func send(_ message: ControlMessage, descriptors: [Int32] = []) -> Bool {
    do {
      try message.withBytes { (head) throws(SystemError) in try socket.send(head, descriptors: descriptors) }
      return true
    } catch {
      return false
    }
  }

  /// Receives and answers one message; false at the end.
  private func serveMessage(_ buffer: UnsafeMutableRawBufferPointer) -> Bool {
    guard let received = try? receive(buffer) else { return false }
    lastAnswer.withLock { $0 = nil }
    var message = received
    guard let head = ControlMessage(UnsafeRawBufferPointer(rebasing: buffer[..<message.byteCount])) else {
      return false
    }
    let payload = UnsafeRawBufferPointer(rebasing: buffer[ControlMessage.byteCount..<message.byteCount])
    let descriptors = message.takeDescriptors()
    defer { explicit_bzero(buffer.baseAddress!, message.byteCount) }
    switch ControlMessage.Kind(rawValue: head.kind) {
    case .openChannel: return openChannel(head)
    case .invoke: return invoke(head, payload, descriptors)
    case .shareMemory: return shareMemory(head)
    case .hello, nil: return false
    }
  }

  private func openChannel(_ head: ControlMessage) -> Bool {
    var answer = ControlMessage(.openChannel, number: head.number)
    let process = environment.identity.credentials.pid
    guard channels.withLock({ $0.count }) < environment.limits.channelCount, server.channelCounts.take(process) else {
      answer.errno = EMFILE
      return send(answer)
    }
    do throws(SystemError) {
      let created = try ChannelMapping.create(wakeNanoseconds: UInt32(truncatingIfNeeded: server.turns.wakeCost))
      let descriptor = Descriptor(adopting: created.descriptor)
      guard let channel = ServerChannel(created.mapping, client: self) else {
        throw SystemError("malloc", ENOMEM)
      }
      channels.withLock { $0.append(channel) }
      do throws(SystemError) {
        try startThread(name: "channel", stackSize: server.limits.stackByteCount) { [self] in
          channel.run()
          channels.withLock { $0.removeAll { $0 === channel } }
          server.channelCounts.giveBack(process)
        }
      } catch {
        channels.withLock { $0.removeAll { $0 === channel } }
        throw error
      }
      return send(answer, descriptors: [descriptor.number])
    } catch {
      server.channelCounts.giveBack(process)
      answer.errno = error.code
      return send(answer)
    }
  }

  /// Makes memory for both sides. Its pages are the client's, who touches them first.
  private func shareMemory(_ head: ControlMessage) -> Bool {
    var answer = ControlMessage(.shareMemory, number: head.number)
    do {
      guard let wanted = Int(exactly: head.bulkByteCount), wanted <= environment.limits.sharedByteCount else {
        throw InvocationError.noMemory
      }
      guard wanted > 0 else { throw InvocationError.malformed }
      let count = SharedRegion.wholePages(wanted)
      let process = environment.identity.credentials.pid
      guard server.sharedMemoryCounts.take(process) else { throw InvocationError.noMemory }
      guard environment.sharedBytes.take(count) else {
        server.sharedMemoryCounts.giveBack(process)
        throw InvocationError.noMemory
      }
      let created: CreatedRegion
      do throws(SystemError) {
        created = try SharedRegion.create(
          name: "strongroom-shared", byteCount: count, options: [.notInherited, .notDumped])
      } catch {
        environment.sharedBytes.giveBack(count)
        server.sharedMemoryCounts.giveBack(process)
        throw error
      }
      answer.object = try environment.addObject(
        ServerSharedMemory(created.region, of: environment, counted: server.sharedMemoryCounts))
      answer.bulkByteCount = UInt64(count)
      return send(answer, descriptors: [created.descriptor.number])
    } catch {
      answer.errno = InvocationError.code(of: error)
      return send(answer)
    }
  }

  private func invoke(
    _ head: ControlMessage, _ payload: UnsafeRawBufferPointer, _ received: consuming DescriptorList
  ) -> Bool {
    var descriptors = received
    var answer = ControlMessage(.invoke, number: head.number)
    do throws(InvocationError) {
      if head.flags & ControlMessage.payloadInMemoryFile != 0 {
        guard let file = descriptors.takeFirst() else { throw .malformed }
        let copy = try readPayload(file, head)
        return respond(head, UnsafeRawBufferPointer(copy.bytes), descriptors)
      }
      return respond(head, payload, descriptors)
    } catch {
      answer.errno = error.code
      return send(answer)
    }
  }

  /// Copies a payload out of the memory file the client sent. Only of a memory file is it certain that reading it
  /// does not wait for somebody else; and it is read, not mapped, so that the client cannot take it away.
  private func readPayload(
    _ file: borrowing Descriptor, _ head: ControlMessage
  ) throws(InvocationError) -> PrivateBytes {
    let (total, overflow) = head.bulkByteCount.addingReportingOverflow(UInt64(head.messageByteCount))
    guard !overflow, let count = Int(exactly: total), SharedRegion.isMemoryFile(file) else { throw .malformed }
    guard count <= environment.limits.privateByteCount else { throw .tooLarge }
    let copy = try PrivateBytes(count: count, of: environment)
    guard (try? file.read(into: copy.bytes, at: 0)) == count else { throw .malformed }
    return copy
  }

  private func respond(
    _ head: ControlMessage, _ payload: UnsafeRawBufferPointer, _ descriptors: consuming DescriptorList
  ) -> Bool {
    var answer = ControlMessage(.invoke, number: head.number)
    let messageByteCount = Int(head.messageByteCount)
    guard messageByteCount <= payload.count, UInt64(payload.count - messageByteCount) == head.bulkByteCount else {
      answer.errno = EINVAL
      return send(answer)
    }
    if head.operation == ObjectReference.release {
      environment.release(head.object)
      return send(answer)
    }
    guard head.operation != ObjectReference.retain, let object = environment.object(head.object) else {
      answer.errno = EINVAL
      return send(answer)
    }
    let path = MemoryPath(UnsafeRawBufferPointer(rebasing: payload[messageByteCount...]), of: environment)
    defer { withExtendedLifetime(path) {} }  // the invocation does not hold it
    var call = Invocation(
      request: WireReader(UnsafeRawBufferPointer(rebasing: payload[..<messageByteCount])),
      reply: WireWriter(limit: ChannelLayout.messageByteLimit, account: environment.privateBytes),
      client: environment,
      bulk: InvocationBulk(
        path: .passUnretained(path), inputByteCount: head.bulkByteCount, outputCapacity: head.outputCapacity))
    call.descriptors = descriptors
    do {
      answer.result = try object.invoke(head.operation, &call)
      if call.reply.overflowed { throw InvocationError.failed(EMSGSIZE) }
      if call.replyDescriptors.count > ControlMessage.descriptorLimit { throw InvocationError.failed(EMFILE) }
      answer.messageByteCount = UInt32(truncatingIfNeeded: call.reply.count)
      answer.bulkByteCount = path.outputByteCount
      return try call.replyDescriptors.withNumbers { numbers in
        try call.reply.withMessage { try self.send(answer, $0, path.output, numbers) }
      }
    } catch {
      var failure = ControlMessage(.invoke, number: head.number)
      failure.errno = InvocationError.code(of: error)
      return send(failure)
    }
  }

  /// Sends an answer with its payload, through a memory file where it is long. Throws before anything is sent; false
  /// when the client has gone.
  private func send(
    _ answer: ControlMessage, _ message: UnsafeRawBufferPointer, _ output: UnsafeRawBufferPointer, _ numbers: [Int32]
  ) throws(SystemError) -> Bool {
    var answer = answer
    if message.count + output.count > ControlMessage.inlinePayloadLimit {
      let file = try LongAnswer([message, output], for: environment)
      let descriptor = try file.descriptor()
      answer.flags |= ControlMessage.payloadInMemoryFile
      lastAnswer.withLock { $0 = file }
      return send(answer, descriptors: [descriptor.number] + numbers)
    }
    guard let payload = PrivateBytes(count: ControlMessage.byteCount + message.count + output.count) else {
      throw SystemError("malloc", ENOMEM)
    }
    try answer.withBytes { (head) throws(SystemError) in payload.bytes.copyMemory(from: head) }
    UnsafeMutableRawBufferPointer(rebasing: payload.bytes[ControlMessage.byteCount...]).copyMemory(from: message)
    UnsafeMutableRawBufferPointer(rebasing: payload.bytes[(ControlMessage.byteCount + message.count)...])
      .copyMemory(from: output)
    return (try? socket.send(UnsafeRawBufferPointer(payload.bytes), descriptors: numbers)) != nil
  }
}

/// An answer of the control socket that goes through a memory file. Clients may keep the file's descriptor, or never take it: so the
/// pages count as the client's, and are given up when this goes, whoever has the file.
private final class LongAnswer: Sendable {
  private let file: CreatedRegion
  private let client: ClientEnvironment
  private let byteCount: Int

  init(_ parts: [UnsafeRawBufferPointer], for client: ClientEnvironment) throws(SystemError) {
    let byteCount = parts.reduce(0) { $0 + $1.count }
    guard client.privateBytes.take(byteCount) else { throw SystemError("LongAnswer", ENOMEM) }
    do throws(SystemError) {
      file = try memoryFile(parts)
    } catch {
      client.giveBack(byteCount)
      throw error
    }
    self.client = client
    self.byteCount = byteCount
  }

  deinit {
    file.region.discard()
    client.giveBack(byteCount)
  }

  func descriptor() throws(SystemError) -> Descriptor { try file.descriptor.duplicate() }
}

/// The input and output of an invocation over the control socket: in memory of this process.
final class MemoryPath: BulkPath {
  private var input: UnsafeRawBufferPointer
  private let client: ClientEnvironment
  private var memory: PrivateBytes?
  private var room = UnsafeMutableRawBufferPointer(start: nil, count: 0)

  init(_ input: UnsafeRawBufferPointer, of client: ClientEnvironment) {
    self.input = input
    self.client = client
    super.init()
    inputRemaining = UInt64(input.count)
  }

  /// What was committed.
  var output: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: room.baseAddress, count: Int(outputByteCount)) }

  override func nextInput(atMost: Int) throws(InvocationError) -> UnsafeRawBufferPointer {
    let piece = UnsafeRawBufferPointer(rebasing: input.prefix(atMost))
    input = UnsafeRawBufferPointer(rebasing: input.dropFirst(piece.count))
    inputRemaining = UInt64(input.count)
    return piece
  }

  override func reserveOutput(_ count: Int) throws(InvocationError) -> UnsafeMutableRawBufferPointer {
    let used = Int(outputByteCount)
    if room.count - used < count {
      let moved = try PrivateBytes(count: max(used + count, min(room.count * 2, room.count + (64 << 20))), of: client)
      moved.bytes.copyMemory(from: output)
      room = moved.bytes
      memory = consume moved
    }
    reservedByteCount = count
    return UnsafeMutableRawBufferPointer(rebasing: room[used..<used + count])
  }

  override func commitOutput(_ count: Int) {}
}
