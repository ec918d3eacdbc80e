import Cryptoki
import Foundation
import Glibc
import LinuxSystem
import Mechanisms
import Testing
import TokenProtocol
import Wire

@testable import ObjectInvoke

extension WorldSuite {
  @Suite("What one client may have")
  struct QuotaTests {
    private static let deviceMemory = UInt32(ReturnValue.deviceMemory.rawValue)

    /// Answers how often `body` succeeds before it is refused; 100 000 when it never is.
    private func count(_ refusal: UInt32 = deviceMemory, _ body: () throws -> Answer) rethrows -> Int {
      for number in 0..<100_000 {
        let answer = try body()
        if answer.errno == 0, answer.result == 0 { continue }
        #expect(answer.errno == ENOMEM || answer.result == refusal, "\(answer)")
        return number
      }
      return 100_000
    }

    @Test("a process gets half of a pool over all of its connections, and another process the other half")
    func pools() async throws {
      let world = try World("pool-svp-bytes = 1M\npool-tui-bytes = 64K\n")
      let first = try world.guest()
      let second = try world.guest()
      #expect(count { first.allocate(100_000) } + count { second.allocate(100_000) } == 5)
      #expect(count { second.allocate(32 << 10, useCase: 2) } == 1)
      await #expect(processExitsWith: .success) { [socket = world.socket as String] in
        let other = try WireClient(socket)
        for _ in 0..<5 { _ = try other.buffer(100_000) }
        _ = try other.buffer(32 << 10, useCase: 2)
      }
      // What is exported counts for its maker, whoever holds it and however often he comes again.
      first.close()
      #expect(becomesTrue { second.allocate(100_000).result == 0 })
      let third = try world.guest()
      var kept: [Int32] = []
      for _ in 0..<10 {
        let maker = try world.guest()
        let answer = maker.allocate(100_000)
        if answer.result == 0 { kept += maker.export(answer.number).descriptors }
        maker.close()
      }
      #expect(kept.count == 4)
      #expect(third.allocate(100_000).result == Self.deviceMemory)
      kept.forEach { _ = close($0) }
      #expect(becomesTrue { third.allocate(100_000).result == 0 })
    }

    @Test("buffers, exported descriptors and decoder streams are counted for each process, and others go on")
    func tables() async throws {
      let world = try World("pool-svp-bytes = 16M\n")
      let client = try world.guest()
      let buffer = try client.buffer(100)
      #expect(count { client.allocate(1) } == 255)
      var exported: [Int32] = []
      let exports = count {
        let answer = client.export(buffer)
        exported += answer.descriptors
        return answer
      }
      defer { exported.forEach { _ = close($0) } }
      #expect(exports == 64)
      func openDecoder() -> Answer {
        client.invoke(
          client.peripherals, PeripheralsOperation.openDecoder.rawValue,
          message {
            $0.u32(1); $0.bytes([])
          })
      }
      var streams: [UInt64] = []
      let opened = count {
        let answer = openDecoder()
        if answer.result == 0 { streams.append(answer.number) }
        return answer
      }
      #expect(opened == 4)
      await #expect(processExitsWith: .success) { [socket = world.socket as String] in
        let other = try WireClient(socket)
        let buffer = try other.buffer(100)
        let answer = other.export(buffer)
        guard answer.descriptors.count == 1 else { throw Refused(answer: answer) }
        let stream = other.invoke(
          other.peripherals, PeripheralsOperation.openDecoder.rawValue,
          message {
            $0.u32(1); $0.bytes([])
          })
        guard stream.result == 0, stream.errno == 0 else { throw Refused(answer: stream) }
      }
      // What is given back can be had again.
      client.client.release(streams.removeLast())
      #expect(openDecoder().result == 0)
      close(exported.removeLast())
      #expect(becomesTrue { client.export(buffer).result == 0 })
    }

    @Test("session objects, withheld plaintext and sessions end in CKR_DEVICE_MEMORY and CKR_SESSION_COUNT")
    func tokenMemory() throws {
      let world = try World("memory-limit = 4M\n")
      let witness = try Witness(world)
      let client = try world.guest()
      let start = try world.residentKiB
      let data = [UInt8](repeating: 7, count: 500_000)
      let create = TemplateRequest(session: client.session, template: [.of(.data), .bytes(.value, data)])
      #expect(count { client.ask(.createObject, create) } == 8)
      // Nor can what is there be made longer.
      let small = try client.create([.of(.data)])
      let longer = ObjectRequest(session: client.session, object: small, template: [.bytes(.value, data)])
      #expect(client.ask(.setAttributes, longer).value == .deviceMemory)

      let key = try client.aes([.open])
      let film = try client.create(Sample.aes([UInt8](repeating: 1, count: 16), [.open, .restricted]))
      let buffer = try client.buffer(100)
      var number: UInt32 = 100
      let held = count {
        number += 1
        let session = SessionReference(number: number, isReadWrite: true)
        let request = KeyOperation(session: session, function: .decrypt, key: key, mechanism: Sample.gcm)
        return client.ask(.begin, request, data)
      }
      #expect(held == 8)
      // Decryptions into buffers hold back as much as these, over all sessions, and no more.
      let intoBuffers = count {
        number += 1
        let session = SessionReference(number: number, isReadWrite: true)
        let place = BufferPlace(buffer: buffer, offset: 0)
        let operation = KeyOperation(session: session, function: .decrypt, key: film, mechanism: Sample.gcm)
        let begun = client.ask(.beginInto, DecryptInto(operation: operation, place: place))
        if begun.result != 0 { return begun }
        return client.ask(.updateInto, ContinueInto(session: session, place: place), data)
      }
      #expect(intoBuffers == 8)
      #expect(try world.residentKiB - start < 24 << 10)
      let sessions = count(UInt32(ReturnValue.sessionCount.rawValue)) {
        number += 1
        let request = InSession(session: SessionReference(number: number, isReadWrite: false))
        let answer = client.ask(.logout, request)
        return answer.value == .userNotLoggedIn ? Answer() : answer
      }
      #expect(sessions > 10_000 && sessions < 1 << 14)
      #expect(witness.stop().failures == 0)
      _ = client.ask(.closeSessions, CloseSessions(numbers: [], all: true))
      #expect(client.ask(.createObject, create).value == .ok)
    }

    @Test("a client with as many channels as it may have is refused the next, and others get theirs")
    func channels() throws {
      let world = try World()
      let raw = try RawClient(world.socket)
      try raw.hello()
      let before = try world.threadCount
      var opened = 0
      while opened < 1000 {
        try raw.send(ControlMessage(.openChannel, number: 2))
        let answer = try #require(try raw.receive())
        close(answer.descriptor)
        if answer.head.errno != 0 {
          #expect(answer.head.errno == EMFILE)
          break
        }
        opened += 1
      }
      #expect(opened == ClientLimits().channelCount)
      _ = try world.user().aes()
      raw.socket.shutDown()
      #expect(becomesTrue { ((try? world.threadCount) ?? .max) <= before + 1 })
    }

    @Test("a process with as many connections as it may have is refused the next, and another process connects")
    func connections() async throws {
      let world = try World()
      let limit = ServerLimits().clientCountPerProcess
      var clients: [InvokeClient] = []
      #expect(becomesTrue { (try? world.threadCount(named: "control")) == 0 })
      for _ in 0..<limit { clients.append(try InvokeClient(connecting: world.socket)) }
      #expect(throws: InvokeError.peerGone) { _ = try InvokeClient(connecting: world.socket) }
      await #expect(processExitsWith: .success) { [socket = world.socket as String] in
        let other = try WireClient(socket)
        try other.logIn(.user, World.userPIN)
        _ = try other.aes()
      }
      clients.removeLast()
      #expect(becomesTrue { (try? InvokeClient(connecting: world.socket)) != nil })
    }

    /// A client with a token, which is object 1 of its connection, that may leave its channels as they are.
    private func stalling(_ world: World) throws -> RawClient {
      let raw = try RawClient(world.socket)
      try raw.hello()
      let opened = try raw.invoke(ObjectReference.root, RootOperation.open.rawValue, RawClient.opening(.token))
      #expect(opened.errno == 0)
      return raw
    }

    @Test("replies that nobody reads end in CKR_DEVICE_MEMORY, over all channels, and others go on")
    func unreadReplies() throws {
      let world = try World("memory-limit = 16M\n")
      let guest = try world.guest()
      let large = try guest.create([
        .of(.data), .onToken, .bytes(.value, [UInt8](repeating: 7, count: 3 << 20)),
      ])
      let raw = try stalling(world)
      let start = try world.residentKiB
      let request = GetAttributes(session: guest.session, object: large, types: [.value, .value])
      var refused = 0
      var channels: [ChannelMapping] = []
      for _ in 0..<12 {
        let channel = try raw.openChannel()
        channels.append(channel)
        let posted = RawRequest(
          object: 1, operation: TokenOperation.getAttributes.rawValue, message: encoded(request))
        posted.post(channel)
        let answer = try #require(posted.answer(channel, seconds: 10))
        #expect(answer.errno == 0 && (answer.result == 0 || answer.result == Self.deviceMemory))
        if answer.result != 0 { refused += 1 }
      }
      #expect(refused >= 10)
      #expect(try world.residentKiB - start < 28 << 10)
      // One request cannot have more than that either, and is not worked on to its end in vain.
      let endless = GetAttributes(
        session: guest.session, object: large, types: [AttributeType](repeating: .value, count: 1024))
      #expect(guest.ask(.getAttributes, endless).value == .deviceMemory)
      #expect(guest.ask(.getAttributes, request).value == .ok)
      #expect(try world.residentKiB - start < 60 << 10)
      raw.socket.shutDown()
    }

    @Test("associated data that a client is about to send counts for it, over all channels")
    func associatedData() throws {
      let world = try World("memory-limit = 4M\n")
      let guest = try world.guest()
      let key = try guest.create(
        Sample.aes([UInt8](repeating: 1, count: 32), [.onToken, .open, .flag(.encrypt, true)]))
      let raw = try stalling(world)
      let mechanism = Mechanism(
        .aesGCM, .gcm(iv: ShortBytes([UInt8](repeating: 3, count: 12)), aad: [], tagBitCount: 128))
      let byteCount: UInt64 = 1_500_000
      let request = MessageOperation(
        session: guest.session, key: key, mechanism: mechanism, associatedByteCount: byteCount)
      var channels: [ChannelMapping] = []
      var waiting = 0
      for _ in 0..<6 {
        let channel = try raw.openChannel()
        channels.append(channel)
        let posted = RawRequest(
          object: 1, operation: TokenOperation.encryptMessage.rawValue, message: encoded(request),
          inputByteCount: byteCount + 1, outputCapacity: 100)
        posted.post(channel)
        if let answer = posted.answer(channel, seconds: 0.3) {
          #expect(answer.errno == 0 && answer.result == Self.deviceMemory)
        } else {
          waiting += 1
        }
      }
      #expect(waiting == 2)
      raw.socket.shutDown()
    }

    @Test("a template with more attributes than there are types is refused, whatever it is for")
    func longTemplates() throws {
      let world = try World()
      let guest = try world.guest()
      let many = (0..<UInt32(60_000)).map { Attribute(AttributeType(rawValue: 0x1000_0000 + $0), .bytes([])) }
      let requests: [TokenOperation] = [.findObjects, .createObject]
      for operation in requests {
        #expect(
          guest.ask(operation, TemplateRequest(session: guest.session, template: Template(many))).value == .argumentsBad
        )
      }
      #expect(
        guest.ask(.copyObject, ObjectRequest(session: guest.session, object: 1, template: Template(many))).value
          == .argumentsBad)
      #expect(try guest.find([.text(.label, "none")]).isEmpty)
    }

    @Test("input that is gathered byte by byte takes no more memory than it counts for")
    func gatheredBytes() throws {
      let world = try World("memory-limit = 16M\n")
      let client = try world.guest()
      let key = try client.aes([.open, .flag(.encrypt, true)])
      let begin = KeyOperation(
        session: client.session, function: .encrypt, key: key, mechanism: Mechanism(.aesKeyWrapKWP))
      try client.call(.begin, begin)
      let more = ContinueOperation(session: client.session, function: .encrypt)
      for _ in 0..<100 { try client.call(.update, more, [1]) }
      let start = try world.residentKiB
      for _ in 0..<50_000 { try client.call(.update, more, [1]) }
      #expect(try world.residentKiB - start < 1 << 10)
      #expect(try client.call(.finish, more).output.count == 50_112)
    }

    @Test("decryptions into buffers take no more memory than they count for, by byte or by sample")
    func decryptionsIntoBuffers() throws {
      let world = try World("memory-limit = 1M\npool-svp-bytes = 1M\n")
      let client = try world.guest()
      let film = try client.create(Sample.aes([UInt8](repeating: 1, count: 16), [.open, .restricted]))
      let buffer = try client.buffer(100)
      let place = BufferPlace(buffer: buffer, offset: 0)
      let operation = KeyOperation(session: client.session, function: .decrypt, key: film, mechanism: Sample.gcm)
      try client.call(.beginInto, DecryptInto(operation: operation, place: place))
      let more = ContinueInto(session: client.session, place: place)
      for _ in 0..<100 { try client.call(.updateInto, more, [1]) }
      let start = try world.residentKiB
      for _ in 0..<30_000 { try client.call(.updateInto, more, [1]) }
      #expect(try world.residentKiB - start < 1 << 10)

      // As many as a client that begins a decryption in each of its sessions may have.
      var number: UInt32 = 100
      let begun = count {
        number += 1
        var request = operation
        request.session = SessionReference(number: number, isReadWrite: true)
        return client.ask(.beginInto, DecryptInto(operation: request, place: place))
      }
      #expect((50..<128).contains(begun))
      _ = client.ask(.closeSessions, CloseSessions(numbers: [], all: true))

      // The descriptions of a batch count while its bytes are awaited.
      let again = try client.create(Sample.aes([UInt8](repeating: 1, count: 16), [.open, .restricted]))
      for (samples, result) in [(1000, UInt32(0)), (8000, Self.deviceMemory), (1000, 0)] {
        let sample = SampleRequest(byteCount: 0, iv: Sample.iv, place: place, subsamples: [])
        let batch = DecryptSamples(
          session: client.session, key: again, scheme: 0x6365_6e63, cryptBlockCount: 0, skipBlockCount: 0,
          samples: [SampleRequest](repeating: sample, count: samples))
        let answer = client.ask(.decryptSamples, batch)
        #expect(answer.errno == 0 && answer.result == result)
      }
    }

    @Test("public objects that clients without a login make on the token end before the disk does")
    func publicTokenObjects() throws {
      let world = try World()
      let guest = try world.guest()
      let large: [Attribute] = [.of(.data), .onToken, .bytes(.value, [UInt8](repeating: 7, count: 3 << 20))]
      let create = TemplateRequest(session: guest.session, template: Template(large))
      #expect(count { guest.ask(.createObject, create) } == 5)
      let small = try guest.create([.of(.data), .onToken, .text(.label, "small")])
      let longer = ObjectRequest(
        session: guest.session, object: small, template: [.bytes(.value, [UInt8](repeating: 1, count: 2 << 20))])
      #expect(guest.ask(.setAttributes, longer).value == .deviceMemory)
      // Who has given a PIN is not bound by it.
      let user = try world.user()
      _ = try user.create(large)
      #expect(guest.ask(.createObject, create).value == .deviceMemory)
      #expect(guest.ask(.destroyObject, ObjectRequest(session: guest.session, object: small)).value == .ok)
    }
  }
}
