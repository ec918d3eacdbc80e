import Glibc
import LinuxSystem
import RestrictedMemory
import Testing

private let page = Int(getpagesize())

@Suite("Pools")
struct PoolTests {
  @Test("an exhausted pool refuses, and no other pool notices")
  func exhaustion() throws {
    let pools = PoolSet([
      .secureVideoPlayback: .fixed(byteCount: 4 * page), .trustedUI: .fixed(byteCount: page),
    ])
    let playback = try pools.pool(for: .secureVideoPlayback)
    let first = try playback.allocate(byteCount: UInt64(3 * page))
    #expect(throws: RestrictedMemoryError.exhausted) { try playback.allocate(byteCount: UInt64(page + 1)) }
    let second = try playback.allocate(byteCount: 1)
    #expect(throws: RestrictedMemoryError.exhausted) { try playback.allocate(byteCount: 1) }
    let usage = playback.usage
    #expect((usage.used, usage.lent, usage.capacity, usage.bufferCount) == (4 * page, 4 * page, 4 * page, 2))
    _ = try pools.pool(for: .trustedUI).allocate(byteCount: UInt64(page))
    withExtendedLifetime((first, second)) {}
  }

  @Test(
    "sizes that no pool has are refused without arithmetic going wrong",
    arguments: [
      UInt64.max, UInt64.max - 1, UInt64(Int.max), UInt64(Int.max) + 1, UInt64(1) << 62, UInt64(Int.max) - 4095,
    ])
  func hugeSizes(_ size: UInt64) throws {
    let pool = try PoolSet().pool(for: .secureVideoPlayback)
    let error = #expect(throws: RestrictedMemoryError.self) { try pool.allocate(byteCount: size) }
    #expect(error == .size || error == .exhausted)
    #expect(pool.usage.used == 0 && pool.usage.bufferCount == 0)
  }

  @Test("zero bytes are refused, and so is a use-case without a pool")
  func nothing() throws {
    #expect(throws: RestrictedMemoryError.size) {
      try PoolSet().pool(for: .keyMaterial).allocate(byteCount: 0)
    }
    #expect(throws: RestrictedMemoryError.noPool(.trustedUI)) {
      try PoolSet([:]).pool(for: .trustedUI)
    }
  }

  @Test("a dynamic pool borrows in steps up to its limit, and gives all back with the last buffer")
  func dynamic() throws {
    let pool = try PoolSet([.secureVideoRecording: .dynamic(step: 4 * page, limit: 6 * page)])
      .pool(for: .secureVideoRecording)
    #expect(pool.usage.lent == 0)
    var buffers = [try pool.allocate(byteCount: 1)]
    #expect(pool.usage.lent == 4 * page)
    buffers.append(try pool.allocate(byteCount: UInt64(5 * page)))
    #expect(pool.usage.lent == 6 * page)
    #expect(throws: RestrictedMemoryError.exhausted) { try pool.allocate(byteCount: 1) }
    buffers.removeLast()
    #expect(pool.usage.lent == 6 * page)
    buffers.removeAll()
    let usage = pool.usage
    #expect((usage.used, usage.lent, usage.capacity, usage.bufferCount) == (0, 0, 6 * page, 0))
  }

  @Test("a released buffer's pages are zero, even for one who still maps them", arguments: [0, 1 << 20])
  func zeroedOnRelease(_ secretByteCount: Int) throws {
    let pools = PoolSet(secretByteCount: secretByteCount)
    let pool = try pools.pool(for: .secureVideoPlayback)
    var buffer: RestrictedBuffer? = try pool.allocate(byteCount: 10_000)
    if secretByteCount == 0 { #expect(buffer?.isSecretMemory == false) }
    let secret = [UInt8](repeating: 0xA5, count: 10_000)
    try secret.withUnsafeBytes { try buffer?.write($0, at: 0, by: .cryptoEngine) }
    let mapping = try #require(
      try buffer?.withMemoryDescriptor(for: .decoder, .read) { number in
        mmap(nil, 3 * page, PROT_READ, MAP_SHARED, number, 0)
      })
    try #require(mapping != MAP_FAILED)
    defer { munmap(mapping, 3 * page) }
    let bytes = UnsafeRawBufferPointer(start: mapping, count: 3 * page)
    #expect(bytes[..<10_000].allSatisfy { $0 == 0xA5 })
    buffer = nil
    #expect(bytes.allSatisfy { $0 == 0 })
    #expect(pool.usage.used == 0)
  }

  @Test("secret memory leaves half of the lockable memory to keys")
  func standardSecretBudget() {
    var limit = rlimit()
    #expect(getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit) == 0)
    #expect(UInt64(2 * PoolSet.standardSecretByteCount) <= max(limit.rlim_cur, 0))
    #expect(PoolSet.standardSecretByteCount > 0 || limit.rlim_cur < 2)
  }

  @Test("secret memory is given back to the budget")
  func secretBudget() throws {
    let pools = PoolSet(secretByteCount: page)
    let pool = try pools.pool(for: .secureVideoPlayback)
    for _ in 0..<3 {
      let first = try pool.allocate(byteCount: 1)
      let second = try pool.allocate(byteCount: 1)
      // A kernel without secret memory has neither; with it the budget is for one.
      #expect(!second.isSecretMemory)
      withExtendedLifetime(first) {}
    }
  }
}

@Suite("Restricted buffers")
struct RestrictedBufferTests {
  @Test(
    "ranges that reach outside are refused",
    arguments: [
      (UInt64(4999), UInt64(2), RestrictedMemoryError.tooSmall), (4999, 5000, .tooSmall), (5000, 1, .offsetPastEnd),
      (5000, 4096, .offsetPastEnd), (2, .max, .tooSmall), (.max, 2, .offsetPastEnd), (.max, 0, .offsetPastEnd),
      (5001, 0, .offsetPastEnd), (0, 5001, .tooSmall), (.max - 1, .max, .offsetPastEnd),
    ])
  func outOfBounds(_ offset: UInt64, _ count: UInt64, _ error: RestrictedMemoryError) throws {
    let buffer = try PoolSet().pool(for: .secureVideoPlayback).allocate(byteCount: 5000)
    #expect(throws: error) { try buffer.writable(offset: offset, count: count, by: .cryptoEngine) }
    #expect(throws: error) { try buffer.check(.read, by: .decoder, offset: offset, count: count) }
  }

  @Test("the last byte can be reached, and no byte at the end")
  func lastByte() throws {
    let buffer = try PoolSet().pool(for: .keyMaterial).allocate(byteCount: 5000)
    try [UInt8(7)].withUnsafeBytes { try buffer.write($0, at: 4999, by: .cryptoEngine) }
    try buffer.write(UnsafeRawBufferPointer(start: nil, count: 0), at: 5000, by: .cryptoEngine)
    let last = try buffer.readable(offset: 4998, count: 2, by: .cryptoEngine).withBytes { Array($0) }
    #expect(last == [0, 7])
  }

  @Test("a write that does not fit changes nothing")
  func allOrNothing() throws {
    let buffer = try PoolSet().pool(for: .keyMaterial).allocate(byteCount: 16)
    #expect(throws: RestrictedMemoryError.tooSmall) {
      try [UInt8](repeating: 1, count: 17).withUnsafeBytes { try buffer.write($0, at: 0, by: .cryptoEngine) }
    }
    #expect(try buffer.readable(offset: 0, count: 16, by: .cryptoEngine).withBytes { $0.allSatisfy { $0 == 0 } })
  }

  @Test("nobody reads or writes but those whom the matrix admits")
  func matrix() throws {
    let pools = PoolSet()
    let admitted: [UseCase: Set<String>] = [
      .secureVideoPlayback: ["client write", "cryptoEngine write", "decoder read", "decoder write", "display read"],
      .trustedUI: ["client write", "cryptoEngine write", "display read", "input write"],
      .secureVideoRecording: ["cryptoEngine read", "camera write"],
      .keyMaterial: ["cryptoEngine read", "cryptoEngine write"],
    ]
    for useCase in UseCase.allCases {
      let buffer = try pools.pool(for: useCase).allocate(byteCount: 64)
      for agent in Agent.allCases {
        for access in [Access.read, .write] {
          if admitted[useCase]?.contains("\(agent) \(access)") == true {
            #expect(try buffer.check(access, by: agent, offset: 0, count: 64) == 0..<64)
            #expect(try buffer.withMemoryDescriptor(for: agent, access) { $0 } >= 0)
          } else {
            let denied = RestrictedMemoryError.denied(agent, access, useCase)
            #expect(throws: denied) { try buffer.check(access, by: agent, offset: 0, count: 0) }
            #expect(throws: RestrictedBuffer.DescriptorError<Never>.self) {
              try buffer.withMemoryDescriptor(for: agent, access) { _ in Issue.record("lent to \(agent)") }
            }
          }
        }
      }
    }
  }

  @Test("a later write makes the description of the content void; asking for room does not")
  func description() throws {
    let buffer = try PoolSet().pool(for: .secureVideoPlayback).allocate(byteCount: 64)
    buffer.contentDescription = [1, 2, 3]
    let range = try buffer.writable(offset: 0, count: 64, by: .cryptoEngine)
    let nothing = try buffer.writable(offset: 64, count: 0, by: .cryptoEngine)
    nothing.withBytes { _ in }
    #expect(range.count == 64 && buffer.contentDescription == [1, 2, 3])
    try [UInt8(0)].withUnsafeBytes { try buffer.write($0, at: 9, by: .client) }
    #expect(buffer.contentDescription.isEmpty)
  }
}

@Suite("Accounts")
struct ClientAccountTests {
  @Test("a client's part of a pool is counted until its buffers go, wherever they are held")
  func part() throws {
    let pools = PoolSet([.trustedUI: .fixed(byteCount: 8 * page), .keyMaterial: .fixed(byteCount: page)])
    let account = ClientAccount(limits: pools.clientLimits.merging([.buffers: 3, .exports: 1]) { $1 })
    let pool = try pools.pool(for: .trustedUI)
    var held: [RestrictedBuffer] = []
    for _ in 0..<3 { held.append(try pool.allocate(byteCount: 1, for: account)) }
    // The fourth buffer is one too many, though it would fit.
    #expect(throws: RestrictedMemoryError.exhausted) { try pool.allocate(byteCount: 1, for: account) }
    held.removeAll()
    held.append(try pool.allocate(byteCount: UInt64(4 * page), for: account))
    #expect(throws: RestrictedMemoryError.exhausted) { try pool.allocate(byteCount: 1, for: account) }
    #expect(pool.usage.bufferCount == 1 && pool.usage.used == 4 * page)
    // Another client, and the secure world itself, are not bound by it; a pool of one page is everybody's.
    _ = try pool.allocate(
      byteCount: UInt64(4 * page), for: ClientAccount(limits: pools.clientLimits.merging([.buffers: 1]) { $1 }))
    _ = try pool.allocate(byteCount: UInt64(4 * page))
    _ = try pools.pool(for: .keyMaterial).allocate(byteCount: 1, for: account)
    // A descriptor is somebody else's hold on the buffer, and the maker's charge.
    let table = try CapabilityTable()
    let descriptor = try table.export(held[0], for: account)
    #expect(throws: RestrictedMemoryError.tooManyDescriptors) { _ = try table.export(held[0], for: account) }
    _ = try table.export(held[0])
    held.removeAll()
    #expect(throws: RestrictedMemoryError.exhausted) { try pool.allocate(byteCount: 1, for: account) }
    _ = consume descriptor
    table.collect()
    _ = try pool.allocate(byteCount: UInt64(4 * page), for: account)
  }

  @Test("a charge that takes over another counts for both, and gives both back")
  func absorbing() {
    let account = ClientAccount(limits: [.withheldBytes: 10])
    var kept = account.charge(.withheldBytes, 4)
    do {
      let more = account.charge(.withheldBytes, 5)
      if let more { kept?.absorb(more) }
    }
    #expect(account.charge(.withheldBytes, 2) == nil && account.charge(.withheldBytes, 1) != nil)
    kept = nil
    #expect(account.charge(.withheldBytes, 10) != nil)
  }

  @Test("what an account does not name cannot be had, and amounts that are none are refused")
  func limits() {
    let account = ClientAccount(limits: [.withheldBytes: 10])
    #expect(account.charge(.buffers) == nil)
    #expect(account.charge(.withheldBytes, -1) == nil)
    #expect(account.charge(.withheldBytes, 11) == nil && account.charge(.withheldBytes, .max) == nil)
    let all = account.charge(.withheldBytes, 10)
    #expect(all != nil && account.charge(.withheldBytes, 1) == nil && account.charge(.withheldBytes, 0) != nil)
  }
}
