import Cryptoki
import Mechanisms
import Testing
import TokenProtocol

@testable import TokenService

@Suite("Objects")
struct ObjectTests {
  @Test("bits that may change go one way only")
  func oneWayBits() throws {
    let user = try Shared.bench.user(21)
    let cases: [(AttributeType, start: Bool, back: ReturnValue)] = [
      (.sensitive, false, .attributeReadOnly), (.extractable, true, .attributeReadOnly),
      (.copyable, true, .attributeReadOnly), (.wrapWithTrusted, false, .attributeReadOnly),
      (.sign, true, .ok),
    ]
    for (type, start, back) in cases {
      let key = try user.aes([.flag(type, start)] + (type == .sensitive ? [.extractable] : []))
      #expect(outcome { () throws(ReturnValue) in try user.set(key, [.flag(type, !start)]) } == .ok, "\(type)")
      #expect(try user.isTrue(key, type) == !start)
      #expect(outcome { () throws(ReturnValue) in try user.set(key, [.flag(type, start)]) } == back, "\(type)")
    }
  }

  @Test("restricted output is set once and for all, and needs a key that stays here")
  func restrictedOutputBit() throws {
    let user = try Shared.bench.user(22)
    let loose = try user.aes(Attribute.revealable)
    #expect(
      outcome { () throws(ReturnValue) in try user.set(loose, [.flag(.strongroomRestrictedOutput, true)]) }
        == .templateInconsistent)
    let key = try user.aes()
    try user.set(key, [.flag(.strongroomRestrictedOutput, true)])
    #expect(
      outcome { () throws(ReturnValue) in try user.set(key, [.flag(.strongroomRestrictedOutput, false)]) }
        == .attributeReadOnly)
    #expect(
      outcome { () throws(ReturnValue) in try user.copy(key, [.flag(.strongroomRestrictedOutput, false)]) }
        == .attributeReadOnly)
    let copy = try user.copy(key)
    #expect(try user.isTrue(copy, .strongroomRestrictedOutput))
  }

  @Test("unique ids are the token's: another for each object, the same whenever they are asked for")
  func uniqueIDs() throws {
    let user = try Shared.bench.user(224)
    var seen: Set<[UInt8]> = []
    for onToken in [false, true, false, true] {
      let key = try user.aes([.flag(.token, onToken)])
      let id = try #require(try user.bytes(key, .uniqueID))
      #expect(id.count == 32 && id.allSatisfy { "0123456789abcdef".utf8.contains($0) })
      #expect(seen.insert(id).inserted)
      try user.set(key, [.text(.label, "renamed")])
      #expect(try user.bytes(key, .uniqueID) == id)
      #expect(try user.find([.bytes(.uniqueID, id)]) == [key])
      if onToken { try user.destroy(key) }
    }
  }

  @Test("the check value of a session key is what it would be on the token, wherever it is looked at")
  func checkValueOfSessionKey() throws {
    let user = try Shared.bench.user(225)
    let value = [UInt8](repeating: 0, count: 16)
    let expected: [UInt8] = [0x66, 0xe9, 0x4b]
    let key = try user.create(Sample.secretKey(value, .aes, [.extractable, .flag(.wrap, true)]))
    #expect(try user.bytes(key, .checkValue) == expected)
    #expect(try user.find([.bytes(.checkValue, expected), .bytes(.value, value)]).isEmpty, "it is sensitive")
    #expect(try user.find([.bytes(.checkValue, expected)]).contains(key))
    #expect(try !user.find([.bytes(.checkValue, [1, 2, 3])]).contains(key))
    // A copy may repeat it, and cannot replace it.
    let copy = try user.copy(key, [.onToken, .bytes(.checkValue, expected)])
    #expect(try user.bytes(copy, .checkValue) == expected)
    try user.destroy(copy)
    #expect(
      outcome { () throws(ReturnValue) in try user.copy(key, [.bytes(.checkValue, [1, 2, 3])]) }
        == .attributeValueInvalid)
    for (wanted, result) in [(expected, ReturnValue.ok), ([1, 2, 3], .keyHandleInvalid)] {
      let wrapping = try user.aes([
        .flag(.wrap, true), Attribute(.wrapTemplate, .template([.bytes(.checkValue, wanted)])),
      ])
      #expect(outcome { () throws(ReturnValue) in try user.wrap(key, with: wrapping, Sample.keyWrap) } == result)
    }
    try user.set(key, [.bytes(.checkValue, [])])
    #expect(try user.bytes(key, .checkValue) == [])
    #expect(try user.bytes(try user.copy(key), .checkValue) == [])
  }

  @Test("a template in any order, with values twice, makes the same object")
  func order() throws {
    let user = try Shared.bench.user(226)
    let value = [UInt8](repeating: 3, count: 16)
    let template = Sample.secretKey(
      value, .aes,
      [
        .text(.label, "order"), .bytes(.id, [1, 2]), .flag(.wrap, true), .flag(.sensitive, false), .extractable,
        .number(.allowedMechanisms, UInt(MechanismType.aesGCM.rawValue)),
        Attribute(.unwrapTemplate, .template([.text(.label, "in"), .flag(.token, false)])),
      ])
    let types: [AttributeType] = [
      .class, .token, .private, .label, .value, .keyType, .id, .sensitive, .encrypt, .wrap, .extractable, .local,
      .neverExtractable, .allowedMechanisms, .unwrapTemplate, .valueLen, .checkValue,
    ]
    var answers: [[AttributeAnswer]] = []
    for given in [template, template.reversed(), template + template.reversed()] {
      let key = try user.create(given)
      var answer: [AttributeAnswer] = []
      for type in types { answer += try user.get(key, type) }
      answers.append(answer)
      #expect(try user.find(given).contains(key))
    }
    #expect(answers[0] == answers[1] && answers[0] == answers[2])
    #expect(answers[0][4] == .value(.bytes(value)))
    #expect(answers[0][14] == .value(.template([.flag(.token, false), .text(.label, "in")])))
  }

  @Test("what may not change says so")
  func readOnlyAttributes() throws {
    let user = try Shared.bench.user(23)
    let key = try user.aes()
    let refused: [[Attribute]] = [
      [.flag(.token, true)], [.flag(.private, false)], [.of(.publicKey)], [.of(.genericSecret)],
      [.number(.valueLen, 16)], [.flag(.local, false)], [.text(.uniqueID, "x")], [.flag(.trusted, true)],
      [.bytes(.value, [UInt8](repeating: 0, count: 32))], [.bytes(.allowedMechanisms, [])],
      [Attribute(.unwrapTemplate, .template([]))], [.flag(.modifiable, false)],
    ]
    for template in refused {
      #expect(
        outcome { () throws(ReturnValue) in try user.set(key, template) } == .attributeReadOnly, "\(template)")
    }
    // Nothing of a template with one wrong entry is done.
    #expect(
      outcome { () throws(ReturnValue) in try user.set(key, [.text(.label, "new"), .flag(.token, true)]) }
        == .attributeReadOnly)
    #expect(try user.bytes(key, .label) == [])
  }

  @Test("MODIFIABLE, COPYABLE and DESTROYABLE are kept")
  func prohibitions() throws {
    let user = try Shared.bench.user(24)
    let fixed = try user.aes([.flag(.modifiable, false)])
    #expect(outcome { () throws(ReturnValue) in try user.set(fixed, [.text(.label, "x")]) } == .actionProhibited)
    let single = try user.aes([.flag(.copyable, false)])
    #expect(outcome { () throws(ReturnValue) in try user.copy(single) } == .actionProhibited)
    let lasting = try user.aes([.flag(.destroyable, false)])
    #expect(outcome { () throws(ReturnValue) in try user.destroy(lasting) } == .actionProhibited)
    let profiles = try user.find([.of(.profile)])
    #expect(profiles.count == 1)
    #expect(outcome { () throws(ReturnValue) in try user.destroy(profiles[0]) } == .actionProhibited)
    #expect(outcome { () throws(ReturnValue) in try user.copy(profiles[0]) } == .actionProhibited)
    #expect(outcome { () throws(ReturnValue) in try user.set(profiles[0], [.text(.label, "x")]) } == .actionProhibited)
  }

  @Test("a copy is as sensitive as its original, and computes the same")
  func copies() throws {
    let user = try Shared.bench.user(25)
    let key = try user.aes([.text(.label, "original")])
    let refused: [Attribute] = [.flag(.sensitive, false), .extractable]
    for attribute in refused {
      #expect(outcome { () throws(ReturnValue) in try user.copy(key, [attribute]) } == .attributeReadOnly)
    }
    #expect(outcome { () throws(ReturnValue) in try user.copy(key, [.flag(.private, false)]) } == .templateInconsistent)
    let copy = try user.copy(key, [.text(.label, "copy"), .of(.secretKey)])
    #expect(try user.bytes(copy, .label) == Array("copy".utf8))
    #expect(try user.bytes(copy, .uniqueID) != user.bytes(key, .uniqueID))
    #expect(try user.isTrue(copy, .neverExtractable))
    let data = [UInt8](0..<16)
    #expect(
      try user.perform(.encrypt, key, Mechanism(.aesECB), data)
        == user.perform(.encrypt, copy, Mechanism(.aesECB), data))
    let loose = try user.aes(Attribute.revealable)
    let hardened = try user.copy(loose, [.flag(.extractable, false)])
    #expect(try !user.isTrue(hardened, .neverExtractable))
    #expect(try user.get(hardened, .value) == [.sensitive])
  }

  @Test("session objects are their client's alone and go with their session")
  func sessionObjects() throws {
    let bench = try TokenBench()
    let first = try bench.user(1)
    let second = try bench.user(2)
    let key = try first.aes([.text(.label, "mine")])
    #expect(try second.find([.text(.label, "mine")]).isEmpty)
    #expect(outcome { () throws(ReturnValue) in try second.get(key, .label) } == .objectHandleInvalid)
    #expect(
      outcome { () throws(ReturnValue) in try second.perform(.encrypt, key, Mechanism(.aesECB), []) }
        == .keyHandleInvalid)
    #expect(outcome { () throws(ReturnValue) in try second.destroy(key) } == .objectHandleInvalid)
    // Another session of the same client sees it; it goes with the session that made it.
    #expect(try first.inSession(2).find([.text(.label, "mine")]) == [key])
    let other = try first.inSession(2).aes([.text(.label, "other")])
    first.close(2)
    #expect(try first.find([.text(.label, "other")]).isEmpty)
    #expect(outcome { () throws(ReturnValue) in try first.get(other, .label) } == .objectHandleInvalid)
    #expect(try first.find([.text(.label, "mine")]) == [key])
    bench.token.clientGone(first.id)
    let again = try bench.user(1)
    #expect(try again.find([.text(.label, "mine")]).isEmpty)
    #expect(try again.aes() != key)
  }

  @Test("searches give all that match and nothing else")
  func searches() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    var handles: [UInt64] = []
    for index in 0..<30 {
      handles.append(
        try user.create([
          .of(.data), .text(.label, "label-\(index % 3)"), .bytes(.value, [UInt8(index)]),
          .flag(.token, index % 2 == 0),
        ]))
    }
    #expect(try user.find([.text(.label, "label-1")]).count == 10)
    #expect(try user.find([.text(.label, "label-1"), .onToken]).count == 5)
    #expect(try user.find([.bytes(.value, [7])]) == [handles[7]])
    #expect(try user.find([.of(.data)]).count == 30)
    #expect(try user.find().count == 31)
    #expect(try user.find([.text(.label, "label")]).isEmpty)
    #expect(try user.find([.number(.class, 0xce53_4353)]).isEmpty)
    #expect(try user.find([.bytes(AttributeType(rawValue: 0xcf53_4301), [1])]).isEmpty)
    try user.set(handles[1], [.text(.label, "renamed")])
    #expect(try user.find([.text(.label, "label-1")]).count == 9)
    #expect(try user.find([.text(.label, "renamed")]) == [handles[1]])
    try user.destroy(handles[4])
    #expect(try user.find([.text(.label, "label-1")]).count == 8)
    #expect(outcome { () throws(ReturnValue) in try user.get(handles[4], .label) } == .objectHandleInvalid)
  }

  @Test("a search is no way to guess a secret value")
  func searchBySecret() throws {
    let user = try Shared.bench.user(26)
    let value = [UInt8](repeating: 5, count: 16)
    let hidden = try user.create(Sample.secretKey(value, .aes, [.text(.label, "hidden")]))
    let open = try user.create(Sample.secretKey(value, .aes, [.text(.label, "open")] + Attribute.revealable))
    #expect(try user.find([.bytes(.value, value)]) == [open])
    #expect(try user.get(open, .value) == [.value(.bytes(value))])
    #expect(try user.get(hidden, .value) == [.sensitive])
  }

  @Test("token objects outlive the secure world")
  func persistence() throws {
    let bench = try TokenBench()
    let user = try bench.user()
    let data = [UInt8](0..<16)
    let key = try user.aes([.onToken, .text(.label, "kept"), .flag(.derive, true)])
    let pair = try user.pair(.ecKeyPairGen, [.bytes(.ecParams, Sample.p256), .onToken], [.onToken])
    let open = try user.create(
      Sample.secretKey([UInt8](repeating: 1, count: 16), .aes, [.onToken, .flag(.private, false)]))
    let session = try user.aes()
    let sealed = try user.perform(.encrypt, key, Mechanism(.aesECB), data)
    let sealedOpen = try user.perform(.encrypt, open, Mechanism(.aesECB), data)
    try user.set(key, [.text(.label, "renamed")])
    try bench.reopen()
    let guest = bench.guest()
    #expect(try guest.find([.text(.label, "renamed")]).isEmpty)
    #expect(try guest.perform(.encrypt, open, Mechanism(.aesECB), data) == sealedOpen)
    let back = try bench.user()
    #expect(try back.find([.text(.label, "renamed")]) == [key])
    #expect(try back.perform(.encrypt, key, Mechanism(.aesECB), data) == sealed)
    #expect(outcome { () throws(ReturnValue) in try back.get(session, .label) } == .objectHandleInvalid)
    #expect(try back.get(key, .value) == [.sensitive])
    let signature = try back.perform(.sign, pair.secret, Mechanism(.ecdsa), [UInt8](repeating: 1, count: 32))
    #expect(
      outcome { () throws(ReturnValue) in
        try back.perform(
          .verify, pair.open, Mechanism(.ecdsa), [UInt8](repeating: 1, count: 32), signature: signature)
      } == .ok)
    let next = try back.aes([.onToken])
    #expect(next > key)
  }

  @Test("a description tells the module what it needs and no more")
  func descriptions() throws {
    let user = try Shared.bench.user(27)
    let key = try user.aes([.bytes(.allowedMechanisms, UInt(MechanismType.aesGCM.rawValue).attributeBytes)])
    let description = try user.describe(key)
    #expect(description.keyType == .aes && description.size == 32 && description.allowedMechanisms == [.aesGCM])
    #expect(description.publicParts.isEmpty)
    #expect(description.usage == [.encrypt, .decrypt, .sign, .verify, .isPrivate])
    let pair = try user.pair(.ecKeyPairGen, [.bytes(.ecParams, Sample.p256)])
    let open = try user.describe(pair.open)
    #expect(open.size == 256 && open.publicParts.count == 2)
    #expect(open.publicParts.last?.count == 65)
    #expect(try user.describe(pair.secret).publicParts.isEmpty)
    let data = try user.create([.of(.data)])
    #expect(throws: ReturnValue.keyHandleInvalid) { try user.describe(data) }
  }

  @Test("a point is taken raw and as DER, and reported as DER; the curve's name is kept as given")
  func points() throws {
    let user = try Shared.bench.user(28)
    let name: [UInt8] = [0x13, 10] + Array("prime256v1".utf8)
    let pair = try user.pair(.ecKeyPairGen, [.bytes(.ecParams, name)])
    #expect(try user.bytes(pair.open, .ecParams) == name)
    #expect(try user.bytes(pair.secret, .ecParams) == name)
    let der = try #require(try user.bytes(pair.open, .ecPoint))
    #expect(der.prefix(3) == [0x04, 0x41, 0x04])
    for point in [der, Array(der.dropFirst(2))] {
      let key = try user.create([
        .of(.publicKey), .of(.ec), .bytes(.ecParams, Sample.p256), .bytes(.ecPoint, point),
      ])
      #expect(try user.bytes(key, .ecPoint) == der)
    }
    for (mechanism, type, oid, curve) in [
      (MechanismType.ecEdwardsKeyPairGen, KeyType.ecEdwards, Sample.ed25519, "edwards25519"),
      (.ecMontgomeryKeyPairGen, .ecMontgomery, Sample.x25519, "curve25519"),
    ] {
      for parameters in [oid, [0x13, UInt8(curve.utf8.count)] + Array(curve.utf8)] {
        let pair = try user.pair(mechanism, [.bytes(.ecParams, parameters)])
        #expect(try user.bytes(pair.open, .ecParams) == parameters)
        let point = try #require(try user.bytes(pair.open, .ecPoint))
        #expect(point.count == 34 && point.prefix(2) == [0x04, 0x20])
        let key = try user.create([
          .of(.publicKey), .of(type), .bytes(.ecParams, parameters), .bytes(.ecPoint, Array(point.dropFirst(2))),
        ])
        #expect(try user.bytes(key, .ecPoint) == point)
      }
    }
  }

  @Test("CKA_PUBLIC_KEY_INFO is computed, the same on both halves, and checked")
  func publicKeyInfo() throws {
    let user = try Shared.bench.user(29)
    let pair = try user.pair(.ecKeyPairGen, [.bytes(.ecParams, Sample.p256)], Attribute.revealable)
    let information = try #require(try user.bytes(pair.open, .publicKeyInfo))
    #expect(information.count == 91)
    #expect(try user.bytes(pair.secret, .publicKeyInfo) == information)
    let value = try #require(try user.bytes(pair.secret, .value))
    var wrong = information
    wrong[90] ^= 1
    let template: [Attribute] = [
      .of(.privateKey), .of(.ec), .bytes(.ecParams, Sample.p256), .bytes(.value, value),
    ]
    #expect(
      outcome { () throws(ReturnValue) in try user.create(template + [.bytes(.publicKeyInfo, wrong)]) }
        == .attributeValueInvalid)
    let imported = try user.create(template + [.bytes(.publicKeyInfo, information)])
    #expect(try user.bytes(imported, .publicKeyInfo) == information)
    #expect(
      outcome { () throws(ReturnValue) in try user.set(imported, [.bytes(.publicKeyInfo, wrong)]) }
        == .attributeValueInvalid)
  }
}
