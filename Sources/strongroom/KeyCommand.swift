import ArgumentParser
import CCryptoki
import Cryptoki
import Foundation

struct KeyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key", abstract: "Generate, export, unwrap and probe keys.",
    subcommands: [Generate.self, Public.self, Unwrap.self, Probe.self])

  struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Generate a key or key pair in the token.",
      discussion: """
        KIND is one of \(KeySpecification.spellings). The key is private and sensitive, and not extractable unless \
        --extractable says so.
        """)

    @OptionGroup var options: TokenOptions
    @Argument(help: "What to generate.") var kind: String
    @Option(help: "CKA_LABEL of the new key.") var label: String
    @Option(help: "CKA_ID of the new key, in hexadecimal; default: 16 random bytes.") var id: String?
    @Option(
      parsing: .upToNextOption,
      help: "What the key may do, one or several; sign includes verify. Default: what keys of the kind are for.")
    var usage: [KeyUsage] = []
    @Flag(help: "The key may leave the token wrapped by another.") var extractable = false
    @Flag(help: "What the key decrypts goes into restricted buffers only.") var restrictedOutput = false
    @Option(help: "The use-case whose buffers may receive it, and no other; may be repeated.") var useCase: [UseCase] =
      []
    @Flag(
      help: "The key does nothing but unwrap, and what it unwraps is sensitive, unextractable and of restricted output."
    )
    var unwrapOnlyRestricted = false

    func validate() throws {
      if !useCase.isEmpty && !restrictedOutput && !unwrapOnlyRestricted {
        throw ValidationError("--use-case goes with --restricted-output or --unwrap-only-restricted")
      }
      if unwrapOnlyRestricted && !usage.isEmpty {
        throw ValidationError("--unwrap-only-restricted says the usage: --usage does not go with it")
      }
    }

    func run() throws {
      let specification = try KeySpecification(kind)
      if unwrapOnlyRestricted && !specification.unwraps {
        throw Failure.usage("\(kind) cannot unwrap keys: --unwrap-only-restricted goes with rsa and aes")
      }
      let id = try id.map { try ObjectURI.identifier($0) }
      let session = try options.session()
      let identifier = try id ?? session.random(16)
      let useCases = useCase.map(\.value)
      let key = try during("generating \(kind) \"\(label)\"") {
        try specification.generate(
          in: session, usage: unwrapOnlyRestricted ? [.unwrap] : usage.isEmpty ? specification.usage : usage
        ) {
          Template().adding(.token, true).adding(.label, label).adding(.id, identifier)
        } secretAttributes: { template in
          template.adding(.extractable, extractable)
          if restrictedOutput {
            template.adding(.restrictedOutput, true)
            if !useCases.isEmpty { template.adding(.useCases, useCases) }
          }
          if unwrapOnlyRestricted {
            let forced = Template().adding(.restrictedOutput, true).adding(.sensitive, true).adding(.extractable, false)
            if !useCases.isEmpty { forced.adding(.useCases, useCases) }
            template.adding(.unwrapTemplate, forced)
          }
        }
      }
      print(ObjectURI.of(key, in: session))
    }
  }

  struct Public: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write a public key as PEM (SubjectPublicKeyInfo).",
      discussion: "The URI may name the public or the private key.")

    @OptionGroup var options: TokenOptions
    @Argument(help: "The key, a pkcs11: URI.") var uri: String
    @Option(name: .shortAndLong, help: "The file to write; default: standard output.") var output: String?

    func run() throws {
      let uri = try URI(uri)
      let session = try options.session(uri, login: .ifPINIsGiven)
      let found = try session.find(uri, classes: [.publicKey, .privateKey])
      if found.isEmpty { _ = try session.findOne(uri, classes: [.publicKey]) }
      let infos = Set(found.compactMap { session.bytes($0, .publicKeyInfo) }.filter { !$0.isEmpty })
      guard infos.count <= 1 else { throw Failure("\(uri.description) names several keys; add id= or object=") }
      guard let info = infos.first else {
        throw Failure("\(uri.description): the token gives no CKA_PUBLIC_KEY_INFO for it")
      }
      let body = Data(info).base64EncodedString(options: [.lineLength64Characters, .endLineWithLineFeed])
      try write(Array("-----BEGIN PUBLIC KEY-----\n\(body)\n-----END PUBLIC KEY-----\n".utf8), to: output)
    }
  }

  struct Unwrap: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Bring a wrapped AES or generic key into the token.",
      discussion: "Mechanisms: \(ParameterizedMechanism.unwrapping.keys.sorted().joined(separator: ", ")).")

    @OptionGroup var options: TokenOptions
    @Argument(help: "The wrapped key.") var file: String
    @Option(name: .customLong("with"), help: "The private or secret key that unwraps it, a pkcs11: URI.")
    var unwrappingKey: String
    @Option(help: "How it is wrapped.") var mechanism: String
    @Option(help: "CKA_LABEL of the new key.") var label: String
    @Option(help: "CKA_ID of the new key, in hexadecimal.") var id: String = ""
    @Option(help: "The type of the new key: aes or generic.") var type: String = "aes"
    @Option(parsing: .upToNextOption, help: "What the key may do; default: decrypt.") var usage: [KeyUsage] = []
    @Flag(help: "The key may leave the token again.") var extractable = false
    @Flag(help: "What the key decrypts goes into restricted buffers only.") var restrictedOutput = false

    func run() throws {
      let mechanism = try ParameterizedMechanism.unwrapping.named(mechanism)
      guard let keyType = ["aes": KeyType.aes, "generic": .genericSecret][type] else {
        throw Failure.usage("no key type \"\(type)\"; there is aes, generic")
      }
      let id = try ObjectURI.identifier(id)
      let wrapped = try contents(of: file, limit: 1 << 20)
      let uri = try URI(unwrappingKey)
      let session = try options.session(uri)
      let template = Template().adding(.token, true).adding(.label, label)
      if !id.isEmpty { template.adding(.id, id) }
      let key = try WrappedKey.unwrap(
        wrapped, file, with: uri, mechanism, in: session, keyType: keyType, usage: usage.isEmpty ? [.decrypt] : usage,
        extractable: extractable, restrictedOutput: restrictedOutput, template)
      print(ObjectURI.of(key, in: session))
    }
  }
}

/// A content key as a content server sends it.
enum WrappedKey {
  /// Unwraps a key into the token; `template` says where and under which name.
  static func unwrap(
    _ wrapped: [UInt8], _ file: String, with uri: URI, _ mechanism: ParameterizedMechanism, in session: Session,
    keyType: KeyType = .aes, usage: [KeyUsage], extractable: Bool = false, restrictedOutput: Bool, _ template: Template
  ) throws -> CK_OBJECT_HANDLE {
    let unwrapping = try session.findOne(uri, classes: [.privateKey, .secretKey])
    template.adding(.class, ObjectClass.secretKey.rawValue).adding(.keyType, keyType.rawValue)
    template.adding(.private, true).adding(.sensitive, true).adding(.extractable, extractable)
    for use in KeyUsage.allCases {
      if let type = use.attribute(isSecret: true) { template.adding(type, usage.contains(use)) }
    }
    template.adding(.verify, usage.contains(.sign))
    // Only asked for where it is wanted: a token of another make does not know the attribute.
    if restrictedOutput { template.adding(.restrictedOutput, true) }
    return try during("unwrapping \(file) with \(uri.description)") {
      try session.unwrap(wrapped, with: unwrapping, mechanism, template)
    }
  }
}
