import Mechanisms
import Wire

/// The operations of the restricted memory service. Buffers are objects; an object's id means something to its own client only.
public enum RestrictedMemoryOperation: UInt32, Sendable {
  /// Request: use-case (UInt32), bytes (UInt64). Reply: a `BufferReply`.
  case allocate = 1
  /// Descriptor: a buffer's. Reply: a `BufferReply`.
  case importBuffer = 2
}

/// The operations of a restricted buffer.
public enum BufferOperation: UInt32, Sendable {
  /// Reply descriptor: one that stands for the buffer.
  case export = 1
  /// Request: offset (UInt64). Input: the clear bytes.
  case write = 2
}

/// The operations of the peripherals service.
public enum PeripheralsOperation: UInt32, Sendable {
  /// Request: codec (UInt32), its configuration (bytes). Reply: the stream object's id (UInt64).
  case openDecoder = 1
  /// Request: a buffer's object id (UInt64), whether a completion descriptor is wanted (bool). Reply descriptor: that.
  case present = 2
  /// Reply: frame count (UInt64), SHA-256 over all frames (32 bytes), MD5 of the last (16 bytes).
  case displayStatus = 3
  case contactSheet = 4
}

/// The operations of a decoder stream.
public enum StreamOperation: UInt32, Sendable {
  /// Request: a `DecodeRequest`, then the most frames to answer (UInt32). Reply: a count (UInt32), as many `FrameReply`.
  case decode = 1
}

/// What the secure world answers about a restricted memory operation beside CKR_OK and the generic errors, as CKR_ values of
/// the vendor interface (include/strongroom.h).
public enum RestrictedResult {
  public static let bufferRevoked: UInt32 = 0xd352_0001
  public static let offsetRange: UInt32 = 0xd352_0002
  public static let useCaseInvalid: UInt32 = 0xd352_0003
  public static let descriptorInvalid: UInt32 = 0xd352_0004
  public static let accessDenied: UInt32 = 0xd352_0005
  public static let peripheralUnavailable: UInt32 = 0xd352_0006
  public static let bitstreamInvalid: UInt32 = 0xd352_0007
  public static let sampleInvalid: UInt32 = 0xd352_0008
}

/// A buffer that was allocated or imported.
public struct BufferReply: Sendable, Equatable {
  public var object: UInt64
  public var useCase: UInt32
  public var byteCount: UInt64

  public init(object: UInt64, useCase: UInt32, byteCount: UInt64) {
    self.object = object
    self.useCase = useCase
    self.byteCount = byteCount
  }

  public init(from reader: inout WireReader) throws(WireError) {
    object = try reader.u64()
    useCase = try reader.u32()
    byteCount = try reader.u64()
  }

  public func write(to writer: inout WireWriter) {
    writer.u64(object)
    writer.u32(useCase)
    writer.u64(byteCount)
  }
}

/// A place in a restricted buffer.
public struct BufferPlace: Sendable, Equatable {
  public var buffer: UInt64
  public var offset: UInt64

  public init(buffer: UInt64, offset: UInt64) {
    self.buffer = buffer
    self.offset = offset
  }

  public init(from reader: inout WireReader) throws(WireError) {
    buffer = try reader.u64()
    offset = try reader.u64()
  }

  public func write(to writer: inout WireWriter) {
    writer.u64(buffer)
    writer.u64(offset)
  }
}

/// `decryptInto`: a whole decryption into a buffer. Input: the ciphertext. Reply: the count of plaintext bytes (UInt64).
/// `beginInto` is the same request without input; its place is not looked at.
public struct DecryptInto: TokenRequest {
  public var operation: KeyOperation
  public var place: BufferPlace

  public init(operation: KeyOperation, place: BufferPlace) {
    self.operation = operation
    self.place = place
  }

  public init(from reader: inout WireReader) throws(WireError) {
    operation = try KeyOperation(from: &reader)
    place = try BufferPlace(from: &reader)
  }

  public func write(to writer: inout WireWriter) {
    operation.write(to: &writer)
    place.write(to: &writer)
  }
}

/// `updateInto` (input: the next part) and `finishInto`. Reply: the count of plaintext bytes written (UInt64).
public struct ContinueInto: TokenRequest {
  public var session: SessionReference
  public var place: BufferPlace

  public init(session: SessionReference, place: BufferPlace) {
    self.session = session
    self.place = place
  }

  public init(from reader: inout WireReader) throws(WireError) {
    session = try SessionReference(from: &reader)
    place = try BufferPlace(from: &reader)
  }

  public func write(to writer: inout WireWriter) {
    session.write(to: &writer)
    place.write(to: &writer)
  }
}

/// One Common Encryption sample of a batch; its bytes are the next `byteCount` of the input.
public struct SampleRequest: Sendable, Equatable {
  public var byteCount: UInt64
  /// 16 bytes.
  public var iv: ShortBytes
  public var place: BufferPlace
  /// Clear and protected byte counts, in turn. Empty: all bytes are protected.
  public var subsamples: [(clear: UInt32, protected: UInt32)]

  public init(
    byteCount: UInt64, iv: ShortBytes, place: BufferPlace, subsamples: [(clear: UInt32, protected: UInt32)]
  ) {
    self.byteCount = byteCount
    self.iv = iv
    self.place = place
    self.subsamples = subsamples
  }

  public static func == (a: SampleRequest, b: SampleRequest) -> Bool {
    a.byteCount == b.byteCount && a.iv == b.iv && a.place == b.place
      && a.subsamples.elementsEqual(b.subsamples) { $0.clear == $1.clear && $0.protected == $1.protected }
  }
}

/// `decryptSamples`: a batch in one crossing. Input: the samples, one after the other.
public struct DecryptSamples: TokenRequest {
  public var session: SessionReference
  /// 0 when all bytes of all samples are clear.
  public var key: UInt64
  /// The scheme's four characters.
  public var scheme: UInt32
  public var cryptBlockCount: UInt8
  public var skipBlockCount: UInt8
  public var samples: [SampleRequest]

  public init(
    session: SessionReference, key: UInt64, scheme: UInt32, cryptBlockCount: UInt8, skipBlockCount: UInt8,
    samples: [SampleRequest]
  ) {
    self.session = session
    self.key = key
    self.scheme = scheme
    self.cryptBlockCount = cryptBlockCount
    self.skipBlockCount = skipBlockCount
    self.samples = samples
  }

  public init(from reader: inout WireReader) throws(WireError) {
    session = try SessionReference(from: &reader)
    key = try reader.u64()
    scheme = try reader.u32()
    cryptBlockCount = try reader.u8()
    skipBlockCount = try reader.u8()
    let count = try reader.count(ofElementsAtLeast: 48, atMost: RequestLimits.samples)
    samples = []
    samples.reserveCapacity(count)
    for _ in 0..<count {
      let byteCount = try reader.u64()
      let iv = try reader.shortBytes()
      let place = try BufferPlace(from: &reader)
      let subsampleCount = try reader.count(ofElementsAtLeast: 8)
      var subsamples: [(clear: UInt32, protected: UInt32)] = []
      subsamples.reserveCapacity(subsampleCount)
      for _ in 0..<subsampleCount { subsamples.append((try reader.u32(), try reader.u32())) }
      samples.append(SampleRequest(byteCount: byteCount, iv: iv, place: place, subsamples: subsamples))
    }
  }

  public func write(to writer: inout WireWriter) {
    session.write(to: &writer)
    writer.u64(key)
    writer.u32(scheme)
    writer.u8(cryptBlockCount)
    writer.u8(skipBlockCount)
    writer.u32(UInt32(truncatingIfNeeded: samples.count))
    for sample in samples {
      writer.u64(sample.byteCount)
      writer.bytes(sample.iv)
      sample.place.write(to: &writer)
      writer.u32(UInt32(truncatingIfNeeded: sample.subsamples.count))
      for (clear, protected) in sample.subsamples {
        writer.u32(clear)
        writer.u32(protected)
      }
    }
  }
}

/// `decode`: one access unit in a buffer, or with a byte count of 0 the end of the stream.
public struct DecodeRequest: TokenRequest {
  public var place: BufferPlace
  public var byteCount: UInt64
  /// A signed number in two's complement.
  public var timestamp: UInt64

  public init(place: BufferPlace, byteCount: UInt64, timestamp: UInt64) {
    self.place = place
    self.byteCount = byteCount
    self.timestamp = timestamp
  }

  public init(from reader: inout WireReader) throws(WireError) {
    place = try BufferPlace(from: &reader)
    byteCount = try reader.u64()
    timestamp = try reader.u64()
  }

  public func write(to writer: inout WireWriter) {
    place.write(to: &writer)
    writer.u64(byteCount)
    writer.u64(timestamp)
  }
}

/// A picture that came out of the decoder, in a buffer of its own.
public struct FrameReply: Sendable, Equatable {
  public var buffer: BufferReply
  public var width: UInt32
  public var height: UInt32
  /// As it was given with the access unit, in two's complement.
  public var timestamp: UInt64

  public init(buffer: BufferReply, width: UInt32, height: UInt32, timestamp: UInt64) {
    self.buffer = buffer
    self.width = width
    self.height = height
    self.timestamp = timestamp
  }

  public init(from reader: inout WireReader) throws(WireError) {
    buffer = try BufferReply(from: &reader)
    width = try reader.u32()
    height = try reader.u32()
    timestamp = try reader.u64()
  }

  public func write(to writer: inout WireWriter) {
    buffer.write(to: &writer)
    writer.u32(width)
    writer.u32(height)
    writer.u64(timestamp)
  }
}
