import COpenSSL

/// AES in counter mode where only the counter block's last bytes count, and wrap.
///
/// libcrypto counts up the whole block, so the stream starts its context again where the carry would leave the
/// counter. Not for two threads at once.
final class CounterStream {
  private let key: AESKey
  private let context: OpaquePointer
  private let counterByteCount: Int
  private var counterBlock: InlineArray<16, UInt8>
  /// Bytes of key stream before the counter is 0 again.
  private var bytesBeforeWrap: UInt64
  private let blocksBetweenWraps: UInt64

  /// `counterByteCount` is 4 or 8.
  init(key: AESKey, firstBlock: InlineArray<16, UInt8>, counterByteCount: Int) throws(CryptoError) {
    self.key = key
    self.counterByteCount = counterByteCount
    counterBlock = firstBlock
    // Wraps more than 2^59 blocks apart are beyond anything that is ever applied.
    blocksBetweenWraps = counterByteCount == 4 ? UInt64(1) << 32 : 0
    bytesBeforeWrap = 0
    context = try key.takeContext(.counter)
    try start(from: firstBlock)
  }

  /// Starts the stream again, at another block.
  func start(from firstBlock: InlineArray<16, UInt8>) throws(CryptoError) {
    counterBlock = firstBlock
    let counter = (16 - counterByteCount..<16).reduce(UInt64(0)) { $0 << 8 | UInt64(firstBlock[$1]) }
    bytesBeforeWrap = Self.byteCount(ofBlocks: blocksBetweenWraps &- counter)
    try startFromCounterBlock()
  }

  deinit { key.giveBack(context, .counter) }

  /// Encrypts or decrypts the next bytes into as many at `output`, which may be the same memory.
  func apply(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer?) throws(CryptoError) {
    var done = 0
    while done < input.count {
      let count = Int(min(UInt64(input.count - done), bytesBeforeWrap))
      let part = UnsafeRawBufferPointer(rebasing: input[done..<done + count])
      done += try transform(context, part, into: output.map { $0 + done })
      bytesBeforeWrap -= UInt64(count)
      if bytesBeforeWrap == 0 {
        for index in 16 - counterByteCount..<16 { counterBlock[index] = 0 }
        bytesBeforeWrap = Self.byteCount(ofBlocks: blocksBetweenWraps)
        try startFromCounterBlock()
      }
    }
  }

  private func startFromCounterBlock() throws(CryptoError) {
    try counterBlock.span.withUnsafeBytes { (block) throws(CryptoError) in
      try restart(context, iv: block.baseAddress)
    }
  }

  /// 0 blocks stand for 2^64.
  private static func byteCount(ofBlocks blocks: UInt64) -> UInt64 {
    blocks == 0 || blocks > UInt64.max / 16 ? UInt64.max : blocks * 16
  }
}
