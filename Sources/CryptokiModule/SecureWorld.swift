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

  /// How many secure worlds are asked that are killed as soon as they listen.
  private static let attempts = 3

  /// Connects to the secure world of the configured store, starting it when it does not run.
  ///
  /// Throws CKR_GENERAL_ERROR when the configuration cannot be read or the secure world says why it cannot serve, and
  /// CKR_DEVICE_REMOVED when it ends again and again, or is not up in time: later it may be. With STRONGROOM_DEBUG in the
  /// environment, the reason goes to standard error.
  static func reach() throws(ReturnValue) -> SecureWorld {
    for _ in 1..<attempts {
      let client = try connect()
      do throws(ReturnValue) { return try SecureWorld(client) } catch { if error != .deviceRemoved { throw error } }
    }
    return try SecureWorld(try connect())
  }

  private static func connect() throws(ReturnValue) -> InvokeClient {
    do throws(StartFailure) {
      return try SecureWorldStarter(readingConfiguration: ()).connect()
    } catch {
      error.report()
      throw error.isPassing ? .deviceRemoved : .generalError
    }
  }

  /// Asks for the slots.
  private init(_ client: InvokeClient) throws(ReturnValue) {
    let connection = Connection(client)
    let count = try connection.askRoot(.slotCount) { (reader) throws(WireError) in try reader.u32() }
    // A secure world has a handful of slots; a number that is none shall not make this process reserve memory.
    guard count <= 4096 else { throw .deviceError }
    var slots: [Slot] = []
    for id in 0..<count {
      let token = try connection.open(.token, argument: id)
      slots.append(Slot(id: id, connection: connection, token: token))
    }
    self.connection = connection
    self.slots = slots
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
