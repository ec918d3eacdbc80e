import Cryptoki
import Foundation
import LinuxSystem
import Mechanisms
import ObjectInvoke
import Synchronization
import Testing
import TokenProtocol
import Wire

extension WorldSuite {
  @Suite("A hostile client without the module: policy")
  struct PolicyTests {
    /// Every operation that names an object, with `handle` as that object.
    private static func attempts(_ client: WireClient, on handle: UInt64) -> [(String, Answer)] {
      let session = client.session
      var answers: [(String, Answer)] = []
      func ask(_ operation: TokenOperation, _ request: some TokenRequest, _ input: [UInt8] = []) {
        answers.append(("\(operation)", client.ask(operation, request, input)))
      }
      ask(.getAttributes, GetAttributes(session: session, object: handle, types: [.class, .label, .value, .keyType]))
      ask(.objectSize, ObjectRequest(session: session, object: handle))
      ask(.describeKey, ObjectRequest(session: session, object: handle))
      ask(.setAttributes, ObjectRequest(session: session, object: handle, template: [.text(.label, "stolen")]))
      ask(.copyObject, ObjectRequest(session: session, object: handle, template: [.open]))
      ask(.destroyObject, ObjectRequest(session: session, object: handle))
      let mechanisms: [(KeyFunction, Mechanism)] = [
        (.encrypt, Sample.gcm), (.decrypt, Sample.ctr), (.sign, Mechanism(.ecdsa)), (.verify, Mechanism(.aesCMAC)),
      ]
      for (function, mechanism) in mechanisms {
        let request = KeyOperation(session: session, function: function, key: handle, mechanism: mechanism)
        ask(.perform, request, [UInt8](repeating: 0, count: 32))
        ask(.begin, request)
      }
      ask(.wrapKey, WrapKey(session: session, mechanism: Mechanism(.aesKeyWrap), wrappingKey: handle, key: handle))
      let template: Template = [.of(.secretKey), .of(.aes), .open]
      ask(
        .unwrapKey, MakeKey(session: session, mechanism: Mechanism(.aesKeyWrap), key: handle, template: template),
        [UInt8](repeating: 0, count: 40))
      ask(
        .deriveKey,
        MakeKey(
          session: session,
          mechanism: Mechanism(
            .ecdh1Derive, .ecdh(kdf: 1, sharedData: [], publicPoint: [4] + [UInt8](repeating: 1, count: 64))),
          key: handle, template: template))
      ask(
        .login,
        Login(
          session: session, userType: .contextSpecific, pin: Array(World.userPIN.utf8), contextFunction: .sign,
          contextKey: handle))
      let operation = KeyOperation(session: session, function: .decrypt, key: handle, mechanism: Sample.ctr)
      ask(.decryptInto, DecryptInto(operation: operation, place: BufferPlace(buffer: 1, offset: 0)), [1, 2, 3])
      return answers
    }

    @Test("to a client without a login a private object is the same as one that does not exist, whatever it asks")
    func privateObjects() throws {
      let world = try World()
      let victim = try world.user()
      let key = try victim.aes([.onToken, .text(.label, "crown")])
      let pair = try victim.pair([.onToken, .flag(.private, true)], [.onToken])
      let sessionKey = try victim.aes()
      let data = try victim.create([.of(.data), .onToken, .flag(.private, true), .text(.value, "a secret")])
      let attacker = try world.guest()
      #expect(try attacker.find([.flag(.private, true)]).isEmpty)
      #expect(try attacker.find([.text(.label, "crown")]).isEmpty)
      let nothing = Self.attempts(attacker, on: 0xffff_fff0)
      #expect(nothing.allSatisfy { $0.1.errno == 0 && $0.1.result != 0 && $0.1.output.isEmpty })
      for handle in [key, pair.open, pair.secret, sessionKey, data] {
        for (mine, none) in zip(Self.attempts(attacker, on: handle), nothing) {
          #expect(mine.1.result == none.1.result && mine.1.reply == none.1.reply, "\(mine.0) on \(handle)")
          #expect(mine.1.output.isEmpty, "\(mine.0) on \(handle)")
        }
      }
      // The same by brute force over every handle there may be.
      let own = Set(try attacker.find())
      for handle in UInt64(0)..<2000 where !own.contains(handle) {
        let get = attacker.ask(
          .getAttributes, GetAttributes(session: attacker.session, object: handle, types: [.class, .value]))
        #expect(get.value == .objectHandleInvalid && get.reply.isEmpty)
        let destroy = attacker.ask(.destroyObject, ObjectRequest(session: attacker.session, object: handle))
        #expect(destroy.value == .objectHandleInvalid)
      }
      #expect(try victim.find([.text(.label, "crown")]) == [key])
      for key in [key, sessionKey] { _ = try victim.perform(.encrypt, key, Sample.gcm, [1]) }
      #expect(try victim.get(data, [.value]) == [.value(.bytes(Array("a secret".utf8)))])
    }

    @Test("no answer of any kind holds a sensitive key's value, for its own user neither")
    func sensitiveValue() throws {
      let world = try World()
      let user = try world.user()
      let value: [UInt8] = (0..<32).map { UInt8($0) &* 7 &+ 91 }
      let key = try user.create(Sample.aes(value, [.onToken, .flag(.wrap, true), .flag(.derive, true)]))
      let film = try user.create(Sample.aes(Array(value.prefix(16)), [.restricted]))
      let wrapping = try user.aes([.flag(.wrap, true), .flag(.unwrap, true)])
      var answers: [(String, Answer)] = []
      let types = Array(0..<0x800).map { AttributeType(rawValue: UInt32($0)) }
      for key in [key, film] {
        for start in stride(from: 0, to: types.count, by: 256) {
          let some = Array(types[start..<start + 256])
          answers.append(
            ("get", user.ask(.getAttributes, GetAttributes(session: user.session, object: key, types: some))))
        }
        for mechanism in [
          Mechanism(.aesKeyWrap), Mechanism(.aesKeyWrapKWP), Mechanism(.aesECB), Sample.cbc, Sample.gcm,
        ] {
          let request = WrapKey(session: user.session, mechanism: mechanism, wrappingKey: wrapping, key: key)
          answers.append(("wrap", user.ask(.wrapKey, request)))
          #expect(answers.last?.1.value != .ok)
        }
        let open: [Attribute] = [.flag(.extractable, true), .flag(.sensitive, false)]
        for attribute in open {
          let request = ObjectRequest(session: user.session, object: key, template: [attribute])
          #expect(user.ask(.copyObject, request).value == .attributeReadOnly)
          #expect(user.ask(.setAttributes, request).value == .attributeReadOnly)
        }
        let copy = try user.call(.copyObject, ObjectRequest(session: user.session, object: key)).number
        #expect(try user.get(copy, [.value]) == [.sensitive])
        #expect(
          user.ask(.findObjects, TemplateRequest(session: user.session, template: [.bytes(.value, value)])).number == 0)
        answers.append(("describe", user.ask(.describeKey, ObjectRequest(session: user.session, object: key))))
      }
      // The restricted key computes nothing that the client would see.
      for function in KeyFunction.allCases {
        for mechanism in [Sample.ctr, Sample.gcm, Mechanism(.aesECB), Mechanism(.aesCMAC)] {
          let request = KeyOperation(session: user.session, function: function, key: film, mechanism: mechanism)
          let answer = user.ask(.perform, request, [UInt8](repeating: 0, count: 16))
          #expect(answer.value != .ok && answer.output.isEmpty)
          answers.append(("perform", answer))
        }
      }
      for (name, answer) in answers {
        for piece in [value, Array(value.prefix(16)), Array(value.suffix(16))] {
          #expect(answer.reply.firstRange(of: piece) == nil && answer.output.firstRange(of: piece) == nil, "\(name)")
        }
      }
      // The search would find it where it may be found.
      let clear = try user.create(Sample.aes(value, [.flag(.sensitive, false), .flag(.extractable, true)]))
      let control = user.ask(.getAttributes, GetAttributes(session: user.session, object: clear, types: [.value]))
      #expect(control.reply.firstRange(of: value) != nil)
    }

    @Test("another client's sessions, operations, buffers and objects mean nothing")
    func foreignNames() throws {
      let world = try World()
      let victim = try world.user()
      let attacker = try world.user()
      let key = try victim.aes()
      let data = [UInt8](repeating: 1, count: 32)
      let expected = try victim.perform(.encrypt, key, Sample.cbc, data)
      let request = KeyOperation(session: victim.session, function: .encrypt, key: key, mechanism: Sample.cbc)
      let first = try victim.call(.begin, request, Array(data.prefix(16))).output
      let step = ContinueOperation(session: attacker.session, function: .encrypt)
      #expect(attacker.ask(.update, step, [1]).value == .operationNotInitialized)
      #expect(attacker.ask(.finish, step).value == .operationNotInitialized)
      _ = attacker.ask(.cancel, CancelOperations(session: attacker.session, functions: [.encrypt]))
      #expect(
        attacker.ask(.destroyObject, ObjectRequest(session: attacker.session, object: key)).value
          == .objectHandleInvalid)
      // Neither a restricted buffer by its number, nor any other object by any number.
      let buffer = try victim.buffer(4096)
      let film = try attacker.create(Sample.aes(data, [.restricted]))
      #expect(attacker.decrypt(data, with: film, Sample.ctr, into: buffer).result == 0x82 /* OBJECT_HANDLE_INVALID */)
      let own: Set<UInt64> = [attacker.token, attacker.memory, attacker.peripherals]
      var reached = 0
      for id in UInt64(0)..<400 where !own.contains(id) {
        for operation in UInt32(0)..<4 where attacker.invoke(id, operation, []).errno != 22 /* EINVAL */ {
          reached += 1
        }
      }
      #expect(reached == 0)
      attacker.client.release(buffer)
      _ = attacker.ask(.closeSessions, CloseSessions(numbers: [1], all: true))
      attacker.close()

      let second = try victim.call(
        .update, ContinueOperation(session: victim.session, function: .encrypt), Array(data.suffix(16)))
      #expect(first + second.output == expected)
      #expect(victim.write([1, 2, 3], to: buffer).result == 0)
    }

    @Test("what a client began through one object for the token ends with what it ends through another")
    func twoObjects() throws {
      let world = try World()
      let user = try world.user()
      let key = try user.aes([.onToken])
      let buffer = try user.buffer(4096)
      let other = try user.anotherToken()
      let place = BufferPlace(buffer: buffer, offset: 0)
      let operation = KeyOperation(session: user.session, function: .decrypt, key: key, mechanism: Sample.ctr)
      let begin = {
        user.invoke(other, TokenOperation.beginInto.rawValue, encoded(DecryptInto(operation: operation, place: place)))
      }
      let update = {
        user.invoke(
          other, TokenOperation.updateInto.rawValue, encoded(ContinueInto(session: user.session, place: place)),
          [UInt8](repeating: 1, count: 64))
      }
      #expect(begin().value == .ok)
      #expect(update().value == .ok)
      try user.call(.logout, InSession(session: user.session))
      #expect(update().value == .operationNotInitialized)
      try user.logIn(.user, World.userPIN)
      #expect(begin().value == .ok)
      try user.call(.closeSessions, CloseSessions(numbers: [], all: true))
      #expect(update().value == .operationNotInitialized)

      // The client's record goes with an object that it gives up: the other does not bring it back.
      try user.logIn(.user, World.userPIN)
      user.client.release(user.token)
      #expect(becomesTrue { begin().value == .deviceRemoved })
      let find = TemplateRequest(session: user.session, template: [])
      #expect(user.invoke(other, TokenOperation.findObjects.rawValue, encoded(find)).value == .deviceRemoved)
      let witness = try world.guest()
      #expect(try witness.information.sessionCount == 0)
      let label = [UInt8](repeating: 0x20, count: 32)
      try witness.call(.initializeToken, InitializeToken(pin: Array(World.officerPIN.utf8), label: label))
    }

    @Test("fifty wrong PINs from ten connections at once count exactly to the limit, and lock")
    func parallelGuesses() throws {
      let world = try World()
      let clients = try (0..<10).map { _ in try world.guest() }
      let values = Mutex<[ReturnValue]>([])
      let threads = clients.enumerated().map { number, client in
        Thread {
          for attempt in 0..<5 {
            let request = Login(session: client.session, userType: .user, pin: Array("wrong-\(number)-\(attempt)".utf8))
            let value = client.ask(.login, request).value
            values.withLock { $0.append(value) }
          }
        }
      }
      for thread in threads { thread.start() }
      #expect(becomesTrue(seconds: 40) { values.withLock { $0.count } == 50 })
      let all = values.withLock { $0 }
      // The tenth wrong one locks, and says so.
      #expect(all.count { $0 == .pinIncorrect } == 9)
      #expect(all.count { $0 == .pinLocked } == 41)
      let guest = try world.guest()
      let right = Login(session: guest.session, userType: .user, pin: Array(World.userPIN.utf8))
      #expect(guest.ask(.login, right).value == .pinLocked)
      #expect(try guest.flags.contains(.userPINLocked))
    }
  }
}
