import CCryptoki
import CLinux
import Foundation
import Glibc
import LinuxSystem
import Testing

extension ModuleSuite {
  /// Restricted buffers as file descriptors.
  @Suite struct Descriptors {
    let module = InitializedModule()

    @Test("a descriptor cannot be read, written, mapped, sought in, truncated or opened anew, each with its errno")
    func errnos() {
      signal(SIGPIPE, SIG_IGN)
      let session = module.open()
      let buffer = makeBuffer(session, 8192)
      #expect(write(session, buffer, 0, [UInt8](repeating: 7, count: 8192)) == CKR_OK)
      let descriptor = export(session, buffer)
      defer { close(descriptor) }
      var bytes = [UInt8](repeating: 0, count: 64)
      func code(_ result: Int) -> Int32 { result == -1 ? errno : 0 }
      #expect(code(read(descriptor, &bytes, 64)) == EAGAIN)
      #expect(code(pread(descriptor, &bytes, 64, 0)) == ESPIPE)
      #expect(code(recv(descriptor, &bytes, 64, Int32(MSG_PEEK))) == EAGAIN)
      #expect(code(Glibc.write(descriptor, bytes, 64)) == EPIPE)
      #expect(code(pwrite(descriptor, bytes, 64, 0)) == ESPIPE)
      #expect(code(lseek(descriptor, 0, SEEK_END)) == ESPIPE)
      #expect(code(Int(ftruncate(descriptor, 0))) == EINVAL)
      for (protection, flags) in [
        (PROT_READ, MAP_SHARED), (PROT_READ | PROT_WRITE, MAP_SHARED), (PROT_READ, MAP_PRIVATE),
      ] {
        #expect(mmap(nil, 4096, protection, flags, descriptor, 0) == MAP_FAILED)
        #expect(errno == ENODEV)
      }
      #expect(open("/proc/self/fd/\(descriptor)", O_RDONLY) == -1)
      #expect(errno == ENXIO)
      #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
      #expect(bytes.allSatisfy { $0 == 0 })
    }

    @Test("a descriptor imports as the same buffer, however often, and stays the caller's")
    func sameBuffer() {
      let session = module.open()
      let buffer = makeBuffer(session, 100)
      let descriptor = export(session, buffer)
      let (first, one) = importBuffer(session, descriptor)
      let (second, two) = importBuffer(session, descriptor)
      #expect(first == CKR_OK && second == CKR_OK && one != two && one != buffer)
      #expect(p11.C_DestroyObject!(session, buffer) == CKR_OK)
      #expect(write(session, one, 99, [1]) == CKR_OK)
      #expect(p11.C_DestroyObject!(session, one) == CKR_OK)
      #expect(write(session, two, 100, [1]) == CKR_STRONGROOM_OFFSET_RANGE)
      #expect(fcntl(descriptor, F_GETFD) >= 0)
      close(descriptor)
      #expect(write(session, two, 0, [1]) == CKR_OK)
    }

    @Test("a descriptor that was shut down is revoked; handles and other exports of the buffer live on")
    func revoked() {
      let session = module.open()
      let buffer = makeBuffer(session, 100)
      let (revoked, other) = (export(session, buffer), export(session, buffer))
      #expect(shutdown(revoked, Int32(SHUT_RDWR)) == 0)
      #expect(importBuffer(session, revoked) == (CKR_STRONGROOM_BUFFER_REVOKED, 0))
      #expect(importBuffer(session, revoked) == (CKR_STRONGROOM_BUFFER_REVOKED, 0))
      #expect(write(session, buffer, 0, [1]) == CKR_OK)
      #expect(importBuffer(session, other).0 == CKR_OK)
      close(revoked)
      close(other)
    }

    @Test("what is no restricted buffer of this secure world is CKR_STRONGROOM_DESCRIPTOR_INVALID")
    func foreign() throws {
      let session = module.open()
      var pipes: [Int32] = [0, 0]
      var sockets: [Int32] = [0, 0]
      try #require(pipe(&pipes) == 0 && socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0, &sockets) == 0)
      let memory = clinux_memory_file("foreign")
      let file = open("/proc/self/exe", O_RDONLY)
      let path = open("/tmp", 0o10000000 /* O_PATH */ | O_DIRECTORY)
      let inet = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
      for descriptor in pipes + sockets + [memory, file, path, inet] {
        #expect(descriptor >= 0)
        #expect(importBuffer(session, descriptor) == (CKR_STRONGROOM_DESCRIPTOR_INVALID, 0), "\(descriptor)")
        // It was the caller's before and is now.
        #expect(close(descriptor) == 0)
      }
      for descriptor: Int32 in [-1, 1_000_000, .max, .min, file] {
        #expect(importBuffer(session, descriptor) == (CKR_STRONGROOM_DESCRIPTOR_INVALID, 0), "\(descriptor)")
      }
    }

    @Test("another process imports what it is sent and decrypts into it, but cannot read it")
    func acrossProcesses() async {
      await #expect(processExitsWith: .success) {
        signal(SIGPIPE, SIG_IGN)
        guard let pair = try? MessageSocket.pair() else { return require(false, "no socket pair") }
        let child = forkProcess()
        let content = (0..<600).map { UInt8($0 * 7 % 251 + 1) }
        if child == 0 {
          let module = InitializedModule()
          let session = module.openAsUser()
          let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 8)
          guard var message = try? pair.far.receive(into: memory, maximumDescriptors: 1),
            let received = message.descriptors.takeFirst()
          else { return require(false, "no descriptor came") }
          let (result, buffer) = importBuffer(session, received.number)
          require(result == CKR_OK, "ImportBuffer: \(name(result))")
          let key = contentKey(session)
          let mechanism = TestMechanism.aesCTR([UInt8](repeating: 3, count: 16))
          let sealed = mechanism.encrypt(session, key, content)
          require(mechanism.begin(session, restricted(session, key)) == CKR_OK, "DecryptIntoInit")
          let decrypted = decryptInto(session, sealed, buffer, ContentProbe.contentOffset)
          require(decrypted == (CKR_OK, 600), "DecryptInto")
          var bytes = [UInt8](repeating: 0, count: 64)
          require(read(received.number, &bytes, 64) == -1 && errno == EAGAIN, "read")
          require(mmap(nil, 4096, PROT_READ, MAP_SHARED, received.number, 0) == MAP_FAILED, "mmap")
          _exit(0)
        }
        let module = InitializedModule()
        let session = module.openAsUser()
        let probe = ContentProbe(session, capacity: 1000)
        let buffer = makeBuffer(session, probe.bufferByteCount)
        let descriptor = export(session, buffer)
        let sent: Void? = try? withUnsafeBytes(of: UInt8(1)) { try pair.near.send($0, descriptors: [descriptor]) }
        require(sent != nil, "send")
        close(descriptor)
        require(status(of: child) == 0, "the other process failed")
        require(probe.seesOnce(content, in: buffer), "the buffer holds something else")
        _ = pair.far
      }
    }
  }
}
