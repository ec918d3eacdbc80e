public import CCryptoki
import Cryptoki
import ObjectInvoke
import TokenProtocol
import Wire

// The vendor interface: restricted buffers (include/strongroom.h).

extension Session {
  /// One crossing to an object of the vendor interface.
  ///
  /// Throws the CKR that the object answers.
  func ask<Reply>(
    _ object: UInt64, _ operation: UInt32, input: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
    options: InvokeOptions = [], writing write: (inout WireWriter) -> Void,
    reading read: (inout WireReader) throws(WireError) -> Reply
  ) throws(ReturnValue) -> Reply {
    var reply: Reply?
    let answer = try slot.connection.invoke(
      object, operation, options: options, input: InputSegments(input),
      output: UnsafeMutableRawBufferPointer(start: nil, count: 0), writing: write
    ) { (result, reader) throws(WireError) in
      if result == 0 { reply = try read(&reader) }
    }
    guard answer.result == 0, let reply else { throw ReturnValue(rawValue: UInt(answer.result)) }
    return reply
  }

  /// A crossing that sends a descriptor, gets one, or both.
  ///
  /// Answers the descriptor that came, which the caller closes, or -1.
  func exchange<Reply>(
    _ object: UInt64, _ operation: UInt32, sending descriptors: [Int32], writing write: (inout WireWriter) -> Void,
    reading read: (inout WireReader) throws(WireError) -> Reply
  ) throws(ReturnValue) -> (Reply, descriptor: Int32) {
    var answer: InvokeAnswer
    do throws(InvokeError) {
      answer = try slot.connection.client.invokeWithDescriptors(
        object, operation, descriptors: descriptors, request: write)
    } catch {
      throw slot.connection.returnValue(of: error)
    }
    guard answer.result == 0 else { throw ReturnValue(rawValue: UInt(answer.result)) }
    var message = answer.message
    do throws(WireError) {
      let reply = try read(&message)
      return (reply, answer.descriptors.takeFirst()?.relinquish() ?? -1)
    } catch {
      throw .deviceError
    }
  }

  var restricted: RestrictedObjects { slot.connection.restricted }

  /// The handle of a buffer that the secure world gave a reference to.
  func adopt(_ reply: BufferReply) -> CK_OBJECT_HANDLE {
    restricted.add(
      reply.object, .buffer(useCase: reply.useCase, byteCount: reply.byteCount), session: handle)
  }
}

@c @implementation
public func strongroom_AllocateBuffer(
  _ session: CK_SESSION_HANDLE, _ useCase: CK_STRONGROOM_USE_CASE, _ size: CK_ULONG, _ flags: CK_FLAGS,
  _ buffer: CK_OBJECT_HANDLE_PTR?
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let buffer = try place(buffer)
    guard flags == 0 else { throw .argumentsBad }
    guard let number = UInt32(exactly: useCase) else {
      throw ReturnValue(rawValue: UInt(CKR_STRONGROOM_USE_CASE_INVALID))
    }
    let service = try session.restricted.service(.restrictedMemory, on: session.slot.connection)
    let reply = try session.ask(
      service, RestrictedMemoryOperation.allocate.rawValue,
      writing: { writer in
        writer.u32(number)
        writer.u64(UInt64(size))
      }
    ) { (reader) throws(WireError) in try BufferReply(from: &reader) }
    buffer.pointee = session.adopt(reply)
  }
}

@c @implementation
public func strongroom_ExportBuffer(
  _ session: CK_SESSION_HANDLE, _ buffer: CK_OBJECT_HANDLE, _ descriptor: UnsafeMutablePointer<Int32>?
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let descriptor = try place(descriptor)
    let object = try session.restricted.buffer(buffer)
    let (_, number) = try session.exchange(
      object, BufferOperation.export.rawValue, sending: [], writing: { _ in }, reading: { _ in })
    guard number >= 0 else { throw .deviceError }
    descriptor.pointee = number
  }
}

@c @implementation
public func strongroom_ImportBuffer(
  _ session: CK_SESSION_HANDLE, _ descriptor: Int32, _ buffer: CK_OBJECT_HANDLE_PTR?
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let buffer = try place(buffer)
    guard isOpenDescriptor(descriptor) else { throw ReturnValue(rawValue: UInt(CKR_STRONGROOM_DESCRIPTOR_INVALID)) }
    let service = try session.restricted.service(.restrictedMemory, on: session.slot.connection)
    let (reply, _) = try session.exchange(
      service, RestrictedMemoryOperation.importBuffer.rawValue, sending: [descriptor], writing: { _ in }
    ) { (reader) throws(WireError) in try BufferReply(from: &reader) }
    buffer.pointee = session.adopt(reply)
  }
}

@c @implementation
public func strongroom_WriteBuffer(
  _ session: CK_SESSION_HANDLE, _ buffer: CK_OBJECT_HANDLE, _ offset: CK_ULONG, _ data: CK_BYTE_PTR?,
  _ count: CK_ULONG
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let bytes = try callerBytes(data, count)
    let object = try session.restricted.buffer(buffer)
    try session.ask(
      object, BufferOperation.write.rawValue, input: bytes, writing: { $0.u64(UInt64(offset)) }, reading: { _ in })
  }
}

@c @implementation
public func strongroom_GetStatistics(_ statistics: CK_STRONGROOM_STATISTICS_PTR?) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    let statistics = try place(statistics)
    statistics.pointee = CK_STRONGROOM_STATISTICS(ulCrossings: UInt(try library.crossingCount()))
  }
}

@c @implementation
public func strongroom_GetSecureWorldInfo(_ info: CK_STRONGROOM_SECURE_WORLD_INFO_PTR?) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    let info = try place(info)
    setPadded(&info.pointee.libcrypto, try library.world().connection.libcryptoVersion())
  }
}
