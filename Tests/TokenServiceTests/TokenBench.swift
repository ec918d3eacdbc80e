import CryptoCore
import Cryptoki
import Foundation
import Mechanisms
import SecureStorage
import TokenProtocol
import Wire

@testable import TokenService

/// A token over a real store in a directory of its own, driven by messages as a client drives it.
final class TokenBench: @unchecked Sendable {
  static let officerPIN = "officer-pin"
  static let userPIN = "user-pin"

  let directory: String
  private var opened: TokenObject?
  var token: TokenObject {
    guard let opened else { preconditionFailure("the bench is between two openings") }
    return opened
  }

  /// `initialized`: whether the token has been initialised and its user has a PIN.
  init(initialized: Bool = true, clientByteLimit: Int = 256 << 20) throws {
    directory = NSTemporaryDirectory() + "token-service-" + UUID().uuidString
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    self.clientByteLimit = clientByteLimit
    opened = try Self.open(directory, clientByteLimit)
    guard initialized else { return }
    try initialize()
    let officer = BenchClient(self, 900)
    try officer.logIn(.so, Self.officerPIN)
    try officer.call(.initializePIN, InitializePIN(session: officer.session, pin: Array(Self.userPIN.utf8)))
    officer.closeAll()
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  private let clientByteLimit: Int

  private static func open(_ directory: String, _ clientByteLimit: Int) throws -> TokenObject {
    TokenObject(
      try Token(store: try SecureStore.open(directory: directory), slot: 0, clientByteLimit: clientByteLimit))
  }

  /// Ends the token and opens it again, as a new secure world would.
  func reopen() throws {
    opened = nil
    opened = try Self.open(directory, clientByteLimit)
  }

  func initialize(pin: String = TokenBench.officerPIN, label: String = "bench") throws(ReturnValue) {
    let padded = Array(label.utf8) + Array(repeating: 0x20, count: 32 - label.utf8.count)
    let client = BenchClient(self, 901)
    try client.call(.initializeToken, InitializeToken(pin: Array(pin.utf8), label: padded))
  }

  /// A client that is logged in as the user.
  func user(_ number: UInt64 = 1) throws(ReturnValue) -> BenchClient {
    let client = BenchClient(self, number)
    try client.logIn(.user, Self.userPIN)
    return client
  }

  func guest(_ number: UInt64 = 1) -> BenchClient { BenchClient(self, number) }

  func officer(_ number: UInt64 = 800) throws(ReturnValue) -> BenchClient {
    let client = BenchClient(self, number)
    try client.logIn(.so, Self.officerPIN)
    return client
  }
}

/// What came back from one invocation.
struct Answer {
  let value: ReturnValue
  let reply: [UInt8]
  let output: [UInt8]

  func read<R>(_ body: (inout WireReader) throws -> R) rethrows -> R {
    try reply.withUnsafeBytes { bytes in
      var reader = WireReader(bytes)
      return try body(&reader)
    }
  }

  /// The first field as a number.
  var number: UInt64 { read { (try? $0.u64()) ?? 0 } }
}

/// A client with one session.
struct BenchClient: Sendable {
  let bench: TokenBench
  let id: ClientID
  var session = SessionReference(number: 1, isReadWrite: true)
  /// The token's record of the client, held on to; nil: asked for anew with each request.
  var record: Client?

  init(_ bench: TokenBench, _ number: UInt64) {
    self.bench = bench
    id = ClientID(rawValue: number)
  }

  /// The same client in another session.
  func inSession(_ number: UInt32, readWrite: Bool = true) -> BenchClient {
    var other = self
    other.session = SessionReference(number: number, isReadWrite: readWrite)
    return other
  }

  func invoke(_ operation: TokenOperation, _ message: [UInt8], _ bulk: inout MemoryTransfer) -> Answer {
    var reply = WireWriter()
    let value = message.withUnsafeBytes { bytes in
      var reader = WireReader(bytes)
      return bench.token.invoke(
        operation: operation, client: record ?? bench.token.client(id), request: &reader, reply: &reply, bulk: &bulk)
    }
    return Answer(value: value, reply: reply.withMessage { [UInt8]($0) }, output: bulk.output)
  }

  func ask(
    _ operation: TokenOperation, _ request: some TokenRequest, _ input: [UInt8] = [], capacity: UInt64 = 1 << 27
  ) -> Answer {
    var writer = WireWriter()
    request.write(to: &writer)
    var bulk = MemoryTransfer(input, capacity: capacity)
    return invoke(operation, writer.withMessage { [UInt8]($0) }, &bulk)
  }

  @discardableResult
  func call(
    _ operation: TokenOperation, _ request: some TokenRequest, _ input: [UInt8] = [], capacity: UInt64 = 1 << 27
  ) throws(ReturnValue) -> Answer {
    let answer = ask(operation, request, input, capacity: capacity)
    guard answer.value == .ok else { throw answer.value }
    return answer
  }

  // MARK: Roles

  func logIn(_ type: UserType, _ pin: String) throws(ReturnValue) {
    try call(.login, Login(session: session, userType: type, pin: Array(pin.utf8)))
  }

  func authorize(_ function: KeyFunction, _ key: UInt64, _ pin: String = TokenBench.userPIN) throws(ReturnValue) {
    try call(
      .login,
      Login(
        session: session, userType: .contextSpecific, pin: Array(pin.utf8), contextFunction: function,
        contextKey: key))
  }

  func logOut() throws(ReturnValue) { try call(.logout, InSession(session: session)) }

  func closeAll() { _ = ask(.closeSessions, CloseSessions(numbers: [], all: true)) }

  func close(_ numbers: UInt32...) { _ = ask(.closeSessions, CloseSessions(numbers: numbers, all: false)) }

  var information: TokenInformation {
    get throws {
      var bulk = MemoryTransfer()
      return try invoke(.tokenInformation, [], &bulk).read { try TokenInformation(from: &$0) }
    }
  }

  // MARK: Objects

  func create(_ template: [Attribute]) throws(ReturnValue) -> UInt64 {
    try call(.createObject, TemplateRequest(session: session, template: Template(template))).number
  }

  func copy(_ object: UInt64, _ template: [Attribute] = []) throws(ReturnValue) -> UInt64 {
    try call(.copyObject, ObjectRequest(session: session, object: object, template: Template(template))).number
  }

  func set(_ object: UInt64, _ template: [Attribute]) throws(ReturnValue) {
    try call(.setAttributes, ObjectRequest(session: session, object: object, template: Template(template)))
  }

  func destroy(_ object: UInt64) throws(ReturnValue) {
    try call(.destroyObject, ObjectRequest(session: session, object: object))
  }

  func get(_ object: UInt64, _ types: AttributeType...) throws(ReturnValue) -> [AttributeAnswer] {
    let answer = try call(.getAttributes, GetAttributes(session: session, object: object, types: types))
    return (try? answer.read { try $0.attributeAnswers() }) ?? []
  }

  func bytes(_ object: UInt64, _ type: AttributeType) throws(ReturnValue) -> [UInt8]? {
    if case .value(.bytes(let bytes))? = try get(object, type).first { bytes } else { nil }
  }

  func isTrue(_ object: UInt64, _ type: AttributeType) throws(ReturnValue) -> Bool {
    try bytes(object, type) == [1]
  }

  func find(_ template: [Attribute] = []) throws(ReturnValue) -> [UInt64] {
    let answer = try call(.findObjects, TemplateRequest(session: session, template: Template(template)))
    return
      (try? answer.read { reader in
        let count = try reader.count(ofElementsAtLeast: 8)
        return try (0..<count).map { _ in try reader.u64() }
      }) ?? []
  }

  func describe(_ object: UInt64) throws -> KeyDescription {
    try call(.describeKey, ObjectRequest(session: session, object: object)).read { try KeyDescription(from: &$0) }
  }

  // MARK: Keys

  func generate(_ mechanism: MechanismType, _ template: [Attribute]) throws(ReturnValue) -> UInt64 {
    try call(.generateKey, MakeKey(session: session, mechanism: Mechanism(mechanism), template: Template(template)))
      .number
  }

  /// An AES-256 key, in the session unless the template says otherwise.
  func aes(_ template: [Attribute] = []) throws(ReturnValue) -> UInt64 {
    try generate(.aesKeyGen, [.number(.valueLen, 32)] + template)
  }

  func pair(
    _ mechanism: MechanismType, _ open: [Attribute], _ secret: [Attribute] = []
  ) throws(ReturnValue) -> (open: UInt64, secret: UInt64) {
    let answer = try call(
      .generateKeyPair,
      MakeKeyPair(
        session: session, mechanism: Mechanism(mechanism), publicTemplate: Template(open),
        privateTemplate: Template(secret)))
    let handles = try? answer.read { (try $0.u64(), try $0.u64()) }
    guard let handles else { throw .generalError }
    return (handles.0, handles.1)
  }

  func wrap(_ key: UInt64, with wrapping: UInt64, _ mechanism: Mechanism) throws(ReturnValue) -> [UInt8] {
    try call(
      .wrapKey, WrapKey(session: session, mechanism: mechanism, wrappingKey: wrapping, key: key)
    ).output
  }

  func unwrap(
    _ wrapped: [UInt8], with key: UInt64, _ mechanism: Mechanism, _ template: [Attribute]
  ) throws(ReturnValue) -> UInt64 {
    try call(
      .unwrapKey, MakeKey(session: session, mechanism: mechanism, key: key, template: Template(template)), wrapped
    ).number
  }

  func derive(
    _ base: UInt64, _ mechanism: Mechanism, _ template: [Attribute]
  ) throws(ReturnValue) -> UInt64 {
    try call(.deriveKey, MakeKey(session: session, mechanism: mechanism, key: base, template: Template(template)))
      .number
  }

  // MARK: Operations

  func perform(
    _ function: KeyFunction, _ key: UInt64, _ mechanism: Mechanism, _ input: [UInt8], capacity: UInt64 = 1 << 27,
    signature: [UInt8] = []
  ) throws(ReturnValue) -> [UInt8] {
    try call(
      .perform,
      KeyOperation(
        session: session, function: function, key: key, mechanism: mechanism,
        signatureByteCount: UInt32(signature.count)), input + signature, capacity: capacity
    ).output
  }

  func begin(
    _ function: KeyFunction, _ key: UInt64, _ mechanism: Mechanism, _ input: [UInt8] = []
  ) throws(ReturnValue) -> [UInt8] {
    try call(
      .begin, KeyOperation(session: session, function: function, key: key, mechanism: mechanism), input
    ).output
  }

  func update(_ function: KeyFunction, _ input: [UInt8]) throws(ReturnValue) -> [UInt8] {
    try call(.update, ContinueOperation(session: session, function: function), input).output
  }

  func finish(
    _ function: KeyFunction, _ input: [UInt8] = [], capacity: UInt64 = 1 << 27
  ) throws(ReturnValue) -> [UInt8] {
    try call(.finish, ContinueOperation(session: session, function: function), input, capacity: capacity).output
  }
}

extension Attribute {
  static let extractable = Attribute.flag(.extractable, true)
  static let revealable: [Attribute] = [.flag(.sensitive, false), .extractable]
}

/// The answer that `body` throws, or CKR_OK.
func outcome<R>(_ body: () throws(ReturnValue) -> R) -> ReturnValue {
  do throws(ReturnValue) {
    _ = try body()
    return .ok
  } catch {
    return error
  }
}

enum Sample {
  static let p256: [UInt8] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]
  static let ed25519: [UInt8] = [0x06, 0x03, 0x2b, 0x65, 0x70]
  static let x25519: [UInt8] = [0x06, 0x03, 0x2b, 0x65, 0x6e]
  static let iv = ShortBytes([UInt8](repeating: 7, count: 16))
  static let cbc = Mechanism(.aesCBC, .iv(iv))
  static let cbcPad = Mechanism(.aesCBCPad, .iv(iv))
  static let ctr = Mechanism(.aesCTR, .counter(bitCount: 128, block: iv))
  static let gcm = Mechanism(
    .aesGCM, .gcm(iv: ShortBytes([UInt8](repeating: 3, count: 12)), aad: [1], tagBitCount: 128))
  static let keyWrap = Mechanism(.aesKeyWrap)
  static let keyWrapPadded = Mechanism(.aesKeyWrapKWP)

  static func secretKey(
    _ value: [UInt8], _ keyType: KeyType = .aes, _ more: [Attribute] = []
  ) -> [Attribute] {
    [.of(.secretKey), .of(keyType), .bytes(.value, value)] + more
  }
}
