import LinuxSystem
import Wire

/// Memory of a client that the server has mapped as well: an invocation names ranges of it instead of sending them.
///
/// It is unmapped when the last owner lets it go, not with the connection: what the client keeps there outlives the
/// server. A forked child does not have it, and a core file does not show it.
public final class SharedMemory: Sendable {
  /// The bytes, zeroed at first. The client may change them at any time; the result is then its own affair.
  public var bytes: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: region.base, count: region.byteCount)
  }
  let region: SharedRegion
  /// The id by which the server knows it.
  let object: UInt64

  init(_ region: SharedRegion, object: UInt64) {
    self.region = region
    self.object = object
  }

  /// From where on in this memory a piece lies; nil unless all of it does.
  @inline(__always)
  func offset(of piece: UnsafeRawBufferPointer) -> Int? {
    guard let start = piece.baseAddress else { return nil }
    let offset = Int(bitPattern: start) &- Int(bitPattern: region.base)
    guard offset >= 0, offset < region.byteCount, piece.count <= region.byteCount &- offset else { return nil }
    return offset
  }
}

/// The shared memory that an invocation names, as it stands at the end of the request message
/// (`RequestFlags.sharedMemory`). Numbers of 64 bits:
///
///     for each piece of input, ascending:  position in the input, object id, offset in its memory, length
///     where the flags have 1:              object id, offset: where the output goes; the request line has its room
///     at the end:                          the number of pieces (low half), flags (high half)
enum SharedReferences {
  static let pieceByteCount = 32
  static let outputByteCount = 16
  static let endByteCount = 8
  static let hasOutput: UInt32 = 1
  /// Shorter pieces are sent: to copy them twice costs less than to name them.
  static let leastByteCount = 4096
  /// More pieces no request names: a batch has no more.
  static let mostPieces = 1 << 16
}

/// What is left to be sent of an invocation whose request names shared memory.
struct SharedParts {
  /// What is sent.
  let input: InputSegments
  /// The length of the input that is named.
  let sharedByteCount: Int
  /// Whether the output goes to shared memory.
  let hasOutput: Bool

  /// Finds which parts of an invocation lie in shared memory, and names them at the end of the request. Nil when there
  /// are none, or when the output would overwrite input that has not been read.
  @inline(never)
  init?(
    _ memories: [SharedMemory], _ input: InputSegments, _ output: UnsafeMutableRawBufferPointer,
    _ options: InvokeOptions, naming writer: inout WireWriter
  ) {
    let least = SharedReferences.leastByteCount
    guard input.byteCount >= least || output.count >= least else { return nil }
    if input.isOvertaken(by: output, options) { return nil }
    func find(_ piece: UnsafeRawBufferPointer) -> (object: UInt64, offset: Int)? {
      for memory in memories {
        if let offset = memory.offset(of: piece) { return (memory.object, offset) }
      }
      return nil
    }
    var sent = input
    var position = 0
    var count: UInt32 = 0
    var shared = 0
    func name(_ piece: UnsafeRawBufferPointer, _ writer: inout WireWriter) -> Bool {
      defer { position += piece.count }
      guard piece.count > 0, let place = find(piece) else { return false }
      writer.u64(UInt64(position))
      writer.u64(place.object)
      writer.u64(UInt64(place.offset))
      writer.u64(UInt64(piece.count))
      count += 1
      shared += piece.count
      return true
    }
    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
    if !input.more.isEmpty {
      // A batch is named as a whole or sent as a whole.
      if input.more.count <= SharedReferences.mostPieces, input.more.allSatisfy({ $0.isEmpty || find($0) != nil }) {
        for piece in input.more { _ = name(piece, &writer) }
        sent = InputSegments()
      }
    } else {
      if name(input.first.count < least ? nothing : input.first, &writer) { sent.first = nothing }
      position = input.first.count
      if name(input.second.count < least ? nothing : input.second, &writer) { sent.second = nothing }
      position = input.first.count + input.second.count
      if name(input.third.count < least ? nothing : input.third, &writer) { sent.third = nothing }
    }
    var flags: UInt32 = 0
    if output.count >= least, let place = find(UnsafeRawBufferPointer(output)) {
      writer.u64(place.object)
      writer.u64(UInt64(place.offset))
      flags = SharedReferences.hasOutput
    }
    guard count > 0 || flags != 0 else { return nil }
    writer.u32(count)
    writer.u32(flags)
    self.input = sent
    sharedByteCount = shared
    hasOutput = flags != 0
  }
}

// MARK: The server's end

/// A client's shared memory as one of the objects that the client holds. It is unmapped when the client has released it
/// and no invocation works with it.
final class ServerSharedMemory: InvocableObject {
  let region: SharedRegion
  private let client: ClientEnvironment
  private let counts: ProcessCounts

  init(_ region: SharedRegion, of client: ClientEnvironment, counted counts: ProcessCounts) {
    self.region = region
    self.client = client
    self.counts = counts
  }

  deinit {
    counts.giveBack(client.identity.credentials.pid)
    client.sharedBytes.giveBack(region.byteCount)
  }

  /// It has no operation but its release.
  func invoke(_ operation: UInt32, _ call: inout Invocation) throws -> UInt32 { throw InvocationError.malformed }
}

/// The shared memory that a request names, looked up and checked. It keeps the memory mapped.
struct SharedPlaces {
  struct Piece {
    fileprivate let memory: ServerSharedMemory
    /// How many bytes of the input are sent between the piece before and this one.
    let gap: UInt64
    let start: UnsafeRawPointer
    let byteCount: Int
  }

  private(set) var pieces: [Piece] = []
  private(set) var output: UnsafeMutableRawBufferPointer?
  private var outputMemory: ServerSharedMemory?
  /// The length of the request without the names.
  let messageByteCount: Int

  /// Reads what stands at the end of a request, which lies in memory of this process. Nil when it names what the client
  /// does not have, or not in order.
  init?(_ message: UnsafeRawBufferPointer, of client: ClientEnvironment, inputByteCount: UInt64, capacity: UInt64) {
    func number(_ offset: Int) -> UInt64 {
      UInt64(littleEndian: message.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    var end = message.count - SharedReferences.endByteCount
    guard end >= 0 else { return nil }
    let last = number(end)
    let count = Int(UInt32(truncatingIfNeeded: last))
    let flags = UInt32(truncatingIfNeeded: last >> 32)
    guard flags & ~SharedReferences.hasOutput == 0 else { return nil }
    if flags & SharedReferences.hasOutput != 0 {
      end -= SharedReferences.outputByteCount
      guard end >= 0, let room = Int(exactly: capacity),
        let place = Self.place(number(end), number(end + 8), room, of: client)
      else { return nil }
      outputMemory = place.memory
      output = UnsafeMutableRawBufferPointer(start: place.start, count: room)
    }
    guard count <= SharedReferences.mostPieces, count <= end / SharedReferences.pieceByteCount else { return nil }
    pieces.reserveCapacity(count)
    let start = end - count * SharedReferences.pieceByteCount
    var reached: UInt64 = 0
    for offset in stride(from: start, to: end, by: SharedReferences.pieceByteCount) {
      let position = number(offset)
      guard let length = Int(exactly: number(offset + 24)), length > 0, position >= reached,
        position <= inputByteCount, UInt64(length) <= inputByteCount - position,
        let place = Self.place(number(offset + 8), number(offset + 16), length, of: client)
      else { return nil }
      pieces.append(
        Piece(
          memory: place.memory, gap: position - reached, start: UnsafeRawPointer(place.start), byteCount: length))
      reached = position + UInt64(length)
    }
    messageByteCount = start
  }

  private static func place(
    _ object: UInt64, _ offset: UInt64, _ count: Int, of client: ClientEnvironment
  ) -> (memory: ServerSharedMemory, start: UnsafeMutableRawPointer)? {
    guard let memory = client.object(object) as? ServerSharedMemory, let offset = Int(exactly: offset),
      offset <= memory.region.byteCount, count <= memory.region.byteCount - offset
    else { return nil }
    return (memory, memory.region.base + offset)
  }
}
