import COpenSSL

/// GCM for IVs longer than the 128 bytes that libcrypto takes.
///
/// Made of what libcrypto does take. Two things are needed beside counter mode: the first counter block, which is
/// GHASH of the IV, and the tag, which is GHASH of associated data and ciphertext under that block. A GCM encryption
/// under a fixed nonce computes GHASH of whatever its ciphertext is, so it is given input that encrypts to the bytes
/// that are to be hashed, and its own tag mask is taken off the result. Three passes instead of one: for the rare IV.
/// Not for two threads at once.
final class LongIVGaloisCounter {
  private typealias Block = InlineArray<16, UInt8>

  private let key: AESKey
  private let hash: HashPass
  private let data: CounterStream
  private let mask: Block

  init(key: AESKey, iv: UnsafeRawBufferPointer) throws(CryptoError) {
    self.key = key
    let ivHash = try HashPass(key: key)
    try ivHash.absorb(iv)
    let first = try ivHash.finish()
    mask = try Self.encipher(first, key)
    var counter = first
    // The data start one block later; the counter has 32 bits.
    for index in stride(from: 15, through: 12, by: -1) {
      counter[index] &+= 1
      if counter[index] != 0 { break }
    }
    data = try CounterStream(key: key, firstBlock: counter, counterByteCount: 4)
    hash = try HashPass(key: key)
  }

  func authenticate(_ associatedData: UnsafeRawBufferPointer) throws(CryptoError) {
    try hash.authenticate(associatedData)
  }

  /// Writes as many bytes to `output` as `input` has. They may be the same memory. What is hashed is never read from
  /// `output`, which another process may write.
  func apply(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer?, encrypts: Bool
  ) throws(CryptoError) {
    guard let output else { return }
    guard encrypts else {
      try hash.absorb(input)
      return try data.apply(input, into: output)
    }
    var done = 0
    try Self.forEachPiece(of: input) { (piece, scratch) throws(CryptoError) in
      try data.apply(piece, into: scratch.baseAddress)
      try hash.absorb(UnsafeRawBufferPointer(scratch))
      (output + done).copyMemory(from: scratch.baseAddress!, byteCount: scratch.count)
      done += scratch.count
    }
  }

  /// Lends `bytes` piece by piece, each with as much memory of this process alone to work in.
  private static func forEachPiece(
    of bytes: UnsafeRawBufferPointer,
    _ body: (UnsafeRawBufferPointer, UnsafeMutableRawBufferPointer) throws(CryptoError) -> Void
  ) throws(CryptoError) {
    var memory = [UInt8](repeating: 0, count: min(bytes.count, 4096))
    var span = memory.mutableSpan
    try span.withUnsafeMutableBytes { (memory) throws(CryptoError) in
      var done = 0
      while done < bytes.count {
        let count = min(bytes.count - done, memory.count)
        try body(
          UnsafeRawBufferPointer(rebasing: bytes[done..<done + count]),
          UnsafeMutableRawBufferPointer(rebasing: memory[..<count]))
        done += count
      }
    }
  }

  /// The full tag. Ends the computation.
  func finish() throws(CryptoError) -> InlineArray<16, UInt8> {
    var tag = try hash.finish()
    for index in tag.indices { tag[index] ^= mask[index] }
    return tag
  }

  private static func encipher(_ block: Block, _ key: AESKey) throws(CryptoError) -> Block {
    let context = try key.takeContext(.ecbEncrypt)
    defer { key.giveBack(context, .ecbEncrypt) }
    try restart(context, iv: nil)
    var result = Block(repeating: 0)
    var span = result.mutableSpan
    try span.withUnsafeMutableBytes { (output) throws(CryptoError) in
      try block.span.withUnsafeBytes { (input) throws(CryptoError) in
        _ = try transform(context, input, into: output.baseAddress)
      }
    }
    return result
  }

  /// GHASH over associated data and bytes, by a GCM encryption under the nonce 0.
  private final class HashPass {
    private let key: AESKey
    private let context: OpaquePointer
    /// The pass's own key stream: what it takes off before the encryption puts it on again.
    private let keyStream: CounterStream

    init(key: AESKey) throws(CryptoError) {
      self.key = key
      keyStream = try CounterStream(key: key, firstBlock: Self.block(endingIn: 2), counterByteCount: 4)
      context = try key.takeContext(.gcmEncrypt)
      let nonce = Block(repeating: 0)
      try nonce.span.withUnsafeBytes { (nonce) throws(CryptoError) in try restart(context, iv: nonce.baseAddress) }
    }

    deinit { key.giveBack(context, .gcmEncrypt) }

    func authenticate(_ associatedData: UnsafeRawBufferPointer) throws(CryptoError) {
      _ = try transform(context, associatedData, into: nil)
    }

    func absorb(_ bytes: UnsafeRawBufferPointer) throws(CryptoError) {
      try LongIVGaloisCounter.forEachPiece(of: bytes) { (piece, scratch) throws(CryptoError) in
        try keyStream.apply(piece, into: scratch.baseAddress)
        _ = try transform(context, UnsafeRawBufferPointer(scratch), into: scratch.baseAddress)
      }
    }

    /// The hash: the encryption's tag without its mask.
    func finish() throws(CryptoError) -> Block {
      var hash = Block(repeating: 0)
      var span = hash.mutableSpan
      try span.withUnsafeMutableBytes { (tag) throws(CryptoError) in
        var written: Int32 = 0
        let start = tag.baseAddress?.assumingMemoryBound(to: UInt8.self)
        try check(EVP_CipherFinal_ex(context, start, &written), "EVP_CipherFinal_ex")
        try check(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, start), "EVP_CIPHER_CTX_ctrl")
      }
      let mask = try LongIVGaloisCounter.encipher(Self.block(endingIn: 1), key)
      for index in hash.indices { hash[index] ^= mask[index] }
      return hash
    }

    /// The nonce 0 with a counter.
    private static func block(endingIn last: UInt8) -> Block {
      var block = Block(repeating: 0)
      block[15] = last
      return block
    }
  }
}
