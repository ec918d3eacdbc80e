import Glibc
import LinuxSystem
import Wire

/// A client process's connection to a server: invokes the server's objects.
///
/// All threads may use it at once; each has a channel of its own. No invocation outlives the server's death by more
/// than a slice of its waiting (50 ms). A forked child cannot use its parent's connection.
public final class InvokeClient: Sendable {
  private let state: ClientState
  /// The memory that the server publishes to all its clients, read-only, if it does.
  public let published: SharedRegion?

  /// Connects to the server that listens at `path` and exchanges protocol versions.
  ///
  /// - Parameter timeout: nanoseconds for either step.
  public init(connecting path: String, timeout: UInt64 = 5_000_000_000) throws(InvokeError) {
    let socket: MessageSocket
    do throws(SystemError) {
      socket = try MessageSocket.connect(to: path, timeout: timeout)
    } catch {
      switch error.code {
      case EMFILE, ENFILE, ENOMEM, ENOBUFS: throw .resources(error.code)
      default: throw .notListening(error.code)
      }
    }
    let state = ClientState(socket)
    var hello = ControlMessage(.hello, number: 0)
    hello.magic = ControlMessage.magic
    hello.version = ControlMessage.version
    var answer = try state.exchange(hello, timeout: timeout)
    guard answer.head.magic == ControlMessage.magic else { throw .malformedReply }
    guard answer.head.version == ControlMessage.version else { throw .versionMismatch(answer.head.version) }
    guard answer.head.errno == 0 else { throw .refused(answer.head.errno) }
    if let file = answer.descriptors.takeFirst() {
      guard let count = Int(exactly: answer.head.bulkByteCount),
        let region = try? SharedRegion(file, byteCount: count, access: .readOnly)
      else { throw .malformedReply }
      published = region
    } else {
      published = nil
    }
    self.state = state
  }

  deinit {
    close()
  }

  /// Ends the connection. Invocations in progress in other threads fail with `.peerGone`. Another thread's channel
  /// stays mapped until that thread ends or uses another connection.
  public func close() {
    state.markDead()
    if !state.isAbandoned { ThreadChannels.forget(state) }
  }

  /// In a forked child: closes the inherited descriptor without a word to the server and makes every use fail with
  /// `.peerGone`. Takes no lock and allocates nothing; may be called from a pthread_atfork handler.
  public func abandonAfterFork() {
    state.abandonAfterFork()
  }

  /// Whether the connection still stands, as far as the kernel knows now.
  public var isConnected: Bool { !state.hasServerGone() }

  /// How many invocations have crossed to the server.
  public var invocationCount: UInt64 { state.invocationCount }

  // MARK: Invoking

  /// Invokes an object and answers what it says.
  ///
  /// The answer holds the thread's channel: read it, and let it go before the next invocation (an invocation made
  /// while it lives takes another channel).
  /// - Parameters:
  ///   - request: writes the request message, up to 64 MiB.
  ///   - input: bytes of any length, read while the server works.
  ///   - output: where the object's output goes. May be where the input begins. What is written there before an
  ///     operation fails is zeroed.
  public func invoke(
    _ object: UInt64, _ operation: UInt32, options: InvokeOptions = [],
    input: InputSegments = InputSegments(),
    output: UnsafeMutableRawBufferPointer = UnsafeMutableRawBufferPointer(start: nil, count: 0),
    request: (inout WireWriter) -> Void
  ) throws(InvokeError) -> InvokeAnswer {
    guard let channel = try channel() else {
      return try invokeWithDescriptors(
        object, operation, descriptors: [], input: input, output: output, request: request)
    }
    do throws(InvokeError) {
      var answer = try perform(on: channel, object, operation, options, input, output, request)
      return InvokeAnswer(
        result: answer.result, outputByteCount: answer.outputByteCount, message: answer.message, channel: channel,
        ownedMessage: answer.ownedMessage.take(), descriptors: DescriptorList())
    } catch {
      channel.endUse()
      throw error
    }
  }

  /// Invokes an object and lends the answer to `reply`, which makes no invocation itself: the result code, the number of
  /// bytes of output, the reply message. It is called once unless this throws.
  public func invoke(
    _ object: UInt64, _ operation: UInt32, options: InvokeOptions, input: InputSegments,
    output: UnsafeMutableRawBufferPointer, request: (inout WireWriter) -> Void,
    reply: (UInt32, Int, inout WireReader) -> Void
  ) throws(InvokeError) {
    guard let channel = try channel() else {
      let answer = try invokeWithDescriptors(
        object, operation, descriptors: [], input: input, output: output, request: request)
      var message = answer.message
      return reply(answer.result, answer.outputByteCount, &message)
    }
    defer { channel.endUse() }
    let answer = try perform(on: channel, object, operation, options, input, output, request)
    var message = WireReader(answer.message)
    reply(answer.result, answer.outputByteCount, &message)
  }

  /// The thread's channel, acquired; nil when the server grants no more. To be released after its use.
  @inline(__always)
  private func channel() throws(InvokeError) -> Unmanaged<ClientChannel>? {
    guard state.isOpen else { throw .peerGone }
    if let current = ThreadChannels.current(state) { return current }
    return try takeChannel()
  }

  @inline(never)
  private func takeChannel() throws(InvokeError) -> Unmanaged<ClientChannel>? {
    guard let channel = try state.takeChannel() else { return nil }
    let acquired = Unmanaged.passRetained(channel)
    ThreadChannels.keep(channel)
    return acquired
  }

  @inline(__always)
  private func perform(
    on channel: Unmanaged<ClientChannel>, _ object: UInt64, _ operation: UInt32, _ options: InvokeOptions,
    _ input: InputSegments, _ output: UnsafeMutableRawBufferPointer, _ request: (inout WireWriter) -> Void
  ) throws(InvokeError) -> ClientChannel.Answer {
    var answer = ClientChannel.Answer(errno: 0)
    // It is acquired, and with that alive.
    let failure: InvokeError? = channel._withUnsafeGuaranteedRef { channel in
      do throws(InvokeError) {
        var writer = WireWriter(into: channel.requestArea, limit: ChannelLayout.messageByteLimit)
        request(&writer)
        if writer.overflowed { throw .refused(EMSGSIZE) }
        if state.sharesMemory, let shared = state.sharedParts(input, output, options, naming: &writer) {
          if writer.overflowed { throw .refused(EMSGSIZE) }
          answer = try channel.perform(
            object, operation, options, writer, shared.input, output, sharing: .sharedMemory,
            sharedByteCount: shared.sharedByteCount, receivesOutput: !shared.hasOutput)
        } else {
          answer = try channel.perform(object, operation, options, writer, input, output)
        }
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw failure }
    if answer.errno != 0 { throw refusal(answer.errno) }
    return answer
  }

  /// Invokes an object over the control socket: slower, but with descriptors both ways. The caller keeps the ones it
  /// sends. Message, input and output are held in memory as a whole.
  ///
  /// - Parameter descriptors: at most 64.
  public func invokeWithDescriptors(
    _ object: UInt64, _ operation: UInt32, descriptors: [Int32], input: InputSegments = InputSegments(),
    output: UnsafeMutableRawBufferPointer = UnsafeMutableRawBufferPointer(start: nil, count: 0),
    request: (inout WireWriter) -> Void
  ) throws(InvokeError) -> InvokeAnswer {
    guard state.isOpen else { throw .peerGone }
    guard descriptors.count <= ControlMessage.descriptorLimit else { throw .refused(EMFILE) }
    var writer = WireWriter(limit: ChannelLayout.messageByteLimit)
    request(&writer)
    if writer.overflowed { throw .refused(EMSGSIZE) }
    var head = ControlMessage(.invoke, number: 0)
    head.object = object
    head.operation = operation
    head.messageByteCount = UInt32(truncatingIfNeeded: writer.count)
    head.bulkByteCount = UInt64(input.byteCount)
    head.outputCapacity = UInt64(output.count)
    state.countControlInvocation()

    var answer: ClientState.ControlAnswer
    let total = writer.count + input.byteCount
    if total > ControlMessage.inlinePayloadLimit {
      var made: Descriptor?
      do throws(SystemError) {
        try writer.withMessage { (message) throws(SystemError) in
          made = try memoryFile([message, input.first, input.second, input.third] + input.more).descriptor.duplicate()
        }
      } catch {
        throw .resources(error.code)
      }
      guard let file = made.take() else { throw .resources(ENOMEM) }
      head.flags |= ControlMessage.payloadInMemoryFile
      answer = try state.exchange(head, descriptors: [file.number] + descriptors)
    } else {
      guard let payload = PrivateBytes(count: total) else { throw .resources(ENOMEM) }
      writer.withMessage { message in
        var cursor = InputCursor(message: message, input)
        if total > 0 { cursor.copy(total, to: payload.bytes.baseAddress!) }
      }
      answer = try state.exchange(
        head, body: UnsafeRawBufferPointer(payload.bytes), descriptors: descriptors)
    }

    guard answer.head.errno == 0 else { throw refusal(answer.head.errno) }
    let messageByteCount = Int(answer.head.messageByteCount)
    guard let payload = answer.payload.take(), messageByteCount <= payload.count,
      UInt64(payload.count - messageByteCount) == answer.head.bulkByteCount,
      payload.count - messageByteCount <= output.count
    else { throw .malformedReply }
    let bytes = UnsafeRawBufferPointer(payload.bytes)
    let outputByteCount = bytes.count - messageByteCount
    output.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[messageByteCount...]))
    return InvokeAnswer(
      result: answer.head.result, outputByteCount: outputByteCount,
      message: UnsafeRawBufferPointer(rebasing: bytes[..<messageByteCount]), channel: nil,
      ownedMessage: payload, descriptors: answer.descriptors.takeAll())
  }

  /// Why the server did not carry out an invocation. Where another thread has ended the connection meanwhile, the server
  /// gave up for that reason, whatever errno it came to, and may have told so before this thread looked for itself.
  @inline(never)
  private func refusal(_ code: Int32) -> InvokeError {
    state.isOpen ? .refused(code) : .peerGone
  }

  // MARK: Shared memory

  /// Makes memory of at least `byteCount` bytes that the server maps as well. Input and output of at least 4 KiB that
  /// lie in it are worked on where they lie. Shared until `endSharing`.
  ///
  /// - Throws: `.refused(ENOMEM)` when the server shares no more with this client, `.refused(EINVAL)` for 0 bytes,
  ///   `.resources` when this process cannot map it.
  public func shareMemory(byteCount: Int) throws(InvokeError) -> SharedMemory {
    try state.shareMemory(byteCount: byteCount)
  }

  /// Ends the sharing: what lies there is sent from now on as everything else is. An invocation that works with it, in
  /// another thread, does so to its end.
  public func endSharing(_ memory: SharedMemory) {
    if state.forgetSharing(memory) { release(memory.object) }
  }

  /// Drops the reference to an object. Nothing is to be done about a failure: with the connection every reference goes.
  public func release(_ object: UInt64) {
    _ = try? invoke(object, ObjectReference.release) { _ in }.result
  }
}
