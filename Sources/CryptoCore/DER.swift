/// The tags that keys use (X.690).
enum DERTag {
  static let integer: UInt8 = 0x02
  static let bitString: UInt8 = 0x03
  static let octetString: UInt8 = 0x04
  static let null: UInt8 = 0x05
  static let objectIdentifier: UInt8 = 0x06
  static let sequence: UInt8 = 0x30

  static func context(_ number: UInt8) -> UInt8 { 0x80 | number }
  static func contextConstructed(_ number: UInt8) -> UInt8 { 0xa0 | number }
}

/// A bounded cursor over borrowed DER: definite, shortest lengths of at most four bytes, single-byte tags.
///
/// Throws `.invalidKey` for everything else. Our own because libcrypto's decoders copy private keys through heap
/// memory that is not secret, and accept much that is not asked for.
struct DERReader {
  private let bytes: UnsafeRawBufferPointer
  private var position = 0

  init(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
  }

  var isAtEnd: Bool { position == bytes.count }

  /// The next element's tag, nil at the end.
  var nextTag: UInt8? { isAtEnd ? nil : bytes[position] }

  /// The content of the next element, which must have `tag`.
  mutating func read(_ tag: UInt8) throws(CryptoError) -> UnsafeRawBufferPointer {
    guard nextTag == tag else { throw malformed }
    return try readAny()
  }

  /// The content of the next element, whatever it is.
  mutating func readAny() throws(CryptoError) -> UnsafeRawBufferPointer {
    position += 1
    let count = try readLength()
    guard count <= bytes.count - position else { throw malformed }
    defer { position += count }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
  }

  /// A cursor over the content of the next element, which must be a sequence.
  mutating func readSequence() throws(CryptoError) -> DERReader { DERReader(try read(DERTag.sequence)) }

  /// A natural number, big-endian, without the zero that keeps it from being negative.
  mutating func readNatural() throws(CryptoError) -> UnsafeRawBufferPointer {
    let content = try read(DERTag.integer)
    guard let first = content.first, first < 0x80 else { throw malformed }
    guard first == 0, content.count > 1 else { return content }
    guard content[1] >= 0x80 else { throw malformed }
    return UnsafeRawBufferPointer(rebasing: content.dropFirst())
  }

  /// The whole octets of a bit string.
  mutating func readBitString() throws(CryptoError) -> UnsafeRawBufferPointer {
    let content = try read(DERTag.bitString)
    guard content.first == 0 else { throw malformed }
    return UnsafeRawBufferPointer(rebasing: content.dropFirst())
  }

  func expectEnd() throws(CryptoError) {
    guard isAtEnd else { throw malformed }
  }

  private mutating func readLength() throws(CryptoError) -> Int {
    guard let first = nextTag else { throw malformed }
    position += 1
    if first < 0x80 { return Int(first) }
    let count = Int(first & 0x7f)
    guard (1...4).contains(count), bytes.count - position >= count, bytes[position] != 0 else { throw malformed }
    var length = 0
    for _ in 0..<count {
      length = length << 8 | Int(bytes[position])
      position += 1
    }
    guard length >= 0x80 else { throw malformed }
    return length
  }

  private var malformed: CryptoError { CryptoError(.invalidKey, in: "DERReader", reason: "malformed DER") }
}

/// DER written from its end to its beginning, so that each length is known when it is written. In secret memory.
struct DERWriter: ~Copyable {
  private var buffer: SecretBuffer

  /// A writer with room for `capacity` bytes, which must suffice.
  init(capacity: Int) {
    buffer = SecretBuffer(byteCount: capacity)
  }

  /// Everything written, as a secret.
  consuming func secretBytes() -> SecretBytes { SecretBytes(copying: buffer.written) }

  /// Everything written, when it is public.
  consuming func publicBytes() -> [UInt8] { [UInt8](buffer.written) }

  mutating func raw(_ bytes: UnsafeRawBufferPointer) { buffer.prepend(bytes) }

  mutating func raw(_ bytes: [UInt8]) { bytes.withRawBytes { buffer.prepend($0) } }

  /// Puts a header before what `content` writes.
  mutating func element(_ tag: UInt8, _ content: (inout DERWriter) throws(CryptoError) -> Void) throws(CryptoError) {
    let before = buffer.written.count
    try content(&self)
    header(tag, count: buffer.written.count - before)
  }

  /// A natural number from its big-endian bytes, leading zeros or none.
  mutating func natural(_ bytes: UnsafeRawBufferPointer) {
    let significant = UnsafeRawBufferPointer(rebasing: bytes.drop { $0 == 0 })
    raw(significant)
    let needsZero = significant.isEmpty || significant[0] >= 0x80
    if needsZero { raw([0]) }
    header(DERTag.integer, count: significant.count + (needsZero ? 1 : 0))
  }

  mutating func natural(_ secret: SecretBytes) { secret.withBytes { natural($0) } }

  mutating func natural(_ bytes: [UInt8]) { bytes.withRawBytes { natural($0) } }

  private mutating func header(_ tag: UInt8, count: Int) {
    var length: [UInt8] = [UInt8(truncatingIfNeeded: count)]
    if count >= 0x80 {
      var rest = count >> 8
      while rest > 0 {
        length.insert(UInt8(truncatingIfNeeded: rest), at: 0)
        rest >>= 8
      }
      length.insert(0x80 | UInt8(length.count), at: 0)
    }
    raw([tag] + length)
  }
}

/// A buffer filled from its end, wiped when released.
private struct SecretBuffer: ~Copyable {
  private let base: UnsafeMutableRawBufferPointer
  private var start: Int

  init(byteCount: Int) {
    base = UnsafeMutableRawBufferPointer(start: SecretArena.allocate(byteCount: byteCount), count: byteCount)
    start = byteCount
  }

  deinit {
    wipe(base)
    if let address = base.baseAddress { SecretArena.free(address, byteCount: base.count) }
  }

  var written: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: base[start...]) }

  mutating func prepend(_ bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count <= start, "the writer's capacity is computed from what it will hold")
    start -= bytes.count
    UnsafeMutableRawBufferPointer(rebasing: base[start...]).copyMemory(from: bytes)
  }
}
