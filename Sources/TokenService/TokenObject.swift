import CryptoCore
import Cryptoki
import Mechanisms
import SecureStorage
import TokenProtocol
import Wire

/// The token as an object of the secure world: requests in, replies out. Any thread may call, for any client.
public final class TokenObject: Sendable {
  let token: Token

  public init(_ token: Token) { self.token = token }

  /// Bytes that one request for random bytes may ask for.
  private static let randomLimit = 1 << 26

  /// The record of a client, made when it is asked for first. It is good until `clientGone`: whoever uses it then is
  /// answered CKR_DEVICE_REMOVED.
  public func client(_ id: ClientID) -> Client { token.client(id) }

  /// Carries out one operation and answers its CKR_ value.
  ///
  /// `request` is the message after its operation number; the reply's fields are written to `reply` when the answer
  /// is CKR_OK, and the count of bytes that are needed when it is CKR_BUFFER_TOO_SMALL. A message that is not one of
  /// the operation's is CKR_ARGUMENTS_BAD. The operations whose output goes to restricted buffers are not carried out
  /// here (CKR_FUNCTION_NOT_SUPPORTED); see below.
  public func invoke<Bulk: BulkTransfer & ~Copyable>(
    operation: TokenOperation, client: Client, request: inout WireReader, reply: inout WireWriter,
    bulk: inout Bulk
  ) -> ReturnValue {
    do throws(Refusal) {
      try carryOut(operation, client, &request, &reply, &bulk)
      return .ok
    } catch {
      reply.reset()
      if let needed = error.neededByteCount { reply.u64(needed) }
      return error.value
    }
  }

  /// Drops secrets and parsed keys of token objects that were not used since the last call; they come back with the next use.
  /// Answers whether some are still kept.
  public func dropUnusedKeys() -> Bool { token.dropUnusedKeys() }

  /// Forgets a client: its login, its sessions, its session objects. Requests of it that are in progress leave nothing
  /// behind.
  public func clientGone(_ id: ClientID) { token.clientGone(id) }

  // MARK: Decryption into restricted buffers

  /// A key for decryption whose output goes to restricted buffers.
  public struct RestrictedKey: Sendable {
    public let key: CryptographicKey
    /// The numbers of the use-cases whose buffers may receive the output; none means all.
    public let useCases: Set<UInt32>
    fileprivate let session: SessionReference
    fileprivate let loginNumber: UInt64?
  }

  /// The key for such a decryption, for which `authorizeRestricted` is to be called before any input is read. Throws what
  /// C_DecryptInit answers.
  public func restrictedDecryption(
    client: Client, session: SessionReference, key: UInt64, mechanism: Mechanism
  ) throws(ReturnValue) -> RestrictedKey {
    let request = KeyOperation(session: session, function: .decrypt, key: key, mechanism: mechanism)
    let (key, _, useCases, loginNumber) = try token.restrictedDecryption(request, client)
    return RestrictedKey(
      key: try token.key(of: key), useCases: useCases, session: session, loginNumber: loginNumber)
  }

  /// Throws CKR_OPERATION_NOT_INITIALIZED when work with the key may not go on: its session has ended, or its login.
  public func checkGoesOn(_ key: RestrictedKey, client: Client) throws(ReturnValue) {
    try client.withState { (state) throws(ReturnValue) in
      try state.checkGoesOn(in: key.session.number, loginNumber: key.loginNumber)
    }
  }

  /// The same of a decryption, which somebody else may have given up as well.
  public func checkGoesOn(
    _ active: ActiveOperation, in session: SessionReference, client: Client
  ) throws(ReturnValue) {
    try client.withState { (state) throws(ReturnValue) in
      guard !active.hasEnded else { throw .operationNotInitialized }
      try state.checkGoesOn(in: session.number, loginNumber: active.loginNumber)
    }
  }

  /// Uses up the context-specific login for a decryption, if the key asks for one. Throws CKR_USER_NOT_LOGGED_IN.
  public func authorizeRestricted(
    client: Client, session: SessionReference, key handle: UInt64
  ) throws(ReturnValue) {
    let key = try token.object(handle, for: client, in: session, .keyHandleInvalid)
    if key.asksForPIN { try token.useAuthorization(.decrypt, handle, in: session, client) }
  }

  /// A decryption in one part, which no session has, and for which `authorizeRestricted` is to be called before any input is
  /// read. Throws what C_DecryptInit answers.
  public func startRestricted(_ request: KeyOperation, client: Client) throws(ReturnValue) -> ActiveOperation {
    try token.startRestricted(request, client)
  }

  /// Starts a decryption in parts. It is the session's until `leaveRestricted` ends it, C_SessionCancel, a logout, or the
  /// session's end. Throws what C_DecryptInit answers.
  public func beginRestricted(_ request: KeyOperation, client: Client) throws(ReturnValue) {
    let isActive = client.reading { $0.isActive(.restrictedDecryption, in: request.session.number) }
    guard !isActive else { throw .operationActive }
    let active = try token.startRestricted(request, client)
    try authorizeRestricted(client: client, session: request.session, key: request.key)
    try client.withState { (state) throws(ReturnValue) in try state.place(active, in: request.session.number) }
  }

  /// The session's decryption, for the caller alone to work with until `leaveRestricted`.
  /// Throws CKR_OPERATION_NOT_INITIALIZED, or CKR_OPERATION_ACTIVE when another thread works with it.
  public func takeRestricted(_ session: SessionReference, client: Client) throws(ReturnValue) -> ActiveOperation {
    try client.withState { (state) throws(ReturnValue) in try state.take(.restrictedDecryption, in: session.number) }
  }

  /// Gives back what `takeRestricted` gave, to be gone on with unless it `ends`.
  public func leaveRestricted(_ active: ActiveOperation, ends: Bool, _ session: SessionReference, client: Client) {
    if ends { client.reading { $0.end(active, in: session.number) } }
    active.release()
  }

  // MARK: Dispatch

  private func carryOut<Bulk: BulkTransfer & ~Copyable>(
    _ operation: TokenOperation, _ client: Client, _ request: inout WireReader, _ reply: inout WireWriter,
    _ bulk: inout Bulk
  ) throws(Refusal) {
    switch operation {
    case .perform: try token.perform(try read(&request), client, &bulk)
    case .begin: try token.begin(try read(&request), client, &bulk)
    case .update: try token.update(try read(&request), client, &bulk)
    case .finish: try token.finish(try read(&request), client, &bulk)
    case .encryptMessage: try token.encryptMessage(try read(&request), client, &bulk, tag: &reply)
    case .decryptMessage: try token.decryptMessage(try read(&request), client, &bulk)
    case .wrapKey:
      let request: WrapKey = try read(&request)
      let wrapped = try refusing { () throws(ReturnValue) in try token.wrap(request, client) }
      guard UInt64(wrapped.count) <= bulk.outputCapacity else { throw Refusal(needing: wrapped.count) }
      try refusing { () throws(ReturnValue) in
        try wrapped.span.withUnsafeBytes { (bytes) throws(ReturnValue) in try bulk.writeOutput(bytes) }
      }
    case .unwrapKey:
      let request: MakeKey = try read(&request)
      try refusing { () throws(ReturnValue) in
        let wrapped = try bulk.readAllInput(limit: Token.wrappedKeyLimit, tooLong: .wrappedKeyLenRange)
        reply.u64(try token.unwrap(request, wrapped, client))
      }
    case .random: try refusing { () throws(ReturnValue) in try random(&bulk) }
    // The generator seeds itself from the kernel, and no client has a say in what others get.
    case .seedRandom: throw Refusal(.randomSeedNotSupported)
    default: try carryOutMessage(operation, client, &request, &reply)
    }
  }

  /// Reads a request that carries a secret and hands it to `body`; it is wiped then, whatever the outcome.
  private func carryingOut<Request: SecretRequest, R>(
    _ message: inout WireReader, _ body: (borrowing Request) throws(ReturnValue) -> R
  ) throws(Refusal) -> R {
    var request: Request
    do throws(WireError) { request = try Request(from: &message) } catch { throw Refusal(.argumentsBad) }
    defer { request.wipe() }
    guard message.remaining == 0 else { throw Refusal(.argumentsBad) }
    return try refusing { () throws(ReturnValue) in try body(request) }
  }

  /// The operations that have no bulk data.
  private func carryOutMessage(
    _ operation: TokenOperation, _ client: Client, _ request: inout WireReader, _ reply: inout WireWriter
  ) throws(Refusal) {
    switch operation {
    case .tokenInformation: token.information.write(to: &reply)
    case .initializeToken:
      try carryingOut(&request) { (request: InitializeToken) throws(ReturnValue) in try token.initialize(request) }
    case .initializePIN:
      try carryingOut(&request) { (request: InitializePIN) throws(ReturnValue) in
        try token.initializePIN(request, client)
      }
    case .setPIN:
      try carryingOut(&request) { (request: SetPIN) throws(ReturnValue) in try token.setPIN(request, client) }
    case .login:
      try carryingOut(&request) { (request: Login) throws(ReturnValue) in try token.logIn(request, client) }
    case .logout:
      let request: InSession = try read(&request)
      try refusing { () throws(ReturnValue) in try token.logOut(request, client) }
    case .closeSessions: token.closeSessions(try read(&request), client)
    case .createObject:
      reply.u64(
        try carryingOut(&request) { (request: TemplateRequest) throws(ReturnValue) in try token.create(request, client)
        })
    case .copyObject:
      let request: ObjectRequest = try read(&request)
      reply.u64(try refusing { () throws(ReturnValue) in try token.copy(request, client) })
    case .destroyObject:
      let request: ObjectRequest = try read(&request)
      try refusing { () throws(ReturnValue) in try token.destroy(request, client) }
    case .objectSize:
      let request: ObjectRequest = try read(&request)
      reply.u64(try refusing { () throws(ReturnValue) in try token.size(request, client) })
    case .getAttributes:
      let request: GetAttributes = try read(&request)
      try refusing { () throws(ReturnValue) in try token.read(request, client, &reply) }
    case .setAttributes:
      let request: ObjectRequest = try read(&request)
      try refusing { () throws(ReturnValue) in try token.change(request, client) }
    case .findObjects:
      let request: TemplateRequest = try read(&request)
      let handles = try refusing { () throws(ReturnValue) in try token.find(request, client) }
      reply.u32(UInt32(truncatingIfNeeded: handles.count))
      for handle in handles { reply.u64(handle) }
    case .describeKey:
      let request: ObjectRequest = try read(&request)
      try refusing { () throws(ReturnValue) in try token.describe(request, client) }.write(to: &reply)
    case .generateKey:
      let request: MakeKey = try read(&request)
      reply.u64(try refusing { () throws(ReturnValue) in try token.generate(request, client) })
    case .generateKeyPair:
      let request: MakeKeyPair = try read(&request)
      let (open, secret) = try refusing { () throws(ReturnValue) in try token.generatePair(request, client) }
      reply.u64(open)
      reply.u64(secret)
    case .deriveKey:
      let request: MakeKey = try read(&request)
      reply.u64(try refusing { () throws(ReturnValue) in try token.derive(request, client) })
    case .cancel: token.cancel(try read(&request), client)
    default: throw Refusal(.functionNotSupported)
    }
    if reply.overflowed { throw Refusal(.deviceMemory) }
  }

  /// The request's fields, all of them and nothing behind them.
  private func read<Request: TokenRequest>(_ reader: inout WireReader) throws(Refusal) -> Request {
    do throws(WireError) {
      let request = try Request(from: &reader)
      try reader.end()
      return request
    } catch {
      throw Refusal(.argumentsBad)
    }
  }

  private func random<Bulk: BulkTransfer & ~Copyable>(_ bulk: inout Bulk) throws(ReturnValue) {
    guard var left = Int(exactly: bulk.outputCapacity), left <= Self.randomLimit else { throw .argumentsBad }
    while left > 0 {
      let count = min(left, BulkPiece.inputByteCount)
      let room = try bulk.reserveOutput(count)
      try computing { () throws(CryptoError) in
        try randomBytes(into: UnsafeMutableRawBufferPointer(rebasing: room.prefix(count)))
      }
      try bulk.commitOutput(count)
      left -= count
    }
  }
}
