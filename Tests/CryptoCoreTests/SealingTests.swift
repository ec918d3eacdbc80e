import CryptoCore
import Dispatch
import Synchronization
import Testing

struct SealingTests {
  // GCM specification (McGrew, Viega), test case 16.
  private let key = secret("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
  private let nonce = hex("cafebabefacedbaddecaf888")
  private let associated = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
  private let plaintext = hex(
    """
    d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
    1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39
    """)
  private let sealed = hex(
    """
    522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
    8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662
    76fc6ece0f4e1768cddf8853bb2d551b
    """)

  @Test("sealing gives the published ciphertext and tag, and opens again")
  func knownAnswer() throws {
    #expect(try AES256GCM(key).seal(plaintext, nonce: nonce, authenticating: associated) == sealed)
    let opened = try AES256GCM(key).open(sealed, nonce: nonce, authenticating: associated)
    #expect(opened.exposed == plaintext)
  }

  @Test("nothing and no associated data seal to a tag alone")
  func empty() throws {
    let tag = try AES256GCM(key).seal([UInt8](), nonce: nonce, authenticating: [])
    #expect(tag.count == 16)
    #expect(try AES256GCM(key).open(tag, nonce: nonce, authenticating: []).count == 0)
  }

  @Test("a key seals and opens in any order, under a new nonce each time, on several threads")
  func kept() throws {
    let sealer = try AES256GCM(key)
    for round in 0..<20 {
      var nonce = nonce
      nonce[0] = UInt8(round)
      let once = try AES256GCM(key).seal(plaintext, nonce: nonce, authenticating: associated)
      #expect(try sealer.seal(plaintext, nonce: nonce, authenticating: associated) == once)
      var forged = once
      forged[round] ^= 1
      #expect(kind { _ = try sealer.open(forged, nonce: nonce, authenticating: associated) } == .authenticationFailed)
      #expect(try sealer.open(once, nonce: nonce, authenticating: associated).exposed == plaintext)
    }
    let wrong = Mutex(0)
    DispatchQueue.concurrentPerform(iterations: 16) { number in
      let text = [UInt8](repeating: UInt8(number), count: 100 + number)
      let nonce = [UInt8](repeating: UInt8(number), count: 12)
      for _ in 0..<200 {
        guard let sealed = try? sealer.seal(text, nonce: nonce, authenticating: []),
          let opened = try? sealer.open(sealed, nonce: nonce, authenticating: []), opened.exposed == text
        else {
          wrong.withLock { $0 += 1 }
          continue
        }
      }
    }
    #expect(wrong.withLock { $0 } == 0)
  }

  @Test("any difference in key, nonce, associated data, ciphertext or tag is refused")
  func forgeries() throws {
    for index in [0, 20, sealed.count - 17, sealed.count - 16, sealed.count - 1] {
      var forged = sealed
      forged[index] ^= 1
      #expect(
        kind { _ = try AES256GCM(key).open(forged, nonce: nonce, authenticating: associated) }
          == .authenticationFailed)
    }
    #expect(
      kind { _ = try AES256GCM(key).open(sealed, nonce: nonce, authenticating: []) }
        == .authenticationFailed)
    #expect(
      kind { _ = try AES256GCM(key).open(Array(sealed.dropLast()), nonce: nonce, authenticating: associated) }
        == .authenticationFailed)
    #expect(
      kind { _ = try AES256GCM(key).open(Array(sealed.prefix(15)), nonce: nonce, authenticating: associated) }
        == .authenticationFailed)
    #expect(
      kind { _ = try AES256GCM(SecretBytes(count: 32)).open(sealed, nonce: nonce, authenticating: associated) }
        == .authenticationFailed)
    #expect(
      kind { _ = try AES256GCM(SecretBytes(count: 16)).open(sealed, nonce: nonce, authenticating: associated) }
        == .invalidKey)
    #expect(
      kind { _ = try AES256GCM(key).open(sealed, nonce: [1, 2, 3], authenticating: associated) }
        == .invalidParameter)
  }

  @Test("a refused opening leaves no plaintext in the output")
  func wiped() throws {
    var forged = sealed
    forged[forged.count - 1] ^= 1
    var output = [UInt8](repeating: 0xaa, count: 60)
    let refused = kind {
      try forged.withUnsafeBytes { forged in
        try nonce.withUnsafeBytes { nonce in
          try associated.withUnsafeBytes { associated in
            try output.withUnsafeMutableBytes { output in
              _ = try AES256GCM(key).open(forged, nonce: nonce, authenticating: associated, into: output)
            }
          }
        }
      }
    }
    #expect(refused == .authenticationFailed)
    #expect(output == [UInt8](repeating: 0, count: 60))
  }
}

struct KeyDerivationTests {
  @Test("HKDF-SHA-256 gives RFC 5869's first and third answers")
  func hkdf() throws {
    let key = SecretBytes(copying: [UInt8](repeating: 0x0b, count: 22))
    let first = try hkdfSHA256(
      key: key, salt: hex("000102030405060708090a0b0c"), info: hex("f0f1f2f3f4f5f6f7f8f9"), count: 42)
    #expect(
      first.exposed == hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"))
    let third = try hkdfSHA256(key: key, salt: [], info: [], count: 42)
    #expect(
      third.exposed == hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"))
    #expect(kind { _ = try hkdfSHA256(key: key, info: [], count: 0) } == .invalidParameter)
    #expect(kind { _ = try hkdfSHA256(key: key, info: [], count: 255 * 32 + 1) } == .invalidParameter)
  }

  @Test("scrypt gives RFC 7914's answers, the empty password included")
  func scryptAnswers() throws {
    let empty = try scrypt(password: SecretBytes(count: 0), salt: [], n: 16, r: 1, p: 1, count: 64)
    #expect(
      empty.exposed
        == hex(
          """
          77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442
          fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906
          """))
    let nacl = try scrypt(
      password: SecretBytes(copying: Array("password".utf8)), salt: Array("NaCl".utf8), n: 1024, r: 8, p: 16, count: 64)
    #expect(
      nacl.exposed
        == hex(
          """
          fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162
          2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640
          """))
  }

  @Test("scrypt refuses costs outside the RFC and outrageous memory")
  func scryptRefusals() {
    let password = SecretBytes(count: 4)
    let costs: [(UInt64, UInt32, UInt32)] = [
      (0, 8, 1), (1, 8, 1), (15, 8, 1), (1 << 40, 8, 1), (16, 0, 1), (16, 8, 0), (1 << 20, .max, .max),
      (1 << 63, 1, 1), (1 << 24, 8, 1),
    ]
    for (n, r, p) in costs {
      #expect(kind { _ = try scrypt(password: password, salt: [], n: n, r: r, p: p, count: 32) } == .invalidParameter)
    }
    #expect(kind { _ = try scrypt(password: password, salt: [], n: 16, r: 1, p: 1, count: 0) } == .invalidParameter)
  }
}
