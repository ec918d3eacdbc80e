import Cryptoki
import Mechanisms
import Testing
import TokenProtocol

@testable import TokenService

@Suite("Templates")
struct TemplateTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let claim: String
    let template: [Attribute]
    let expected: ReturnValue
    var testDescription: String { claim }

    init(_ claim: String, _ template: [Attribute], _ expected: ReturnValue) {
      self.claim = claim
      self.template = template
      self.expected = expected
    }
  }

  private static let value16 = [UInt8](repeating: 9, count: 16)
  private static let key = Sample.secretKey(value16)

  static let creations: [Case] = [
    Case("a template without a class is incomplete", [.text(.label, "x")], .templateIncomplete),
    Case("a key without a type is incomplete", [.of(.secretKey), .bytes(.value, value16)], .templateIncomplete),
    Case("a secret key without a value is incomplete", [.of(.secretKey), .of(.aes)], .templateIncomplete),
    Case("an unknown class has an invalid value", [.number(.class, 0xce53_4353)], .attributeValueInvalid),
    Case(
      "an unknown key type has an invalid value", Sample.secretKey(value16, KeyType(rawValue: 0x7777)),
      .attributeValueInvalid),
    Case(
      "an unknown attribute is refused", key + [.bytes(AttributeType(rawValue: 0xcf53_4301), [1])],
      .attributeTypeInvalid),
    Case("an attribute of another class is inconsistent", key + [.bytes(.modulus, [1])], .templateInconsistent),
    Case(
      "two values for one attribute are inconsistent", key + [.text(.label, "a"), .text(.label, "b")],
      .templateInconsistent),
    Case("one value twice counts once", key + [.text(.label, "a"), .text(.label, "a")], .ok),
    Case("CKA_UNIQUE_ID is the token's", key + [.text(.uniqueID, "mine")], .attributeReadOnly),
    Case("CKA_LOCAL is the token's", key + [.flag(.local, true)], .attributeReadOnly),
    Case("CKA_ALWAYS_SENSITIVE is the token's", key + [.flag(.alwaysSensitive, true)], .attributeReadOnly),
    Case("CKA_NEVER_EXTRACTABLE is the token's", key + [.flag(.neverExtractable, true)], .attributeReadOnly),
    Case("CKA_KEY_GEN_MECHANISM is the token's", key + [.number(.keyGenMechanism, 1)], .attributeReadOnly),
    Case("CKA_VALUE_LEN does not go with a value", key + [.number(.valueLen, 16)], .templateInconsistent),
    Case("CKA_TRUSTED is not the user's to give", key + [.flag(.trusted, true)], .attributeReadOnly),
    Case("CKA_TRUSTED false says nothing", key + [.flag(.trusted, false)], .ok),
    Case("a CK_BBOOL is 0 or 1", key + [.bytes(.token, [2])], .attributeValueInvalid),
    Case("a CK_BBOOL has one byte", key + [.bytes(.token, [0, 0])], .attributeValueInvalid),
    Case("a CK_ULONG has eight bytes", [.bytes(.class, [4, 0, 0, 0])], .attributeValueInvalid),
    Case("a label is UTF-8", key + [.bytes(.label, [0xff, 0xfe])], .attributeValueInvalid),
    Case("a date has a month", key + [.text(.startDate, "20261301")], .attributeValueInvalid),
    Case("a date has digits", key + [.text(.startDate, "2026-1-1")], .attributeValueInvalid),
    Case("a date may be empty", key + [.bytes(.startDate, [])], .ok),
    Case("a date is kept", key + [.text(.startDate, "20261231")], .ok),
    Case("mechanisms are whole numbers", key + [.bytes(.allowedMechanisms, [1, 2, 3])], .attributeValueInvalid),
    Case("an AES key has 16, 24 or 32 bytes", Sample.secretKey([1, 2, 3]), .attributeValueInvalid),
    Case("a generic secret is not empty", Sample.secretKey([], .genericSecret), .attributeValueInvalid),
    Case("a generic secret may have one byte", Sample.secretKey([1], .genericSecret), .ok),
    Case("an HMAC key type is known", Sample.secretKey([1, 2], .sha256HMAC), .ok),
    Case("a right check value is accepted", key + [.bytes(.checkValue, [])], .ok),
    Case("a wrong check value is refused", key + [.bytes(.checkValue, [1, 2, 3])], .attributeValueInvalid),
    Case(
      "a restricted key cannot be extractable", key + [.flag(.strongroomRestrictedOutput, true), .extractable],
      .templateInconsistent),
    Case(
      "a restricted key cannot be readable",
      key + [.flag(.strongroomRestrictedOutput, true), .flag(.sensitive, false)], .templateInconsistent),
    Case("a template for wrapping is a template", key + [.bytes(.wrapTemplate, [1])], .attributeValueInvalid),
    Case(
      "a template within a template's template is refused",
      key + [Attribute(.wrapTemplate, .template([Attribute(.unwrapTemplate, .template([]))]))], .templateInconsistent),
    Case("a bool is not a template", key + [Attribute(.token, .template([]))], .attributeValueInvalid),
    Case("profile objects are the token's", [.of(.profile), .number(.profileID, 1)], .attributeReadOnly),
    Case("hardware features cannot be made", [.of(.hwFeature)], .attributeValueInvalid),
    Case(
      "a certificate needs a subject",
      [.of(.certificate), .number(.certificateType, 0), .bytes(.value, [0x30, 0])], .templateIncomplete),
    Case("a certificate needs a type", [.of(.certificate), .bytes(.value, [0x30, 0])], .templateIncomplete),
    Case(
      "an attribute certificate is not offered",
      [.of(.certificate), .number(.certificateType, 1), .bytes(.value, [0x30, 0])], .attributeValueInvalid),
    Case(
      "a certificate without content or URL is inconsistent",
      [.of(.certificate), .number(.certificateType, 0), .bytes(.subject, [1]), .bytes(.value, [])],
      .templateInconsistent),
    Case(
      "a URL comes with hashes",
      [
        .of(.certificate), .number(.certificateType, 0), .bytes(.subject, [1]), .bytes(.value, []),
        .text(.url, "https://example.org/c"),
      ], .templateInconsistent),
    Case(
      "certificate categories end at 3",
      [
        .of(.certificate), .number(.certificateType, 0), .bytes(.subject, [1]), .bytes(.value, [0x30, 0]),
        .number(.certificateCategory, 4),
      ], .attributeValueInvalid),
    Case(
      "an X.509 certificate is made",
      [.of(.certificate), .number(.certificateType, 0), .bytes(.subject, [1]), .bytes(.value, [0x30, 0])], .ok),
    Case("a data object is made", [.of(.data), .text(.application, "app"), .bytes(.value, [1, 2])], .ok),
    Case(
      "an unknown curve is not supported",
      [
        .of(.publicKey), .of(.ec), .bytes(.ecParams, [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a]),
        .bytes(.ecPoint, [4, 1, 2]),
      ], .curveNotSupported),
    Case(
      "curve parameters are DER",
      [.of(.publicKey), .of(.ec), .bytes(.ecParams, [0x06, 0x50, 1]), .bytes(.ecPoint, [4, 1, 2])],
      .attributeValueInvalid),
    Case(
      "a point is on its curve",
      [
        .of(.publicKey), .of(.ec), .bytes(.ecParams, Sample.p256),
        .bytes(.ecPoint, [4] + [UInt8](repeating: 1, count: 64)),
      ], .attributeValueInvalid),
    Case(
      "an Edwards curve is no Weierstrass curve",
      [
        .of(.publicKey), .of(.ec), .bytes(.ecParams, Sample.ed25519),
        .bytes(.ecPoint, [UInt8](repeating: 1, count: 32)),
      ], .curveNotSupported),
    Case(
      "a modulus has a size a token can use",
      [.of(.publicKey), .of(.rsa), .bytes(.modulus, [0x0f]), .bytes(.publicExponent, [1, 0, 1])],
      .attributeValueInvalid),
    Case(
      "CKA_ALWAYS_AUTHENTICATE is for private objects",
      [
        .of(.privateKey), .of(.ec), .bytes(.ecParams, Sample.p256), .bytes(.value, [UInt8](repeating: 1, count: 32)),
        .flag(.private, false), .flag(.alwaysAuthenticate, true),
      ], .templateInconsistent),
  ]

  @Test("C_CreateObject answers by the rules of 4.1.1", arguments: creations)
  func creation(_ one: Case) throws {
    let user = try Shared.bench.user(UInt64.random(in: 1000...UInt64(UInt32.max)))
    defer { Shared.bench.token.clientGone(user.id) }
    #expect(outcome { () throws(ReturnValue) in try user.create(one.template) } == one.expected)
  }

  static let generations: [Case] = [
    Case("a length is needed", [], .templateIncomplete),
    Case("a length fits the type", [.number(.valueLen, 17)], .attributeValueInvalid),
    Case("a huge length is refused", [.number(.valueLen, .max)], .attributeValueInvalid),
    Case(
      "a value does not go with a generation", [.number(.valueLen, 16), .bytes(.value, value16)],
      .templateInconsistent),
    Case(
      "another key type contradicts the mechanism", [.number(.valueLen, 16), .of(.genericSecret)],
      .templateInconsistent),
    Case("another class contradicts the mechanism", [.number(.valueLen, 16), .of(.publicKey)], .templateInconsistent),
    Case("class and type may be repeated", [.number(.valueLen, 16), .of(.secretKey), .of(.aes)], .ok),
    Case("CKA_LOCAL is the token's", [.number(.valueLen, 16), .flag(.local, true)], .attributeReadOnly),
    Case("CKA_MODULUS is for RSA", [.number(.valueLen, 16), .bytes(.modulus, [3])], .templateInconsistent),
  ]

  @Test("C_GenerateKey answers by the rules of 4.1.1", arguments: generations)
  func generation(_ one: Case) throws {
    let user = try Shared.bench.user(UInt64.random(in: 1000...UInt64(UInt32.max)))
    defer { Shared.bench.token.clientGone(user.id) }
    #expect(outcome { () throws(ReturnValue) in try user.generate(.aesKeyGen, one.template) } == one.expected)
  }

  @Test("a silent template makes a private, sensitive key that stays here")
  func secureDefaults() throws {
    let user = try Shared.bench.user(11)
    let generated = try user.aes()
    let imported = try user.create(Sample.secretKey(Self.value16))
    let pair = try user.pair(.ecKeyPairGen, [.bytes(.ecParams, Sample.p256)])
    for key in [generated, imported, pair.secret] {
      #expect(try user.isTrue(key, .private))
      #expect(try user.isTrue(key, .sensitive))
      #expect(try !user.isTrue(key, .extractable))
      #expect(try !user.isTrue(key, .token))
      #expect(try !user.isTrue(key, .derive))
      #expect(try !user.isTrue(key, .unwrap))
      #expect(try user.get(key, .value) == [.sensitive])
    }
    #expect(try !user.isTrue(generated, .wrap))
    #expect(try !user.isTrue(pair.open, .private))
  }

  @Test("what a key has always been is computed, never believed")
  func history() throws {
    let user = try Shared.bench.user(12)
    let generated = try user.aes()
    #expect(try user.isTrue(generated, .alwaysSensitive))
    #expect(try user.isTrue(generated, .neverExtractable))
    #expect(try user.isTrue(generated, .local))
    #expect(try user.bytes(generated, .keyGenMechanism)?.ulong == UInt(MechanismType.aesKeyGen.rawValue))
    let imported = try user.create(Sample.secretKey(Self.value16))
    #expect(try !user.isTrue(imported, .alwaysSensitive))
    #expect(try !user.isTrue(imported, .neverExtractable))
    #expect(try !user.isTrue(imported, .local))
    #expect(try user.bytes(imported, .keyGenMechanism)?.ulong == UInt.max)
    let loose = try user.aes(Attribute.revealable)
    try user.set(loose, [.flag(.sensitive, true), .flag(.extractable, false)])
    #expect(try !user.isTrue(loose, .alwaysSensitive))
    #expect(try !user.isTrue(loose, .neverExtractable))
    #expect(try user.get(loose, .value) == [.sensitive])
  }

  @Test("check values are those of the published algorithm")
  func checkValues() throws {
    let user = try Shared.bench.user(13)
    // The hash key of test case 1 of the GCM specification.
    let key = try user.create(Sample.secretKey([UInt8](repeating: 0, count: 16)))
    #expect(try user.bytes(key, .checkValue) == [0x66, 0xe9, 0x4b])
    // SHA-1("abc") begins a9993e.
    let secret = try user.create(Sample.secretKey(Array("abc".utf8), .genericSecret))
    #expect(try user.bytes(secret, .checkValue) == [0xa9, 0x99, 0x3e])
    let silent = try user.create(Sample.secretKey(Array("abc".utf8), .genericSecret, [.bytes(.checkValue, [])]))
    #expect(try user.bytes(silent, .checkValue) == [])
    try user.set(secret, [.bytes(.checkValue, [])])
    #expect(try user.bytes(secret, .checkValue) == [])
  }

  @Test("several attributes at once: what is there is given, with the reason for what is not")
  func mixedAnswers() throws {
    let user = try Shared.bench.user(14)
    let key = try user.aes([.text(.label, "mixed")])
    let answers = try user.get(
      key, .label, .value, .modulus, AttributeType(rawValue: 0xcf53_4301), .allowedMechanisms, .valueLen)
    #expect(
      answers == [
        .value(.bytes(Array("mixed".utf8))), .sensitive, .absent, .absent, .value(.bytes([])),
        .value(.bytes(UInt(32).attributeBytes)),
      ])
  }

  @Test("every attribute is what was given or the default, and the token's own are right, whatever lies before them")
  func everyAttribute() throws {
    let user = try Shared.bench.user(16)
    // A value that looks like the entry of another attribute is a value all the same.
    let entry = withUnsafeBytes(of: AttributeEntries.header(.local, 1)) { Array($0) } + [1]
    let givens: [[Attribute]] = [
      [], [.text(.label, "x")], [.bytes(.label, [])], [.text(.label, String(repeating: "long ", count: 100))],
      [.bytes(.id, entry), .text(.application, "")], [.bytes(.id, [1, 2, 3])], [.text(.startDate, "20260101")],
      [.number(.allowedMechanisms, UInt(MechanismType.aesGCM.rawValue)), .bytes(.checkValue, [])],
      [Attribute(.unwrapTemplate, .template([.flag(.token, false)])), .flag(.encrypt, false)],
      [.flag(.sensitive, false), .flag(.derive, true)],
      [.flag(.extractable, true), .bytes(.id, [UInt8](repeating: 7, count: 8))],
    ]
    var seen: Set<[UInt8]> = []
    for first in givens {
      for second in givens {
        let types = Set(first.map(\.type))
        let given = (first + second.filter { !types.contains($0.type) }).filter { $0.type != .application }
        for isMade in [false, true] {
          let key =
            isMade
            ? try user.generate(.aesKeyGen, given + [.number(.valueLen, 32)])
            : try user.create(Sample.secretKey(Self.value16, .aes, given))
          var expected: [AttributeType: AttributeValue] = [
            .class: .bytes(ObjectClass.secretKey.rawValue.attributeBytes), .token: .bytes([0]), .private: .bytes([1]),
            .label: .bytes([]), .keyType: .bytes(KeyType.aes.rawValue.attributeBytes), .id: .bytes([]),
            .startDate: .bytes([]), .encrypt: .bytes([1]), .derive: .bytes([0]), .sensitive: .bytes([1]),
            .extractable: .bytes([0]), .modifiable: .bytes([1]), .destroyable: .bytes([1]),
            .allowedMechanisms: .bytes([]),
            .wrapWithTrusted: .bytes([0]), .strongroomRestrictedOutput: .bytes([0]),
          ]
          for attribute in given { expected[attribute.type] = attribute.value }
          let isSensitive = expected[.sensitive] == .bytes([1])
          let isExtractable = expected[.extractable] == .bytes([1])
          expected[.local] = .bytes([isMade ? 1 : 0])
          expected[.keyGenMechanism] = .bytes(
            (isMade ? UInt(MechanismType.aesKeyGen.rawValue) : UInt.max).attributeBytes)
          expected[.alwaysSensitive] = .bytes([isMade && isSensitive ? 1 : 0])
          expected[.neverExtractable] = .bytes([isMade && !isExtractable ? 1 : 0])
          expected[.valueLen] = .bytes(UInt(isMade ? 32 : 16).attributeBytes)
          for (type, value) in expected { #expect(try user.get(key, type) == [.value(value)], "\(type) of \(given)") }
          let uniqueID = try #require(try user.bytes(key, .uniqueID))
          #expect(uniqueID.count == UniqueID.byteCount && seen.insert(uniqueID).inserted)
          try user.destroy(key)
        }
      }
    }
  }

  @Test("an attribute that is a template comes back as it was given")
  func nestedTemplates() throws {
    let user = try Shared.bench.user(15)
    let inner: [Attribute] = [.flag(.sensitive, true), .text(.label, "inner")]
    let key = try user.aes([Attribute(.unwrapTemplate, .template(inner)), .flag(.unwrap, true)])
    guard case .value(.template(let found))? = try user.get(key, .unwrapTemplate).first else {
      Issue.record("no template came back")
      return
    }
    #expect(found.count == 2 && inner.allSatisfy(found.contains))
  }
}

/// One token for the tests that leave nothing on it.
enum Shared {
  static let bench: TokenBench = {
    do { return try TokenBench() } catch { preconditionFailure("no bench: \(error)") }
  }()
}
