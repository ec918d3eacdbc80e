import Wire

/// The session that a request is made in.
///
/// Sessions are numbered by the client, from 1, per connection and token, and are not announced: the secure world makes
/// a session's state when a request first needs it, and drops it with `closeSessions`. What a session may do follows from the
/// login state, which the secure world keeps itself, and from `isReadWrite`, which any application may choose.
public struct SessionReference: Sendable, Equatable, Hashable {
  public var number: UInt32
  public var isReadWrite: Bool

  public init(number: UInt32, isReadWrite: Bool) {
    self.number = number
    self.isReadWrite = isReadWrite
  }

  public init(from reader: inout WireReader) throws(WireError) {
    number = try reader.u32()
    isReadWrite = try reader.bool()
  }

  public func write(to writer: inout WireWriter) {
    writer.u32(number)
    writer.bool(isReadWrite)
  }
}
