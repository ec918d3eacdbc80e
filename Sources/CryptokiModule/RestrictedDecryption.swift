public import CCryptoki
import Cryptoki
import Mechanisms
import ObjectInvoke
import TokenProtocol
import Wire

// The vendor interface: decryption whose plaintext goes into restricted buffers (include/strongroom.h).

/// A decryption into restricted buffers, from its Init to its end.
struct RestrictedDecryption {
  let mechanism: Mechanism
  let key: KnownKey
  /// Whether the secure world has the operation, because parts were given.
  var isAway = false
}

extension Session {
  /// The active decryption into buffers. Throws CKR_OPERATION_NOT_INITIALIZED.
  fileprivate func into(_ operations: borrowing SessionOperations) throws(ReturnValue) -> RestrictedDecryption {
    guard let operation = operations.decryptInto else { throw .operationNotInitialized }
    return operation
  }

  /// Runs one call of it. A place that does not serve leaves it as it was; any other error ends it.
  fileprivate func intoStep(
    _ operations: inout SessionOperations, ends: Bool, _ body: (RestrictedDecryption) throws(ReturnValue) -> UInt64,
    _ written: CK_ULONG_PTR?
  ) throws(ReturnValue) {
    let operation = try into(operations)
    let written = try place(written)
    do throws(ReturnValue) {
      written.pointee = UInt(try body(operation))
      if ends { operations.decryptInto = nil } else { operations.decryptInto?.isAway = true }
    } catch {
      if !error.leavesRestrictedDecryption { endRestrictedDecryption(&operations) }
      throw error
    }
  }

  /// Has the secure world begin it. What is refused there ends it here.
  fileprivate func beginAway(_ operations: inout SessionOperations) throws(ReturnValue) {
    let operation = try into(operations)
    guard !operation.isAway else { return }
    let request = DecryptInto(operation: request(operation), place: BufferPlace(buffer: 0, offset: 0))
    do throws(ReturnValue) {
      try slot.request(.beginInto, request) { (reader) throws(WireError) in _ = try reader.u64() }
      operations.decryptInto?.isAway = true
    } catch {
      operations.decryptInto = nil
      throw error
    }
  }

  fileprivate func request(_ operation: RestrictedDecryption) -> KeyOperation {
    KeyOperation(
      session: announced(), function: .decrypt, key: operation.key.handle, mechanism: operation.mechanism)
  }

  /// Gives the operation up, there too.
  func endRestrictedDecryption(_ operations: inout SessionOperations) {
    guard let operation = operations.decryptInto else { return }
    operations.decryptInto = nil
    guard operation.isAway, !slot.connection.isDead else { return }
    // The operation may have ended there by itself: an error is no news.
    try? slot.request(.cancel, CancelOperations(session: announced(), functions: [.decrypt]))
  }
}

extension ReturnValue {
  /// Whether only the place was wrong, so that the call can be made again with another.
  fileprivate var leavesRestrictedDecryption: Bool {
    switch rawValue {
    case UInt(CKR_STRONGROOM_OFFSET_RANGE), UInt(CKR_STRONGROOM_USE_CASE_INVALID), UInt(CKR_STRONGROOM_ACCESS_DENIED),
      UInt(CKR_STRONGROOM_BUFFER_REVOKED):
      true
    default: self == .bufferTooSmall || self == .objectHandleInvalid || self == .argumentsBad || self == .deviceMemory
    }
  }
}

@c @implementation
public func strongroom_DecryptIntoInit(
  _ session: CK_SESSION_HANDLE, _ mechanism: CK_MECHANISM_PTR?, _ key: CK_OBJECT_HANDLE
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    guard mechanism != nil else { return session.endRestrictedDecryption(&operations) }
    guard operations.decrypt == nil, operations.decryptInto == nil else { throw .operationActive }
    let mechanism = try Mechanism(reading: mechanism)
    let key = try session.slot.keys.find(UInt64(key), in: session, &operations.recentKey)
    try KeyPolicy.check(key.description, mechanism, for: .decrypt, usage: .decrypt)
    operations.decryptInto = RestrictedDecryption(mechanism: mechanism, key: key)
  }
}

@c @implementation
public func strongroom_DecryptInto(
  _ session: CK_SESSION_HANDLE, _ encrypted: CK_BYTE_PTR?, _ count: CK_ULONG, _ buffer: CK_OBJECT_HANDLE,
  _ offset: CK_ULONG, _ written: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    guard operations.decryptInto?.isAway != true else { throw .operationActive }
    try session.intoStep(
      &operations, ends: true,
      { (operation) throws(ReturnValue) in
        let input = try callerBytes(encrypted, count)
        let place = BufferPlace(buffer: try session.restricted.buffer(buffer), offset: UInt64(offset))
        return try session.slot.request(
          .decryptInto, DecryptInto(operation: session.request(operation), place: place), input: InputSegments(input),
          reading: { (reader) throws(WireError) in try reader.u64() })
      }, written)
  }
}

@c @implementation
public func strongroom_DecryptIntoUpdate(
  _ session: CK_SESSION_HANDLE, _ encrypted: CK_BYTE_PTR?, _ count: CK_ULONG, _ buffer: CK_OBJECT_HANDLE,
  _ offset: CK_ULONG, _ written: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.beginAway(&operations)
    try session.intoStep(
      &operations, ends: false,
      { (_) throws(ReturnValue) in
        let input = try callerBytes(encrypted, count)
        let place = BufferPlace(buffer: try session.restricted.buffer(buffer), offset: UInt64(offset))
        return try session.slot.request(
          .updateInto, ContinueInto(session: session.announced(), place: place), input: InputSegments(input),
          reading: { (reader) throws(WireError) in try reader.u64() })
      }, written)
  }
}

@c @implementation
public func strongroom_DecryptIntoFinal(
  _ session: CK_SESSION_HANDLE, _ buffer: CK_OBJECT_HANDLE, _ offset: CK_ULONG, _ written: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (session, operations) throws(ReturnValue) in
    try session.beginAway(&operations)
    try session.intoStep(
      &operations, ends: true,
      { (_) throws(ReturnValue) in
        let place = BufferPlace(buffer: try session.restricted.buffer(buffer), offset: UInt64(offset))
        return try session.slot.request(
          .finishInto, ContinueInto(session: session.announced(), place: place),
          reading: { (reader) throws(WireError) in try reader.u64() })
      }, written)
  }
}

// MARK: Common Encryption

/// The most samples of one batch.
private let mostSamples = CK_ULONG(RequestLimits.samples)

@c @implementation
public func strongroom_DecryptSamples(
  _ session: CK_SESSION_HANDLE, _ key: CK_OBJECT_HANDLE, _ parameters: CK_STRONGROOM_SAMPLE_PARAMS_PTR?,
  _ samples: CK_STRONGROOM_SAMPLE_PTR?, _ count: CK_ULONG
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let parameters = try place(parameters).pointee
    guard count <= mostSamples else { throw .argumentsBad }
    let samples = try callerArray(samples, count)
    guard let scheme = UInt32(exactly: parameters.scheme), let crypt = UInt8(exactly: parameters.ulCryptByteBlock),
      let skip = UInt8(exactly: parameters.ulSkipByteBlock)
    else { throw ReturnValue(rawValue: UInt(CKR_STRONGROOM_SAMPLE_INVALID)) }
    var requests: [SampleRequest] = []
    var pieces: [UnsafeRawBufferPointer] = []
    requests.reserveCapacity(samples.count)
    pieces.reserveCapacity(samples.count)
    var total = 0
    for sample in samples {
      let data = try callerBytes(sample.pData, sample.ulDataLen)
      requests.append(try session.request(for: sample))
      pieces.append(data)
      total = total.saturatingAdd(data.count)
    }
    guard total < .max else { throw .argumentsBad }
    let request = DecryptSamples(
      session: session.announced(), key: UInt64(key), scheme: scheme, cryptBlockCount: crypt, skipBlockCount: skip,
      samples: requests)
    // The samples lie apart in the caller's memory and are sent from there, one behind the other.
    let sent: Result<Void, ReturnValue> = pieces.withUnsafeBufferPointer { pieces in
      do throws(ReturnValue) {
        return .success(
          try session.slot.request(.decryptSamples, request, input: InputSegments(pieces), reading: { _ in }))
      } catch {
        return .failure(error)
      }
    }
    try sent.get()
  }
}

extension Session {
  fileprivate func request(for sample: CK_STRONGROOM_SAMPLE) throws(ReturnValue) -> SampleRequest {
    let list = try callerArray(sample.pSubsamples, sample.ulSubsampleCount)
    var subsamples: [(clear: UInt32, protected: UInt32)] = []
    subsamples.reserveCapacity(list.count)
    for subsample in list {
      guard let clear = UInt32(exactly: subsample.ulClearLen), let protected = UInt32(exactly: subsample.ulProtectedLen)
      else { throw ReturnValue(rawValue: UInt(CKR_STRONGROOM_SAMPLE_INVALID)) }
      subsamples.append((clear, protected))
    }
    return SampleRequest(
      byteCount: UInt64(sample.ulDataLen), iv: withUnsafeBytes(of: sample.iv) { ShortBytes($0) },
      place: BufferPlace(buffer: try restricted.buffer(sample.hBuffer), offset: UInt64(sample.ulOffset)),
      subsamples: subsamples)
  }
}
