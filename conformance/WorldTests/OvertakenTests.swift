import Cryptoki
import Glibc
import LinuxSystem
import Mechanisms
import Testing
import TokenProtocol

@testable import ObjectInvoke

extension WorldSuite {
  /// Work that goes on while somebody ends what it was begun under.
  @Suite struct OvertakenTests {
    private static let byteCount = 512 << 10

    /// The requests for a decryption of so many bytes, whole, into a buffer.
    static let requests: [(TokenOperation, @Sendable (SessionReference, UInt64, BufferPlace) -> [UInt8])] = [
      (
        .decryptInto,
        { session, key, place in
          let operation = KeyOperation(session: session, function: .decrypt, key: key, mechanism: Sample.ctr)
          return encoded(DecryptInto(operation: operation, place: place))
        }
      ),
      (
        .decryptSamples,
        { session, key, place in
          let sample = SampleRequest(
            byteCount: UInt64(byteCount), iv: Sample.iv, place: place,
            subsamples: [(clear: 0, protected: UInt32(byteCount))])
          return encoded(
            DecryptSamples(
              session: session, key: key, scheme: 0x6365_6e63, cryptBlockCount: 0, skipBlockCount: 0, samples: [sample])
          )
        }
      ),
    ]

    @Test(
      "a decryption into a buffer whose input comes slowly ends with the login, also when there is a next one",
      arguments: requests.indices, [false, true])
    func restrictedDecryption(index: Int, logsInAgain: Bool) throws {
      let (operation, request) = Self.requests[index]
      let world = try World()
      let owner = try world.user()
      let key = try owner.create(
        Sample.aes([UInt8](repeating: 1, count: 16), [.onToken, .flag(.private, true), .flag(.decrypt, true)]))
      let session = owner.session
      let login = encoded(Login(session: session, userType: .user, pin: Array(World.userPIN.utf8)))

      // The objects of a connection are numbered in the order in which they come.
      let (token, memory, buffer): (UInt64, UInt64, UInt64) = (1, 2, 3)
      let raw = try RawClient(world.socket)
      try raw.hello()
      func accepts(_ object: UInt64, _ operation: UInt32, _ message: [UInt8]) throws -> Bool {
        let answer = try raw.invoke(object, operation, message)
        return answer.errno == 0 && answer.result == 0
      }
      #expect(try accepts(ObjectReference.root, RootOperation.open.rawValue, RawClient.opening(.token)))
      #expect(try accepts(ObjectReference.root, RootOperation.open.rawValue, RawClient.opening(.restrictedMemory)))
      let allocation = message {
        $0.u32(1)
        $0.u64(UInt64(Self.byteCount))
      }
      #expect(try accepts(memory, RestrictedMemoryOperation.allocate.rawValue, allocation))
      #expect(try accepts(token, TokenOperation.login.rawValue, login))

      let channel = try raw.openChannel()
      let ring = channel.memory
      func put(_ count: UInt64) {
        ring.inputPut.store(count)
        ring.requestEvents.add(1)
        ring.requestEvents.wake()
      }
      let posted = RawRequest(
        object: token, operation: operation.rawValue,
        message: request(session, key, BufferPlace(buffer: buffer, offset: 0)), inputByteCount: UInt64(Self.byteCount))
      posted.post(channel)
      put(128 << 10)
      #expect(becomesTrue { ring.inputTaken.load() == 128 << 10 })
      #expect(try accepts(token, TokenOperation.logout.rawValue, encoded(InSession(session: session))))
      if logsInAgain { #expect(try accepts(token, TokenOperation.login.rawValue, login)) }
      put(256 << 10)
      let answer = try #require(posted.answer(channel, seconds: 10))
      #expect(answer.errno == 0 && answer.result == UInt32(ReturnValue.operationNotInitialized.rawValue))
      raw.socket.shutDown()
    }

    @Test("a context-specific login is not used up by a decryption whose place does not serve")
    func placeBeforePIN() throws {
      let world = try World()
      defer { withExtendedLifetime(world) {} }
      let user = try world.user()
      let oaep = Mechanism(.rsaPKCSOAEP, .oaep(hash: .sha256, mgf: 2, label: []))
      let pair: (open: UInt64, secret: UInt64) = try user.call(
        .generateKeyPair,
        MakeKeyPair(
          session: user.session, mechanism: Mechanism(.rsaPKCSKeyPairGen),
          publicTemplate: [.number(.modulusBits, 2048)],
          privateTemplate: [.flag(.decrypt, true), .flag(.alwaysAuthenticate, true), .flag(.private, true)])
      ).read { (try $0.u64(), try $0.u64()) }
      let sealed = try user.perform(.encrypt, pair.open, oaep, [1, 2, 3])
      let buffer = try user.buffer(4096)
      try user.call(
        .login,
        Login(
          session: user.session, userType: .contextSpecific, pin: Array(World.userPIN.utf8), contextFunction: .decrypt,
          contextKey: pair.secret))
      #expect(user.decrypt(sealed, with: pair.secret, oaep, into: 0xffff).value == .objectHandleInvalid)
      #expect(user.decrypt(sealed, with: pair.secret, oaep, into: buffer).value == .ok)
      #expect(user.decrypt(sealed, with: pair.secret, oaep, into: buffer).value == .userNotLoggedIn)
    }

    @Test("a change of a client's own object makes nobody ask anew for what is known of keys; one of the token's does")
    func generation() throws {
      let world = try World()
      let user = try world.user()
      let published = try #require(user.client.published)
      let (own, shared) = (try user.aes(), try user.aes([.onToken]))
      func generationChanges(_ key: UInt64) throws -> Bool {
        let before = SharedCounter(published.base).load()
        try user.call(
          .setAttributes, ObjectRequest(session: user.session, object: key, template: [.text(.label, "changed")]))
        return SharedCounter(published.base).load() != before
      }
      #expect(try generationChanges(own) == false)
      #expect(try generationChanges(shared))
    }
  }
}
