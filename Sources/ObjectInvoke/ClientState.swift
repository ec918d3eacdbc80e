import Glibc
import LinuxSystem
import Synchronization
import Wire

/// The client's end of the control socket.
private final class ControlSocket: Sendable {
  let end: MessageSocket
  init(_ end: consuming MessageSocket) { self.end = end }
}

/// A client's connection: the control socket and the channels. Channels hold it, so that it lives as long as one of
/// them is in use.
final class ClientState: Sendable {
  /// The control socket; nil once the connection has ended. Whoever uses it holds it: its descriptor is closed when
  /// the last one lets it go.
  private let socket: Mutex<ControlSocket?>
  /// The number of the socket's descriptor, for a forked child, which may take no lock; -1 once the connection has
  /// ended.
  private let socketNumber: Atomic<Int32>
  private let control = Mutex<UInt32>(0)

  private enum Status {
    static let open: UInt32 = 0
    static let dead: UInt32 = 1
    static let abandoned: UInt32 = 2
  }
  private let status = Atomic<UInt32>(Status.open)
  /// When the server last refused a channel, and nobody asked again since; 0 = never.
  private let refusedAt = Atomic<UInt64>(0)
  private let controlInvocations = Atomic<UInt64>(0)

  private struct Channels {
    var free: [ClientChannel] = []
    var counters: [InvocationCounter] = []
    /// What counters of channels that have gone had counted.
    var retired: UInt64 = 0
  }
  private let channels = Mutex(Channels())
  private let sharing = Atomic<Bool>(false)
  private let sharedMemories = Mutex<[SharedMemory]>([])

  init(_ socket: consuming MessageSocket) {
    socketNumber = Atomic(socket.descriptor.number)
    self.socket = Mutex(ControlSocket(socket))
  }

  // MARK: Life

  @inline(__always)
  var isOpen: Bool { status.load(ordering: .acquiring) == Status.open }
  var isAbandoned: Bool { status.load(ordering: .acquiring) == Status.abandoned }

  /// Ends the connection: every invocation in progress fails with `.peerGone` within a slice of its waiting.
  func markDead() {
    let (exchanged, _) = status.compareExchange(
      expected: Status.open, desired: Status.dead, ordering: .acquiringAndReleasing)
    if exchanged {
      socketNumber.store(-1, ordering: .releasing)
      let ended = socket.withLock { socket in
        let ended = socket
        socket = nil
        return ended
      }
      ended?.end.shutDown()
      let free = channels.withLock { channels in
        let free = channels.free
        channels.free = []
        return free
      }
      _ = consume free
      // Who asked for the memory has it still; there is nobody to share it with.
      let shared = sharedMemories.withLock { memories in
        sharing.store(false, ordering: .relaxed)
        let shared = memories
        memories = []
        return shared
      }
      _ = consume shared
    }
  }

  func hasServerGone() -> Bool {
    guard isOpen, let socket = socket.withLock({ $0 }) else { return true }
    guard socket.end.hasHungUp() else { return false }
    markDead()
    return true
  }

  /// In a forked child: closes the child's copy of the socket's descriptor and forgets everything else. Takes no
  /// lock, since another thread of the parent may have held it at the moment of the fork.
  func abandonAfterFork() {
    if status.exchange(Status.abandoned, ordering: .acquiringAndReleasing) != Status.abandoned {
      // This object is kept for good, so that its socket's owner does not close whatever has the number by then.
      _ = Unmanaged.passRetained(self)
      let number = socketNumber.exchange(-1, ordering: .acquiringAndReleasing)
      if number >= 0 { Glibc.close(number) }
    }
  }

  // MARK: Counting

  func countControlInvocation() {
    controlInvocations.wrappingAdd(1, ordering: .relaxed)
  }

  var invocationCount: UInt64 {
    let ofChannels = channels.withLock { channels in
      channels.counters.reduce(channels.retired) { $0 &+ $1.value }
    }
    return ofChannels &+ controlInvocations.load(ordering: .relaxed)
  }

  // MARK: Channels

  func giveBack(_ channel: ClientChannel) {
    guard isOpen else { return }
    channels.withLock { $0.free.append(channel) }
  }

  /// A free channel that is acquired, or a new one; nil when the server grants no more.
  func takeChannel() throws(InvokeError) -> ClientChannel? {
    let free = channels.withLock { channels -> ClientChannel? in
      while let channel = channels.free.popLast() {
        if channel.acquire() { return channel }
      }
      return nil
    }
    if let free { return free }
    let refused = refusedAt.load(ordering: .relaxed)
    if refused != 0, MonotonicClock.now() &- refused < 100_000_000 { return nil }
    let ask = ControlMessage(.openChannel, number: 0)
    var answer = try exchange(ask)
    guard answer.head.errno == 0, let descriptor = answer.descriptors.takeFirst(),
      let mapping = try? ChannelMapping.map(descriptor)
    else {
      refusedAt.store(MonotonicClock.now(), ordering: .relaxed)
      return nil
    }
    let counter = InvocationCounter()
    let channel = ClientChannel(mapping, state: self, counter: counter)
    _ = channel.acquire()
    channels.withLock { channels in
      channels.retired &+= channels.counters.reduce(0) { $1.isRetired ? $0 &+ $1.value : $0 }
      channels.counters.removeAll { $0.isRetired }
      channels.counters.append(counter)
    }
    return channel
  }

  // MARK: Shared memory

  /// Whether any memory is shared: free to ask.
  @inline(__always)
  var sharesMemory: Bool { sharing.load(ordering: .relaxed) }

  /// What of an invocation lies in shared memory.
  func sharedParts(
    _ input: InputSegments, _ output: UnsafeMutableRawBufferPointer, _ options: InvokeOptions,
    naming writer: inout WireWriter
  ) -> SharedParts? {
    SharedParts(sharedMemories.withLock { $0 }, input, output, options, naming: &writer)
  }

  func shareMemory(byteCount: Int) throws(InvokeError) -> SharedMemory {
    guard byteCount > 0 else { throw .refused(EINVAL) }
    var ask = ControlMessage(.shareMemory, number: 0)
    ask.bulkByteCount = UInt64(byteCount)
    var answer = try exchange(ask)
    guard answer.head.errno == 0 else { throw .refused(answer.head.errno) }
    guard let descriptor = answer.descriptors.takeFirst(), let count = Int(exactly: answer.head.bulkByteCount),
      count >= byteCount
    else { throw .malformedReply }
    let memory: SharedMemory
    do throws(SystemError) {
      let region = try SharedRegion(
        descriptor, byteCount: count, access: .readWrite, options: [.notInherited, .notDumped, .populated])
      memory = SharedMemory(region, object: answer.head.object)
    } catch {
      throw .resources(error.code)
    }
    sharedMemories.withLock { memories in
      memories.append(memory)
      sharing.store(true, ordering: .relaxed)
    }
    return memory
  }

  /// False when it was not shared on this connection, or is no more.
  func forgetSharing(_ memory: SharedMemory) -> Bool {
    sharedMemories.withLock { memories in
      guard let index = memories.firstIndex(where: { $0 === memory }) else { return false }
      memories.remove(at: index)
      sharing.store(!memories.isEmpty, ordering: .relaxed)
      return true
    }
  }

  // MARK: Control socket

  struct ControlAnswer: ~Copyable {
    let head: ControlMessage
    var payload: PrivateBytes?
    var descriptors: DescriptorList
  }

  /// Sends one message with what belongs to it and receives its answer. One at a time.
  func exchange(
    _ message: ControlMessage, body: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
    descriptors: [Int32] = [], timeout: UInt64? = nil
  ) throws(InvokeError) -> ControlAnswer {
    guard isOpen, let socket = socket.withLock({ $0 }) else { throw .peerGone }
    var answer: ControlAnswer?
    var failure: InvokeError?
    control.withLock { number in
      number &+= 1
      var message = message
      message.number = number
      do throws(InvokeError) {
        answer = try exchange(message, body, descriptors, timeout, on: socket.end)
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    guard let answered = answer.take() else { throw .peerGone }
    return answered
  }

  private func exchange(
    _ message: ControlMessage, _ body: UnsafeRawBufferPointer, _ descriptors: [Int32], _ timeout: UInt64?,
    on socket: borrowing MessageSocket
  ) throws(InvokeError) -> ControlAnswer {
    do throws(SystemError) {
      try message.withBytes { (head) throws(SystemError) in try socket.send(head, body, descriptors: descriptors) }
    } catch {
      switch error.code {
      case EPIPE, ECONNRESET, ENOTCONN:
        markDead()
        throw .peerGone
      default: throw .resources(error.code)
      }
    }
    if let timeout {
      let events = try? waitForEvents(socket.descriptor.number, .readable, timeout: timeout)
      guard let events, !events.isEmpty else {
        markDead()
        throw .notListening(ETIMEDOUT)
      }
    }
    let capacity = ControlMessage.byteCount + ControlMessage.inlinePayloadLimit
    guard var buffer = PrivateBytes(count: capacity) else {
      markDead()
      throw .resources(ENOMEM)
    }
    let received: ReceivedMessage?
    do throws(SystemError) {
      received = try socket.receive(into: buffer.bytes, maximumDescriptors: ControlMessage.descriptorLimit + 1)
    } catch {
      markDead()
      if error.code == EMSGSIZE { throw .malformedReply }
      throw .peerGone
    }
    guard var received else {
      markDead()
      throw .peerGone
    }
    buffer.noteWritten(received.byteCount)
    guard let head = ControlMessage(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<received.byteCount])),
      head.kind == message.kind, head.number == message.number
    else {
      markDead()
      throw .malformedReply
    }
    var arrived = received.takeDescriptors()
    let payload: PrivateBytes
    if head.flags & ControlMessage.payloadInMemoryFile != 0 {
      guard let content = readFile(arrived.takeFirst(), head) else { throw .resources(ENOMEM) }
      payload = content
    } else {
      let count = received.byteCount - ControlMessage.byteCount
      guard let content = PrivateBytes(count: count) else { throw .resources(ENOMEM) }
      if count > 0 {
        content.bytes.copyMemory(
          from: UnsafeRawBufferPointer(rebasing: buffer.bytes[ControlMessage.byteCount..<received.byteCount]))
      }
      payload = content
    }
    return ControlAnswer(head: head, payload: payload, descriptors: arrived)
  }

  private func readFile(_ file: consuming Descriptor?, _ head: ControlMessage) -> PrivateBytes? {
    let (total, overflow) = head.bulkByteCount.addingReportingOverflow(UInt64(head.messageByteCount))
    guard !overflow, let count = Int(exactly: total), count <= 1 << 31, let file,
      let bytes = PrivateBytes(count: count), (try? file.read(into: bytes.bytes, at: 0)) == count
    else { return nil }
    return bytes
  }
}
