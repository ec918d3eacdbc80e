import Glibc
import LinuxSystem

/// A message on the control socket: a head of 64 bytes, then the payload.
///
/// One SEQPACKET connection per client process. The client asks, the server answers each message once, in order;
/// the connection's end is the end of the client, or of the server. Numbers are little-endian.
///
///     +0   4  kind
///     +4   4  number, chosen by the client and given back
///     +8   8  object id                                  (invoke, answer to shareMemory)
///    +16   4  operation                                  (invoke)
///    +20   4  flags: 1 = payload in the first descriptor, a memory file
///    +24   4  length of the message, bytes               (invoke and its answer)
///    +28   4  errno                                      (answers)
///    +32   8  length of the input, or of the output, bytes; of the published region (answer to hello), of the
///             memory that is asked for (shareMemory), of what there is (its answer)
///    +40   8  capacity of the client's output, bytes     (invoke)
///    +48   4  result                                     (answer to invoke)
///    +52   4  protocol version                           (hello and its answer)
///    +56   4  magic                                      (hello and its answer)
///    +60   4  zero
///
/// The payload of an invocation is the request message, then the input; that of its answer the reply message, then
/// the output. Descriptors come with the message; a payload of more than `inlinePayloadLimit` bytes goes through a
/// memory file that is the first of them.
struct ControlMessage {
  enum Kind: UInt32 {
    case hello = 1
    case openChannel = 2
    case invoke = 3
    /// Makes memory that both sides map: the answer has its object id and the descriptor to map.
    case shareMemory = 4
  }

  static let byteCount = 64
  static let magic: UInt32 = 0x5653_5253  // "SRSV"
  static let version: UInt32 = 1
  static let inlinePayloadLimit = 64 << 10
  static let payloadInMemoryFile: UInt32 = 1
  /// How many descriptors an invocation or its answer may carry, the memory file not counted.
  static let descriptorLimit = 64

  var kind: UInt32 = 0
  var number: UInt32 = 0
  var object: UInt64 = 0
  var operation: UInt32 = 0
  var flags: UInt32 = 0
  var messageByteCount: UInt32 = 0
  var errno: Int32 = 0
  var bulkByteCount: UInt64 = 0
  var outputCapacity: UInt64 = 0
  var result: UInt32 = 0
  var version: UInt32 = 0
  var magic: UInt32 = 0

  init(_ kind: Kind, number: UInt32) {
    self.kind = kind.rawValue
    self.number = number
  }

  /// The head of a received message, nil when it is too short.
  init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= ControlMessage.byteCount else { return nil }
    func u32(_ offset: Int) -> UInt32 {
      UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    func u64(_ offset: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    kind = u32(0)
    number = u32(4)
    object = u64(8)
    operation = u32(16)
    flags = u32(20)
    messageByteCount = u32(24)
    errno = Int32(bitPattern: u32(28))
    bulkByteCount = u64(32)
    outputCapacity = u64(40)
    result = u32(48)
    version = u32(52)
    magic = u32(56)
  }

  /// Lends the head as it is sent.
  func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws(SystemError) -> R) throws(SystemError) -> R {
    var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
    func pair(_ low: UInt32, _ high: UInt32) -> UInt64 { (UInt64(low) | UInt64(high) << 32).littleEndian }
    words.0 = pair(kind, number)
    words.1 = object.littleEndian
    words.2 = pair(operation, flags)
    words.3 = pair(messageByteCount, UInt32(bitPattern: errno))
    words.4 = bulkByteCount.littleEndian
    words.5 = outputCapacity.littleEndian
    words.6 = pair(result, version)
    words.7 = pair(magic, 0)
    let copy = words
    return try withUnsafeBytesTyped(of: copy, body)
  }
}

/// `withUnsafeBytes` with a typed error, which the standard library's does not carry.
private func withUnsafeBytesTyped<T, R>(
  of value: T, _ body: (UnsafeRawBufferPointer) throws(SystemError) -> R
) throws(SystemError) -> R {
  let answer: Result<R, SystemError> = withUnsafeBytes(of: value) { bytes in
    do throws(SystemError) { return .success(try body(bytes)) } catch { return .failure(error) }
  }
  return try answer.get()
}

/// Writes `parts` into a new memory file.
func memoryFile(_ parts: [UnsafeRawBufferPointer]) throws(SystemError) -> CreatedRegion {
  var byteCount = 0
  for part in parts { byteCount += part.count }
  let created = try SharedRegion.create(name: "strongroom-payload", byteCount: max(byteCount, 1))
  var offset = 0
  for part in parts {
    if let base = part.baseAddress, part.count > 0 {
      (created.region.base + offset).copyMemory(from: base, byteCount: part.count)
    }
    offset += part.count
  }
  return created
}
