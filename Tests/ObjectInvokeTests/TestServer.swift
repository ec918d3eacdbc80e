import Glibc
import LinuxSystem
import Synchronization
import Testing
import Wire

@testable import ObjectInvoke

/// What the test object can do.
enum Operation {
  /// Answers the request message as the reply, and the input as the output.
  static let echo: UInt32 = 1
  /// Answers the number of input bytes and their sum.
  static let sum: UInt32 = 2
  /// Writes as many output bytes as the request says, each its position's low byte; no input.
  static let produce: UInt32 = 3
  /// Adds an object and answers its id.
  static let add: UInt32 = 4
  /// Answers a reply message of as many bytes as the request says.
  static let longReply: UInt32 = 5
  /// Writes half of the input to the output, then fails.
  static let failHalfWay: UInt32 = 6
  /// Reads all the input into private memory of at most the request's number of bytes and answers the sum.
  static let readAll: UInt32 = 7
  /// Answers result 42 without reading anything.
  static let ignore: UInt32 = 8
  /// Sleeps as many microseconds as the request says.
  static let sleep: UInt32 = 9
  /// Answers the received descriptors in reverse order.
  static let descriptors: UInt32 = 10
  /// Ends the whole server process.
  static let die: UInt32 = 11
  /// Reads the input's first byte, then works for a millisecond before each further piece.
  static let slowSum: UInt32 = 12
  /// Fills all room for output with ones, then reads the input, and answers its sum and no output.
  static let fillThenSum: UInt32 = 13
  /// Reads one byte of the input, says so, waits for `mayGoOn`, and answers the sum of the input.
  static let heldSum: UInt32 = 14
  /// Writes the input to the output with every bit turned, asking for a byte more room than it uses.
  static let invert: UInt32 = 15
  /// Says that it has begun, and gives up when the client has gone.
  static let outlast: UInt32 = 16
}

final class TestObject: InvocableObject {
  let releasedCount: Atomic<Int>
  init() { releasedCount = Atomic(0) }
  let children = Mutex<[TestObject]>([])
  let hasBegun = Atomic<Bool>(false)
  let mayGoOn = Atomic<Bool>(false)

  /// Who asked for an object last.
  let lastClient = Mutex<ClientEnvironment?>(nil)

  func invoke(_ operation: UInt32, _ call: inout Invocation) throws -> UInt32 {
    switch operation {
    case Operation.echo:
      call.reply.raw(try call.request.raw(call.request.remaining))
      while case let piece = try call.nextInput(atMost: 20000), !piece.isEmpty {
        try call.writeOutput(piece)
      }
    case Operation.sum, Operation.slowSum:
      var sum: UInt64 = 0
      var count: UInt64 = 0
      while case let piece = try call.nextInput(atMost: operation == Operation.slowSum ? 4096 : .max), !piece.isEmpty {
        if operation == Operation.slowSum { usleep(1000) }
        for byte in piece { sum &+= UInt64(byte) }
        count += UInt64(piece.count)
      }
      call.reply.u64(count)
      call.reply.u64(sum)
    case Operation.produce:
      var remaining = Int(truncatingIfNeeded: try call.request.u64())
      var value: UInt8 = 0
      while remaining > 0 {
        let count = min(remaining, 10000)
        let room = try call.reserveOutput(count)
        for index in 0..<count {
          room[index] = value
          value &+= 1
        }
        try call.commitOutput(count)
        remaining -= count
      }
    case Operation.add:
      let client = call.client
      lastClient.withLock { $0 = client }
      let child = TestObject()
      children.withLock { $0.append(child) }
      call.reply.u64(try call.client.addObject(child))
    case Operation.longReply:
      let count = Int(truncatingIfNeeded: try call.request.u64() & 0xff_ffff)
      guard let long = PrivateBytes(count: count)?.filled() else { throw InvocationError.noMemory }
      call.reply.raw(UnsafeRawBufferPointer(long.bytes))
      while case let piece = try call.nextInput(), !piece.isEmpty { try call.writeOutput(piece) }
    case Operation.failHalfWay:
      let half = call.inputByteCount / 2
      while call.outputByteCount < half {
        try call.writeOutput(try call.nextInput(atMost: Int(half - call.outputByteCount)))
      }
      throw InvocationError.failed(EPERM)
    case Operation.readAll:
      let limit = Int(truncatingIfNeeded: try call.request.u64())
      let all = try call.readAllInput(limit: limit)
      call.reply.u64(all.bytes.reduce(UInt64(0)) { $0 &+ UInt64($1) })
    case Operation.ignore:
      return 42
    case Operation.sleep:
      usleep(UInt32(truncatingIfNeeded: try call.request.u64()))
    case Operation.descriptors:
      var received: [Int32] = []
      while let descriptor = call.descriptors.takeFirst() { received.append(descriptor.relinquish()) }
      for number in received.reversed() { call.replyDescriptors.append(Descriptor(adopting: number)) }
      call.reply.u32(UInt32(received.count))
    case Operation.fillThenSum:
      let room = try call.reserveOutput(Int(call.outputCapacity))
      for index in room.indices { room[index] = 1 }
      var sum: UInt64 = 0
      while case let piece = try call.nextInput(), !piece.isEmpty { sum = piece.reduce(sum) { $0 &+ UInt64($1) } }
      call.reply.u64(sum)
    case Operation.heldSum:
      var sum = try call.nextInput(atMost: 1).reduce(UInt64(0)) { $0 &+ UInt64($1) }
      hasBegun.store(true, ordering: .releasing)
      while !mayGoOn.load(ordering: .acquiring) { usleep(100) }
      while case let piece = try call.nextInput(), !piece.isEmpty { sum = piece.reduce(sum) { $0 &+ UInt64($1) } }
      call.reply.u64(sum)
    case Operation.invert:
      while case let piece = try call.nextInput(atMost: 10000), !piece.isEmpty {
        let room = try call.reserveOutput(piece.count + 1)
        for index in piece.indices { room[index] = ~piece[index] }
        try call.commitOutput(piece.count)
      }
    case Operation.outlast:
      hasBegun.store(true, ordering: .releasing)
      while !call.client.hasGone { usleep(100) }
      throw InvocationError.peerGone
    case Operation.die:
      _exit(9)
    default:
      throw InvocationError.malformed
    }
    return 0
  }

  func released() {
    releasedCount.wrappingAdd(1, ordering: .relaxed)
  }
}

extension PrivateBytes {
  consuming func filled() -> PrivateBytes {
    for index in 0..<count { bytes[index] = UInt8(truncatingIfNeeded: index &* 7) }
    return self
  }
}

/// A server in this process on a socket of its own, stopped when it goes.
final class TestServer: Sendable {
  let path: String
  let server: InvokeServer
  private static let serial = Atomic<Int>(0)

  init(limits: ServerLimits = ServerLimits(), published: consuming CreatedRegion? = nil) throws {
    let number = TestServer.serial.wrappingAdd(1, ordering: .relaxed).newValue
    path = "/tmp/strongroom-invoke-\(getpid())-\(number)"
    let roots = Roots()
    server = InvokeServer(
      listener: try MessageListener(path: path), limits: limits, published: published,
      root: { _ in roots.make() })
    self.rootList = roots
    try server.start()
  }

  let rootList: Roots

  final class Roots: Sendable {
    let objects = Mutex<[TestObject]>([])
    func make() -> TestObject {
      let object = TestObject()
      objects.withLock { $0.append(object) }
      return object
    }
  }

  func connect() throws -> InvokeClient { try InvokeClient(connecting: path) }

  func stop() {
    #expect(server.stop())
    unlink(path)
  }
}

func pattern(_ count: Int, seed: Int = 1) -> [UInt8] {
  [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
    var value = UInt32(truncatingIfNeeded: seed &* 2_654_435_761 | 1)
    for index in 0..<count {
      value = value &* 1_664_525 &+ 1_013_904_223
      buffer[index] = UInt8(truncatingIfNeeded: value >> 24)
    }
    initialized = count
  }
}

/// Echoes message and input and says whether both came back.
func echoes(_ client: InvokeClient, message: [UInt8], input: [UInt8], options: InvokeOptions = []) throws -> Bool {
  var output = [UInt8](repeating: 0, count: input.count)
  return try input.withUnsafeBytes { source in
    try output.withUnsafeMutableBytes { target in
      let answer = try client.invoke(
        ObjectReference.root, Operation.echo, options: options, input: InputSegments(source), output: target
      ) { writer in message.withUnsafeBytes { writer.raw($0) } }
      var reader = answer.message
      let back = [UInt8](try reader.raw(reader.remaining))
      return answer.result == 0 && back == message && answer.outputByteCount == input.count
        && target.elementsEqual(source)
    }
  }
}
