import Cryptoki
import Mechanisms
import Testing
import TokenProtocol
import Wire

@testable import TokenService

@Suite("Wrapping and derivation")
struct WrappingTests {
  private static let wraps: [Attribute] = [.flag(.wrap, true), .flag(.unwrap, true)]

  @Test("a key goes out wrapped and comes back the same", arguments: [0, 1, 2, 3, 4, 5])
  func roundTrip(_ index: Int) throws {
    let mechanism = [
      Sample.keyWrap, Sample.keyWrapPadded, Sample.cbc, Sample.cbcPad, Mechanism(.aesECB), Sample.gcm,
    ][index]
    let user = try Shared.bench.user(60 + UInt64(index))
    let wrapping = try user.aes(Self.wraps)
    let key = try user.aes([.extractable])
    let wrapped = try user.wrap(key, with: wrapping, mechanism)
    let template: [Attribute] = [.of(.secretKey), .of(.aes), .number(.valueLen, 32)]
    let back = try user.unwrap(wrapped, with: wrapping, mechanism, template)
    let data = [UInt8](0..<32)
    #expect(
      try user.perform(.encrypt, key, Mechanism(.aesECB), data)
        == user.perform(.encrypt, back, Mechanism(.aesECB), data))
    #expect(try user.isTrue(back, .sensitive))
    #expect(try !user.isTrue(back, .extractable))
    #expect(try !user.isTrue(back, .local))
    #expect(try !user.isTrue(back, .alwaysSensitive))
    #expect(try !user.isTrue(back, .neverExtractable))
    #expect(try user.bytes(back, .checkValue) == user.bytes(key, .checkValue))
    #expect(
      outcome { () throws(ReturnValue) in
        try user.unwrap(wrapped, with: wrapping, mechanism, [.of(.secretKey), .of(.aes), .number(.valueLen, 16)])
      } == .wrappedKeyLenRange)
    #expect(
      outcome { () throws(ReturnValue) in try user.unwrap(wrapped, with: wrapping, mechanism, [.of(.secretKey)]) }
        == .templateIncomplete)
    #expect(
      outcome { () throws(ReturnValue) in try user.unwrap([1, 2, 3], with: wrapping, mechanism, template) } != .ok)
  }

  @Test("private keys travel as PKCS #8", arguments: [0, 1, 2, 3])
  func privateKeys(_ index: Int) throws {
    let user = try Shared.bench.user(70 + UInt64(index))
    let wrapping = try user.aes(Self.wraps)
    let (mechanism, open, type): (MechanismType, [Attribute], KeyType) = [
      (.rsaPKCSKeyPairGen, [.number(.modulusBits, 2048)], .rsa),
      (.ecKeyPairGen, [.bytes(.ecParams, Sample.p256)], .ec),
      (.ecEdwardsKeyPairGen, [.bytes(.ecParams, Sample.ed25519)], .ecEdwards),
      (.ecMontgomeryKeyPairGen, [.bytes(.ecParams, Sample.x25519)], .ecMontgomery),
    ][index]
    let pair = try user.pair(mechanism, open, [.extractable])
    for transport in [Sample.keyWrapPadded, Sample.cbcPad, Sample.gcm] {
      let wrapped = try user.wrap(pair.secret, with: wrapping, transport)
      let back = try user.unwrap(wrapped, with: wrapping, transport, [.of(.privateKey), .of(type)])
      #expect(try user.bytes(back, .publicKeyInfo) == user.bytes(pair.open, .publicKeyInfo))
      #expect(try !user.isTrue(back, .local))
      let wrong: KeyType = type == .rsa ? .ec : .rsa
      #expect(
        outcome { () throws(ReturnValue) in
          try user.unwrap(wrapped, with: wrapping, transport, [.of(.privateKey), .of(wrong)])
        } == .wrappedKeyInvalid)
    }
    #expect(
      outcome { () throws(ReturnValue) in try user.wrap(pair.secret, with: wrapping, Sample.cbc) } == .keyNotWrappable)
  }

  @Test("RSA carries secret keys")
  func rsaTransport() throws {
    let user = try Shared.bench.user(80)
    let pair = try user.pair(
      .rsaPKCSKeyPairGen, [.number(.modulusBits, 2048), .flag(.wrap, true)], [.flag(.unwrap, true)])
    let key = try user.aes([.extractable])
    let oaep = Mechanism(.rsaPKCSOAEP, .oaep(hash: .sha256, mgf: 2, label: []))
    for mechanism in [oaep, Mechanism(.rsaPKCS), Mechanism(.rsaX509)] {
      let wrapped = try user.wrap(key, with: pair.open, mechanism)
      let back = try user.unwrap(
        wrapped, with: pair.secret, mechanism, [.of(.secretKey), .of(.aes), .number(.valueLen, 32)])
      #expect(try user.bytes(back, .checkValue) == user.bytes(key, .checkValue), "\(mechanism.type)")
    }
    #expect(
      outcome { () throws(ReturnValue) in try user.wrap(pair.secret, with: pair.open, oaep) } == .keyUnextractable)
  }

  @Test("who may wrap what")
  func wrapPolicy() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let wrapping = try user.aes(Self.wraps)
    let key = try user.aes([.extractable])
    let wrap = { (key: UInt64, wrapping: UInt64) in
      outcome { () throws(ReturnValue) in try user.wrap(key, with: wrapping, Sample.keyWrap) }
    }
    #expect(wrap(key, wrapping) == .ok)
    #expect(wrap(try user.aes(), wrapping) == .keyUnextractable)
    #expect(wrap(key, try user.aes()) == .keyFunctionNotPermitted)
    #expect(wrap(key, 4711) == .wrappingKeyHandleInvalid)
    #expect(wrap(4711, wrapping) == .keyHandleInvalid)
    #expect(wrap(try user.create([.of(.data)]), wrapping) == .keyNotWrappable)
    let secret = try user.generate(.genericSecretKeyGen, [.number(.valueLen, 32), .flag(.wrap, true)])
    #expect(wrap(key, secret) == .wrappingKeyTypeInconsistent)
    let itself = try user.aes([.extractable, .flag(.wrap, true)])
    #expect(wrap(itself, itself) == .keyNotWrappable)
    // A trusted key: only the officer makes one, and a copy of it is not.
    let guarded = try user.aes([.extractable, .flag(.wrapWithTrusted, true)])
    #expect(wrap(guarded, wrapping) == .keyNotWrappable)
    let shared = try user.aes(Self.wraps + [.onToken, .flag(.private, false), .text(.label, "shared")])
    #expect(
      outcome { () throws(ReturnValue) in try user.set(shared, [.flag(.trusted, true)]) } == .attributeReadOnly)
    let officer = try bench.officer()
    try officer.set(shared, [.flag(.trusted, true)])
    #expect(wrap(guarded, shared) == .ok)
    #expect(wrap(guarded, try user.copy(shared, [.flag(.token, false)])) == .keyNotWrappable)
    #expect(
      outcome { () throws(ReturnValue) in try user.copy(shared, [.flag(.trusted, false), .flag(.token, false)]) }
        != .ok)
    // CKA_WRAP_TEMPLATE.
    let picky = try user.aes(Self.wraps + [Attribute(.wrapTemplate, .template([.text(.label, "goes")]))])
    #expect(wrap(key, picky) == .keyHandleInvalid)
    #expect(wrap(try user.aes([.extractable, .text(.label, "goes")]), picky) == .ok)
  }

  @Test("CKA_UNWRAP_TEMPLATE is added, and a contradiction refused")
  func unwrapTemplate() throws {
    let user = try Shared.bench.user(81)
    let plain = try user.aes(Self.wraps)
    let key = try user.aes([.extractable])
    let template: [Attribute] = [.flag(.sensitive, true), .flag(.extractable, false), .text(.label, "from template")]
    let wrapping = try user.aes([
      .flag(.wrap, true), .flag(.unwrap, true), Attribute(.unwrapTemplate, .template(template)),
    ])
    let wrapped = try user.wrap(key, with: wrapping, Sample.keyWrap)
    let base: [Attribute] = [.of(.secretKey), .of(.aes)]
    let back = try user.unwrap(wrapped, with: wrapping, Sample.keyWrap, base)
    #expect(try user.bytes(back, .label) == Array("from template".utf8))
    #expect(try !user.isTrue(back, .extractable))
    #expect(
      outcome { () throws(ReturnValue) in
        try user.unwrap(wrapped, with: wrapping, Sample.keyWrap, base + [.extractable])
      } == .templateInconsistent)
    #expect(
      outcome { () throws(ReturnValue) in
        try user.unwrap(wrapped, with: wrapping, Sample.keyWrap, base + [.text(.label, "from template")])
      } == .ok)
    #expect(
      outcome { () throws(ReturnValue) in try user.unwrap(wrapped, with: plain, Sample.keyWrap, base) }
        == .wrappedKeyInvalid)
    #expect(
      outcome { () throws(ReturnValue) in
        try user.unwrap(wrapped, with: try user.aes(), Sample.keyWrap, base)
      } == .keyFunctionNotPermitted)
    #expect(
      outcome { () throws(ReturnValue) in try user.unwrap(wrapped, with: 4711, Sample.keyWrap, base) }
        == .unwrappingKeyHandleInvalid)
  }

  @Test("two parties derive the same secret, with each kind of function and any encoding of the point")
  func derivation() throws {
    let user = try Shared.bench.user(82)
    let cases: [(MechanismType, [UInt8])] = [
      (.ecKeyPairGen, Sample.p256), (.ecMontgomeryKeyPairGen, Sample.x25519),
    ]
    for (mechanism, parameters) in cases {
      let open: [Attribute] = [.bytes(.ecParams, parameters)]
      let first = try user.pair(mechanism, open, [.flag(.derive, true)])
      let second = try user.pair(mechanism, open, [.flag(.derive, true)])
      let firstPoint = try #require(try user.bytes(first.open, .ecPoint))
      let secondPoint = try #require(try user.bytes(second.open, .ecPoint))
      for kdf: UInt32 in [1, 2, 6, 8] {
        let ecdh = { (point: [UInt8]) in
          Mechanism(.ecdh1Derive, .ecdh(kdf: kdf, sharedData: kdf == 1 ? [] : [1, 2], publicPoint: point))
        }
        let type: [Attribute] = [.of(.secretKey), .of(.genericSecret)] + Attribute.revealable
        let template = type + [.number(.valueLen, 24)]
        let one = try user.derive(first.secret, ecdh(secondPoint), template)
        let raw = try user.derive(first.secret, ecdh(Array(secondPoint.dropFirst(2))), template)
        let two = try user.derive(second.secret, ecdh(firstPoint), template)
        let value = try #require(try user.bytes(one, .value))
        #expect(value.count == 24)
        #expect(try user.bytes(two, .value) == value)
        #expect(try user.bytes(raw, .value) == value)
        if kdf == 1 {
          // What is too much is taken from the beginning.
          let whole = try user.derive(first.secret, ecdh(secondPoint), type)
          #expect(try user.bytes(whole, .value)?.suffix(24) == value[...])
        }
        #expect(try !user.isTrue(one, .alwaysSensitive))
        #expect(try !user.isTrue(one, .local))
      }
      let sealed = try user.derive(
        first.secret, Mechanism(.ecdh1Derive, .ecdh(kdf: 1, sharedData: [], publicPoint: secondPoint)),
        [.of(.secretKey), .of(.aes), .number(.valueLen, 32)])
      #expect(try user.isTrue(sealed, .alwaysSensitive))
      #expect(try user.isTrue(sealed, .neverExtractable))
      let derive = { (template: [Attribute], point: [UInt8]) in
        outcome { () throws(ReturnValue) in
          try user.derive(
            first.secret, Mechanism(.ecdh1Derive, .ecdh(kdf: 1, sharedData: [], publicPoint: point)), template)
        }
      }
      #expect(derive([.of(.aes)], secondPoint) == .templateIncomplete)
      #expect(derive([.of(.aes), .number(.valueLen, 17)], secondPoint) == .attributeValueInvalid)
      #expect(derive([.number(.valueLen, 1000)], secondPoint) == .keySizeRange)
      #expect(derive([.number(.valueLen, .max)], secondPoint) == .attributeValueInvalid)
      #expect(derive([.of(.publicKey)], secondPoint) == .templateInconsistent)
      #expect(derive([], [4, 1, 2, 3]) == .mechanismParamInvalid)
    }
    let silent = try user.pair(.ecKeyPairGen, [.bytes(.ecParams, Sample.p256)])
    let point = try #require(try user.bytes(silent.open, .ecPoint))
    #expect(
      outcome { () throws(ReturnValue) in
        try user.derive(
          silent.secret, Mechanism(.ecdh1Derive, .ecdh(kdf: 1, sharedData: [], publicPoint: point)), [])
      } == .keyFunctionNotPermitted)
  }

  @Test("CKA_DERIVE_TEMPLATE holds for what is derived")
  func deriveTemplate() throws {
    let user = try Shared.bench.user(83)
    let pair = try user.pair(
      .ecKeyPairGen, [.bytes(.ecParams, Sample.p256)],
      [.flag(.derive, true), Attribute(.deriveTemplate, .template([.flag(.extractable, false), .of(.aes)]))])
    let point = try #require(try user.bytes(pair.open, .ecPoint))
    let mechanism = Mechanism(.ecdh1Derive, .ecdh(kdf: 6, sharedData: [], publicPoint: point))
    let key = try user.derive(pair.secret, mechanism, [.number(.valueLen, 16)])
    #expect(try user.bytes(key, .keyType)?.ulong == KeyType.aes.rawValue)
    #expect(
      outcome { () throws(ReturnValue) in
        try user.derive(pair.secret, mechanism, [.number(.valueLen, 16), .extractable])
      } == .templateInconsistent)
  }
}
