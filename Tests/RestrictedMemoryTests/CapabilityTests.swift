import Glibc
import LinuxSystem
import RestrictedMemory
import Testing

/// poll(2)'s report on a descriptor, without waiting.
private func events(_ number: Int32) -> Int32 {
  var request = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
  return poll(&request, 1, 0) < 0 ? -1 : Int32(request.revents)
}

private func failure(_ call: () -> Int) -> Int32 {
  errno = 0
  return call() < 0 ? errno : 0
}

@Suite("Restricted buffers as descriptors")
struct CapabilityTests {
  let pools = PoolSet()
  let table: CapabilityTable

  init() throws {
    // A write to a socket that takes none would end the test run.
    signal(SIGPIPE, SIG_IGN)
    table = try CapabilityTable()
  }

  private func allocate() throws -> RestrictedBuffer {
    try pools.pool(for: .secureVideoPlayback).allocate(byteCount: 4096)
  }
  private var bufferCount: Int { (try? pools.pool(for: .secureVideoPlayback).usage.bufferCount) ?? -1 }

  @Test("an exported descriptor can be neither read, written, mapped nor sought in")
  func opaque() throws {
    let descriptor = try table.export(allocate())
    let number = descriptor.number
    var byte: UInt8 = 0
    #expect(failure { read(number, &byte, 1) } == EAGAIN)
    #expect(failure { pread(number, &byte, 1, 0) } == ESPIPE)
    #expect(failure { write(number, &byte, 1) } == EPIPE)
    #expect(failure { lseek(number, 0, SEEK_END) } == ESPIPE)
    for (protection, flags) in [(PROT_READ, MAP_SHARED), (PROT_READ, MAP_PRIVATE), (PROT_WRITE, MAP_SHARED)] {
      errno = 0
      #expect(mmap(nil, 4096, protection, flags, number, 0) == MAP_FAILED)
      #expect(errno == ENODEV)
    }
    #expect(failure { Int(ftruncate(number, 0)) } == EINVAL)
    let reopened = open("/proc/self/fd/\(number)", O_RDWR)
    #expect(reopened == -1 && errno == ENXIO)
    #expect(try table.buffer(of: descriptor).byteCount == 4096)
  }

  @Test("a duplicate names the same buffer; another export is another descriptor of it")
  func identity() throws {
    let buffer = try allocate()
    let first = try table.export(buffer)
    let second = try table.export(buffer)
    let duplicate = try first.duplicate()
    #expect(try table.buffer(of: duplicate) === buffer)
    #expect(try table.buffer(of: second) === buffer)
    #expect(table.count == 2)
  }

  @Test("the last close frees the buffer")
  func lastClose() throws {
    var descriptor: Descriptor? = try table.export(allocate())
    var duplicate: Descriptor? = try descriptor?.duplicate()
    #expect(events(table.eventNumber) == 0)
    descriptor = nil
    table.collect()
    #expect(bufferCount == 1)
    try #require(duplicate?.number ?? -1 >= 0)
    duplicate = nil
    #expect(events(table.eventNumber) == POLLIN)
    table.collect()
    #expect(bufferCount == 0)
    #expect(events(table.eventNumber) == 0)
    #expect(table.count == 0)
  }

  @Test("an object handle keeps the buffer after its descriptors are closed")
  func handle() throws {
    var buffer: RestrictedBuffer? = try allocate()
    do { _ = try table.export(#require(buffer)) }
    table.collect()
    #expect(bufferCount == 1)
    #expect(buffer != nil)
    buffer = nil
    #expect(bufferCount == 0)
  }

  @Test("a holder that is killed lets go of the buffer")
  func killedHolder() throws {
    let child: ChildProcess
    do {
      let descriptor = try table.export(allocate())
      child = try spawnChild(
        executable: "/bin/sleep", arguments: ["sleep", "60"], environment: [], descriptors: [descriptor.number])
    }
    table.collect()
    #expect(bufferCount == 1)
    child.signal(SIGKILL)
    #expect(child.wait() == .killed(signal: SIGKILL))
    #expect(try waitForEvents(table.eventNumber, .readable, timeout: 5_000_000_000) == .readable)
    table.collect()
    #expect(bufferCount == 0)
  }

  @Test("a descriptor in flight keeps the buffer, and dies with its carrier")
  func inFlight() throws {
    do {
      let carrier = try MessageSocket.pair()
      do {
        let descriptor = try table.export(allocate())
        try withUnsafeBytes(of: UInt8(1)) { try carrier.near.send($0, descriptors: [descriptor.number]) }
      }
      table.collect()
      #expect(bufferCount == 1)
    }
    #expect(try waitForEvents(table.eventNumber, .readable, timeout: 5_000_000_000) == .readable)
    table.collect()
    #expect(bufferCount == 0)
  }

  @Test("descriptors of other kinds are foreign")
  func foreign() throws {
    _ = try table.export(allocate())
    var pipes: [Int32] = [-1, -1]
    #expect(pipe(&pipes) == 0)
    let pipeEnd = Descriptor(adopting: pipes[0])
    let otherEnd = Descriptor(adopting: pipes[1])
    #expect(throws: RestrictedMemoryError.foreignDescriptor) { try table.buffer(of: pipeEnd) }
    #expect(throws: RestrictedMemoryError.foreignDescriptor) { try table.buffer(of: otherEnd) }
    let sockets = try MessageSocket.pair()
    #expect(throws: RestrictedMemoryError.foreignDescriptor) { try table.buffer(of: sockets.near.descriptor) }
    let memory = try SharedRegion.create(name: "foreign", byteCount: 4096)
    #expect(throws: RestrictedMemoryError.foreignDescriptor) { try table.buffer(of: memory.descriptor) }
    let file = try Descriptor.open("/dev/null", O_RDWR)
    #expect(throws: RestrictedMemoryError.foreignDescriptor) { try table.buffer(of: file) }
    let other = try CapabilityTable()
    let elsewhere = try other.export(allocate())
    #expect(throws: RestrictedMemoryError.foreignDescriptor) { try table.buffer(of: elsewhere) }
  }

  @Test(
    "a descriptor that a holder shut down is revoked for all holders of it, and for no other export",
    arguments: [
      Int32(SHUT_RD), Int32(SHUT_RDWR),
    ])
  func revoked(_ how: Int32) throws {
    let buffer = try allocate()
    let descriptor = try table.export(buffer)
    let duplicate = try descriptor.duplicate()
    let other = try table.export(buffer)
    #expect(shutdown(duplicate.number, how) == 0)
    #expect(throws: RestrictedMemoryError.revoked) { try table.buffer(of: descriptor) }
    table.collect()
    #expect(throws: RestrictedMemoryError.revoked) { try table.buffer(of: descriptor) }
    #expect(try table.buffer(of: other) === buffer)
    #expect(events(table.eventNumber) == 0)
  }

  @Test("as many descriptors as the table has room for, and one more when one has died")
  func limit() throws {
    let small = try CapabilityTable(limit: 1)
    let buffer = try allocate()
    do {
      let first = try small.export(buffer)
      #expect(throws: RestrictedMemoryError.tooManyDescriptors) { _ = try small.export(buffer) }
      #expect(first.number >= 0)
    }
    _ = try small.export(buffer)
  }
}

@Suite("Completion descriptors")
struct CompletionDescriptorTests {
  init() { signal(SIGPIPE, SIG_IGN) }

  private func take(_ end: CompletionDescriptor.ClientEnd) throws -> Descriptor {
    guard let descriptor = end.take() else { throw SystemError("take", EBADF) }
    return descriptor
  }

  @Test("nothing shows while the operation runs, and success is POLLIN alone")
  func success() throws {
    let (operation, end) = try CompletionDescriptor.make()
    let client = try take(end)
    #expect(events(client.number) == 0)
    operation.succeed()
    #expect(events(client.number) & (POLLIN | POLLERR) == POLLIN)
    var record = [UInt8](repeating: 0xFF, count: 64)
    #expect(read(client.number, &record, 64) == CompletionDescriptor.doneRecord.count)
    #expect(Array(record.prefix(8)) == CompletionDescriptor.doneRecord)
    operation.fail()
    #expect(events(client.number) & POLLERR == 0)
  }

  @Test("failure is POLLIN with POLLERR, and no data")
  func failed() throws {
    let (operation, end) = try CompletionDescriptor.make()
    let client = try take(end)
    operation.fail()
    #expect(events(client.number) & (POLLIN | POLLERR) == POLLIN | POLLERR)
    var byte: UInt8 = 0
    #expect(failure { read(client.number, &byte, 1) } == ECONNRESET)
    operation.succeed()
    #expect(read(client.number, &byte, 1) == 0)
  }

  @Test("an operation that is let go of has failed")
  func dropped() throws {
    let client: Descriptor
    do { client = try take(CompletionDescriptor.make().client) }
    #expect(events(client.number) & POLLERR == POLLERR)
  }

  @Test("a waiting poller wakes", arguments: [true, false])
  func wakes(_ succeeds: Bool) throws {
    let (operation, end) = try CompletionDescriptor.make()
    let client = try take(end)
    let thread = try startThread(name: "operation") {
      usleep(20_000)
      if succeeds { operation.succeed() } else { operation.fail() }
    }
    let seen = try waitForEvents(client.number, .readable, timeout: 5_000_000_000)
    thread.join()
    #expect(seen.contains(.readable))
    #expect(seen.contains(.error) == !succeeds)
  }

  @Test("a client cannot write to it or map it")
  func opaque() throws {
    let (operation, end) = try CompletionDescriptor.make()
    let client = try take(end)
    var byte: UInt8 = 0
    #expect(failure { read(client.number, &byte, 1) } == EAGAIN)
    #expect(failure { write(client.number, &byte, 1) } == EPIPE)
    #expect(mmap(nil, 4096, PROT_READ, MAP_SHARED, client.number, 0) == MAP_FAILED)
    withExtendedLifetime(operation) {}
  }
}
