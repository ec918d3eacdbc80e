import CryptoCore
import Cryptoki
import Glibc
import Mechanisms
import Synchronization
import Testing
import TokenProtocol
import Wire

@testable import TokenService

@Suite("Attacks")
struct AttackTests {
  private static let restricted = Attribute.flag(.strongroomRestrictedOutput, true)

  @Test("output that a client writes over while it is made is not read again")
  func outputIsNotReadBack() async throws {
    let user = try Shared.bench.user(90)
    let edwards = try user.pair(.ecEdwardsKeyPairGen, [.bytes(.ecParams, Sample.ed25519)])
    let wrapping = try user.aes()
    let place = ContestedMemory(byteCount: 64)
    // Two halves of a signature over different first halves would give the key away.
    for (function, key, mechanism) in [
      (KeyFunction.sign, edwards.secret, Mechanism(.eddsa)), (.encrypt, wrapping, Mechanism(.aesKeyWrapKWP)),
    ] {
      let request = KeyOperation(session: user.session, function: function, key: key, mechanism: mechanism)
      var writer = WireWriter()
      request.write(to: &writer)
      let message = writer.withMessage { [UInt8]($0) }
      let expected = try user.perform(function, key, mechanism, [1, 2, 3, 4])
      let contender = Task.detached { place.writeUntilStopped() }
      for _ in 0..<2000 {
        var bulk = MemoryTransfer([1, 2, 3, 4], capacity: 64, place: place.memory)
        #expect(user.invoke(.perform, message, &bulk).value == .ok)
        // The first eight bytes are the writer's.
        #expect(bulk.output.dropFirst(8) == expected.dropFirst(8))
      }
      place.stop()
      await contender.value
    }
  }

  @Test("a restricted key gives its client no byte by any function")
  func restrictedKeyIsMute() throws {
    let user = try Shared.bench.user(91)
    let every: [Attribute] = [
      .flag(.encrypt, true), .flag(.decrypt, true), .flag(.sign, true), .flag(.verify, true), .flag(.wrap, true),
      .flag(.unwrap, true), .flag(.derive, true),
    ]
    let key = try user.aes(every + [Self.restricted])
    let other = try user.aes([.extractable])
    let block = [UInt8](repeating: 0, count: 16)
    // CTR encrypts as it decrypts, CMAC and ECB give the block cipher: none of them is open.
    let attempts: [(KeyFunction, Mechanism)] = [
      (.decrypt, Mechanism(.aesECB)), (.decrypt, Sample.cbc), (.decrypt, Sample.cbcPad), (.decrypt, Sample.ctr),
      (.decrypt, Sample.gcm), (.decrypt, Sample.keyWrap), (.encrypt, Sample.ctr), (.encrypt, Mechanism(.aesECB)),
      (.encrypt, Sample.gcm), (.sign, Mechanism(.aesCMAC)), (.verify, Mechanism(.aesCMAC)),
    ]
    for (function, mechanism) in attempts {
      let request = KeyOperation(session: user.session, function: function, key: key, mechanism: mechanism)
      for operation in [TokenOperation.perform, .begin] {
        let answer = user.ask(operation, request, block)
        #expect(answer.value == .keyFunctionNotPermitted && answer.output.isEmpty && answer.reply.isEmpty)
      }
    }
    #expect(
      outcome { () throws(ReturnValue) in try user.wrap(other, with: key, Sample.keyWrap) } == .keyFunctionNotPermitted)
    #expect(try user.get(key, .value) == [.sensitive])
    #expect(try user.bytes(key, .checkValue) == [])
    let wrapping = try user.aes([.flag(.wrap, true)])
    #expect(
      outcome { () throws(ReturnValue) in try user.wrap(key, with: wrapping, Sample.keyWrap) } == .keyUnextractable)
    let pair = try user.pair(
      .ecKeyPairGen, [.bytes(.ecParams, Sample.p256)], [.flag(.derive, true), Self.restricted])
    let point = try #require(try user.bytes(pair.open, .ecPoint))
    #expect(
      outcome { () throws(ReturnValue) in
        try user.derive(
          pair.secret, Mechanism(.ecdh1Derive, .ecdh(kdf: 1, sharedData: [], publicPoint: point)), [])
      } == .keyFunctionNotPermitted)
  }

  @Test("what a restricted key unwraps is as restricted, and its padding is no oracle")
  func restrictedUnwrapping() throws {
    let user = try Shared.bench.user(92)
    let useCases = UInt(1).attributeBytes
    let wrapping = try user.aes([.flag(.wrap, true), .flag(.unwrap, true)])
    let content = try user.aes([.extractable])
    let wrapped = try user.wrap(content, with: wrapping, Sample.keyWrap)
    let padded = try user.wrap(content, with: wrapping, Sample.cbcPad)
    try user.set(wrapping, [Self.restricted])
    let narrow = try user.copy(wrapping)
    let base: [Attribute] = [.of(.secretKey), .of(.aes)]
    let back = try user.unwrap(wrapped, with: narrow, Sample.keyWrap, base)
    #expect(try user.isTrue(back, .strongroomRestrictedOutput))
    #expect(try user.isTrue(back, .sensitive))
    #expect(try !user.isTrue(back, .extractable))
    #expect(try user.bytes(back, .checkValue) == [])
    for attribute in [Attribute.extractable, .flag(.sensitive, false), .flag(.strongroomRestrictedOutput, false)] {
      #expect(
        outcome { () throws(ReturnValue) in try user.unwrap(wrapped, with: narrow, Sample.keyWrap, base + [attribute]) }
          == .templateInconsistent)
    }
    for mechanism in [Sample.cbcPad, Sample.cbc, Mechanism(.aesECB)] {
      #expect(
        outcome { () throws(ReturnValue) in
          try user.unwrap(padded, with: narrow, mechanism, base + [.number(.valueLen, 32)])
        } == .keyFunctionNotPermitted)
    }
    let bound = try user.aes([.flag(.unwrap, true), Self.restricted, .bytes(.strongroomUseCases, useCases)])
    #expect(
      outcome { () throws(ReturnValue) in
        try user.unwrap(
          wrapped, with: bound, Sample.keyWrap, base + [.bytes(.strongroomUseCases, UInt(2).attributeBytes)])
      } == .templateInconsistent)
  }

  @Test("a key for restricted output is given to the secure world with its use-cases, and to nobody else")
  func restrictedDecryption() throws {
    let user = try Shared.bench.user(93)
    let key = try user.aes([
      Self.restricted, .bytes(.strongroomUseCases, UInt(1).attributeBytes + UInt(3).attributeBytes),
    ])
    let ask = { (client: BenchClient, key: UInt64, mechanism: Mechanism) in
      outcome { () throws(ReturnValue) in
        try Shared.bench.token.restrictedDecryption(
          client: Shared.bench.token.client(client.id), session: client.session, key: key, mechanism: mechanism)
      }
    }
    let restricted = try Shared.bench.token.restrictedDecryption(
      client: Shared.bench.token.client(user.id), session: user.session, key: key, mechanism: Sample.ctr)
    #expect(restricted.useCases == [1, 3])
    #expect(ask(user, key, Sample.cbcPad) == .keyFunctionNotPermitted)
    #expect(ask(Shared.bench.guest(94), key, Sample.ctr) == .keyHandleInvalid)
    let other = try user.aes([.flag(.decrypt, false)])
    #expect(ask(user, other, Sample.ctr) == .keyFunctionNotPermitted)
    #expect(ask(user, key, Mechanism(.aesCMAC)) == .mechanismInvalid)
  }

  @Test("one wrapped key is not opened as ever shorter ones that tell it byte by byte")
  func truncation() throws {
    let user = try Shared.bench.user(95)
    let wrapping = try user.aes([.flag(.wrap, true), .flag(.unwrap, true)])
    let key = try user.aes([.extractable])
    for mechanism in [Mechanism(.aesECB), Sample.cbc] {
      let wrapped = try user.wrap(key, with: wrapping, mechanism)
      for count: UInt in [1, 2, 16, 17, 31] {
        let value = outcome { () throws(ReturnValue) in
          try user.unwrap(
            wrapped, with: wrapping, mechanism, [.of(.secretKey), .of(.genericSecret), .number(.valueLen, count)])
        }
        #expect(value == .wrappedKeyLenRange || value == .wrappedKeyInvalid, "\(count)")
      }
    }
  }

  @Test("a key made here neither wraps nor unwraps unless that was asked for")
  func noConflictByDefault() throws {
    let user = try Shared.bench.user(96)
    let key = try user.aes()
    let target = try user.aes([.extractable])
    #expect(
      outcome { () throws(ReturnValue) in try user.wrap(target, with: key, Sample.keyWrap) }
        == .keyFunctionNotPermitted)
    #expect(
      outcome { () throws(ReturnValue) in
        try user.unwrap(
          [UInt8](repeating: 0, count: 24), with: key, Sample.keyWrap, [.of(.secretKey), .of(.aes)])
      } == .keyFunctionNotPermitted)
  }

  @Test("a key under CKA_WRAP_WITH_TRUSTED does not leave by a copy")
  func copyKeepsTrustDemand() throws {
    let user = try Shared.bench.user(97)
    let key = try user.aes([.extractable, .flag(.wrapWithTrusted, true)])
    #expect(
      outcome { () throws(ReturnValue) in try user.copy(key, [.flag(.wrapWithTrusted, false)]) } == .attributeReadOnly)
    let wrapping = try user.aes([.flag(.wrap, true), .flag(.decrypt, true)])
    #expect(
      outcome { () throws(ReturnValue) in try user.wrap(try user.copy(key), with: wrapping, Sample.keyWrap) }
        == .keyNotWrappable)
  }

  // MARK: Hostile messages

  @Test("messages that lie are refused and disturb nobody")
  func hostileMessages() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let key = try user.aes([.text(.label, "witness")])
    var generator = SplitMix(state: 42)
    let operations = TokenOperation.allCases.filter { $0 != .initializeToken }
    var refusals = 0
    for round in 0..<6000 {
      let operation = operations[Int(generator.next() % UInt64(operations.count))]
      var message = (0..<Int(generator.next() % 90)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
      if round % 3 == 0 {
        // A session that exists, and small numbers, get further in.
        message = [1, 0, 0, 0, 1] + message.map { $0 % 5 }
      }
      let attacker = BenchClient(bench, 666 + UInt64(round % 7))
      var bulk = MemoryTransfer(
        Array(message.prefix(40)), capacity: generator.next() % 200, announced: generator.next() % 60)
      if attacker.invoke(operation, message, &bulk).value != .ok { refusals += 1 }
    }
    #expect(refusals > 3000)
    #expect(try user.find([.text(.label, "witness")]) == [key])
    #expect(outcome { () throws(ReturnValue) in try user.perform(.encrypt, key, Sample.gcm, [1]) } == .ok)
  }

  @Test("of a secret in a message that is malformed behind it nothing is left in memory")
  func malformedSecrets() throws {
    let guest = Shared.bench.guest(5090)
    // Of a size that nothing else has.
    let pin = (0..<777).map { UInt8(truncatingIfNeeded: $0 * 7 | 1) }
    /// Whether memory of the secret's size, just given up by this thread, holds it.
    func isLeft(by body: () -> Void) -> Bool {
      body()
      let header = 32  // of an array
      let blocks = (0..<8).compactMap { _ in malloc(header + pin.count) }
      return blocks.map { block in
        let bytes = UnsafeMutableRawBufferPointer(start: block, count: header + pin.count)
        let isLeft = bytes[header...].dropFirst(50).elementsEqual(pin.dropFirst(50))
        wipe(bytes)
        free(block)
        return isLeft
      }.contains(true)
    }
    // The first looks make the runtime keep memory of its own, which may be the block in question.
    let seesWhatIsLeft = (0..<100).contains { _ in isLeft { _ = pin.withUnsafeBytes { [UInt8]($0) } } }
    #expect(seesWhatIsLeft, "this test sees what is left")
    let messages: [(TokenOperation, [UInt8])] = [
      (.initializeToken, encoded(InitializeToken(pin: pin, label: [UInt8](repeating: 32, count: 32)))),
      (.initializePIN, encoded(InitializePIN(session: guest.session, pin: pin))),
      (.setPIN, encoded(SetPIN(session: guest.session, oldPIN: pin, newPIN: [1, 2, 3, 4]))),
      (.login, encoded(Login(session: guest.session, userType: .user, pin: pin))),
    ]
    for (operation, message) in messages {
      for malformed in [message + [0], Array(message.dropLast(1)), Array(message.dropLast(3))] {
        var value = ReturnValue.ok
        let isLeft = isLeft {
          var bulk = MemoryTransfer()
          value = guest.invoke(operation, malformed, &bulk).value
        }
        #expect(value == .argumentsBad && !isLeft, "\(operation)")
      }
    }
  }

  @Test("true messages with one byte changed are refused or answered, never worse")
  func mutatedMessages() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let key = try user.aes()
    var generator = SplitMix(state: 7)
    let messages: [(TokenOperation, [UInt8])] = [
      (
        .createObject,
        encoded(TemplateRequest(session: user.session, template: Template(Sample.secretKey([1, 2], .sha256HMAC))))
      ),
      (
        .generateKey,
        encoded(
          MakeKey(session: user.session, mechanism: Mechanism(.aesKeyGen), template: [.number(.valueLen, 16)]))
      ),
      (.perform, encoded(KeyOperation(session: user.session, function: .encrypt, key: key, mechanism: Sample.gcm))),
      (.begin, encoded(KeyOperation(session: user.session, function: .decrypt, key: key, mechanism: Sample.gcm))),
      (
        .unwrapKey,
        encoded(
          MakeKey(session: user.session, mechanism: Sample.cbc, key: key, template: [.of(.secretKey), .of(.aes)]))
      ),
      (
        .copyObject,
        encoded(
          ObjectRequest(
            session: user.session, object: key,
            template: [Attribute(.wrapTemplate, .template([.text(.label, "x")]))]))
      ),
      (.findObjects, encoded(TemplateRequest(session: user.session, template: [.text(.label, "x")]))),
      (.login, encoded(Login(session: user.session, userType: .contextSpecific, pin: [1, 2, 3, 4, 5]))),
    ]
    for _ in 0..<400 {
      for (operation, message) in messages {
        var message = message
        message[Int(generator.next() % UInt64(message.count))] = UInt8(truncatingIfNeeded: generator.next())
        if generator.next() % 4 == 0 { message.removeLast(Int(generator.next() % UInt64(message.count))) }
        var bulk = MemoryTransfer([UInt8](repeating: 3, count: 48), capacity: 100)
        _ = user.invoke(operation, message, &bulk)
      }
    }
    #expect(outcome { () throws(ReturnValue) in try user.aes() } == .ok)
  }

  private func encoded(_ request: some TokenRequest) -> [UInt8] {
    var writer = WireWriter()
    request.write(to: &writer)
    return writer.withMessage { [UInt8]($0) }
  }

  @Test("a client that announces more than it sends is refused")
  func shortInput() throws {
    let user = try Shared.bench.user(98)
    let key = try user.aes()
    for function in [KeyFunction.encrypt, .sign, .verify] {
      let mechanism = function == .encrypt ? Sample.ctr : Mechanism(.aesCMAC)
      let message = encoded(
        KeyOperation(
          session: user.session, function: function, key: key, mechanism: mechanism,
          signatureByteCount: function == .verify ? 16 : 0))
      var bulk = MemoryTransfer([1, 2, 3], capacity: 1 << 20, announced: 5000)
      #expect(user.invoke(.perform, message, &bulk).value == .argumentsBad)
    }
    var bulk = MemoryTransfer([1, 2, 3], announced: .max)
    let message = encoded(
      KeyOperation(session: user.session, function: .encrypt, key: key, mechanism: Sample.ctr))
    #expect(user.invoke(.perform, message, &bulk).value != .ok)
  }

  @Test("a search by more attributes than there are types, and a request for as many, are refused unread")
  func longTemplates() throws {
    let guest = Shared.bench.guest(99)
    let many = (0...UInt32(RequestLimits.attributes)).map {
      Attribute(AttributeType(rawValue: 0x1000_0000 + $0), .bytes([]))
    }
    #expect(
      guest.ask(.findObjects, TemplateRequest(session: guest.session, template: Template(many))).value == .argumentsBad)
    let some = Array(many.dropFirst())
    #expect(guest.ask(.findObjects, TemplateRequest(session: guest.session, template: Template(some))).value == .ok)
    let types = many.map(\.type)
    #expect(
      guest.ask(.getAttributes, GetAttributes(session: guest.session, object: 1, types: types)).value == .argumentsBad)
  }

  @Test("answers for attributes end where the client's memory does")
  func longAnswers() throws {
    let guest = Shared.bench.guest(100)
    let object = try guest.create([.of(.data), .bytes(.value, [UInt8](repeating: 1, count: 1 << 20))])
    let account = ByteQuota(8 << 20)
    func ask(_ count: Int) -> ReturnValue {
      var writer = WireWriter()
      GetAttributes(
        session: guest.session, object: object, types: [AttributeType](repeating: .value, count: count)
      ).write(to: &writer)
      var reply = WireWriter(account: account)
      var bulk = MemoryTransfer()
      return writer.withMessage { message in
        var reader = WireReader(message)
        return guest.bench.token.invoke(
          operation: .getAttributes, client: guest.bench.token.client(guest.id), request: &reader, reply: &reply,
          bulk: &bulk)
      }
    }
    #expect(ask(2) == .ok)
    #expect(ask(1000) == .deviceMemory)
    #expect(account.taken == 0)
    #expect(ask(2) == .ok)
  }

  @Test("associated data of a message counts for its client until the message is begun")
  func associatedData() throws {
    let bench = try TokenBench(clientByteLimit: 1 << 20)
    let user = try bench.user()
    let key = try user.aes()
    let mechanism = Mechanism(
      .aesGCM, .gcm(iv: ShortBytes([UInt8](repeating: 3, count: 12)), aad: [], tagBitCount: 128))
    for (count, value) in [(1 << 19, ReturnValue.ok), ((1 << 20) + 1, .deviceMemory), (1 << 19, .ok)] {
      let request = MessageOperation(
        session: user.session, key: key, mechanism: mechanism, associatedByteCount: UInt64(count))
      #expect(user.ask(.encryptMessage, request, [UInt8](repeating: 1, count: count + 10)).value == value)
    }
  }

  @Test("operations count for their client by what each takes, and by the parameters it keeps")
  func operationMemory() throws {
    let bench = try TokenBench(clientByteLimit: 1 << 20)
    let user = try bench.user()
    let key = try user.aes()
    func begun(_ first: UInt32, _ key: UInt64, _ mechanism: Mechanism) -> UInt32 {
      for number in first..<first + 1000 {
        let value = outcome { () throws(ReturnValue) in try user.inSession(number).begin(.decrypt, key, mechanism) }
        if value != .ok {
          #expect(value == .deviceMemory)
          return number - first
        }
      }
      return 1000
    }
    let count = begun(1000, key, Sample.ctr)
    #expect(count == UInt32((1 << 20) / ActiveOperation.ownByteCount))
    for number in 1000..<1000 + count { user.close(number) }
    let pair = try user.pair(.rsaPKCSKeyPairGen, [.number(.modulusBits, 2048)])
    let label = [UInt8](repeating: 1, count: 300_000)
    #expect(begun(3000, pair.secret, Mechanism(.rsaPKCSOAEP, .oaep(hash: .sha256, mgf: 2, label: label))) == 3)
    for number in UInt32(3000)..<3003 { user.close(number) }
    #expect(begun(5000, key, Sample.ctr) == count)
  }

  @Test("session keys count for more than their values")
  func keyMemory() throws {
    let bench = try TokenBench(clientByteLimit: 100_000)
    let user = try bench.user()
    var count = 0
    while count < 1000, outcome({ () throws(ReturnValue) in try user.aes() }) == .ok { count += 1 }
    #expect((10...24).contains(count))
  }

  @Test("sessions that are closed together take their objects with them, and no others")
  func closingMany() throws {
    let bench = try TokenBench()
    let guest = bench.guest()
    var objects: [UInt32: UInt64] = [:]
    for number in 1...UInt32(20) { objects[number] = try guest.inSession(number).create([.of(.data)]) }
    guest.close(3, 4, 3, 99, 17)
    let left = Set(try guest.find([.of(.data)]))
    #expect(left == Set(objects.filter { ![3, 4, 17].contains($0.key) }.values))
    guest.closeAll()
    #expect(try guest.find([.of(.data)]).isEmpty)
  }

  @Test("sessions without end are bounded")
  func sessionLimit() throws {
    let bench = try TokenBench()
    let guest = bench.guest()
    var refused = false
    for number in 1...UInt32(Client.sessionLimit + 1) {
      refused =
        outcome { () throws(ReturnValue) in
          try guest.inSession(number).find([.text(.label, "none")])
        } == .sessionCount
      if refused { break }
    }
    #expect(refused)
    #expect(outcome { () throws(ReturnValue) in try bench.guest(2).find() } == .ok)
  }
}

/// Memory whose first bytes another thread keeps changing.
private final class ContestedMemory: @unchecked Sendable {
  // Sendable: the contest is what it is for.
  let memory: UnsafeMutableRawBufferPointer
  private let isStopped = Atomic<Bool>(false)

  init(byteCount: Int) { memory = .allocate(byteCount: byteCount, alignment: 64) }
  deinit { memory.deallocate() }

  func stop() { isStopped.store(true, ordering: .relaxed) }

  func writeUntilStopped() {
    while !isStopped.load(ordering: .relaxed) { memory.storeBytes(of: 0x1111_1111_1111_1111, as: UInt64.self) }
    isStopped.store(false, ordering: .relaxed)
  }
}
