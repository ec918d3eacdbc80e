import COpenSSL

/// Which way a cipher runs.
public enum CipherDirection: Sendable {
  case encrypt
  case decrypt
}

/// Where an authenticated cipher's tag is found.
public enum TagPlacement: Sendable {
  /// Encryption ends by writing the tag; decryption takes the input's last bytes for it.
  case behindCiphertext
  /// Encryption hands it over by `tag(into:)`; decryption gets it by `expectTag`.
  case apart
}

/// A mode of operation with its parameters.
// Unchecked: the buffers are read while the call that gets them lasts, and not kept.
public enum CipherMode: @unchecked Sendable {
  /// Whole blocks (NIST SP 800-38A).
  case ecb
  /// Whole blocks, 16-byte IV (NIST SP 800-38A).
  case cbc(iv: UnsafeRawBufferPointer)
  /// CBC with PKCS #7 padding (RFC 5652, section 6.3).
  case cbcPadded(iv: UnsafeRawBufferPointer)
  /// Counter mode: a 16-byte first counter block, counted up as one 128-bit number (NIST SP 800-38A). See
  /// `counterBlocksBeforeWrap` for callers whose counter is narrower.
  case counter(firstBlock: UnsafeRawBufferPointer)
  /// GCM (NIST SP 800-38D): an IV of one byte or more, a tag of 4 to 16 bytes.
  case gcm(iv: UnsafeRawBufferPointer, tagByteCount: Int, tag: TagPlacement)
}

extension AESKey {
  /// Begins an operation. Throws `.invalidParameter` for an IV or tag of a wrong byte count.
  public func begin(_ mode: CipherMode, _ direction: CipherDirection) throws(CryptoError) -> CipherOperation {
    try CipherOperation(key: self, mode, direction)
  }
}

/// One encryption or decryption in progress. Not for two threads at once.
///
/// Its context goes back to the key at the end of the operation's life. Every output is checked for room before anything
/// is taken in, so after `.bufferTooSmall` the same call may be made again. `output` may be the same memory as `input`.
public struct CipherOperation: ~Copyable {
  private enum Kind {
    case wholeBlocks
    case padded
    case stream
    case gcm
  }

  // Small, since operations are moved about: what few of them need lies apart.
  private let key: AESKey
  private let context: OpaquePointer
  private let schedule: AESKey.Schedule
  private let kind: Kind
  private let tagCount: UInt8
  private let tagPlacement: TagPlacement
  /// Whether the context fits the key's pool again.
  private let isPoolable: Bool
  /// Bytes taken in that have not come out: a part of a block, the block that may be padding, or the possible tag; up to 16.
  private var pendingCount: UInt8 = 0
  private var rarities: Rarities?

  /// What an operation needs of which there are few.
  private final class Rarities {
    /// Does a GCM whose IV libcrypto does not take; the context is idle then.
    let longIV: LongIVGaloisCounter?
    /// The possible tag: the last `pendingByteCount` bytes of a GCM ciphertext with its tag behind.
    var heldBack = InlineArray<16, UInt8>(repeating: 0)
    /// The last plaintext of a padded decryption whose receiver had no room for it.
    var unwrittenEnd: SecretBytes?

    init(longIV: LongIVGaloisCounter? = nil) { self.longIV = longIV }
  }

  private var tagByteCount: Int { Int(tagCount) }

  private var pendingByteCount: Int {
    get { Int(pendingCount) }
    set { pendingCount = UInt8(truncatingIfNeeded: newValue) }
  }

  private var longIV: LongIVGaloisCounter? { rarities?.longIV }

  /// The rarities, made when they are first needed.
  private mutating func needed() -> Rarities {
    if let rarities { return rarities }
    let made = Rarities()
    rarities = made
    return made
  }

  fileprivate init(key: AESKey, _ mode: CipherMode, _ direction: CipherDirection) throws(CryptoError) {
    let encrypts = direction == .encrypt
    let schedule: AESKey.Schedule
    let kind: Kind
    var iv: UnsafeRawPointer?
    var ivCount = AESKey.blockByteCount
    var (tagByteCount, tagPlacement) = (0, TagPlacement.apart)
    var rarities: Rarities?
    var isPoolable = true
    switch mode {
    case .ecb: (schedule, kind) = (encrypts ? .ecbEncrypt : .ecbDecrypt, .wholeBlocks)
    case .cbc(let given):
      (schedule, kind) = (encrypts ? .cbcEncrypt : .cbcDecrypt, .wholeBlocks)
      (iv, ivCount) = (given.baseAddress, given.count)
    case .cbcPadded(let given):
      (schedule, kind) = (encrypts ? .cbcPaddedEncrypt : .cbcPaddedDecrypt, .padded)
      (iv, ivCount) = (given.baseAddress, given.count)
    case .counter(let firstBlock):
      (schedule, kind) = (.counter, .stream)
      (iv, ivCount) = (firstBlock.baseAddress, firstBlock.count)
    case .gcm(let given, let count, let placement):
      guard given.count > 0, (4...16).contains(count) else {
        throw CryptoError(.invalidParameter, in: "AES-GCM", reason: "IV or tag byte count")
      }
      (schedule, kind, iv) = (encrypts ? .gcmEncrypt : .gcmDecrypt, .gcm, given.baseAddress)
      (tagByteCount, tagPlacement) = (count, placement)
      if given.count > Self.longestIV {
        rarities = Rarities(longIV: try LongIVGaloisCounter(key: key, iv: given))
      } else {
        isPoolable = given.count == Self.usualIV
      }
      if !isPoolable { ivCount = given.count }
    }
    guard kind == .gcm || ivCount == AESKey.blockByteCount else {
      throw CryptoError(.invalidParameter, in: "AES", reason: "IV is not one block")
    }
    let context = try key.takeContext(schedule)
    if rarities == nil {
      do throws(CryptoError) {
        if !isPoolable {
          let status = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, Int32(ivCount), nil)
          guard status == 1 else { throw CryptoError(.unsupported, in: "EVP_CIPHER_CTX_ctrl") }
        }
        try restart(context, iv: iv)
      } catch {
        EVP_CIPHER_CTX_free(context)
        throw error
      }
    }
    self.key = key
    self.context = context
    self.schedule = schedule
    self.kind = kind
    tagCount = UInt8(truncatingIfNeeded: tagByteCount)
    self.tagPlacement = tagPlacement
    self.isPoolable = isPoolable
    self.rarities = rarities
  }

  /// libcrypto's limit for GCM, in bytes.
  private static let longestIV = 128
  /// What contexts for GCM are made for, in bytes.
  private static let usualIV = 12

  deinit {
    if isPoolable { key.giveBack(context, schedule) } else { EVP_CIPHER_CTX_free(context) }
  }

  /// How many bytes `update` will write for `inputByteCount` more bytes.
  public func outputByteCount(forUpdate inputByteCount: Int) -> Int {
    let (total, overflow) = pendingByteCount.addingReportingOverflow(max(inputByteCount, 0))
    guard !overflow else { return Int.max }
    switch kind {
    case .stream: return total
    case .wholeBlocks: return total & ~15
    case .padded: return schedule.encrypts ? total & ~15 : max(total - 1, 0) & ~15
    case .gcm: return holdsBackTag ? max(total - tagByteCount, 0) : total
    }
  }

  /// The most that `finish` may write: exact but for padded decryption, which gives 0 to 15.
  public var finishByteCount: Int { mostAtFinish() }

  /// `finishByteCount`, for an operation that is an optional: of what it lends, only methods can be asked for.
  package func mostAtFinish() -> Int {
    if let unwrittenEnd = rarities?.unwrittenEnd { return unwrittenEnd.count }
    switch kind {
    case .padded: return schedule.encrypts ? 16 : 15
    case .gcm: return schedule.encrypts && tagPlacement == .behindCiphertext ? tagByteCount : 0
    case .wholeBlocks, .stream: return 0
    }
  }

  /// Takes in associated data, before the first `update`; in parts as the caller likes. Only for GCM.
  public func authenticate(_ associatedData: UnsafeRawBufferPointer) throws(CryptoError) {
    guard kind == .gcm else { throw CryptoError(.unsupported, in: "CipherOperation.authenticate") }
    if let longIV { return try longIV.authenticate(associatedData) }
    _ = try transform(context, associatedData, into: nil)
  }

  /// Takes in `input`, writes what is ready to `output` and answers its byte count.
  ///
  /// Decrypted GCM output is not authentic before `finish` has succeeded.
  public mutating func update(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    let expected = outputByteCount(forUpdate: input.count)
    guard output.count >= expected else { throw CryptoError(.bufferTooSmall, in: "CipherOperation.update") }
    guard input.count > 0 else { return 0 }
    if pendingByteCount > 0, Self.overlap(input, output) {
      // What is pending comes out first and would overwrite input that is still to be read.
      return try SecretBytes(copying: input).withBytes { (copy) throws(CryptoError) in
        try advance(copy, into: output, expected: expected)
      }
    }
    return try advance(input, into: output, expected: expected)
  }

  private mutating func advance(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, expected: Int
  ) throws(CryptoError) -> Int {
    if holdsBackTag { return try advanceHoldingBackTag(input, into: output) }
    let total = pendingByteCount + input.count
    pendingByteCount = total - expected
    if let start = output.baseAddress { return try process(input, into: start) }
    return try processWithoutOutput(input)
  }

  /// No room and none needed; libcrypto takes a NULL output for associated data, so it gets an address.
  @inline(never)
  private func processWithoutOutput(_ input: UnsafeRawBufferPointer) throws(CryptoError) -> Int {
    var block = InlineArray<16, UInt8>(repeating: 0)
    var span = block.mutableSpan
    return try span.withUnsafeMutableBytes { (scratch) throws(CryptoError) in
      try process(input, into: scratch.baseAddress)
    }
  }

  @inline(__always)
  private func process(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer?
  ) throws(CryptoError) -> Int {
    guard let longIV else { return try transform(context, input, into: output) }
    try longIV.apply(input, into: output, encrypts: schedule.encrypts)
    return input.count
  }

  private static func overlap(_ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer) -> Bool {
    guard let first = input.baseAddress, let second = output.baseAddress else { return false }
    let target = UnsafeRawPointer(second)
    return first < target + output.count && target < first + input.count
  }

  // MARK: Ends

  /// Ends the operation: writes the last bytes to `output` and answers their count.
  ///
  /// Throws `.dataLength` where the input's byte count is not one that the mode takes, `.badPadding`, or
  /// `.authenticationFailed`: then nothing that was decrypted may be used. Decryption with the tag apart ends by
  /// `finish(verifying:)`.
  public mutating func finish(into output: UnsafeMutableRawBufferPointer) throws(CryptoError) -> Int {
    switch kind {
    case .stream: return 0
    case .wholeBlocks:
      guard pendingByteCount == 0 else { throw CryptoError(.dataLength, in: "AES", reason: "not whole blocks") }
      return 0
    case .padded: return try finishPadded(into: output)
    case .gcm where schedule.encrypts: return try finishSealing(into: output)
    case .gcm:
      guard tagPlacement == .behindCiphertext else {
        throw CryptoError(.unsupported, in: "CipherOperation.finish", reason: "the tag is apart")
      }
      guard pendingByteCount == tagByteCount else {
        throw CryptoError(.authenticationFailed, in: "AES-GCM", reason: "shorter than a tag")
      }
      let heldBack = needed().heldBack
      try heldBack.span.withUnsafeBytes { (bytes) throws(CryptoError) in
        try verify(tag: UnsafeRawBufferPointer(rebasing: bytes[..<tagByteCount]))
      }
      return 0
    }
  }

  /// Ends a GCM decryption whose tag is apart. Throws `.authenticationFailed` unless `tag` is the right one with the
  /// byte count that the operation began with.
  public func finish(verifying tag: UnsafeRawBufferPointer) throws(CryptoError) {
    guard kind == .gcm, !schedule.encrypts, tagPlacement == .apart else {
      throw CryptoError(.unsupported, in: "CipherOperation.finish(verifying:)")
    }
    guard tag.count == tagByteCount else { throw CryptoError(.authenticationFailed, in: "AES-GCM") }
    try verify(tag: tag)
  }

  /// Ends a GCM encryption whose tag is apart: writes it to `output` and answers its byte count.
  public func finish(tagInto output: UnsafeMutableRawBufferPointer) throws(CryptoError) -> Int {
    guard kind == .gcm, schedule.encrypts, tagPlacement == .apart else {
      throw CryptoError(.unsupported, in: "CipherOperation.finish(tagInto:)")
    }
    return try writeTag(into: output)
  }

  private mutating func finishPadded(into output: UnsafeMutableRawBufferPointer) throws(CryptoError) -> Int {
    if let unwrittenEnd = rarities?.unwrittenEnd { return try write(unwrittenEnd, into: output) }
    if !schedule.encrypts, pendingByteCount != AESKey.blockByteCount {
      throw CryptoError(.dataLength, in: "AES-CBC", reason: "not whole blocks")
    }
    if schedule.encrypts {
      guard output.count >= 16 else { throw CryptoError(.bufferTooSmall, in: "CipherOperation.finish") }
      return try finishBlock(into: output.baseAddress)
    }
    var block = InlineArray<16, UInt8>(repeating: 0)
    var span = block.mutableSpan
    return try span.withUnsafeMutableBytes { (block) throws(CryptoError) in
      defer { wipe(block) }
      let count = try finishBlock(into: block.baseAddress)
      let end = UnsafeRawBufferPointer(rebasing: block[..<count])
      if output.count >= count {
        output.copyMemory(from: end)
        return count
      }
      needed().unwrittenEnd = SecretBytes(copying: end)
      throw CryptoError(.bufferTooSmall, in: "CipherOperation.finish")
    }
  }

  /// Ends the context of a padded operation and answers how many bytes it wrote to the block at `output`.
  private func finishBlock(into output: UnsafeMutableRawPointer?) throws(CryptoError) -> Int {
    try preservingErrorQueue { () throws(CryptoError) in
      var written: Int32 = 0
      let status = EVP_CipherFinal_ex(context, output?.assumingMemoryBound(to: UInt8.self), &written)
      try check(status, "EVP_CipherFinal_ex", schedule.encrypts ? .libraryFailure : .badPadding)
      return Int(written)
    }
  }

  private func write(_ end: SecretBytes, into output: UnsafeMutableRawBufferPointer) throws(CryptoError) -> Int {
    guard output.count >= end.count else { throw CryptoError(.bufferTooSmall, in: "CipherOperation.finish") }
    end.withBytes { output.copyMemory(from: $0) }
    return end.count
  }

  private func finishSealing(into output: UnsafeMutableRawBufferPointer) throws(CryptoError) -> Int {
    guard tagPlacement == .behindCiphertext else {
      throw CryptoError(.unsupported, in: "CipherOperation.finish", reason: "the tag is apart")
    }
    return try writeTag(into: output)
  }

  private func writeTag(into output: UnsafeMutableRawBufferPointer) throws(CryptoError) -> Int {
    guard let start = output.baseAddress, output.count >= tagByteCount else {
      throw CryptoError(.bufferTooSmall, in: "CipherOperation.finish")
    }
    if let longIV {
      let tag = try longIV.finish()
      for index in 0..<tagByteCount { output[index] = tag[index] }
      return tagByteCount
    }
    var written: Int32 = 0
    guard EVP_CipherFinal_ex(context, start.assumingMemoryBound(to: UInt8.self), &written) == 1 else {
      throw CryptoError(.libraryFailure, in: "EVP_CipherFinal_ex")
    }
    guard EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(tagByteCount), start) == 1 else {
      throw CryptoError(.libraryFailure, in: "EVP_CIPHER_CTX_ctrl")
    }
    return tagByteCount
  }

  private func verify(tag: UnsafeRawBufferPointer) throws(CryptoError) {
    if let longIV {
      let matched = try longIV.finish().span.withUnsafeBytes { expected in
        constantTimeEqual(UnsafeRawBufferPointer(rebasing: expected[..<tag.count]), tag)
      }
      guard matched else { throw CryptoError(.authenticationFailed, in: "AES-GCM") }
      return
    }
    try preservingErrorQueue { () throws(CryptoError) in
      let start = UnsafeMutableRawPointer(mutating: tag.baseAddress)
      let status = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tag.count), start)
      try check(status, "EVP_CIPHER_CTX_ctrl")
      var written: Int32 = 0
      var end: (UInt64, UInt64) = (0, 0)
      let matched = withUnsafeMutableBytes(of: &end) { end in
        EVP_CipherFinal_ex(context, end.baseAddress?.assumingMemoryBound(to: UInt8.self), &written)
      }
      guard matched == 1 else { throw CryptoError(.authenticationFailed, in: "AES-GCM") }
    }
  }

  // MARK: The tag behind the ciphertext

  private var holdsBackTag: Bool { kind == .gcm && !schedule.encrypts && tagPlacement == .behindCiphertext }

  /// Decrypts all but the last `tagByteCount` bytes seen so far and keeps those.
  private mutating func advanceHoldingBackTag(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    let rarities = needed()
    let releasable = max(pendingByteCount + input.count - tagByteCount, 0)
    let fromHeld = min(releasable, pendingByteCount)
    let fromInput = releasable - fromHeld
    var written = 0
    if fromHeld > 0 {
      let held = rarities.heldBack
      written = try held.span.withUnsafeBytes { (held) throws(CryptoError) in
        try process(UnsafeRawBufferPointer(rebasing: held[..<fromHeld]), into: output.baseAddress)
      }
      pendingByteCount -= fromHeld
      for index in 0..<pendingByteCount { rarities.heldBack[index] = held[index + fromHeld] }
    }
    // Copied before the output is written, which may be the same memory.
    for byte in input[fromInput...] {
      rarities.heldBack[pendingByteCount] = byte
      pendingByteCount += 1
    }
    let ready = UnsafeRawBufferPointer(rebasing: input[..<fromInput])
    return written + (try process(ready, into: output.baseAddress.map { $0 + written }))
  }
}

/// How many blocks counter mode may take from `firstBlock` before the low `counterBits` bits of the counter block wrap.
///
/// A caller whose counter is narrower than 128 bits refuses longer data, since the carry would run into the nonce.
/// Answers `UInt64.max` for as many or more; 0 unless the block has 16 bytes and `counterBits` is 1 to 128.
public func counterBlocksBeforeWrap(firstBlock: UnsafeRawBufferPointer, counterBits: Int) -> UInt64 {
  guard firstBlock.count == 16, (1...128).contains(counterBits) else { return 0 }
  let block = UInt128(bigEndian: firstBlock.loadUnaligned(as: UInt128.self))
  let mask = UInt128.max >> UInt128(128 - counterBits)
  let beforeLast = mask - (block & mask)  // one less than the answer, which may not fit
  return beforeLast >= UInt128(UInt64.max) ? UInt64.max : UInt64(beforeLast) + 1
}
