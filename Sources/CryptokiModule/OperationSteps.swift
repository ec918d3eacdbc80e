import CCryptoki
import Cryptoki
import Mechanisms
import TokenProtocol

extension Session {
  /// C_EncryptInit, C_DecryptInit, C_SignInit, C_VerifyInit and C_VerifySignatureInit.
  ///
  /// Everything that forbids the operation is answered now, from what is known of the key; the secure world decides
  /// again with the data. A NULL mechanism gives up the operation that is active.
  func begin(
    _ function: KeyFunction, _ operations: inout SessionOperations, _ mechanism: UnsafeMutablePointer<CK_MECHANISM>?,
    _ handle: CK_OBJECT_HANDLE, givenSignature: [UInt8]? = nil
  ) throws(ReturnValue) {
    guard let pointer = mechanism else { return giveUp([function], &operations) }
    guard !operations.isActive(function) else { throw .operationActive }
    let stamp = keyClock.now
    // The key is as it was, so only the parameters can forbid it.
    if givenSignature == nil, try operations.restart(function, pointer, UInt64(handle), stamp) { return }
    let mechanism = try Mechanism(reading: pointer)
    let key = try slot.keys.find(UInt64(handle), in: self, &operations.recentKey)
    let facts = try KeyPolicy.check(
      key.description, mechanism, for: function.mechanismFlag, usage: function.usage)
    if let givenSignature {
      // A signature of another length can not be right, and no operation is begun (C_VerifySignatureInit).
      let expected = Operation.outputByteCount(.sign, mechanism, facts, key.description, inputByteCount: 0)
      guard givenSignature.count == expected else { throw .signatureLenRange }
    }
    // The stamp is from before the key was looked at: it is not newer than what is known of the key.
    operations[function] = KeyOperationState(
      function, mechanism, facts, key, stamp, in: self, givenSignature: givenSignature)
  }

  /// Runs one call of the active operation. What it throws ends the operation, but for CKR_BUFFER_TOO_SMALL and, from a
  /// single-part call in the middle of a multi-part operation, CKR_OPERATION_ACTIVE.
  ///
  /// Throws CKR_OPERATION_NOT_INITIALIZED when there is none.
  func step(
    _ function: KeyFunction, _ operations: inout SessionOperations, givenSignature: Bool = false,
    _ body: (KeyOperationState) throws(ReturnValue) -> Progress
  ) throws(ReturnValue) {
    guard let operation = operations.take(function) else { throw .operationNotInitialized }
    guard (operation.givenSignature != nil) == givenSignature else {
      operations[function] = operation
      throw .operationNotInitialized
    }
    do throws(ReturnValue) {
      switch try body(operation) {
      case .ended: operations.keepIdle(operation)
      case .active: operations[function] = operation
      }
    } catch {
      operations[function] = operation
      if error != .bufferTooSmall, error != .operationActive { giveUp([function], &operations) }
      throw error
    }
  }

  /// Gives up the active operations among `functions`.
  func giveUp(_ functions: [KeyFunction], _ operations: inout SessionOperations) {
    if functions.contains(.decrypt) { endRestrictedDecryption(&operations) }
    var away: [KeyFunction] = []
    for function in functions {
      if operations[function]?.isAway == true { away.append(function) }
      operations[function] = nil
    }
    guard !away.isEmpty, !slot.connection.isDead else { return }
    // The operation may have ended there by itself: an error is no news.
    try? slot.request(.cancel, CancelOperations(session: announced(), functions: away))
  }
}
