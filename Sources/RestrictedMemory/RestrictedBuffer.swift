import LinuxSystem
import Synchronization

/// Memory of the secure world whose content no client reads.
///
/// It lives as long as somebody refers to it: a client's object handle, an exported descriptor (see
/// `CapabilityTable`), or an operation under way. Then its pages are zeroed and its pool has them again.
public final class RestrictedBuffer: Sendable {
  public let useCase: UseCase
  /// The size that was asked for, in bytes.
  public let byteCount: Int
  private let memory: BufferMemory
  private let pool: Pool
  private let contentState = Mutex<[UInt8]>([])
  /// What the buffer costs the client that it was made for.
  private let charges: [ClientAccount.Charge]

  init(_ memory: BufferMemory, byteCount: Int, pool: Pool, charges: [ClientAccount.Charge]) {
    self.charges = charges
    self.memory = memory
    self.byteCount = byteCount
    self.pool = pool
    useCase = pool.useCase
  }

  deinit {
    // Before the pool gives the bytes to somebody else; the memory's own deinit zeroes again and unmaps.
    UnsafeMutableRawBufferPointer(start: memory.base, count: memory.byteCount).wipe()
    pool.release(memory.byteCount, wasSecret: memory.isSecret)
  }

  /// Whether the pages are secret memory.
  public var isSecretMemory: Bool { memory.isSecret }

  /// Checks that `agent` may do this and that the range lies in the buffer, without a look at the content.
  ///
  /// The numbers come from outside: any value is allowed here, and one that does not fit is `.offsetPastEnd` or
  /// `.tooSmall`.
  public func check(
    _ access: Access, by agent: Agent, offset: UInt64, count: UInt64
  ) throws(RestrictedMemoryError) -> Range<Int> {
    try admit(access, by: agent)
    let size = UInt64(byteCount)
    guard offset < size || (offset == size && count == 0) else { throw .offsetPastEnd }
    guard count <= size - offset else { throw .tooSmall }
    return Int(offset)..<Int(offset + count)
  }

  private func admit(_ access: Access, by agent: Agent) throws(RestrictedMemoryError) {
    guard pool.matrix.admits(agent, access, useCase) else { throw .denied(agent, access, useCase) }
  }

  /// What the peripheral that wrote the content says of it, in a form that its reader knows; empty when nobody said
  /// anything, or something was written since. It goes with the buffer to whoever holds it.
  public var contentDescription: [UInt8] {
    get { contentState.withLock { $0 } }
    set { contentState.withLock { $0 = newValue } }
  }

  /// Copies `bytes` to `offset`, all of them or none.
  public func write(
    _ bytes: UnsafeRawBufferPointer, at offset: UInt64, by agent: Agent
  ) throws(RestrictedMemoryError) {
    try writable(offset: offset, count: UInt64(bytes.count), by: agent).withBytes { $0.copyMemory(from: bytes) }
  }

  /// A range that `agent` may write.
  public func writable(
    offset: UInt64, count: UInt64, by agent: Agent
  ) throws(RestrictedMemoryError) -> WritableRange {
    WritableRange(buffer: self, range: try check(.write, by: agent, offset: offset, count: count))
  }

  /// A range that `agent` may read: the crypto engine, or a peripheral that is part of the secure world's process.
  public func readable(
    offset: UInt64, count: UInt64, by agent: Agent
  ) throws(RestrictedMemoryError) -> ReadableRange {
    ReadableRange(buffer: self, range: try check(.read, by: agent, offset: offset, count: count))
  }

  /// A checked range of a buffer, to be written. It keeps the buffer alive.
  public struct WritableRange: Sendable {
    fileprivate let buffer: RestrictedBuffer
    fileprivate let range: Range<Int>

    public var count: Int { range.count }

    /// Lends the bytes. They must not be read: they may hold what the writer is not to see. What was said of the
    /// content is void from here on, unless there are none.
    public func withBytes<R, E: Error>(
      _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
      if !range.isEmpty { buffer.contentDescription = [] }
      defer { withExtendedLifetime(buffer) {} }
      return try body(UnsafeMutableRawBufferPointer(start: buffer.memory.base + range.lowerBound, count: range.count))
    }
  }

  /// A checked range of a buffer, to be read. It keeps the buffer alive.
  public struct ReadableRange: Sendable {
    fileprivate let buffer: RestrictedBuffer
    fileprivate let range: Range<Int>

    public var count: Int { range.count }

    public func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
      defer { withExtendedLifetime(buffer) {} }
      return try body(UnsafeRawBufferPointer(start: buffer.memory.base + range.lowerBound, count: range.count))
    }
  }

  /// Lends the memory's descriptor to be sent to the process of `agent`, which maps it and closes it.
  ///
  /// A descriptor lets its holder map the pages both ways, so it goes to peripherals of this project only.
  public func withMemoryDescriptor<R, E: Error>(
    for agent: Agent, _ access: Access, _ body: (Int32) throws(E) -> R
  ) throws(DescriptorError<E>) -> R {
    do { try admit(access, by: agent) } catch { throw .memory(error) }
    defer { withExtendedLifetime(self) {} }
    do { return try body(memory.descriptor.number) } catch { throw .body(error) }
  }

  /// Either the access was refused, or what was done with the descriptor failed.
  public enum DescriptorError<Body: Error>: Error {
    case memory(RestrictedMemoryError)
    case body(Body)
  }
}
