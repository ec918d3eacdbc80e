import Glibc
import LinuxSystem
import RestrictedMemory
import Synchronization
import Wire

/// Why a peripheral did not serve the secure world.
public enum PeripheralError: Error, Equatable, Sendable {
  /// No such peripheral was named when the secure world was started, or it cannot be started any more.
  case unavailable
  /// The process ended, or did not answer in time; requests under way are lost.
  case died
  /// The peripheral answered with this.
  case refused(PeripheralStatus)
  /// Its reply does not read as one. It is not spoken to again.
  case malformedReply
  /// The memory was not admitted, not large enough, or there is none left.
  case memory(RestrictedMemoryError)
  /// As many streams are open as may be.
  case tooManyStreams
  /// The buffer does not hold a picture.
  case noPicture
}

/// The secure world's end of the connection to one peripheral process. Requests are answered one after the other.
public final class PeripheralConnection: Sendable {
  private struct Line: ~Copyable {
    /// Nil once the process has ended.
    var socket: MessageSocket?

    borrowing func exchange(
      _ request: UnsafeRawBufferPointer, _ memory: Int32?, _ timeout: UInt64
    ) throws(SystemError) -> [UInt8]? {
      switch socket {
      case .none: return nil
      case .some(let socket):
        try socket.send(request, descriptors: memory.map { [$0] } ?? [])
        if try waitForEvents(socket.descriptor.number, .readable, timeout: timeout).isEmpty { return nil }
        let buffer = UnsafeMutableRawBufferPointer.allocate(
          byteCount: PeripheralMessage.maximumByteCount, alignment: 16)
        defer { buffer.deallocate() }
        guard let reply = try socket.receive(into: buffer) else { return nil }
        return Array(buffer[..<reply.byteCount])
      }
    }
  }

  private let line: Mutex<Line>
  private let timeout: UInt64

  /// - Parameter timeout: nanoseconds to wait for a reply; longer than a peripheral lets a request take.
  public init(_ socket: consuming MessageSocket, timeout: UInt64 = 30_000_000_000) {
    line = Mutex(Line(socket: socket))
    self.timeout = timeout
  }

  public var isAlive: Bool { line.withLock { $0.socket != nil } }

  /// Sends a request, with the memory's descriptor where it has one, waits for the reply and reads it whole.
  func call<Reply>(
    _ operation: UInt32, memory: Int32? = nil, _ write: (inout WireWriter) -> Void = { _ in },
    reply read: (inout WireReader) throws(WireError) -> Reply
  ) throws(PeripheralError) -> Reply {
    var request = WireWriter(limit: PeripheralMessage.maximumByteCount)
    request.u32(operation)
    write(&request)
    if request.overflowed { throw .refused(.malformed) }
    let message = try request.withMessage { (bytes) throws(PeripheralError) in try exchange(bytes, memory) }
    let (reply, refusal) = message.withUnsafeBufferPointer { Self.parse(UnsafeRawBufferPointer($0), read) }
    if let refusal { throw .refused(refusal) }
    guard let reply else {
      line.withLock { $0.socket = nil }
      throw .malformedReply
    }
    return reply
  }

  /// The reply, or the refusal, or neither when the message is not a reply.
  private static func parse<Reply>(
    _ message: UnsafeRawBufferPointer, _ read: (inout WireReader) throws(WireError) -> Reply
  ) -> (Reply?, PeripheralStatus?) {
    do throws(WireError) {
      var reader = WireReader(message)
      let status = try reader.u32()
      let reply = status == 0 ? try read(&reader) : nil
      try reader.end()
      return (reply, PeripheralStatus(rawValue: status))
    } catch {
      return (nil, nil)
    }
  }

  private func exchange(_ request: UnsafeRawBufferPointer, _ memory: Int32?) throws(PeripheralError) -> [UInt8] {
    try line.withLock { (line) throws(PeripheralError) in
      guard line.socket != nil else { throw .died }
      do {
        guard let reply = try line.exchange(request, memory, timeout) else { throw SystemError("recvmsg", EPIPE) }
        return reply
      } catch {
        // Gone, or out of step: the next reply would be that of another request.
        line.socket = nil
        throw .died
      }
    }
  }
}
