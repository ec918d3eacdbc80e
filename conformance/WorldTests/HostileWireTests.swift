import CLinux
import Foundation
import Glibc
import LinuxSystem
import Mechanisms
import Testing
import TokenProtocol
import Wire

@testable import ObjectInvoke

extension WorldSuite {
  @Suite("A hostile client without the module: the wire")
  struct HostileWireTests {
    @Test("noise in shared memory and on the control socket disturbs nobody, and leaves no thread and no file")
    func noise() throws {
      let world = try World()
      let witness = try Witness(world)
      usleep(200_000)
      let before = (threads: try world.threadCount, files: (try? world.openFiles.count) ?? 0)
      var random = SplitMix(state: 0xbad_5eed)
      let end = Date().addingTimeInterval(2)
      var connections = 0
      while Date() < end {
        connections += 1
        let raw = try RawClient(world.socket)
        if connections % 3 != 0 { try raw.hello() }
        if connections % 3 == 1 {
          let memory = try raw.openChannel()
          scribble(memory, &random, rounds: 200, plausible: connections % 2 == 0)
        }
        for _ in 0..<4 {
          var noise = random.bytes(random.below(400) + 1)
          if random.below(2) == 0 {
            noise.replaceSubrange(0..<min(4, noise.count), with: [3, 0, 0, 0].prefix(noise.count))
          }
          let descriptors = (0..<[0, 1, 5, 64, 200][random.below(5)]).map { _ in raw.socket.descriptor.number }
          try? noise.withUnsafeBytes { try raw.socket.send($0, descriptors: descriptors, waiting: false) }
        }
      }
      #expect(connections > 20)
      #expect(becomesTrue { (try? world.threadCount) == before.threads })
      #expect(becomesTrue { ((try? world.openFiles.count) ?? 0) == before.files })
      let result = witness.stop()
      #expect(world.isAlive && result.failures == 0 && result.rounds > 20)
    }

    private func scribble(_ mapping: ChannelMapping, _ random: inout SplitMix, rounds: Int, plausible: Bool) {
      let memory = mapping.memory
      for sequence in 0..<rounds {
        if plausible {
          var request = RawRequest(sequence: UInt32(sequence + 1))
          request.object = random.below(4) == 0 ? .max : UInt64(random.below(4))
          request.operation = UInt32(random.below(60))
          request.flags = UInt16(random.below(16))
          request.message = random.bytes(random.below(64))
          request.inputByteCount = random.next() >> UInt64(random.below(64))
          request.outputCapacity = random.next() >> UInt64(random.below(64))
          memory.inputPut.store(memory.inputTaken.load() &+ random.next() % 300_000)
          memory.outputTaken.store(memory.outputPut.load() &- random.next() % 300_000)
          request.post(mapping)
        } else {
          let offset = random.below(ChannelLayout.inputRing / 8) * 8
          clinux_store64_relaxed(mapping.region.base + offset, random.next())
          memory.requestEvents.add(1)
          memory.requestEvents.wake()
        }
        if random.below(16) == 0 { usleep(100) }
      }
    }

    @Test("a descriptor of any other kind is no restricted buffer, and a buffer's own is one for whoever was given it")
    func descriptors() throws {
      let world = try World()
      let maker = try world.guest()
      let buffer = try maker.buffer(4096)
      let exported = try #require(maker.export(buffer).descriptors.first)
      defer { close(exported) }
      let other = try world.guest()
      var ends: [Int32] = [0, 0]
      #expect(pipe(&ends) == 0)
      var pair: [Int32] = [0, 0]
      #expect(socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0, &pair) == 0)
      let memory = try SharedRegion.create(name: "buffer", byteCount: 4096)
      let control = try MessageSocket.connect(to: world.socket, timeout: 1_000_000_000)
      let others: [(String, Int32)] = [
        ("a pipe's reading end", ends[0]), ("a pipe's writing end", ends[1]), ("a socket", pair[0]),
        ("a memory file", memory.descriptor.number), ("a connection to the secure world", control.descriptor.number),
        ("a directory", open(world.store, O_RDONLY)), ("a device", open("/dev/null", O_RDWR)),
        ("a path", open(world.store, CLINUX_O_PATH)), ("the socket file as a path", open(world.socket, CLINUX_O_PATH)),
        ("a buffer's path", open("/proc/self/fd/\(exported)", CLINUX_O_PATH)), ("an epoll set", clinux_epoll_create()),
      ]
      for (name, number) in others {
        #expect(number >= 0, "\(name)")
        let answer = other.importBuffer(number)
        #expect(answer.errno == 0 && answer.result == RestrictedResult.descriptorInvalid, "\(name)")
        close(number)
      }
      close(pair[1])
      #expect(other.importBuffer().errno == EINVAL)
      // Neither may the payload of a message come in anything but a memory file.
      let raw = try RawClient(world.socket)
      try raw.hello()
      var head = ControlMessage(.invoke, number: 3)
      head.object = ObjectReference.root
      head.flags = ControlMessage.payloadInMemoryFile
      head.messageByteCount = 8
      for number in [exported, raw.socket.descriptor.number] {
        try raw.send(head, descriptors: [number])
        #expect(try raw.receive()?.head.errno == EINVAL)
      }

      // The buffer's descriptor names the buffer for whoever has it, also when its maker has gone.
      let imported = other.importBuffer(exported)
      #expect(imported.errno == 0 && imported.result == 0)
      maker.close()
      #expect(other.write([1, 2, 3], to: imported.number).result == 0)
      #expect(other.importBuffer(exported, exported).result == 0)
      // One that its holder shut down is dead.
      shutdown(exported, Int32(SHUT_RDWR))
      #expect(other.importBuffer(exported).result == RestrictedResult.bufferRevoked)
    }

    @Test(
      "input that is announced and never comes, and output that is never read, hold one thread until the client goes")
    func withheldBytes() throws {
      let world = try World()
      let witness = try Witness(world)
      let client = try world.guest()
      let key = try client.aes([.open])
      let session = client.session
      usleep(100_000)
      let before = (threads: try world.threadCount, memory: try world.residentKiB)
      do {
        let raw = try RawClient(world.socket)
        try raw.hello()
        // Object 1 is this connection's token, which it opens as its first.
        let memory = try raw.openChannel()
        var request = RawRequest(
          message: message {
            $0.u32(1); $0.u32(0)
          })
        request.post(memory)
        #expect(request.answer(memory, seconds: 5)?.errno == 0)
        // A key of its own.
        request = RawRequest(
          sequence: 2, object: 1, operation: TokenOperation.generateKey.rawValue,
          message: encoded(
            MakeKey(session: session, mechanism: Mechanism(.aesKeyGen), template: [.number(.valueLen, 16), .open])))
        request.post(memory)
        #expect(request.answer(memory, seconds: 5)?.result == 0)
        let handle = (memory.memory.inlineReply + 0).loadUnaligned(as: UInt64.self)
        let sign = KeyOperation(session: session, function: .sign, key: handle, mechanism: Mechanism(.aesCMAC))
        // More than there can be is refused at once; half of the address space is waited for, without any memory.
        request = RawRequest(sequence: 3, object: 1, operation: TokenOperation.perform.rawValue, message: encoded(sign))
        request.inputByteCount = 1 << 63
        request.outputCapacity = 64
        request.post(memory)
        let refusal = try #require(request.answer(memory, seconds: 5))
        #expect(refusal.errno != 0 || refusal.result != 0)
        request.sequence = 4
        request.inputByteCount = 1 << 62
        request.post(memory)
        #expect(request.answer(memory, seconds: 0.3) == nil)
        // Some of it comes, and then the client is gone.
        memory.memory.inputPut.store(memory.memory.inputTaken.load() &+ 100_000)
        memory.memory.requestEvents.add(1)
        memory.memory.requestEvents.wake()
        usleep(100_000)
        // On another channel it asks for 60 MiB and reads none of it.
        let second = try raw.openChannel()
        var random = RawRequest(object: 1, operation: TokenOperation.random.rawValue)
        random.outputCapacity = 60 << 20
        random.post(second)
        #expect(random.answer(second, seconds: 0.3) == nil)
        #expect(try world.residentKiB - before.memory < 4 << 10)
        _ = try client.perform(.encrypt, key, Sample.gcm, [1])
      }
      #expect(becomesTrue { (try? world.threadCount) == before.threads })
      let end = witness.stop()
      #expect(end.failures == 0 && end.rounds > 20)
    }

    @Test("a client that is killed gives back its session objects, operations and buffers")
    func killedClient() async throws {
      let world = try World("pool-svp-bytes = 1M\n")
      let client = try world.guest()
      _ = try client.buffer(512 << 10)
      let clients = try world.threadCount(named: "control")
      let sessions = try client.information.sessionCount
      var resident: [Int] = []
      for _ in 0..<4 {
        await #expect(processExitsWith: .signal(SIGKILL)) { [socket = world.socket as String] in
          let victim = try WireClient(socket)
          try victim.logIn(.user, World.userPIN)
          _ = try victim.buffer(512 << 10)
          for _ in 0..<50 {
            _ = try victim.create([.of(.data), .bytes(.value, [UInt8](repeating: 1, count: 100_000))])
          }
          let key = try victim.aes()
          let request = KeyOperation(session: victim.session, function: .decrypt, key: key, mechanism: Sample.gcm)
          try victim.call(.begin, request, [UInt8](repeating: 0, count: 4 << 20))
          kill(getpid(), SIGKILL)
        }
        // This client opens a channel for each thread that the test runs on; the other's are gone with it.
        #expect(becomesTrue { ((try? world.threadCount(named: "control")) ?? .max) <= clients })
        #expect(becomesTrue { (try? client.information.sessionCount) == sessions })
        resident.append(try world.residentKiB)
      }
      // The first leaves the allocator with what it keeps for the next, and that varies; each of them held some 10 MiB.
      #expect(resident[3] - resident[0] < 10 << 10, "\(resident)")
      // The half of the pool that it had is there for the next.
      await #expect(processExitsWith: .success) { [socket = world.socket as String] in
        _ = try WireClient(socket).buffer(512 << 10)
      }
    }
  }
}
