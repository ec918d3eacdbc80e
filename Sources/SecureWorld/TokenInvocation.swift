import Cryptoki
import ObjectInvoke
import RestrictedMemory
import TokenProtocol
import TokenService
import Wire

/// A token as an object of one client: the token's own operations, and those whose plaintext goes to restricted buffers.
final class TokenInvocation: InvocableObject {
  private let token: TokenObject
  private let client: Client
  private let restricted: RestrictedDecryption
  private let log: Log

  init(_ token: TokenObject, client id: ClientID, _ account: ClientAccount, log: Log) {
    self.token = token
    client = token.client(id)
    self.log = log
    restricted = RestrictedDecryption(token, client: client, account)
  }

  func invoke(_ operation: UInt32, _ call: inout Invocation) throws -> UInt32 {
    guard let operation = TokenOperation(rawValue: operation) else { throw InvocationError.malformed }
    switch operation {
    case .decryptInto: return try restricted.decryptInto(&call)
    case .beginInto: return try restricted.beginInto(&call)
    case .updateInto: return try restricted.continueInto(&call, ends: false)
    case .finishInto: return try restricted.continueInto(&call, ends: true)
    case .decryptSamples: return try restricted.decryptSamples(&call)
    case .login, .setPIN, .initializePIN:
      let result = perform(operation, &call)
      if result != 0 {
        log.write("client \(client.id.rawValue): \(operation) answered \(ReturnValue(rawValue: UInt(result)))")
      }
      return result
    default: return perform(operation, &call)
    }
  }

  /// The client has given up the object, or has gone: its sessions with this token end, those too that it reached
  /// through another object.
  func released() { token.clientGone(client.id) }

  private func perform(_ operation: TokenOperation, _ call: inout Invocation) -> UInt32 {
    var bulk = TokenBulk(bulk: call.bulk)
    let value = token.invoke(
      operation: operation, client: client, request: &call.request, reply: &call.reply, bulk: &bulk)
    return UInt32(truncatingIfNeeded: value.rawValue)
  }
}

/// The bulk data of an invocation, as the token service moves it. Lives within one call.
private struct TokenBulk: BulkTransfer, ~Copyable {
  var bulk: InvocationBulk

  var inputByteCount: UInt64 { bulk.inputByteCount }
  var outputCapacity: UInt64 { bulk.outputCapacity }
  var outputByteCount: UInt64 { bulk.outputByteCount }

  mutating func nextInput(atMost count: Int) throws(ReturnValue) -> UnsafeRawBufferPointer {
    do { return try bulk.nextInput(atMost: count) } catch { throw error.returnValue }
  }

  mutating func reserveOutput(_ count: Int) throws(ReturnValue) -> UnsafeMutableRawBufferPointer {
    do { return try bulk.reserveOutput(count) } catch { throw error.returnValue }
  }

  mutating func commitOutput(_ count: Int) throws(ReturnValue) {
    do { try bulk.commitOutput(count) } catch { throw error.returnValue }
  }
}

extension InvocationError {
  /// What the token answers when it cannot move bulk data. For `.peerGone` nobody is there to read it.
  fileprivate var returnValue: ReturnValue {
    switch self {
    case .peerGone: .deviceRemoved
    case .noMemory, .tooLarge: .deviceMemory
    case .outputFull: .bufferTooSmall
    case .malformed: .argumentsBad
    case .failed: .deviceError
    }
  }
}
