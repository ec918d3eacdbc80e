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
  /// More than this counts against the client's quota while the message is begun. Short ones come with nearly every message, and are
  /// no more than a channel holds anyway.
  private static let shortAssociatedData = 1 << 14

  /// `encryptMessage`: the ciphertext goes to the output, the tag to the reply.
  func encryptMessage<Bulk: BulkTransfer & ~Copyable>(
    _ request: borrowing MessageOperation, _ client: Client, _ bulk: inout Bulk, tag reply: inout WireWriter
  ) throws(Refusal) {
    var started = try startMessage(.encrypt, request, client, &bulk)
    var counted = 0
    defer { client.letGo(counted) }
    try feed(
      &started.operation, &bulk, byteCount: bulk.inputByteCount - request.associatedByteCount, client, request.session,
      loginNumber: started.facts.loginNumber, &counted)
    var tag = InlineArray<16, UInt8>(repeating: 0)
    var span = tag.mutableSpan
    try refusing { () throws(ReturnValue) in
      try span.withUnsafeMutableBytes { (memory) throws(ReturnValue) in
        let count = try started.operation.finish(into: memory)
        reply.bytes(UnsafeRawBufferPointer(rebasing: memory[..<count]))
      }
    }
  }

  /// `decryptMessage`: the plaintext goes to the output once the tag has been verified, and none of it before.
  func decryptMessage<Bulk: BulkTransfer & ~Copyable>(
    _ request: borrowing MessageOperation, _ client: Client, _ bulk: inout Bulk
  ) throws(Refusal) {
    var started = try startMessage(.decrypt, request, client, &bulk)
    var counted = 0
    defer { client.letGo(counted) }
    try feed(
      &started.operation, &bulk, byteCount: bulk.inputByteCount - request.associatedByteCount, client, request.session,
      loginNumber: started.facts.loginNumber, &counted)
    try refusing { () throws(ReturnValue) in
      _ = try request.tag.withUnsafeBytes { (tag) throws(ReturnValue) in
        try started.operation.update(tag, into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
      }
      try started.operation.finishWithheld { (piece: UnsafeRawBufferPointer) throws(ReturnValue) in
        try bulk.writeOutput(piece)
      }
    }
  }

  /// The operation for one message, its associated data taken in; the rest of the input is the message.
  private func startMessage<Bulk: BulkTransfer & ~Copyable>(
    _ function: KeyFunction, _ request: borrowing MessageOperation, _ client: Client, _ bulk: inout Bulk
  ) throws(Refusal) -> StartedOperation {
    guard case .gcm(let iv, let none, let tagBitCount) = request.mechanism.parameters, none.isEmpty,
      request.associatedByteCount <= bulk.inputByteCount,
      function == .encrypt || request.tag.count == Int(tagBitCount / 8)
    else { throw Refusal(.mechanismParamInvalid) }
    let byteCount = bulk.inputByteCount - request.associatedByteCount
    guard let count = Int(exactly: byteCount) else { throw Refusal(.dataLenRange) }
    guard byteCount <= bulk.outputCapacity else { throw Refusal(needing: count) }
    var associated: [UInt8] = []
    var counted = 0
    defer { client.letGo(counted) }
    if request.associatedByteCount > 0 {
      let byteCount = request.associatedByteCount
      associated = try refusing { () throws(ReturnValue) in
        if byteCount > Self.shortAssociatedData {
          let held = Int(clamping: byteCount)
          guard held <= Self.longestAssociatedData else { throw .argumentsBad }
          try client.withState { (state) throws(ReturnValue) in try state.count(held, insteadOf: &counted) }
        }
        return try bulk.readInput(byteCount, limit: Self.longestAssociatedData, tooLong: .argumentsBad)
      }
    }
    let mechanism = Mechanism(request.mechanism.type, .gcm(iv: iv, aad: associated, tagBitCount: tagBitCount))
    let started = try start(function, request.key, mechanism, in: request.session, client)
    if started.facts.asksForPIN {
      let (key, session) = (request.key, request.session)
      try refusing { () throws(ReturnValue) in try useAuthorization(function, key, in: session, client) }
    }
    return started
  }
}
