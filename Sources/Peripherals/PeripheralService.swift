import Glibc
import LinuxSystem
import Wire

/// What a peripheral process does with the secure world's requests.
public protocol PeripheralService: ~Copyable {
  /// Answers one request: reads its fields, and writes the reply's. `memory` is the descriptor that came with it.
  mutating func answer(
    _ operation: UInt32, _ request: inout WireReader, memory: consuming Descriptor?, reply: inout WireWriter
  ) throws(PeripheralStatus)
}

/// Answers requests until the secure world closes the connection, which is the normal end of a peripheral.
///
/// A request that takes longer than `requestSeconds` ends the process (SIGALRM): a bitstream that makes a decoder loop
/// is then one that made it crash.
public func serve<Service: PeripheralService & ~Copyable>(
  _ service: inout Service, on connection: borrowing MessageSocket, requestSeconds: UInt32 = 20
) throws(SystemError) {
  let buffer = UnsafeMutableRawBufferPointer.allocate(
    byteCount: 2 * PeripheralMessage.maximumByteCount, alignment: 16)
  defer { buffer.deallocate() }
  let incoming = UnsafeMutableRawBufferPointer(rebasing: buffer[..<PeripheralMessage.maximumByteCount])
  let outgoing = UnsafeMutableRawBufferPointer(rebasing: buffer[PeripheralMessage.maximumByteCount...])
  while var message = try connection.receive(into: incoming, maximumDescriptors: 1) {
    alarm(requestSeconds)
    let memory = message.descriptors.takeFirst()
    var reply = WireWriter(into: outgoing, limit: PeripheralMessage.maximumByteCount)
    reply.u32(0)
    do throws(PeripheralStatus) {
      var request = WireReader(UnsafeRawBufferPointer(rebasing: incoming[..<message.byteCount]))
      guard let operation = try? request.u32() else { throw .malformed }
      try service.answer(operation, &request, memory: memory, reply: &reply)
      if reply.overflowed { throw .resources }
    } catch {
      reply.reset()
      reply.u32(error.rawValue)
    }
    alarm(0)
    try reply.withMessage { (bytes) throws(SystemError) in try connection.send(bytes) }
  }
}
