import CLinux
import Glibc
import LinuxSystem
import Synchronization
import Testing
import Wire

@testable import ObjectInvoke

/// Writes a request line and rings, as a client does; answers the errno of the reply, nil when none comes or is waited for.
@discardableResult
func post(
  _ mapping: ChannelMapping, sequence: UInt32 = 1, object: UInt64 = ObjectReference.root,
  operation: UInt32 = Operation.echo, flags: UInt16 = 0, messageByteCount: UInt64 = 0, inputByteCount: UInt64 = 0,
  outputCapacity: UInt64 = 0, inputPut: UInt64? = nil, outputTaken: UInt64? = nil, waits: Bool = true
) -> Int32? {
  let request = RawRequest(
    sequence: sequence, object: object, operation: operation, flags: flags, messageByteCount: messageByteCount,
    inputByteCount: inputByteCount, outputCapacity: outputCapacity)
  if let inputPut { mapping.memory.inputPut.store(inputPut) }
  if let outputTaken { mapping.memory.outputTaken.store(outputTaken) }
  request.post(mapping)
  return waits ? request.answer(mapping, seconds: 10)?.errno : nil
}

private struct Random {
  var state: UInt64
  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}

extension ObjectInvokeTests {
  @Suite("Hostile clients")
  struct HostileTests {
    @Test("requests that no client would make get EINVAL and the channel goes on")
    func malformed() throws {
      let server = try TestServer()
      defer { server.stop() }
      let raw = try RawClient(server.path)
      try raw.hello()
      let mapping = try raw.openChannel()
      let inline = UInt64(ChannelLayout.inlineByteCount)
      #expect(post(mapping, sequence: 1) == 0)
      #expect(post(mapping, sequence: 2, object: 77) == EINVAL)
      #expect(post(mapping, sequence: 3, operation: 4_000_000_000) == EINVAL)
      #expect(post(mapping, sequence: 4, flags: 0x8000) == EINVAL)
      #expect(post(mapping, sequence: 5, messageByteCount: inline + 1) == EINVAL)
      #expect(post(mapping, sequence: 6, messageByteCount: 1 << 32) == EINVAL)
      #expect(post(mapping, sequence: 7, messageByteCount: .max) == EINVAL)
      #expect(post(mapping, sequence: 8, flags: 2, messageByteCount: 8, inputByteCount: inline - 7) == EINVAL)
      #expect(post(mapping, sequence: 9, flags: 2, messageByteCount: 8, inputByteCount: .max) == EINVAL)
      #expect(post(mapping, sequence: 10, flags: 1, messageByteCount: (64 << 20) + 1) == EINVAL)
      #expect(post(mapping, sequence: 11, flags: 3, messageByteCount: 8, inputByteCount: 8) == EINVAL)
      #expect(
        post(mapping, sequence: 12, operation: Operation.readAll, messageByteCount: 8, inputByteCount: .max) == EFBIG)
      #expect(post(mapping, sequence: 13, operation: Operation.add, outputCapacity: .max) == 0)
      #expect(server.server.clientCount == 1)
    }

    @Test("a process has so many channels and shared memories over all of its connections, and is served all the same")
    func counts() throws {
      var limits = ServerLimits()
      limits.channelCountPerProcess = 3
      limits.sharedMemoryCountPerProcess = 2
      let server = try TestServer(limits: limits)
      defer { server.stop() }
      func channelErrno(_ raw: borrowing RawClient) throws -> Int32 {
        try raw.send(ControlMessage(.openChannel, number: 2))
        let answer = try #require(try raw.receive())
        close(answer.descriptor)
        return answer.head.errno
      }
      let first = try RawClient(server.path)
      try first.hello()
      let second = try RawClient(server.path)
      try second.hello()
      #expect(try channelErrno(first) == 0 && channelErrno(second) == 0 && channelErrno(first) == 0)
      #expect(try channelErrno(first) == EMFILE && channelErrno(second) == EMFILE)
      let client = try server.connect()
      #expect(try echoes(client, message: [1], input: pattern(1000)))
      let memory = try client.shareMemory(byteCount: 1)
      let other = try server.connect()
      let more = try other.shareMemory(byteCount: 1)
      #expect(throws: InvokeError.refused(ENOMEM)) { _ = try client.shareMemory(byteCount: 1) }
      other.endSharing(more)
      client.endSharing(try client.shareMemory(byteCount: 1))
      client.endSharing(memory)
      // What a connection had can be had again when it has gone.
      first.socket.shutDown()
      #expect(becomesTrue { (try? channelErrno(second)) == 0 })
    }

    @Test("long replies that nobody reads count as their client's, in channels and on the control socket")
    func unreadReplies() throws {
      var limits = ServerLimits()
      limits.client.privateByteCount = 4 << 20
      let server = try TestServer(limits: limits)
      defer { server.stop() }
      let raw = try RawClient(server.path)
      try raw.hello()
      let mappings = try (0..<6).map { _ in try raw.openChannel() }
      #expect(post(mappings[0], sequence: 1, operation: Operation.add) == 0)
      let root = server.rootList.objects.withLock { $0[0] }
      let environment = try #require(root.lastClient.withLock { $0 })
      #expect(environment.reservedByteCount == 0)
      var refused = 0
      for (index, mapping) in mappings.enumerated() {
        clinux_store64_relaxed(mapping.memory.inlineRequest, 1 << 20)
        let errno = post(
          mapping, sequence: index == 0 ? 2 : 1, operation: Operation.longReply, messageByteCount: 8)
        #expect(errno == 0 || errno == EMSGSIZE)
        refused += errno == EMSGSIZE ? 1 : 0
      }
      #expect((2...4).contains(refused))
      #expect(environment.reservedByteCount > 2 << 20)
      // Another client has its own.
      let other = try server.connect()
      #expect(try echoes(other, message: pattern(1 << 20), input: []))
      raw.socket.shutDown()
      #expect(becomesTrue { environment.reservedByteCount == 0 })

      // A memory file loses its pages when the client goes on, and counts until then.
      let second = try RawClient(server.path)
      try second.hello()
      let channel = try second.openChannel()
      #expect(post(channel, sequence: 1, operation: Operation.add) == 0)
      let roots = server.rootList.objects.withLock { $0 }
      let account = try #require(roots[roots.count - 1].lastClient.withLock { $0 })
      var head = ControlMessage(.invoke, number: 5)
      head.object = ObjectReference.root
      head.operation = Operation.longReply
      head.messageByteCount = 8
      let size = withUnsafeBytes(of: UInt64(1 << 20).littleEndian) { [UInt8]($0) }
      try second.send(head, payload: size)
      let answer = try #require(try second.receive())
      let file = Descriptor(adopting: answer.descriptor)
      #expect(answer.head.flags & ControlMessage.payloadInMemoryFile != 0)
      func blocks() -> Int {
        var status = stat()
        _ = fstat(file.number, &status)
        return Int(status.st_blocks)
      }
      #expect(blocks() * 512 >= 1 << 20)
      #expect(becomesTrue { account.reservedByteCount == 1 << 20 })
      try second.send(head, payload: size)
      let next = try #require(try second.receive())
      close(next.descriptor)
      #expect(blocks() == 0)
      second.socket.shutDown()
      #expect(becomesTrue { account.reservedByteCount == 0 })
    }

    @Test(
      "a channel whose words contradict each other ends the connection, not the server",
      arguments: ["sequence", "input", "output"])
    func inconsistent(what: String) throws {
      let server = try TestServer()
      defer { server.stop() }
      let good = try server.connect()
      let raw = try RawClient(server.path)
      try raw.hello()
      let mapping = try raw.openChannel()
      #expect(post(mapping, sequence: 1) == 0)
      switch what {
      case "sequence": post(mapping, sequence: 5, waits: false)
      case "input":
        post(
          mapping, sequence: 2, operation: Operation.sum, inputByteCount: 1 << 30,
          inputPut: UInt64(ChannelLayout.ringByteCount) + 1, waits: false)
      default:
        mapping.memory.inlineRequest.storeBytes(of: 100_000, as: UInt64.self)
        post(
          mapping, sequence: 2, operation: Operation.produce, messageByteCount: 8, outputCapacity: 1 << 30,
          outputTaken: 1, waits: false)
      }
      let hungUp = becomesTrue { raw.socket.hasHungUp() }
      #expect(hungUp)
      #expect(becomesTrue { server.server.clientCount == 1 })
      #expect(try echoes(good, message: [1], input: pattern(100)))
    }

    @Test("wrong greetings are turned away, a wrong version with the right one")
    func greetings() throws {
      let server = try TestServer()
      defer { server.stop() }
      do {
        let raw = try RawClient(server.path)
        let answer = try raw.hello(version: 99)
        #expect(answer?.errno == EPROTONOSUPPORT && answer?.version == ControlMessage.version)
      }
      do {
        let raw = try RawClient(server.path)
        try raw.send(ControlMessage(.openChannel, number: 1))
        #expect(try raw.receive()?.head.kind == nil)
      }
      do {
        let raw = try RawClient(server.path)
        try Array("GET / HTTP/1.1\r\n\r\n".utf8).withUnsafeBytes { try raw.socket.send($0) }
        #expect(try raw.receive()?.head.kind == nil)
      }
      #expect(becomesTrue { server.server.clientCount == 0 })
    }

    @Test("control messages that lie about their payload are refused")
    func lyingMessages() throws {
      let server = try TestServer()
      defer { server.stop() }
      let raw = try RawClient(server.path)
      try raw.hello()
      var invoke = ControlMessage(.invoke, number: 5)
      invoke.object = ObjectReference.root
      invoke.operation = Operation.echo
      invoke.messageByteCount = 4
      try raw.send(invoke, payload: [1, 2, 3])
      #expect(try raw.receive()?.head.errno == EINVAL)
      invoke.bulkByteCount = .max
      try raw.send(invoke, payload: [1, 2, 3, 4])
      #expect(try raw.receive()?.head.errno == EINVAL)
      // A payload in a file that is not there, is not a memory file, or is shorter than it should be.
      invoke.flags = ControlMessage.payloadInMemoryFile
      try raw.send(invoke)
      #expect(try raw.receive()?.head.errno == EINVAL)
      invoke.bulkByteCount = 100
      var ends: [Int32] = [0, 0]
      #expect(pipe(&ends) == 0)
      try raw.send(invoke, descriptors: [ends[0]])
      #expect(try raw.receive()?.head.errno == EINVAL)
      close(ends[0])
      close(ends[1])
      let short = try SharedRegion.create(name: "short", byteCount: 50)
      try raw.send(invoke, descriptors: [short.descriptor.number])
      #expect(try raw.receive()?.head.errno == EINVAL)
      invoke.bulkByteCount = 1 << 40
      try raw.send(invoke, descriptors: [short.descriptor.number])
      #expect(try raw.receive()?.head.errno == EFBIG)
      // An unknown kind ends the connection.
      invoke.kind = 99
      try raw.send(invoke)
      #expect(try raw.receive()?.head.kind == nil)
    }

    @Test("random bytes over the channels and the socket disturb nobody else")
    func scribbling() throws {
      let server = try TestServer()
      defer { server.stop() }
      let good = try server.connect()
      #expect(try echoes(good, message: [1], input: [1]))
      let failures = Failures()
      let stop = Failures()
      try startThread(name: "good") {
        var round = 0
        while stop.count == 0 {
          round += 1
          let same = (try? echoes(good, message: pattern(round % 100), input: pattern(round * 37 % 40000))) ?? false
          if !same { failures.add() }
        }
        failures.finish()
      }

      var random = Random(state: 88_172_645_463_325_252)
      let end = MonotonicClock.now() + 2_500_000_000
      var connections = 0
      while MonotonicClock.now() < end {
        connections += 1
        let raw = try RawClient(server.path)
        try raw.hello()
        let mapping = try raw.openChannel()
        let memory = mapping.memory
        defer { withExtendedLifetime(mapping) {} }
        let base = mapping.region.base
        // Half of them keep the sequence plausible, so that the noise is looked at by more of the code.
        let plausible = connections % 2 == 0
        var sequence: UInt32 = 0
        for _ in 0..<400 {
          if plausible {
            for word in stride(from: 8, to: 64, by: 8) where random.next() % 2 == 0 {
              let value = random.next()
              clinux_store64_relaxed(memory.requestLine + word, value >> (value % 64))
            }
            clinux_store64_relaxed(memory.requestLine + 8, random.next() % 4 == 0 ? 7 : .max)
            let operation = random.next() % 9
            let flags = random.next() % 16
            clinux_store64_relaxed(memory.requestLine + 16, operation | flags << 32)
            memory.inputPut.store(memory.inputTaken.load() &+ random.next() % 300_000)
            memory.outputTaken.store(memory.outputPut.load() &- random.next() % 300_000)
            for index in 0..<64 {
              memory.inlineRequest.storeBytes(of: random.next(), toByteOffset: index * 8, as: UInt64.self)
            }
            sequence &+= 1
            memory.requestSequence.store(sequence)
          } else {
            let offset = Int(random.next() % UInt64(ChannelLayout.inputRing / 8)) * 8
            clinux_store64_relaxed(base + offset, random.next())
            if random.next() % 16 == 0 { memory.requestSequence.add(1) }
          }
          memory.requestEvents.add(1)
          memory.requestEvents.wake()
          if random.next() % 8 == 0 { usleep(UInt32(random.next() % 200)) }
          if raw.socket.hasHungUp() { break }
        }
        var noise = [UInt8](repeating: 0, count: Int(random.next() % 300) + 1)
        for index in noise.indices { noise[index] = UInt8(truncatingIfNeeded: random.next()) }
        if connections % 3 == 0 { noise[0...] = [3, 0, 0, 0] + noise.dropFirst(4) }
        try? noise.withUnsafeBytes { try raw.socket.send($0) }
      }
      stop.add()
      #expect(becomesTrue { failures.finished == 1 })
      #expect(failures.count == 0)
      #expect(connections > 5)
      #expect(becomesTrue { server.server.clientCount == 1 })
      #expect(try echoes(good, message: [1], input: pattern(300_000)))
    }
  }
}
