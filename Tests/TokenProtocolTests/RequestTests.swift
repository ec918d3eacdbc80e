import Cryptoki
import Mechanisms
import Testing
import TokenProtocol
import Wire

@Suite struct RequestTests {
  private static let session = SessionReference(number: 7, isReadWrite: true)

  /// What `request` writes, and what is written again of what was read of it.
  private func again<Request: TokenRequest>(_ request: Request) throws -> ([UInt8], [UInt8]) {
    let first = bytes(request)
    let read = try first.withUnsafeBytes { message in
      var reader = WireReader(message)
      let read = try Request(from: &reader)
      try reader.end()
      return read
    }
    return (first, bytes(read))
  }

  private func bytes<Request: TokenRequest>(_ request: Request) -> [UInt8] {
    var writer = WireWriter()
    request.write(to: &writer)
    return writer.withMessage { [UInt8]($0) }
  }

  @Test("requests are read as they were written, to the last byte")
  func roundTrips() throws {
    let template: Template = [
      Attribute(.label, .bytes([1, 2])), Attribute(.unwrapTemplate, .template([Attribute(.sign, .bytes([1]))])),
    ]
    let login = try again(Login(session: Self.session, userType: .user, pin: [1, 2, 3], contextKey: 9))
    #expect(login.0 == login.1)
    let object = try again(ObjectRequest(session: Self.session, object: 5, template: template))
    #expect(object.0 == object.1)
    let key = try again(MakeKey(session: Self.session, mechanism: Mechanism(.aesKeyGen), template: template))
    #expect(key.0 == key.1)
    let sample = SampleRequest(
      byteCount: 4, iv: ShortBytes([UInt8](0..<16)), place: BufferPlace(buffer: 1, offset: 2),
      subsamples: [(clear: 1, protected: 3)])
    let batch = try again(
      DecryptSamples(
        session: Self.session, key: 3, scheme: 4, cryptBlockCount: 1, skipBlockCount: 9, samples: [sample]))
    #expect(batch.0 == batch.1)
  }

  @Test("a request cut anywhere is malformed, and so is a template whose attributes do not fill it")
  func malformed() throws {
    let whole = bytes(Login(session: Self.session, userType: .user, pin: [1, 2, 3], contextKey: 9))
    for count in 0..<whole.count {
      whole.withUnsafeBytes { message in
        var reader = WireReader(UnsafeRawBufferPointer(rebasing: message[..<count]))
        #expect(throws: WireError.truncated) { try Login(from: &reader) }
      }
    }
    let template = bytes(
      TemplateRequest(
        session: Self.session, template: [Attribute(.label, .bytes([1, 2])), Attribute(.id, .bytes([3]))]))
    // The length of the second value, 9 bytes before the end: one more or one fewer than there is.
    for count in [0, 2] as [UInt8] {
      var wrong = template
      wrong[template.count - 5] = count
      wrong.withUnsafeBytes { message in
        var reader = WireReader(message)
        #expect(throws: WireError.invalid) { try TemplateRequest(from: &reader) }
      }
    }
  }

  @Test("answers are read as they were written, nested templates too, and no other form of them")
  func answers() throws {
    let inner = Template([Attribute(.sign, .bytes([1])), Attribute(.id, .bytes([]))])
    var writer = WireWriter()
    writer.attributeAnswerCount(4)
    let label: [UInt8] = [7, 8]
    label.withUnsafeBytes { writer.attributeAnswer(.bytes($0)) }
    inner.withEntries { writer.attributeAnswer(.template($0)) }
    writer.attributeAnswer(.sensitive)
    writer.attributeAnswer(.absent)
    let message = writer.withMessage { [UInt8]($0) }
    let read = try message.withUnsafeBytes { message in
      var reader = WireReader(message)
      let answers = try reader.attributeAnswers()
      try reader.end()
      return answers
    }
    #expect(
      read == [
        .value(.bytes([7, 8])), .value(.template([Attribute(.sign, .bytes([1])), Attribute(.id, .bytes([]))])),
        .sensitive, .absent,
      ])
    for wrong in [[4], [1, 3, 0, 0, 0, 1, 2, 3]] as [[UInt8]] {
      wrong.withUnsafeBytes { message in
        var reader = WireReader(message)
        #expect(throws: WireError.invalid) { _ = try reader.attributeAnswer() }
      }
    }
  }

  /// Whether a request is read again.
  private func isRead<Request: TokenRequest>(_ request: Request) -> Bool { (try? again(request)) != nil }

  @Test("a list that is longer than any client needs is malformed")
  func longLists() {
    func attributes(_ count: Int) -> [Attribute] {
      (0..<count).map { Attribute(AttributeType(rawValue: 0x1000_0000 + UInt32($0)), .bytes([])) }
    }
    let most = RequestLimits.attributes
    #expect(isRead(TemplateRequest(session: Self.session, template: Template(attributes(most)))))
    #expect(!isRead(TemplateRequest(session: Self.session, template: Template(attributes(most + 1)))))
    // Those of nested templates count with the others.
    for (count, fits) in [(most / 2 - 1, true), (most / 2, false)] {
      let nested = [Attribute(.wrapTemplate, .template(attributes(count)))]
      #expect(isRead(TemplateRequest(session: Self.session, template: Template(nested + nested))) == fits)
    }
    func types(_ count: Int) -> GetAttributes {
      GetAttributes(session: Self.session, object: 1, types: [AttributeType](repeating: .value, count: count))
    }
    #expect(isRead(types(most)) && !isRead(types(most + 1)))
    func closing(_ count: Int) -> CloseSessions {
      CloseSessions(numbers: [UInt32](repeating: 1, count: count), all: false)
    }
    #expect(isRead(closing(RequestLimits.sessions)) && !isRead(closing(RequestLimits.sessions + 1)))
    func cancelling(_ functions: [KeyFunction]) -> CancelOperations {
      CancelOperations(session: Self.session, functions: functions)
    }
    #expect(isRead(cancelling(KeyFunction.allCases)) && !isRead(cancelling(KeyFunction.allCases + [.sign])))
    func batch(_ count: Int) -> DecryptSamples {
      let sample = SampleRequest(
        byteCount: 0, iv: ShortBytes([UInt8](repeating: 0, count: 16)), place: BufferPlace(buffer: 1, offset: 0),
        subsamples: [])
      return DecryptSamples(
        session: Self.session, key: 1, scheme: 1, cryptBlockCount: 0, skipBlockCount: 0,
        samples: [SampleRequest](repeating: sample, count: count))
    }
    #expect(isRead(batch(RequestLimits.samples)) && !isRead(batch(RequestLimits.samples + 1)))
  }

  @Test("a request that carries a secret is wiped where it lies")
  func wiping() {
    func isWiped<Request: SecretRequest>(_ request: Request, _ secret: KeyPath<Request, [UInt8]>) -> Bool {
      var writer = WireWriter()
      request.write(to: &writer)
      let message = writer.withMessage { [UInt8]($0) }
      return message.withUnsafeBytes { bytes in
        var reader = WireReader(bytes)
        guard var read = try? Request(from: &reader) else { return false }
        let before = read[keyPath: secret].withUnsafeBytes { $0 }
        guard !before.isEmpty, before.contains(where: { $0 != 0 }) else { return false }
        read.wipe()
        return read[keyPath: secret].withUnsafeBytes {
          $0.baseAddress == before.baseAddress && !$0.contains { $0 != 0 }
        }
      }
    }
    let session = SessionReference(number: 1, isReadWrite: true)
    let pin = [UInt8](1...200)
    #expect(isWiped(InitializeToken(pin: pin, label: [UInt8](repeating: 32, count: 32)), \.pin))
    #expect(isWiped(InitializePIN(session: session, pin: pin), \.pin))
    #expect(isWiped(SetPIN(session: session, oldPIN: pin, newPIN: pin), \.oldPIN))
    #expect(isWiped(SetPIN(session: session, oldPIN: pin, newPIN: pin), \.newPIN))
    #expect(isWiped(Login(session: session, userType: .user, pin: pin), \.pin))
    let template: Template = [Attribute(.value, .bytes(pin))]
    #expect(isWiped(TemplateRequest(session: session, template: template), \.template.encoded))
  }
}
