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
    let template = [
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

  @Test("a request cut anywhere is malformed, and so is a template within templates within templates")
  func malformed() throws {
    let whole = bytes(Login(session: Self.session, userType: .user, pin: [1, 2, 3], contextKey: 9))
    for count in 0..<whole.count {
      whole.withUnsafeBytes { message in
        var reader = WireReader(UnsafeRawBufferPointer(rebasing: message[..<count]))
        #expect(throws: WireError.truncated) { try Login(from: &reader) }
      }
    }
    var nested = [Attribute(.label, .bytes([]))]
    for _ in 0..<4 { nested = [Attribute(.unwrapTemplate, .template(nested))] }
    let deep = bytes(TemplateRequest(session: Self.session, template: nested))
    deep.withUnsafeBytes { message in
      var reader = WireReader(message)
      #expect(throws: WireError.invalid) { try TemplateRequest(from: &reader) }
    }
  }
}
