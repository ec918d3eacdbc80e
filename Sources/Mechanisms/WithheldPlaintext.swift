import CryptoCore
import Wire

/// An authenticated decryption that gives nothing before its tag has been verified.
///
/// The caller's memory may change while it is read: libcrypto reads ciphertext twice, for the tag and for the plaintext, and plaintext of
/// ciphertext that was never authenticated must not leave. So each byte of the input is read once, into memory of this process, and
/// deciphered there in place; tag and plaintext are of the same bytes, whatever the caller does meanwhile. There the plaintext stays until
/// the tag, the last bytes of the input, is right. Then it is lent piece by piece, and each piece is wiped as soon as it has been used:
/// it is still in the processor's nearest cache. With a wrong tag all of it is wiped when this object goes.
final class WithheldPlaintext {
  private var cipher: CipherOperation
  private let tagByteCount: Int
  private var blocks: [SecretBlock] = []
  /// Bytes of all blocks.
  private var capacity = 0
  /// Bytes of input taken in, the tag included.
  private var inputByteCount = 0
  /// Of these, the bytes that have been deciphered.
  private var deciphered = 0
  /// Whether the tag has been looked at; there is no second time.
  private var isOver = false

  /// Bytes worked on at a time: what stays in the processor's nearest caches between one step and the next.
  private static let pieceByteCount = 1 << 14
  /// Bytes are deciphered in multiples of this, but for the last.
  private static let stepByteCount = 1 << 10
  /// So many blocks are short ones, as the process keeps them; whoever needs more gets long ones.
  private static let shortBlockCount = 8

  /// `cipher` is a decryption that takes its tag apart, of `tagByteCount` bytes.
  init(_ cipher: consuming CipherOperation, tagByteCount: Int) {
    self.cipher = cipher
    self.tagByteCount = tagByteCount
  }

  /// Bytes of memory that this takes: whole pages of short blocks, and long ones as a whole.
  var heldByteCount: Int {
    blocks.count > Self.shortBlockCount ? capacity : min((inputByteCount + 4095) & ~4095, capacity)
  }

  /// Bytes of plaintext, if the input ends here.
  var byteCount: Int { max(inputByteCount - tagByteCount, 0) }

  /// Takes in more of the ciphertext and the tag behind it.
  func update(_ input: UnsafeRawBufferPointer) throws(CryptoError) {
    var position = 0
    while position < input.count {
      let (block, start) = try room()
      let count = min(input.count - position, block.bytes.count - start, Self.pieceByteCount)
      block.willWrite(to: start + count)
      block.bytes.copy(UnsafeRawBufferPointer(rebasing: input[position..<position + count]), at: start)
      position += count
      inputByteCount += count
      // What may be the tag waits, and so much more that each step begins where cache lines do.
      try decipher(to: byteCount & ~(Self.stepByteCount - 1))
    }
  }

  /// Where the next byte of input goes.
  private func room() throws(CryptoError) -> (SecretBlock, Int) {
    if inputByteCount == capacity {
      let block = try SecretBlock(blocks.count < Self.shortBlockCount ? .short : .long)
      blocks.append(block)
      capacity += block.bytes.count
    }
    let block = blocks[blocks.count - 1]
    return (block, block.bytes.count - (capacity - inputByteCount))
  }

  private func decipher(to end: Int) throws(CryptoError) {
    // All but the last two blocks have been: the tag is shorter than a block of memory.
    var start = capacity
    var index = blocks.count
    while index > 0, start > deciphered {
      index -= 1
      start -= blocks[index].bytes.count
    }
    while deciphered < end {
      let bytes = blocks[index].bytes
      let range = (deciphered - start)..<(min(end, start + bytes.count) - start)
      let piece = UnsafeMutableRawBufferPointer(rebasing: bytes[range])
      _ = try cipher.update(UnsafeRawBufferPointer(piece), into: piece)
      deciphered += piece.count
      start += bytes.count
      index += 1
    }
  }

  /// Verifies the tag, and then lends the plaintext, in pieces and once. Throws `.authenticationFailed` with nothing lent.
  func release<E: Error>(
    orElse failure: (CryptoError) -> E, _ body: (UnsafeRawBufferPointer) throws(E) -> Void
  ) throws(E) {
    do throws(CryptoError) { try verify() } catch { throw failure(error) }
    // Little is lent in smaller pieces, so that the caller's copying on overlaps with it at all.
    let lentByteCount = byteCount <= 4 * Self.pieceByteCount ? Self.pieceByteCount / 2 : Self.pieceByteCount
    var left = byteCount
    for block in blocks {
      let end = min(left, block.bytes.count)
      var position = 0
      while position < end {
        let count = min(end - position, lentByteCount)
        try body(UnsafeRawBufferPointer(rebasing: block.bytes[position..<position + count]))
        position += count
        block.wipe(to: position)
      }
      left -= end
    }
  }

  private func verify() throws(CryptoError) {
    guard !isOver else { throw CryptoError(.unsupported, in: "WithheldPlaintext.release", reason: "called again") }
    isOver = true
    guard inputByteCount >= tagByteCount else {
      throw CryptoError(.authenticationFailed, in: "AES-GCM", reason: "shorter than a tag")
    }
    try decipher(to: byteCount)
    var tag = InlineArray<16, UInt8>(repeating: 0)
    var start = capacity
    for block in blocks.reversed() {
      start -= block.bytes.count
      for index in max(byteCount, start)..<max(min(inputByteCount, start + block.bytes.count), byteCount, start) {
        tag[index - byteCount] = block.bytes[index - start]
      }
      if start <= byteCount { break }
    }
    try tag.span.withUnsafeBytes { (tag) throws(CryptoError) in
      try cipher.finish(verifying: UnsafeRawBufferPointer(rebasing: tag[..<tagByteCount]))
    }
  }
}
