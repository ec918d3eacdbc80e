import Glibc
import LinuxSystem
import Synchronization

/// The pollable end of one operation.
///
/// A client's descriptor shows nothing while the operation runs, POLLIN when it is done, and POLLIN|POLLERR when it
/// failed. Besides a fixed record that says "done" nothing is ever sent on it, no content and no secret.
public final class CompletionDescriptor: Sendable {
  private let near: Mutex<MessageSocket?>

  /// What is read from a client's descriptor when the operation is done.
  public static let doneRecord: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0]

  /// An operation's end, and the client's descriptor: to be sent and then closed here.
  public static func make() throws(SystemError) -> (operation: CompletionDescriptor, client: ClientEnd) {
    let pair = try MessageSocket.pair()
    // A socket closed with unread input resets its peer (ECONNRESET): that is how a failure, and the secure world's
    // death, becomes POLLERR on the client's side. This byte is the input.
    try withUnsafeBytes(of: UInt8(0)) { (bytes) throws(SystemError) in try pair.far.send(bytes) }
    pair.far.shutDownWriting()
    try pair.far.descriptor.setNonBlocking(true)
    let client = try pair.far.descriptor.duplicate()
    return (CompletionDescriptor(pair.near), ClientEnd(client))
  }

  /// The client's descriptor, to be taken once.
  public final class ClientEnd: Sendable {
    private let descriptor: Mutex<Descriptor?>
    init(_ descriptor: consuming Descriptor) { self.descriptor = Mutex(descriptor) }
    public func take() -> Descriptor? { descriptor.withLock { $0.take() } }
  }

  private init(_ near: consuming MessageSocket) { self.near = Mutex(near) }

  /// Says that the operation is done. Later calls do nothing.
  public func succeed() {
    near.withLock { near in
      guard let socket = near.take() else { return }
      // The byte that would make the close an error is read first.
      withUnsafeTemporaryAllocation(byteCount: 8, alignment: 8) { _ = try? socket.receive(into: $0, waiting: false) }
      Self.doneRecord.withUnsafeBytes { try? socket.send($0, waiting: false) }
    }
  }

  /// Says that the operation failed, as does letting go of this object before it is done. Later calls do nothing.
  public func fail() { near.withLock { $0 = nil } }
}
