import CLinux
import Glibc
import LinuxSystem
import Synchronization
import Testing
import Wire

@testable import ObjectInvoke

private var nothing: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: nil, count: 0) }

extension SharedMemory {
  fileprivate func piece(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: bytes[range])
  }
}

extension InvokeClient {
  /// Invokes the root and answers the first number of the reply.
  fileprivate func number(
    _ operation: UInt32, _ input: [UnsafeMutableRawBufferPointer],
    output: UnsafeMutableRawBufferPointer = UnsafeMutableRawBufferPointer(start: nil, count: 0),
    options: InvokeOptions = []
  ) throws -> UInt64 {
    let empty = UnsafeRawBufferPointer(nothing)
    let pieces = input.map { UnsafeRawBufferPointer($0) } + [empty, empty, empty]
    let answer = try invoke(
      ObjectReference.root, operation, options: options, input: InputSegments(pieces[0], pieces[1], pieces[2]),
      output: output
    ) { _ in }
    var message = answer.message
    return message.remaining >= 8 ? try message.u64() : UInt64(answer.outputByteCount)
  }
}

private func sum(_ bytes: some Sequence<UInt8>) -> UInt64 { bytes.reduce(0) { $0 &+ UInt64($1) } }

/// What a request names: the numbers of `SharedReferences`.
private func names(_ numbers: [UInt64], output: [UInt64] = [], count: UInt32? = nil, flags: UInt32? = nil) -> [UInt8] {
  var writer = WireWriter()
  for number in numbers + output { writer.u64(number) }
  writer.u32(count ?? UInt32(numbers.count / 4))
  writer.u32(flags ?? (output.isEmpty ? 0 : 1))
  return writer.withMessage { Array($0) }
}

extension ObjectInvokeTests {
  @Suite("Shared memory")
  struct SharedMemoryTests {
    @Test("input and output that lie in it are worked on where they lie; shorter ones are sent")
    func inPlace() throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      let memory = try client.shareMemory(byteCount: 100_000)
      #expect(memory.bytes.count >= 100_000 && memory.bytes.allSatisfy { $0 == 0 })
      let whole = memory.piece(0..<100_000)
      // What the object writes before it has read is what it reads.
      #expect(try client.number(Operation.fillThenSum, [whole], output: whole) == 100_000)
      #expect(whole.allSatisfy { $0 == 1 })
      let short = memory.piece(0..<4095)
      short.copyBytes(from: [UInt8](repeating: 2, count: 4095))
      #expect(try client.number(Operation.fillThenSum, [short], output: short) == 2 * 4095)
      // When the sharing has ended the memory is still there, like any other.
      client.endSharing(memory)
      whole.copyBytes(from: [UInt8](repeating: 3, count: 100_000))
      #expect(try client.number(Operation.fillThenSum, [whole], output: whole) == 300_000)
      client.endSharing(memory)
      #expect(whole.allSatisfy { $0 == 3 })
      #expect(try client.number(Operation.sum, [whole]) == 100_000)
    }

    @Test("pieces of several shared memories and of ordinary memory make one input, in their order")
    func mixtures() throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      let first = try client.shareMemory(byteCount: 1 << 20)
      let second = try client.shareMemory(byteCount: 50_000)
      let ordinary = UnsafeMutableRawBufferPointer.allocate(byteCount: 400_000, alignment: 16)
      defer { ordinary.deallocate() }
      first.bytes.copyBytes(from: pattern(1 << 20, seed: 1))
      second.bytes.copyBytes(from: pattern(second.bytes.count, seed: 2))
      ordinary.copyBytes(from: pattern(400_000, seed: 3))
      let target = first.piece(590_000..<590_000 + 450_000)
      let other = UnsafeMutableRawBufferPointer.allocate(byteCount: 450_000, alignment: 16)
      defer { other.deallocate() }
      let small = UnsafeMutableRawBufferPointer(rebasing: ordinary[..<100])
      let large = UnsafeMutableRawBufferPointer(rebasing: ordinary[100..<300_100])
      let inFirst = first.piece(3..<100_003)
      let inSecond = second.piece(1..<40_001)
      for input in [
        [inFirst], [small, inFirst], [inFirst, small], [large, inSecond], [inSecond, large, inFirst],
        [inFirst, inSecond, small], [small, inFirst, large], [large], [small],
      ] {
        let expected = input.flatMap { Array($0) }
        for output in [target, other] {
          output.copyBytes(from: [UInt8](repeating: 0, count: output.count))
          #expect(try client.number(Operation.invert, input, output: output) == UInt64(expected.count))
          #expect(output.prefix(expected.count).elementsEqual(expected.map { ~$0 }))
          #expect(output.dropFirst(expected.count).allSatisfy { $0 == 0 })
        }
      }
      // A batch lies there as a whole, or is sent as a whole.
      for batch in [[inFirst, inSecond, inFirst, nothing], [inFirst, small, inSecond]] {
        let pieces = batch.map { UnsafeRawBufferPointer($0) }
        try pieces.withUnsafeBufferPointer { pieces in
          let answer = try client.invoke(ObjectReference.root, Operation.sum, input: InputSegments(pieces)) { _ in }
          var message = answer.message
          #expect(try message.u64() == UInt64(batch.reduce(0) { $0 + $1.count }))
          #expect(try message.u64() == batch.reduce(0) { $0 &+ sum($1) })
        }
      }
    }

    @Test("a range that lies there in part is sent, and so is input that the output would overwrite too early")
    func notInPlace() throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      let memory = try client.shareMemory(byteCount: 65_536)
      let bytes = memory.bytes
      let content = pattern(65_536)
      // Output before the input, at its start, and inside of it.
      for (from, to) in [(20_000, 0), (10, 9), (5000, 5000), (5000, 5001), (0, 20_000), (0, 30_000)] {
        bytes.copyBytes(from: content)
        let input = memory.piece(from..<from + 30_000)
        let output = memory.piece(to..<to + 30_000)
        #expect(try client.number(Operation.invert, [input], output: output) == 30_000)
        #expect(output.elementsEqual(content[from..<from + 30_000].map { ~$0 }))
      }
      // A first piece that yields no output, and output where the second begins.
      bytes.copyBytes(from: content)
      let head = memory.piece(0..<8192)
      let body = memory.piece(8192..<40_000)
      #expect(
        try client.number(Operation.fillThenSum, [head, body], output: body, options: .outputWithLast)
          == sum(content[..<8192]) &+ UInt64(body.count))
      // Ranges that begin or end outside, or are none.
      #expect(memory.offset(of: UnsafeRawBufferPointer(start: bytes.baseAddress! + 65_535, count: 1)) == 65_535)
      #expect(memory.offset(of: UnsafeRawBufferPointer(start: bytes.baseAddress! + 65_535, count: 2)) == nil)
      #expect(memory.offset(of: UnsafeRawBufferPointer(start: bytes.baseAddress! + 65_536, count: 0)) == nil)
      #expect(memory.offset(of: UnsafeRawBufferPointer(start: bytes.baseAddress! - 1, count: 65_536)) == nil)
      #expect(memory.offset(of: UnsafeRawBufferPointer(start: bytes.baseAddress!, count: .max)) == nil)
      #expect(memory.offset(of: UnsafeRawBufferPointer(nothing)) == nil)
    }

    @Test("what a failed invocation wrote there is zeroed, and an object that asks for more room gets it elsewhere")
    func failures() throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      let memory = try client.shareMemory(byteCount: 200_000)
      memory.bytes.copyBytes(from: [UInt8](repeating: 9, count: 200_000))
      let input = memory.piece(0..<100_000)
      let output = memory.piece(100_000..<200_000)
      #expect(throws: InvokeError.refused(EPERM)) {
        _ = try client.number(Operation.failHalfWay, [input], output: output)
      }
      #expect(output.prefix(50_000).allSatisfy { $0 == 0 } && output.dropFirst(50_000).allSatisfy { $0 == 9 })
      // `invert` asks for a byte more than it uses, which would lie behind the room it has.
      memory.bytes.copyBytes(from: [UInt8](repeating: 9, count: 200_000))
      let room = memory.piece(100_000..<150_000)
      #expect(try client.number(Operation.invert, [memory.piece(0..<50_000)], output: room) == 50_000)
      #expect(room.allSatisfy { $0 == ~9 } && memory.bytes[150_000] == 9)
      #expect(throws: InvokeError.refused(ENOSPC)) { _ = try client.number(Operation.invert, [input], output: room) }
    }

    @Test("a client shares no more than its limit, and what it gives back can be had again")
    func quota() throws {
      var limits = ServerLimits()
      limits.client.sharedByteCount = 1 << 20
      let server = try TestServer(limits: limits)
      defer { server.stop() }
      let client = try server.connect()
      #expect(throws: InvokeError.refused(EINVAL)) { _ = try client.shareMemory(byteCount: 0) }
      #expect(throws: InvokeError.refused(EINVAL)) { _ = try client.shareMemory(byteCount: -1) }
      for count in [(1 << 20) + 1, 1 << 40, .max] {
        #expect(throws: InvokeError.refused(ENOMEM)) { _ = try client.shareMemory(byteCount: count) }
      }
      for _ in 0..<3 {
        var held = [try client.shareMemory(byteCount: 1 << 19), try client.shareMemory(byteCount: (1 << 19) - 4095)]
        #expect(throws: InvokeError.refused(ENOMEM)) { _ = try client.shareMemory(byteCount: 1) }
        client.endSharing(held[0])
        held[0] = try client.shareMemory(byteCount: 1 << 19)
        let other = try server.connect()
        other.endSharing(try other.shareMemory(byteCount: 1 << 20))
        for memory in held { client.endSharing(memory) }
      }
    }

    @Test("more pieces than a batch has are refused, however much the message holds")
    func manyPieces() throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      let memory = try client.shareMemory(byteCount: 4096)
      let root = server.rootList.objects.withLock { $0[0] }
      _ = try client.number(Operation.add, [])
      let environment = try #require(root.lastClient.withLock { $0 })
      for (count, isRead) in [(SharedReferences.mostPieces, true), (SharedReferences.mostPieces + 1, false)] {
        let message = names((0..<UInt64(count)).flatMap { [$0, memory.object, 0, 1] })
        let places = message.withUnsafeBytes {
          SharedPlaces($0, of: environment, inputByteCount: UInt64(count), capacity: 0)
        }
        #expect((places?.pieces.count == count) == isRead)
      }
      // A batch with more pieces is sent.
      let byte = UnsafeRawBufferPointer(memory.piece(0..<1))
      let many = [UnsafeRawBufferPointer](repeating: byte, count: SharedReferences.mostPieces + 1)
      try many.withUnsafeBufferPointer { pieces in
        let answer = try client.invoke(ObjectReference.root, Operation.sum, input: InputSegments(pieces)) { _ in }
        var message = answer.message
        #expect(try message.u64() == UInt64(many.count))
      }
    }

    @Test("an invocation ends well when the sharing ends, or the client goes, in the middle of it")
    func inUse() throws {
      let server = try TestServer()
      let client = try server.connect()
      let root = server.rootList.objects.withLock { $0[0] }
      let memory = try client.shareMemory(byteCount: 100_000)
      memory.bytes.copyBytes(from: [UInt8](repeating: 5, count: 100_000))
      let answer = Mutex<UInt64?>(nil)
      let thread = try startThread(name: "user") {
        let value = try? client.number(Operation.heldSum, [memory.piece(0..<100_000)])
        answer.withLock { $0 = value }
      }
      #expect(becomesTrue { root.hasBegun.load(ordering: .acquiring) })
      client.endSharing(memory)
      root.mayGoOn.store(true, ordering: .releasing)
      thread.join()
      #expect(answer.withLock { $0 } == 500_000)

      // The client's process is gone, its side of the memory with it: the object reads on.
      let raw = try RawClient(server.path)
      try raw.hello()
      let channel = try raw.openChannel()
      let (id, region) = try raw.shareMemory(8192)
      let gone = server.rootList.objects.withLock { $0[1] }
      region.base.initializeMemory(as: UInt8.self, repeating: 1, count: 8192)
      channel.memory.inlineRequest.copyMemory(from: names([0, id, 0, 8192]), byteCount: 40)
      post(channel, operation: Operation.heldSum, flags: 16, messageByteCount: 40, inputByteCount: 8192, waits: false)
      #expect(becomesTrue { gone.hasBegun.load(ordering: .acquiring) })
      raw.socket.shutDown()
      gone.mayGoOn.store(true, ordering: .releasing)
      #expect(becomesTrue { server.server.clientCount == 1 })
      server.stop()
    }

    @Test("the file can be neither cut nor grown by the client, and a hole in it reads as zeros")
    func sealed() throws {
      let server = try TestServer()
      defer { server.stop() }
      let raw = try RawClient(server.path)
      try raw.hello()
      let channel = try raw.openChannel()
      var ask = ControlMessage(.shareMemory, number: 7)
      ask.bulkByteCount = 5000
      try raw.send(ask)
      let answer = try #require(try raw.receive())
      let file = Descriptor(adopting: answer.descriptor)
      #expect(answer.head.bulkByteCount == 8192)
      #expect(ftruncate(file.number, 0) < 0 && errno == EPERM)
      #expect(ftruncate(file.number, 1 << 20) < 0 && errno == EPERM)
      let region = try SharedRegion(file, byteCount: 8192, access: .readWrite)
      region.base.initializeMemory(as: UInt8.self, repeating: 1, count: 8192)
      let whole = names([0, answer.head.object, 0, 8192])
      channel.memory.inlineRequest.copyMemory(from: whole, byteCount: 40)
      let request = { (sequence: UInt32) in
        post(
          channel, sequence: sequence, operation: Operation.sum, flags: 16, messageByteCount: 40, inputByteCount: 8192)
      }
      #expect(request(1) == 0)
      #expect(channel.memory.inlineReply.load(fromByteOffset: 8, as: UInt64.self) == 8192)
      #expect(madvise(region.base, 4096, 9 /* MADV_REMOVE */) == 0)
      #expect(request(2) == 0)
      #expect(channel.memory.inlineReply.load(fromByteOffset: 8, as: UInt64.self) == 4096)
    }

    @Test("names that no client would write get EINVAL and the channel goes on")
    func hostileNames() throws {
      let server = try TestServer()
      defer { server.stop() }
      let raw = try RawClient(server.path)
      try raw.hello()
      let channel = try raw.openChannel()
      let (id, _) = try raw.shareMemory(16_384)
      let other = try RawClient(server.path)
      try other.hello()
      let (foreign, _) = try other.shareMemory(16_384)
      #expect(foreign == id)
      let another = try raw.shareMemory(4096).0
      var sequence: UInt32 = 0
      func errno(
        _ message: [UInt8], flags: UInt16 = 16, input: UInt64 = 16_384, capacity: UInt64 = 0,
        operation: UInt32 = Operation.sum
      ) -> Int32? {
        sequence += 1
        channel.memory.inlineRequest.copyMemory(from: message, byteCount: message.count)
        return post(
          channel, sequence: sequence, operation: operation, flags: flags, messageByteCount: UInt64(message.count),
          inputByteCount: input, outputCapacity: capacity)
      }
      #expect(errno(names([0, id, 0, 16_384])) == 0)
      #expect(errno(names([0, id, 0, 8192, 8192, id, 8192, 8192])) == 0)
      #expect(errno(names([0, id, 0, 16_384], output: [id, 0]), capacity: 16_384) == 0)
      // Objects that are none, are another's, are released, or are no memory.
      #expect(errno(names([0, 99, 0, 16_384])) == EINVAL)
      #expect(errno(names([0, ObjectReference.root, 0, 16_384])) == EINVAL)
      #expect(errno(names([0, another, 0, 16_384])) == EINVAL)
      // Ranges that end outside, or whose ends overflow.
      #expect(errno(names([0, id, 1, 16_384])) == EINVAL)
      #expect(errno(names([0, id, .max, 16_384])) == EINVAL)
      #expect(errno(names([0, id, 1 << 63, 16_384])) == EINVAL)
      #expect(errno(names([0, id, UInt64(Int.max), 16_384])) == EINVAL)
      #expect(errno(names([0, id, 0, .max]), input: .max) == EINVAL)
      #expect(errno(names([0, id, 0, UInt64(Int.max)]), input: .max) == EINVAL)
      #expect(errno(names([0, id, 0, 0])) == EINVAL)
      #expect(errno(names([0, id, 0, 16_384]), input: 16_383) == EINVAL)
      #expect(errno(names([1, id, 0, 16_384])) == EINVAL)
      #expect(errno(names([.max, id, 0, 16_384])) == EINVAL)
      // Pieces that are not in order.
      #expect(errno(names([8192, id, 0, 8192, 0, id, 0, 8192])) == EINVAL)
      #expect(errno(names([0, id, 0, 8193, 8192, id, 0, 8192])) == EINVAL)
      // An output that ends outside.
      #expect(errno(names([], output: [id, 1]), input: 0, capacity: 16_384) == EINVAL)
      #expect(errno(names([], output: [id, .max]), input: 0, capacity: 16_384) == EINVAL)
      #expect(errno(names([], output: [id, 0]), input: 0, capacity: .max) == EINVAL)
      #expect(errno(names([], output: [99, 0]), input: 0, capacity: 1) == EINVAL)
      // Names that the message does not hold.
      #expect(errno([]) == EINVAL)
      #expect(errno([1, 2, 3, 4, 5, 6, 7]) == EINVAL)
      #expect(errno(names([0, id, 0, 16_384], count: 2)) == EINVAL)
      #expect(errno(names([0, id, 0, 16_384], count: .max)) == EINVAL)
      #expect(errno(names([0, id, 0, 16_384], flags: 2)) == EINVAL)
      #expect(errno(names([], output: [id, 0], count: 1), input: 16_384, capacity: 1) == EINVAL)
      // More input in the inline area than it has room for.
      #expect(errno(names([16_384, id, 0, 8192]), flags: 18, input: 16_384 + 8192) == EINVAL)
      #expect(errno(names([16, id, 0, 8192]), flags: 18, input: 16 + 8192) == 0)
      // Sharing of nothing, and of everything.
      for (count, wanted) in [(0, EINVAL), (UInt64.max, ENOMEM), (1 << 62, ENOMEM)] as [(UInt64, Int32)] {
        var ask = ControlMessage(.shareMemory, number: 7)
        ask.bulkByteCount = count
        try raw.send(ask)
        #expect(try raw.receive()?.head.errno == wanted)
      }
      // It is an object without operations, and can be released.
      sequence += 1
      #expect(post(channel, sequence: sequence, object: id, operation: Operation.sum) == EINVAL)
      sequence += 1
      #expect(post(channel, sequence: sequence, object: id, operation: ObjectReference.release) == 0)
      #expect(errno(names([0, id, 0, 16_384])) == EINVAL)
      #expect(server.server.clientCount == 2)
    }

    @Test("when the server has gone the memory is the client's still")
    func serverGone() throws {
      let server = try TestServer()
      let client = try server.connect()
      let memory = try client.shareMemory(byteCount: 10_000)
      memory.bytes.copyBytes(from: [UInt8](repeating: 4, count: 10_000))
      server.stop()
      #expect(throws: InvokeError.peerGone) { _ = try client.number(Operation.sum, [memory.piece(0..<10_000)]) }
      client.endSharing(memory)
      #expect(memory.piece(0..<10_000).allSatisfy { $0 == 4 })
      let next = try TestServer()
      defer { next.stop() }
      #expect(try next.connect().number(Operation.sum, [memory.piece(0..<10_000)]) == 10_000)
    }
  }
}
