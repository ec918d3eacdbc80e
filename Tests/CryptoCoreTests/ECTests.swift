import CryptoCore
import Testing

struct ECDSATests {
  // RFC 6979, appendix A.2.5 to A.2.7: keys, and signatures of "sample".
  static let answers: [(curve: EllipticCurve, hash: HashAlgorithm, scalar: String, point: String, signature: String)] =
    [
      (
        .p256, .sha256, "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",
        """
        0460FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6
        7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299
        """,
        """
        EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
        F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8
        """
      ),
      (
        .p384, .sha384,
        "6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA60D2EDF5",
        """
        04EC3A4E415B4E19A4568618029F427FA5DA9A8BC4AE92E02E06AAE5286B300C64DEF8F0EA9055866064A254515480BC13
        8015D9B72D7D57244EA8EF9AC0C621896708A59367F9DFB9F54CA84B3F1C9DB1288B231C3AE0D4FE7344FD2533264720
        """,
        """
        94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE46
        99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8
        """
      ),
      (
        .p521, .sha512,
        """
        00FAD06DAA62BA3B25D2FB40133DA757205DE67F5BB0018FEE8C86E1B68C7E75CAA896EB32F1F47C70855836A6D16FCC14
        66F6D8FBEC67DB89EC0C08B0E996B83538
        """,
        """
        0401894550D0785932E00EAA23B694F213F8C3121F86DC97A04E5A7167DB4E5BCD371123D46E45DB6B5D5370A7F20FB633
        155D38FFA16D2BD761DCAC474B9A2F5023A400493101C962CD4D2FDDF782285E64584139C2F91B47F87FF82354D6630F74
        6A28A0DB25741B5B34A828008B22ACC23F924FAAFBD4D33F81EA66956DFEAA2BFDFCF5
        """,
        """
        00C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F174E25A1EE9017B5D450606ADD152B534931D7
        D4E8455CC91F9B15BF05EC36E377FA00617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF282623EAA6
        3E5B5C0723D8B8C37FF0777B1A20F8CCB1DCCC43997F1EE0E44DA4A67A
        """
      ),
    ]

  @Test("RFC 6979's keys and signatures are understood", arguments: [0, 1, 2])
  func knownAnswers(index: Int) throws {
    let answer = Self.answers[index]
    let digest = try answer.hash.digest(Array("sample".utf8))
    let key = try ECPrivateKey(answer.curve, scalar: secret(answer.scalar))
    #expect(key.publicPoint == hex(answer.point))
    let publicKey = try ECPublicKey(answer.curve, point: hex(answer.point))
    #expect(try publicKey.isValid(hex(answer.signature), for: digest))
    let other = try answer.hash.digest(Array("test".utf8))
    #expect(try !publicKey.isValid(hex(answer.signature), for: other))
  }

  @Test(
    "signatures are r and s in the curve's width, and any changed byte spoils them", arguments: EllipticCurve.allCases)
  func roundTrip(curve: EllipticCurve) throws {
    let key = try ECPrivateKey.generate(curve)
    let publicKey = try key.publicKey()
    for count in [1, 20, 32, 48, 64, 66, 100] {
      let digest = try randomBytes(count: count)
      var signature = try key.sign(digest)
      #expect(signature.count == curve.signatureByteCount)
      #expect(try publicKey.isValid(signature, for: digest))
      signature[curve.byteCount - 1] ^= 1
      #expect(try !publicKey.isValid(signature, for: digest))
    }
    let digest = try randomBytes(count: 32)
    let signature = try key.sign(digest)
    let zeros = [UInt8](repeating: 0, count: curve.signatureByteCount)
    for bad in [[], [0], Array(signature.dropLast()), signature + [0], zeros, zeros.map { _ in 0xff }] {
      #expect(try !publicKey.isValid(bad, for: digest))
    }
    #expect(kind { _ = try key.sign([]) } == .dataLength)
    #expect(try !publicKey.isValid(signature, for: []))
  }

  @Test("of a digest longer than the order the leftmost bits count")
  func truncation() throws {
    let key = try ECPrivateKey.generate(.p256)
    let digest = try randomBytes(count: 64)
    let signature = try key.sign(digest)
    #expect(try key.publicKey().isValid(signature, for: Array(digest.prefix(32))))
  }

  @Test("eight threads sign and verify with one key")
  func threads() async throws {
    let key = try ECPrivateKey.generate(.p256)
    let publicKey = try key.publicKey()
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for thread in 0..<8 {
        group.addTask {
          try (0..<50).allSatisfy { round in
            let digest = try sha256([UInt8(thread), UInt8(round)])
            return try publicKey.isValid(key.sign(digest), for: digest)
          }
        }
      }
      for try await valid in group { #expect(valid) }
    }
  }
}

struct ECKeyTests {
  @Test("points off the curve, at infinity, hybrid or of another size are refused", arguments: EllipticCurve.allCases)
  func points(curve: EllipticCurve) throws {
    let point = try ECPrivateKey.generate(curve).publicPoint
    var off = point
    off[off.count - 1] ^= 1
    let tooLarge = [4] + [UInt8](repeating: 0xff, count: 2 * curve.byteCount)
    let zero = [4] + [UInt8](repeating: 0, count: 2 * curve.byteCount)
    let parity = point[point.count - 1] & 1
    let body = Array(point.dropFirst())
    let malformed: [[UInt8]] = [
      [], [0], [4], off, tooLarge, zero, [6 + parity] + body, [5] + body, Array(point.dropLast()), point + [0],
    ]
    for bad in malformed {
      #expect(kind { _ = try ECPublicKey(curve, point: bad) } == .invalidPoint)
    }
    let compressed: [UInt8] = [2 + parity] + point[1...curve.byteCount]
    #expect(try ECPublicKey(curve, point: compressed).point == point)
    let other = EllipticCurve.allCases.first { $0 != curve } ?? .p256
    #expect(kind { _ = try ECPublicKey(other, point: point) } == .invalidPoint)
  }

  @Test("scalars out of range and points of another key are refused", arguments: EllipticCurve.allCases)
  func scalars(curve: EllipticCurve) throws {
    let high = SecretBytes(copying: [UInt8](repeating: 0xff, count: curve.byteCount))
    let zero = SecretBytes(count: curve.byteCount)
    for bad in [high, zero, SecretBytes(count: 0), SecretBytes(count: 10_000)] {
      #expect(kind { _ = try ECPrivateKey(curve, scalar: bad) } == .invalidKey)
    }
    let key = try ECPrivateKey.generate(curve)
    let other = try ECPrivateKey.generate(curve)
    #expect(kind { _ = try ECPrivateKey(curve, scalar: key.scalar, publicPoint: other.publicPoint) } == .invalidKey)
    #expect(try ECPrivateKey(curve, scalar: key.scalar, publicPoint: key.publicPoint).publicPoint == key.publicPoint)
    let one = try ECPrivateKey(curve, scalar: SecretBytes(copying: [1]))
    let padded = try ECPrivateKey(
      curve, scalar: SecretBytes(copying: [UInt8](repeating: 0, count: curve.byteCount) + [1]))
    #expect(one.publicPoint == padded.publicPoint)
    #expect(one.scalar.count == curve.byteCount)
  }

  @Test("the order itself is no scalar, the order less one is")
  func order() throws {
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
    #expect(kind { _ = try ECPrivateKey(.p256, scalar: secret(order)) } == .invalidKey)
    var below = hex(order)
    below[31] -= 1
    let last = try ECPrivateKey(.p256, scalar: SecretBytes(copying: below))
    let first = try ECPrivateKey(.p256, scalar: SecretBytes(copying: [1]))
    #expect(last.publicPoint[1...32] == first.publicPoint[1...32])
  }

  @Test("encodings are those of the openssl command and come back")
  func encodings() throws {
    let key = try ECPrivateKey(pkcs8: SecretBytes(copying: P384Sample.pkcs8))
    #expect(key.curve == .p384)
    #expect(try key.pkcs8().exposed == P384Sample.pkcs8)
    #expect(try key.publicKey().subjectPublicKeyInfo() == P384Sample.subjectPublicKeyInfo)
    #expect(try ECPublicKey(subjectPublicKeyInfo: P384Sample.subjectPublicKeyInfo).point == key.publicPoint)
    for curve in EllipticCurve.allCases {
      let key = try ECPrivateKey.generate(curve)
      let again = try ECPrivateKey(pkcs8: key.pkcs8())
      #expect(again.publicPoint == key.publicPoint)
      #expect(again.scalar.matches(key.scalar))
    }
    for count in 0..<P384Sample.pkcs8.count {
      let part = SecretBytes(copying: Array(P384Sample.pkcs8.prefix(count)))
      #expect(kind { _ = try ECPrivateKey(pkcs8: part) } == .invalidKey)
    }
    for index in P384Sample.pkcs8.indices {
      var changed = P384Sample.pkcs8
      changed[index] ^= 0x41
      #expect(kind { _ = try ECPrivateKey(pkcs8: SecretBytes(copying: changed)) } != nil, "byte \(index)")
    }
    #expect(kind { _ = try ECPrivateKey(pkcs8: SecretBytes(copying: RSASample.pkcs8)) } == .invalidKey)
  }
}

struct KeyAgreementTests {
  @Test("P-256 gives the answer of NIST's CAVS, from an uncompressed and a compressed point")
  func knownAnswer() throws {
    let key = try ECPrivateKey(
      .p256, scalar: secret("7d7dc5f71eb29ddaf80d6214632eeae03d9058af1fb6d22ed80badb62bc1a534"))
    let x = hex("700c48f77f56584c5cc632ca65640db91b6bacce3a4df6b42ce7cc838833d287")
    let y = hex("db71e509e3fd9b060ddb20ba5c51dcc5948d46fbf640dfe0441782cab85fa4ac")
    let expected = secret("46fc62106420ff012e54a434fbdd2d25ccc5852060561e68040dd7778997bd7b")
    #expect(try key.sharedSecret(withPoint: [4] + x + y).matches(expected))
    #expect(try key.sharedSecret(withPoint: [2] + x).matches(expected))
  }

  @Test("both sides agree, and points of other curves are refused", arguments: EllipticCurve.allCases)
  func agreement(curve: EllipticCurve) throws {
    let first = try ECPrivateKey.generate(curve)
    let second = try ECPrivateKey.generate(curve)
    let shared = try first.sharedSecret(withPoint: second.publicPoint)
    #expect(shared.count == curve.byteCount)
    #expect(try shared.matches(second.sharedSecret(withPoint: first.publicPoint)))
    let other = try ECPrivateKey.generate(curve == .p256 ? .p384 : .p256)
    #expect(kind { _ = try first.sharedSecret(withPoint: other.publicPoint) } == .invalidPoint)
    #expect(kind { _ = try first.sharedSecret(with: other.publicKey()) } == .invalidPoint)
    // A context that failed does not come back spoiled.
    #expect(try shared.matches(first.sharedSecret(withPoint: second.publicPoint)))
  }

  @Test("X25519 gives RFC 7748's answers")
  func x25519() throws {
    let key = try MontgomeryPrivateKey(
      .x25519, privateBytes: secret("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"))
    let shared = try key.sharedSecret(with: hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"))
    #expect(shared.matches(secret("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")))
    // The public key is the product with the base point, 9.
    let nine = [9] + [UInt8](repeating: 0, count: 31)
    let once = try MontgomeryPrivateKey(.x25519, privateBytes: SecretBytes(copying: nine))
    #expect(once.publicBytes == hex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"))
  }

  @Test(
    "both sides agree on Montgomery curves, and values of small order are refused", arguments: MontgomeryCurve.allCases)
  func montgomery(curve: MontgomeryCurve) throws {
    let first = try MontgomeryPrivateKey.generate(curve)
    let second = try MontgomeryPrivateKey(pkcs8: MontgomeryPrivateKey.generate(curve).pkcs8())
    let shared = try first.sharedSecret(with: second.publicBytes)
    #expect(shared.count == curve.byteCount)
    #expect(try shared.matches(second.sharedSecret(with: first.publicBytes)))
    let zero = [UInt8](repeating: 0, count: curve.byteCount)
    for bad in [zero, [1] + zero.dropLast(), [], Array(zero.dropLast()), zero + [0]] {
      #expect(kind { _ = try first.sharedSecret(with: bad) } == .invalidPoint)
    }
    #expect(kind { _ = try MontgomeryPrivateKey(curve, privateBytes: SecretBytes(count: 31)) } == .invalidKey)
    let encoded = try first.subjectPublicKeyInfo()
    #expect(try curve.publicBytes(subjectPublicKeyInfo: encoded) == first.publicBytes)
    let edwards = try EdwardsPrivateKey.generate(.ed25519)
    #expect(kind { _ = try MontgomeryPrivateKey(pkcs8: edwards.pkcs8()) } == .invalidKey)
  }

  @Test("the X9.63 derivation gives NIST's CAVS answer and takes shared information and every hash")
  func x963() throws {
    let shared = secret("1c7d7b5f0597b03d06a018466ed1a93e30ed4b04dc64ccdd")
    let derived = try x963KeyDerivation(.sha1, sharedSecret: shared, sharedInfo: [], count: 16)
    #expect(derived.exposed == hex("bf71dffd8f4d99223936beb46fee8ccc"))
    for hash in HashAlgorithm.allCases {
      let blocks = try [UInt8(1), 2].flatMap { try hash.digest(shared.exposed + [0, 0, 0, $0] + [7, 8]) }
      let count = hash.digestByteCount + 5
      let derived = try x963KeyDerivation(hash, sharedSecret: shared, sharedInfo: [7, 8], count: count)
      #expect(derived.exposed == Array(blocks.prefix(count)))
    }
    for count in [0, -1, 1 << 40] {
      #expect(
        kind { _ = try x963KeyDerivation(.sha1, sharedSecret: shared, sharedInfo: [], count: count) }
          == .invalidParameter)
    }
  }
}

struct EdwardsTests {
  @Test("Ed25519 gives RFC 8032's first two answers")
  func knownAnswers() throws {
    let first = try EdwardsPrivateKey(
      .ed25519, seed: secret("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    #expect(first.publicBytes == hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
    #expect(
      try first.sign([])
        == hex(
          """
          e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555
          fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b
          """))
    let second = try EdwardsPrivateKey(
      .ed25519, seed: secret("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    #expect(second.publicBytes == hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"))
    #expect(
      try second.sign([0x72])
        == hex(
          """
          92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da
          085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00
          """))
  }

  @Test("signatures verify until a byte changes, again and again on kept contexts", arguments: EdwardsCurve.allCases)
  func roundTrip(curve: EdwardsCurve) throws {
    let key = try EdwardsPrivateKey(pkcs8: EdwardsPrivateKey.generate(curve).pkcs8())
    let publicKey = try EdwardsPublicKey(subjectPublicKeyInfo: key.publicKey().subjectPublicKeyInfo())
    for count in [0, 1, 64, 1000, 100_000] {
      let message = try randomBytes(count: count)
      var signature = try key.sign(message)
      #expect(signature.count == curve.signatureByteCount)
      #expect(try publicKey.isValid(signature, for: message))
      #expect(try !publicKey.isValid(signature, for: message + [0]))
      #expect(try !publicKey.isValid(Array(signature.dropLast()), for: message))
      signature[5] ^= 1
      #expect(try !publicKey.isValid(signature, for: message))
    }
    #expect(kind { _ = try EdwardsPrivateKey(curve, seed: SecretBytes(count: 31)) } == .invalidKey)
    #expect(kind { _ = try EdwardsPublicKey(curve, publicBytes: [1]) } == .invalidPoint)
    let montgomery = try MontgomeryPrivateKey.generate(.x25519)
    #expect(kind { _ = try EdwardsPrivateKey(pkcs8: montgomery.pkcs8()) } == .invalidKey)
    #expect(kind { _ = try EdwardsPublicKey(subjectPublicKeyInfo: montgomery.subjectPublicKeyInfo()) } == .invalidKey)
  }

  @Test("eight threads sign with one key")
  func threads() async throws {
    let key = try EdwardsPrivateKey.generate(.ed25519)
    let expected = try key.sign([1, 2, 3])
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 {
        group.addTask { try (0..<50).allSatisfy { _ in try key.sign([1, 2, 3]) == expected } }
      }
      for try await same in group { #expect(same) }
    }
  }
}
