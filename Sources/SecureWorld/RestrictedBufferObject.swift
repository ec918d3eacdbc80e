import LinuxSystem
import ObjectInvoke
import RestrictedMemory
import TokenProtocol
import Wire

/// A restricted buffer as an object of a client: to be written with clear bytes and exported, never read.
final class RestrictedBufferObject: InvocableObject {
  let buffer: RestrictedBuffer
  private let memory: ClientMemory

  init(_ buffer: RestrictedBuffer, _ memory: ClientMemory) {
    self.buffer = buffer
    self.memory = memory
  }

  func invoke(_ operation: UInt32, _ call: inout Invocation) throws -> UInt32 {
    switch BufferOperation(rawValue: operation) {
    case .export:
      try call.request.end()
      do {
        call.replyDescriptors.append(try memory.capabilities.export(buffer, for: memory.account))
        return 0
      } catch { return error.result }
    case .write:
      let offset = try call.request.u64()
      try call.request.end()
      let range: RestrictedBuffer.WritableRange
      do {
        range = try buffer.writable(offset: offset, count: call.inputByteCount, by: .client)
      } catch { return error.result }
      return try range.fill(from: &call)
    case nil: throw InvocationError.malformed
    }
  }
}

extension RestrictedBuffer.WritableRange {
  /// Copies as many bytes of the input as the range has, each of them read once.
  func fill(from call: inout Invocation) throws(InvocationError) -> UInt32 {
    var place = 0
    while place < count {
      let piece = try call.nextInput(atMost: count - place)
      guard piece.count > 0 else { throw .malformed }
      withBytes { $0.copy(piece, at: place) }
      place += piece.count
    }
    return 0
  }
}

extension RestrictedMemoryError {
  /// The result code of an invocation, a CKR_ value of PKCS#11 or of the vendor interface.
  var result: UInt32 {
    switch self {
    case .noPool: RestrictedResult.useCaseInvalid
    case .size: 0x07  // CKR_ARGUMENTS_BAD
    case .exhausted, .tooManyDescriptors, .system: 0x31  // CKR_DEVICE_MEMORY
    case .offsetPastEnd: RestrictedResult.offsetRange
    case .tooSmall: 0x150  // CKR_BUFFER_TOO_SMALL
    case .denied: RestrictedResult.accessDenied
    case .foreignDescriptor: RestrictedResult.descriptorInvalid
    case .revoked: RestrictedResult.bufferRevoked
    }
  }
}

/// The restricted memory service of one client: allocates and imports buffers.
final class RestrictedMemoryService: InvocableObject {
  private let memory: ClientMemory

  init(_ memory: ClientMemory) { self.memory = memory }

  func invoke(_ operation: UInt32, _ call: inout Invocation) throws -> UInt32 {
    switch RestrictedMemoryOperation(rawValue: operation) {
    case .allocate:
      let number = try call.request.u32()
      let byteCount = try call.request.u64()
      try call.request.end()
      guard let useCase = UseCase(rawValue: number) else { return RestrictedResult.useCaseInvalid }
      do {
        let buffer = try memory.pools.pool(for: useCase).allocate(byteCount: byteCount, for: memory.account)
        return try reply(with: buffer, &call)
      } catch let error as RestrictedMemoryError { return error.result }
    case .importBuffer:
      try call.request.end()
      guard let descriptor = call.descriptors.takeFirst() else { throw InvocationError.malformed }
      do {
        return try reply(with: try memory.capabilities.buffer(of: descriptor), &call)
      } catch let error as RestrictedMemoryError { return error.result }
    case nil: throw InvocationError.malformed
    }
  }

  private func reply(with buffer: RestrictedBuffer, _ call: inout Invocation) throws -> UInt32 {
    try call.client.add(buffer, memory).write(to: &call.reply)
    return 0
  }
}

extension ClientEnvironment {
  /// Gives the client an object for `buffer`.
  func add(_ buffer: RestrictedBuffer, _ memory: ClientMemory) throws(InvocationError) -> BufferReply {
    BufferReply(
      object: try addObject(RestrictedBufferObject(buffer, memory)), useCase: buffer.useCase.rawValue,
      byteCount: UInt64(buffer.byteCount))
  }

  /// The restricted buffer that the client knows by this id, or nil when that is none of its buffers.
  func buffer(_ id: UInt64) -> RestrictedBuffer? {
    (object(id) as? RestrictedBufferObject)?.buffer
  }
}
