import CryptoCore
import Cryptoki
import Mechanisms
import TokenProtocol
import Wire

/// Messages of message-based encryption and decryption, whole (PKCS#11 3.2, 5.9 and 5.11).
///
/// They keep no state here: each message brings its parameters, and is one crossing.
extension Token {
  /// Bytes of associated data of one message.
  private static let longestAssociatedData = 16 << 20

  /// `encryptMessage`: the ciphertext goes to the output; answers the tag.
  func encryptMessage<Bulk: BulkTransfer & ~Copyable>(
    _ request: MessageOperation, _ client: Client, _ bulk: inout Bulk
  ) throws(Refusal) -> [UInt8] {
    let (active, byteCount) = try startMessage(.encrypt, request, client, &bulk)
    defer { client.reading { $0.release(active) } }
    try feed(active, client, &bulk, byteCount: byteCount)
    var tag = [UInt8](repeating: 0, count: active.operation.finishByteCount)
    var span = tag.mutableSpan
    _ = try refusing { () throws(ReturnValue) in
      try span.withUnsafeMutableBytes { (memory) throws(ReturnValue) in try active.operation.finish(into: memory) }
    }
    return tag
  }

  /// `decryptMessage`: the plaintext goes to the output once the tag has been verified, and none of it before.
  func decryptMessage<Bulk: BulkTransfer & ~Copyable>(
    _ request: MessageOperation, _ client: Client, _ bulk: inout Bulk
  ) throws(Refusal) {
    let (active, byteCount) = try startMessage(.decrypt, request, client, &bulk)
    defer { client.reading { $0.release(active) } }
    try feed(active, client, &bulk, byteCount: byteCount)
    try refusing { () throws(ReturnValue) in
      _ = try request.tag.withUnsafeBytes { (tag) throws(ReturnValue) in
        try active.operation.update(tag, into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
      }
      try active.operation.finishWithheld { (piece: UnsafeRawBufferPointer) throws(ReturnValue) in
        try bulk.writeOutput(piece)
      }
    }
  }

  /// The operation for one message, its associated data taken in, and how many bytes of input are the message.
  private func startMessage<Bulk: BulkTransfer & ~Copyable>(
    _ function: KeyFunction, _ request: MessageOperation, _ client: Client, _ bulk: inout Bulk
  ) throws(Refusal) -> (ActiveOperation, UInt64) {
    guard case .gcm(let iv, let none, let tagBitCount) = request.mechanism.parameters, none.isEmpty,
      request.associatedByteCount <= bulk.inputByteCount,
      function == .encrypt || request.tag.count == Int(tagBitCount / 8)
    else { throw Refusal(.mechanismParamInvalid) }
    let byteCount = bulk.inputByteCount - request.associatedByteCount
    guard let count = Int(exactly: byteCount) else { throw Refusal(.dataLenRange) }
    guard byteCount <= bulk.outputCapacity else { throw Refusal(needing: count) }
    return try refusing { () throws(ReturnValue) in
      let associated = try bulk.readInput(
        request.associatedByteCount, limit: Self.longestAssociatedData, tooLong: .argumentsBad)
      let operation = KeyOperation(
        session: request.session, function: function, key: request.key,
        mechanism: Mechanism(request.mechanism.type, .gcm(iv: iv, aad: associated, tagBitCount: tagBitCount)))
      let (started, _, key) = try start(operation, client)
      try useAuthorization(operation, key, client)
      return (ActiveOperation(started), byteCount)
    }
  }
}
