import COpenSSL
import Glibc

// Key wrap by hand over a kept ECB context: EVP's own wrap sets up its context anew each time and takes three times
// as long.

/// The integrity value of RFC 3394, section 2.2.3.1.
private let defaultInitialValue: UInt64 = 0xa6a6_a6a6_a6a6_a6a6
/// The constant half of RFC 5649's alternative initial value, section 3.
private let defaultPaddedInitialValue: UInt32 = 0xa659_59a6
/// A limit of ours, far over any key: RFC 5649 counts in 32 bits.
private let longestWrappable = 1 << 30

extension AESKey {
  /// Wraps `plaintext` (whole 8-byte blocks, two or more) into `output` and answers the count, 8 bytes more
  /// (RFC 3394; NIST SP 800-38F KW).
  ///
  /// `initialValue` replaces the standard's. Throws `.dataLength` or `.bufferTooSmall`. `output` must not overlap.
  public func wrap(
    _ plaintext: UnsafeRawBufferPointer, initialValue: UInt64? = nil, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    guard plaintext.count >= 16, plaintext.count % 8 == 0, plaintext.count <= longestWrappable else {
      throw CryptoError(.dataLength, in: "AESKey.wrap")
    }
    let count = plaintext.count + 8
    guard let start = output.baseAddress, output.count >= count else {
      throw CryptoError(.bufferTooSmall, in: "AESKey.wrap")
    }
    (start + 8).copyMemory(from: plaintext.baseAddress!, byteCount: plaintext.count)  // not empty: checked above
    let sum = try wrapBlocks(start + 8, count: plaintext.count / 8, initialValue ?? defaultInitialValue)
    store(sum, at: start)
    return count
  }

  /// Unwraps what `wrap` gave into `output` and answers the count, 8 bytes less.
  ///
  /// Throws `.dataLength` for a count that wrapping never gives, and `.authenticationFailed`, with `output` wiped, when
  /// the integrity value is not `initialValue`.
  public func unwrap(
    _ wrapped: UnsafeRawBufferPointer, initialValue: UInt64? = nil, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    guard wrapped.count >= 24, wrapped.count % 8 == 0, wrapped.count <= longestWrappable else {
      throw CryptoError(.dataLength, in: "AESKey.unwrap")
    }
    let count = wrapped.count - 8
    guard let start = output.baseAddress, output.count >= count else {
      throw CryptoError(.bufferTooSmall, in: "AESKey.unwrap")
    }
    let sum = try unwrapBlocks(wrapped, into: start)
    guard isEqual(sum, initialValue ?? defaultInitialValue) else {
      explicit_bzero(start, count)
      throw CryptoError(.authenticationFailed, in: "AESKey.unwrap")
    }
    return count
  }

  /// The byte count that `wrapPadded` gives for `byteCount` bytes, or nil where it refuses them.
  public static func paddedWrapByteCount(for byteCount: Int) -> Int? {
    (1...longestWrappable).contains(byteCount) ? (byteCount + 7) / 8 * 8 + 8 : nil
  }

  /// Wraps `plaintext` (one byte or more) with padding into `output` and answers the count
  /// (RFC 5649; NIST SP 800-38F KWP).
  ///
  /// `initialValue` replaces the constant half of the standard's. Throws `.dataLength` or `.bufferTooSmall`. `output`
  /// must not overlap.
  public func wrapPadded(
    _ plaintext: UnsafeRawBufferPointer, initialValue: UInt32? = nil, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    guard let count = Self.paddedWrapByteCount(for: plaintext.count), let source = plaintext.baseAddress else {
      throw CryptoError(.dataLength, in: "AESKey.wrapPadded")
    }
    guard let start = output.baseAddress, output.count >= count else {
      throw CryptoError(.bufferTooSmall, in: "AESKey.wrapPadded")
    }
    let value = UInt64(initialValue ?? defaultPaddedInitialValue) << 32 | UInt64(plaintext.count)
    (start + 8).copyMemory(from: source, byteCount: plaintext.count)
    let padding = count - 8 - plaintext.count
    (start + 8 + plaintext.count).initializeMemory(as: UInt8.self, repeating: 0, count: padding)
    if count == 16 {
      store(value, at: start)
      try withBlockContext(.ecbEncrypt) { (context) throws(CryptoError) in
        _ = try transform(context, UnsafeRawBufferPointer(start: start, count: 16), into: start)
      }
    } else {
      store(try wrapBlocks(start + 8, count: count / 8 - 1, value), at: start)
    }
    return count
  }

  /// Unwraps what `wrapPadded` gave into `output`, which needs room for `wrapped.count - 8` bytes, and answers the
  /// plaintext's count, up to 7 bytes less. Bytes of `output` behind it are zero.
  ///
  /// Throws `.dataLength` for a count that wrapping never gives, and `.authenticationFailed`, with `output` wiped, when
  /// the integrity value, the length in it or the padding is wrong.
  public func unwrapPadded(
    _ wrapped: UnsafeRawBufferPointer, initialValue: UInt32? = nil, into output: UnsafeMutableRawBufferPointer
  ) throws(CryptoError) -> Int {
    guard wrapped.count >= 16, wrapped.count % 8 == 0, wrapped.count <= longestWrappable else {
      throw CryptoError(.dataLength, in: "AESKey.unwrapPadded")
    }
    let room = wrapped.count - 8
    guard let start = output.baseAddress, output.count >= room else {
      throw CryptoError(.bufferTooSmall, in: "AESKey.unwrapPadded")
    }
    let sum = wrapped.count == 16 ? try unwrapOneBlock(wrapped, into: start) : try unwrapBlocks(wrapped, into: start)
    let length = Int(sum & 0xffff_ffff)
    // Every check is made whatever the others say, over the whole last block.
    var differences = sum >> 32 ^ UInt64(initialValue ?? defaultPaddedInitialValue)
    differences |= length > room || length <= room - 8 ? 1 : 0
    for offset in room - 8..<room {
      let byte = UInt64(start.load(fromByteOffset: offset, as: UInt8.self))
      let isPadding = UInt64(bitPattern: Int64(length - offset - 1) >> 63)  // all ones from `length` on
      differences |= byte & isPadding
    }
    guard isEqual(differences, 0) else {
      explicit_bzero(start, room)
      throw CryptoError(.authenticationFailed, in: "AESKey.unwrapPadded")
    }
    return length
  }

  // MARK: Secrets

  /// `plaintext` wrapped (RFC 3394).
  public func wrap(_ plaintext: SecretBytes, initialValue: UInt64? = nil) throws(CryptoError) -> [UInt8] {
    try [UInt8](count: plaintext.count + 8) { (output) throws(CryptoError) in
      try plaintext.withBytes { (plaintext) throws(CryptoError) in
        try wrap(plaintext, initialValue: initialValue, into: output)
      }
    }
  }

  /// The secret in `wrapped` (RFC 3394).
  public func unwrap(_ wrapped: [UInt8], initialValue: UInt64? = nil) throws(CryptoError) -> SecretBytes {
    try SecretBytes(count: wrapped.count) { (output) throws(CryptoError) in
      try wrapped.withRawBytes { (wrapped) throws(CryptoError) in
        try unwrap(wrapped, initialValue: initialValue, into: output)
      }
    }
  }

  /// `plaintext` wrapped with padding (RFC 5649).
  public func wrapPadded(_ plaintext: SecretBytes, initialValue: UInt32? = nil) throws(CryptoError) -> [UInt8] {
    try [UInt8](count: Self.paddedWrapByteCount(for: plaintext.count) ?? 0) { (output) throws(CryptoError) in
      try plaintext.withBytes { (plaintext) throws(CryptoError) in
        try wrapPadded(plaintext, initialValue: initialValue, into: output)
      }
    }
  }

  /// The secret in `wrapped` (RFC 5649).
  public func unwrapPadded(_ wrapped: [UInt8], initialValue: UInt32? = nil) throws(CryptoError) -> SecretBytes {
    try SecretBytes(count: wrapped.count) { (output) throws(CryptoError) in
      try wrapped.withRawBytes { (wrapped) throws(CryptoError) in
        try unwrapPadded(wrapped, initialValue: initialValue, into: output)
      }
    }
  }

  // MARK: The wrapping function W and its inverse (SP 800-38F, section 6.1)

  /// Runs W over `count` 8-byte blocks in place and answers the integrity value.
  private func wrapBlocks(
    _ blocks: UnsafeMutableRawPointer, count: Int, _ initialValue: UInt64
  ) throws(CryptoError) -> UInt64 {
    try withBlockContext(.ecbEncrypt) { (context) throws(CryptoError) in
      var block = (sum: initialValue.bigEndian, data: UInt64(0))
      var step: UInt64 = 1
      for _ in 0..<6 {
        for index in 0..<count {
          block.data = blocks.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
          try encipher(context, &block)
          block.sum ^= step.bigEndian
          step += 1
          blocks.storeBytes(of: block.data, toByteOffset: index * 8, as: UInt64.self)
        }
      }
      return UInt64(bigEndian: block.sum)
    }
  }

  /// Runs W's inverse over `wrapped`, writes its blocks but the first to `output` and answers the integrity value.
  private func unwrapBlocks(
    _ wrapped: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer
  ) throws(CryptoError) -> UInt64 {
    let count = wrapped.count / 8 - 1
    output.copyMemory(from: wrapped.baseAddress! + 8, byteCount: count * 8)  // 24 bytes or more
    return try withBlockContext(.ecbDecrypt) { (context) throws(CryptoError) in
      var block = (sum: wrapped.loadUnaligned(as: UInt64.self), data: UInt64(0))
      var step = UInt64(6 * count)
      for _ in 0..<6 {
        for index in stride(from: count - 1, through: 0, by: -1) {
          block.sum ^= step.bigEndian
          step -= 1
          block.data = output.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
          try encipher(context, &block)
          output.storeBytes(of: block.data, toByteOffset: index * 8, as: UInt64.self)
        }
      }
      return UInt64(bigEndian: block.sum)
    }
  }

  private func unwrapOneBlock(
    _ wrapped: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer
  ) throws(CryptoError) -> UInt64 {
    try withBlockContext(.ecbDecrypt) { (context) throws(CryptoError) in
      var block = (
        sum: wrapped.loadUnaligned(as: UInt64.self),
        data: wrapped.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
      )
      try encipher(context, &block)
      output.storeBytes(of: block.data, as: UInt64.self)
      return UInt64(bigEndian: block.sum)
    }
  }

  @inline(__always)
  private func encipher(
    _ context: OpaquePointer, _ block: inout (sum: UInt64, data: UInt64)
  ) throws(CryptoError) {
    let status = withUnsafeMutableBytes(of: &block) { bytes in
      var written: Int32 = 0
      let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
      return EVP_CipherUpdate(context, start, &written, start, 16)
    }
    guard status == 1 else { throw CryptoError(.libraryFailure, in: "EVP_CipherUpdate") }
  }

  private func withBlockContext<Result>(
    _ schedule: Schedule, _ body: (OpaquePointer) throws(CryptoError) -> Result
  ) throws(CryptoError) -> Result {
    let context = try takeContext(schedule)
    defer { giveBack(context, schedule) }
    try restart(context, iv: nil)
    return try body(context)
  }
}

private func store(_ value: UInt64, at address: UnsafeMutableRawPointer) {
  address.storeBytes(of: value.bigEndian, as: UInt64.self)
}

/// Whether two values are equal, in constant time.
private func isEqual(_ left: UInt64, _ right: UInt64) -> Bool {
  withUnsafeBytes(of: left) { left in withUnsafeBytes(of: right) { right in constantTimeEqual(left, right) } }
}
