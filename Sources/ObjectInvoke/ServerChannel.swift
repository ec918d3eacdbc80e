import CLinux
import Glibc
import LinuxSystem
import Wire

/// The server's end of one channel, and the thread that serves it.
///
/// The client can write anything anywhere into the memory at any time. So every field is loaded once into a local of
/// this process, checked there, and never looked at again; nothing that is read decides over an address or a length
/// before it is checked.
final class ServerChannel: BulkPath, @unchecked Sendable {
  // Sendable: all that changes belongs to the channel's own thread; `wake` touches the shared memory's words alone.

  private let mapping: ChannelMapping
  private let memory: ChannelMemory
  private let client: ServerClient
  private let requestBuffer: UnsafeMutableRawPointer
  private let replyBuffer: UnsafeMutableRawPointer
  @exclusivity(unchecked) private var waiting: ServerWaiting

  @exclusivity(unchecked) private var lastSequence: UInt32 = 0
  @exclusivity(unchecked) private var inputTaken: UInt64 = 0
  @exclusivity(unchecked) private var lentByteCount = 0
  @exclusivity(unchecked) private var inlineInput: UnsafeRawPointer?
  @exclusivity(unchecked) private var outputPut: UInt64 = 0
  @exclusivity(unchecked) private var outputPlace = OutputPlace.undecided
  @exclusivity(unchecked) private var inlineOutputCount = 0

  private enum OutputPlace { case undecided, inline, ring, shared }

  // Shared memory that the request in progress names: the pieces of input from `nextShared` on, of which the next
  // comes after `untilShared` more bytes that are sent.
  private var shared: SharedPlaces?
  private var nextShared = 0
  private var untilShared = UInt64.max
  private var takenOfShared = 0
  /// Room for output that a cipher asks for past the end of the shared memory.
  private var overhang: PrivateBytes?

  // The object invoked last: a client mostly goes on with the same one.
  @exclusivity(unchecked) private var knownID: UInt64 = 0
  @exclusivity(unchecked) private var knownObject: (any InvocableObject)?
  @exclusivity(unchecked) private var knownRemovals: UInt64 = .max

  init?(_ mapping: ChannelMapping, client: ServerClient) {
    guard let request = malloc(ChannelLayout.inlineByteCount) else { return nil }
    guard let reply = malloc(ChannelLayout.inlineByteCount) else {
      free(request)
      return nil
    }
    self.mapping = mapping
    memory = mapping.memory
    self.client = client
    requestBuffer = request
    replyBuffer = reply
    waiting = ServerWaiting(memory: memory, turns: client.server.turns)
  }

  deinit {
    explicit_bzero(requestBuffer, ChannelLayout.inlineByteCount)
    explicit_bzero(replyBuffer, ChannelLayout.inlineByteCount)
    free(requestBuffer)
    free(replyBuffer)
  }

  /// Serves until the client has gone.
  func run() {
    waiting = ServerWaiting(memory: memory, turns: client.server.turns)
    while !client.environment.hasGone {
      let last = lastSequence
      let sequence = memory.requestSequence.load()
      if sequence == last {
        waiting.waitForRequest(after: last, unless: client.environment)
      } else if sequence == last &+ 1 {
        lastSequence = sequence
        serve()
      } else {
        client.drop()
      }
    }
    waiting.leave()
    knownObject = nil
    knownRemovals = .max
  }

  /// Makes the thread look around, wherever it sleeps. Called by others.
  func wake() {
    memory.requestEvents.add(1)
    memory.requestEvents.wake()
  }

  // MARK: One invocation

  private struct Header {
    let object: UInt64
    let operation: UInt32
    let flags: RequestFlags
    let processor: UInt16
    let messageByteCount: Int
    let inputByteCount: UInt64
    let outputCapacity: UInt64
    let isAcceptable: Bool

    /// Loads every field once.
    init(_ line: UnsafeMutableRawPointer) {
      typealias Field = ChannelLayout.RequestField
      object = UInt64(littleEndian: clinux_load64_relaxed(line + Field.object))
      let word = UInt64(littleEndian: clinux_load64_relaxed(line + Field.operationAndFlags))
      operation = UInt32(truncatingIfNeeded: word)
      flags = RequestFlags(rawValue: UInt16(truncatingIfNeeded: word >> 32))
      processor = UInt16(truncatingIfNeeded: word >> 48)
      let count = UInt64(littleEndian: clinux_load64_relaxed(line + Field.messageByteCount))
      messageByteCount = Int(UInt32(truncatingIfNeeded: count))
      inputByteCount = UInt64(littleEndian: clinux_load64_relaxed(line + Field.inputByteCount))
      outputCapacity = UInt64(littleEndian: clinux_load64_relaxed(line + Field.outputCapacity))

      var acceptable = flags.isSubset(of: .known) && count >> 32 == 0
      if flags.contains(.messageInRing) {
        acceptable = acceptable && messageByteCount <= ChannelLayout.messageByteLimit && !flags.contains(.inputInline)
      } else {
        acceptable = acceptable && messageByteCount <= ChannelLayout.inlineByteCount
        if acceptable, flags.contains(.inputInline) {
          let room = ChannelLayout.inlineByteCount - min(alignedToWord(messageByteCount), ChannelLayout.inlineByteCount)
          acceptable = inputByteCount <= UInt64(room) || flags.contains(.sharedMemory)
        }
      }
      isAcceptable = acceptable
    }
  }

  private func serve() {
    memory.expectReply()
    let header = Header(memory.requestLine)
    // What is shared is not copied: it gives nothing to overlap with the work.
    let bulk =
      header.flags.contains(.sharedMemory)
      ? (0, false) : header.inputByteCount.addingReportingOverflow(header.outputCapacity)
    waiting.begin(
      clientProcessor: header.processor, flags: header.flags, bulkByteCount: bulk.1 ? .max : bulk.0)
    inputRemaining = 0
    inlineInput = nil
    lentByteCount = 0
    outputByteCount = 0
    reservedByteCount = 0
    outputPlace = .undecided
    guard header.isAcceptable else { return reply(errno: EINVAL) }

    if header.flags.contains(.messageInRing) {
      guard let message = try? PrivateBytes(count: header.messageByteCount, of: client.environment) else {
        return reply(errno: ENOMEM)
      }
      inputRemaining = UInt64(header.messageByteCount)
      var position = 0
      while position < header.messageByteCount {
        guard let piece = try? nextInput(atMost: header.messageByteCount - position) else { return }
        UnsafeMutableRawBufferPointer(rebasing: message.bytes[position...]).copyMemory(from: piece)
        position += piece.count
      }
      take(header, UnsafeRawBufferPointer(message.bytes))
    } else {
      requestBuffer.copyMemory(from: memory.inlineRequest, byteCount: header.messageByteCount)
      if header.flags.contains(.inputInline) {
        inlineInput = UnsafeRawPointer(memory.inlineRequest + alignedToWord(header.messageByteCount))
      }
      take(header, UnsafeRawBufferPointer(start: requestBuffer, count: header.messageByteCount))
      explicit_bzero(requestBuffer, header.messageByteCount)
    }
  }

  /// Carries out a request whose message has arrived.
  @inline(__always)
  private func take(_ header: Header, _ message: UnsafeRawBufferPointer) {
    inputRemaining = header.inputByteCount
    if !header.flags.contains(.sharedMemory) { return invoke(header, message) }
    takeSharing(header, message)
  }

  @inline(never)
  private func takeSharing(_ header: Header, _ message: UnsafeRawBufferPointer) {
    guard
      let places = SharedPlaces(
        message, of: client.environment, inputByteCount: header.inputByteCount, capacity: header.outputCapacity)
    else { return reply(errno: EINVAL) }
    var sent = header.inputByteCount
    for piece in places.pieces { sent -= UInt64(piece.byteCount) }
    if header.flags.contains(.inputInline) {
      let room = ChannelLayout.inlineByteCount - min(alignedToWord(message.count), ChannelLayout.inlineByteCount)
      guard sent <= UInt64(room) else { return reply(errno: EINVAL) }
    }
    untilShared = places.pieces.first?.gap ?? .max
    if places.output != nil { outputPlace = .shared }
    shared = places
    invoke(header, UnsafeRawBufferPointer(rebasing: message[..<places.messageByteCount]))
    shared = nil
    nextShared = 0
    untilShared = .max
    takenOfShared = 0
    overhang = nil
  }

  /// Lends of the piece of shared memory that comes next in the input, at most `wanted` bytes.
  private func nextSharedInput(_ wanted: Int) -> UnsafeRawBufferPointer {
    guard let pieces = shared?.pieces else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    let piece = pieces[nextShared]
    let lent = UnsafeRawBufferPointer(
      start: piece.start + takenOfShared, count: min(wanted, piece.byteCount - takenOfShared))
    takenOfShared += lent.count
    inputRemaining -= UInt64(lent.count)
    if takenOfShared == piece.byteCount {
      takenOfShared = 0
      nextShared += 1
      untilShared = nextShared < pieces.count ? pieces[nextShared].gap : .max
    }
    return lent
  }

  /// Makes `knownObject` the one with this number.
  @inline(__always)
  private func findObject(_ id: UInt64) {
    let removals = client.environment.removalCount
    if id == knownID, removals == knownRemovals { return }
    knownObject = client.environment.object(id)
    knownID = id
    knownRemovals = removals
  }

  private func invoke(_ header: Header, _ message: UnsafeRawBufferPointer) {
    if header.operation == ObjectReference.release {
      knownObject = nil
      knownRemovals = .max
      client.environment.release(header.object)
      return reply(errno: 0)
    }
    findObject(header.object)
    guard header.operation != ObjectReference.retain, let object = knownObject.take() else {
      return reply(errno: EINVAL)
    }
    invoke(object, header, message)
    // Moved out and back: no reference is counted.
    knownObject = object
  }

  @inline(__always)
  private func invoke(_ object: any InvocableObject, _ header: Header, _ message: UnsafeRawBufferPointer) {
    var call = Invocation(
      request: WireReader(message),
      reply: WireWriter(
        into: UnsafeMutableRawBufferPointer(start: replyBuffer, count: ChannelLayout.inlineByteCount),
        limit: ChannelLayout.messageByteLimit, account: client.environment.privateBytes),
      client: client.environment,
      bulk: InvocationBulk(
        path: .passUnretained(self), inputByteCount: header.inputByteCount, outputCapacity: header.outputCapacity))
    do {
      let result = try object.invoke(header.operation, &call)
      if call.reply.overflowed { return reply(errno: EMSGSIZE) }
      if !call.replyDescriptors.isEmpty { return reply(errno: EINVAL) }
      call.reply.withMessage { reply(errno: 0, result: result, message: $0) }
    } catch {
      reply(errno: InvocationError.code(of: error))
    }
  }

  private func reply(
    errno: Int32, result: UInt32 = 0,
    message: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
  ) {
    giveBackInput()
    var flags: ReplyFlags = []
    if errno != 0 {
      if let output = shared?.output, outputPlace == .shared {
        explicit_bzero(output.baseAddress!, Int(truncatingIfNeeded: outputByteCount))
      }
      outputByteCount = 0
      if outputPlace != .shared { outputPlace = .undecided }
    }
    let isInline = outputPlace == .undecided || outputPlace == .inline
    if isInline { flags.insert(.outputInline) }
    let start = isInline ? alignedToWord(Int(truncatingIfNeeded: outputByteCount)) : 0
    if message.count <= ChannelLayout.inlineByteCount - min(start, ChannelLayout.inlineByteCount) {
      if let base = message.baseAddress, message.count > 0 {
        (memory.inlineReply + start).copyMemory(from: base, byteCount: message.count)
      }
    } else {
      flags.insert(.messageInRing)
    }
    typealias Field = ChannelLayout.ReplyField
    let line = memory.replyLine
    clinux_store32_relaxed(line + Field.errno, UInt32(bitPattern: errno).littleEndian)
    clinux_store32_relaxed(line + Field.result, result.littleEndian)
    clinux_store32_relaxed(line + Field.flags, flags.rawValue.littleEndian)
    clinux_store32_relaxed(line + Field.messageByteCount, UInt32(truncatingIfNeeded: message.count).littleEndian)
    clinux_store64_relaxed(line + Field.outputByteCount, outputByteCount.littleEndian)
    clinux_store32_relaxed(line + Field.workTime, waiting.finish().littleEndian)
    memory.publishReply(lastSequence)
    waiting.wakeClient()
    if flags.contains(.messageInRing) { stream(message) }
  }

  /// Sends a long reply message behind the answer.
  private func stream(_ message: UnsafeRawBufferPointer) {
    var position = 0
    while position < message.count {
      let count = min(message.count - position, ChannelLayout.chunkByteCount)
      guard let room = try? roomInRing(count) else { return }
      room.copyMemory(from: UnsafeRawBufferPointer(rebasing: message[position..<position + count]))
      put(count)
      position += count
    }
  }

  // MARK: Input

  override func nextInput(atMost: Int) throws(InvocationError) -> UnsafeRawBufferPointer {
    giveBackInput()
    var wanted = Int(truncatingIfNeeded: min(inputRemaining, UInt64(atMost)))
    if untilShared == 0 { return nextSharedInput(wanted) }
    wanted = Int(truncatingIfNeeded: min(untilShared, UInt64(wanted)))
    if let base = inlineInput {
      inlineInput = base + wanted
      inputRemaining -= UInt64(wanted)
      if untilShared != .max { untilShared -= UInt64(wanted) }
      return UnsafeRawBufferPointer(start: base, count: wanted)
    }
    var available = try inputAvailable()
    while available == 0 {
      let taken = inputTaken
      let put = memory.inputPut
      try waiting.waitInOperation(client) { put.load() != taken }
      available = try inputAvailable()
    }
    let count = min(available, wanted)
    lentByteCount = count
    inputRemaining -= UInt64(count)
    if untilShared != .max { untilShared -= UInt64(count) }
    let offset = Int(truncatingIfNeeded: inputTaken) & (ChannelLayout.ringByteCount - 1)
    return UnsafeRawBufferPointer(start: memory.inputRing + offset, count: count)
  }

  /// How many bytes the input ring holds, by a counter that was loaded once and checked.
  private func inputAvailable() throws(InvocationError) -> Int {
    let available = memory.inputPut.load() &- inputTaken
    guard available <= UInt64(ChannelLayout.ringByteCount) else {
      client.drop()
      throw .peerGone
    }
    return Int(available)
  }

  /// Tells the client that what was lent last may be overwritten.
  private func giveBackInput() {
    guard lentByteCount > 0 else { return }
    inputTaken &+= UInt64(lentByteCount)
    lentByteCount = 0
    memory.inputTaken.store(inputTaken)
    let waitsForRoom = memory.inputPut.loadRelaxed() &- inputTaken <= UInt64(ChannelLayout.ringByteCount / 2)
    waiting.ring(waitsForRoom ? .always : .ifAwake)
  }

  // MARK: Output

  override func reserveOutput(_ count: Int) throws(InvocationError) -> UnsafeMutableRawBufferPointer {
    reservedByteCount = count
    if outputPlace == .shared { return try reserveShared(count) }
    if outputPlace == .undecided {
      // Short output goes with the answer. What is still to come of the input tells how long it may get.
      let expected = UInt64(count).addingReportingOverflow(inputRemaining)
      outputPlace =
        !expected.overflow && expected.partialValue <= UInt64(ChannelLayout.inlineByteCount / 2) ? .inline : .ring
      inlineOutputCount = 0
    }
    if outputPlace == .inline {
      if count <= ChannelLayout.inlineByteCount - inlineOutputCount {
        return UnsafeMutableRawBufferPointer(start: memory.inlineReply + inlineOutputCount, count: count)
      }
      // It became longer than it looked: what there is moves to the ring.
      outputPlace = .ring
      let moved = inlineOutputCount
      let room = try roomInRing(moved)
      room.copyMemory(from: UnsafeRawBufferPointer(start: memory.inlineReply, count: moved))
      put(moved)
    }
    return try roomInRing(count)
  }

  override func commitOutput(_ count: Int) {
    if outputPlace == .inline {
      inlineOutputCount += count
    } else if outputPlace == .shared {
      commitShared(count)
    } else if count > 0 {
      put(count)
    }
  }

  private func reserveShared(_ count: Int) throws(InvocationError) -> UnsafeMutableRawBufferPointer {
    overhang = nil
    guard let room = shared?.output else { throw .outputFull }
    let used = Int(truncatingIfNeeded: outputByteCount)
    if count <= room.count - used { return UnsafeMutableRawBufferPointer(rebasing: room[used..<used + count]) }
    // Behind the room lies what else the client keeps there.
    let past = try PrivateBytes(count: count, of: client.environment)
    let bytes = past.bytes
    overhang = consume past
    return bytes
  }

  private func commitShared(_ count: Int) {
    guard let past = overhang.take() else { return }
    guard let room = shared?.output else { return }
    UnsafeMutableRawBufferPointer(rebasing: room[(Int(truncatingIfNeeded: outputByteCount) - count)...])
      .copyMemory(from: UnsafeRawBufferPointer(rebasing: past.bytes[..<count]))
  }

  private func roomInRing(_ count: Int) throws(InvocationError) -> UnsafeMutableRawBufferPointer {
    let limit = UInt64(ChannelLayout.ringByteCount)
    let allowed = limit - UInt64(count)
    let put = outputPut
    let taken = memory.outputTaken
    while true {
      let used = put &- taken.load()
      guard used <= limit else {
        client.drop()
        throw .peerGone
      }
      if used <= allowed { break }
      try waiting.waitInOperation(client) { put &- taken.load() <= allowed }
    }
    let offset = Int(truncatingIfNeeded: put) & (ChannelLayout.ringByteCount - 1)
    return UnsafeMutableRawBufferPointer(start: memory.outputRing + offset, count: count)
  }

  private func put(_ count: Int) {
    outputPut &+= UInt64(count)
    memory.outputPut.store(outputPut)
    let isHalfFull = outputPut &- memory.outputTaken.loadRelaxed() >= UInt64(ChannelLayout.ringByteCount / 2)
    waiting.ring(isHalfFull ? .always : .ifAwake)
  }
}
