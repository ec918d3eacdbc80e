import CryptoCore
import Glibc

/// The rollback anchor: a file that stands for the authenticated counter of an RPMB partition.
///
/// Two slots on pages of their own hold `magic, store id, counter, HMAC`. A write goes to the slot that does not hold
/// the newest value, so a torn write leaves the other one.
final class Anchor {
  static let byteCount = 8192
  private static let slotOffsets = [0, 4096]
  private static let magic = Array("SRANCHR1".utf8)
  private static let recordByteCount = 8 + StoreKeys.storeIDByteCount + 8 + 32

  /// What one slot says.
  enum Slot: Equatable {
    case valid(UInt64)
    case otherStore
    case unreadable
  }

  /// What the file says to a store that holds `keys`.
  enum Reading: Equatable {
    case absent
    /// The newest counter. `torn`: the other slot was being written when the power failed, or was damaged.
    case counter(UInt64, torn: Bool)
    case unusable(String)
  }

  private let file: Int32
  private let path: String
  private let keys: StoreKeys
  private var nextSlot: Int

  private init(file: Int32, path: String, keys: StoreKeys, nextSlot: Int) {
    self.file = file
    self.path = path
    self.keys = keys
    self.nextSlot = nextSlot
  }

  deinit { close(file) }

  /// The store id that the file claims, unchecked; nil when there is no such file or it claims none.
  static func claimedStoreID(in directory: StoreDirectory) throws(StorageError) -> [UInt8]? {
    guard let content = try content(in: directory) else { return nil }
    for offset in slotOffsets {
      guard let slot = slotBytes(content, at: offset), slot.starts(with: magic) else { continue }
      return Array(slot[8..<8 + StoreKeys.storeIDByteCount])
    }
    return nil
  }

  static func read(in directory: StoreDirectory, keys: StoreKeys) throws(StorageError) -> Reading {
    guard let content = try content(in: directory) else { return .absent }
    return reading(of: try slots(content, keys))
  }

  /// Makes a file whose slots both hold `counter`, durable, in place of whatever was there, and opens it.
  static func create(in directory: StoreDirectory, keys: StoreKeys, counter: UInt64) throws(StorageError) -> Anchor {
    var content = [UInt8](repeating: 0, count: byteCount)
    let record = try record(counter: counter, keys)
    for offset in slotOffsets { content.replaceSubrange(offset..<offset + record.count, with: record) }
    try content.span.withUnsafeBytes { (bytes) throws(StorageError) in
      try directory.create(StoreDirectory.anchorName, content: bytes)
    }
    return try open(in: directory, keys: keys)
  }

  /// Opens a file that `read` found usable.
  static func open(in directory: StoreDirectory, keys: StoreKeys) throws(StorageError) -> Anchor {
    guard let content = try content(in: directory) else { throw .tampered("the anchor is missing") }
    let slots = try slots(content, keys)
    let counters = slots.map { slot -> UInt64? in if case .valid(let counter) = slot { counter } else { nil } }
    // The slot to write first: an unreadable one, else the older.
    let next = counters[0] == nil ? 0 : counters[1] == nil ? 1 : counters[0]! < counters[1]! ? 0 : 1
    let file = try directory.open(StoreDirectory.anchorName, O_RDWR)
    return Anchor(file: file, path: directory.path(of: StoreDirectory.anchorName), keys: keys, nextSlot: next)
  }

  /// Writes `counter`, which is that of a commit already durable.
  func write(_ counter: UInt64) throws(StorageError) {
    let record = try Self.record(counter: counter, keys)
    try record.span.withUnsafeBytes { (bytes) throws(StorageError) in
      try writeAll(bytes, to: file, at: Self.slotOffsets[nextSlot], path: path)
    }
    nextSlot = 1 - nextSlot
  }

  /// Makes what was written durable against power loss.
  func sync() throws(StorageError) {
    if fdatasync(file) != 0 { throw .fromErrno("fdatasync", path) }
  }

  private static func content(in directory: StoreDirectory) throws(StorageError) -> [UInt8]? {
    guard try directory.byteCount(of: StoreDirectory.anchorName) != nil else { return nil }
    let file = try directory.open(StoreDirectory.anchorName, O_RDONLY)
    defer { close(file) }
    var content = [UInt8](repeating: 0, count: byteCount)
    let count = content.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, 0) }
    if count < 0 { throw .fromErrno("read", directory.path(of: StoreDirectory.anchorName)) }
    return Array(content[..<count])
  }

  private static func slotBytes(_ content: [UInt8], at offset: Int) -> ArraySlice<UInt8>? {
    guard content.count >= offset + recordByteCount else { return nil }
    return ArraySlice(Array(content[offset..<offset + recordByteCount]))
  }

  private static func slots(_ content: [UInt8], _ keys: StoreKeys) throws(StorageError) -> [Slot] {
    var slots: [Slot] = []
    for offset in slotOffsets {
      guard let bytes = slotBytes(content, at: offset), bytes.starts(with: magic) else {
        slots.append(.unreadable)
        continue
      }
      guard Array(bytes[8..<24]) == keys.storeID else {
        slots.append(.otherStore)
        continue
      }
      let counter = bytes[24..<32].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      slots.append(constantTimeEqual(Array(bytes), try record(counter: counter, keys)) ? .valid(counter) : .unreadable)
    }
    return slots
  }

  private static func reading(of slots: [Slot]) -> Reading {
    switch (slots[0], slots[1]) {
    case (.valid(let first), .valid(let second)): .counter(max(first, second), torn: false)
    case (.valid(let counter), .unreadable), (.unreadable, .valid(let counter)): .counter(counter, torn: true)
    case (.otherStore, _), (_, .otherStore): .unusable("the anchor belongs to another store")
    case (.unreadable, .unreadable): .unusable("the anchor is damaged or was made with another device key")
    }
  }

  private static func record(counter: UInt64, _ keys: StoreKeys) throws(StorageError) -> [UInt8] {
    var record = magic + keys.storeID
    record.append(counter)
    let body = record
    record += try cryptography { () throws(CryptoError) in try keys.anchor.authenticate(body) }
    return record
  }
}
