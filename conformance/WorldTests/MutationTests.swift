import Cryptoki
import Foundation
import Glibc
import Mechanisms
import Testing
import TokenProtocol
import Wire

extension WorldSuite {
  @Suite("A hostile client without the module: messages")
  struct MutationTests {
    /// A true request and how often it is sent changed.
    private struct Subject {
      let object: UInt64
      let operation: UInt32
      let message: [UInt8]
      var input: [UInt8] = []
      var rounds = 70
      var descriptors: [Int32]?
    }

    /// One true request for each operation of each service.
    private static func subjects(_ client: WireClient, _ exported: Int32) throws -> [Subject] {
      let session = client.session
      // A client without a login has public session keys.
      let key = try client.aes([.open, .flag(.wrap, true), .flag(.unwrap, true)])
      let other = try client.aes([.open, .flag(.extractable, true)])
      let pair = try client.pair([], [.open, .flag(.derive, true)])
      let film = try client.create(Sample.aes([UInt8](repeating: 1, count: 16), [.open, .restricted]))
      let buffer = try client.buffer(4096)
      let data = [UInt8](repeating: 3, count: 48)
      let pin = Array("12345678".utf8)
      func operation(_ function: KeyFunction, _ mechanism: Mechanism, _ key: UInt64) -> KeyOperation {
        KeyOperation(session: session, function: function, key: key, mechanism: mechanism)
      }
      let wrapped = try client.call(
        .wrapKey, WrapKey(session: session, mechanism: Mechanism(.aesKeyWrap), wrappingKey: key, key: other)
      ).output
      let point = [4] + [UInt8](repeating: 1, count: 64)
      let place = BufferPlace(buffer: buffer, offset: 16)
      let template: Template = [
        .text(.label, "x"), .open,
        Attribute(.wrapTemplate, .template([.text(.label, "y"), .flag(.extractable, true)])),
      ]
      var subjects: [Subject] = []
      func add(_ operation: TokenOperation, _ request: some TokenRequest, _ input: [UInt8] = [], rounds: Int = 70) {
        subjects.append(
          Subject(
            object: client.token, operation: operation.rawValue, message: encoded(request), input: input,
            rounds: rounds))
      }
      subjects.append(Subject(object: client.token, operation: TokenOperation.tokenInformation.rawValue, message: []))
      // A wrong PIN costs time and tries, so these come less often.
      add(.initializeToken, InitializeToken(pin: pin, label: [UInt8](repeating: 0x20, count: 32)), rounds: 20)
      add(.initializePIN, InitializePIN(session: session, pin: pin))
      add(.setPIN, SetPIN(session: session, oldPIN: pin, newPIN: pin), rounds: 4)
      add(.login, Login(session: session, userType: .so, pin: pin), rounds: 4)
      add(.login, Login(session: session, userType: .contextSpecific, pin: pin, contextKey: key), rounds: 20)
      add(.logout, InSession(session: session))
      add(.closeSessions, CloseSessions(numbers: [7, 8, 9], all: false))
      add(.createObject, TemplateRequest(session: session, template: Template(Sample.aes(data.suffix(16), [.open]))))
      add(.copyObject, ObjectRequest(session: session, object: key, template: template))
      add(.destroyObject, ObjectRequest(session: session, object: 12345))
      add(.objectSize, ObjectRequest(session: session, object: key))
      add(.getAttributes, GetAttributes(session: session, object: key, types: [.class, .label, .value, .wrapTemplate]))
      add(.setAttributes, ObjectRequest(session: session, object: other, template: [.text(.label, "z")]))
      add(.findObjects, TemplateRequest(session: session, template: template))
      add(.describeKey, ObjectRequest(session: session, object: pair.open))
      add(
        .generateKey,
        MakeKey(session: session, mechanism: Mechanism(.aesKeyGen), template: [.number(.valueLen, 16), .open]))
      add(
        .generateKeyPair,
        MakeKeyPair(
          session: session, mechanism: Mechanism(.ecKeyPairGen), publicTemplate: [.bytes(.ecParams, Sample.p256)],
          privateTemplate: [.open]), rounds: 30)
      add(.wrapKey, WrapKey(session: session, mechanism: Mechanism(.aesKeyWrap), wrappingKey: key, key: other))
      add(
        .unwrapKey,
        MakeKey(
          session: session, mechanism: Mechanism(.aesKeyWrap), key: key, template: [.of(.secretKey), .of(.aes), .open]),
        wrapped)
      add(
        .deriveKey,
        MakeKey(
          session: session, mechanism: Mechanism(.ecdh1Derive, .ecdh(kdf: 1, sharedData: [], publicPoint: point)),
          key: pair.secret, template: [.of(.secretKey), .of(.genericSecret), .open]))
      for mechanism in [Sample.gcm, Sample.cbc, Sample.ctr] {
        add(.perform, operation(.encrypt, mechanism, key), data)
        add(.perform, operation(.decrypt, mechanism, key), data)
        add(.begin, operation(.decrypt, mechanism, key), data)
      }
      add(
        .perform,
        KeyOperation(
          session: session, function: .verify, key: key, mechanism: Mechanism(.aesCMAC), signatureByteCount: 16), data)
      add(.perform, operation(.sign, Mechanism(.ecdsaSHA256), pair.secret), data)
      add(.update, ContinueOperation(session: session, function: .decrypt), data)
      add(.finish, ContinueOperation(session: session, function: .decrypt))
      add(.cancel, CancelOperations(session: session, functions: [.encrypt, .decrypt, .sign]))
      subjects.append(Subject(object: client.token, operation: TokenOperation.random.rawValue, message: []))
      subjects.append(
        Subject(object: client.token, operation: TokenOperation.seedRandom.rawValue, message: [], input: data))
      add(.decryptInto, DecryptInto(operation: operation(.decrypt, Sample.ctr, film), place: place), data)
      add(.beginInto, DecryptInto(operation: operation(.decrypt, Sample.gcm, film), place: place))
      add(.updateInto, ContinueInto(session: session, place: place), data)
      add(.finishInto, ContinueInto(session: session, place: place))
      let samples = (0..<3).map { index in
        SampleRequest(
          byteCount: 16, iv: Sample.iv, place: BufferPlace(buffer: buffer, offset: UInt64(index) * 16),
          subsamples: [(clear: 4, protected: 12)])
      }
      add(
        .decryptSamples,
        DecryptSamples(
          session: session, key: film, scheme: 0x6365_6e63, cryptBlockCount: 0, skipBlockCount: 0, samples: samples),
        data, rounds: 150)

      // The other services, their objects, and the root.
      subjects += [
        Subject(
          object: .max, operation: RootOperation.open.rawValue,
          message: message {
            $0.u32(1); $0.u32(0)
          }),
        Subject(object: .max, operation: RootOperation.slotCount.rawValue, message: []),
        Subject(object: .max, operation: RootOperation.libcryptoVersion.rawValue, message: []),
        Subject(
          object: client.memory, operation: RestrictedMemoryOperation.allocate.rawValue,
          message: message {
            $0.u32(1); $0.u64(100)
          }),
        Subject(
          object: client.memory, operation: RestrictedMemoryOperation.importBuffer.rawValue, message: [],
          descriptors: [exported]),
        Subject(
          object: buffer, operation: BufferOperation.write.rawValue, message: message { $0.u64(100) }, input: data),
        Subject(object: buffer, operation: BufferOperation.export.rawValue, message: [], descriptors: []),
        Subject(
          object: client.peripherals, operation: PeripheralsOperation.openDecoder.rawValue,
          message: message {
            $0.u32(1); $0.bytes(data)
          }, rounds: 12),
        Subject(
          object: client.peripherals, operation: PeripheralsOperation.present.rawValue,
          message: message {
            $0.u64(buffer); $0.bool(true)
          }, descriptors: []),
        Subject(object: client.peripherals, operation: PeripheralsOperation.displayStatus.rawValue, message: []),
        Subject(object: client.peripherals, operation: PeripheralsOperation.contactSheet.rawValue, message: []),
      ]
      let stream = client.invoke(
        client.peripherals, PeripheralsOperation.openDecoder.rawValue,
        message {
          $0.u32(1); $0.bytes([])
        })
      if stream.errno == 0, stream.result == 0 {
        let request = DecodeRequest(place: place, byteCount: 100, timestamp: 1)
        subjects.append(
          Subject(
            object: stream.number, operation: StreamOperation.decode.rawValue,
            message: message {
              request.write(to: &$0); $0.u32(4)
            }))
      }
      return subjects
    }

    /// Bits flipped, cut off, added, numbers made huge.
    private static func mutated(_ message: [UInt8], _ random: inout SplitMix) -> [UInt8] {
      var message = message
      switch random.below(6) {
      case 0: message.removeLast(random.below(message.count + 1))
      case 1: message += random.bytes(random.below(40))
      case 2 where message.count >= 4:
        let place = random.below(message.count - 3)
        let number: UInt32 = [UInt32.max, 0x8000_0000, 0x7fff_ffff, 0x10_0000, 255][random.below(5)]
        withUnsafeBytes(of: number.littleEndian) { message.replaceSubrange(place..<place + 4, with: $0) }
      case 3 where message.count >= 8:
        let place = random.below(message.count - 7)
        let number: UInt64 = [UInt64.max, 1 << 63, 1 << 62, UInt64(Int64.max) - 15, 0][random.below(5)]
        withUnsafeBytes(of: number.littleEndian) { message.replaceSubrange(place..<place + 8, with: $0) }
      case 4: message = random.bytes(random.below(100))
      default:
        for _ in 0...random.below(3) where !message.isEmpty {
          message[random.below(message.count)] ^= 1 << UInt8(random.below(8))
        }
      }
      return message
    }

    @Test("every operation's message, changed at random: right answers for the others, and nothing is left behind")
    func mutatedMessages() throws {
      let world = try World("pool-svp-bytes = 2M\n")
      let witness = try Witness(world)
      let seed: UInt64 = 0x5eed_2026
      print("mutated messages: seed \(seed)")
      var random = SplitMix(state: seed)
      var invocations = 0
      var refusals = 0
      func round() throws {
        let giver = try world.guest()
        let exported = giver.export(try giver.buffer(100)).descriptors
        defer { exported.forEach { _ = close($0) } }
        let client = try world.guest()
        for subject in try Self.subjects(client, try #require(exported.first)) {
          for _ in 0..<subject.rounds {
            let answer = client.invoke(
              subject.object, subject.operation, Self.mutated(subject.message, &random),
              random.below(3) == 0 ? Array(subject.input.prefix(random.below(subject.input.count + 1))) : subject.input,
              capacity: random.below(3) * 64, descriptors: subject.descriptors)
            answer.descriptors.forEach { _ = close($0) }
            invocations += 1
            if answer.errno != 0 || answer.result != 0 { refusals += 1 }
          }
        }
        // Numbers that no object and no operation has.
        for _ in 0..<200 {
          let answer = client.invoke(
            random.below(2) == 0 ? client.token : random.next() >> UInt64(random.below(64)),
            UInt32(truncatingIfNeeded: random.next() >> UInt64(random.below(64))), random.bytes(random.below(64)))
          answer.descriptors.forEach { _ = close($0) }
          invocations += 1
        }
        client.close()
        giver.close()
      }
      // The first round makes what is made once.
      try round()
      let threads = try world.threadCount
      #expect(becomesTrue { (try? world.threadCount) ?? .max <= threads })
      usleep(300_000)
      let before = (memory: try world.residentKiB, threads: try world.threadCount)
      try round()
      #expect(becomesTrue { (try? world.threadCount) == before.threads })
      #expect(becomesTrue { ((try? world.residentKiB) ?? .max) - before.memory < 6 << 10 })
      let end = witness.stop()
      #expect(world.isAlive)
      #expect(end.failures == 0 && end.rounds > 20)
      #expect(invocations > 5000)
      #expect(refusals > invocations / 3)
    }
  }
}
