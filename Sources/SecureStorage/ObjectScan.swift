import CryptoCore
import Glibc
import LinuxSystem

/// Rows of the objects table, with their sealed parts in one piece of memory.
struct RowBatch: Sendable {
  struct Row {
    let id: UInt64
    /// Nil when the column holds no slot number.
    let token: UInt32?
    let version: UInt64
    let privateVersion: UInt64
    let publicByteCount: Int
    /// Nil when there is no private part.
    let privateByteCount: Int?
  }

  /// As much as is handed over at once.
  static let byteCount = 256 << 10

  private(set) var rows: [Row] = []
  /// The sealed parts one after another, in the order of the rows, the public one first.
  private(set) var bytes: [UInt8] = []

  init() { bytes.reserveCapacity(Self.byteCount + 8192) }

  var isFull: Bool { bytes.count >= Self.byteCount }

  mutating func append(_ row: borrowing Statement) {
    let hasPrivatePart = !row.isNull(5)
    let publicPart = row.bytes(4)
    bytes.append(contentsOf: publicPart)
    var privateByteCount: Int?
    if hasPrivatePart {
      let privatePart = row.bytes(5)
      bytes.append(contentsOf: privatePart)
      privateByteCount = privatePart.count
    }
    rows.append(
      Row(
        id: row.uint64(0), token: row.uint32(1), version: row.uint64(2), privateVersion: row.uint64(3),
        publicByteCount: publicPart.count, privateByteCount: privateByteCount))
  }
}

/// The walk over all objects when a store is opened: one thread reads rows, another checks them.
///
/// `@unchecked Sendable`: the checking thread alone touches what is found until it has been joined; the rest is touched
/// with `monitor` held.
final class ObjectScan: @unchecked Sendable {
  private let keys: StoreKeys

  // What is found.
  private(set) var digest = SetDigest()
  private(set) var count: UInt64 = 0
  private(set) var largestID: UInt64 = 0
  private(set) var damaged: [RecordName] = []
  /// The objects that are sound, by token, in the order of their ids.
  private(set) var objects: [UInt32: [StoredObject]] = [:]
  /// The sound objects of one token that were found last, not yet among the above.
  private var run: (token: UInt32, objects: [StoredObject]) = (0, [])
  /// What the private objects of a token service have for a public part is always the same.
  private var lastPublicPart: [UInt8] = []

  // What waits to be checked.
  private let monitor = Monitor()
  private var waiting: [RowBatch] = []
  private var isComplete = false
  private var failure: StorageError?

  init(_ keys: StoreKeys) { self.keys = keys }

  /// Reads all objects of `database` and checks them.
  func run(_ database: Database) throws(StorageError) {
    let columns = "id, token, version, private_version, public, private"
    var checker: LinuxSystem.Thread?
    var batch = RowBatch()
    var readFailure: StorageError?
    do throws(StorageError) {
      try database.rows("SELECT \(columns) FROM objects ORDER BY id") { (row) throws(StorageError) in
        batch.append(row)
        guard batch.isFull else { return }
        // Not for a store of a few objects. Without another thread this one does it all.
        if checker == nil { checker = try? startThread(name: "scan") { self.checkAll() } }
        if checker == nil { try check(batch) } else { hand(batch) }
        batch = RowBatch()
      }
    } catch {
      readFailure = error
    }
    if let checker = checker.take() {
      hand(batch, isLast: true)
      checker.join()
    } else if readFailure == nil {
      try check(batch)
    }
    if let failure = readFailure ?? failure { throw failure }
    endRun()
  }

  private func endRun() {
    if objects[run.token]?.append(contentsOf: run.objects) == nil { objects[run.token] = run.objects }
    run.objects = []
  }

  private func hand(_ batch: RowBatch, isLast: Bool = false) {
    monitor.lock()
    waiting.append(batch)
    isComplete = isLast
    monitor.wakeAll()
    monitor.unlock()
  }

  /// What the checking thread does.
  private func checkAll() {
    while true {
      monitor.lock()
      while waiting.isEmpty, !isComplete { monitor.wait() }
      let batches = waiting
      waiting = []
      let ends = isComplete
      monitor.unlock()
      do throws(StorageError) {
        for batch in batches where failure == nil { try check(batch) }
      } catch {
        failure = error
      }
      if ends { return }
    }
  }

  private func check(_ batch: RowBatch) throws(StorageError) {
    var place = 0
    for row in batch.rows {
      let publicEnd = place + row.publicByteCount
      let end = publicEnd + (row.privateByteCount ?? 0)
      let range = place..<publicEnd
      place = end
      let token = row.token ?? .max
      let record = RecordIdentity(.object, token: token, id: row.id, version: row.version)
      digest.add(try keys.digestElement(of: record))
      count += 1
      largestID = max(largestID, row.id)
      let privatePart = row.privateByteCount.map { _ in
        SealedPrivatePart(bytes: batch.bytes[publicEnd..<end], version: row.privateVersion)
      }
      let opened = try batch.bytes.span.withUnsafeBytes { (bytes) throws(StorageError) in
        try keys.openPublicPart(UnsafeRawBufferPointer(rebasing: bytes[range]), of: record, beside: privatePart)
      }
      guard row.token != nil, let opened else {
        damaged.append(.object(token: token, id: row.id))
        continue
      }
      if opened != lastPublicPart { lastPublicPart = opened }
      if run.token != token {
        endRun()
        run.token = token
      }
      run.objects.append(
        StoredObject(token: token, id: row.id, publicPart: lastPublicPart, privatePart: privatePart))
    }
  }
}
