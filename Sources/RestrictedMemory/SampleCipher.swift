import Glibc

/// The stream of a block cipher that a sample's protected blocks are driven through: AES-CTR for the counter schemes,
/// AES-CBC without padding for the chaining ones. Whoever holds the key provides it.
public protocol SampleCipher: ~Copyable {
  associatedtype Failure: Error

  /// Begins anew at `iv`, keeping the key.
  mutating func restart(at iv: SampleIV) throws(Failure)

  /// Deciphers the bytes in place, carrying on from the call before. CBC is given whole blocks only.
  mutating func update(_ bytes: UnsafeMutableRawBufferPointer) throws(Failure)
}

extension SampleMap {
  /// Deciphers the sample `source` into `destination`, clear bytes included.
  ///
  /// Both are exactly `byteCount` bytes; they are the same memory or do not overlap. If the cipher fails, what was
  /// written to `destination` until then is zeroed again, so that no part of a sample becomes visible.
  public func decipher<Cipher: SampleCipher & ~Copyable>(
    _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer, with cipher: inout Cipher
  ) throws(Cipher.Failure) {
    precondition(source.count == byteCount && destination.count == byteCount, "the caller cuts both to the sample")
    if byteCount == 0 { return }
    if source.baseAddress != UnsafeRawPointer(destination.baseAddress) { destination.copyMemory(from: source) }
    do throws(Cipher.Failure) {
      if pattern.skipBlockCount == 0 {
        try decipherRuns(in: destination, with: &cipher)
      } else {
        try decipherPattern(in: destination, with: &cipher)
      }
    } catch {
      destination.wipe()
      throw error
    }
  }

  private func decipherRuns<Cipher: SampleCipher & ~Copyable>(
    in bytes: UnsafeMutableRawBufferPointer, with cipher: inout Cipher
  ) throws(Cipher.Failure) {
    for segment in segments {
      guard case .encrypted(let restart) = segment.treatment else { continue }
      if let restart { try cipher.restart(at: restart) }
      try cipher.update(.init(rebasing: bytes[segment.offset..<segment.offset + segment.byteCount]))
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
      try cipher.update(.init(rebasing: scratch[..<filled]))
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
