import Foundation
import Glibc
import LinuxSystem
import RestrictedMemory
import Sandbox
import Testing
import Wire

@testable import Peripherals

/// A peripheral that answers every request with the same message.
private func answering(_ reply: [UInt8], descriptors: [Int32] = []) throws -> PeripheralConnection {
  let pair = try MessageSocket.pair()
  let far = try pair.far.descriptor.duplicate().relinquish()
  _ = try startThread(name: "peripheral") {
    let socket = MessageSocket(adopting: Descriptor(adopting: far))
    withUnsafeTemporaryAllocation(byteCount: PeripheralMessage.maximumByteCount, alignment: 16) { buffer in
      while (try? socket.receive(into: buffer, maximumDescriptors: 1)) != nil {
        reply.withUnsafeBytes { try? socket.send($0, descriptors: descriptors) }
      }
    }
  }
  return PeripheralConnection(pair.near)
}

private func bytes(_ words: UInt32...) -> [UInt8] {
  words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
}

private func waiting(_ reader: inout WireReader) throws(WireError) -> Int {
  let count = try reader.count(ofElementsAtLeast: FrameInfo.wireByteCount)
  for _ in 0..<count { _ = try FrameInfo(from: &reader) }
  return count
}

@Suite("Connections to peripherals")
struct ConnectionTests {
  @Test(
    "a reply that does not read as one ends the connection",
    arguments: [
      [], [0], bytes(99), bytes(0), bytes(0, .max), bytes(0, 1, 160, 120, 160, 1), bytes(0, 0, 0), bytes(4, 0),
      bytes(0, 1, 0, 0, 0, 1, 0, 0, 0), .init(repeating: 0xFF, count: PeripheralMessage.maximumByteCount),
    ])
  func malformed(_ reply: [UInt8]) throws {
    let connection = try answering(reply)
    let error = #expect(throws: PeripheralError.self) { try connection.call(2, reply: waiting) }
    // An empty message is the end of the conversation.
    #expect(error == (reply.isEmpty ? .died : .malformedReply))
    #expect(!connection.isAlive)
    #expect(throws: PeripheralError.died) { try connection.call(2, reply: waiting) }
  }

  @Test("a reply that is too long, or carries descriptors, ends the connection")
  func tooMuch() throws {
    for connection in [
      try answering(.init(repeating: 0, count: PeripheralMessage.maximumByteCount + 1)),
      try answering(bytes(0, 0), descriptors: [0]),
    ] {
      #expect(throws: PeripheralError.died) { try connection.call(2, reply: waiting) }
      #expect(!connection.isAlive)
    }
  }

  @Test("a refusal is not the end")
  func refusal() throws {
    let connection = try answering(bytes(PeripheralStatus.undecodable.rawValue))
    for _ in 0..<2 {
      #expect(throws: PeripheralError.refused(.undecodable)) { try connection.call(2, reply: waiting) }
    }
    #expect(connection.isAlive)
  }

  @Test("a peripheral that does not answer in time is given up")
  func silence() throws {
    let pair = try MessageSocket.pair()
    let connection = PeripheralConnection(try MessageSocket(adopting: pair.near.descriptor.duplicate()), timeout: 1000)
    #expect(throws: PeripheralError.died) { try connection.call(2, reply: waiting) }
    #expect(!connection.isAlive)
  }

  @Test("a request that takes too long ends the peripheral")
  func endlessRequest() async {
    await #expect(processExitsWith: .signal(SIGALRM)) {
      struct Endless: PeripheralService {
        func answer(
          _ operation: UInt32, _ request: inout WireReader, memory: consuming Descriptor?, reply: inout WireWriter
        ) throws(PeripheralStatus) {
          while true { usleep(100_000) }
        }
      }
      let pair = try MessageSocket.pair()
      try withUnsafeBytes(of: UInt32(1)) { try pair.near.send($0) }
      var service = Endless()
      // As a peripheral is confined.
      try harden()
      try SystemCallFilter(.peripheral).apply()
      try serve(&service, on: pair.far, requestSeconds: 1)
    }
  }

  @Test("the launcher that was forked first starts peripherals for a process that executes nothing")
  func launcher() async {
    await #expect(processExitsWith: .exitCode(42)) {
      let folder = try TemporaryFolder()
      let launcher = try PeripheralLauncher.prepare(
        executable: peripheralExecutable, arguments: [.camera: [], .display: [folder.path]])
      let pools = PoolSet()
      let recording = try pools.pool(for: .secureVideoRecording).allocate(byteCount: 384)
      guard try Camera(launcher: launcher).capture(into: recording, width: 16, height: 16) == 1 else { exit(1) }
      for _ in 0..<3 {
        guard try Display(launcher: launcher).status().frameCount == 0 else { exit(2) }
      }
      do {
        _ = try VideoDecoder(launcher: launcher).open(.h264, configuration: [])
        exit(3)
      } catch PeripheralError.unavailable {}
      exit(42)
    }
  }

  @Test("requests that do not read as one are refused, and the peripheral lives on")
  func hostileRequests() throws {
    let pair = try MessageSocket.pair()
    let child = try spawnChild(
      executable: peripheralExecutable, arguments: [peripheralExecutable, "decoder"], environment: [],
      descriptors: [pair.far.descriptor.number])
    var generator = SystemRandomNumberGenerator()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 8)
    defer { buffer.deallocate() }
    for round in 0..<300 {
      var request = (0..<Int.random(in: 1...64, using: &generator)).map { _ in UInt8.random(in: 0...255) }
      if round % 2 == 0, request.count >= 4 { request.replaceSubrange(0..<4, with: bytes(UInt32(round % 7))) }
      try request.withUnsafeBytes { try pair.near.send($0, descriptors: round % 3 == 0 ? [0] : []) }
      let byteCount = try pair.near.receive(into: buffer)?.byteCount
      #expect(byteCount ?? 0 >= 4)
    }
    #expect(child.statusIfEnded() == nil)
    pair.near.shutDown()
    #expect(child.wait() == .exited(0))
  }

  @Test("a peripheral that serves is confined", arguments: ["decoder", "display", "camera"])
  func confined(_ name: String) throws {
    let folder = try TemporaryFolder()
    let pair = try MessageSocket.pair()
    let child = try spawnChild(
      executable: peripheralExecutable,
      arguments: [peripheralExecutable, name] + (name == "display" ? [folder.path] : []), environment: [],
      descriptors: [pair.far.descriptor.number])
    // Any answer will do: it is confined before the first.
    try withUnsafeBytes(of: UInt32(99)) { try pair.near.send($0) }
    var reply: UInt64 = 0
    _ = try withUnsafeMutableBytes(of: &reply) { try pair.near.receive(into: $0)?.byteCount }
    #expect(reply == UInt64(PeripheralStatus.unsupported.rawValue))
    let status = try String(contentsOfFile: "/proc/\(child.pid)/status", encoding: .utf8)
    #expect(status.contains("NoNewPrivs:\t1\n"))
    #expect(status.contains("Seccomp:\t2\n"))
    let limits = try String(contentsOfFile: "/proc/\(child.pid)/limits", encoding: .utf8)
    #expect(limits.split(separator: "\n").contains { $0.hasPrefix("Max core file size        0 ") })
    #expect(limits.split(separator: "\n").contains { $0.hasPrefix("Max address space         4294967296 ") })
    pair.near.shutDown()
    #expect(child.wait() == .exited(0))
  }
}
