import CryptoCore

/// A token's record: the bytes are the token service's (label, serial number, flags), sealed under the device key.
public struct StoredToken: Equatable, Sendable {
  public let token: UInt32
  public let content: [UInt8]

  public init(token: UInt32, content: [UInt8]) {
    self.token = token
    self.content = content
  }
}

/// The private part of an object as it is stored: readable only with its `PrivatePartKey`.
public struct SealedPrivatePart: Equatable, Sendable {
  /// Of objects that were read together, each has its place in the same memory.
  let bytes: ArraySlice<UInt8>
  let version: UInt64

  /// The plaintext's byte count.
  public var byteCount: Int { max(bytes.count - Seal.overhead, 0) }

  /// Appends what ties the part to its object's public part: version, length, nonce and tag.
  func appendBinding(to data: inout AssociatedData) {
    data.append(version)
    data.append(UInt32(truncatingIfNeeded: bytes.count))
    bytes.withUnsafeBytes { bytes in
      data.append(UnsafeRawBufferPointer(rebasing: bytes.prefix(Seal.nonceByteCount)))
      data.append(UnsafeRawBufferPointer(rebasing: bytes.suffix(AES256GCM.tagByteCount)))
    }
  }
}

/// A token object as it is stored, its public part opened and authentic.
public struct StoredObject: Equatable, Sendable {
  public let token: UInt32
  /// Given by the store, growing, never used for another object.
  public let id: UInt64
  public let publicPart: [UInt8]
  public let privatePart: SealedPrivatePart?
}

/// A new object, sealed and not yet written.
public struct PreparedObject: Sendable {
  let object: StoredObject
  let version: UInt64
  let sealedPublicPart: [UInt8]
  let digestElement: SetDigest
}

/// The key of a token's private parts: needs the device key and, but for public objects' secrets, the token key.
public final class PrivatePartKey: Sendable {
  let token: UInt32
  let key: AES256GCM

  init(token: UInt32, key: AES256GCM) {
    self.token = token
    self.key = key
  }
}

/// What becomes of an object's private part in an update.
public enum PrivatePartChange: Sendable {
  /// Stays as it is; no key needed.
  case kept
  case removed
  case replaced(SecretBytes, PrivatePartKey)
}

/// A new private part: the bytes and the key to seal them under.
public struct NewPrivatePart: Sendable {
  public let content: SecretBytes
  public let key: PrivatePartKey

  public init(_ content: SecretBytes, key: PrivatePartKey) {
    self.content = content
    self.key = key
  }
}

extension StoreKeys {
  /// The object in a row of `SELECT id, token, version, private_version, public, private`; nil when it is damaged.
  func object(in row: Statement) throws(StorageError) -> StoredObject? {
    guard let token = row.uint32(1) else { return nil }
    let id = row.uint64(0)
    let privatePart = row.isNull(5) ? nil : SealedPrivatePart(bytes: [UInt8](row.bytes(5))[...], version: row.uint64(3))
    let record = RecordIdentity(.object, token: token, id: id, version: row.uint64(2))
    guard let publicPart = try openPublicPart(row.bytes(4), of: record, beside: privatePart) else { return nil }
    return StoredObject(token: token, id: id, publicPart: publicPart, privatePart: privatePart)
  }

  /// Nil when the part is damaged, or `privatePart` is not the one that belongs to it.
  func openPublicPart(
    _ sealed: UnsafeRawBufferPointer, of record: RecordIdentity, beside privatePart: SealedPrivatePart?
  ) throws(StorageError) -> [UInt8]? {
    try Seal.open(
      sealed, key: self.record, authenticating: associatedData(of: record, .publicPart, beside: privatePart))
  }

  func sealPublicPart(
    _ content: [UInt8], of record: RecordIdentity, beside privatePart: SealedPrivatePart?
  ) throws(StorageError) -> [UInt8] {
    let associatedData = associatedData(of: record, .publicPart, beside: privatePart)
    return try content.span.withUnsafeBytes { (content) throws(StorageError) in
      try Seal.close(content, key: self.record, authenticating: associatedData, numbers: numbers)
    }
  }

  func sealPrivatePart(
    _ content: SecretBytes, of record: RecordIdentity, with key: PrivatePartKey
  ) throws(StorageError) -> SealedPrivatePart {
    let associatedData = associatedData(of: record, .privatePart)
    let sealed = try content.withBytes { (content) throws(StorageError) in
      try Seal.close(content, key: key.key, authenticating: associatedData, numbers: numbers)
    }
    return SealedPrivatePart(bytes: sealed[...], version: record.version)
  }

  /// Opens a private part into `output`, which has room for it, and answers its byte count; nil when it is damaged or
  /// `key` is not its key.
  func openPrivatePart(
    _ part: SealedPrivatePart, token: UInt32, id: UInt64, with key: PrivatePartKey,
    into output: UnsafeMutableRawBufferPointer
  ) throws(StorageError) -> Int? {
    let record = RecordIdentity(.object, token: token, id: id, version: part.version)
    let associatedData = associatedData(of: record, .privatePart)
    return try part.bytes.span.withUnsafeBytes { (sealed) throws(StorageError) in
      try Seal.open(sealed, key: key.key, authenticating: associatedData, into: output)
    }
  }

  func sealWhole(_ content: [UInt8], of record: RecordIdentity) throws(StorageError) -> [UInt8] {
    let associatedData = associatedData(of: record, .whole)
    return try content.span.withUnsafeBytes { (content) throws(StorageError) in
      try Seal.close(content, key: self.record, authenticating: associatedData, numbers: numbers)
    }
  }

  func openWhole(
    _ sealed: UnsafeRawBufferPointer, of record: RecordIdentity
  ) throws(StorageError) -> [UInt8]? {
    try Seal.open(sealed, key: self.record, authenticating: associatedData(of: record, .whole))
  }
}
