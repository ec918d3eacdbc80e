import CryptoCore
import Wire

/// What is true of the whole store; the content of the sealed state row.
struct StoreState: Equatable {
  private static let format: UInt32 = 1

  var schemaVersion: Int64
  /// The number of commits since the store was made.
  var counter: UInt64 = 0
  /// Object ids only grow, so that an id is never used twice.
  var nextObjectID: UInt64 = 1
  var recordCount: UInt64 = 0
  var digest = SetDigest()

  mutating func add(_ record: RecordIdentity, _ keys: StoreKeys) throws(StorageError) {
    add(try keys.digestElement(of: record))
  }

  /// Adds a record by what it adds to the digest.
  mutating func add(_ element: SetDigest) {
    digest.add(element)
    recordCount &+= 1
  }

  mutating func remove(_ record: RecordIdentity, _ keys: StoreKeys) throws(StorageError) {
    digest.remove(try keys.digestElement(of: record))
    recordCount &-= 1  // may pass 0 when rows were pasted in meanwhile; the next opening finds the difference
  }

  func sealed(_ keys: StoreKeys) throws(StorageError) -> [UInt8] {
    var writer = WireWriter()
    writer.u32(Self.format)
    writer.u64(UInt64(bitPattern: schemaVersion))
    writer.u64(counter)
    writer.u64(nextObjectID)
    writer.u64(recordCount)
    writer.u64(digest.words.0)
    writer.u64(digest.words.1)
    writer.u64(digest.words.2)
    writer.u64(digest.words.3)
    return try writer.withMessage { (message) throws(StorageError) in
      try Seal.close(
        message, key: keys.state, authenticating: Self.associatedData(keys), numbers: keys.numbers)
    }
  }

  /// The state in a sealed row, nil when the row is not one that this store's device key sealed.
  init?(opening sealed: UnsafeRawBufferPointer, _ keys: StoreKeys) throws(StorageError) {
    let associatedData = Self.associatedData(keys)
    let opened: [UInt8]? = try Seal.open(sealed, key: keys.state, authenticating: associatedData)
    guard let opened else { return nil }
    let state = opened.withUnsafeBytes { bytes in try? Self.parsed(WireReader(bytes)) }
    guard let state else { return nil }
    self = state
  }

  init(schemaVersion: Int64, counter: UInt64) {
    self.schemaVersion = schemaVersion
    self.counter = counter
  }

  private static func parsed(_ message: WireReader) throws(WireError) -> StoreState {
    var reader = message
    guard try reader.u32() == format else { throw .invalid }
    var state = StoreState(schemaVersion: Int64(bitPattern: try reader.u64()), counter: try reader.u64())
    state.nextObjectID = try reader.u64()
    state.recordCount = try reader.u64()
    state.digest.words = (try reader.u64(), try reader.u64(), try reader.u64(), try reader.u64())
    try reader.end()
    return state
  }

  private static func associatedData(_ keys: StoreKeys) -> AssociatedData {
    keys.associatedData(of: RecordIdentity(.state, token: 0, id: 0, version: 0), .whole)
  }
}
