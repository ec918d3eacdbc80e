/// A hash of bytes that clients choose. Two numbers drawn when the process starts are part of it, so that nobody can look
/// for values that share one.
///
/// Products of 64 by 64 bits, their halves added without carry, as in wyhash and foldhash: a few instructions for a label,
/// where `Hasher` takes hundreds. Not a cryptographic hash: what is found by it is compared.
enum KeyedHash {
  private static let seeds = (UInt64.random(in: 0 ... .max), UInt64.random(in: 0 ... .max))

  /// The same of a number.
  static func of(_ number: UInt64) -> UInt64 {
    let (first, second) = seeds
    return fold(fold(first ^ number, second), first)
  }

  static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    let (first, second) = seeds
    var state = first
    var position = 0
    while bytes.count - position > 16 {
      state = fold(state ^ word(bytes, position), second ^ word(bytes, position + 8))
      position += 16
    }
    // The last 16 bytes at most, in two words that may overlap; what the words of two lengths share, the count tells apart.
    let rest = bytes.count - position
    let (low, high): (UInt64, UInt64)
    if rest >= 8 {
      (low, high) = (word(bytes, position), word(bytes, bytes.count - 8))
    } else {
      (low, high) = (short(bytes, position), 0)
    }
    return fold(fold(state ^ low, second ^ high) ^ UInt64(bytes.count), first)
  }

  @inline(__always)
  private static func word(_ bytes: UnsafeRawBufferPointer, _ position: Int) -> UInt64 {
    bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)
  }

  @inline(__always)
  private static func short(_ bytes: UnsafeRawBufferPointer, _ position: Int) -> UInt64 {
    var word: UInt64 = 0
    for place in position..<bytes.count { word = word << 8 | UInt64(bytes[place]) }
    return word
  }

  @inline(__always)
  private static func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let product = left.multipliedFullWidth(by: right)
    return product.high ^ product.low
  }
}
