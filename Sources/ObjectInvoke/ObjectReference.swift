/// What an id names: an object of the server, on the connection the id was given to and nowhere else.
public enum ObjectReference {
  /// The object every connection begins with (TEE_OBJREF_NULL of the Linux TEE interface).
  public static let root = UInt64.max
  /// The operation every object has: drops the reference; an id that is not known is silently accepted.
  public static let release: UInt32 = 65535
  /// Not for clients: refused with EINVAL.
  public static let retain: UInt32 = 65534
}

/// An object of the server that clients invoke.
///
/// Several threads of a client may invoke it at once.
public protocol InvocableObject: AnyObject, Sendable {
  /// Carries out one operation: reads the request and the input, writes the reply and the output, and answers the
  /// service's result code, 0 = OK.
  ///
  /// What it throws becomes the errno of the invocation (`WireError`: EINVAL): the client then gets neither reply nor
  /// output. A result other than 0 still carries the reply and the output that were written.
  func invoke(_ operation: UInt32, _ call: inout Invocation) throws -> UInt32

  /// The last reference has gone: released by the client, or the client has gone. No invocation is in progress then
  /// unless the client itself released the object in the middle of one.
  func released()
}

extension InvocableObject {
  public func released() {}
}
