import Glibc

extension UnsafeMutableRawBufferPointer {
  /// Copies `bytes` to `offset`; all of them have to fit.
  ///
  /// `copyBytes` on a slice of a buffer goes byte by byte: for the sizes that are moved here this is the difference
  /// between a tenth of a millisecond and ten.
  @inline(__always)
  public func copy(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    UnsafeMutableRawBufferPointer(rebasing: self[offset...]).copyMemory(from: bytes)
  }
}

extension [UInt8] {
  /// Overwrites the bytes with zeros in a way that the compiler keeps. Of an array that somebody else holds as well, only a
  /// copy would be.
  public mutating func wipe() {
    withUnsafeMutableBytes { bytes in
      if let base = bytes.baseAddress { explicit_bzero(base, bytes.count) }
    }
  }
}
