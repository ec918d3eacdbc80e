import CryptoCore
import Cryptoki
import Mechanisms
import ObjectInvoke
import RestrictedMemory
import TokenProtocol

/// Common Encryption samples of one batch: every description and every place is checked before the first byte is written.
struct SampleBatch {
  private let samples: [(map: SampleMap, place: RestrictedBuffer.WritableRange)]

  /// The bytes of all samples.
  let byteCount: UInt64

  /// Why a batch is refused, as the result code of the invocation.
  struct Refusal: Error {
    let result: UInt32
  }

  /// Whether any byte of any sample is protected.
  var needsKey: Bool {
    samples.contains { sample in
      sample.map.segments.contains { if case .encrypted = $0.treatment { true } else { false } }
    }
  }

  /// Whether the scheme is one of AES-CBC, not of AES-CTR.
  let usesChaining: Bool

  /// The use-cases of the buffers that the samples go to.
  let useCases: Set<UInt32>

  init(_ request: DecryptSamples, client: ClientEnvironment) throws(Refusal) {
    guard let scheme = ProtectionScheme(rawValue: request.scheme) else {
      throw Refusal(result: RestrictedResult.sampleInvalid)
    }
    let pattern = EncryptionPattern(crypt: request.cryptBlockCount, skip: request.skipBlockCount)
    var samples: [(SampleMap, RestrictedBuffer.WritableRange)] = []
    samples.reserveCapacity(request.samples.count)
    var total: UInt64 = 0
    var useCases: Set<UInt32> = []
    for sample in request.samples {
      guard let count = Int(exactly: sample.byteCount) else { throw Refusal(result: RestrictedResult.sampleInvalid) }
      guard let buffer = client.buffer(sample.place.buffer) else { throw Refusal(result: objectHandleInvalid) }
      let map: SampleMap
      do {
        map = try SampleMap(
          scheme: scheme, pattern: pattern, iv: sample.iv.array,
          subsamples: sample.subsamples.map { Subsample(clear: $0.clear, protected: $0.protected) },
          sampleByteCount: count)
      } catch { throw Refusal(result: RestrictedResult.sampleInvalid) }
      do {
        samples.append(
          (map, try buffer.writable(offset: sample.place.offset, count: sample.byteCount, by: .cryptoEngine)))
      } catch { throw Refusal(result: error.result) }
      useCases.insert(buffer.useCase.rawValue)
      // Each sample fits a buffer that exists, so the sum of a bounded list cannot overflow.
      total &+= sample.byteCount
    }
    self.samples = samples
    self.useCases = useCases
    usesChaining = scheme.mode == .chaining
    byteCount = total
  }

  /// Takes the samples from the input, one after the other, and deciphers each to its place.
  ///
  /// `key` is nil when no byte is protected. `checkGoesOn` is asked behind each piece of the input, and throws what ends it.
  func decrypt(
    with key: AESKey?, from call: inout Invocation, checkGoesOn: () throws -> Void = {}
  ) throws -> UInt32 {
    guard let key, let first = samples.first else {
      for (_, place) in samples {
        let result = try place.fill(from: &call)
        guard result == 0 else { return result }
      }
      return 0
    }
    var stream = try KeyStream(key, first.map)
    for (map, place) in samples {
      try place.withBytes { bytes in
        try map.decipher(into: bytes, with: &stream) { count in
          let piece = try call.nextInput(atMost: count)
          guard piece.count > 0 else { throw InvocationError.malformed }
          try checkGoesOn()
          return piece
        }
      }
    }
    return 0
  }
}

/// The cipher of a batch: AES-CTR as the schemes cenc and cens want it, AES-CBC as cbc1 and cbcs do. Each sample starts it anew.
private enum KeyStream: SampleCipher {
  case counter(CommonEncryptionCounterStream)
  case chaining(CommonEncryptionBlockStream)

  init(_ key: AESKey, _ map: SampleMap) throws(CryptoError) {
    self = try map.iv.withUnsafeBytes { (iv) throws(CryptoError) in
      switch map.scheme.mode {
      case .counter: .counter(try CommonEncryptionCounterStream(key: key, iv: iv))
      case .chaining: .chaining(try CommonEncryptionBlockStream(key: key, iv: iv))
      }
    }
  }

  func restart(at iv: SampleIV) throws(CryptoError) {
    try iv.withUnsafeBytes { (iv) throws(CryptoError) in
      switch self {
      case .counter(let stream): try stream.start(from: iv)
      case .chaining(let stream): try stream.chain(from: iv)
      }
    }
  }

  func update(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) {
    switch self {
    case .counter(let stream): try stream.apply(input, into: output)
    case .chaining(let stream): try stream.apply(input, into: output)
    }
  }
}
