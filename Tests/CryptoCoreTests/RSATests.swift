import COpenSSL
import CryptoCore
import Testing

/// Whether this libcrypto answers a PKCS #1 v1.5 ciphertext of wrong padding with a made-up message: that of 3.2 and later.
private let rejectsImplicitly: Bool = {
  let cipher = EVP_ASYM_CIPHER_fetch(nil, "RSA", nil)
  defer { EVP_ASYM_CIPHER_free(cipher) }
  return OSSL_PARAM_locate_const(EVP_ASYM_CIPHER_settable_ctx_params(cipher), "implicit-rejection") != nil
}()

struct RSATests {
  private let key = try! RSAPrivateKey(pkcs8: SecretBytes(copying: RSASample.pkcs8))
  private let message = Array("message".utf8)
  private let digest = try! sha256(Array("message".utf8))

  @Test("PKCS #1 v1.5 signatures are those of the openssl command")
  func pkcs1KnownAnswer() throws {
    #expect(try key.sign(digest, .pkcs1(.sha256)) == RSASample.pkcs1Signature)
    // The same with a DigestInfo that the caller made.
    let info = HashAlgorithm.sha256.digestInfoPrefix + digest
    #expect(try key.sign(info, .pkcs1Unhashed) == RSASample.pkcs1Signature)
    #expect(try key.publicKey.isValid(RSASample.pkcs1Signature, for: info, .pkcs1Unhashed))
    #expect(try key.publicKey.isValid(RSASample.pkcs1Signature, for: digest, .pkcs1(.sha256)))
    #expect(try !key.publicKey.isValid(RSASample.pkcs1Signature, for: digest, .pkcs1(.sha3_256)))
  }

  @Test("what the openssl command signed with PSS and encrypted with OAEP and PKCS #1 is understood")
  func foreignAnswers() throws {
    let scheme = RSASignatureScheme.pss(hash: .sha256, maskHash: .sha384, saltByteCount: 20)
    #expect(try key.publicKey.isValid(RSASample.pssSignature, for: digest, scheme))
    let otherSalt = RSASignatureScheme.pss(hash: .sha256, maskHash: .sha384, saltByteCount: 21)
    #expect(try !key.publicKey.isValid(RSASample.pssSignature, for: digest, otherSalt))
    let oaep = RSAEncryptionScheme.oaep(hash: .sha256, maskHash: .sha1, label: Array("abc".utf8))
    #expect(try key.decrypt(RSASample.oaepCiphertext, oaep).exposed == message)
    #expect(try key.decrypt(RSASample.pkcs1Ciphertext, .pkcs1).exposed == message)
  }

  @Test("a signature verifies with every hash, and no changed one does", arguments: HashAlgorithm.allCases)
  func hashes(hash: HashAlgorithm) throws {
    let digest = try hash.digest(message)
    let other = try hash.digest([0])
    for scheme in [
      RSASignatureScheme.pkcs1(hash), .pss(hash: hash, maskHash: hash, saltByteCount: hash.digestByteCount),
      .pss(hash: hash, maskHash: .sha1, saltByteCount: 0),
    ] {
      var signature = try key.sign(digest, scheme)
      #expect(try key.publicKey.isValid(signature, for: digest, scheme))
      #expect(try !key.publicKey.isValid(signature, for: other, scheme))
      #expect(try !key.publicKey.isValid(Array(signature.dropLast()), for: digest, scheme))
      #expect(try !key.publicKey.isValid(signature + [0], for: digest, scheme))
      #expect(try !key.publicKey.isValid([], for: digest, scheme))
      signature[100] ^= 1
      #expect(try !key.publicKey.isValid(signature, for: digest, scheme))
      #expect(kind { _ = try key.sign(Array(digest.dropLast()), scheme) } == .dataLength)
      #expect(kind { _ = try key.sign(digest + [0], scheme) } == .dataLength)
    }
  }

  @Test("messages that do not fit are refused, those that just fit are not")
  func limits() throws {
    #expect(try key.sign([UInt8](repeating: 7, count: 245), .pkcs1Unhashed).count == 256)
    #expect(kind { _ = try key.sign([UInt8](repeating: 7, count: 246), .pkcs1Unhashed) } == .messageTooLongForKey)
    #expect(try key.sign([], .pkcs1Unhashed).count == 256)
    #expect(kind { _ = try key.sign([UInt8](repeating: 0xff, count: 256), .unpadded) } == .messageTooLongForKey)
    #expect(kind { _ = try key.sign([UInt8](repeating: 0, count: 257), .unpadded) } == .messageTooLongForKey)
    for (salt, expected) in [
      (222, nil), (223, CryptoError.Kind.messageTooLongForKey), (-1, .messageTooLongForKey),
      (.max, .messageTooLongForKey),
    ] {
      #expect(
        kind { _ = try key.sign(digest, .pss(hash: .sha256, maskHash: .sha256, saltByteCount: salt)) } == expected)
    }
    for scheme in [RSAEncryptionScheme.pkcs1, .oaep(hash: .sha512, maskHash: .sha512), .unpadded] {
      let longest = scheme.longestMessage(modulusByteCount: 256)
      let fitting = [UInt8](repeating: 1, count: longest)
      #expect(try key.decrypt(key.publicKey.encrypt(fitting, scheme), scheme).exposed == fitting)
      #expect(kind { _ = try key.publicKey.encrypt(fitting + [1], scheme) } == .messageTooLongForKey)
    }
    #expect(
      kind { _ = try key.publicKey.encrypt([UInt8](repeating: 0xff, count: 256), .unpadded) } == .messageTooLongForKey)
  }

  @Test("an empty message is encrypted and comes back")
  func emptyMessage() throws {
    for scheme in [RSAEncryptionScheme.pkcs1, .oaep(hash: .sha1, maskHash: .sha256)] {
      #expect(try key.decrypt(key.publicKey.encrypt([], scheme), scheme).count == 0)
    }
    #expect(try key.publicKey.encrypt([], .unpadded) == [UInt8](repeating: 0, count: 256))
  }

  @Test("the bare operations undo each other, leading zeros included")
  func unpadded() throws {
    let number: [UInt8] = [1, 2, 3]
    let signature = try key.sign(number, .unpadded)
    #expect(try key.publicKey.encrypt(signature, .unpadded) == [UInt8](repeating: 0, count: 253) + number)
    #expect(try key.publicKey.isValid(signature, for: number, .unpadded))
    #expect(try !key.publicKey.isValid(signature, for: [1, 2, 4], .unpadded))
  }

  @Test("the signed data are recovered, from anything else an error")
  func recovery() throws {
    func recover(_ signature: [UInt8], _ scheme: RSASignatureScheme) throws -> [UInt8] {
      try signature.withUnsafeBytes { try key.publicKey.recover($0, scheme) }
    }
    let info = HashAlgorithm.sha256.digestInfoPrefix + digest
    #expect(try recover(RSASample.pkcs1Signature, .pkcs1Unhashed) == info)
    #expect(try recover(key.sign([], .pkcs1Unhashed), .pkcs1Unhashed) == [])
    #expect(try recover(key.sign([5], .unpadded), .unpadded) == [UInt8](repeating: 0, count: 255) + [5])
    #expect(kind { _ = try recover([UInt8](repeating: 1, count: 256), .pkcs1Unhashed) } == .badPadding)
    #expect(kind { _ = try recover(RSASample.pssSignature, .pkcs1Unhashed) } == .badPadding)
    #expect(kind { _ = try recover([], .pkcs1Unhashed) } == .dataLength)
    #expect(kind { _ = try recover([UInt8](repeating: 0xff, count: 256), .unpadded) } == .messageTooLongForKey)
    #expect(kind { _ = try recover(RSASample.pkcs1Signature, .pkcs1(.sha256)) } == .unsupported)
  }

  @Test("a ciphertext that is wrong in any way gives one answer; a wrong byte count another")
  func badCiphertexts() throws {
    let oaep = RSAEncryptionScheme.oaep(hash: .sha256, maskHash: .sha1, label: Array("abc".utf8))
    var forged = RSASample.oaepCiphertext
    forged[200] ^= 1
    #expect(kind { _ = try key.decrypt(forged, oaep) } == .badPadding)
    #expect(
      kind { _ = try key.decrypt(RSASample.oaepCiphertext, .oaep(hash: .sha256, maskHash: .sha1)) } == .badPadding)
    forged = RSASample.pkcs1Ciphertext
    forged[200] ^= 1
    // A changed one, a block of type 1, and one whose padding is too short by a byte.
    let blocks: [[UInt8]] = [
      [0, 1] + [UInt8](repeating: 0xff, count: 252) + [0, 5],
      [0, 2] + [UInt8](repeating: 9, count: 7) + [0] + [UInt8](repeating: 5, count: 246),
    ]
    for ciphertext in try [forged] + blocks.map({ try key.publicKey.encrypt($0, .unpadded) }) {
      if rejectsImplicitly {
        let madeUp = try key.decrypt(ciphertext, .pkcs1).exposed
        #expect(try key.decrypt(ciphertext, .pkcs1).exposed == madeUp)
        #expect(madeUp.count <= 245 && madeUp != [5] && madeUp != message)
      } else {
        #expect(kind { _ = try key.decrypt(ciphertext, .pkcs1) } == .badPadding)
      }
    }
    for count in [0, 1, 255, 257] {
      #expect(kind { _ = try key.decrypt([UInt8](repeating: 0, count: count), .pkcs1) } == .dataLength)
    }
    #expect(kind { _ = try key.decrypt([UInt8](repeating: 0xff, count: 256), .pkcs1) } == .messageTooLongForKey)
    #expect(kind { _ = try key.decrypt(key.publicKey.modulus, .unpadded) } == .messageTooLongForKey)
  }

  @Test("eight threads sign with one key")
  func threads() async throws {
    let key = key
    let digest = digest
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 {
        group.addTask {
          try (0..<10).allSatisfy { _ in try key.sign(digest, .pkcs1(.sha256)) == RSASample.pkcs1Signature }
        }
      }
      for try await same in group { #expect(same) }
    }
  }
}

struct RSAKeyTests {
  private let key = try! RSAPrivateKey(pkcs8: SecretBytes(copying: RSASample.pkcs8))

  @Test("encodings are those of the openssl command")
  func encodings() throws {
    #expect(try key.pkcs8().exposed == RSASample.pkcs8)
    #expect(try key.publicKey.subjectPublicKeyInfo() == RSASample.subjectPublicKeyInfo)
    let again = try RSAPublicKey(subjectPublicKeyInfo: RSASample.subjectPublicKeyInfo)
    #expect(again.modulus == key.publicKey.modulus)
    #expect(again.publicExponent == [1, 0, 1])
    #expect(again.bitCount == 2048)
  }

  @Test("whatever is missing beside modulus and private exponent is found")
  func completion() throws {
    let full = try key.components()
    var variants = [full]
    variants.append(
      RSAPrivateComponents(
        modulus: full.modulus, publicExponent: full.publicExponent, privateExponent: full.privateExponent))
    variants.append(
      RSAPrivateComponents(
        modulus: [0, 0] + full.modulus, publicExponent: nil, privateExponent: full.privateExponent))
    variants.append(
      RSAPrivateComponents(
        modulus: full.modulus, publicExponent: nil, privateExponent: full.privateExponent, prime1: full.prime1,
        prime2: full.prime2))
    variants.append(
      RSAPrivateComponents(
        modulus: full.modulus, publicExponent: nil, privateExponent: full.privateExponent, prime2: full.prime2))
    for variant in variants {
      let again = try RSAPrivateKey(variant)
      let digest = try sha256(Array("message".utf8))
      #expect(try again.sign(digest, .pkcs1(.sha256)) == RSASample.pkcs1Signature)
      #expect(again.publicKey.publicExponent == [1, 0, 1])
      let found = try again.components()
      let primes = [found.prime1?.exposed, found.prime2?.exposed]
      #expect(Set(primes) == [full.prime1?.exposed, full.prime2?.exposed])
    }
  }

  @Test("numbers that do not belong together are refused")
  func inconsistent() throws {
    let full = try key.components()
    let paths: [WritableKeyPath<RSAPrivateComponents, SecretBytes?>] = [
      \.prime1, \.prime2, \.exponent1, \.exponent2, \.coefficient,
    ]
    for path in paths {
      for change in [
        { (bytes: inout [UInt8]) in bytes[60] ^= 4 }, { $0 = [] }, { $0 = [1] }, { $0 += [0] },
        { $0 = [UInt8](repeating: 1, count: 5000) },
      ] {
        var changed = full
        var bytes = try #require(full[keyPath: path]).exposed
        change(&bytes)
        changed[keyPath: path] = SecretBytes(copying: bytes)
        #expect(kind { _ = try RSAPrivateKey(changed) } == .invalidKey)
      }
    }
    var changed = full
    changed.publicExponent = [3]
    #expect(kind { _ = try RSAPrivateKey(changed) } == .invalidKey)
    changed = full
    changed.modulus[10] ^= 1
    #expect(kind { _ = try RSAPrivateKey(changed) } == .invalidKey)
    for privateExponent: [UInt8] in [[], [0], [1], full.modulus, [UInt8](repeating: 3, count: 200)] {
      changed = RSAPrivateComponents(
        modulus: full.modulus, publicExponent: [1, 0, 1], privateExponent: SecretBytes(copying: privateExponent))
      #expect(kind { _ = try RSAPrivateKey(changed) } == .invalidKey)
    }
  }

  @Test("public numbers out of range are refused")
  func publicRange() throws {
    let modulus = key.publicKey.modulus
    for exponent: [UInt8] in [[], [0], [1], [2], [1, 0, 0], modulus, modulus + [1]] {
      #expect(kind { _ = try RSAPublicKey(modulus: modulus, publicExponent: exponent) } == .invalidKey)
    }
    for modulus: [UInt8] in [
      [], [0], Array(modulus.dropLast()) + [0], Array(modulus.prefix(100)) + [1],
      [1] + [UInt8](repeating: 0xff, count: 1024), [UInt8](repeating: 0xff, count: 100_000),
    ] {
      #expect(kind { _ = try RSAPublicKey(modulus: modulus, publicExponent: [3]) } == .invalidKey)
    }
    #expect(kind { _ = try RSAPublicKey(modulus: modulus, publicExponent: [3], sizes: 3072...8192) } == .invalidKey)
    let large = [UInt8](repeating: 0xff, count: 512)
    #expect(try RSAPublicKey(modulus: large, publicExponent: [1] + [UInt8](repeating: 1, count: 7)).bitCount == 4096)
    #expect(
      kind { _ = try RSAPublicKey(modulus: large, publicExponent: [UInt8](repeating: 1, count: 9)) } == .invalidKey)
  }

  @Test("truncated, extended and foreign encodings are refused", .timeLimit(.minutes(1)))
  func malformed() throws {
    for count in stride(from: 0, to: RSASample.pkcs8.count, by: 7) {
      let part = SecretBytes(copying: Array(RSASample.pkcs8.prefix(count)))
      #expect(kind { _ = try RSAPrivateKey(pkcs8: part) } == .invalidKey)
    }
    #expect(kind { _ = try RSAPrivateKey(pkcs8: SecretBytes(copying: RSASample.pkcs8 + [0])) } == .invalidKey)
    #expect(kind { _ = try RSAPrivateKey(pkcs8: SecretBytes(copying: P384Sample.pkcs8)) } == .invalidKey)
    #expect(kind { _ = try RSAPublicKey(subjectPublicKeyInfo: P384Sample.subjectPublicKeyInfo) } == .invalidKey)
    #expect(kind { _ = try RSAPublicKey(subjectPublicKeyInfo: RSASample.subjectPublicKeyInfo + [0]) } == .invalidKey)
    for index in 0..<60 where index != 6 {  // the version, which may be 1
      var changed = RSASample.pkcs8
      changed[index] = changed[index] &+ 1
      // Another algorithm, structure, version or modulus: never accepted, never a trap.
      #expect(kind { _ = try RSAPrivateKey(pkcs8: SecretBytes(copying: changed)) } != nil, "byte \(index)")
    }
  }

  @Test("a generated key has the size and exponent asked for and works")
  func generation() throws {
    let key = try RSAPrivateKey.generate(bitCount: 2048, publicExponent: [0, 3])
    #expect(key.publicKey.bitCount == 2048)
    #expect(key.publicKey.publicExponent == [3])
    let again = try RSAPrivateKey(pkcs8: key.pkcs8())
    let digest = try sha256([1])
    #expect(try key.publicKey.isValid(again.sign(digest, .pkcs1(.sha256)), for: digest, .pkcs1(.sha256)))
    for (bits, exponent) in [
      (2047, [1, 0, 1]), (1024, [3]), (8193, [3]), (.max, [3]), (-1, [3]), (2048, []), (2048, [1]),
      (2048, [4]), (2048, [1, 0, 0, 0, 0, 0, 0, 0, 1]),
    ] as [(Int, [UInt8])] {
      #expect(kind { _ = try RSAPrivateKey.generate(bitCount: bits, publicExponent: exponent) } == .invalidParameter)
    }
  }
}
