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

  /// Takes the samples from the input, one after the other, each into its place and deciphered there.
  ///
  /// The ciphertext is read once, into memory that the client cannot see. `key` is nil when no byte is protected.
  func decrypt(with key: AESKey?, from call: inout Invocation) throws -> UInt32 {
    for (map, place) in samples {
      let result = try place.fill(from: &call)
      guard result == 0 else { return result }
      guard let key else { continue }
      try place.withBytes { bytes in
        let source = UnsafeRawBufferPointer(bytes)
        switch map.scheme.mode {
        case .counter:
          var cipher = try CounterSampleCipher(key: key, iv: map.iv)
          try map.decipher(source, into: bytes, with: &cipher)
        case .chaining:
          var cipher = try ChainingSampleCipher(key: key, iv: map.iv)
          try map.decipher(source, into: bytes, with: &cipher)
        }
      }
    }
    return 0
  }
}

/// AES-CTR as the schemes cenc and cens want it.
private struct CounterSampleCipher: SampleCipher {
  private let key: AESKey
  private var stream: CommonEncryptionCounterStream

  init(key: AESKey, iv: SampleIV) throws(CryptoError) {
    self.key = key
    stream = try iv.withUnsafeBytes { (iv) throws(CryptoError) in
      try CommonEncryptionCounterStream(key: key, iv: iv)
    }
  }

  mutating func restart(at iv: SampleIV) throws(CryptoError) {
    stream = try iv.withUnsafeBytes { (iv) throws(CryptoError) in
      try CommonEncryptionCounterStream(key: key, iv: iv)
    }
  }

  mutating func update(_ bytes: UnsafeMutableRawBufferPointer) throws(CryptoError) {
    try stream.apply(UnsafeRawBufferPointer(bytes), into: bytes)
  }
}

/// AES-CBC as the schemes cbc1 and cbcs want it.
private struct ChainingSampleCipher: SampleCipher {
  private let stream: CommonEncryptionBlockStream

  init(key: AESKey, iv: SampleIV) throws(CryptoError) {
    stream = try iv.withUnsafeBytes { (iv) throws(CryptoError) in try CommonEncryptionBlockStream(key: key, iv: iv) }
  }

  mutating func restart(at iv: SampleIV) throws(CryptoError) {
    try iv.withUnsafeBytes { (iv) throws(CryptoError) in try stream.chain(from: iv) }
  }

  mutating func update(_ bytes: UnsafeMutableRawBufferPointer) throws(CryptoError) {
    try stream.apply(UnsafeRawBufferPointer(bytes), into: bytes)
  }
}
