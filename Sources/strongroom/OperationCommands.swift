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

  /// Feeds a file to the operation that has begun: to `whole` where it is short, else piece by piece to `update` and
  /// then to `end`.
  fileprivate func feed<Answer>(
    _ file: InputFile, whole: (UnsafeMutablePointer<CK_BYTE>, CK_ULONG) throws -> Answer,
    update: (UnsafeMutablePointer<CK_BYTE>, CK_ULONG) throws -> Void, end: () throws -> Answer
  ) throws -> Answer {
    let pieceByteCount = 1 << 20
    var piece = try file.next(pieceByteCount)
    if piece.count < pieceByteCount { return try lending(piece, whole) }
    while !piece.isEmpty {
      try lending(piece, update)
      piece = try file.next(pieceByteCount)
    }
    return try end()
  }

  /// Lends input for one call, which does not write to it; never as a null pointer, which has a meaning of its own.
  fileprivate func lending<Answer>(
    _ bytes: [UInt8], _ body: (UnsafeMutablePointer<CK_BYTE>, CK_ULONG) throws -> Answer
  ) rethrows -> Answer {
    let count = CK_ULONG(bytes.count)
    return try (bytes.isEmpty ? [0] : bytes).withUnsafeBufferPointer {
      try body(UnsafeMutablePointer(mutating: $0.baseAddress!), count)
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
    let input = try InputFile(file)
    let module = try options.load()
    let session = try Session(module, try options.slot(in: module))
    let functions = session.functions
    try session.call(
      "C_DigestInit", ParameterizedMechanism.plain(type).withMechanism { functions.C_DigestInit(session.handle, $0) })
    let digest = try session.feed(input) { bytes, count in
      try session.output("C_Digest") { functions.C_Digest(session.handle, bytes, count, $0, $1) }
    } update: {
      try session.call("C_DigestUpdate", functions.C_DigestUpdate(session.handle, $0, $1))
    } end: {
      try session.output("C_DigestFinal") { functions.C_DigestFinal(session.handle, $0, $1) }
    }
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

/// How a signature is made.
struct SignatureOptions: ParsableArguments {
  @OptionGroup var options: TokenOptions
  @Option(help: "The key, a pkcs11: URI.") var key: String
  @Option(help: "How it is signed.") var mechanism: String
  @Flag(help: "The ECDSA signature is in DER, as OpenSSL has it; without this it is r and s side by side.")
  var der = false
  @Argument(help: "The file; default: standard input.") var file: String?

  static let discussion = "Mechanisms: \(ParameterizedMechanism.signing.keys.sorted().joined(separator: ", "))."

  func parsedMechanism() throws -> ParameterizedMechanism {
    if der && !mechanism.hasSuffix("-ecdsa") { throw Failure.usage("--der goes with ECDSA, not with \(mechanism)") }
    return try ParameterizedMechanism.signing.named(mechanism)
  }
}

struct SignCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sign", abstract: "Sign a file with a private or secret key.", discussion: SignatureOptions.discussion)

  @OptionGroup var how: SignatureOptions
  @Option(name: .shortAndLong, help: "The file to write; default: standard output.") var output: String?

  func run() throws {
    let mechanism = try how.parsedMechanism()
    let file = try InputFile(how.file)
    let uri = try URI(how.key)
    let session = try how.options.session(uri)
    let key = try session.findOne(uri, classes: [.privateKey, .secretKey])
    let functions = session.functions
    let signature = try during(uri.description) {
      try session.call("C_SignInit", mechanism.withMechanism { functions.C_SignInit(session.handle, $0, key) })
      return try session.feed(file) { bytes, count in
        try session.output("C_Sign") { functions.C_Sign(session.handle, bytes, count, $0, $1) }
      } update: {
        try session.call("C_SignUpdate", functions.C_SignUpdate(session.handle, $0, $1))
      } end: {
        try session.output("C_SignFinal") { functions.C_SignFinal(session.handle, $0, $1) }
      }
    }
    try write(how.der ? ECDSASignature.der(signature) : signature, to: output)
  }
}

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Verify the signature of a file with a public or secret key.",
    discussion: SignatureOptions.discussion)

  @OptionGroup var how: SignatureOptions
  @Option(help: "The file that holds the signature.") var signature: String

  func run() throws {
    let mechanism = try how.parsedMechanism()
    var given = try contents(of: signature, limit: 65_536)
    let file = try InputFile(how.file)
    let uri = try URI(how.key)
    let session = try how.options.session(uri, login: .ifPINIsGiven)
    let key = try session.findOne(uri, classes: [.publicKey, .secretKey])
    if how.der {
      // An uncompressed point in DER: a head of two or three bytes, 4, and two coordinates as long as r and s.
      let pointByteCount = session.bytes(key, .ecPoint)?.count ?? 0
      guard let plain = ECDSASignature.plain(given, numberByteCount: max(pointByteCount - 3, 0) / 2) else {
        throw Failure("\(signature): not an ECDSA signature in DER of a key like \(uri.description)")
      }
      given = plain
    }
    let functions = session.functions
    let count = CK_ULONG(given.count)
    do {
      try during(uri.description) {
        try session.call("C_VerifyInit", mechanism.withMechanism { functions.C_VerifyInit(session.handle, $0, key) })
        try session.feed(file) {
          try session.call("C_Verify", functions.C_Verify(session.handle, $0, $1, &given, count))
        } update: {
          try session.call("C_VerifyUpdate", functions.C_VerifyUpdate(session.handle, $0, $1))
        } end: {
          try session.call("C_VerifyFinal", functions.C_VerifyFinal(session.handle, &given, count))
        }
      }
    } catch let error as ModuleError where [.signatureInvalid, .signatureLenRange].contains(error.value) {
      throw Failure("\(signature) is not the signature of \(file.name) by \(uri.description) (\(error.value.name))")
    }
    print("\(signature) is the signature of \(file.name) by \(uri.description)")
  }
}

/// A key, a cipher and what it works on.
struct CipherOptions: ParsableArguments {
  @OptionGroup var options: TokenOptions
  @Option(help: "The key, a pkcs11: URI.") var key: String
  @Option(help: "How: aes-gcm, aes-ctr, aes-cbc, aes-cbc-pad, or for RSA keys rsa-oaep-sha256, rsa-pkcs.")
  var mechanism: String
  @Option(help: "The IV, or counter block, in hexadecimal.") var iv: String?
  @Option(help: "Additional authenticated data of aes-gcm, in hexadecimal.") var aad: String = ""
  @Argument(help: "The file, of 1 GiB at most; default: standard input.") var file: String?

  func parsedMechanism() throws -> ParameterizedMechanism {
    let iv = try iv.map { text in
      guard let bytes = bytes(hexadecimal: text) else { throw Failure.usage("--iv \"\(text)\" is not hexadecimal") }
      return bytes
    }
    guard let aad = bytes(hexadecimal: aad) else { throw Failure.usage("--aad \"\(aad)\" is not hexadecimal") }
    return try ParameterizedMechanism.encryption(mechanism, iv: iv, aad: aad)
  }

  /// What the file becomes with a key of one of `classes`: `start` and then `finish`, in one part.
  fileprivate func result(
    _ classes: [ObjectClass], start: (String, KeyPath<CK_FUNCTION_LIST_3_2, CK_C_EncryptInit?>),
    finish: (String, KeyPath<CK_FUNCTION_LIST_3_2, CK_C_Encrypt?>)
  ) throws -> [UInt8] {
    let mechanism = try parsedMechanism()
    let data = try contents(of: file)
    let uri = try URI(key)
    let session = try options.session(uri)
    let key = try session.findOne(uri, classes: classes)
    guard let begin = session.functions[keyPath: start.1], let end = session.functions[keyPath: finish.1] else {
      throw Failure("the module has no \(start.0)")
    }
    return try during(uri.description) {
      try session.call(start.0, mechanism.withMechanism { begin(session.handle, $0, key) })
      return try session.lending(data) { bytes, count in
        try session.output(finish.0) { end(session.handle, bytes, count, $0, $1) }
      }
    }
  }
}

struct EncryptCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "encrypt", abstract: "Encrypt a file.")

  @OptionGroup var cipher: CipherOptions
  @Option(name: .shortAndLong, help: "The file to write; default: standard output.") var output: String?

  func run() throws {
    let sealed = try cipher.result(
      [.publicKey, .secretKey], start: ("C_EncryptInit", \.C_EncryptInit), finish: ("C_Encrypt", \.C_Encrypt))
    try write(sealed, to: output)
  }
}

struct DecryptCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "decrypt", abstract: "Decrypt a file.")

  @OptionGroup var cipher: CipherOptions
  @Option(name: .shortAndLong, help: "The file to write; default: standard output.") var output: String?

  func run() throws {
    let opened = try cipher.result(
      [.privateKey, .secretKey], start: ("C_DecryptInit", \.C_DecryptInit), finish: ("C_Decrypt", \.C_Decrypt))
    try write(opened, to: output)
  }
}
