import Glibc
import LinuxSystem
import Synchronization
import Testing
import Wire

@testable import ObjectInvoke

private let inline = ChannelLayout.inlineByteCount
private let ring = ChannelLayout.ringByteCount

extension ObjectInvokeTests {
  @Suite("Round trips")
  struct RoundTripTests {
    @Test(
      "input of any length comes back as output",
      arguments: [
        0, 1, 7, 8, 63, 8191, 8192, 8193, inline - 1, inline, inline + 1, ring - 1, ring, ring + 1, 2 * ring + 3,
        10 << 20, 64 << 20,
      ])
    func bulk(count: Int) throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      let input = pattern(count)
      #expect(try echoes(client, message: [1, 2, 3], input: input))
      #expect(client.invocationCount == 1)
      if count < 64 << 20 { #expect(try echoes(client, message: [], input: input, options: [.long, .secret])) }
    }

    @Test(
      "a request message of any length up to the limit comes back as the reply",
      arguments: [0, 1, inline - 8, inline - 1, inline, inline + 1, ring - 1, ring, ring + 1, 10 << 20, 64 << 20])
    func messages(count: Int) throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      let message = pattern(count)
      #expect(try echoes(client, message: message, input: []))
      if count == 64 << 20 { return }
      #expect(try echoes(client, message: message, input: pattern(100, seed: 2), options: .secret))
      #expect(try echoes(client, message: message, input: pattern(ring + 5, seed: 3)))
    }

    @Test("a message over the limit is refused before anything crosses")
    func tooLong() throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      let message = pattern(ChannelLayout.messageByteLimit + 1)
      #expect(throws: InvokeError.refused(EMSGSIZE)) { _ = try echoes(client, message: message, input: []) }
      #expect(client.invocationCount == 0)
      #expect(try echoes(client, message: [1], input: [2]))
    }

    @Test("input from three pieces arrives in their order")
    func gathered() throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      for sizes in [(0, 0, 0), (1, 2, 3), (0, 5, 0), (10000, 10000, 10000), (1, ring, ring + 1)] {
        let whole = pattern(sizes.0 + sizes.1 + sizes.2)
        var output = [UInt8](repeating: 0, count: whole.count)
        let count = try whole.withUnsafeBytes { source in
          try output.withUnsafeMutableBytes { target in
            try client.invoke(
              ObjectReference.root, Operation.echo,
              input: InputSegments(
                UnsafeRawBufferPointer(rebasing: source[..<sizes.0]),
                UnsafeRawBufferPointer(rebasing: source[sizes.0..<sizes.0 + sizes.1]),
                UnsafeRawBufferPointer(rebasing: source[(sizes.0 + sizes.1)...])),
              output: target
            ) { _ in }.outputByteCount
          }
        }
        #expect(count == whole.count && output == whole)
      }
    }

    @Test("output may lie where the input does, ahead of it or behind it", arguments: [0, 1, -1, 5000, -5000])
    func inPlace(shift: Int) throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      for count in [100, inline, 3 * ring] {
        var memory = pattern(count + 10000)
        let expected = Array(memory[5000..<5000 + count])
        let answered = try memory.withUnsafeMutableBytes { bytes in
          let source = UnsafeRawBufferPointer(rebasing: bytes[5000..<5000 + count])
          let target = UnsafeMutableRawBufferPointer(rebasing: bytes[(5000 + shift)..<(5000 + shift + count)])
          return try client.invoke(
            ObjectReference.root, Operation.echo, input: InputSegments(source), output: target
          ) { _ in }.outputByteCount
        }
        #expect(answered == count)
        #expect(Array(memory[(5000 + shift)..<(5000 + shift + count)]) == expected)
      }
    }

    @Test("an answer with much output and a long message brings both", arguments: [0, 10, ring * 2])
    func longReply(input: Int) throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      for length in [inline - 8, inline + 1, 3 * ring + 1] {
        let source = pattern(input)
        var output = [UInt8](repeating: 0, count: input + 100_000)
        try source.withUnsafeBytes { source in
          try output.withUnsafeMutableBytes { target in
            let answer = try client.invoke(
              ObjectReference.root, Operation.longReply, input: InputSegments(source), output: target
            ) { $0.u64(UInt64(length)) }
            #expect(answer.outputByteCount == input)
            var reader = answer.message
            let message = try reader.raw(reader.remaining)
            #expect(message.count == length)
            #expect(message.enumerated().allSatisfy { $1 == UInt8(truncatingIfNeeded: $0 &* 7) })
          }
        }
        #expect(output.prefix(input).elementsEqual(source))
      }
    }

    @Test(
      "output alone is streamed, and more than there is room for is refused", arguments: [0, 1, 20000, ring * 3 + 1])
    func produced(count: Int) throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      var output = [UInt8](repeating: 0xff, count: count)
      let answered = try output.withUnsafeMutableBytes { target in
        try client.invoke(ObjectReference.root, Operation.produce, output: target) { $0.u64(UInt64(count)) }
          .outputByteCount
      }
      #expect(answered == count)
      #expect(output.enumerated().allSatisfy { $1 == UInt8(truncatingIfNeeded: $0) })
      output = [UInt8](repeating: 0, count: count)
      #expect(throws: InvokeError.refused(ENOSPC)) {
        try output.withUnsafeMutableBytes { target in
          _ = try client.invoke(ObjectReference.root, Operation.produce, output: target) { $0.u64(UInt64(count) + 1) }
            .result
        }
      }
      #expect(output.allSatisfy { $0 == 0 }, "what came before the failure is wiped")
      #expect(try echoes(client, message: [9], input: [8]))
    }

    @Test("input that the object does not read does no harm", arguments: [0, 100, inline, ring * 5])
    func unread(count: Int) throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      let input = pattern(count)
      for _ in 0..<3 {
        let result = try input.withUnsafeBytes {
          try client.invoke(ObjectReference.root, Operation.ignore, input: InputSegments($0)) { _ in }.result
        }
        #expect(result == 42)
        #expect(try echoes(client, message: [], input: input))
      }
    }

    @Test("an operation that fails half way leaves nothing of its output", arguments: [2, 10000, ring * 4])
    func failing(count: Int) throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      let input = [UInt8](repeating: 0xaa, count: count)
      var output = [UInt8](repeating: 0, count: count)
      for _ in 0..<3 {
        #expect(throws: InvokeError.refused(EPERM)) {
          try input.withUnsafeBytes { source in
            try output.withUnsafeMutableBytes { target in
              _ = try client.invoke(
                ObjectReference.root, Operation.failHalfWay, input: InputSegments(source), output: target
              ) { _ in }.result
            }
          }
        }
        #expect(output.allSatisfy { $0 == 0 })
      }
      #expect(try echoes(client, message: [9], input: input))
    }

    @Test("all input in private memory is bounded by what the object takes")
    func readAll() throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      let input = [UInt8](repeating: 1, count: ring + 10)
      func sum(limit: Int) throws -> UInt64 {
        try input.withUnsafeBytes {
          let answer = try client.invoke(ObjectReference.root, Operation.readAll, input: InputSegments($0)) {
            $0.u64(UInt64(limit))
          }
          var reader = answer.message
          return try reader.u64()
        }
      }
      #expect(try sum(limit: ring + 10) == UInt64(ring + 10))
      #expect(throws: InvokeError.refused(EFBIG)) { _ = try sum(limit: ring + 9) }
      #expect(try sum(limit: .max) == UInt64(ring + 10))
    }

    @Test("sixteen threads at once get their own answers")
    func threads() throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      final class Shared: Sendable {
        let wrong = Atomic<Int>(0)
      }
      let shared = Shared()
      for _ in 0..<2 {
        var threads = 0
        let done = Shared()
        for index in 0..<16 {
          threads += 1
          try startThread(name: "caller") {
            for round in 0..<60 {
              let count = round % 10 == 0 ? 300_000 + index : index * 100 + round
              let input = pattern(count, seed: index * 100 + round)
              let same = (try? echoes(client, message: pattern(index, seed: round), input: input)) ?? false
              if !same { shared.wrong.wrappingAdd(1, ordering: .relaxed) }
            }
            done.wrong.wrappingAdd(1, ordering: .releasing)
          }
        }
        while done.wrong.load(ordering: .acquiring) < threads { usleep(1000) }
      }
      #expect(shared.wrong.load(ordering: .relaxed) == 0)
      #expect(client.invocationCount == 2 * 16 * 60)
    }

    @Test("an invocation made while an answer is held takes another channel")
    func nested() throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      let outer = try client.invoke(ObjectReference.root, Operation.echo) { $0.u64(7) }
      #expect(try echoes(client, message: [1, 2, 3, 4, 5, 6, 7, 8, 9], input: []))
      var reader = outer.message
      #expect(try reader.u64() == 7)
    }

    @Test("the form that lends the answer does so once, or throws")
    func closure() throws {
      let server = try TestServer()
      defer { server.stop() }
      let client = try server.connect()
      let nothing = UnsafeMutableRawBufferPointer(start: nil, count: 0)
      var values: [UInt64?] = []
      for value: UInt64 in [77, 78] {
        try client.invoke(
          ObjectReference.root, Operation.echo, options: [], input: InputSegments(), output: nothing,
          request: { $0.u64(value) }, reply: { (_, _, message) in values.append(try? message.u64()) })
      }
      #expect(values == [77, 78])
      #expect(throws: InvokeError.refused(22)) {
        try client.invoke(
          99, 1, options: [], input: InputSegments(), output: nothing, request: { _ in },
          reply: { (_, _, _) in values.append(nil) })
      }
      #expect(values.count == 2)
    }
  }
}
