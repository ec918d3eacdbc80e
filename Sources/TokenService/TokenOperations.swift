import CryptoCore
import Cryptoki
import Mechanisms
import TokenProtocol

/// CKR_BUFFER_TOO_SMALL with the count of bytes that would do, or another refusal.
struct Refusal: Error {
  let value: ReturnValue
  var neededByteCount: UInt64?

  init(_ value: ReturnValue) { self.value = value }

  /// The output needs so many bytes.
  init(needing count: Int) {
    value = .bufferTooSmall
    neededByteCount = UInt64(count)
  }
}

/// An operation that was admitted, and what is known of its mechanism and key.
struct StartedOperation: ~Copyable {
  var operation: Operation
  let facts: AdmittedKey.Facts
}

/// Encryption, decryption, signatures and verification with the token's keys (PKCS#11 3.2, 5.8 to 5.15).
extension Token {
  // MARK: Admission

  /// An operation with a key of the token, once everything that could forbid it has been looked at.
  @inline(__always)
  func start(
    _ function: KeyFunction, _ key: UInt64, _ mechanism: borrowing Mechanism, in session: SessionReference,
    _ client: Client
  ) throws(Refusal) -> StartedOperation {
    do throws(ReturnValue) {
      let admitted = try admit(
        Intention(function: function, key: key, mechanism: mechanism.type), client, in: session)
      let facts = admitted.facts
      try facts.mechanism.checkParameters(mechanism.parameters, for: function.mechanismFlag)
      return StartedOperation(
        operation: try Operation(function: function, mechanism: mechanism, facts: facts.mechanism, key: admitted.key),
        facts: facts)
    } catch {
      throw Refusal(error)
    }
  }

  /// Uses up the context-specific login that a key with CKA_ALWAYS_AUTHENTICATE asks for.
  func useAuthorization(
    _ function: KeyFunction, _ key: UInt64, in session: SessionReference, _ client: Client
  ) throws(ReturnValue) {
    let wanted = Client.Authorization(function: function, key: key)
    let number = session.number
    try client.withState { (state) throws(ReturnValue) in
      guard state.sessions[number]?.authorized == wanted else { throw .userNotLoggedIn }
      state.sessions[number]?.authorized = nil
    }
  }

  /// The key and use-cases for a decryption into restricted buffers, once everything that could forbid it but the want of a
  /// context-specific login has been looked at, and the number of the login that the key needs. An empty set admits all
  /// use-cases.
  func restrictedDecryption(
    _ request: KeyOperation, _ client: Client
  ) throws(ReturnValue) -> (key: Object, facts: MechanismFacts, useCases: Set<UInt32>, loginNumber: UInt64?) {
    // Read before the key: a login that follows is not the one that it was found under.
    let loginNumber = client.reading { $0.loginNumber }
    let key = try object(request.key, for: client, in: request.session, .keyHandleInvalid)
    guard let description = key.description else { throw .keyHandleInvalid }
    let facts = try KeyPolicy.check(description, request.mechanism, for: .decrypt, usage: .decrypt)
    guard !key.isRestricted || !facts.family.revealsPadding else { throw .keyFunctionNotPermitted }
    // A number that no use-case has stays one: without it the list might be empty, which means all of them.
    let useCases = (key.attributes.ulongs(.strongroomUseCases) ?? []).map { UInt32(clamping: $0) }
    return (key, facts, Set(useCases), key.isPrivate ? loginNumber : nil)
  }

  /// A decryption into restricted buffers, which is not in its session yet and has no context-specific login.
  func startRestricted(_ request: KeyOperation, _ client: Client) throws(ReturnValue) -> ActiveOperation {
    let (key, facts, useCases, loginNumber) = try restrictedDecryption(request, client)
    return ActiveOperation(
      try Operation(
        function: .decrypt, mechanism: request.mechanism, facts: facts, key: try self.key(of: key)),
      .restrictedDecryption, loginNumber: loginNumber, useCases: useCases)
  }

  // MARK: Whole operations

  /// `perform`.
  func perform<Bulk: BulkTransfer & ~Copyable>(
    _ request: borrowing KeyOperation, _ client: Client, _ bulk: inout Bulk
  ) throws(Refusal) {
    let function = request.function
    var started = try start(function, request.key, request.mechanism, in: request.session, client)
    let signatureByteCount = UInt64(request.signatureByteCount)
    if function == .verify {
      guard signatureByteCount <= bulk.inputByteCount else { throw Refusal(.argumentsBad) }
      guard signatureByteCount <= Self.longestSignature else { throw Refusal(.signatureLenRange) }
    } else {
      // Before a context-specific login is used up, and before anything is computed in vain, where the count is exact or so
      // far off that no outcome would fit.
      guard let inputCount = Int(exactly: bulk.inputByteCount) else { throw Refusal(.dataLenRange) }
      let most = Operation.outputByteCount(
        function, request.mechanism, started.facts.mechanism, keySize: started.facts.keySize, inputByteCount: inputCount
      )
      let family = started.facts.mechanism.family
      if family.isSymmetric || function == .sign {
        let least = function == .decrypt && family.cutsPadding ? max(0, most - 16) : most
        if UInt64(least) > bulk.outputCapacity { throw Refusal(needing: most) }
      } else if function == .decrypt, started.facts.asksForPIN {
        // Room for the longest plaintext, not for this one: how long it is would be told as often as somebody asks, for one PIN.
        let longest = started.operation.finishByteCount
        if UInt64(longest) > bulk.outputCapacity { throw Refusal(needing: longest) }
      }
    }
    if started.facts.asksForPIN {
      do throws(ReturnValue) {
        try useAuthorization(function, request.key, in: request.session, client)
      } catch {
        throw Refusal(error)
      }
    }
    let login = started.facts.loginNumber
    var counted = 0
    defer { client.letGo(counted) }
    if function == .verify {
      try feed(
        &started.operation, &bulk, byteCount: bulk.inputByteCount - signatureByteCount, client, request.session,
        loginNumber: login, &counted)
      return try finishVerification(&started.operation, Int(signatureByteCount), &bulk)
    }
    try feed(
      &started.operation, &bulk, byteCount: bulk.inputByteCount, client, request.session, loginNumber: login,
      &counted)
    var last: SecretBytes?
    try end(&started.operation, &last, &bulk)
  }

  /// Bytes of a signature that is looked at.
  private static let longestSignature: UInt64 = 1 << 14

  private func finishVerification<Bulk: BulkTransfer & ~Copyable>(
    _ operation: inout Operation, _ count: Int, _ bulk: inout Bulk
  ) throws(Refusal) {
    try refusing { () throws(ReturnValue) in
      var signature: [UInt8] = []
      signature.reserveCapacity(count)
      while signature.count < count {
        let piece = try bulk.nextInput(atMost: count - signature.count)
        guard !piece.isEmpty else { throw .argumentsBad }
        signature.append(contentsOf: piece)
      }
      try signature.span.withUnsafeBytes { (signature) throws(ReturnValue) in
        try operation.finishVerification(signature)
      }
    }
  }

  /// Feeds the next `byteCount` bytes of the input to the operation, and what that yields to the output. What the
  /// operation holds back or gathers counts against the client's quota, and in `counted`. A long one ends with the session
  /// and the login, as one in parts does.
  func feed<Bulk: BulkTransfer & ~Copyable>(
    _ operation: inout Operation, _ bulk: inout Bulk, byteCount: UInt64, _ client: Client, _ session: SessionReference,
    loginNumber: UInt64?, _ counted: inout Int
  ) throws(Refusal) {
    try refusing { () throws(ReturnValue) in
      try feed(&operation, &bulk, byteCount: byteCount) { (held) throws(ReturnValue) in
        try client.withState { (state) throws(ReturnValue) in
          try state.checkGoesOn(in: session.number, loginNumber: loginNumber)
          try state.count(held, insteadOf: &counted)
        }
      }
    }
  }

  /// The same for an operation that other threads may end meanwhile.
  private func feed<Bulk: BulkTransfer & ~Copyable>(
    _ active: ActiveOperation, _ bulk: inout Bulk, _ client: Client
  ) throws(Refusal) {
    try refusing { () throws(ReturnValue) in
      try feed(&active.operation, &bulk, byteCount: bulk.inputByteCount) { (held) throws(ReturnValue) in
        try client.withState { (state) throws(ReturnValue) in
          try state.count(held, for: active)
        }
      }
    }
  }

  /// `count` is told what the operation holds when that changes, and after each piece of a long input: it may throw what
  /// ends the operation.
  @inline(__always)
  private func feed<Bulk: BulkTransfer & ~Copyable>(
    _ operation: inout Operation, _ bulk: inout Bulk, byteCount: UInt64, count: (Int) throws(ReturnValue) -> Void
  ) throws(ReturnValue) {
    let isLong = byteCount > UInt64(BulkPiece.inputByteCount)
    var left = byteCount
    var held = operation.holdsInput ? operation.heldByteCount : 0
    while left > 0 {
      let piece = try bulk.nextInput(atMost: Int(min(left, UInt64(BulkPiece.inputByteCount))))
      guard !piece.isEmpty, UInt64(piece.count) <= left else { throw .argumentsBad }
      left -= UInt64(piece.count)
      let room = operation.updateByteCount(for: piece.count)
      if room == 0 {
        _ = try operation.update(piece, into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
      } else {
        let memory = try bulk.reserveOutput(room)
        try bulk.commitOutput(try operation.update(piece, into: memory))
      }
      if isLong || operation.holdsInput && operation.heldByteCount != held {
        held = operation.heldByteCount
        try count(held)
      }
    }
  }

  /// Ends an operation: its last bytes go to the output if they fit, and are kept otherwise.
  private func end<Bulk: BulkTransfer & ~Copyable>(
    _ operation: inout Operation, _ lastBytes: inout SecretBytes?, _ bulk: inout Bulk
  ) throws(Refusal) {
    let written = bulk.outputByteCount
    let room = bulk.outputCapacity - min(bulk.outputCapacity, written)
    if operation.withholdsOutput || operation.function == .sign || operation.function == .encrypt {
      let count = operation.finishByteCount
      guard UInt64(count) <= room else { throw Refusal(needing: count.saturatingAdd(Int(clamping: written))) }
      try refusing { () throws(ReturnValue) in
        guard !operation.withholdsOutput else {
          return try operation.finishWithheld { (piece: UnsafeRawBufferPointer) throws(ReturnValue) in
            try bulk.writeOutput(piece)
          }
        }
        guard count > 0 else {
          _ = try operation.finish(into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
          return
        }
        guard !operation.readsOutputBack else { return try finishApart(&operation, count, &bulk) }
        let memory = try bulk.reserveOutput(count)
        try bulk.commitOutput(try operation.finish(into: memory))
      }
      return
    }
    // Only the end itself tells how long a decryption's last bytes are.
    let last = try refusing { () throws(ReturnValue) -> SecretBytes in
      if let known = lastBytes { return known }
      return try SecretBytes(count: operation.finishByteCount) { (room) throws(ReturnValue) in
        try operation.finish(into: room)
      }
    }
    guard UInt64(last.count) <= room else {
      lastBytes = last
      throw Refusal(needing: last.count.saturatingAdd(Int(clamping: written)))
    }
    try refusing { () throws(ReturnValue) in
      try last.withBytes { (last) throws(ReturnValue) in try bulk.writeOutput(last) }
    }
  }

  /// Writes an operation's last bytes, at most `count`, to memory that no client sees, and then to the output.
  ///
  /// Signatures and key wrap read back what they have written. A client that changed it in between would have, of an EdDSA
  /// signature, the key.
  private func finishApart<Bulk: BulkTransfer & ~Copyable>(
    _ operation: inout Operation, _ count: Int, _ bulk: inout Bulk
  ) throws(ReturnValue) {
    var failure: ReturnValue?
    withUnsafeTemporaryAllocation(byteCount: count, alignment: 16) { memory in
      do throws(ReturnValue) {
        let written = try operation.finish(into: memory)
        try bulk.writeOutput(UnsafeRawBufferPointer(rebasing: memory[..<written]))
      } catch {
        failure = error
      }
      wipe(memory)
    }
    if let failure { throw failure }
  }

  // MARK: Parts

  /// `begin`: starts a multi-part operation and feeds it the input.
  func begin<Bulk: BulkTransfer & ~Copyable>(
    _ request: KeyOperation, _ client: Client, _ bulk: inout Bulk
  ) throws(Refusal) {
    let isActive = client.reading { $0.isActive(.function(request.function), in: request.session.number) }
    guard !isActive else { throw Refusal(.operationActive) }
    let started = try start(request.function, request.key, request.mechanism, in: request.session, client)
    try checkRoom(for: started.operation, bulk)
    let facts = started.facts
    if facts.asksForPIN {
      try refusing { () throws(ReturnValue) in
        try useAuthorization(request.function, request.key, in: request.session, client)
      }
    }
    let active = ActiveOperation(started.operation, .function(request.function), loginNumber: facts.loginNumber)
    do throws(Refusal) {
      try feed(active, &bulk, client)
      try refusing { () throws(ReturnValue) in
        try client.withState { (state) throws(ReturnValue) in
          try state.place(active, in: request.session.number)
        }
      }
    } catch {
      client.reading { $0.release(active) }
      throw error
    }
  }

  /// `update`.
  func update<Bulk: BulkTransfer & ~Copyable>(
    _ request: ContinueOperation, _ client: Client, _ bulk: inout Bulk
  ) throws(Refusal) {
    try working(request, client, ends: false) { (active) throws(Refusal) in
      guard active.lastBytes == nil else { throw Refusal(.operationActive) }
      try checkRoom(for: active.operation, bulk)
      try feed(active, &bulk, client)
    }
  }

  /// `finish`.
  func finish<Bulk: BulkTransfer & ~Copyable>(
    _ request: ContinueOperation, _ client: Client, _ bulk: inout Bulk
  ) throws(Refusal) {
    try working(request, client, ends: true) { (active) throws(Refusal) in
      if request.function == .verify {
        let count = bulk.inputByteCount
        guard count <= Self.longestSignature else { throw Refusal(.signatureLenRange) }
        try finishVerification(&active.operation, Int(count), &bulk)
      } else {
        try end(&active.operation, &active.lastBytes, &bulk)
      }
    }
  }

  /// `cancel`.
  func cancel(_ request: CancelOperations, _ client: Client) {
    client.reading { state in
      for function in request.functions {
        state.end(.function(function), in: request.session.number)
        if function == .decrypt { state.end(.restrictedDecryption, in: request.session.number) }
      }
      state.sessions[request.session.number]?.authorized = nil
    }
  }

  private func checkRoom<Bulk: BulkTransfer & ~Copyable>(
    for operation: borrowing Operation, _ bulk: borrowing Bulk
  ) throws(Refusal) {
    guard let inputCount = Int(exactly: bulk.inputByteCount) else { throw Refusal(.dataLenRange) }
    let count = operation.updateByteCount(for: inputCount)
    guard UInt64(count) <= bulk.outputCapacity else { throw Refusal(needing: count) }
  }

  /// Works with the session's operation. Any error but CKR_BUFFER_TOO_SMALL ends it (5.2), unless it is that another
  /// thread is working with it; with `ends` success does, too.
  private func working(
    _ request: ContinueOperation, _ client: Client, ends: Bool, _ body: (ActiveOperation) throws(Refusal) -> Void
  ) throws(Refusal) {
    let number = request.session.number
    let active = try refusing { () throws(ReturnValue) in
      try client.withState { (state) throws(ReturnValue) in try state.take(.function(request.function), in: number) }
    }
    defer { active.release() }
    do throws(Refusal) {
      try body(active)
    } catch {
      if error.value != .bufferTooSmall { client.reading { $0.end(active, in: number) } }
      throw error
    }
    if ends { client.reading { $0.end(active, in: number) } }
  }
}

/// Runs `body` and folds its error into a refusal.
@inline(__always)
func refusing<R: ~Copyable>(_ body: () throws(ReturnValue) -> R) throws(Refusal) -> R {
  do throws(ReturnValue) {
    return try body()
  } catch {
    throw Refusal(error)
  }
}
