import Mechanisms
import Wire

/// `encryptMessage` and `decryptMessage`: one message of a message-based operation with AES-GCM (PKCS#11 3.2, 5.9 and
/// 5.11), whole. Input: the associated data, then the message. Output: the other form of the message, as long.
/// Reply of `encryptMessage`: the tag (bytes).
public struct MessageOperation: TokenRequest {
  public var session: SessionReference
  public var key: UInt64
  /// CKM_AES_GCM with the message's IV and tag length, and without associated data.
  public var mechanism: Mechanism
  /// The number of bytes at the beginning of the input that are associated data.
  public var associatedByteCount: UInt64
  /// The tag, of a message that is decrypted.
  public var tag: ShortBytes

  public init(
    session: SessionReference, key: UInt64, mechanism: Mechanism, associatedByteCount: UInt64,
    tag: ShortBytes = ShortBytes()
  ) {
    self.session = session
    self.key = key
    self.mechanism = mechanism
    self.associatedByteCount = associatedByteCount
    self.tag = tag
  }

  public init(from reader: inout WireReader) throws(WireError) {
    session = try SessionReference(from: &reader)
    key = try reader.u64()
    mechanism = try Mechanism(from: &reader)
    associatedByteCount = try reader.u64()
    tag = try reader.shortBytes()
  }

  public func write(to writer: inout WireWriter) {
    session.write(to: &writer)
    writer.u64(key)
    mechanism.write(to: &writer)
    writer.u64(associatedByteCount)
    writer.bytes(tag)
  }
}
