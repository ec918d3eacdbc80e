import Cryptoki
import Mechanisms
import Testing
import TokenProtocol
import Wire

@testable import TokenService

@Suite("Operations")
struct OperationTests {
  private static let block = [UInt8](repeating: 0x41, count: 16)

  @Test("what is encrypted in one part is decrypted in parts, and the other way round")
  func partsAndWholes() throws {
    let user = try Shared.bench.user(41)
    let key = try user.aes()
    let data = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 7) } + [UInt8](repeating: 1, count: 8)
    for mechanism in [Sample.cbcPad, Sample.ctr, Sample.gcm, Mechanism(.aesKeyWrapKWP)] {
      let whole = try user.perform(.encrypt, key, mechanism, data)
      var parts = try user.begin(.encrypt, key, mechanism, Array(data[..<13]))
      parts += try user.update(.encrypt, Array(data[13..<2000]))
      parts += try user.update(.encrypt, Array(data[2000...]))
      parts += try user.finish(.encrypt)
      #expect(parts == whole, "\(mechanism.type)")
      var back = try user.begin(.decrypt, key, mechanism, Array(whole[..<100]))
      back += try user.update(.decrypt, Array(whole[100...]))
      back += try user.finish(.decrypt)
      #expect(back == data, "\(mechanism.type)")
      #expect(try user.perform(.decrypt, key, mechanism, whole) == data, "\(mechanism.type)")
    }
  }

  @Test("a short buffer is answered with the count that is needed and leaves the operation active")
  func shortBuffers() throws {
    let user = try Shared.bench.user(42)
    let key = try user.aes()
    let needed = { (answer: Answer) in answer.number }
    let sign = KeyOperation(
      session: user.session, function: .sign, key: key, mechanism: Mechanism(.aesCMAC))
    let short = user.ask(.perform, sign, Self.block, capacity: 15)
    #expect(short.value == .bufferTooSmall && needed(short) == 16 && short.output.isEmpty)
    #expect(user.ask(.perform, sign, Self.block, capacity: 16).value == .ok)

    let sealed = try user.perform(.encrypt, key, Sample.gcm, [UInt8](repeating: 2, count: 100))
    _ = try user.begin(.decrypt, key, Sample.gcm, sealed)
    let finish = ContinueOperation(session: user.session, function: .decrypt)
    let refused = user.ask(.finish, finish, capacity: 99)
    #expect(refused.value == .bufferTooSmall && needed(refused) == 100 && refused.output.isEmpty)
    #expect(user.ask(.finish, finish, capacity: 100).output == [UInt8](repeating: 2, count: 100))

    let padded = try user.perform(.encrypt, key, Sample.cbcPad, [1, 2, 3])
    _ = try user.begin(.decrypt, key, Sample.cbcPad, padded)
    let last = user.ask(.finish, finish, capacity: 2)
    #expect(last.value == .bufferTooSmall && needed(last) == 3)
    #expect(user.ask(.finish, finish, capacity: 3).output == [1, 2, 3])
    #expect(try user.perform(.decrypt, key, Sample.cbcPad, padded, capacity: 3) == [1, 2, 3])

    _ = try user.begin(.encrypt, key, Mechanism(.aesECB))
    let update = ContinueOperation(session: user.session, function: .encrypt)
    let part = user.ask(.update, update, Self.block + Self.block, capacity: 31)
    #expect(part.value == .bufferTooSmall && needed(part) == 32)
    #expect(user.ask(.update, update, Self.block + Self.block, capacity: 32).output.count == 32)
    #expect(try user.finish(.encrypt).isEmpty)
  }

  @Test("any other error ends the operation")
  func errorsEnd() throws {
    let user = try Shared.bench.user(43)
    let key = try user.aes()
    _ = try user.begin(.encrypt, key, Mechanism(.aesECB), [1, 2, 3])
    #expect(outcome { () throws(ReturnValue) in try user.finish(.encrypt) } == .dataLenRange)
    #expect(outcome { () throws(ReturnValue) in try user.finish(.encrypt) } == .operationNotInitialized)
    #expect(outcome { () throws(ReturnValue) in try user.update(.encrypt, [1]) } == .operationNotInitialized)
    _ = try user.begin(.sign, key, Mechanism(.aesCMAC), [1])
    #expect(
      outcome { () throws(ReturnValue) in try user.begin(.sign, key, Mechanism(.aesCMAC), [1]) } == .operationActive)
    try user.call(.cancel, CancelOperations(session: user.session, functions: [.sign, .decrypt]))
    #expect(outcome { () throws(ReturnValue) in try user.begin(.sign, key, Mechanism(.aesCMAC), [1]) } == .ok)
    #expect(outcome { () throws(ReturnValue) in try user.inSession(2).finish(.sign) } == .operationNotInitialized)
    #expect(try user.finish(.sign).count == 16)
  }

  @Test("nothing of a GCM plaintext comes out before its tag is right")
  func withheldPlaintext() throws {
    let user = try Shared.bench.user(44)
    let key = try user.aes()
    let data = [UInt8](repeating: 0x55, count: 70_000)
    var sealed = try user.perform(.encrypt, key, Sample.gcm, data)
    #expect(try user.begin(.decrypt, key, Sample.gcm, Array(sealed[..<60_000])).isEmpty)
    #expect(try user.update(.decrypt, Array(sealed[60_000...])).isEmpty)
    #expect(try user.finish(.decrypt) == data)
    sealed[10] ^= 1
    let request = KeyOperation(session: user.session, function: .decrypt, key: key, mechanism: Sample.gcm)
    let answer = user.ask(.perform, request, sealed)
    #expect(answer.value == .encryptedDataInvalid && answer.output.isEmpty)
    #expect(try user.begin(.decrypt, key, Sample.gcm, sealed).isEmpty)
    let end = user.ask(.finish, ContinueOperation(session: user.session, function: .decrypt))
    #expect(end.value == .encryptedDataInvalid && end.output.isEmpty)
  }

  @Test("MACs and signatures verify, and do not when a bit is wrong")
  func verification() throws {
    let user = try Shared.bench.user(45)
    let secret = try user.generate(.genericSecretKeyGen, [.number(.valueLen, 32)])
    let data = [UInt8](0..<200)
    let pair = try user.pair(.ecKeyPairGen, [.bytes(.ecParams, Sample.p256)])
    let edwards = try user.pair(.ecEdwardsKeyPairGen, [.bytes(.ecParams, Sample.ed25519)])
    let cases: [(Mechanism, UInt64, UInt64)] = [
      (Mechanism(.sha256HMAC), secret, secret), (Mechanism(.ecdsaSHA256), pair.secret, pair.open),
      (Mechanism(.eddsa), edwards.secret, edwards.open),
    ]
    for (mechanism, signer, verifier) in cases {
      var signature = try user.perform(.sign, signer, mechanism, data)
      let verify = { (signature: [UInt8]) in
        outcome { () throws(ReturnValue) in
          try user.perform(.verify, verifier, mechanism, data, signature: signature)
        }
      }
      #expect(verify(signature) == .ok)
      #expect(verify(Array(signature.dropLast())) == .signatureLenRange)
      _ = try user.begin(.verify, verifier, mechanism, Array(data[..<50]))
      _ = try user.update(.verify, Array(data[50...]))
      #expect(outcome { () throws(ReturnValue) in try user.finish(.verify, signature) } == .ok)
      signature[3] ^= 1
      #expect(verify(signature) == .signatureInvalid)
      _ = try user.begin(.verify, verifier, mechanism, data)
      #expect(outcome { () throws(ReturnValue) in try user.finish(.verify, signature) } == .signatureInvalid)
      #expect(outcome { () throws(ReturnValue) in try user.finish(.verify, signature) } == .operationNotInitialized)
    }
  }

  @Test("an RSA key signs and decrypts; a buffer of the plaintext's size is enough")
  func rsa() throws {
    let user = try Shared.bench.user(46)
    let pair = try user.pair(.rsaPKCSKeyPairGen, [.number(.modulusBits, 2048)])
    #expect(try user.bytes(pair.open, .publicExponent) == [1, 0, 1])
    #expect(try user.bytes(pair.secret, .modulus) == user.bytes(pair.open, .modulus))
    #expect(try user.get(pair.secret, .privateExponent, .prime1) == [.sensitive, .sensitive])
    let signature = try user.perform(.sign, pair.secret, Mechanism(.sha256RSAPKCS), [1, 2, 3])
    #expect(
      outcome { () throws(ReturnValue) in
        try user.perform(.verify, pair.open, Mechanism(.sha256RSAPKCS), [1, 2, 3], signature: signature)
      } == .ok)
    let sealed = try user.perform(.encrypt, pair.open, Mechanism(.rsaPKCS), [9, 8, 7])
    #expect(try user.perform(.decrypt, pair.secret, Mechanism(.rsaPKCS), sealed, capacity: 3) == [9, 8, 7])
    let request = KeyOperation(
      session: user.session, function: .decrypt, key: pair.secret, mechanism: Mechanism(.rsaPKCS))
    let short = user.ask(.perform, request, sealed, capacity: 2)
    #expect(short.value == .bufferTooSmall && short.number >= 3 && short.output.isEmpty)
    #expect(
      outcome { () throws(ReturnValue) in try user.pair(.rsaPKCSKeyPairGen, [.number(.modulusBits, 512)]) }
        == .attributeValueInvalid)
    #expect(outcome { () throws(ReturnValue) in try user.pair(.rsaPKCSKeyPairGen, []) } == .templateIncomplete)
    #expect(
      outcome { () throws(ReturnValue) in
        try user.pair(.rsaPKCSKeyPairGen, [.number(.modulusBits, 2048), .bytes(.publicExponent, [2])])
      } == .attributeValueInvalid)
  }

  @Test("a key does what its attributes permit, with the mechanisms they permit")
  func usage() throws {
    let user = try Shared.bench.user(47)
    let none = try user.aes([
      .flag(.encrypt, false), .flag(.decrypt, false), .flag(.sign, false), .flag(.verify, false),
    ])
    let attempts: [(KeyFunction, Mechanism)] = [
      (.encrypt, Mechanism(.aesECB)), (.decrypt, Mechanism(.aesECB)), (.sign, Mechanism(.aesCMAC)),
      (.verify, Mechanism(.aesCMAC)),
    ]
    for (function, mechanism) in attempts {
      #expect(
        outcome { () throws(ReturnValue) in try user.perform(function, none, mechanism, Self.block) }
          == .keyFunctionNotPermitted)
      #expect(
        outcome { () throws(ReturnValue) in try user.begin(function, none, mechanism) } == .keyFunctionNotPermitted)
    }
    let gcmOnly = try user.aes([.bytes(.allowedMechanisms, UInt(MechanismType.aesGCM.rawValue).attributeBytes)])
    #expect(outcome { () throws(ReturnValue) in try user.perform(.encrypt, gcmOnly, Sample.gcm, [1]) } == .ok)
    #expect(
      outcome { () throws(ReturnValue) in try user.perform(.encrypt, gcmOnly, Mechanism(.aesECB), Self.block) }
        == .mechanismInvalid)
    let secret = try user.generate(.genericSecretKeyGen, [.number(.valueLen, 32)])
    #expect(
      outcome { () throws(ReturnValue) in try user.perform(.encrypt, secret, Mechanism(.aesECB), Self.block) }
        == .keyTypeInconsistent)
    let key = try user.aes()
    #expect(
      outcome { () throws(ReturnValue) in try user.perform(.sign, key, Mechanism(.aesECB), Self.block) }
        == .mechanismInvalid)
    #expect(
      outcome { () throws(ReturnValue) in
        try user.perform(.encrypt, key, Mechanism(MechanismType(rawValue: 0x8000_1234)), Self.block)
      } == .mechanismInvalid)
    #expect(
      outcome { () throws(ReturnValue) in try user.perform(.encrypt, key, Mechanism(.aesCBC), Self.block) }
        == .mechanismParamInvalid)
    #expect(
      outcome { () throws(ReturnValue) in try user.perform(.encrypt, 12345, Mechanism(.aesECB), Self.block) }
        == .keyHandleInvalid)
    let data = try user.create([.of(.data)])
    #expect(
      outcome { () throws(ReturnValue) in try user.perform(.encrypt, data, Mechanism(.aesECB), Self.block) }
        == .keyHandleInvalid)
  }

  @Test("64 MiB go through in one operation")
  func large() throws {
    let user = try Shared.bench.user(48)
    let key = try user.aes()
    let data = [UInt8](repeating: 0xa5, count: 64 << 20)
    var writer = WireWriter()
    KeyOperation(session: user.session, function: .encrypt, key: key, mechanism: Sample.ctr).write(to: &writer)
    var bulk = MemoryTransfer(data, capacity: 64 << 20, piece: 1 << 16)
    #expect(user.invoke(.perform, writer.withMessage { [UInt8]($0) }, &bulk).value == .ok)
    #expect(bulk.output.count == data.count && bulk.output != data)
  }

  @Test("every mechanism that is announced for generation works")
  func announcedGenerators() throws {
    let user = try Shared.bench.user(50)
    let announced = try user.information.mechanisms.map { MechanismType(rawValue: $0) }
    #expect(announced == announced.sorted { $0.rawValue < $1.rawValue })
    let templates: [MechanismType: [Attribute]] = [
      .aesKeyGen: [.number(.valueLen, 16)], .genericSecretKeyGen: [.number(.valueLen, 20)],
      .rsaPKCSKeyPairGen: [.number(.modulusBits, 2048)], .ecKeyPairGen: [.bytes(.ecParams, Sample.p256)],
      .ecEdwardsKeyPairGen: [.bytes(.ecParams, Sample.ed25519)],
      .ecMontgomeryKeyPairGen: [.bytes(.ecParams, Sample.x25519)],
    ]
    for type in announced {
      let flags = try #require(MechanismTable.facts(type)).flags
      guard !flags.isDisjoint(with: [.generate, .generateKeyPair]) else { continue }
      let template = try #require(templates[type], "a generator without a test: \(type)")
      let value = outcome { () throws(ReturnValue) in
        if flags.contains(.generate) {
          _ = try user.generate(type, template)
        } else {
          _ = try user.pair(type, template)
        }
      }
      #expect(value == .ok, "\(type)")
    }
  }

  @Test("random bytes come in any number")
  func random() throws {
    let guest = Shared.bench.guest(49)
    for count in [0, 1, 16, 100_000] {
      var bulk = MemoryTransfer(capacity: UInt64(count))
      let answer = guest.invoke(.random, [], &bulk)
      #expect(answer.value == .ok && answer.output.count == count)
      if count >= 16 { #expect(Set(answer.output).count > 4) }
    }
  }
}
