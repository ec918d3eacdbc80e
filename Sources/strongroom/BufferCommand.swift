import ArgumentParser
import CCryptoki
import Cryptoki
import Foundation

struct BufferCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "buffer", abstract: "Work with restricted buffers.", subcommands: [Probe.self, Decrypt.self])

  struct Probe: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Try to read a restricted buffer through its file descriptor, and print each answer.",
      discussion: "Exit code 0: nothing could be read, written or mapped, and the buffer is still whole.")

    @OptionGroup var options: TokenOptions
    @Option(help: "Bytes of the buffer.") var size: UInt = 65_536
    @Option(help: "What the buffer is for.") var useCase: UseCase = .playback

    func run() throws {
      let session = try options.session(login: .ifPINIsGiven)
      let buffer = try RestrictedBuffer(session, useCase, byteCount: size)
      try buffer.write(Array(repeating: 0x5a, count: Int(min(size, 4096))), at: 0)
      let descriptor = try buffer.export()
      defer { close(descriptor) }
      var proof = Proof()
      for attempt in DescriptorProbe.attempts {
        let (answer, holds) = attempt.body(descriptor)
        proof.report(attempt.name, answer, holds: holds)
      }
      let imported = try RestrictedBuffer(session, importing: descriptor)
      let same = session.number(imported.handle, .valueLen) == size
      proof.report("import of the descriptor", same ? "the buffer of \(size) bytes" : "another size", holds: same)
      try proof.conclude("a restricted buffer cannot be read through its descriptor")
    }
  }

  struct Decrypt: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Decrypt a file into a new restricted buffer, and say how many bytes lie there.")

    @OptionGroup var cipher: CipherOptions
    @Option(help: "What the buffer is for.") var useCase: UseCase = .playback
    @Option(help: "Where in the buffer the plaintext begins.") var offset: UInt = 0

    func run() throws {
      let mechanism = try cipher.parsedMechanism()
      var data = try contents(of: cipher.file)
      let uri = try URI(cipher.key)
      let session = try cipher.options.session(uri)
      let key = try session.findOne(uri, classes: [.privateKey, .secretKey])
      let strongroom = try session.module.strongroom()
      let buffer = try RestrictedBuffer(session, useCase, byteCount: UInt(max(data.count, 1)) + offset)
      var written: CK_ULONG = 0
      let count = CK_ULONG(data.count)
      if data.isEmpty { data = [0] }
      try during(uri.description) {
        try session.call(
          "DecryptIntoInit", mechanism.withMechanism { strongroom.DecryptIntoInit(session.handle, $0, key) })
        try session.call(
          "DecryptInto", strongroom.DecryptInto(session.handle, &data, count, buffer.handle, offset, &written))
      }
      print("\(written) bytes of plaintext lie in a restricted buffer at \(offset); this program cannot read them")
    }
  }
}

/// A restricted buffer that this program holds.
final class RestrictedBuffer {
  let handle: CK_OBJECT_HANDLE
  private let session: Session
  private let strongroom: CK_STRONGROOM_FUNCTION_LIST

  init(_ session: Session, _ useCase: UseCase, byteCount: UInt) throws {
    self.session = session
    let strongroom = try session.module.strongroom()
    self.strongroom = strongroom
    var handle: CK_OBJECT_HANDLE = 0
    try during("a buffer of \(byteCount) bytes for \(useCase.rawValue)") {
      try session.call(
        "AllocateBuffer", strongroom.AllocateBuffer(session.handle, useCase.value, byteCount, 0, &handle))
    }
    self.handle = handle
  }

  /// The buffer that a descriptor stands for.
  init(_ session: Session, importing descriptor: Int32) throws {
    self.session = session
    strongroom = try session.module.strongroom()
    var handle: CK_OBJECT_HANDLE = 0
    try session.call("ImportBuffer", strongroom.ImportBuffer(session.handle, descriptor, &handle))
    self.handle = handle
  }

  /// Adopts a buffer that the module answered.
  init(_ session: Session, adopting handle: CK_OBJECT_HANDLE) throws {
    self.session = session
    self.handle = handle
    strongroom = try session.module.strongroom()
  }

  deinit { _ = session.functions.C_DestroyObject(session.handle, handle) }

  func write(_ bytes: [UInt8], at offset: UInt) throws {
    var bytes = bytes
    try session.call(
      "WriteBuffer", strongroom.WriteBuffer(session.handle, handle, offset, &bytes, CK_ULONG(bytes.count)))
  }

  /// A descriptor of the buffer, which is the caller's to close.
  func export() throws -> Int32 {
    var descriptor: Int32 = -1
    try session.call("ExportBuffer", strongroom.ExportBuffer(session.handle, handle, &descriptor))
    return descriptor
  }
}

/// What a holder may try on the descriptor of a restricted buffer.
enum DescriptorProbe {
  typealias Attempt = (name: String, body: (Int32) -> (answer: String, holds: Bool))

  /// Each answers what came back, and whether no byte of the buffer did.
  static var attempts: [Attempt] {
    [
      ("read", { unblocked($0) { descriptor, buffer in read(descriptor, buffer, 4096) } }),
      ("pread", { unblocked($0) { descriptor, buffer in pread(descriptor, buffer, 4096, 0) } }),
      ("recv", { unblocked($0) { descriptor, buffer in recv(descriptor, buffer, 4096, Int32(MSG_DONTWAIT)) } }),
      ("write", { refused { descriptor in Glibc.write(descriptor, "x", 1) }($0) }),
      ("pwrite", { refused { descriptor in pwrite(descriptor, "x", 1, 0) }($0) }),
      ("mmap, shared, readable", { mapping($0, PROT_READ, MAP_SHARED) }),
      ("mmap, shared, writable", { mapping($0, PROT_READ | PROT_WRITE, MAP_SHARED) }),
      ("mmap, private", { mapping($0, PROT_READ, MAP_PRIVATE) }),
      ("lseek to the end", { refused { descriptor in lseek(descriptor, 0, SEEK_END) }($0) }),
      ("ftruncate", { refused { descriptor in Int(ftruncate(descriptor, 1)) }($0) }),
      ("open of /proc/self/fd/N", { refused { descriptor in Int(open("/proc/self/fd/\(descriptor)", O_RDWR)) }($0) }),
      (
        "sendfile to a file",
        { descriptor in
          guard let file = tmpfile() else { return ("no temporary file", false) }
          defer { fclose(file) }
          return refused { sendfile(fileno(file), $0, nil, 4096) }(descriptor)
        }
      ),
    ]
  }

  private static func answer(_ result: Int, _ code: Int32) -> String {
    result >= 0 ? "\(result)" : "-1 \(names[code] ?? "errno \(code)") (\(String(cString: strerror(code))))"
  }

  private static func refused(_ call: @escaping (Int32) -> Int) -> (Int32) -> (String, Bool) {
    { descriptor in
      let result = call(descriptor)
      let code = errno
      return (answer(result, code), result < 0)
    }
  }

  /// A read, which must neither wait for bytes nor get any.
  private static func unblocked(
    _ descriptor: Int32, _ call: (Int32, UnsafeMutableRawPointer) -> Int
  ) -> (String, Bool) {
    let flags = fcntl(descriptor, F_GETFL)
    _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
    defer { _ = fcntl(descriptor, F_SETFL, flags) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let result = bytes.withUnsafeMutableBytes { call(descriptor, $0.baseAddress!) }
    let code = errno
    return (answer(result, code), result <= 0)
  }

  private static func mapping(_ descriptor: Int32, _ protection: Int32, _ flags: Int32) -> (String, Bool) {
    let address = mmap(nil, 4096, protection, flags, descriptor, 0)
    let code = errno
    guard address == MAP_FAILED else {
      munmap(address, 4096)
      return ("mapped", false)
    }
    return (answer(-1, code), true)
  }

  private static let names: [Int32: String] = [
    EACCES: "EACCES", EAGAIN: "EAGAIN", EBADF: "EBADF", EINVAL: "EINVAL", EIO: "EIO", ENODEV: "ENODEV",
    ENOTCONN: "ENOTCONN", ENOTSUP: "EOPNOTSUPP", ENXIO: "ENXIO", EPERM: "EPERM", EPIPE: "EPIPE", ESPIPE: "ESPIPE",
    ECONNRESET: "ECONNRESET",
  ]
}
