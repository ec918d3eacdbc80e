import Cryptoki
import Mechanisms
import Testing
import Wire

@Suite struct PolicyTests {
  private let aes = KeyDescription(objectClass: .secretKey, keyType: .aes, usage: [.encrypt], size: 16)
  private let cbc = Mechanism(.aesCBC, .iv(ShortBytes([UInt8](0..<16))))

  @Test("each reason to refuse has its own answer")
  func reasons() throws {
    try KeyPolicy.check(aes, cbc, for: .encrypt, usage: .encrypt)
    #expect(throws: ReturnValue.keyFunctionNotPermitted) {
      try KeyPolicy.check(aes, cbc, for: .decrypt, usage: .decrypt)
    }
    #expect(throws: ReturnValue.mechanismInvalid) { try KeyPolicy.check(aes, cbc, for: .sign, usage: .sign) }
    #expect(throws: ReturnValue.mechanismInvalid) {
      try KeyPolicy.check(aes, Mechanism(MechanismType(rawValue: 0x8000_1234)), for: .encrypt, usage: .encrypt)
    }
    #expect(throws: ReturnValue.keyTypeInconsistent) {
      try KeyPolicy.check(aes, Mechanism(.rsaPKCS), for: .encrypt, usage: .encrypt)
    }
    #expect(throws: ReturnValue.mechanismParamInvalid) {
      try KeyPolicy.check(aes, Mechanism(.aesCBC), for: .encrypt, usage: .encrypt)
    }
    #expect(throws: ReturnValue.mechanismParamInvalid) {
      try KeyPolicy.check(aes, Mechanism(.aesCBC, .iv(ShortBytes([1]))), for: .encrypt, usage: .encrypt)
    }
    var odd = aes
    odd.size = 15
    #expect(throws: ReturnValue.keySizeRange) { try KeyPolicy.check(odd, cbc, for: .encrypt, usage: .encrypt) }
    var bound = aes
    bound.allowedMechanisms = [.aesGCM]
    #expect(throws: ReturnValue.mechanismInvalid) { try KeyPolicy.check(bound, cbc, for: .encrypt, usage: .encrypt) }
  }

  @Test("the table is in order, without a double, and finds what it has")
  func table() {
    let values = MechanismTable.all.map(\.type.rawValue)
    #expect(values == Array(Set(values)).sorted())
    for row in MechanismTable.all {
      #expect(MechanismTable.facts(row.type)?.type == row.type)
      #expect(!row.flags.isEmpty)
    }
    #expect(MechanismTable.facts(MechanismType(rawValue: 0x7fff_ffff)) == nil)
  }

  @Test("mechanisms and descriptions survive the wire")
  func wire() throws {
    let short = ShortBytes([1, 2, 3])
    let long = ShortBytes([UInt8](repeating: 4, count: 100))
    let parameters: [MechanismParameters] = [
      .none, .iv(short), .iv(long), .counter(bitCount: 7, block: short),
      .gcm(iv: short, aad: [9, 9], tagBitCount: 96), .macByteCount(8), .pss(hash: .sha256, mgf: 2, saltByteCount: 3),
      .oaep(hash: .sha1, mgf: 1, label: [4]), .ecdh(kdf: 1, sharedData: [5], publicPoint: [6]),
      .edwards(preHash: true, context: [7]),
    ]
    for value in parameters {
      var writer = WireWriter()
      Mechanism(.aesGCM, value).write(to: &writer)
      try writer.withMessage { message in
        var reader = WireReader(message)
        #expect(try Mechanism(from: &reader) == Mechanism(.aesGCM, value))
        try reader.end()
      }
    }
    let description = KeyDescription(
      objectClass: .publicKey, keyType: .rsa, usage: [.verify, .token], size: 2048, allowedMechanisms: [.rsaPKCS],
      publicParts: [[1], [2, 3]])
    var writer = WireWriter()
    description.write(to: &writer)
    try writer.withMessage { message in
      var reader = WireReader(message)
      #expect(try KeyDescription(from: &reader) == description)
      try reader.end()
    }
  }
}
