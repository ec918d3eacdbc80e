import Cryptoki

/// The bulk data of an invocation: input that streams in, output that streams out, any length.
///
/// The input may lie in memory that the client can write at any time: each byte of it is read once, or copied first.
/// What is written as output may be seen by the client at once, and changed, so nothing that must not be seen is written
/// there, and nothing that is read again.
/// The methods throw what a client is told when the transport fails.
public protocol BulkTransfer: ~Copyable {
  /// The length of the whole input in bytes.
  var inputByteCount: UInt64 { get }
  /// The room that the client has for output, in bytes.
  var outputCapacity: UInt64 { get }
  /// The number of output bytes committed so far.
  var outputByteCount: UInt64 { get }
  /// Lends the next piece of the input, at most `atMost` bytes; empty at the end only. Valid until the next call.
  mutating func nextInput(atMost: Int) throws(ReturnValue) -> UnsafeRawBufferPointer
  /// Lends room for `count` bytes of output, which may reach past the client's capacity by what is then not
  /// committed. Valid until the next call. At most `largestReservation` bytes.
  mutating func reserveOutput(_ count: Int) throws(ReturnValue) -> UnsafeMutableRawBufferPointer
  /// Makes the first `count` bytes of the room reserved last part of the output.
  mutating func commitOutput(_ count: Int) throws(ReturnValue)
}

/// The pieces that bulk data is worked on in.
enum BulkPiece {
  /// Bytes of input taken at a time.
  static let inputByteCount = 1 << 16
  /// Bytes of output asked for at a time: what a piece of input yields, with a cipher's look-ahead and tag.
  static let outputByteCount = (1 << 16) + 64
}

extension BulkTransfer where Self: ~Copyable {
  /// Copies the whole input. Throws `tooLong` past `limit` bytes, before anything is read.
  mutating func readAllInput(limit: Int, tooLong: ReturnValue) throws(ReturnValue) -> [UInt8] {
    try readInput(inputByteCount, limit: limit, tooLong: tooLong)
  }

  /// Copies the next `byteCount` bytes of the input. Throws `tooLong` past `limit` bytes, before anything is read.
  mutating func readInput(_ byteCount: UInt64, limit: Int, tooLong: ReturnValue) throws(ReturnValue) -> [UInt8] {
    guard let count = Int(exactly: byteCount), count <= limit else { throw tooLong }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    while bytes.count < count {
      let piece = try nextInput(atMost: count - bytes.count)
      guard !piece.isEmpty else { throw .argumentsBad }
      bytes.append(contentsOf: piece)
    }
    return bytes
  }

  /// Appends bytes of any length to the output; the caller has checked that there is room.
  mutating func writeOutput(_ bytes: UnsafeRawBufferPointer) throws(ReturnValue) {
    var position = 0
    while position < bytes.count {
      let count = min(bytes.count - position, BulkPiece.inputByteCount)
      let room = try reserveOutput(count)
      room.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[position..<position + count]))
      try commitOutput(count)
      position += count
    }
  }
}
