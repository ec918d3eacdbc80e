import CCryptoki
import Cryptoki
import Mechanisms
import ObjectInvoke
import TokenProtocol
import Wire

/// A message-based encryption or decryption, from its Init to its Final (PKCS#11 3.2, 5.9 and 5.11).
///
/// Whole messages are one crossing each. A message in parts is an operation of the secure world from its first part on.
struct MessageOperationState {
  let function: KeyFunction
  let key: KnownKey
  var parts: Parts?

  /// A message in parts. Apart from the rest, which is looked at with each whole message.
  final class Parts {
    let mechanism: Mechanism
    /// Whether the secure world has it.
    var isAway = false
    /// Bytes that it has taken in.
    var taken = 0
    /// Whether all of the message and, of a decryption, the tag have been given.
    var isComplete = false

    init(mechanism: Mechanism) { self.mechanism = mechanism }
  }
}

extension SessionOperations {
  subscript(messages function: KeyFunction) -> MessageOperationState? {
    get { function == .encrypt ? messageEncrypt : messageDecrypt }
    set { if function == .encrypt { messageEncrypt = newValue } else { messageDecrypt = newValue } }
  }
}

extension KeyFunction {
  /// The flag that a mechanism needs for messages.
  fileprivate var messageFlag: MechanismFlags { self == .encrypt ? .messageEncrypt : .messageDecrypt }
}

extension Session {
  /// C_MessageEncryptInit, C_MessageDecryptInit. The parameter of the mechanism is not looked at: each message brings its own.
  func beginMessages(
    _ function: KeyFunction, _ operations: inout SessionOperations, _ mechanism: UnsafeMutablePointer<CK_MECHANISM>?,
    _ handle: CK_OBJECT_HANDLE
  ) throws(ReturnValue) {
    guard let mechanism else { return endMessages(function, &operations) }
    guard operations[messages: function] == nil else { throw .operationActive }
    guard let number = UInt32(exactly: mechanism.pointee.mechanism),
      let facts = MechanismTable.facts(MechanismType(rawValue: number)), facts.flags.contains(function.messageFlag)
    else { throw .mechanismInvalid }
    let key = try slot.keys.find(UInt64(handle), in: self, &operations.recentKey)
    // What a message will be checked by, with parameters that are always good.
    let any = Mechanism(facts.type, .gcm(iv: ShortBytes([UInt8](repeating: 0, count: 12)), aad: [], tagBitCount: 128))
    try KeyPolicy.check(key.description, any, for: function.messageFlag, usage: function.usage)
    if key.description.usage.contains(.restrictedOutput) { throw .keyFunctionNotPermitted }
    operations[messages: function] = MessageOperationState(function: function, key: key)
  }

  /// C_MessageEncryptFinal, C_MessageDecryptFinal. Throws CKR_OPERATION_ACTIVE in the middle of a message in parts.
  func finishMessages(_ function: KeyFunction, _ operations: inout SessionOperations) throws(ReturnValue) {
    guard let state = operations[messages: function] else { throw .operationNotInitialized }
    guard state.parts == nil else { throw .operationActive }
    operations[messages: function] = nil
  }

  /// Gives the operation up, with a message that is under way.
  func endMessages(_ function: KeyFunction, _ operations: inout SessionOperations) {
    endParts(function, &operations)
    operations[messages: function] = nil
  }

  private func endParts(_ function: KeyFunction, _ operations: inout SessionOperations) {
    guard let parts = operations[messages: function]?.parts else { return }
    operations[messages: function]?.parts = nil
    guard parts.isAway, !slot.connection.isDead else { return }
    // It may have ended there by itself: an error is no news.
    try? slot.request(.cancel, CancelOperations(session: announcedForMessages(), functions: [function]))
  }

  // MARK: Whole messages

  /// C_EncryptMessage, C_DecryptMessage.
  func message(
    _ function: KeyFunction, _ operations: inout SessionOperations, _ parameters: MessageParameters,
    _ associated: UnsafeRawBufferPointer, _ input: UnsafeRawBufferPointer, into output: OutputBuffer
  ) throws(ReturnValue) {
    guard let state = operations[messages: function] else { throw .operationNotInitialized }
    guard state.parts == nil else { throw .operationActive }
    if try output.settlesWithoutWork(.exactly(input.count)) { return }
    if function == .encrypt { try parameters.makeIV(for: state.key.handle, in: slot) }
    let request = MessageOperation(
      session: announced(), key: state.key.handle, mechanism: parameters.mechanism,
      associatedByteCount: UInt64(associated.count), tag: function == .encrypt ? ShortBytes() : parameters.tag)
    let memory = output.memory(limit: input.count)
    let count = try separated(input, from: memory) { (input) throws(ReturnValue) -> Int in
      var tag = ShortBytes()
      let answer = try slot.connection.invoke(
        slot.token,
        (function == .encrypt ? TokenOperation.encryptMessage : TokenOperation.decryptMessage).rawValue,
        options: .outputWithLast,
        input: InputSegments(associated, input), output: memory, writing: { request.write(to: &$0) }
      ) { (result, reader) throws(WireError) in
        if result == 0, function == .encrypt { tag = try reader.shortBytes() }
      }
      guard answer.result == 0 else { throw Self.failure(ReturnValue(rawValue: UInt(answer.result)), of: function) }
      if function == .encrypt { try parameters.setTag(tag) }
      return answer.outputByteCount
    }
    output.setCount(count)
  }

  /// A tag that does not match has an answer of its own in these functions.
  private static func failure(_ value: ReturnValue, of function: KeyFunction) -> ReturnValue {
    function == .decrypt && value == .encryptedDataInvalid ? .aeadDecryptFailed : value
  }

  // MARK: Messages in parts

  /// C_EncryptMessageBegin, C_DecryptMessageBegin: nothing crosses before there is data.
  func beginParts(
    _ function: KeyFunction, _ operations: inout SessionOperations, _ parameters: MessageParameters,
    _ associated: UnsafeRawBufferPointer
  ) throws(ReturnValue) {
    guard let state = operations[messages: function] else { throw .operationNotInitialized }
    guard state.parts == nil else { throw .operationActive }
    if function == .encrypt { try parameters.makeIV(for: state.key.handle, in: slot) }
    let mechanism = parameters.mechanism(authenticating: associated)
    guard let facts = MechanismTable.facts(mechanism.type) else { throw .mechanismInvalid }
    try facts.checkParameters(mechanism.parameters, for: function.messageFlag)
    operations[messages: function]?.parts = MessageOperationState.Parts(mechanism: mechanism)
  }

  /// C_EncryptMessageNext, C_DecryptMessageNext. Parts of a decryption give nothing until the last, which gives the whole
  /// plaintext once the tag has been verified.
  func nextPart(
    _ function: KeyFunction, _ operations: inout SessionOperations, _ parameters: MessageParameters,
    _ input: UnsafeRawBufferPointer, into output: OutputBuffer, isLast: Bool
  ) throws(ReturnValue) {
    guard let state = operations[messages: function], let parts = state.parts else { throw .operationNotInitialized }
    let total = parts.isComplete ? parts.taken : parts.taken.saturatingAdd(input.count)
    let bound = function == .encrypt ? input.count : isLast ? total : 0
    if try output.settlesWithoutWork(.exactly(bound)) { return }
    do throws(ReturnValue) {
      let memory = output.memory(limit: bound)
      var count = 0
      if !parts.isComplete {
        count = try give(
          input, function, state.key, parts, function == .encrypt ? memory : .init(start: nil, count: 0))
        parts.taken = total
      }
      guard isLast else { return output.setCount(count) }
      if function == .encrypt {
        try parameters.setTag(ShortBytes(try finishEncryption()))
      } else {
        if !parts.isComplete {
          _ = try parameters.tag.withUnsafeBytes { (tag) throws(ReturnValue) in
            try give(tag, function, state.key, parts, UnsafeMutableRawBufferPointer(start: nil, count: 0))
          }
          parts.isComplete = true
        }
        count = try finishDecryption(into: memory)
      }
      output.setCount(count)
      operations[messages: function]?.parts = nil
    } catch {
      if error != .bufferTooSmall { endParts(function, &operations) }
      throw Self.failure(error, of: function)
    }
  }

  private func give(
    _ input: UnsafeRawBufferPointer, _ function: KeyFunction, _ key: KnownKey,
    _ parts: MessageOperationState.Parts,
    _ memory: UnsafeMutableRawBufferPointer
  ) throws(ReturnValue) -> Int {
    let transfer = try separated(input, from: memory) { (input) throws(ReturnValue) -> Transfer in
      if parts.isAway {
        return try slot.transfer(
          .update, ContinueOperation(session: announcedForMessages(), function: function),
          input: InputSegments(input), output: memory)
      }
      return try slot.transfer(
        .begin,
        KeyOperation(
          session: announcedForMessages(), function: function, key: key.handle, mechanism: parts.mechanism),
        input: InputSegments(input), output: memory)
    }
    parts.isAway = true
    guard case .done(let count) = transfer else { throw .deviceError }
    return count
  }

  private func finishEncryption() throws(ReturnValue) -> [UInt8] {
    var tag = [UInt8](repeating: 0, count: 16)
    var span = tag.mutableSpan
    let transfer = try span.withUnsafeMutableBytes { (memory) throws(ReturnValue) in
      try slot.transfer(
        .finish, ContinueOperation(session: announcedForMessages(), function: .encrypt), output: memory)
    }
    guard case .done(let count) = transfer else { throw .deviceError }
    return Array(tag.prefix(count))
  }

  private func finishDecryption(into memory: UnsafeMutableRawBufferPointer) throws(ReturnValue) -> Int {
    let transfer = try slot.transfer(
      .finish, ContinueOperation(session: announcedForMessages(), function: .decrypt), output: memory)
    guard case .done(let count) = transfer else { throw .bufferTooSmall }
    return count
  }
}
