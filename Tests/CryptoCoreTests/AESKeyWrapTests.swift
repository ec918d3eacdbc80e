import CryptoCore
import Testing

struct AESKeyWrapTests {
  @Test("wrapping gives RFC 3394's answers")
  func knownAnswers() throws {
    let data = secret("00112233445566778899aabbccddeeff")
    let small = try AESKey(secret("000102030405060708090a0b0c0d0e0f"))
    #expect(try small.wrap(data) == hex("1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"))
    let large = try AESKey(secret("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"))
    let longer = secret("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f")
    let wrapped = hex("28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21")
    #expect(try large.wrap(longer) == wrapped)
    #expect(try large.unwrap(wrapped).matches(longer))
  }

  @Test("wrapping with padding gives RFC 5649's answers")
  func paddedKnownAnswers() throws {
    let key = try AESKey(secret("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8"))
    let twenty = secret("c37b7e6492584340bed12207808941155068f738")
    let wrappedTwenty = hex("138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a")
    #expect(try key.wrapPadded(twenty) == wrappedTwenty)
    #expect(try key.unwrapPadded(wrappedTwenty).matches(twenty))
    let seven = secret("466f7250617369")
    #expect(try key.wrapPadded(seven) == hex("afbeb0f07dfbf5419200f2ccb50bb24f"))
    #expect(try key.unwrapPadded(hex("afbeb0f07dfbf5419200f2ccb50bb24f")).matches(seven))
  }

  @Test("secrets of every byte count come back; counts that the standards exclude are refused")
  func counts() throws {
    let key = try AESKey(SecretBytes(count: 16))
    for count in 0...80 {
      let secret = try SecretBytes.random(count: count)
      if count == 0 {
        #expect(kind { _ = try key.wrapPadded(secret) } == .dataLength)
      } else {
        #expect(try key.unwrapPadded(key.wrapPadded(secret)).matches(secret))
      }
      if count >= 16, count % 8 == 0 {
        #expect(try key.unwrap(key.wrap(secret)).matches(secret))
      } else {
        #expect(kind { _ = try key.wrap(secret) } == .dataLength)
      }
      let noise = try randomBytes(count: count)
      let possible = count % 8 == 0 && count >= 24
      #expect(kind { _ = try key.unwrap(noise) } == (possible ? .authenticationFailed : .dataLength))
      let possiblePadded = count % 8 == 0 && count >= 16
      #expect(kind { _ = try key.unwrapPadded(noise) } == (possiblePadded ? .authenticationFailed : .dataLength))
    }
  }

  @Test("another initial value is honoured and a wrong one refused")
  func initialValues() throws {
    let key = try AESKey(SecretBytes(count: 32))
    let secret = try SecretBytes.random(count: 24)
    let wrapped = try key.wrap(secret, initialValue: 0x0102_0304_0506_0708)
    #expect(try key.unwrap(wrapped, initialValue: 0x0102_0304_0506_0708).matches(secret))
    #expect(kind { _ = try key.unwrap(wrapped) } == .authenticationFailed)
    let padded = try key.wrapPadded(secret, initialValue: 0x0a0b_0c0d)
    #expect(try key.unwrapPadded(padded, initialValue: 0x0a0b_0c0d).matches(secret))
    #expect(kind { _ = try key.unwrapPadded(padded) } == .authenticationFailed)
  }

  @Test("a padded wrapping whose length or padding lies is refused")
  func forgedPadding() throws {
    let bytes = [UInt8](repeating: 3, count: 16)
    let key = try AESKey(SecretBytes(copying: bytes))
    // Wrapped with plain KW under the alternative initial value, so that the inside can be anything.
    for (length, content, expected) in [
      (24, [UInt8](repeating: 1, count: 24), nil),
      (17, [UInt8](repeating: 1, count: 17) + [UInt8](repeating: 0, count: 7), nil),
      (17, [UInt8](repeating: 1, count: 17) + [0, 0, 0, 0, 0, 0, 1], CryptoError.Kind.authenticationFailed),
      (16, [UInt8](repeating: 0, count: 24), .authenticationFailed),
      (25, [UInt8](repeating: 1, count: 24), .authenticationFailed),
      (0, [UInt8](repeating: 0, count: 24), .authenticationFailed),
      (0xffff_ffff, [UInt8](repeating: 0, count: 24), .authenticationFailed),
    ] {
      let value = 0xa659_59a6_0000_0000 | UInt64(length)
      let wrapped = try key.wrap(SecretBytes(copying: content), initialValue: value)
      #expect(kind { _ = try key.unwrapPadded(wrapped) } == expected, "length \(length)")
    }
  }

  @Test("a short output is refused and a refused unwrapping leaves nothing behind")
  func outputs() throws {
    let key = try AESKey(SecretBytes(count: 16))
    var wrapped = try key.wrap(SecretBytes(copying: [UInt8](repeating: 9, count: 16)))
    var output = [UInt8](repeating: 0xaa, count: 15)
    #expect(
      kind {
        try wrapped.withUnsafeBytes { w in try output.withUnsafeMutableBytes { _ = try key.unwrap(w, into: $0) } }
      }
        == .bufferTooSmall)
    wrapped[3] ^= 1
    output = [UInt8](repeating: 0xaa, count: 16)
    #expect(
      kind {
        try wrapped.withUnsafeBytes { w in try output.withUnsafeMutableBytes { _ = try key.unwrap(w, into: $0) } }
      }
        == .authenticationFailed)
    #expect(output == [UInt8](repeating: 0, count: 16))
  }
}
