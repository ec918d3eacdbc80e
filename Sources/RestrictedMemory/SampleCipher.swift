import Glibc

/// The stream of a block cipher that a sample's protected blocks are driven through: AES-CTR for the counter schemes,
/// AES-CBC without padding for the chaining ones. Whoever holds the key provides it.
public protocol SampleCipher: ~Copyable {
  associatedtype Failure: Error

  /// Begins anew at `iv`, keeping the key.
  mutating func restart(at iv: SampleIV) throws(Failure)

  /// Deciphers `input` into as many bytes at `output`, which may be the same memory, carrying on from the call before. CBC is
  /// given whole blocks only.
  mutating func update(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) throws(Failure)
}

extension SampleMap {
  /// Deciphers the sample that `next` lends piece by piece into `destination`, clear bytes included.
  ///
  /// `destination` is exactly `byteCount` bytes. `next` is asked for at most so many bytes and lends at least one, valid until it is
  /// asked again, in memory that does not overlap `destination` and that others may write: each byte of it is read once, but for
  /// the ciphertext of CBC, which chains the blocks of what it decrypts and is none the worse for having been another. If the cipher
  /// or `next` fails, what was written to `destination` until then is zeroed again, so that no part of a sample becomes visible.
  public func decipher<Cipher: SampleCipher & ~Copyable>(
    into destination: UnsafeMutableRawBufferPointer, with cipher: inout Cipher,
    from next: (Int) throws -> UnsafeRawBufferPointer
  ) throws {
    precondition(destination.count == byteCount, "the caller cuts it to the sample")
    do {
      if pattern.skipBlockCount == 0 {
        for segment in segments {
          let bytes = UnsafeMutableRawBufferPointer(rebasing: destination[segment.offset...].prefix(segment.byteCount))
          switch segment.treatment {
          case .clear: try Self.copy(to: bytes, from: next)
          case .encrypted(let restart):
            if let restart { try cipher.restart(at: restart) }
            try decipherRun(to: bytes, with: &cipher, from: next)
          }
        }
      } else {
        try Self.copy(to: destination, from: next)
        try decipherPattern(in: destination, with: &cipher)
      }
    } catch {
      destination.wipe()
      throw error
    }
  }

  private static func copy(
    to bytes: UnsafeMutableRawBufferPointer, from next: (Int) throws -> UnsafeRawBufferPointer
  ) throws {
    var filled = 0
    while filled < bytes.count {
      let piece = try next(bytes.count - filled)
      UnsafeMutableRawBufferPointer(rebasing: bytes[filled..<filled + piece.count]).copyMemory(from: piece)
      filled += piece.count
    }
  }

  /// Straight from the input to its place, but for the blocks of CBC that come in two pieces: they meet at their place.
  private func decipherRun<Cipher: SampleCipher & ~Copyable>(
    to bytes: UnsafeMutableRawBufferPointer, with cipher: inout Cipher,
    from next: (Int) throws -> UnsafeRawBufferPointer
  ) throws {
    let unit = scheme.mode == .chaining ? Self.blockByteCount : 1
    var deciphered = 0
    var filled = 0
    while filled < bytes.count {
      let begun = filled - deciphered
      let piece = try next(begun == 0 ? bytes.count - filled : unit - begun)
      let whole = begun == 0 ? piece.count / unit * unit : 0
      if whole > 0 {
        try cipher.update(
          UnsafeRawBufferPointer(rebasing: piece[..<whole]),
          into: UnsafeMutableRawBufferPointer(rebasing: bytes[filled..<filled + whole]))
        deciphered += whole
      }
      UnsafeMutableRawBufferPointer(rebasing: bytes[(filled + whole)...])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: piece[whole...]))
      filled += piece.count
      if filled - deciphered == unit {
        let block = UnsafeMutableRawBufferPointer(rebasing: bytes[deciphered..<filled])
        try cipher.update(UnsafeRawBufferPointer(block), into: block)
        deciphered = filled
      }
    }
  }

  /// A pattern scatters blocks of 16 bytes, and one cipher call a block would cost more than the cipher: they are
  /// gathered, deciphered in one call, and put back. The gathered blocks are wiped.
  private func decipherPattern<Cipher: SampleCipher & ~Copyable>(
    in bytes: UnsafeMutableRawBufferPointer, with cipher: inout Cipher
  ) throws(Cipher.Failure) {
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.scratchByteCount, alignment: 16)
    defer {
      scratch.wipe()
      scratch.deallocate()
    }
    var gathered: [Segment] = []
    gathered.reserveCapacity(Self.scratchByteCount / Self.blockByteCount)
    var filled = 0

    func flush(_ cipher: inout Cipher) throws(Cipher.Failure) {
      if filled == 0 { return }
      let blocks = UnsafeMutableRawBufferPointer(rebasing: scratch[..<filled])
      try cipher.update(UnsafeRawBufferPointer(blocks), into: blocks)
      var position = 0
      for segment in gathered {
        UnsafeMutableRawBufferPointer(rebasing: bytes[segment.offset..<segment.offset + segment.byteCount])
          .copyMemory(from: .init(rebasing: scratch[position..<position + segment.byteCount]))
        position += segment.byteCount
      }
      gathered.removeAll(keepingCapacity: true)
      filled = 0
    }

    for segment in segments {
      guard case .encrypted(let restart) = segment.treatment else { continue }
      // A run is at most 15 blocks, so an empty scratch always has room for it.
      if restart != nil || filled + segment.byteCount > scratch.count { try flush(&cipher) }
      if let restart { try cipher.restart(at: restart) }
      UnsafeMutableRawBufferPointer(rebasing: scratch[filled..<filled + segment.byteCount])
        .copyMemory(from: .init(rebasing: bytes[segment.offset..<segment.offset + segment.byteCount]))
      gathered.append(segment)
      filled += segment.byteCount
    }
    try flush(&cipher)
  }

  private static let scratchByteCount = 4096
}

extension UnsafeMutableRawBufferPointer {
  /// Zeroes the bytes in a way that the optimiser does not remove.
  func wipe() {
    if let baseAddress { explicit_bzero(baseAddress, count) }
  }
}
