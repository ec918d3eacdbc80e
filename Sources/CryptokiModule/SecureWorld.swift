import Configuration
import Cryptoki
import LinuxSystem
import ObjectInvoke
import TokenProtocol
import Wire

/// The secure world as this process reaches it: a connection and the slots behind it.
struct SecureWorld: Sendable {
  let connection: Connection
  let slots: [Slot]

  /// Connects to the secure world of the configured store, starting it when it does not run.
  ///
  /// Throws CKR_GENERAL_ERROR when the configuration cannot be read or the secure world cannot be started; with
  /// STRONGROOM_DEBUG in the environment, the reason goes to standard error.
  static func reach() throws(ReturnValue) -> SecureWorld {
    let client: InvokeClient
    do throws(StartFailure) {
      client = try SecureWorldStarter(readingConfiguration: ()).connect()
    } catch {
      error.report()
      throw .generalError
    }
    let connection = Connection(client)
    let count = try connection.askRoot(.slotCount) { (reader) throws(WireError) in try reader.u32() }
    // A secure world has a handful of slots; a number that is none shall not make this process reserve memory.
    guard count <= 4096 else { throw .deviceError }
    var slots: [Slot] = []
    for id in 0..<count {
      let token = try connection.open(.token, argument: id)
      slots.append(Slot(id: id, connection: connection, token: token))
    }
    return SecureWorld(connection: connection, slots: slots)
  }
}

extension Connection {
  /// Opens a service of the secure world, or one of its tokens by slot, and answers the object's id.
  func open(_ service: ServiceNumber, argument: UInt32) throws(ReturnValue) -> UInt64 {
    try askRoot(
      .open,
      writing: { writer in
        writer.u32(service.rawValue)
        writer.u32(argument)
      }
    ) { (reader) throws(WireError) in try reader.u64() }
  }

  /// The libcrypto that serves the secure world, in its own words.
  func libcryptoVersion() throws(ReturnValue) -> [UInt8] {
    try askRoot(.libcryptoVersion) { (reader) throws(WireError) in try reader.bytes() }
  }

  fileprivate func askRoot<Reply>(
    _ operation: RootOperation, writing write: (inout WireWriter) -> Void = { _ in },
    reading read: (inout WireReader) throws(WireError) -> Reply
  ) throws(ReturnValue) -> Reply {
    var reply: Reply?
    let answer = try invoke(
      ObjectReference.root, operation.rawValue, options: [], input: InputSegments(),
      output: UnsafeMutableRawBufferPointer(start: nil, count: 0), writing: write
    ) { (result, reader) throws(WireError) in
      if result == 0 { reply = try read(&reader) }
    }
    // The root's own result codes are not CKRs; none of them is to be expected.
    guard answer.result == 0, let reply else { throw .deviceError }
    return reply
  }
}
