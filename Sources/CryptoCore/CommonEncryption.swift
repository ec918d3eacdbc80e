import COpenSSL

// The two key streams of Common Encryption (ISO/IEC 23001-7). Which bytes of a sample they run over (subsamples,
// patterns, where an IV starts again) is the caller's.

/// The counter stream of `cenc` and `cens`: one sample's encrypted bytes, range after range.
///
/// Only the low 64 bits of the 16-byte counter block count, and they wrap (section 9.3). A range that ends inside a
/// block leaves the rest of the block's key stream to the next range. Not for two threads at once.
public final class CommonEncryptionCounterStream {
  private let stream: CounterStream

  /// `iv` has 16 bytes, or 8, which stand for the high half of the first counter block over a counter of 0.
  /// Throws `.invalidParameter` for another count.
  public init(key: AESKey, iv: UnsafeRawBufferPointer) throws(CryptoError) {
    stream = try CounterStream(key: key, firstBlock: try Self.firstBlock(iv), counterByteCount: 8)
  }

  /// Starts the stream again, for another sample. `iv` as at the beginning.
  public func start(from iv: UnsafeRawBufferPointer) throws(CryptoError) {
    try stream.start(from: try Self.firstBlock(iv))
  }

  private static func firstBlock(_ iv: UnsafeRawBufferPointer) throws(CryptoError) -> InlineArray<16, UInt8> {
    guard iv.count == 8 || iv.count == 16 else {
      throw CryptoError(.invalidParameter, in: "CommonEncryptionCounterStream", reason: "IV is not 8 or 16 bytes")
    }
    var block = InlineArray<16, UInt8>(repeating: 0)
    for index in 0..<iv.count { block[index] = iv[index] }
    return block
  }

  /// Encrypts or decrypts `input`, the sample's next encrypted bytes, into `output`, which may be the same memory.
  /// Throws `.bufferTooSmall` when `output` is shorter.
  public func apply(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) {
    guard output.count >= input.count else {
      throw CryptoError(.bufferTooSmall, in: "CommonEncryptionCounterStream.apply")
    }
    try stream.apply(input, into: output.baseAddress)
  }
}

/// The block stream of `cbc1` and `cbcs`: whole blocks, chained from an IV, without padding. Not for two threads at
/// once.
public final class CommonEncryptionBlockStream {
  private let key: AESKey
  private let schedule: AESKey.Schedule
  private let context: OpaquePointer

  /// Throws `.invalidParameter` unless `iv` has 16 bytes.
  public init(
    key: AESKey, iv: UnsafeRawBufferPointer, _ direction: CipherDirection = .decrypt
  ) throws(CryptoError) {
    self.key = key
    schedule = direction == .encrypt ? .cbcEncrypt : .cbcDecrypt
    context = try key.takeContext(schedule)
    try chain(from: iv)
  }

  deinit { key.giveBack(context, schedule) }

  /// Starts the chain again (`cbcs`: at each subsample). Throws `.invalidParameter` unless `iv` has 16 bytes.
  public func chain(from iv: UnsafeRawBufferPointer) throws(CryptoError) {
    guard iv.count == AESKey.blockByteCount else {
      throw CryptoError(.invalidParameter, in: "CommonEncryptionBlockStream", reason: "IV is not 16 bytes")
    }
    try restart(context, iv: iv.baseAddress)
  }

  /// Runs over `input`, the chain's next whole blocks, into `output`, which may be the same memory.
  /// Throws `.dataLength` for a part of a block, `.bufferTooSmall` when `output` is shorter; nothing was done then.
  public func apply(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) {
    guard input.count % AESKey.blockByteCount == 0 else {
      throw CryptoError(.dataLength, in: "CommonEncryptionBlockStream.apply", reason: "not whole blocks")
    }
    guard output.count >= input.count else {
      throw CryptoError(.bufferTooSmall, in: "CommonEncryptionBlockStream.apply")
    }
    _ = try transform(context, input, into: output.baseAddress)
  }
}
