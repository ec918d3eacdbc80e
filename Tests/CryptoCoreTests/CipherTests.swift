import CryptoCore
import Testing

/// A mode whose parameters are arrays, for tests.
enum Mode: Sendable {
  case ecb
  case cbc([UInt8])
  case cbcPadded([UInt8])
  case counter([UInt8])
  case gcm([UInt8], tagByteCount: Int = 16, TagPlacement = .behindCiphertext)

  func begin(_ key: AESKey, _ direction: CipherDirection) throws -> RunningCipher {
    RunningCipher(try operation(key, direction))
  }

  private func operation(_ key: AESKey, _ direction: CipherDirection) throws -> CipherOperation {
    switch self {
    case .ecb: try key.begin(.ecb, direction)
    case .cbc(let iv): try iv.span.withUnsafeBytes { try key.begin(.cbc(iv: $0), direction) }
    case .cbcPadded(let iv): try iv.span.withUnsafeBytes { try key.begin(.cbcPadded(iv: $0), direction) }
    case .counter(let block): try block.span.withUnsafeBytes { try key.begin(.counter(firstBlock: $0), direction) }
    case .gcm(let iv, let count, let tag):
      try iv.span.withUnsafeBytes { try key.begin(.gcm(iv: $0, tagByteCount: count, tag: tag), direction) }
    }
  }
}

/// An operation that a test can hold in a constant.
final class RunningCipher {
  private var operation: CipherOperation

  init(_ operation: consuming CipherOperation) { self.operation = operation }

  var finishByteCount: Int { operation.finishByteCount }

  func outputByteCount(forUpdate count: Int) -> Int { operation.outputByteCount(forUpdate: count) }

  func authenticate(_ associated: UnsafeRawBufferPointer) throws { try operation.authenticate(associated) }

  func update(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) throws -> Int {
    try operation.update(input, into: output)
  }

  func finish(into output: UnsafeMutableRawBufferPointer) throws -> Int { try operation.finish(into: output) }

  func finish(verifying tag: UnsafeRawBufferPointer) throws { try operation.finish(verifying: tag) }

  func finish(tagInto output: UnsafeMutableRawBufferPointer) throws -> Int { try operation.finish(tagInto: output) }

  func update(_ input: [UInt8], room: Int? = nil) throws -> [UInt8] {
    var output = [UInt8](repeating: 0xee, count: room ?? outputByteCount(forUpdate: input.count))
    let count = try input.withUnsafeBytes { input in
      try output.withUnsafeMutableBytes { try self.update(input, into: $0) }
    }
    return Array(output[..<count])
  }

  func finish(room: Int? = nil) throws -> [UInt8] {
    var output = [UInt8](repeating: 0xee, count: room ?? finishByteCount)
    let count = try output.withUnsafeMutableBytes { try self.finish(into: $0) }
    return Array(output[..<count])
  }

  /// Everything in parts of `partByteCount` bytes.
  func run(_ input: [UInt8], partByteCount: Int = .max) throws -> [UInt8] {
    var output: [UInt8] = []
    var rest = input[...]
    while !rest.isEmpty {
      output += try update(Array(rest.prefix(partByteCount)))
      rest = rest.dropFirst(partByteCount)
    }
    return output + (try finish())
  }
}

struct CipherTests {
  // NIST SP 800-38A, appendix F.
  static let key128 = hex("2b7e151628aed2a6abf7158809cf4f3c")
  static let key256 = hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
  static let iv = hex("000102030405060708090a0b0c0d0e0f")
  static let firstCounter = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
  static let plaintext = hex(
    """
    6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51
    30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710
    """)

  static let answers: [(mode: Mode, key: [UInt8], ciphertext: String)] = [
    (
      .ecb, key128,
      """
      3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf
      43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4
      """
    ),
    (
      .ecb, key256,
      """
      f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870
      b6ed21b99ca6f4f9f153e7b1beafed1d23304b7a39f9f3ff067d8d8f9e24ecc7
      """
    ),
    (
      .cbc(iv), key128,
      """
      7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2
      73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7
      """
    ),
    (
      .counter(firstCounter), key128,
      """
      874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff
      5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee
      """
    ),
    (
      .counter(firstCounter), key256,
      """
      601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5
      2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6
      """
    ),
  ]

  @Test("the modes give SP 800-38A's answers, whole and in parts, both ways", arguments: [0, 1, 2, 3, 4])
  func knownAnswers(index: Int) throws {
    let (mode, bytes, text) = Self.answers[index]
    let key = try AESKey(SecretBytes(copying: bytes))
    for part in [Int.max, 1, 5, 16, 17, 33] {
      #expect(try mode.begin(key, .encrypt).run(Self.plaintext, partByteCount: part) == hex(text))
      #expect(try mode.begin(key, .decrypt).run(hex(text), partByteCount: part) == Self.plaintext)
    }
  }

  @Test("a padded message of any byte count comes back, in parts of any size")
  func padding() throws {
    let key = try AESKey(SecretBytes(copying: Self.key128))
    for count in 0...49 {
      let message = (0..<count).map { UInt8($0) }
      let ciphertext = try Mode.cbcPadded(Self.iv).begin(key, .encrypt).run(message)
      #expect(ciphertext.count == (count / 16 + 1) * 16)
      for part in [1, 7, 16, 31, 1000] {
        #expect(try Mode.cbcPadded(Self.iv).begin(key, .encrypt).run(message, partByteCount: part) == ciphertext)
        #expect(try Mode.cbcPadded(Self.iv).begin(key, .decrypt).run(ciphertext, partByteCount: part) == message)
      }
    }
  }

  @Test("wrong padding and a part of a block are told apart")
  func badPadding() throws {
    let key = try AESKey(SecretBytes(copying: Self.key128))
    // Blocks that decrypt, without padding, to ends that PKCS #7 never gives.
    for end: [UInt8] in [[0], [17], [1, 2], [3, 2, 3], Array(repeating: 16, count: 15) + [0]] {
      let block = [UInt8](repeating: 0x55, count: 16 - end.count) + end
      let ciphertext = try Mode.cbc(Self.iv).begin(key, .encrypt).run(block)
      #expect(kind { _ = try Mode.cbcPadded(Self.iv).begin(key, .decrypt).run(ciphertext) } == .badPadding)
    }
    for count in [0, 1, 15, 17, 31] {
      let part = [UInt8](repeating: 1, count: count)
      #expect(kind { _ = try Mode.cbcPadded(Self.iv).begin(key, .decrypt).run(part) } == .dataLength)
      if count > 0 {
        #expect(kind { _ = try Mode.cbc(Self.iv).begin(key, .decrypt).run(part) } == .dataLength)
        #expect(kind { _ = try Mode.ecb.begin(key, .encrypt).run(part) } == .dataLength)
      }
    }
    #expect(try Mode.ecb.begin(key, .encrypt).run([]) == [])
  }

  @Test("a short output throws before anything is taken in")
  func shortOutput() throws {
    let key = try AESKey(SecretBytes(copying: Self.key128))
    let encryption = try Mode.cbcPadded(Self.iv).begin(key, .encrypt)
    #expect(kind { _ = try encryption.update(Self.plaintext, room: 63) } == .bufferTooSmall)
    var ciphertext = try encryption.update(Self.plaintext, room: 64)
    #expect(kind { _ = try encryption.finish(room: 15) } == .bufferTooSmall)
    ciphertext += try encryption.finish(room: 16)

    let message = Array(Self.plaintext.prefix(40))
    let padded = try Mode.cbcPadded(Self.iv).begin(key, .encrypt).run(message)
    let decryption = try Mode.cbcPadded(Self.iv).begin(key, .decrypt)
    var result = try decryption.update(padded)
    #expect(kind { _ = try decryption.finish(room: 7) } == .bufferTooSmall)
    #expect(decryption.finishByteCount == 8)
    result += try decryption.finish(room: 8)
    #expect(result == message)
  }

  @Test("output may be the input's own memory, also when a part of a block is pending")
  func inPlace() throws {
    let key = try AESKey(SecretBytes(copying: Self.key128))
    let expected = try Mode.cbcPadded(Self.iv).begin(key, .encrypt).run(Self.plaintext)
    let operation = try Mode.cbcPadded(Self.iv).begin(key, .encrypt)
    var buffer = Array(Self.plaintext.prefix(5))
    var output = try buffer.withUnsafeMutableBytes { try operation.update(UnsafeRawBufferPointer($0), into: $0) }
    #expect(output == 0)
    buffer = Array(Self.plaintext.dropFirst(5)) + [0, 0, 0, 0, 0]
    output = try buffer.withUnsafeMutableBytes {
      try operation.update(UnsafeRawBufferPointer(rebasing: $0.dropLast(5)), into: $0)
    }
    #expect(try Array(buffer[..<output]) + operation.finish() == expected)
  }

  @Test("IVs and keys of wrong byte counts are refused")
  func wrongCounts() throws {
    for count in [0, 1, 15, 17, 23, 31, 33, 64] {
      #expect(kind { _ = try AESKey(SecretBytes(count: count)) } == .invalidKey)
    }
    let key = try AESKey(SecretBytes(count: 32))
    for count in [0, 8, 15, 17] {
      let iv = [UInt8](repeating: 0, count: count)
      for mode in [Mode.cbc(iv), .cbcPadded(iv), .counter(iv)] {
        #expect(kind { _ = try mode.begin(key, .encrypt) } == .invalidParameter)
      }
    }
  }

  @Test("kept contexts carry nothing from one operation to the next, on eight threads")
  func threads() async throws {
    let key = try AESKey(SecretBytes(copying: Self.key256))
    let modes: [Mode] = [
      .ecb, .cbc(Self.iv), .cbcPadded(Self.iv), .counter(Self.iv), .gcm(Array(Self.iv.prefix(12))), .gcm([1]),
    ]
    let expected = try modes.map { try $0.begin(key, .encrypt).run(Self.plaintext) }
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for thread in 0..<8 {
        group.addTask {
          for round in 0..<300 {
            let index = (thread + round) % modes.count
            _ = try modes[index].begin(key, .encrypt).update([1, 2, 3])  // abandoned
            guard try modes[index].begin(key, .encrypt).run(Self.plaintext) == expected[index],
              try modes[index].begin(key, .decrypt).run(expected[index]) == Self.plaintext
            else { return false }
          }
          return true
        }
      }
      for try await intact in group { #expect(intact) }
    }
  }

  @Test("the blocks before a counter's wrap are counted for any width")
  func counterWrap() {
    func blocks(_ block: String, _ bits: Int) -> UInt64 {
      hex(block).withUnsafeBytes { counterBlocksBeforeWrap(firstBlock: $0, counterBits: bits) }
    }
    #expect(blocks("ffffffffffffffffffffffffffffff00", 8) == 256)
    #expect(blocks("000000000000000000000000000000ff", 8) == 1)
    #expect(blocks("000000000000000000000000fffffffe", 32) == 2)
    #expect(blocks("00000000000000000000000000000001", 1) == 1)
    #expect(blocks("00000000000000000000000000000000", 128) == .max)
    #expect(blocks("0000000000000000ffffffffffffffff", 64) == 1)
    #expect(blocks("00000000000000000000000000000000", 64) == .max)
    #expect(blocks("ffffffffffffffffffffffffffffffff", 128) == 1)
    #expect(blocks("00000000000000000000000000000000", 0) == 0)
    #expect(blocks("00000000000000000000000000000000", 129) == 0)
    #expect(blocks("0000", 8) == 0)
  }
}

struct GaloisCounterModeTests {
  // The GCM specification's test cases 4, 5 and 6: AES-128 with IVs of 12, 8 and 60 bytes.
  private let key = hex("feffe9928665731c6d6a8f9467308308")
  private let associated = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
  private let plaintext = hex(
    """
    d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
    1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39
    """)
  static let answers = [
    (
      iv: "cafebabefacedbaddecaf888",
      sealed: """
      42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
      21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091
      5bc94fbc3221a5db94fae95ae7121a47
      """
    ),
    (
      iv: "cafebabefacedbad",
      sealed: """
      61353b4c2806934a777ff51fa22a4755699b2a714fcdc6f83766e5f97b6c7423
      73806900e49f24b22b097544d4896b424989b5e1ebac0f07c23f4598
      3612d2e79e3b0785561be14aaca2fccb
      """
    ),
    (
      iv: """
      9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728
      c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b
      """,
      sealed: """
      8ce24998625615b603a033aca13fb894be9112a5c3a211a8ba262a3cca7e2ca7
      01e4a9a4fba43c90ccdcb281d48c7c6fd62875d2aca417034c34aee5
      619cc5aefffe0bfa462af43c1699d050
      """
    ),
  ]

  private func begin(_ mode: Mode, _ direction: CipherDirection, aadPart: Int = .max) throws -> RunningCipher {
    let operation = try mode.begin(AESKey(SecretBytes(copying: key)), direction)
    var rest = associated[...]
    while !rest.isEmpty {
      try Array(rest.prefix(aadPart)).withUnsafeBytes { try operation.authenticate($0) }
      rest = rest.dropFirst(aadPart)
    }
    return operation
  }

  @Test("the published answers, with data and associated data in parts of any size", arguments: [0, 1, 2])
  func knownAnswers(index: Int) throws {
    let iv = hex(Self.answers[index].iv)
    let sealed = hex(Self.answers[index].sealed)
    for part in [Int.max, 1, 3, 16, 17, 50] {
      #expect(try begin(.gcm(iv), .encrypt, aadPart: part).run(plaintext, partByteCount: part) == sealed)
      #expect(try begin(.gcm(iv), .decrypt, aadPart: part).run(sealed, partByteCount: part) == plaintext)
    }
  }

  @Test("a tag of 4 to 16 bytes is the full tag's beginning, and each of its bits counts", arguments: 4...16)
  func shortTags(count: Int) throws {
    let iv = hex(Self.answers[0].iv)
    let full = hex(Self.answers[0].sealed)
    let sealed = try begin(.gcm(iv, tagByteCount: count), .encrypt).run(plaintext)
    #expect(sealed == Array(full[..<(60 + count)]))
    #expect(try begin(.gcm(iv, tagByteCount: count), .decrypt).run(sealed, partByteCount: 7) == plaintext)
    for index in [0, 60, 60 + count - 1] {
      var forged = sealed
      forged[index] ^= 0x80
      #expect(kind { _ = try begin(.gcm(iv, tagByteCount: count), .decrypt).run(forged) } == .authenticationFailed)
    }
    #expect(
      kind { _ = try begin(.gcm(iv, tagByteCount: count), .decrypt).run(Array(sealed.prefix(count - 1))) }
        == .authenticationFailed)
  }

  @Test("a tag apart is written and verified apart")
  func tagApart() throws {
    let iv = hex(Self.answers[0].iv)
    let sealed = hex(Self.answers[0].sealed)
    let encryption = try begin(.gcm(iv, tagByteCount: 16, .apart), .encrypt)
    #expect(try encryption.update(plaintext) == Array(sealed.prefix(60)))
    var tag = [UInt8](repeating: 0, count: 16)
    #expect(try tag.withUnsafeMutableBytes { try encryption.finish(tagInto: $0) } == 16)
    #expect(tag == Array(sealed.suffix(16)))

    for (given, expected) in [
      (tag, nil), (Array(tag.dropLast()), CryptoError.Kind.authenticationFailed), ([], .authenticationFailed),
    ] {
      let decryption = try begin(.gcm(iv, tagByteCount: 16, .apart), .decrypt)
      #expect(try decryption.update(Array(sealed.prefix(60))) == plaintext)
      #expect(kind { try given.withUnsafeBytes { try decryption.finish(verifying: $0) } } == expected)
    }
    let decryption = try begin(.gcm(iv, tagByteCount: 16, .apart), .decrypt)
    #expect(kind { _ = try decryption.finish() } == .unsupported)
  }

  @Test("no data at all is a tag over the associated data")
  func nothing() throws {
    let iv = hex(Self.answers[0].iv)
    let tag = try begin(.gcm(iv), .encrypt).run([])
    #expect(tag.count == 16)
    #expect(try begin(.gcm(iv), .decrypt).run(tag) == [])
    let withoutAssociated = try Mode.gcm(iv).begin(AESKey(SecretBytes(copying: key)), .decrypt)
    #expect(kind { _ = try withoutAssociated.run(tag) } == .authenticationFailed)
  }

  @Test("IVs and tags out of range are refused")
  func parameters() throws {
    let iv = hex(Self.answers[0].iv)
    for count in [-1, 0, 3, 17, .max] {
      #expect(kind { _ = try begin(.gcm(iv, tagByteCount: count), .encrypt) } == .invalidParameter)
    }
    #expect(kind { _ = try begin(.gcm([]), .encrypt) } == .invalidParameter)
    #expect(try begin(.gcm([UInt8](repeating: 7, count: 128)), .encrypt).run([]).count == 16)
    let ecb = try Mode.ecb.begin(AESKey(SecretBytes(copying: key)), .encrypt)
    #expect(kind { try associated.withUnsafeBytes { try ecb.authenticate($0) } } == .unsupported)
  }

  // By an independent computation, itself checked against the specification's test case 5.
  static let longIVs: [(byteCount: Int, sealed: String)] = [
    (
      129,
      """
      7310e5a6e23f49e94dcf9e16f6b4db72ec9258cb12ddf0fccf484fd02f8deb26c5a0a9013b24ea86e4ccb2be8792eaa9
      e5fa074938957b668aba148257774567cf84c0dd36a838d53ac66205
      """
    ),
    (
      5000,
      """
      a30e041c90f68564b85e898865a730b421c835fe77742cc96dcc5ee0e1184e4b95756145b538ff5f264afc24c555ebc7
      566b2e46fba079ae8ecd7add77450ab6f292505dddc55a1d477c879f
      """
    ),
  ]

  @Test("IVs longer than libcrypto takes give the standard's answers, in parts of any size", arguments: [0, 1])
  func longIVs(index: Int) throws {
    let iv = (0..<Self.longIVs[index].byteCount).map { UInt8($0 % 251) }
    let sealed = hex(Self.longIVs[index].sealed)
    for part in [Int.max, 1, 16, 17, 50] {
      #expect(try begin(.gcm(iv), .encrypt, aadPart: part).run(plaintext, partByteCount: part) == sealed)
      #expect(try begin(.gcm(iv), .decrypt, aadPart: part).run(sealed, partByteCount: part) == plaintext)
    }
    #expect(try begin(.gcm(iv, tagByteCount: 5), .encrypt).run(plaintext) == Array(sealed.prefix(65)))
    for position in [0, 59, 60, 75] {
      var forged = sealed
      forged[position] ^= 1
      #expect(kind { _ = try begin(.gcm(iv), .decrypt).run(forged) } == .authenticationFailed)
    }
    let large = try randomBytes(count: 100_000)
    #expect(try begin(.gcm(iv), .decrypt).run(begin(.gcm(iv), .encrypt).run(large)) == large)
  }
}
