import MediaContainer

/// Stretches of clear video that its protected form does not show.
enum SampleWindows {
  static func windows(clear: String, protected: String, byteCount: Int) throws -> [[UInt8]] {
    let clearPackets = try packets(of: clear)
    let protectedPackets = try packets(of: protected)
    guard clearPackets.count == protectedPackets.count else {
      throw Failure("\(clear) has \(clearPackets.count) video samples, \(protected) \(protectedPackets.count)")
    }
    var found: Set<[UInt8]> = []
    for (plain, hidden) in zip(clearPackets, protectedPackets) {
      guard let protection = hidden.protection else { continue }
      guard plain.data.count == hidden.data.count else {
        throw Failure("\(protected) is not \(clear) in protected form: a sample has another length")
      }
      for range in ranges(protection, hidden.data.count) {
        for start in stride(from: range.lowerBound, through: range.upperBound - byteCount, by: 16) {
          let end = start + byteCount
          let differing = (start..<end).count { plain.data[$0] != hidden.data[$0] }
          if differing >= 8 { found.insert(Array(plain.data[start..<end])) }
        }
      }
    }
    return try remove(from: found, whatOccursIn: protected).sorted { $0.lexicographicallyPrecedes($1) }
  }

  private static func packets(of path: String) throws -> [MediaPacket] {
    do {
      let demuxer = try Demuxer(path: path)
      let track = try demuxer.videoTrack()
      var packets: [MediaPacket] = []
      while let packet = try demuxer.next() { if packet.trackIndex == track.index { packets.append(packet) } }
      return packets
    } catch { throw Failure("\(error)") }
  }

  /// The protected ranges of a sample.
  private static func ranges(_ protection: PacketProtection, _ byteCount: Int) -> [Range<Int>] {
    if protection.subsamples.isEmpty { return [0..<byteCount] }
    var ranges: [Range<Int>] = []
    var offset = 0
    for subsample in protection.subsamples {
      let start = offset + Int(subsample.clearByteCount)
      let end = start + Int(subsample.protectedByteCount)
      guard end <= byteCount else { break }
      ranges.append(start..<end)
      offset = end
    }
    return ranges
  }

  private static func remove(from windows: Set<[UInt8]>, whatOccursIn path: String) throws -> [[UInt8]] {
    let file = try contents(of: path)
    guard let length = windows.first?.count, file.count >= length else { return Array(windows) }
    var left = windows
    for start in 0...(file.count - length) { left.remove(Array(file[start..<(start + length)])) }
    return Array(left)
  }
}

/// The round keys of AES-128 (FIPS 197, 5.2), to look for them: whoever has expanded the key holds them too.
struct AESKeySchedule {
  private var words: [[UInt8]] = []

  init(_ key: [UInt8]) {
    for index in 0..<4 { words.append(Array(key[(4 * index)..<(4 * index + 4)])) }
    var constant: UInt8 = 1
    for index in 4..<44 {
      var word = words[index - 1]
      if index.isMultiple(of: 4) {
        word = [word[1], word[2], word[3], word[0]].map(Self.substitute)
        word[0] ^= constant
        constant = Self.multiply(constant, 2)
      }
      words.append(zip(word, words[index - 4]).map { $0 ^ $1 })
    }
  }

  func roundKey(_ round: Int) -> [UInt8] { Array(words[(4 * round)..<(4 * round + 4)].joined()) }

  /// The round key of the equivalent inverse cipher (FIPS 197, 5.3.5).
  func inverseRoundKey(_ round: Int) -> [UInt8] {
    words[(4 * round)..<(4 * round + 4)].flatMap { word in
      (0..<4).map { row in
        (0..<4).reduce(UInt8(0)) { $0 ^ Self.multiply(word[$1], [14, 11, 13, 9][($1 - row + 4) % 4]) }
      }
    }
  }

  /// The product in GF(2^8) (FIPS 197, 4.2).
  private static func multiply(_ left: UInt8, _ right: UInt8) -> UInt8 {
    var product: UInt8 = 0
    var left = left
    for bit in 0..<8 {
      if right >> bit & 1 == 1 { product ^= left }
      left = left << 1 ^ (left & 0x80 == 0 ? 0 : 0x1b)
    }
    return product
  }

  /// The S-box (FIPS 197, 5.1.1), computed: the inverse in GF(2^8), then the affine map.
  private static func substitute(_ byte: UInt8) -> UInt8 {
    // x^254 is the inverse of x, and 0 for 0.
    let inverse = (0..<254).reduce(UInt8(1)) { product, _ in multiply(product, byte) }
    return (0..<5).reduce(UInt8(0x63)) { $0 ^ (inverse << $1 | inverse >> (8 - $1)) }
  }
}
