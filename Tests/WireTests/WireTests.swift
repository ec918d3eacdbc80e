import Testing
import Wire

@Suite struct WireTests {
  @Test("what is written is read back, in order, to the last byte")
  func roundTrip() throws {
    var writer = WireWriter()
    writer.u8(7)
    writer.u32(0xdead_beef)
    writer.u64(UInt64.max)
    writer.bool(true)
    writer.bytes([1, 2, 3])
    writer.bytes([])
    let overflowed = writer.overflowed
    #expect(!overflowed)
    try writer.withMessage { message in
      var reader = WireReader(message)
      #expect(try reader.u8() == 7)
      #expect(try reader.u32() == 0xdead_beef)
      #expect(try reader.u64() == UInt64.max)
      #expect(try reader.bool())
      #expect(try reader.bytes() == [1, 2, 3])
      #expect(try reader.bytes() == [])
      try reader.end()
    }
  }

  @Test("a message cut at any byte is truncated, never read past")
  func truncation() {
    var writer = WireWriter()
    writer.u32(1)
    writer.bytes([9, 9, 9, 9])
    writer.u64(5)
    writer.withMessage { message in
      for count in 0..<message.count {
        var reader = WireReader(UnsafeRawBufferPointer(rebasing: message[0..<count]))
        #expect(throws: WireError.truncated) {
          _ = try reader.u32()
          _ = try reader.bytes()
          _ = try reader.u64()
        }
      }
    }
  }

  @Test("hostile counts, truth values and trailing bytes are malformed")
  func hostile() {
    let huge: [UInt8] = [0xff, 0xff, 0xff, 0xff, 1, 2]
    huge.withUnsafeBytes { message in
      var reader = WireReader(message)
      #expect(throws: WireError.truncated) { _ = try reader.bytes() }
      var list = WireReader(message)
      #expect(throws: WireError.truncated) { _ = try list.count(ofElementsAtLeast: 1) }
      var truth = WireReader(message)
      #expect(throws: WireError.invalid) { _ = try truth.bool() }
      var trailing = WireReader(message)
      #expect(throws: WireError.trailing) {
        _ = try trailing.u32()
        try trailing.end()
      }
    }
  }

  @Test("a writer leaves lent memory when it is full and stops at its limit")
  func growth() {
    var memory = [UInt8](repeating: 0, count: 8)
    memory.withUnsafeMutableBytes { lent in
      var writer = WireWriter(into: lent, limit: 20)
      writer.u64(1)
      let inside = writer.isInLentMemory
      #expect(inside)
      writer.u64(2)
      let moved = !writer.isInLentMemory
      #expect(moved)
      writer.u64(3)
      let overflowed = writer.overflowed
      #expect(overflowed)
      let count = writer.count
      #expect(count == 16)
    }
  }

  @Test("memory of a writer's own counts in its account while it is held, and a message ends where the account does")
  func account() {
    let account = ByteQuota(5000)
    func write(_ count: Int) -> (overflowed: Bool, taken: Int) {
      var memory = [UInt8](repeating: 0, count: 16)
      return memory.withUnsafeMutableBytes { lent in
        var writer = WireWriter(into: lent, account: account)
        for _ in 0..<count { writer.u64(1) }
        return (writer.overflowed, account.taken)
      }
    }
    #expect(write(2) == (false, 0))
    let long = write(200)
    #expect(!long.overflowed && long.taken >= 1600)
    #expect(account.taken == 0)
    #expect(write(1000).overflowed)
    #expect(account.taken == 0)
  }
}
