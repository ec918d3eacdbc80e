import Foundation
import Glibc
import LinuxSystem
import Synchronization
import Testing
import Wire

@testable import ObjectInvoke

/// The threads that serve clients.
private func threadCount() throws -> Int {
  try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count { thread in
    let name = try? String(contentsOfFile: "/proc/self/task/\(thread)/comm", encoding: .utf8)
    return name == "channel\n" || name == "control\n"
  }
}

/// The open files that carry messages.
private func openFiles() throws -> [String] {
  try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap { number in
    let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(number)")
    guard let target, target.hasPrefix("socket:") || target.hasPrefix("/memfd:") else {
      return nil
    }
    return "\(number) \(target)"
  }.sorted()
}

/// Whether no file is open that was not open then. Other suites open and close theirs meanwhile.
private func noneBeyond(_ before: [String]) -> Bool {
  guard let now = try? openFiles() else { return false }
  return Set(now).isSubset(of: before)
}

private func readsU64(_ answer: borrowing InvokeAnswer) throws -> UInt64 {
  var message = answer.message
  return try message.u64()
}

extension ObjectInvokeTests {
  @Suite("Objects, descriptors, lives")
  struct LifeTests {
    @Test("objects can be added, invoked and released, and mean nothing to another client")
    func objects() throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      let other = try server.connect()
      let id = try readsU64(try client.invoke(ObjectReference.root, Operation.add) { _ in })
      #expect(try readsU64(try client.invoke(id, Operation.echo) { $0.u64(5) }) == 5)
      #expect(throws: InvokeError.refused(EINVAL)) { _ = try other.invoke(id, Operation.echo) { _ in }.result }
      #expect(throws: InvokeError.refused(EINVAL)) {
        _ = try client.invoke(id, ObjectReference.retain) { _ in }.result
      }
      let child = server.rootList.objects.withLock { $0[0] }.children.withLock { $0[0] }
      #expect(child.releasedCount.load(ordering: .relaxed) == 0)
      client.release(id)
      client.release(id)
      client.release(12345)
      #expect(child.releasedCount.load(ordering: .relaxed) == 1)
      #expect(throws: InvokeError.refused(EINVAL)) { _ = try client.invoke(id, Operation.echo) { _ in }.result }
      let again = try readsU64(try client.invoke(ObjectReference.root, Operation.add) { _ in })
      #expect(again != id)
    }

    @Test("the table of objects has a limit, and others have theirs")
    func quota() throws {
      var limits = ServerLimits()
      limits.client.objectCount = 3
      let server = try TestServer(limits: limits)
      defer { server.stop() }
      let client = try server.connect()
      for _ in 0..<2 { _ = try client.invoke(ObjectReference.root, Operation.add) { _ in }.result }
      #expect(throws: InvokeError.refused(ENOMEM)) {
        _ = try client.invoke(ObjectReference.root, Operation.add) { _ in }.result
      }
      let other = try server.connect()
      #expect(try other.invoke(ObjectReference.root, Operation.add) { _ in }.result == 0)
    }

    @Test("memory for long requests, replies and input has a limit, and is given back")
    func memoryQuota() throws {
      var limits = ServerLimits()
      limits.client.privateByteCount = 1 << 20
      let server = try TestServer(limits: limits)
      defer { server.stop() }
      let client = try server.connect()
      for _ in 0..<5 {
        #expect(throws: InvokeError.refused(ENOMEM)) {
          _ = try echoes(client, message: pattern((1 << 20) + 1), input: [])
        }
        // The request is held until the reply is complete.
        #expect(try echoes(client, message: pattern(1 << 19), input: []))
        #expect(throws: InvokeError.refused(EMSGSIZE)) {
          _ = try echoes(client, message: pattern((1 << 19) + 1), input: [])
        }
        let input = pattern((1 << 20) + 1)
        #expect(throws: InvokeError.refused(ENOMEM)) {
          try input.withUnsafeBytes {
            _ = try client.invoke(ObjectReference.root, Operation.readAll, input: InputSegments($0)) {
              $0.u64(1 << 40)
            }.result
          }
        }
        // In place there is no limit; over the control socket all is held in memory.
        #expect(try echoes(client, message: [], input: input))
        #expect(throws: InvokeError.refused(EFBIG)) {
          try input.withUnsafeBytes {
            _ = try client.invokeWithDescriptors(
              ObjectReference.root, Operation.sum, descriptors: [], input: InputSegments($0)
            ) { _ in }.result
          }
        }
        var output = [UInt8](repeating: 0, count: 2 << 20)
        #expect(throws: InvokeError.refused(ENOMEM)) {
          try output.withUnsafeMutableBytes {
            _ = try client.invokeWithDescriptors(
              ObjectReference.root, Operation.produce, descriptors: [], output: $0
            ) { $0.u64(2 << 20) }.result
          }
        }
      }
    }

    @Test("everything of a client is released when it closes")
    func closing() throws {
      let server = try TestServer()
      defer { server.stop() }
      let threads = try threadCount()
      do {
        let client = try server.connect()
        for _ in 0..<5 { _ = try client.invoke(ObjectReference.root, Operation.add) { _ in }.result }
        let root = server.rootList.objects.withLock { $0[0] }
        client.close()
        #expect(becomesTrue { root.releasedCount.load(ordering: .relaxed) == 1 })
        #expect(
          root.children.withLock { $0.allSatisfy { $0.releasedCount.load(ordering: .relaxed) == 1 } })
        #expect(throws: InvokeError.peerGone) {
          _ = try client.invoke(ObjectReference.root, Operation.echo) { _ in }.result
        }
      }
      #expect(becomesTrue { server.server.clientCount == 0 })
      #expect(becomesTrue { ((try? threadCount()) ?? .max) <= threads })
      // Another suite may open something for good meanwhile, but not each time.
      let leavesNothing = try (0..<3).contains { _ in
        let before = try openFiles()
        let client = try server.connect()
        let echoed = try echoes(client, message: [1], input: [2])
        client.close()
        return echoed && becomesTrue(seconds: 5) { noneBeyond(before) }
      }
      #expect(leavesNothing)
    }

    @Test("an invocation in progress when another thread closes the connection says that the other side has gone")
    func closingMeanwhile() throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      #expect(try echoes(client, message: [1], input: [2]))
      let root = server.rootList.objects.withLock { $0[0] }
      try startThread(name: "closer") {
        while !root.hasBegun.load(ordering: .acquiring) { usleep(100) }
        client.close()
      }
      // The server sees the end first and answers, long before the client looks for itself.
      #expect(throws: InvokeError.peerGone) {
        _ = try client.invoke(ObjectReference.root, Operation.outlast) { _ in }.result
      }
    }

    @Test("descriptors travel both ways, with payloads of any length", arguments: [0, 10, 70000, 5 << 20])
    func descriptors(count: Int) throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      let first = try Descriptor.open("/dev/null", O_RDONLY)
      let second = try Descriptor.open("/dev/zero", O_RDONLY)
      var answer = try client.invokeWithDescriptors(
        ObjectReference.root, Operation.descriptors, descriptors: [first.number, second.number]
      ) { _ in }
      #expect(answer.descriptors.count == 2)
      var byte: UInt8 = 9
      let back = answer.descriptors.takeFirst()?.relinquish() ?? -1
      #expect(read(back, &byte, 1) == 1 && byte == 0, "they come back in reverse order")
      close(back)

      let input = pattern(count)
      var output = [UInt8](repeating: 0, count: count)
      let message = pattern(count / 2, seed: 3)
      try input.withUnsafeBytes { source in
        try output.withUnsafeMutableBytes { target in
          let answer = try client.invokeWithDescriptors(
            ObjectReference.root, Operation.echo, descriptors: [], input: InputSegments(source), output: target
          ) { writer in message.withUnsafeBytes { writer.raw($0) } }
          var reader = answer.message
          #expect(try [UInt8](reader.raw(reader.remaining)) == message)
          #expect(answer.outputByteCount == count)
        }
      }
      #expect(output == input)
    }

    @Test("descriptors on a channel's reply, or too many of them, are refused and closed")
    func misplacedDescriptors() throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      let created = try SharedRegion.create(name: "misplaced", byteCount: 4096)
      let file = created.descriptor.number
      #expect(throws: InvokeError.refused(EMFILE)) {
        _ = try client.invokeWithDescriptors(
          ObjectReference.root, Operation.descriptors, descriptors: [Int32](repeating: file, count: 65)
        ) { _ in }.result
      }
      #expect(try openCount(ofMemoryFile: "misplaced") == 1)
      let count = try client.invokeWithDescriptors(
        ObjectReference.root, Operation.descriptors, descriptors: [Int32](repeating: file, count: 64)
      ) { _ in }.descriptors.count
      #expect(count == 64)
      #expect(try becomesTrue { try openCount(ofMemoryFile: "misplaced") == 1 })
    }

    @Test("without a channel to spare, threads share the control socket")
    func withoutChannels() throws {
      var limits = ServerLimits()
      limits.client.channelCount = 1
      let server = try TestServer(limits: limits)
      defer { server.stop() }
      let client = try server.connect()
      let failures = Failures()
      for _ in 0..<4 {
        try startThread(name: "caller") {
          for round in 0..<50 where !((try? echoes(client, message: [1], input: pattern(round * 1000))) ?? false) {
            failures.add()
          }
          failures.finish()
        }
      }
      #expect(becomesTrue { failures.finished == 4 })
      #expect(failures.count == 0)
    }

    @Test("the published memory is there for reading, and shows what the server writes")
    func published() throws {
      let created = try SharedRegion.create(name: "published", byteCount: 4096, published: true)
      let region = created.region
      let server = try TestServer(published: created)
      defer { server.stop() }
      let client = try server.connect()
      region.base.storeBytes(of: 77, as: UInt64.self)
      #expect(client.published?.base.load(as: UInt64.self) == 77)
      #expect(client.published.map { mprotect($0.base, 4096, PROT_READ | PROT_WRITE) } == -1)
    }

    @Test("a client that may not connect gets the reason, and limits of connections hold")
    func admission() throws {
      var limits = ServerLimits()
      limits.clientCountPerUser = 2
      let server = try TestServer(limits: limits)
      defer { server.stop() }
      let first = try server.connect()
      let second = try server.connect()
      #expect(throws: InvokeError.peerGone) { _ = try server.connect() }
      #expect(try echoes(first, message: [1], input: []) && echoes(second, message: [1], input: []))
      second.close()
      #expect(becomesTrue { server.server.clientCount == 1 })
      #expect(try echoes(server.connect(), message: [1], input: []))
    }

    @Test("nobody at the path is told from others")
    func nobody() {
      #expect(throws: InvokeError.notListening(ENOENT)) {
        _ = try InvokeClient(connecting: "/tmp/strongroom-nobody-\(getpid())")
      }
    }

    @Test("the client's user is named as the kernel's TEE subsystem names it")
    func identity() {
      // RFC 3174 test 1, and its second message for the padding of more than one block.
      #expect(sha1(Array("abc".utf8)).hex == "a9993e364706816aba3e25717850c26c9cd0d89d")
      #expect(
        sha1(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)).hex
          == "84983e441c3bd26ebaae4aa1f95129e5e54670f1")
      let root = ClientIdentity(PeerCredentials(pid: 1, uid: 0, gid: 0)).userUUID
      let user = ClientIdentity(PeerCredentials(pid: 1, uid: 1000, gid: 1000))
      #expect(root[6] >> 4 == 5 && root[8] >> 6 == 2)
      #expect(root != user.userUUID && user.userUUID != user.groupUUID)
      // Python: uuid.uuid5(uuid.UUID("58ac9ca0-2086-4683-a1b8-ec4bc08e01b6"), "uid=3e8")
      #expect(user.userUUID.hex == "fc34275cd8dd5ba7968b504718363b87")
    }

    @Test("a server that is idle says so, and one that stops ends its clients' invocations")
    func idleAndStop() throws {
      let start = MonotonicClock.now()
      let server = try TestServer()
      // The first client has its own time; after it the idle time counts.
      server.server.waitUntilIdle(for: 0, firstClient: 50_000_000)
      #expect(MonotonicClock.now() - start >= 50_000_000)
      // The server may see the client's end before this thread goes on.
      let left = MonotonicClock.now()
      do { _ = try server.connect() }
      server.server.waitUntilIdle(for: 30_000_000)
      #expect(MonotonicClock.now() - left >= 30_000_000 && MonotonicClock.now() - left < 8_000_000_000)
      let client = try server.connect()
      #expect(try echoes(client, message: [1], input: []))
      server.stop()
      #expect(throws: InvokeError.peerGone) {
        _ = try client.invoke(ObjectReference.root, Operation.echo) { _ in }.result
      }
      #expect(!client.isConnected)
      #expect(throws: InvokeError.self) { _ = try server.connect() }
    }
  }

  @Suite("Death and fork")
  struct DeathTests {
    /// A server in a child process, and the child's pid.
    private func remoteServer(_ path: String) throws -> Int32 {
      let pid = inChild {
        let server = InvokeServer(listener: try MessageListener(path: path), root: { _ in TestObject() })
        try server.start()
        server.waitUntilIdle(for: nil)
        return 0
      }
      #expect(becomesTrue { access(path, F_OK) == 0 })
      return pid
    }

    private func connect(_ path: String) throws -> InvokeClient {
      for _ in 0..<100 {
        if let client = try? InvokeClient(connecting: path) { return client }
        usleep(5000)
      }
      return try InvokeClient(connecting: path)
    }

    @Test(
      "a server killed in mid-operation is seen at once, whatever the client waits for",
      arguments: [Operation.sleep, Operation.slowSum, Operation.die])
    func serverKilled(operation: UInt32) throws {
      let path = "/tmp/strongroom-kill-\(getpid())-\(operation)"
      defer { unlink(path) }
      let server = try remoteServer(path)
      let client = try connect(path)
      #expect(try echoes(client, message: [1], input: [2]))
      if operation != Operation.die {
        try startThread(name: "killer") {
          usleep(60_000)
          kill(server, SIGKILL)
        }
      }
      let input = pattern(4 << 20)
      // Nobody waits until the sleep has ended: who does not notice the death hangs.
      #expect(throws: InvokeError.peerGone) {
        try input.withUnsafeBytes {
          _ = try client.invoke(ObjectReference.root, operation, input: InputSegments($0)) { $0.u64(4_000_000_000) }
            .result
        }
      }
      #expect(throws: InvokeError.peerGone) {
        _ = try client.invoke(ObjectReference.root, Operation.echo) { _ in }.result
      }
      #expect(throws: InvokeError.peerGone) {
        _ = try client.invokeWithDescriptors(ObjectReference.root, Operation.echo, descriptors: []) { _ in }.result
      }
      _ = status(of: server)
      // The next start takes the path over.
      let next = try remoteServer(path)
      let again = try connect(path)
      #expect(try echoes(again, message: [1], input: [2]))
      kill(next, SIGKILL)
      #expect(status(of: next) == -SIGKILL)
    }

    @Test("a client killed in mid-operation leaves nothing behind, and others go on", arguments: [0, 1, 2])
    func clientKilled(kind: Int) throws {
      let server = try TestServer()
      defer { server.stop() }
      let other = try server.connect()
      #expect(try echoes(other, message: [1], input: [2]))
      let threads = try threadCount()
      let path = server.path
      let input = pattern(8 << 20)
      let pid = inChild {
        let client = try InvokeClient(connecting: path)
        while true {
          switch kind {
          case 0: _ = try echoes(client, message: [1], input: input)
          case 1:
            _ = try input.withUnsafeBytes {
              try client.invoke(ObjectReference.root, Operation.slowSum, input: InputSegments($0)) { _ in }.result
            }
          default: _ = try client.invoke(ObjectReference.root, Operation.sleep) { $0.u64(300_000) }.result
          }
        }
      }
      #expect(becomesTrue { server.server.clientCount == 2 })
      for _ in 0..<20 {
        #expect(try echoes(other, message: [1], input: pattern(1000)))
        usleep(5000)
      }
      kill(pid, SIGKILL)
      #expect(status(of: pid) == -SIGKILL)
      #expect(becomesTrue { server.server.clientCount == 1 })
      #expect(becomesTrue { ((try? threadCount()) ?? .max) <= threads })
      let root = server.rootList.objects.withLock { $0[1] }
      #expect(root.releasedCount.load(ordering: .relaxed) == 1)
      #expect(try echoes(other, message: [1], input: pattern(300_000)))
    }

    @Test("a forked child cannot use its parent's connection, can make its own, and disturbs nothing")
    func fork() throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      #expect(try echoes(client, message: [1], input: pattern(1000)))
      let path = server.path
      let child = inChild {
        client.abandonAfterFork()
        do {
          _ = try client.invoke(ObjectReference.root, Operation.echo) { _ in }.result
          return 1
        } catch InvokeError.peerGone {
        }
        let own = try InvokeClient(connecting: path)
        for round in 0..<100 {
          guard try echoes(own, message: [3], input: pattern(round * 100)) else { return 2 }
        }
        return 0
      }
      for round in 0..<200 { #expect(try echoes(client, message: [2], input: pattern(round * 50))) }
      #expect(status(of: child) == 0)
      #expect(becomesTrue { server.server.clientCount == 1 })
      #expect(try echoes(client, message: [1], input: pattern(500_000)))
    }

    @Test("a child that only inherits the descriptors does not keep the dead parent's things")
    func inheritedDescriptor() throws {
      let server = try TestServer()
      defer { server.stop() }
      let path = server.path
      let notes = try MessageSocket.pair()
      let note = notes.far.descriptor.number
      let parent = inChild {
        let client = try InvokeClient(connecting: path)
        guard try echoes(client, message: [1], input: [2]) else { return 1 }
        var child = inChild {
          client.abandonAfterFork()
          while true { pause() }
        }
        return write(note, &child, MemoryLayout<pid_t>.size) == MemoryLayout<pid_t>.size ? 0 : 2
      }
      #expect(status(of: parent) == 0)
      var child: pid_t = 0
      #expect(read(notes.near.descriptor.number, &child, MemoryLayout<pid_t>.size) == MemoryLayout<pid_t>.size)
      #expect(becomesTrue { server.server.clientCount == 0 })
      // The child had them all the time.
      #expect(child > 0 && kill(child, SIGKILL) == 0)
    }
  }
}

/// Counts failures, and threads that have finished.
final class Failures: Sendable {
  private let failed = Atomic<Int>(0)
  private let done = Atomic<Int>(0)
  func add() { failed.wrappingAdd(1, ordering: .relaxed) }
  func finish() { done.wrappingAdd(1, ordering: .releasing) }
  var count: Int { failed.load(ordering: .relaxed) }
  var finished: Int { done.load(ordering: .acquiring) }
}

extension [UInt8] {
  var hex: String { map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() }
}
