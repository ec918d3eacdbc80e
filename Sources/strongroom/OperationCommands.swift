import ArgumentParser
import CCryptoki
import Cryptoki
import Foundation

extension Session {
  /// Random bytes from the token.
  func random(_ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    try call("C_GenerateRandom", functions.C_GenerateRandom(handle, &bytes, CK_ULONG(count)))
    return bytes
  }

  /// One operation in one part: `start` and then `finish`, which is asked for the length first.
  fileprivate func operation(
    _ mechanism: ParameterizedMechanism, _ key: CK_OBJECT_HANDLE, _ data: [UInt8],
    _ start: (name: String, function: CK_C_EncryptInit?), _ finish: (name: String, function: CK_C_Encrypt?)
  ) throws -> [UInt8] {
    guard let begin = start.function, let complete = finish.function else {
      throw Failure("the module has no \(start.name)")
    }
    try call(start.name, mechanism.withMechanism { begin(handle, $0, key) })
    var data = data
    let count = CK_ULONG(data.count)
    return try data.withUnsafeMutableBufferPointer { buffer in
      var none: CK_BYTE = 0
      return try withUnsafeMutablePointer(to: &none) { empty in
        try output(finish.name) { complete(handle, buffer.baseAddress ?? empty, count, $0, $1) }
      }
    }
  }
}

struct DigestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "digest", abstract: "Hash a file.",
    discussion: "Digests: \(ParameterizedMechanism.digests.keys.sorted().joined(separator: ", ")).")

  @OptionGroup var options: TokenOptions
  @Option(help: "The digest.") var mechanism = "sha256"
  @Argument(help: "The file; default: standard input.") var file: String?

  func run() throws {
    guard let type = ParameterizedMechanism.digests[mechanism] else {
      throw Failure.usage(
        "no digest \"\(mechanism)\"; there is \(ParameterizedMechanism.digests.keys.sorted().joined(separator: ", "))")
    }
    var data = try input(file)
    let module = try options.load()
    let session = try Session(module, try options.slot(in: module))
    try session.call(
      "C_DigestInit",
      ParameterizedMechanism.plain(type).withMechanism { session.functions.C_DigestInit(session.handle, $0) })
    let count = CK_ULONG(data.count)
    if data.isEmpty { data = [0] }
    let digest = try session.output("C_Digest") { session.functions.C_Digest(session.handle, &data, count, $0, $1) }
    print("\(hexadecimal(digest))  \(file ?? "-")")
  }
}

struct RandomCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "random", abstract: "Print random bytes from the token in hexadecimal.")

  @OptionGroup var options: TokenOptions
  @Argument(help: "How many bytes.") var count: Int

  func run() throws {
    guard (1...1_048_576).contains(count) else { throw Failure.usage("\(count): 1 to 1048576 bytes at a time") }
    let module = try options.load()
    print(hexadecimal(try Session(module, try options.slot(in: module)).random(count)))
  }
}

struct SignCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sign", abstract: "Sign a file with a private or secret key.",
    discussion: "Mechanisms: \(ParameterizedMechanism.signing.keys.sorted().joined(separator: ", ")).")

  @OptionGroup var options: TokenOptions
  @Option(help: "The key, a pkcs11: URI.") var key: String
  @Option(help: "How to sign.") var mechanism: String
  @Option(name: .shortAndLong, help: "The file to write; default: standard output.") var output: String?
  @Argument(help: "The file; default: standard input.") var file: String?

  func run() throws {
    let mechanism = try ParameterizedMechanism.signing.named(mechanism)
    let data = try input(file)
    let uri = try URI(key)
    let session = try options.session(uri)
    let key = try session.findOne(uri, classes: [.privateKey, .secretKey])
    let signature = try during(uri.description) {
      try session.operation(
        mechanism, key, data, ("C_SignInit", session.functions.C_SignInit), ("C_Sign", session.functions.C_Sign))
    }
    try write(signature, to: output)
  }
}

struct CipherOptions: ParsableArguments {
  @OptionGroup var options: TokenOptions
  @Option(help: "The key, a pkcs11: URI.") var key: String
  @Option(help: "How: aes-gcm, aes-ctr, aes-cbc, aes-cbc-pad, or for RSA keys rsa-oaep-sha256, rsa-pkcs.")
  var mechanism: String
  @Option(help: "The IV, or counter block, in hexadecimal.") var iv: String?
  @Option(help: "Additional authenticated data of aes-gcm, in hexadecimal.") var aad: String = ""
  @Option(name: .shortAndLong, help: "The file to write; default: standard output.") var output: String?
  @Argument(help: "The file; default: standard input.") var file: String?

  func parsedMechanism() throws -> ParameterizedMechanism {
    let iv = try iv.map { text in
      guard let bytes = bytes(hexadecimal: text) else { throw Failure.usage("--iv \"\(text)\" is not hexadecimal") }
      return bytes
    }
    guard let aad = bytes(hexadecimal: aad) else { throw Failure.usage("--aad \"\(aad)\" is not hexadecimal") }
    return try ParameterizedMechanism.encryption(mechanism, iv: iv, aad: aad)
  }
}

struct EncryptCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "encrypt", abstract: "Encrypt a file.")

  @OptionGroup var cipher: CipherOptions

  func run() throws {
    let mechanism = try cipher.parsedMechanism()
    let data = try input(cipher.file)
    let uri = try URI(cipher.key)
    let session = try cipher.options.session(uri)
    let key = try session.findOne(uri, classes: [.publicKey, .secretKey])
    let result = try during(uri.description) {
      try session.operation(
        mechanism, key, data, ("C_EncryptInit", session.functions.C_EncryptInit),
        ("C_Encrypt", session.functions.C_Encrypt))
    }
    try write(result, to: cipher.output)
  }
}

struct DecryptCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "decrypt", abstract: "Decrypt a file.")

  @OptionGroup var cipher: CipherOptions

  func run() throws {
    let mechanism = try cipher.parsedMechanism()
    let data = try input(cipher.file)
    let uri = try URI(cipher.key)
    let session = try cipher.options.session(uri)
    let key = try session.findOne(uri, classes: [.privateKey, .secretKey])
    let result = try during(uri.description) {
      try session.operation(
        mechanism, key, data, ("C_DecryptInit", session.functions.C_DecryptInit),
        ("C_Decrypt", session.functions.C_Decrypt))
    }
    try write(result, to: cipher.output)
  }
}
