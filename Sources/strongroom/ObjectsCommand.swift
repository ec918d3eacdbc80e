import ArgumentParser
import CCryptoki
import Cryptoki
import Foundation

struct ObjectsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "objects", abstract: "List, show and delete objects.",
    subcommands: [List.self, Show.self, Delete.self], defaultSubcommand: List.self)

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List objects; without a PIN the public ones.")

    @OptionGroup var options: TokenOptions
    @Argument(help: "Which objects, a pkcs11: URI; default: all.") var uri: String?

    func run() throws {
      let uri = try uri.map { try URI($0) }
      let session = try options.session(uri, login: .ifPINIsGiven)
      for object in try uri.map({ try session.find($0) }) ?? session.find(Template()) {
        let kind = ObjectText.kind(of: object, in: session)
        print(
          kind.padding(toLength: max(kind.count, 24), withPad: " ", startingAt: 0), ObjectURI.of(object, in: session))
      }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show every attribute of the objects that a URI names.")

    @OptionGroup var options: TokenOptions
    @Argument(help: "Which objects, a pkcs11: URI.") var uri: String

    func run() throws {
      let uri = try URI(uri)
      let session = try options.session(uri, login: .ifPINIsGiven)
      let found = try session.find(uri)
      if found.isEmpty { _ = try session.findOne(uri, classes: []) }
      let types = AttributeType.namedValues.map(\.value) + [.restrictedOutput, .useCases, .useCase]
      for object in found {
        print(ObjectURI.of(object, in: session))
        for type in types where type != .vendorDefined {
          let name = type.strongroomName.padding(
            toLength: max(type.strongroomName.count, 36), withPad: " ", startingAt: 0)
          switch session.attribute(object, type) {
          case .success(let value): print("  \(name) \(ObjectText.text(value, of: type))")
          case .failure(.attributeSensitive): print("  \(name) (does not leave the token)")
          case .failure(.attributeTypeInvalid): continue
          case .failure(let answer): print("  \(name) \(answer.strongroomName)")
          }
        }
      }
    }
  }

  struct Delete: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Delete the object that a URI names, or with --all every one of them.")

    @OptionGroup var options: TokenOptions
    @Argument(help: "Which objects, a pkcs11: URI.") var uri: String
    @Flag(help: "Delete all objects that the URI names.") var all = false

    func run() throws {
      let uri = try URI(uri)
      let session = try options.session(uri)
      var found = try session.find(uri)
      if found.isEmpty || (!all && found.count > 1) {
        guard found.count > 1 else { _ = try session.findOne(uri, classes: []); return }
        found.forEach { complain("  \(ObjectURI.of($0, in: session))") }
        throw Failure.usage("\(uri.description) names \(found.count) objects; --all deletes them all")
      }
      // "All" is not meant to fail at what no client can delete, the token's profile for one.
      let destroyable = found.filter { session.flag($0, .destroyable) != false }
      if all && !destroyable.isEmpty { found = destroyable }
      found.reverse()
      for object in found {
        let name = ObjectURI.of(object, in: session)
        try during(name) {
          try session.call("C_DestroyObject", session.functions.C_DestroyObject(session.handle, object))
        }
        print("deleted \(name)")
      }
    }
  }
}

/// Objects and attributes in words.
enum ObjectText {
  /// What an object is: "private key RSA", "certificate".
  static func kind(of object: CK_OBJECT_HANDLE, in session: Session) -> String {
    guard let number = session.number(object, .class) else { return "object" }
    let names: [ObjectClass: String] = [
      .data: "data", .certificate: "certificate", .publicKey: "public key", .privateKey: "private key",
      .secretKey: "secret key", .profile: "profile", .mechanism: "mechanism", .validation: "validation",
      ObjectClass(rawValue: CKO_STRONGROOM_BUFFER): "restricted buffer",
    ]
    let name = names[ObjectClass(rawValue: number)] ?? ObjectClass(rawValue: number).name
    guard let type = session.number(object, .keyType) else { return name }
    let key = KeyType(rawValue: type).name.replacingOccurrences(of: "CKK_", with: "")
    if let bits = session.number(object, .modulusBits) { return "\(name) \(key) \(bits)" }
    if let count = session.number(object, .valueLen) { return "\(name) \(key) \(count * 8)" }
    return "\(name) \(key)"
  }

  private static let texts: Set<AttributeType> = [.label, .application, .url, .uniqueID]

  /// The value of an attribute as a person reads it.
  static func text(_ value: [UInt8], of type: AttributeType) -> String {
    if texts.contains(type), let text = String(validating: value, as: UTF8.self) { return "\"\(text)\"" }
    if type.isArray && !type.isVendorDefined && type != .allowedMechanisms {
      return "\(value.count / MemoryLayout<CK_ATTRIBUTE>.size) attributes"
    }
    let numbers = stride(from: 0, to: value.count - 7, by: 8).map { offset in
      value.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt.self) }
    }
    switch type {
    case .class: return numbers.first.map { ObjectClass(rawValue: $0).name } ?? ""
    case .keyType: return numbers.first.map { KeyType(rawValue: $0).name } ?? ""
    case .certificateType: return numbers.first.map { CertificateType(rawValue: $0).name } ?? ""
    case .keyGenMechanism, .allowedMechanisms:
      return numbers.map { number in
        UInt32(exactly: number).map { MechanismType(rawValue: $0).name } ?? "none"
      }.joined(separator: " ")
    case .useCases, .useCase:
      return numbers.map { number in
        UseCase.allCases.first { $0.value == number }?.rawValue ?? String(number)
      }.joined(separator: " ")
    case .profileID, .valueLen, .modulusBits, .primeBits, .subprimeBits, .valueBits:
      return numbers.first.map { "\($0)" } ?? ""
    default: break
    }
    if flags.contains(type), value.count == 1 { return value[0] == 0 ? "false" : "true" }
    if value.count <= 64 { return hexadecimal(value) }
    return hexadecimal(value.prefix(64)) + "... (\(value.count) bytes)"
  }

  private static let flags: Set<AttributeType> = [
    .token, .private, .sensitive, .encrypt, .decrypt, .wrap, .unwrap, .sign, .signRecover, .verify, .verifyRecover,
    .derive, .extractable, .local, .neverExtractable, .alwaysSensitive, .modifiable, .copyable, .destroyable,
    .alwaysAuthenticate, .wrapWithTrusted, .trusted, .encapsulate, .decapsulate, .restrictedOutput,
  ]
}
