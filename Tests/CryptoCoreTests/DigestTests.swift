import CryptoCore
import Testing

struct DigestTests {
  // FIPS 180-4 and FIPS 202 examples: the digest of "abc".
  static let abc: [(HashAlgorithm, String)] = [
    (.sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
    (.sha224, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
    (.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (.sha384, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"),
    (
      .sha512,
      """
      ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a
      2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f
      """
    ),
    (.sha512_224, "4634270f707b6a54daae7530460842e20e37ed265ceee9a43e8924aa"),
    (.sha512_256, "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"),
    (.sha3_224, "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"),
    (.sha3_256, "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
    (.sha3_384, "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b298d88cea927ac7f539f1edf228376d25"),
    (
      .sha3_512,
      """
      b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e
      10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0
      """
    ),
  ]

  @Test("every hash gives its standard's digest of abc", arguments: abc)
  func knownAnswer(hash: HashAlgorithm, expected: String) throws {
    #expect(try hash.digest(Array("abc".utf8)) == hex(expected))
    #expect(hash.digestByteCount == hex(expected).count)
  }

  @Test("every hash has an answer here")
  func complete() { #expect(Set(Self.abc.map(\.0)) == Set(HashAlgorithm.allCases)) }

  @Test("parts, clones and a reset give the digests of what they took in")
  func streaming() throws {
    let digest = try Digest(.sha256)
    try digest.update([])
    try digest.update(Array("a".utf8))
    let clone = try digest.clone()
    try digest.update(Array("bc".utf8))
    #expect(try digest.finish() == sha256(Array("abc".utf8)))
    #expect(try clone.finish() == sha256(Array("a".utf8)))
    try digest.reset()
    #expect(try digest.finish() == sha256([UInt8]()))
  }

  @Test("a short output throws and consumes nothing")
  func shortOutput() throws {
    let digest = try Digest(.sha256)
    try digest.update(Array("abc".utf8))
    var short = [UInt8](repeating: 0, count: 31)
    #expect(kind { _ = try short.withUnsafeMutableBytes { try digest.finish(into: $0) } } == .bufferTooSmall)
    #expect(
      kind { _ = try digest.finish(into: UnsafeMutableRawBufferPointer(start: nil, count: 0)) } == .bufferTooSmall)
    #expect(try digest.finish() == sha256(Array("abc".utf8)))
  }

  @Test("the DigestInfo prefix of SHA-256 is RFC 8017's")
  func digestInfo() {
    #expect(HashAlgorithm.sha256.digestInfoPrefix == hex("3031300d060960864801650304020105000420"))
    #expect(HashAlgorithm.sha1.digestInfoPrefix == hex("3021300906052b0e03021a05000414"))
    #expect(HashAlgorithm.sha512_256.digestInfoPrefix == hex("3031300d060960864801650304020605000420"))
  }
}

struct MessageAuthenticationTests {
  @Test("HMAC gives RFC 4231's first, second and sixth answers")
  func hmac() throws {
    let first = SecretBytes(copying: [UInt8](repeating: 0x0b, count: 20))
    #expect(
      try hmacSHA256(key: first, data: Array("Hi There".utf8))
        == hex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"))
    let jefe = SecretBytes(copying: Array("Jefe".utf8))
    #expect(
      try MessageAuthenticationKey(hmac: .sha224, key: jefe).authenticate(Array("what do ya want for nothing?".utf8))
        == hex("a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"))
    let long = SecretBytes(copying: [UInt8](repeating: 0xaa, count: 131))
    let text = Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8)
    #expect(
      try MessageAuthenticationKey(hmac: .sha384, key: long).authenticate(text)
        == hex("4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952"))
  }

  @Test("HMAC with an empty key is the key of zeros", arguments: HashAlgorithm.allCases)
  func emptyKey(hash: HashAlgorithm) throws {
    let empty = try MessageAuthenticationKey(hmac: hash, key: SecretBytes(count: 0))
    let zeros = try MessageAuthenticationKey(hmac: hash, key: SecretBytes(count: hash.blockByteCount))
    let code = try empty.authenticate([1, 2, 3])
    #expect(try code == zeros.authenticate([1, 2, 3]))
    #expect(code.count == hash.digestByteCount)
  }

  @Test("AES-CMAC gives RFC 4493's answers")
  func cmac() throws {
    let key = try MessageAuthenticationKey(cmacAES: secret("2b7e151628aed2a6abf7158809cf4f3c"))
    let message = hex(
      "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52ef")
    #expect(try key.authenticate([UInt8]()) == hex("bb1d6929e95937287fa37d129b756746"))
    #expect(try key.authenticate(Array(message.prefix(16))) == hex("070a16b46b4d4144f79bdd9dd04a287c"))
    #expect(try key.authenticate(Array(message.prefix(40))) == hex("dfa66747de9ae63030ca32611497c827"))
    #expect(kind { _ = try MessageAuthenticationKey(cmacAES: SecretBytes(count: 17)) } == .invalidKey)
    #expect(kind { _ = try MessageAuthenticationKey(cmacAES: SecretBytes(count: 0)) } == .invalidKey)
  }

  @Test("parts give the code of the whole, and one key serves interleaved computations")
  func streaming() throws {
    let key = try MessageAuthenticationKey(hmac: .sha512, key: secret("00112233"))
    let whole = try key.authenticate([1, 2, 3, 4])
    for _ in 0..<3 {
      let first = try key.begin()
      let second = try key.begin()
      try first.update([1, 2])
      try second.update([9])
      try first.update([])
      try first.update([3, 4])
      #expect(try first.finish() == whole)
      #expect(try second.finish() == key.authenticate([9]))
    }
    let abandoned = try key.begin()
    try abandoned.update([7])
    #expect(try key.authenticate([1, 2, 3, 4]) == whole)
  }

  @Test("eight threads share one key")
  func threads() async throws {
    let key = try MessageAuthenticationKey(hmac: .sha256, key: secret("0102"))
    let expected = try key.authenticate([5, 6, 7])
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 {
        group.addTask { try (0..<1000).allSatisfy { _ in try key.authenticate([5, 6, 7]) == expected } }
      }
      for try await same in group { #expect(same) }
    }
  }

  @Test("a short output throws and leaves the computation usable")
  func shortOutput() throws {
    let key = try MessageAuthenticationKey(hmac: .sha256, key: secret("0102"))
    let code = try key.begin()
    try code.update([1])
    var short = [UInt8](repeating: 0, count: 31)
    #expect(kind { _ = try short.withUnsafeMutableBytes { try code.finish(into: $0) } } == .bufferTooSmall)
    #expect(try code.finish() == key.authenticate([1]))
  }
}
