import Cryptoki
import LinuxSystem
import Mechanisms
import ObjectInvoke
import TokenProtocol
import Wire

/// What came back from one invocation.
struct Answer {
  /// Why the invocation reached no object; 0 when it did.
  var errno: Int32 = 0
  var result: UInt32 = 0
  var reply: [UInt8] = []
  var output: [UInt8] = []
  var descriptors: [Int32] = []

  var value: ReturnValue { ReturnValue(rawValue: UInt(result)) }

  func read<R>(_ body: (inout WireReader) throws -> R) rethrows -> R {
    try reply.withUnsafeBytes { bytes in
      var reader = WireReader(bytes)
      return try body(&reader)
    }
  }

  /// The first field as a number.
  var number: UInt64 { read { (try? $0.u64()) ?? 0 } }
}

/// A refusal where a test needs an answer.
struct Refused: Error { let answer: Answer }

/// A client without the module: it speaks the wire's messages, right or wrong.
final class WireClient: @unchecked Sendable {
  let client: InvokeClient
  let token: UInt64
  let memory: UInt64
  let peripherals: UInt64
  let session = SessionReference(number: 1, isReadWrite: true)

  init(_ socket: String) throws {
    client = try InvokeClient(connecting: socket)
    token = try Self.open(client, .token)
    memory = try Self.open(client, .restrictedMemory)
    peripherals = try Self.open(client, .peripherals)
  }

  func close() { client.close() }

  /// Another object for the same token.
  func anotherToken() throws -> UInt64 { try Self.open(client, .token) }

  private static func open(_ client: InvokeClient, _ service: ServiceNumber) throws -> UInt64 {
    let request = RawClient.opening(service)
    let answer = try client.invoke(ObjectReference.root, RootOperation.open.rawValue) { writer in
      request.withUnsafeBytes { writer.raw($0) }
    }
    var message = answer.message
    return try message.u64()
  }

  // MARK: Invoking

  /// Invokes any object with any bytes. With descriptors it goes over the control socket.
  func invoke(
    _ object: UInt64, _ operation: UInt32, _ message: [UInt8], _ input: [UInt8] = [], capacity: Int = 1 << 16,
    descriptors: [Int32]? = nil
  ) -> Answer {
    var output = [UInt8](repeating: 0, count: capacity)
    return message.withUnsafeBytes { message in
      input.withUnsafeBytes { input in
        output.withUnsafeMutableBytes { output in
          do throws(InvokeError) {
            var answer =
              descriptors == nil
              ? try client.invoke(object, operation, input: InputSegments(input), output: output) { $0.raw(message) }
              : try client.invokeWithDescriptors(
                object, operation, descriptors: descriptors ?? [], input: InputSegments(input), output: output
              ) { $0.raw(message) }
            var reply = answer.message
            let bytes = (try? reply.raw(reply.remaining)).map { [UInt8]($0) } ?? []
            var received: [Int32] = []
            while let descriptor = answer.descriptors.takeFirst() { received.append(descriptor.relinquish()) }
            return Answer(
              result: answer.result, reply: bytes, output: [UInt8](output[..<answer.outputByteCount]),
              descriptors: received)
          } catch {
            if case .refused(let code) = error { return Answer(errno: code) }
            return Answer(errno: -1)
          }
        }
      }
    }
  }

  func ask(
    _ operation: TokenOperation, _ request: some TokenRequest, _ input: [UInt8] = [], capacity: Int = 1 << 16
  ) -> Answer {
    invoke(token, operation.rawValue, encoded(request), input, capacity: capacity)
  }

  @discardableResult
  func call(
    _ operation: TokenOperation, _ request: some TokenRequest, _ input: [UInt8] = [], capacity: Int = 1 << 16
  ) throws -> Answer {
    let answer = ask(operation, request, input, capacity: capacity)
    guard answer.errno == 0, answer.result == 0 else { throw Refused(answer: answer) }
    return answer
  }

  // MARK: The token

  func logIn(_ type: UserType, _ pin: String) throws {
    try call(.login, Login(session: session, userType: type, pin: Array(pin.utf8)))
  }

  func create(_ template: [Attribute]) throws -> UInt64 {
    try call(.createObject, TemplateRequest(session: session, template: Template(template))).number
  }

  func find(_ template: [Attribute] = []) throws -> [UInt64] {
    try call(.findObjects, TemplateRequest(session: session, template: Template(template))).read { reader in
      let count = try reader.count(ofElementsAtLeast: 8)
      return try (0..<count).map { _ in try reader.u64() }
    }
  }

  func get(_ object: UInt64, _ types: [AttributeType]) throws -> [AttributeAnswer] {
    try call(.getAttributes, GetAttributes(session: session, object: object, types: types))
      .read { try $0.attributeAnswers() }
  }

  func aes(_ template: [Attribute] = []) throws -> UInt64 {
    try call(
      .generateKey,
      MakeKey(
        session: session, mechanism: Mechanism(.aesKeyGen), template: Template([.number(.valueLen, 32)] + template))
    ).number
  }

  func pair(_ open: [Attribute] = [], _ secret: [Attribute] = []) throws -> (open: UInt64, secret: UInt64) {
    try call(
      .generateKeyPair,
      MakeKeyPair(
        session: session, mechanism: Mechanism(.ecKeyPairGen),
        publicTemplate: Template([.bytes(.ecParams, Sample.p256)] + open), privateTemplate: Template(secret))
    ).read { (try $0.u64(), try $0.u64()) }
  }

  func perform(_ function: KeyFunction, _ key: UInt64, _ mechanism: Mechanism, _ input: [UInt8]) throws -> [UInt8] {
    try call(
      .perform, KeyOperation(session: session, function: function, key: key, mechanism: mechanism), input
    ).output
  }

  var information: TokenInformation {
    get throws {
      try invoke(token, TokenOperation.tokenInformation.rawValue, []).read { try TokenInformation(from: &$0) }
    }
  }

  var flags: TokenFlags { get throws { TokenFlags(rawValue: UInt(try information.flags)) } }

  // MARK: Restricted memory

  func allocate(_ byteCount: UInt64, useCase: UInt32 = 1) -> Answer {
    invoke(
      memory, RestrictedMemoryOperation.allocate.rawValue,
      message {
        $0.u32(useCase)
        $0.u64(byteCount)
      })
  }

  /// A new buffer's object id.
  func buffer(_ byteCount: UInt64, useCase: UInt32 = 1) throws -> UInt64 {
    let answer = allocate(byteCount, useCase: useCase)
    guard answer.errno == 0, answer.result == 0 else { throw Refused(answer: answer) }
    return answer.number
  }

  func export(_ buffer: UInt64) -> Answer {
    invoke(buffer, BufferOperation.export.rawValue, [], descriptors: [])
  }

  /// Offers a descriptor as a restricted buffer's; the caller keeps it.
  func importBuffer(_ descriptors: Int32...) -> Answer {
    invoke(memory, RestrictedMemoryOperation.importBuffer.rawValue, [], descriptors: descriptors)
  }

  func write(_ bytes: [UInt8], to buffer: UInt64) -> Answer {
    invoke(buffer, BufferOperation.write.rawValue, message { $0.u64(0) }, bytes)
  }

  func decrypt(_ bytes: [UInt8], with key: UInt64, _ mechanism: Mechanism, into buffer: UInt64) -> Answer {
    ask(
      .decryptInto,
      DecryptInto(
        operation: KeyOperation(session: session, function: .decrypt, key: key, mechanism: mechanism),
        place: BufferPlace(buffer: buffer, offset: 0)), bytes)
  }
}

extension RawClient {
  /// The message that opens the first object of a service.
  static func opening(_ service: ServiceNumber) -> [UInt8] {
    message {
      $0.u32(service.rawValue)
      $0.u32(0)
    }
  }
}

/// A request message.
func message(_ write: (inout WireWriter) -> Void) -> [UInt8] {
  var writer = WireWriter()
  write(&writer)
  return writer.withMessage { [UInt8]($0) }
}

func encoded(_ request: some TokenRequest) -> [UInt8] { message { request.write(to: &$0) } }

extension Attribute {
  static let open = Attribute.flag(.private, false)
  /// CKA_STRONGROOM_RESTRICTED_OUTPUT.
  static let restricted = Attribute.flag(AttributeType(rawValue: 0x9352_0001), true)
}

enum Sample {
  static let p256: [UInt8] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]
  static let iv = ShortBytes([UInt8](repeating: 7, count: 16))
  static let cbc = Mechanism(.aesCBC, .iv(iv))
  static let ctr = Mechanism(.aesCTR, .counter(bitCount: 128, block: iv))
  static let gcm = Mechanism(
    .aesGCM, .gcm(iv: ShortBytes([UInt8](repeating: 3, count: 12)), aad: [1], tagBitCount: 128))

  static func aes(_ value: [UInt8], _ more: [Attribute] = []) -> [Attribute] {
    [.of(.secretKey), .of(.aes), .bytes(.value, value)] + more
  }
}
