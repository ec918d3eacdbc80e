import Cryptoki
import ObjectInvoke
import TokenProtocol
import Wire

/// What came of a request with bulk output.
enum Transfer: Equatable, Sendable {
  /// The number of bytes that were written.
  case done(Int)
  /// CKR_BUFFER_TOO_SMALL, with the number of bytes that are needed; what was asked for can be asked for again.
  case tooSmall(Int)
}

/// A request message without fields.
struct NoFields: TokenRequest {
  init() {}
  init(from reader: inout WireReader) throws(WireError) {}
  func write(to writer: inout WireWriter) {}
}

extension Slot {
  /// One crossing with a reply. Throws the CKR that the token answers, CKR_DEVICE_REMOVED when the secure world has
  /// died.
  @inline(__always)
  func request<Request: TokenRequest, Reply>(
    _ operation: TokenOperation, _ request: Request, input: InputSegments = InputSegments(),
    options: InvokeOptions = [], reading read: (inout WireReader) throws(WireError) -> Reply
  ) throws(ReturnValue) -> Reply {
    try self.request(
      operation, writing: { request.write(to: &$0) }, input: input, options: options, reading: read)
  }

  /// The same with a request that `write` writes.
  @inline(__always)
  func request<Reply>(
    _ operation: TokenOperation, writing write: (inout WireWriter) -> Void, input: InputSegments = InputSegments(),
    options: InvokeOptions = [], reading read: (inout WireReader) throws(WireError) -> Reply
  ) throws(ReturnValue) -> Reply {
    var reply: Reply?
    let answer = try connection.invoke(
      token, operation.rawValue, options: options, input: input,
      output: UnsafeMutableRawBufferPointer(start: nil, count: 0), writing: write
    ) { (result, reader) throws(WireError) in
      if result == 0 { reply = try read(&reader) }
    }
    guard answer.result == 0, let reply else { throw ReturnValue(rawValue: UInt(answer.result)) }
    return reply
  }

  /// One crossing whose reply is empty.
  func request<Request: TokenRequest>(
    _ operation: TokenOperation, _ request: Request, options: InvokeOptions = []
  ) throws(ReturnValue) {
    try self.request(operation, request, options: options, reading: { _ in })
  }

  /// One crossing with bulk output. Throws as `request` does, but for CKR_BUFFER_TOO_SMALL.
  @inline(__always)
  func transfer<Request: TokenRequest>(
    _ operation: TokenOperation, _ request: Request, input: InputSegments = InputSegments(),
    output: UnsafeMutableRawBufferPointer, options: InvokeOptions = []
  ) throws(ReturnValue) -> Transfer {
    try transfer(
      operation, writing: { request.write(to: &$0) }, input: input, output: output, options: options)
  }

  /// The same with a request that `write` writes.
  @inline(__always)
  func transfer(
    _ operation: TokenOperation, writing write: (inout WireWriter) -> Void, input: InputSegments = InputSegments(),
    output: UnsafeMutableRawBufferPointer, options: InvokeOptions = []
  ) throws(ReturnValue) -> Transfer {
    var needed: UInt64 = 0
    let answer = try connection.invoke(
      token, operation.rawValue, options: options, input: input, output: output, writing: write
    ) { (_, reader) throws(WireError) in
      if reader.remaining > 0 { needed = try reader.u64() }
    }
    switch ReturnValue(rawValue: UInt(answer.result)) {
    case .ok: return .done(answer.outputByteCount)
    case .bufferTooSmall: return .tooSmall(Int(clamping: needed))
    case let refused: throw refused
    }
  }
}
