import Cryptoki
import Mechanisms
import Wire

/// A request message: one writer in the normal world, one reader in the secure world.
public protocol TokenRequest: Sendable {
  init(from reader: inout WireReader) throws(WireError)
  func write(to writer: inout WireWriter)
}

/// A request that carries a secret: whoever has carried it out wipes it.
///
/// Its reader copies the secret when all fields have been read: of a message that is malformed, nothing lies about.
public protocol SecretRequest: TokenRequest {
  /// Overwrites the secret, in place as long as nobody else holds its bytes.
  mutating func wipe()
}

/// C_InitToken. The label is 32 bytes, padded with blanks.
public struct InitializeToken: SecretRequest {
  public var pin: [UInt8]
  public var label: [UInt8]

  public init(pin: [UInt8], label: [UInt8]) {
    self.pin = pin
    self.label = label
  }

  public init(from reader: inout WireReader) throws(WireError) {
    let pin = try reader.lentBytes()
    label = try reader.bytes()
    self.pin = [UInt8](pin)
  }

  public func write(to writer: inout WireWriter) {
    writer.bytes(pin)
    writer.bytes(label)
  }

  public mutating func wipe() { pin.wipe() }
}

/// C_InitPIN (the user's PIN, by the security officer).
public struct InitializePIN: SecretRequest {
  public var session: SessionReference
  public var pin: [UInt8]

  public init(session: SessionReference, pin: [UInt8]) {
    self.session = session
    self.pin = pin
  }

  public init(from reader: inout WireReader) throws(WireError) {
    session = try SessionReference(from: &reader)
    pin = try reader.bytes()
  }

  public func write(to writer: inout WireWriter) {
    session.write(to: &writer)
    writer.bytes(pin)
  }

  public mutating func wipe() { pin.wipe() }
}

/// C_SetPIN (of the role that is logged in, else of the user).
public struct SetPIN: SecretRequest {
  public var session: SessionReference
  public var oldPIN: [UInt8]
  public var newPIN: [UInt8]

  public init(session: SessionReference, oldPIN: [UInt8], newPIN: [UInt8]) {
    self.session = session
    self.oldPIN = oldPIN
    self.newPIN = newPIN
  }

  public init(from reader: inout WireReader) throws(WireError) {
    session = try SessionReference(from: &reader)
    let (oldPIN, newPIN) = (try reader.lentBytes(), try reader.lentBytes())
    self.oldPIN = [UInt8](oldPIN)
    self.newPIN = [UInt8](newPIN)
  }

  public func write(to writer: inout WireWriter) {
    session.write(to: &writer)
    writer.bytes(oldPIN)
    writer.bytes(newPIN)
  }

  public mutating func wipe() {
    oldPIN.wipe()
    newPIN.wipe()
  }
}

/// C_Login.
///
/// With CKU_CONTEXT_SPECIFIC the right PIN authorises one operation, the next `perform` or `begin` in this session with
/// exactly this function and key (CKA_ALWAYS_AUTHENTICATE, PKCS#11 3.2, 5.6.12); without it both fields are not looked at.
public struct Login: SecretRequest {
  public var session: SessionReference
  public var userType: UserType
  public var pin: [UInt8]
  /// Whether the client has read-only sessions, which bar the security officer (CKR_SESSION_READ_ONLY_EXISTS).
  public var hasReadOnlySessions: Bool
  public var contextFunction: KeyFunction
  public var contextKey: UInt64

  public init(
    session: SessionReference, userType: UserType, pin: [UInt8], hasReadOnlySessions: Bool = false,
    contextFunction: KeyFunction = .sign, contextKey: UInt64 = 0
  ) {
    self.session = session
    self.userType = userType
    self.pin = pin
    self.hasReadOnlySessions = hasReadOnlySessions
    self.contextFunction = contextFunction
    self.contextKey = contextKey
  }

  public init(from reader: inout WireReader) throws(WireError) {
    session = try SessionReference(from: &reader)
    userType = UserType(rawValue: UInt(try reader.u32()))
    let pin = try reader.lentBytes()
    hasReadOnlySessions = try reader.bool()
    guard let function = KeyFunction(rawValue: try reader.u8()) else { throw .invalid }
    contextFunction = function
    contextKey = try reader.u64()
    self.pin = [UInt8](pin)
  }

  public func write(to writer: inout WireWriter) {
    session.write(to: &writer)
    writer.u32(UInt32(truncatingIfNeeded: userType.rawValue))
    writer.bytes(pin)
    writer.bool(hasReadOnlySessions)
    writer.u8(contextFunction.rawValue)
    writer.u64(contextKey)
  }

  public mutating func wipe() { pin.wipe() }
}

/// Drops the state of sessions that the client has closed: their session objects and their operations.
/// `all` closes every session of the client with this token, which also logs it out. At most `RequestLimits.sessions` at once.
public struct CloseSessions: TokenRequest {
  public var numbers: [UInt32]
  public var all: Bool

  public init(numbers: [UInt32], all: Bool) {
    self.numbers = numbers
    self.all = all
  }

  public init(from reader: inout WireReader) throws(WireError) {
    let count = try reader.count(ofElementsAtLeast: 4, atMost: RequestLimits.sessions)
    numbers = []
    numbers.reserveCapacity(count)
    for _ in 0..<count { numbers.append(try reader.u32()) }
    all = try reader.bool()
  }

  public func write(to writer: inout WireWriter) {
    writer.u32(UInt32(truncatingIfNeeded: numbers.count))
    for number in numbers { writer.u32(number) }
    writer.bool(all)
  }
}

/// A request that is a session alone: C_Logout.
public struct InSession: TokenRequest {
  public var session: SessionReference

  public init(session: SessionReference) {
    self.session = session
  }

  public init(from reader: inout WireReader) throws(WireError) {
    session = try SessionReference(from: &reader)
  }

  public func write(to writer: inout WireWriter) {
    session.write(to: &writer)
  }
}

/// A template in a session: C_CreateObject (reply: the handle, UInt64), C_FindObjectsInit (reply: a count and the handles).
public struct TemplateRequest: SecretRequest {
  public var session: SessionReference
  public var template: Template

  public init(session: SessionReference, template: Template) {
    self.session = session
    self.template = template
  }

  public init(from reader: inout WireReader) throws(WireError) {
    session = try SessionReference(from: &reader)
    template = try reader.template()
  }

  public func write(to writer: inout WireWriter) {
    session.write(to: &writer)
    writer.template(template)
  }

  public mutating func wipe() { template.wipe() }
}

/// An object and a template: C_CopyObject (reply: the new handle), C_SetAttributeValue, and with an empty template
/// C_DestroyObject, C_GetObjectSize (reply: bytes, UInt64) and `describeKey` (reply: a `KeyDescription`).
public struct ObjectRequest: TokenRequest {
  public var session: SessionReference
  public var object: UInt64
  public var template: Template

  public init(session: SessionReference, object: UInt64, template: Template = []) {
    self.session = session
    self.object = object
    self.template = template
  }

  public init(from reader: inout WireReader) throws(WireError) {
    session = try SessionReference(from: &reader)
    object = try reader.u64()
    template = try reader.template()
  }

  public func write(to writer: inout WireWriter) {
    session.write(to: &writer)
    writer.u64(object)
    writer.template(template)
  }
}

/// C_GetAttributeValue. Reply: an `AttributeAnswer` for each type, in order.
public struct GetAttributes: TokenRequest {
  public var session: SessionReference
  public var object: UInt64
  public var types: [AttributeType]

  public init(session: SessionReference, object: UInt64, types: [AttributeType]) {
    self.session = session
    self.object = object
    self.types = types
  }

  public init(from reader: inout WireReader) throws(WireError) {
    session = try SessionReference(from: &reader)
    object = try reader.u64()
    let count = try reader.count(ofElementsAtLeast: 4, atMost: RequestLimits.attributes)
    types = []
    types.reserveCapacity(count)
    for _ in 0..<count { types.append(AttributeType(rawValue: try reader.u32())) }
  }

  public func write(to writer: inout WireWriter) {
    Self.write(session, object, count: types.count, types, to: &writer)
  }

  /// Writes a request for `count` types without a list of them in memory.
  @inline(__always)
  public static func write(
    _ session: SessionReference, _ object: UInt64, count: Int, _ types: some Sequence<AttributeType>,
    to writer: inout WireWriter
  ) {
    session.write(to: &writer)
    writer.u64(object)
    writer.u32(UInt32(truncatingIfNeeded: count))
    for type in types { writer.u32(type.rawValue) }
  }
}

/// C_GenerateKey, C_DeriveKey (`key` is the base key) and C_UnwrapKey (`key` is the unwrapping key). Reply: the handle.
public struct MakeKey: TokenRequest {
  public var session: SessionReference
  public var mechanism: Mechanism
  /// 0 for C_GenerateKey.
  public var key: UInt64
  public var template: Template

  public init(session: SessionReference, mechanism: Mechanism, key: UInt64 = 0, template: Template) {
    self.session = session
    self.mechanism = mechanism
    self.key = key
    self.template = template
  }

  public init(from reader: inout WireReader) throws(WireError) {
    session = try SessionReference(from: &reader)
    mechanism = try Mechanism(from: &reader)
    key = try reader.u64()
    template = try reader.template()
  }

  public func write(to writer: inout WireWriter) {
    session.write(to: &writer)
    mechanism.write(to: &writer)
    writer.u64(key)
    writer.template(template)
  }
}

/// C_GenerateKeyPair. Reply: the public key's handle, then the private key's.
public struct MakeKeyPair: TokenRequest {
  public var session: SessionReference
  public var mechanism: Mechanism
  public var publicTemplate: Template
  public var privateTemplate: Template

  public init(
    session: SessionReference, mechanism: Mechanism, publicTemplate: Template, privateTemplate: Template
  ) {
    self.session = session
    self.mechanism = mechanism
    self.publicTemplate = publicTemplate
    self.privateTemplate = privateTemplate
  }

  public init(from reader: inout WireReader) throws(WireError) {
    session = try SessionReference(from: &reader)
    mechanism = try Mechanism(from: &reader)
    publicTemplate = try reader.template()
    privateTemplate = try reader.template()
  }

  public func write(to writer: inout WireWriter) {
    session.write(to: &writer)
    mechanism.write(to: &writer)
    writer.template(publicTemplate)
    writer.template(privateTemplate)
  }
}

/// C_WrapKey. Output: the wrapped key.
public struct WrapKey: TokenRequest {
  public var session: SessionReference
  public var mechanism: Mechanism
  public var wrappingKey: UInt64
  public var key: UInt64

  public init(session: SessionReference, mechanism: Mechanism, wrappingKey: UInt64, key: UInt64) {
    self.session = session
    self.mechanism = mechanism
    self.wrappingKey = wrappingKey
    self.key = key
  }

  public init(from reader: inout WireReader) throws(WireError) {
    session = try SessionReference(from: &reader)
    mechanism = try Mechanism(from: &reader)
    wrappingKey = try reader.u64()
    key = try reader.u64()
  }

  public func write(to writer: inout WireWriter) {
    session.write(to: &writer)
    mechanism.write(to: &writer)
    writer.u64(wrappingKey)
    writer.u64(key)
  }
}

/// `perform` and `begin`: an operation with a secret or private key.
public struct KeyOperation: TokenRequest {
  public var session: SessionReference
  public var function: KeyFunction
  public var key: UInt64
  public var mechanism: Mechanism
  /// The number of bytes at the end of the input that are the signature to be verified (`perform` with `.verify` only).
  public var signatureByteCount: UInt32

  public init(
    session: SessionReference, function: KeyFunction, key: UInt64, mechanism: Mechanism, signatureByteCount: UInt32 = 0
  ) {
    self.session = session
    self.function = function
    self.key = key
    self.mechanism = mechanism
    self.signatureByteCount = signatureByteCount
  }

  public init(from reader: inout WireReader) throws(WireError) {
    let session = try SessionReference(from: &reader)
    guard let function = KeyFunction(rawValue: try reader.u8()) else { throw .invalid }
    let key = try reader.u64()
    let mechanism = try Mechanism(from: &reader)
    self.init(
      session: session, function: function, key: key, mechanism: mechanism, signatureByteCount: try reader.u32())
  }

  public func write(to writer: inout WireWriter) {
    session.write(to: &writer)
    writer.u8(function.rawValue)
    writer.u64(key)
    mechanism.write(to: &writer)
    writer.u32(signatureByteCount)
  }
}

/// `update` and `finish` of the operation that `begin` started for this function in this session.
public struct ContinueOperation: TokenRequest {
  public var session: SessionReference
  public var function: KeyFunction

  public init(session: SessionReference, function: KeyFunction) {
    self.session = session
    self.function = function
  }

  public init(from reader: inout WireReader) throws(WireError) {
    session = try SessionReference(from: &reader)
    guard let function = KeyFunction(rawValue: try reader.u8()) else { throw .invalid }
    self.function = function
  }

  public func write(to writer: inout WireWriter) {
    session.write(to: &writer)
    writer.u8(function.rawValue)
  }
}

/// `cancel`: gives up the operations of a session.
public struct CancelOperations: TokenRequest {
  public var session: SessionReference
  public var functions: [KeyFunction]

  public init(session: SessionReference, functions: [KeyFunction]) {
    self.session = session
    self.functions = functions
  }

  public init(from reader: inout WireReader) throws(WireError) {
    session = try SessionReference(from: &reader)
    functions = []
    for _ in 0..<(try reader.count(ofElementsAtLeast: 1, atMost: KeyFunction.allCases.count)) {
      guard let function = KeyFunction(rawValue: try reader.u8()) else { throw .invalid }
      functions.append(function)
    }
  }

  public func write(to writer: inout WireWriter) {
    session.write(to: &writer)
    writer.u32(UInt32(truncatingIfNeeded: functions.count))
    for function in functions { writer.u8(function.rawValue) }
  }
}
