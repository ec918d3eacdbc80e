import LinuxSystem
import Wire

/// One invocation as the object sees it.
///
/// The request lies in memory of this process: it cannot change while it is read. The input may lie in memory that the
/// client can write at any time: read each byte of it once, or copy first (`readAllInput`). Output is visible to the
/// client as soon as it is committed, and where it lies even before: plaintext that must not be seen unless a tag
/// verifies has to be kept elsewhere until it does.
public struct Invocation: ~Copyable {
  /// The request message.
  public var request: WireReader
  /// The reply message; it grows as needed, up to 64 MiB.
  public var reply: WireWriter
  /// Who invokes, and the table of its objects.
  // Client and path are not counted: whoever makes an invocation holds both for as long as it lives, and counting them
  // costs as much as the whole crossing.
  public unowned(unsafe) let client: ClientEnvironment
  /// Its bulk data.
  public var bulk: InvocationBulk
  /// The descriptors that came with the invocation, to be taken. Only an invocation over the control socket has any.
  public var descriptors = DescriptorList()
  /// The descriptors that go with the reply. Refused with EINVAL unless the invocation came over the control socket.
  public var replyDescriptors = DescriptorList()

  /// The length of the whole input in bytes, as the client announced it; it may send less and go away.
  public var inputByteCount: UInt64 { bulk.inputByteCount }
  /// The room the client has for output, in bytes.
  public var outputCapacity: UInt64 { bulk.outputCapacity }
  /// The number of input bytes that `nextInput` has not lent yet.
  public var inputRemaining: UInt64 { bulk.inputRemaining }
  /// The number of output bytes that were committed.
  public var outputByteCount: UInt64 { bulk.outputByteCount }

  /// `InvocationBulk.nextInput`.
  public mutating func nextInput(atMost: Int = .max) throws(InvocationError) -> UnsafeRawBufferPointer {
    try bulk.nextInput(atMost: atMost)
  }

  /// Copies the rest of the input into memory of this process.
  ///
  /// - Throws: `.tooLarge` when more than `limit` bytes remain, before anything is read; `.noMemory` when that would
  ///   pass the client's quota.
  public mutating func readAllInput(limit: Int) throws(InvocationError) -> PrivateBytes {
    guard let count = Int(exactly: inputRemaining), count <= limit else { throw .tooLarge }
    let copy = try PrivateBytes(count: count, of: client)
    var position = 0
    while position < count {
      let piece = try nextInput(atMost: count - position)
      guard !piece.isEmpty else { throw .peerGone }
      UnsafeMutableRawBufferPointer(rebasing: copy.bytes[position...]).copyMemory(from: piece)
      position += piece.count
    }
    return copy
  }

  /// `InvocationBulk.reserveOutput`.
  public mutating func reserveOutput(_ count: Int) throws(InvocationError) -> UnsafeMutableRawBufferPointer {
    try bulk.reserveOutput(count)
  }

  /// `InvocationBulk.commitOutput`.
  public mutating func commitOutput(_ count: Int) throws(InvocationError) { try bulk.commitOutput(count) }

  /// Appends `bytes`, of any length, to the output.
  public mutating func writeOutput(_ bytes: UnsafeRawBufferPointer) throws(InvocationError) {
    var position = 0
    while position < bytes.count {
      let count = min(bytes.count - position, ChannelLayout.chunkByteCount)
      let room = try reserveOutput(count)
      room.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[position..<position + count]))
      try commitOutput(count)
      position += count
    }
  }
}

/// The input and output of one invocation, as `Invocation` describes them; good as long as that.
public struct InvocationBulk {
  let path: Unmanaged<BulkPath>
  /// The length of the whole input in bytes, as the client announced it; it may send less and go away.
  public let inputByteCount: UInt64
  /// The room the client has for output, in bytes.
  public let outputCapacity: UInt64

  /// The number of input bytes that `nextInput` has not lent yet.
  public var inputRemaining: UInt64 { path.lend { $0.inputRemaining } }
  /// The number of output bytes that were committed.
  public var outputByteCount: UInt64 { path.lend { $0.outputByteCount } }

  /// Lends the next piece of the input, at most `atMost` bytes, where it lies; empty at the end. Waits for the client
  /// to send it. Valid until the next call, and no longer than the invocation.
  public mutating func nextInput(atMost: Int = .max) throws(InvocationError) -> UnsafeRawBufferPointer {
    try path.lend { (path) throws(InvocationError) in
      guard atMost > 0, path.inputRemaining > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
      return try path.nextInput(atMost: atMost)
    }
  }

  /// The most bytes that one `reserveOutput` can ask for.
  public static let outputReserveLimit = ChannelLayout.ringByteCount / 2

  /// Lends room for exactly `count` bytes of output, waiting until the client has made it. Valid until the next call.
  /// What is written there counts only once it is committed; the room may reach past the client's capacity by what is
  /// not committed (a cipher's look-ahead).
  ///
  /// - Parameter count: up to `outputReserveLimit`.
  public mutating func reserveOutput(_ count: Int) throws(InvocationError) -> UnsafeMutableRawBufferPointer {
    guard count >= 0, count <= Self.outputReserveLimit else { throw .outputFull }
    if count == 0 { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
    return try path.lend { (path) throws(InvocationError) in try path.reserveOutput(count) }
  }

  /// Makes the first `count` bytes of the room reserved last part of the output.
  ///
  /// - Throws: `.outputFull` when the client has no room for them: the output is then as before.
  public mutating func commitOutput(_ count: Int) throws(InvocationError) {
    try path.lend { (path) throws(InvocationError) in
      guard count >= 0, count <= path.reservedByteCount else { throw .failed(22) }
      let (total, overflow) = path.outputByteCount.addingReportingOverflow(UInt64(count))
      guard !overflow, total <= outputCapacity else { throw .outputFull }
      path.reservedByteCount = 0
      path.outputByteCount = total
      path.commitOutput(count)
    }
  }
}

extension Unmanaged {
  /// Lends the object, which the caller knows to live, without counting a reference.
  @inline(__always)
  fileprivate func lend<R, E: Error>(_ body: (Instance) throws(E) -> R) throws(E) -> R {
    let result: Result<R, E> = _withUnsafeGuaranteedRef { object in
      do throws(E) { return .success(try body(object)) } catch { return .failure(error) }
    }
    return try result.get()
  }
}

/// Where an invocation's input comes from and its output goes to.
class BulkPath {
  // One thread works with a path, a field at a time: there is nothing for the checks at run time to find, and they cost
  // a fifth of a short operation.
  @exclusivity(unchecked) final var inputRemaining: UInt64 = 0
  @exclusivity(unchecked) final var outputByteCount: UInt64 = 0
  @exclusivity(unchecked) final var reservedByteCount = 0

  /// At least 1 and at most `atMost` bytes; only called while input remains.
  func nextInput(atMost: Int) throws(InvocationError) -> UnsafeRawBufferPointer {
    preconditionFailure("a path defines its input")
  }
  func reserveOutput(_ count: Int) throws(InvocationError) -> UnsafeMutableRawBufferPointer {
    preconditionFailure("a path defines its output")
  }
  /// Called after `outputByteCount` has grown.
  func commitOutput(_ count: Int) {
    preconditionFailure("a path defines its output")
  }
}
