/// The four protection schemes of Common Encryption (ISO/IEC 23001-7), named by their four-character code.
public enum ProtectionScheme: UInt32, Sendable, CaseIterable {
  /// AES-CTR, every protected byte.
  case cenc = 0x6365_6E63
  /// AES-CTR with a block pattern.
  case cens = 0x6365_6E73
  /// AES-CBC, every whole protected block.
  case cbc1 = 0x6362_6331
  /// AES-CBC with a block pattern, restarting in every subsample.
  case cbcs = 0x6362_6373

  /// The block cipher mode that the scheme's protected blocks are enciphered in.
  public enum Mode: Sendable { case counter, chaining }

  public var mode: Mode {
    switch self {
    case .cenc, .cens: .counter
    case .cbc1, .cbcs: .chaining
    }
  }

  /// Whether the scheme enciphers by a block pattern.
  public var hasPattern: Bool { self == .cens || self == .cbcs }
}

/// A clear range followed by a protected range of a sample, in bytes.
public struct Subsample: Sendable, Equatable {
  public let clearByteCount: UInt32
  public let protectedByteCount: UInt32

  public init(clear: UInt32, protected: UInt32) {
    clearByteCount = clear
    protectedByteCount = protected
  }
}

/// How many 16-byte blocks of a protected range are enciphered, and how many then are not, in turn.
///
/// `0:0` and `n:0` mean every block.
public struct EncryptionPattern: Sendable, Equatable {
  public let cryptBlockCount: UInt8
  public let skipBlockCount: UInt8

  public init(crypt: UInt8, skip: UInt8) {
    cryptBlockCount = crypt
    skipBlockCount = skip
  }

  public static let none = EncryptionPattern(crypt: 0, skip: 0)
}

/// The 16-byte initial counter block or CBC initialisation vector of a sample, as two big-endian halves.
public struct SampleIV: Sendable, Equatable {
  public let high: UInt64
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// Reads 16 bytes, or 8 bytes that are followed by 8 zero bytes; any other number is nil.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count == 8 || bytes.count == 16 else { return nil }
    func half(_ start: Int) -> UInt64 { bytes[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) } }
    high = half(0)
    low = bytes.count == 16 ? half(8) : 0
  }

  /// Lends the 16 bytes in the order in which they enter the cipher.
  public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    let words = (high.bigEndian, low.bigEndian)
    var result: Result<R, E>?
    Swift.withUnsafeBytes(of: words) { bytes in
      do throws(E) { result = .success(try body(bytes)) } catch { result = .failure(error) }
    }
    guard let result else { preconditionFailure("the body ran exactly once") }
    return try result.get()
  }

  public var bytes: [UInt8] { withUnsafeBytes { Array($0) } }
}

/// Why a description of a protected sample is not one that Common Encryption allows.
public enum SampleMapError: Error, Equatable, Sendable {
  /// The IV is neither 8 nor 16 bytes, or is 8 bytes where the scheme takes 16 only (cbc1).
  case ivLength(Int)
  /// Both numbers of a pattern are at most 15; nothing to encipher but something to skip is meaningless;
  /// cenc and cbc1 have no pattern.
  case pattern(crypt: UInt8, skip: UInt8)
  /// More subsamples than the 16-bit count of a sample's auxiliary information can say.
  case tooManySubsamples(Int)
  /// The subsamples cover more or fewer bytes than the sample has.
  case sizeMismatch(subsamples: UInt64, sample: Int)
  /// A protected range of cbc1 is a whole number of blocks.
  case partialBlock(subsample: Int)
}

/// A checked description of how one sample is protected: which bytes are clear, which are enciphered, and where the
/// cipher starts anew. It holds no key.
///
/// The rules are those of ISO/IEC 23001-7 sections 9 and 10 as content decryption modules apply them:
/// - cenc: one key stream runs over all protected ranges of the sample; a partial block carries on in the next range.
/// - cens: as cenc, but by whole blocks and by pattern; the counter counts enciphered blocks only.
/// - cbc1: the chain runs on across subsamples.
/// - cbcs: chain and pattern start anew in every subsample.
/// - In cens, cbc1 and cbcs what is left of a range under 16 bytes is clear whatever the pattern says.
/// - Only the low 64 bits of the counter block count, and they wrap: the segment that follows the wrap says so with a
///   restart, so that a 128-bit counter implementation gives the right key stream.
public struct SampleMap: Sendable {
  public static let blockByteCount = 16
  public static let maximumSubsampleCount = 65_535

  public let scheme: ProtectionScheme
  public let pattern: EncryptionPattern
  public let iv: SampleIV
  public let subsamples: [Subsample]
  /// The size of the sample in bytes, clear and protected ranges together.
  public let byteCount: Int

  /// Checks the whole description before any byte of the sample is looked at.
  ///
  /// No subsamples means that the whole sample is one protected range.
  public init(
    scheme: ProtectionScheme, pattern: EncryptionPattern = .none, iv: [UInt8], subsamples: [Subsample] = [],
    sampleByteCount: Int
  ) throws(SampleMapError) {
    guard let vector = SampleIV(iv), !(scheme == .cbc1 && iv.count != 16) else { throw .ivLength(iv.count) }
    let (crypt, skip) = (pattern.cryptBlockCount, pattern.skipBlockCount)
    guard crypt <= 15, skip <= 15, !(crypt == 0 && skip > 0), scheme.hasPattern || pattern == .none else {
      throw .pattern(crypt: crypt, skip: skip)
    }
    guard subsamples.count <= Self.maximumSubsampleCount else { throw .tooManySubsamples(subsamples.count) }

    // At most 65,535 sums of two 32-bit numbers: 64 bits cannot overflow.
    var total: UInt64 = 0
    for (index, subsample) in subsamples.enumerated() {
      total += UInt64(subsample.clearByteCount) + UInt64(subsample.protectedByteCount)
      if scheme == .cbc1, subsample.protectedByteCount % 16 != 0 { throw .partialBlock(subsample: index) }
    }
    if subsamples.isEmpty { total = UInt64(max(sampleByteCount, 0)) }
    guard sampleByteCount >= 0, total == UInt64(sampleByteCount) else {
      throw .sizeMismatch(subsamples: total, sample: sampleByteCount)
    }
    self.scheme = scheme
    self.pattern = pattern
    self.iv = vector
    self.subsamples = subsamples
    byteCount = sampleByteCount
  }

  /// A run of bytes of the sample that is treated alike.
  public struct Segment: Sendable, Equatable {
    public enum Treatment: Sendable, Equatable {
      /// Copied as it is.
      case clear
      /// Goes through the cipher. With a restart the cipher first begins anew at that IV; without one it carries on.
      case encrypted(restart: SampleIV?)
    }

    /// Where the run begins, in bytes from the start of the sample.
    public let offset: Int
    public let byteCount: Int
    public let treatment: Treatment

    public init(offset: Int, byteCount: Int, treatment: Treatment) {
      self.offset = offset
      self.byteCount = byteCount
      self.treatment = treatment
    }
  }

  /// The sample's segments in order: they are never empty, never overlap, and together are the sample.
  public var segments: Segments { Segments(self) }

  public struct Segments: Sequence, IteratorProtocol, Sendable {
    private let map: SampleMap
    private let ranges: [Subsample]?
    private var rangeIndex = 0
    private var offset = 0
    // What is left of the current range.
    private var clearLeft = 0
    private var protectedLeft = 0
    // What is left of the current half of the pattern, in bytes.
    private var cryptLeft = 0
    private var skipLeft = 0
    private var pendingRestart: SampleIV?
    /// Bytes of key stream until the low 64 bits of the counter wrap; nil where they cannot within any sample.
    private var untilWrap: Int?

    fileprivate init(_ map: SampleMap) {
      self.map = map
      ranges = map.subsamples.isEmpty ? nil : map.subsamples
      pendingRestart = map.iv
      if map.scheme.mode == .counter {
        // 2^64 - low blocks; low = 0 gives 2^64, which no sample reaches.
        let blocks = 0 &- map.iv.low
        if blocks != 0, let count = Int(exactly: blocks), count <= Int.max / 16 { untilWrap = count * 16 }
      }
    }

    public mutating func next() -> Segment? {
      while true {
        if clearLeft > 0 { return take(clearLeft, .clear, from: \.clearLeft) }
        if protectedLeft > 0 { return nextProtected() }
        guard beginRange() else { return nil }
      }
    }

    private mutating func beginRange() -> Bool {
      if let ranges {
        guard rangeIndex < ranges.count else { return false }
        // The ranges' sum is an Int, so each of them is.
        clearLeft = Int(ranges[rangeIndex].clearByteCount)
        protectedLeft = Int(ranges[rangeIndex].protectedByteCount)
      } else {
        guard rangeIndex == 0 else { return false }
        protectedLeft = map.byteCount
      }
      rangeIndex += 1
      beginPattern()
      if map.scheme == .cbcs { pendingRestart = map.iv }
      return true
    }

    private mutating func beginPattern() {
      cryptLeft = Int(map.pattern.cryptBlockCount) * 16
      skipLeft = Int(map.pattern.skipBlockCount) * 16
    }

    private mutating func nextProtected() -> Segment {
      if map.scheme == .cenc { return takeEncrypted(protectedLeft) }
      let whole = protectedLeft & ~15
      if whole == 0 { return take(protectedLeft, .clear, from: \.protectedLeft) }
      if map.pattern.skipBlockCount == 0 { return takeEncrypted(whole) }
      if cryptLeft > 0 {
        let segment = takeEncrypted(Swift.min(cryptLeft, whole))
        cryptLeft -= segment.byteCount
        return segment
      }
      // The pattern's clear part runs on into a trailing partial block, which is clear as well.
      let count = skipLeft >= whole ? Swift.min(skipLeft, protectedLeft) : skipLeft
      beginPattern()
      return take(count, .clear, from: \.protectedLeft)
    }

    private mutating func takeEncrypted(_ count: Int) -> Segment {
      var count = count
      let restart = pendingRestart
      pendingRestart = nil
      if let left = untilWrap {
        count = Swift.min(count, left)
        untilWrap = left - count
        if left == count {
          pendingRestart = SampleIV(high: map.iv.high, low: 0)
          untilWrap = nil
        }
      }
      return take(count, .encrypted(restart: restart), from: \.protectedLeft)
    }

    private mutating func take(
      _ count: Int, _ treatment: Segment.Treatment, from left: WritableKeyPath<Segments, Int>
    ) -> Segment {
      let segment = Segment(offset: offset, byteCount: count, treatment: treatment)
      self[keyPath: left] -= count
      offset += count
      return segment
    }
  }
}
