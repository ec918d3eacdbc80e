import CryptoCore
import ObjectInvoke
import RestrictedMemory
import Synchronization
import TokenProtocol
import Wire

/// What a client begins with: opens the services. Its rights are those of the identity that the kernel gave.
final class ClientRoot: InvocableObject {
  private let world: SecureWorld
  private let account: ClientAccount

  init(_ world: SecureWorld, _ account: ClientAccount) {
    self.world = world
    self.account = account
  }

  func invoke(_ operation: UInt32, _ call: inout Invocation) throws -> UInt32 {
    switch RootOperation(rawValue: operation) {
    case .open:
      let number = try call.request.u32()
      let argument = try call.request.u32()
      try call.request.end()
      guard let service = ServiceNumber(rawValue: number),
        let object = world.service(service, argument: argument, for: call.client, account)
      else { return Self.notFound }
      call.reply.u64(try call.client.addObject(object))
      return 0
    case .slotCount:
      try call.request.end()
      call.reply.u32(UInt32(truncatingIfNeeded: world.tokens.count))
      return 0
    case .libcryptoVersion:
      try call.request.end()
      call.reply.bytes(Array(LibraryContext.version.utf8))
      return 0
    case nil: throw InvocationError.malformed
    }
  }

  /// The Opener's NOT_FOUND: no such service, or no such slot.
  private static let notFound: UInt32 = 10
}
