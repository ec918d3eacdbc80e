import CryptoCore
import Cryptoki
import Mechanisms
import ObjectInvoke
import RestrictedMemory
import TokenProtocol
import TokenService
import Wire

/// Decryption of one client with the keys of one token, with plaintext going to restricted buffers.
final class RestrictedDecryption: Sendable {
  private let token: TokenObject
  private let client: Client
  private let account: ClientAccount

  init(_ token: TokenObject, client: Client, _ account: ClientAccount) {
    self.token = token
    self.client = client
    self.account = account
  }

  // MARK: One part

  func decryptInto(_ call: inout Invocation) throws -> UInt32 {
    let request = try DecryptInto(from: &call.request)
    try call.request.end()
    return try answering(&call) { call in
      let decryption = try Self.decryption(request)
      let started = try token.startRestricted(decryption, client: client)
      return try feed(started, decryption.session, from: &call, to: request.place, ends: true) {
        try token.authorizeRestricted(client: client, session: decryption.session, key: decryption.key)
      }
    }
  }

  // MARK: Parts

  func beginInto(_ call: inout Invocation) throws -> UInt32 {
    let request = try DecryptInto(from: &call.request)
    try call.request.end()
    return try answering(&call) { _ in
      try token.beginRestricted(try Self.decryption(request), client: client)
      return 0
    }
  }

  /// `ends`: whether this is `finishInto`, which takes no input.
  func continueInto(_ call: inout Invocation, ends: Bool) throws -> UInt32 {
    let request = try ContinueInto(from: &call.request)
    try call.request.end()
    return try answering(&call) { call in
      let active = try token.takeRestricted(request.session, client: client)
      // Any error but a place that does not serve ends it.
      var isOver = true
      defer { token.leaveRestricted(active, ends: isOver, request.session, client: client) }
      do {
        let count = try feed(active, request.session, from: &call, to: request.place, ends: ends)
        isOver = ends
        return count
      } catch let refusal as Refusal where refusal.leavesOperation {
        isOver = false
        throw refusal
      }
    }
  }

  private static func decryption(_ request: DecryptInto) throws -> KeyOperation {
    guard request.operation.function == .decrypt else { throw InvocationError.malformed }
    return request.operation
  }

  // MARK: Samples

  /// Bytes of memory for a sample's description and for a subsample's, as they were read and as they were checked.
  private static let sampleByteCount = 256
  private static let subsampleByteCount = 16
  /// No more than a channel holds anyway.
  private static let shortBatchByteCount = 1 << 16

  func decryptSamples(_ call: inout Invocation) throws -> UInt32 {
    let request = try DecryptSamples(from: &call.request)
    try call.request.end()
    // What is made of a long batch is held until all of its input has come.
    let byteCount = request.samples.reduce(0) {
      $0 + Self.sampleByteCount + Self.subsampleByteCount * $1.subsamples.count
    }
    var charge: ClientAccount.Charge?
    if byteCount > Self.shortBatchByteCount {
      charge = account.charge(.withheldBytes, byteCount)
      guard charge != nil else { return 0x31 }  // CKR_DEVICE_MEMORY
    }
    defer { withExtendedLifetime(charge) {} }
    let batch: SampleBatch
    do { batch = try SampleBatch(request, client: call.client) } catch { return error.result }
    guard batch.byteCount == call.inputByteCount else { return RestrictedResult.sampleInvalid }
    return try answering(&call, replies: false) { call in
      guard request.key != 0 || batch.needsKey else { return UInt64(try batch.decrypt(with: nil, from: &call)) }
      let mechanism = Mechanism(
        batch.usesChaining ? .aesCBC : .aesCTR,
        batch.usesChaining
          ? .iv(ShortBytes([UInt8](repeating: 0, count: 16)))
          : .counter(bitCount: 64, block: ShortBytes([UInt8](repeating: 0, count: 16))))
      let restricted = try token.restrictedDecryption(
        client: client, session: request.session, key: request.key, mechanism: mechanism)
      guard restricted.useCases.isEmpty || batch.useCases.isSubset(of: restricted.useCases) else {
        throw Refusal(result: RestrictedResult.useCaseInvalid)
      }
      let aes = try restricted.key.aes
      guard aes.byteCount == 16 else { throw ReturnValue.keySizeRange }
      try token.authorizeRestricted(client: client, session: request.session, key: request.key)
      return UInt64(
        try batch.decrypt(with: aes, from: &call) { try token.checkGoesOn(restricted, client: client) })
    }
  }

  // MARK: What these have in common

  /// A refusal that is not one of the token's.
  private struct Refusal: Error {
    let result: UInt32
    /// A place that does not serve leaves a multi-part operation where it was.
    var leavesOperation = false
  }

  /// Folds refusals into the result, and replies with the count that `body` answers.
  private func answering(
    _ call: inout Invocation, replies: Bool = true, _ body: (inout Invocation) throws -> UInt64
  ) throws -> UInt32 {
    do {
      let count = try body(&call)
      if replies { call.reply.u64(count) }
      return 0
    } catch let refusal as Refusal {
      return refusal.result
    } catch let value as ReturnValue {
      return UInt32(truncatingIfNeeded: value.rawValue)
    } catch is CryptoError {
      return UInt32(truncatingIfNeeded: ReturnValue.functionFailed.rawValue)
    }
  }

  /// Decrypts the input, and with `ends` the end of the operation, to `place`; answers the count of bytes written.
  ///
  /// The place is checked before the input is read, and `authorize` called when that is done. A cipher whose output is certain
  /// writes to the place as it goes; one whose end can still be wrong, or shorter than its input says, decrypts into memory of
  /// its own and writes when all is well. So a refusal has written nothing. A session or login that ends meanwhile ends the
  /// decryption behind the piece in hand.
  private func feed(
    _ started: ActiveOperation, _ session: SessionReference, from call: inout Invocation, to place: BufferPlace,
    ends: Bool, authorize: () throws -> Void = {}
  ) throws -> UInt64 {
    guard let buffer = call.client.buffer(place.buffer) else {
      throw Refusal(result: objectHandleInvalid, leavesOperation: true)
    }
    guard started.useCases.isEmpty || started.useCases.contains(buffer.useCase.rawValue) else {
      throw Refusal(result: RestrictedResult.useCaseInvalid, leavesOperation: true)
    }
    guard let inputCount = Int(exactly: call.inputByteCount), inputCount <= call.client.limits.privateByteCount else {
      throw Refusal(result: 0x31, leavesOperation: true)  // CKR_DEVICE_MEMORY
    }
    let streamed = started.operation.updateByteCount(for: inputCount)
    let isCertain =
      !ends || started.operation.withholdsOutput || (streamed == inputCount && started.operation.finishByteCount == 0)
    // What does not come out at once is held: until the tag is verified, or the whole of the input is there.
    let heldCount = streamed == 0 ? inputCount : isCertain ? 0 : streamed
    guard let charge = account.charge(.withheldBytes, heldCount) else {
      throw Refusal(result: 0x31, leavesOperation: true)
    }
    defer { withExtendedLifetime(charge) {} }
    let target = try writable(buffer, place.offset, UInt64(streamed))
    try started.operation.checkInput(byteCount: inputCount)
    try authorize()
    if streamed == 0 {
      if let kept = started.charge as? ClientAccount.Charge { kept.absorb(charge) } else { started.charge = charge }
    }
    if isCertain {
      try target.withBytes { _ = try update(started, session, from: &call, into: $0) }
      guard ends else { return UInt64(streamed) }
      if started.operation.withholdsOutput { return try finishWithheld(&started.operation, buffer, place) }
      return UInt64(
        streamed + (try started.operation.finish(into: UnsafeMutableRawBufferPointer(start: nil, count: 0))))
    }
    let first = try SecretBytes(count: streamed) { try update(started, session, from: &call, into: $0) }
    // An operation ends once: what it gave at its end is kept in case the place has no room for it.
    let last: SecretBytes
    if let kept = started.lastBytes {
      last = kept
    } else {
      last = try SecretBytes(count: started.operation.finishByteCount) { try started.operation.finish(into: $0) }
      started.lastBytes = last
    }
    try writable(buffer, place.offset, UInt64(first.count + last.count)).withBytes { bytes in
      first.withBytes { bytes.copyBytes(from: $0) }
      last.withBytes { bytes[first.count...].copyBytes(from: $0) }
    }
    return UInt64(first.count + last.count)
  }

  private func update(
    _ started: ActiveOperation, _ session: SessionReference, from call: inout Invocation,
    into bytes: UnsafeMutableRawBufferPointer
  ) throws -> Int {
    var written = 0
    while call.inputRemaining > 0 {
      let piece = try call.nextInput(atMost: 1 << 16)
      guard piece.count > 0 else { throw InvocationError.malformed }
      try token.checkGoesOn(started, in: session, client: client)
      written += try started.operation.update(
        piece, into: UnsafeMutableRawBufferPointer(rebasing: bytes[written...]))
    }
    return written
  }

  /// The tag is verified before the first byte moves; a place without room leaves everything as it was.
  private func finishWithheld(
    _ operation: inout Operation, _ buffer: RestrictedBuffer, _ place: BufferPlace
  ) throws -> UInt64 {
    let target = try writable(buffer, place.offset, UInt64(operation.finishByteCount))
    var written = 0
    try operation.finishWithheld { (piece: UnsafeRawBufferPointer) throws(ReturnValue) in
      target.withBytes { $0[written...].copyBytes(from: piece) }
      written += piece.count
    }
    return UInt64(written)
  }

  private func writable(
    _ buffer: RestrictedBuffer, _ offset: UInt64, _ count: UInt64
  ) throws(Refusal) -> RestrictedBuffer.WritableRange {
    do {
      return try buffer.writable(offset: offset, count: count, by: .cryptoEngine)
    } catch {
      throw Refusal(result: error.result, leavesOperation: true)
    }
  }
}
