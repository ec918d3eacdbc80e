import LinuxSystem
import RestrictedMemory
import Synchronization
import Wire

/// The video decoder as the secure world sees it. Each stream is a process of its own: what one client's bitstream does
/// to a decoder, no other client notices.
public final class VideoDecoder: Sendable {
  private let launcher: PeripheralLauncher
  private let streamLimit: Int
  private let openCount = Mutex(0)

  /// - Parameter streamLimit: how many streams, and so processes, there may be at once.
  public init(launcher: PeripheralLauncher, streamLimit: Int = 16) {
    self.launcher = launcher
    self.streamLimit = streamLimit
  }

  /// Opens a stream, which ends when it is let go of.
  ///
  /// - Parameters:
  ///   - configuration: the codec's own record (avcC, hvcC), empty where the bitstream carries it.
  ///   - useCase: of the buffers that access units come from and surfaces go to.
  /// - Throws: `.refused(.codec)` when the codec or its record is not one that can be decoded.
  public func open(
    _ codec: VideoCodec, configuration: [UInt8], useCase: UseCase = .secureVideoPlayback
  ) throws(PeripheralError) -> DecoderStream {
    let admitted = openCount.withLock { count in
      if count >= streamLimit { return false }
      count += 1
      return true
    }
    guard admitted else { throw .tooManyStreams }
    do throws(PeripheralError) {
      let connection = try launcher.launch(.decoder)
      try connection.call(DecoderOperation.open.rawValue) { request in
        request.u32(codec.rawValue)
        request.bytes(configuration)
      } reply: { (_) throws(WireError) in
      }
      return DecoderStream(self, connection, useCase)
    } catch {
      closed()
      throw error
    }
  }

  fileprivate func closed() { openCount.withLock { $0 -= 1 } }
}

/// A picture in a restricted buffer of its own.
public struct DecodedFrame: Sendable {
  public let surface: RestrictedBuffer
  public let info: FrameInfo
}

/// One stream on the video decoder.
///
/// Access units go in, pictures come out in presentation order, possibly some access units later. Methods may be called
/// from any thread; each runs to its end before the next.
public final class DecoderStream: Sendable {
  public let useCase: UseCase
  private let decoder: VideoDecoder
  private let connection: PeripheralConnection
  /// The pictures that wait in the decoder, first first. The lock is held for the whole of an operation.
  private let waiting = Mutex<[FrameInfo]>([])

  fileprivate init(_ decoder: VideoDecoder, _ connection: PeripheralConnection, _ useCase: UseCase) {
    self.decoder = decoder
    self.connection = connection
    self.useCase = useCase
  }

  deinit { decoder.closed() }

  /// Whether the decoder's process lives; once it does not, every call throws `.died`.
  public var isAlive: Bool { connection.isAlive }

  /// Decodes one access unit, `count` bytes of `buffer` from `offset`, and answers at most `limit` pictures that are
  /// ready, each in a surface from `pool` that is charged to `account`.
  ///
  /// When pictures wait and the pool has no room for even one of them, throws `.memory(.exhausted)`: the access unit
  /// was not taken and can be given again. Throws `.refused(.undecodable)` for a damaged one; the stream goes on with
  /// the next.
  public func decode(
    _ buffer: RestrictedBuffer, offset: UInt64, count: UInt64, pts: Int64, surfaces pool: Pool,
    for account: ClientAccount? = nil, limit: Int = 16
  ) throws(PeripheralError) -> [DecodedFrame] {
    guard buffer.useCase == useCase else { throw .memory(.denied(.decoder, .read, buffer.useCase)) }
    do { _ = try buffer.check(.read, by: .decoder, offset: offset, count: count) } catch { throw .memory(error) }
    return try waiting.withLock { (waiting) throws(PeripheralError) in
      var frames = try collectWaiting(&waiting, pool, account, limit)
      waiting = try lend(buffer, .read) { (number) throws(PeripheralError) in
        try connection.call(DecoderOperation.decode.rawValue, memory: number) { request in
          request.u64(offset)
          request.u64(count)
          request.u64(UInt64(bitPattern: pts))
        } reply: { (reply) throws(WireError) in
          try Self.readWaiting(&reply)
        }
      }
      collectAsFits(&waiting, pool, account, limit, &frames)
      return frames
    }
  }

  /// Says that no more access units belong to the pictures under way, and answers at most `limit` of those. It is
  /// called until it answers none; then access units may follow again, beginning with a key frame.
  public func flush(
    surfaces pool: Pool, for account: ClientAccount? = nil, limit: Int = 16
  ) throws(PeripheralError) -> [DecodedFrame] {
    try waiting.withLock { (waiting) throws(PeripheralError) in
      var frames = try collectWaiting(&waiting, pool, account, limit)
      if frames.isEmpty {
        waiting = try connection.call(DecoderOperation.flush.rawValue) { (reply) throws(WireError) in
          try Self.readWaiting(&reply)
        }
        frames = try collectWaiting(&waiting, pool, account, limit)
      }
      return frames
    }
  }

  /// Forgets pictures and references, as for a seek.
  public func reset() throws(PeripheralError) {
    try waiting.withLock { (waiting) throws(PeripheralError) in
      try connection.call(DecoderOperation.reset.rawValue) { (_) throws(WireError) in }
      waiting = []
    }
  }

  /// Collects what waits; throws what kept the first of them from being collected.
  private func collectWaiting(
    _ waiting: inout [FrameInfo], _ pool: Pool, _ account: ClientAccount?, _ limit: Int
  ) throws(PeripheralError) -> [DecodedFrame] {
    var frames: [DecodedFrame] = []
    guard let first = waiting.first, limit > 0 else { return frames }
    frames.append(try collect(first, pool, account))
    waiting.removeFirst()
    collectAsFits(&waiting, pool, account, limit, &frames)
    return frames
  }

  /// Collects what waits as far as the pool and `limit` allow; the others go on waiting.
  private func collectAsFits(
    _ waiting: inout [FrameInfo], _ pool: Pool, _ account: ClientAccount?, _ limit: Int, _ frames: inout [DecodedFrame]
  ) {
    while frames.count < limit, let next = waiting.first, let frame = try? collect(next, pool, account) {
      frames.append(frame)
      waiting.removeFirst()
    }
  }

  private func collect(
    _ info: FrameInfo, _ pool: Pool, _ account: ClientAccount?
  ) throws(PeripheralError) -> DecodedFrame {
    guard pool.useCase == useCase else { throw .memory(.denied(.decoder, .write, pool.useCase)) }
    let surface: RestrictedBuffer
    do { surface = try pool.allocate(byteCount: UInt64(info.byteCount), for: account) } catch { throw .memory(error) }
    let written = try lend(surface, .write) { (number) throws(PeripheralError) in
      try connection.call(DecoderOperation.collect.rawValue, memory: number) { (reply) throws(WireError) in
        try FrameInfo(from: &reply)
      }
    }
    guard written == info else { throw .malformedReply }
    surface.contentDescription = info.bytes
    return DecodedFrame(surface: surface, info: info)
  }

  private func lend<R>(
    _ buffer: RestrictedBuffer, _ access: Access, _ body: (Int32) throws(PeripheralError) -> R
  ) throws(PeripheralError) -> R {
    try buffer.lendingDescriptor(to: .decoder, access, body)
  }

  private static func readWaiting(_ reply: inout WireReader) throws(WireError) -> [FrameInfo] {
    let count = try reply.count(ofElementsAtLeast: FrameInfo.wireByteCount)
    var waiting: [FrameInfo] = []
    for _ in 0..<count { waiting.append(try FrameInfo(from: &reply)) }
    return waiting
  }
}

extension RestrictedBuffer {
  /// `withMemoryDescriptor` with the errors of this room.
  func lendingDescriptor<R>(
    to agent: Agent, _ access: Access, _ body: (Int32) throws(PeripheralError) -> R
  ) throws(PeripheralError) -> R {
    do {
      return try withMemoryDescriptor(for: agent, access, body)
    } catch {
      switch error {
      case .memory(let error): throw .memory(error)
      case .body(let error): throw error
      }
    }
  }
}
