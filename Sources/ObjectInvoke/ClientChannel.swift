import CLinux
import Glibc
import LinuxSystem
import Synchronization
import Wire

/// How many invocations went through one channel. It outlives the channel, for the sum.
final class InvocationCounter: Sendable {
  private let invocations = Atomic<UInt64>(0)
  private let retired = Atomic<Bool>(false)

  /// Only the thread that has acquired the channel counts.
  @inline(__always)
  func count() {
    invocations.store(invocations.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
  }

  func retire() { retired.store(true, ordering: .releasing) }

  /// Whether the channel has gone, and the value is final.
  var isRetired: Bool { retired.load(ordering: .acquiring) }
  var value: UInt64 { invocations.load(ordering: .relaxed) }
}

extension Unmanaged where Instance == ClientChannel {
  /// Ends the use of a channel that `acquire` began, and gives up the reference that it had, if it had one.
  @inline(__always)
  func endUse() {
    if _withUnsafeGuaranteedRef({ $0.leave() }) { release() }
  }
}

/// The client's end of one channel: carries the invocations of one thread at a time.
final class ClientChannel: @unchecked Sendable {
  // Sendable: what changes belongs to the thread that has acquired the channel.

  let state: ClientState
  private let mapping: ChannelMapping
  private let memory: ChannelMemory
  private let inUse = Atomic<Bool>(false)
  /// Whether the channel stays with a thread, and is not given back to the free ones after each use.
  var belongsToThread = false
  private let counter: InvocationCounter
  private var sequence: UInt32 = 0
  private var inputPut: UInt64 = 0
  private var outputTaken: UInt64 = 0
  private let waiting: ClientWaiting

  init(_ mapping: ChannelMapping, state: ClientState, counter: InvocationCounter) {
    self.counter = counter
    self.mapping = mapping
    memory = mapping.memory
    self.state = state
    waiting = ClientWaiting(memory: memory, state: state)
  }

  deinit {
    if state.isAbandoned { mapping.region.abandon() }
    counter.retire()
  }

  /// Whether an invocation is in progress.
  var isInUse: Bool { inUse.load(ordering: .relaxed) }

  /// Takes the channel for one invocation; false when one is in progress, which the caller is inside of.
  ///
  /// Whoever asks has the channel to itself: it is the thread's own, or was taken from the free ones. A channel that does not
  /// belong to a thread is to be taken with a reference of its own, which `endUse` gives up.
  @inline(__always)
  func acquire() -> Bool {
    if inUse.load(ordering: .relaxed) { return false }
    inUse.store(true, ordering: .relaxed)
    return true
  }

  /// Ends the use that `acquire` began. Answers whether the use had a reference of its own.
  @inline(__always)
  fileprivate func leave() -> Bool {
    inUse.store(false, ordering: .releasing)
    if belongsToThread { return false }
    giveBack()
    return true
  }

  @inline(never)
  private func giveBack() { state.giveBack(self) }

  /// Where the request message is written.
  @inline(__always)
  var requestArea: UnsafeMutableRawBufferPointer {
    memory.expectRequest()
    return UnsafeMutableRawBufferPointer(start: memory.inlineRequest, count: ChannelLayout.inlineByteCount)
  }

  /// What the server answered; `message` lies in the channel or in `ownedMessage`.
  struct Answer: ~Copyable {
    var errno: Int32
    var result: UInt32 = 0
    var outputByteCount = 0
    var message = UnsafeRawBufferPointer(start: nil, count: 0)
    var ownedMessage: PrivateBytes?
  }

  /// Carries out one invocation whose message `writer` holds.
  ///
  /// - Parameters:
  ///   - input: what is sent.
  ///   - output: where the output goes.
  ///   - sharing: `.sharedMemory` when the message names some.
  ///   - sharedByteCount: the length of the input that it names.
  ///   - receivesOutput: false when the output goes to shared memory, which `output` is then.
  func perform(
    _ object: UInt64, _ operation: UInt32, _ options: InvokeOptions, _ writer: borrowing WireWriter,
    _ input: InputSegments, _ output: UnsafeMutableRawBufferPointer, sharing: RequestFlags = [],
    sharedByteCount: Int = 0, receivesOutput: Bool = true
  ) throws(InvokeError) -> Answer {
    let messageByteCount = writer.count
    let inputByteCount = input.byteCount
    var (patience, flags) = waiting.patience(options, operation)
    flags.formUnion(sharing)
    let inputStart = alignedToWord(messageByteCount)
    var inRing = 0
    if !writer.isInLentMemory {
      flags.insert(.messageInRing)
      inRing = messageByteCount &+ inputByteCount
    } else if inputByteCount <= ChannelLayout.inlineByteCount &- inputStart {
      if inputByteCount > 0 {
        flags.insert(.inputInline)
        let place = memory.inlineRequest + inputStart
        // Mostly one piece, behind associated data of which there is none.
        let piece = input.first.isEmpty ? input.second : input.first
        if piece.count == inputByteCount, let start = piece.baseAddress {
          place.copyMemory(from: start, byteCount: inputByteCount)
        } else {
          copy(input, inputByteCount, to: place)
        }
      }
    } else {
      inRing = inputByteCount
    }

    let next = sequence &+ 1
    let processor = Processor.current
    typealias Field = ChannelLayout.RequestField
    let line = memory.requestLine
    let word =
      UInt64(operation) | UInt64(flags.rawValue) << 32 | UInt64(UInt16(truncatingIfNeeded: processor)) << 48
    clinux_store64_relaxed(line + Field.object, object.littleEndian)
    clinux_store64_relaxed(line + Field.operationAndFlags, word.littleEndian)
    clinux_store64_relaxed(
      line + Field.messageByteCount, UInt64(UInt32(truncatingIfNeeded: messageByteCount)).littleEndian)
    clinux_store64_relaxed(
      line + Field.inputByteCount, UInt64(truncatingIfNeeded: inputByteCount &+ sharedByteCount).littleEndian)
    clinux_store64_relaxed(line + Field.outputCapacity, UInt64(truncatingIfNeeded: output.count).littleEndian)
    sequence = next
    counter.count()

    var drained = 0
    if inRing == 0 && (!receivesOutput || output.count <= ChannelLayout.inlineByteCount / 2) {
      waiting.post(next)
      try waiting.waitForReply(next, processor: processor, patience)
    } else {
      memory.requestSequence.store(next)
      drained = try exchange(
        next, processor, patience, flags, writer, input, receivesOutput ? output : .init(start: nil, count: 0), options)
    }
    if options.contains(.secret) { wipeInput(inputStart &+ inputByteCount, inRing: inRing > 0) }
    if flags.contains(.timed) { noteTime(options, operation) }
    let answer = try readReply(output, drained, receivesOutput: receivesOutput)
    if options.contains(.secret), receivesOutput { wipeOutput(answer.outputByteCount) }
    return answer
  }

  @inline(never)
  private func copy(_ input: InputSegments, _ byteCount: Int, to place: UnsafeMutableRawPointer) {
    var cursor = InputCursor(message: nothing, input)
    cursor.copy(byteCount, to: place)
  }

  /// Learns from the answer how long the work took.
  @inline(never)
  private func noteTime(_ options: InvokeOptions, _ operation: UInt32) {
    let time = UInt32(littleEndian: clinux_load32_relaxed(memory.replyLine + ChannelLayout.ReplyField.workTime))
    waiting.note(time, options, operation)
  }

  /// Wipes what was sent: it lay at the start of the inline area, and in the ring.
  @inline(never)
  private func wipeInput(_ byteCount: Int, inRing: Bool) {
    explicit_bzero(memory.inlineRequest, min(byteCount, ChannelLayout.inlineByteCount))
    if inRing { explicit_bzero(memory.inputRing, ChannelLayout.ringByteCount) }
  }

  /// Wipes output that has been copied: it lay at the start of the reply, or in the ring.
  @inline(never)
  private func wipeOutput(_ byteCount: Int) {
    let line = memory.replyLine + ChannelLayout.ReplyField.flags
    if ReplyFlags(rawValue: UInt32(littleEndian: clinux_load32_relaxed(line))).contains(.outputInline) {
      explicit_bzero(memory.inlineReply, min(byteCount, ChannelLayout.inlineByteCount))
    } else if byteCount > 0 {
      explicit_bzero(memory.outputRing, ChannelLayout.ringByteCount)
    }
  }

  // MARK: Streaming

  /// Copies input in and output out until the answer is there; answers how many bytes of output were copied.
  @inline(never)
  private func exchange(
    _ expected: UInt32, _ processor: Int, _ patience: Patience, _ flags: RequestFlags,
    _ writer: borrowing WireWriter, _ input: InputSegments, _ output: UnsafeMutableRawBufferPointer,
    _ options: InvokeOptions
  ) throws(InvokeError) -> Int {
    if flags.contains(.inputInline) {
      return try exchange(expected, processor, patience, nothing, InputSegments(), output)
    }
    // Output must not overwrite input that has not been sent.
    let messageByteCount = flags.contains(.messageInRing) ? writer.count : 0
    var copied: PrivateBytes?
    var input = input
    if input.isOvertaken(by: output, options) {
      guard let copy = PrivateBytes(count: input.byteCount) else {
        // The server waits for input that will not come.
        state.markDead()
        throw .resources(ENOMEM)
      }
      var cursor = InputCursor(message: nothing, input)
      if copy.count > 0 { cursor.copy(copy.count, to: copy.bytes.baseAddress!) }
      input = InputSegments(UnsafeRawBufferPointer(copy.bytes))
      copied = consume copy
    }
    defer { _ = copied?.count }
    if messageByteCount == 0 { return try exchange(expected, processor, patience, nothing, input, output) }
    return try writer.withMessage { (message) throws(InvokeError) in
      try exchange(expected, processor, patience, message, input, output)
    }
  }

  private var nothing: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

  private func exchange(
    _ expected: UInt32, _ processor: Int, _ patience: Patience, _ message: UnsafeRawBufferPointer,
    _ input: InputSegments, _ output: UnsafeMutableRawBufferPointer
  ) throws(InvokeError) -> Int {
    let ring = UInt64(ChannelLayout.ringByteCount)
    let mask = ChannelLayout.ringByteCount - 1
    var cursor = InputCursor(message: message, input)
    var drained = 0
    // Little is sent in smaller pieces, so that the copying overlaps with the work at all.
    let chunk =
      cursor.remaining <= 4 * ChannelLayout.chunkByteCount
      ? ChannelLayout.chunkByteCount / 4 : ChannelLayout.chunkByteCount
    // On another processor the server starts at once; on ours it would take the processor from the copying.
    waiting.ring(onlyIf: !waiting.isServer(on: processor) || cursor.remaining == 0)
    while true {
      var progressed = false
      if cursor.remaining > 0 {
        let used = inputPut &- memory.inputTaken.load()
        guard used <= ring else { throw broken() }
        if used < ring {
          let count = min(Int(ring - used), chunk, cursor.remaining)
          cursor.copy(count, to: memory.inputRing + (Int(truncatingIfNeeded: inputPut) & mask))
          inputPut &+= UInt64(count)
          memory.inputPut.store(inputPut)
          waiting.ring(onlyIf: !waiting.isServer(on: processor))
          progressed = true
        }
      }
      let available = memory.outputPut.load() &- outputTaken
      guard available <= ring else { throw broken() }
      // Looked at after the counter: what the counter shows was put before the answer, so it is output and not the
      // reply message.
      if memory.replySequence.load() == expected { break }
      let count = min(Int(available), ChannelLayout.chunkByteCount, output.count - drained)
      if count > 0 {
        let offset = Int(truncatingIfNeeded: outputTaken) & mask
        (output.baseAddress! + drained).copyMemory(from: memory.outputRing + offset, byteCount: count)
        drained += count
        outputTaken &+= UInt64(count)
        memory.outputTaken.store(outputTaken)
        waiting.ring(onlyIf: available >= ring / 2)
        progressed = true
      }
      if !progressed {
        let put = inputPut
        let taken = outputTaken
        let wantsRoom = cursor.remaining > 0
        let wantsOutput = drained < output.count
        try waiting.wait(processor: processor, patience) {
          memory.replySequence.load() == expected
            || (wantsRoom && put &- memory.inputTaken.load() < ring)
            || (wantsOutput && memory.outputPut.load() != taken)
        }
      }
    }
    waiting.noteAnswer()
    // The server reads no more input: what it left is taken back.
    inputPut = memory.inputTaken.load()
    memory.inputPut.store(inputPut)
    return drained
  }

  // MARK: The answer

  @inline(__always)
  private func readReply(
    _ output: UnsafeMutableRawBufferPointer, _ alreadyDrained: Int, receivesOutput: Bool
  ) throws(InvokeError) -> Answer {
    typealias Field = ChannelLayout.ReplyField
    let line = memory.replyLine
    let errno = Int32(bitPattern: UInt32(littleEndian: clinux_load32_relaxed(line + Field.errno)))
    let result = UInt32(littleEndian: clinux_load32_relaxed(line + Field.result))
    let flags = ReplyFlags(rawValue: UInt32(littleEndian: clinux_load32_relaxed(line + Field.flags)))
    let messageByteCount = Int(UInt32(littleEndian: clinux_load32_relaxed(line + Field.messageByteCount)))
    let announced = UInt64(littleEndian: clinux_load64_relaxed(line + Field.outputByteCount))
    guard announced <= UInt64(truncatingIfNeeded: output.count), messageByteCount <= ChannelLayout.messageByteLimit
    else {
      throw broken()
    }
    let outputByteCount = Int(truncatingIfNeeded: announced)
    var answer = Answer(errno: errno, result: result, outputByteCount: outputByteCount, ownedMessage: nil)

    var messageStart = 0
    if receivesOutput, flags.contains(.outputInline) {
      guard outputByteCount <= ChannelLayout.inlineByteCount else { throw broken() }
      if outputByteCount > 0 {
        output.baseAddress!.copyMemory(from: memory.inlineReply, byteCount: outputByteCount)
      }
      messageStart = alignedToWord(outputByteCount)
    }
    if alreadyDrained > 0 || flags.contains(.messageInRing)
      || (receivesOutput && outputByteCount > 0 && !flags.contains(.outputInline))
    {
      answer.ownedMessage = try readRing(
        output, alreadyDrained, outputByteCount, messageByteCount, flags, receivesOutput: receivesOutput)
      if flags.contains(.messageInRing) {
        answer.message = UnsafeRawBufferPointer(
          start: answer.ownedMessage?.bytes.baseAddress, count: messageByteCount)
        return answer
      }
    } else if receivesOutput && output.count > 0 {
      takeAllOutput()
    }
    guard messageStart &+ messageByteCount <= ChannelLayout.inlineByteCount else { throw broken() }
    answer.message = UnsafeRawBufferPointer(start: memory.inlineReply + messageStart, count: messageByteCount)
    return answer
  }

  /// Nothing in the output ring is wanted any more.
  @inline(__always)
  private func takeAllOutput() {
    let put = memory.outputPut.load()
    if put != outputTaken {
      outputTaken = put
      memory.outputTaken.store(put)
    }
  }

  /// Takes what of an answer comes through the ring: the rest of its output, and the message, if that is there.
  @inline(never)
  private func readRing(
    _ output: UnsafeMutableRawBufferPointer, _ alreadyDrained: Int, _ outputByteCount: Int, _ messageByteCount: Int,
    _ flags: ReplyFlags, receivesOutput: Bool
  ) throws(InvokeError) -> PrivateBytes? {
    var drained = alreadyDrained
    if receivesOutput, !flags.contains(.outputInline), drained < outputByteCount {
      let rest = outputByteCount - drained
      guard rest <= ChannelLayout.ringByteCount,
        memory.outputPut.load() &- outputTaken <= UInt64(ChannelLayout.ringByteCount)
      else { throw broken() }
      let offset = Int(truncatingIfNeeded: outputTaken) & (ChannelLayout.ringByteCount - 1)
      (output.baseAddress! + drained).copyMemory(from: memory.outputRing + offset, byteCount: rest)
      outputTaken &+= UInt64(rest)
      memory.outputTaken.store(outputTaken)
      drained = outputByteCount
    }
    // What had come before the operation failed is none of the caller's business.
    let kept = flags.contains(.outputInline) ? outputByteCount : min(drained, outputByteCount)
    if alreadyDrained > kept {
      explicit_bzero(output.baseAddress! + kept, alreadyDrained - kept)
    }
    var owned: PrivateBytes?
    if flags.contains(.messageInRing) {
      guard let message = PrivateBytes(count: messageByteCount) else {
        state.markDead()
        throw .resources(ENOMEM)
      }
      guard alreadyDrained <= outputByteCount else { throw broken() }
      try drain(into: message.bytes)
      owned = consume message
    }
    takeAllOutput()
    return owned
  }

  private func drain(into target: UnsafeMutableRawBufferPointer) throws(InvokeError) {
    var position = 0
    while position < target.count {
      let taken = outputTaken
      let available = memory.outputPut.load() &- taken
      guard available <= UInt64(ChannelLayout.ringByteCount) else { throw broken() }
      if available == 0 {
        try waiting.wait(processor: Processor.current, waiting.short) { memory.outputPut.load() != taken }
        continue
      }
      let count = min(Int(available), target.count - position)
      let offset = Int(truncatingIfNeeded: taken) & (ChannelLayout.ringByteCount - 1)
      (target.baseAddress! + position).copyMemory(from: memory.outputRing + offset, byteCount: count)
      position += count
      outputTaken &+= UInt64(count)
      memory.outputTaken.store(outputTaken)
      waiting.ring()
    }
  }

  /// The server's words contradict each other: nothing it says can be used any more.
  @inline(never)
  private func broken() -> InvokeError {
    state.markDead()
    return .malformedReply
  }
}
