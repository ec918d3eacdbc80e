public import CCryptoki
import Cryptoki
import TokenProtocol
import Wire

// The vendor interface: the decoder and the display (include/strongroom.h).

extension Session {
  fileprivate func peripherals() throws(ReturnValue) -> UInt64 {
    try restricted.service(.peripherals, on: slot.connection)
  }
}

/// The longest configuration record of a codec, in bytes, that is taken.
private let longestConfiguration: CK_ULONG = 1 << 16

@c @implementation
public func strongroom_OpenDecoder(
  _ session: CK_SESSION_HANDLE, _ codec: CK_STRONGROOM_CODEC, _ configuration: CK_BYTE_PTR?, _ count: CK_ULONG,
  _ stream: CK_OBJECT_HANDLE_PTR?
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let stream = try place(stream)
    let bytes = try callerBytes(configuration, count)
    guard let codec = UInt32(exactly: codec), count <= longestConfiguration else { throw .argumentsBad }
    let object = try session.ask(
      try session.peripherals(), PeripheralsOperation.openDecoder.rawValue, options: .long,
      writing: { writer in
        writer.u32(codec)
        writer.bytes(bytes)
      }
    ) { (reader) throws(WireError) in try reader.u64() }
    stream.pointee = session.restricted.add(object, .stream, session: session.handle)
  }
}

@c @implementation
public func strongroom_Decode(
  _ session: CK_SESSION_HANDLE, _ stream: CK_OBJECT_HANDLE, _ buffer: CK_OBJECT_HANDLE, _ offset: CK_ULONG,
  _ length: CK_ULONG, _ timestamp: CK_LONG, _ frames: CK_STRONGROOM_FRAME_PTR?, _ count: CK_ULONG_PTR?
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let count = try place(count)
    // Pictures that the caller has no room for wait in the decoder.
    let limit = UInt32(clamping: min(count.pointee, 16))
    guard limit > 0, let frames else { throw .argumentsBad }
    let stream = try session.restricted.stream(stream)
    let source = length == 0 ? 0 : try session.restricted.buffer(buffer)
    let request = DecodeRequest(
      place: BufferPlace(buffer: source, offset: UInt64(offset)), byteCount: UInt64(length),
      timestamp: UInt64(bitPattern: Int64(timestamp)))
    let replies = try session.ask(
      stream, StreamOperation.decode.rawValue, options: .long,
      writing: { writer in
        request.write(to: &writer)
        writer.u32(limit)
      }
    ) { (reader) throws(WireError) -> [FrameReply] in
      var replies: [FrameReply] = []
      for _ in 0..<(try reader.count(ofElementsAtLeast: 36)) { replies.append(try FrameReply(from: &reader)) }
      return replies
    }
    guard replies.count <= Int(limit) else { throw .deviceError }
    for (index, reply) in replies.enumerated() {
      frames[index] = CK_STRONGROOM_FRAME(
        hBuffer: session.adopt(reply.buffer), ulWidth: UInt(reply.width), ulHeight: UInt(reply.height),
        timestamp: Int(Int64(bitPattern: reply.timestamp)))
    }
    count.pointee = UInt(replies.count)
  }
}

@c @implementation
public func strongroom_Present(
  _ session: CK_SESSION_HANDLE, _ buffer: CK_OBJECT_HANDLE, _ completion: UnsafeMutablePointer<Int32>?
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let object = try session.restricted.buffer(buffer)
    let service = try session.peripherals()
    func write(_ writer: inout WireWriter) {
      writer.u64(object)
      writer.bool(completion != nil)
    }
    guard let completion else {
      return try session.ask(
        service, PeripheralsOperation.present.rawValue, options: .long, writing: write, reading: { _ in })
    }
    let (_, number) = try session.exchange(
      service, PeripheralsOperation.present.rawValue, sending: [], writing: write, reading: { _ in })
    guard number >= 0 else { throw .deviceError }
    completion.pointee = number
  }
}

@c @implementation
public func strongroom_GetDisplayStatus(
  _ session: CK_SESSION_HANDLE, _ status: CK_STRONGROOM_DISPLAY_STATUS_PTR?
) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    let status = try place(status)
    let (count, all, last) = try session.ask(
      try session.peripherals(), PeripheralsOperation.displayStatus.rawValue, options: .long, writing: { _ in }
    ) { (reader) throws(WireError) in (try reader.u64(), try reader.bytes(), try reader.bytes()) }
    guard all.count == 32, last.count == 16 else { throw .deviceError }
    status.pointee.ulFrameCount = UInt(count)
    withUnsafeMutableBytes(of: &status.pointee.sha256) { $0.copyBytes(from: all) }
    withUnsafeMutableBytes(of: &status.pointee.lastMD5) { $0.copyBytes(from: last) }
  }
}

@c @implementation
public func strongroom_WriteContactSheet(_ session: CK_SESSION_HANDLE) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    try session.ask(
      try session.peripherals(), PeripheralsOperation.contactSheet.rawValue, options: .long, writing: { _ in },
      reading: { _ in })
  }
}
