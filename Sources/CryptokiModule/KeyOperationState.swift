import CCryptoki
import CryptoCore
import Cryptoki
import Mechanisms
import ObjectInvoke
import TokenProtocol
import Wire

/// Whether an operation goes on after a call.
enum Progress {
  case active
  case ended
}

/// A multi-part operation with a public key.
final class LocalOperation {
  var operation: Operation

  init(_ operation: consuming Operation) { self.operation = operation }
}

/// An operation with a key, from its Init to its end: mechanism and key stay here until there is data, and go with it.
///
/// With a public key all of it happens here. With any other key, a single-part operation is one crossing, and so is a
/// multi-part signature or verification of little data, whose parts are gathered.
final class KeyOperationState {
  /// What goes to the secure world with the first data.
  @exclusivity(unchecked) private var held: HeldRequest
  let facts: MechanismFacts
  let key: KnownKey
  /// From when what is known of the key is.
  private let stamp: KeyCache.Stamp
  /// The signature that C_VerifySignatureInit was given; nil in an operation of C_VerifyInit.
  let givenSignature: [UInt8]?

  /// The request where it lies: to be lent, and not copied for each use.
  private struct HeldRequest: ~Copyable {
    var request: KeyOperation

    borrowing func write(to writer: inout WireWriter) { request.write(to: &writer) }

    borrowing func outputByteCount(_ facts: MechanismFacts, _ key: KnownKey, inputByteCount: Int) -> Int {
      Operation.outputByteCount(
        request.function, request.mechanism, facts, key.description, inputByteCount: inputByteCount)
    }
  }

  private enum Stage {
    /// No data yet, or all of it in `gathered`.
    case here
    /// The secure world has the operation.
    case away
    /// In progress here, with a public key.
    case local(LocalOperation)
  }

  // The session's lock is held by whoever works with an operation: there is nothing to check at run time.
  @exclusivity(unchecked) private var stage = Stage.here
  @exclusivity(unchecked) private var gathered: [UInt8] = []
  @exclusivity(unchecked) private var hasParts = false
  /// Bytes that a multi-part operation took in and gave out so far.
  @exclusivity(unchecked) private var taken = 0
  @exclusivity(unchecked) private var given = 0

  /// Parts are gathered up to this many bytes.
  private static let gatheringLimit = 16384

  init(
    _ function: KeyFunction, _ mechanism: consuming Mechanism, _ facts: MechanismFacts, _ key: KnownKey,
    _ stamp: KeyCache.Stamp, in session: Session, givenSignature: [UInt8]? = nil
  ) {
    self.function = function
    self.stamp = stamp
    held = HeldRequest(
      request: KeyOperation(session: session.reference, function: function, key: key.handle, mechanism: mechanism))
    self.facts = facts
    self.key = key
    options = facts.invokeOptions.with(key: key.handle)
    shape = facts.family.parameterShape
    self.givenSignature = givenSignature
  }

  private let function: KeyFunction
  /// How its crossings are waited for.
  private let options: InvokeOptions
  private let shape: ParameterShape

  /// Whether this is how an operation of that kind with that key, by that mechanism, would begin now.
  func isFit(for function: KeyFunction, _ mechanism: CK_MECHANISM_TYPE, _ key: UInt64, _ stamp: KeyCache.Stamp) -> Bool
  {
    self.function == function && self.key.handle == key && UInt(held.request.mechanism.type.rawValue) == mechanism
      && self.stamp == stamp && givenSignature == nil
  }

  /// Forgets what the operation was about, after its end.
  func rest() {
    // Associated data and labels may be long.
    switch facts.family {
    case .aesGCM, .rsaOAEP: held.request.mechanism.parameters = .none
    default: break
    }
    // A question for a length may have begun a local operation without giving it a part.
    if !hasParts, case .here = stage { return }
    (stage, gathered, hasParts, taken, given) = (.here, [], false, 0, 0)
  }

  /// Begins again, after `rest`, with the parameter of a mechanism of the same type.
  ///
  /// Throws CKR_MECHANISM_PARAM_INVALID for a parameter that is not the mechanism's.
  func restart(reading mechanism: UnsafeMutablePointer<CK_MECHANISM>) throws(ReturnValue) {
    // Without a parameter there is nothing that is not as it was.
    if mechanism.pointee.ulParameterLen == 0, shape == .none { return }
    let parameters = try MechanismParameters(reading: mechanism, shape)
    try facts.checkParameters(parameters, for: function.mechanismFlag)
    held.request.mechanism.parameters = consume parameters
  }

  /// Throws CKR_KEY_FUNCTION_NOT_PERMITTED when the plaintext may go into restricted buffers only.
  private func checkOutputIsPermitted() throws(ReturnValue) {
    if function == .decrypt, key.description.usage.contains(.restrictedOutput) { throw .keyFunctionNotPermitted }
  }

  /// Whether giving it up needs a word to the secure world.
  var isAway: Bool {
    if case .away = stage { true } else { false }
  }

  // MARK: Single-part

  /// C_Encrypt, C_Decrypt, C_Sign. Throws CKR_OPERATION_ACTIVE when parts were given before.
  func perform(
    _ input: UnsafeRawBufferPointer, into output: OutputBuffer, in session: Session
  ) throws(ReturnValue) -> Progress {
    guard !hasParts else { throw .operationActive }
    return try complete(input, into: output, in: session)
  }

  /// C_Verify, C_VerifySignature. Throws CKR_OPERATION_ACTIVE when parts were given before.
  func verify(
    _ data: UnsafeRawBufferPointer, _ signature: UnsafeRawBufferPointer, in session: Session
  ) throws(ReturnValue) -> Progress {
    guard !hasParts else { throw .operationActive }
    return try completeVerification(data, signature, in: session)
  }

  private func complete(
    _ input: UnsafeRawBufferPointer, into output: OutputBuffer, in session: Session
  ) throws(ReturnValue) -> Progress {
    try checkOutputIsPermitted()
    let bound = wholeBound(input.count)
    if try output.settlesWithoutWork(bound) { return .active }
    let memory = output.memory(limit: bound.byteCount)
    if key.isPublic {
      var operation = try Operation(
        function: function, mechanism: held.request.mechanism, facts: facts, key: try key.parsed())
      let first = try operation.update(input, into: memory)
      let last = try operation.finish(into: UnsafeMutableRawBufferPointer(rebasing: memory[first...]))
      output.setCount(first + last)
      return .ended
    }
    session.announce()
    try transfer(.perform, writing: { held.write(to: &$0) }, input, memory, output, in: session)
    return .ended
  }

  private func completeVerification(
    _ data: UnsafeRawBufferPointer, _ signature: UnsafeRawBufferPointer, in session: Session
  ) throws(ReturnValue) -> Progress {
    if key.isPublic {
      var operation = try Operation(
        function: function, mechanism: held.request.mechanism, facts: facts, key: try key.parsed())
      _ = try operation.update(data, into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
      try operation.finishVerification(signature)
      return .ended
    }
    guard let signatureByteCount = UInt32(exactly: signature.count) else { throw .signatureLenRange }
    session.announce()
    var request = held.request
    request.signatureByteCount = signatureByteCount
    try send(.perform, request, InputSegments(data, signature), in: session)
    return .ended
  }

  // MARK: Multi-part

  /// C_EncryptUpdate, C_DecryptUpdate.
  func update(
    _ input: UnsafeRawBufferPointer, into output: OutputBuffer, in session: Session
  ) throws(ReturnValue) -> Progress {
    if key.isPublic {
      let local = try localOperation()
      let bound = OutputBound.exactly(local.operation.updateByteCount(for: input.count))
      if try output.settlesWithoutWork(bound) { return .active }
      hasParts = true
      output.setCount(try local.operation.update(input, into: output.memory(limit: bound.byteCount)))
      return .active
    }
    try checkOutputIsPermitted()
    let bound = updateBound(input.count)
    if try output.settlesWithoutWork(bound) { return .active }
    let memory = output.memory(limit: bound.byteCount)
    hasParts = true
    if isAway {
      let request = ContinueOperation(session: session.announced(), function: function)
      try transfer(.update, writing: { request.write(to: &$0) }, input, memory, output, in: session)
    } else {
      session.announce()
      try transfer(.begin, writing: { held.write(to: &$0) }, input, memory, output, in: session)
      stage = .away
    }
    taken = taken.saturatingAdd(input.count)
    given = given.saturatingAdd(output.byteCount)
    return .active
  }

  /// C_SignUpdate, C_VerifyUpdate, C_VerifySignatureUpdate.
  func feed(_ input: UnsafeRawBufferPointer, in session: Session) throws(ReturnValue) -> Progress {
    hasParts = true
    if key.isPublic {
      _ = try localOperation().operation.update(input, into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
      return .active
    }
    if !isAway {
      if input.count <= Self.gatheringLimit - gathered.count {
        gathered.append(contentsOf: input)
        return .active
      }
      session.announce()
      try gathered.withRawBytes { (first) throws(ReturnValue) in
        try send(.begin, held.request, InputSegments(first, input), in: session)
      }
      stage = .away
      gathered = []
      return .active
    }
    let next = ContinueOperation(session: session.announced(), function: function)
    try send(.update, next, InputSegments(input), in: session)
    return .active
  }

  /// C_EncryptFinal, C_DecryptFinal, C_SignFinal.
  func finish(into output: OutputBuffer, in session: Session) throws(ReturnValue) -> Progress {
    switch stage {
    case .local(let local):
      let bound = OutputBound(byteCount: local.operation.finishByteCount, isExact: finishIsExact)
      if try output.settlesWithoutWork(bound) { return .active }
      output.setCount(try local.operation.finish(into: output.memory(limit: bound.byteCount)))
      return .ended
    case .here:
      let input = gathered
      return try input.withRawBytes { (input) throws(ReturnValue) in
        try complete(input, into: output, in: session)
      }
    case .away:
      let bound = finishBound
      if try output.settlesWithoutWork(bound) { return .active }
      let request = ContinueOperation(session: session.announced(), function: function)
      let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
      let memory = output.memory(limit: bound.byteCount)
      try transfer(.finish, writing: { request.write(to: &$0) }, nothing, memory, output, in: session)
      return .ended
    }
  }

  /// C_VerifyFinal, C_VerifySignatureFinal.
  func finishVerification(_ signature: UnsafeRawBufferPointer, in session: Session) throws(ReturnValue) -> Progress {
    switch stage {
    case .local(let local): try local.operation.finishVerification(signature)
    case .here:
      let data = gathered
      return try data.withRawBytes { (data) throws(ReturnValue) in
        try completeVerification(data, signature, in: session)
      }
    case .away:
      let request = ContinueOperation(session: session.announced(), function: function)
      try send(.finish, request, InputSegments(signature), in: session)
    }
    return .ended
  }

  private func localOperation() throws(ReturnValue) -> LocalOperation {
    if case .local(let local) = stage { return local }
    let local = LocalOperation(
      try Operation(function: function, mechanism: held.request.mechanism, facts: facts, key: try key.parsed()))
    stage = .local(local)
    return local
  }

  // MARK: Crossings

  /// One crossing with output. Throws CKR_BUFFER_TOO_SMALL, with the operation where it was and the need told.
  @inline(__always)
  private func transfer(
    _ operation: TokenOperation, writing write: (inout WireWriter) -> Void, _ input: UnsafeRawBufferPointer,
    _ memory: UnsafeMutableRawBufferPointer, _ output: OutputBuffer, in session: Session
  ) throws(ReturnValue) {
    let answer = try separated(input, from: memory) { (input) throws(ReturnValue) in
      try session.slot.transfer(
        operation, writing: write, input: InputSegments(input), output: memory, options: options)
    }
    switch answer {
    case .done(let byteCount): output.setCount(byteCount)
    case .tooSmall(let byteCount):
      output.setCount(byteCount)
      throw .bufferTooSmall
    }
  }

  /// One crossing without output.
  private func send<Request: TokenRequest>(
    _ operation: TokenOperation, _ request: Request, _ input: InputSegments, in session: Session
  ) throws(ReturnValue) {
    let nothing = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    let answer = try session.slot.transfer(
      operation, request, input: input, output: nothing, options: options)
    guard case .done = answer else { throw .deviceError }
  }

  // MARK: Counts

  private func wholeBound(_ inputByteCount: Int) -> OutputBound {
    OutputBound(
      byteCount: held.outputByteCount(facts, key, inputByteCount: inputByteCount),
      isExact: finishIsExact)
  }

  /// Only CBC with padding, RSA and padded key wrap give less than is known before.
  private var finishIsExact: Bool {
    guard function == .decrypt else { return true }
    switch facts.family {
    case .aesCBCPad, .rsaPKCS, .rsaOAEP, .aesKeyWrapPadded: return false
    default: return true
    }
  }

  private func updateBound(_ inputByteCount: Int) -> OutputBound {
    let pending = (taken - given).saturatingAdd(inputByteCount)
    switch facts.family {
    case .aesECB, .aesCBC: return .exactly(pending & ~15)
    case .aesCBCPad:
      // The last block may be padding: it is held back until more comes.
      return .exactly(function == .decrypt ? max(pending - 1, 0) & ~15 : pending & ~15)
    case .aesGCM: return .exactly(function == .decrypt ? 0 : inputByteCount)
    case .aesCTR: return .exactly(inputByteCount)
    default: return .exactly(0)
    }
  }

  /// Of an operation that is away.
  private var finishBound: OutputBound {
    switch (function, facts.family) {
    case (_, .aesECB), (_, .aesCBC), (_, .aesCTR): return .exactly(0)
    case (.encrypt, .aesCBCPad): return .exactly(16)
    case (.decrypt, .aesCBCPad): return .atMost(15)
    case (.encrypt, .aesGCM): return .exactly(wholeBound(0).byteCount)
    default: return wholeBound(taken)
    }
  }
}

extension MechanismFacts {
  /// Whether the secure world needs longer for it than a thread needs to wake up.
  var invokeOptions: InvokeOptions {
    switch family {
    case .rsaPKCS, .rsaRaw, .rsaPSS, .rsaOAEP, .ecdsa, .edDSA, .ecdh, .generateKeyPair: .long
    default: []
    }
  }
}

/// Lends `input`, or a copy of it where `output` would overwrite bytes of it before they are read. The same start is
/// allowed by the specification and needs no copy, since output never runs ahead of input.
func separated<R>(
  _ input: UnsafeRawBufferPointer, from output: UnsafeMutableRawBufferPointer,
  _ body: (UnsafeRawBufferPointer) throws(ReturnValue) -> R
) throws(ReturnValue) -> R {
  guard let source = input.baseAddress, let destination = output.baseAddress.map({ UnsafeRawPointer($0) }),
    source != destination, source < destination + output.count, destination < source + input.count
  else { return try body(input) }
  let copy = [UInt8](input)
  return try copy.withRawBytes(body)
}
