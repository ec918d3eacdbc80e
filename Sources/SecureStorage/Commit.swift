import Glibc
import LinuxSystem
import Synchronization

/// A writer in line: its changes, and what became of them.
///
/// Whoever leads the line touches it until it signals; the writer itself before and after.
final class Writer {
  /// What the writer is told.
  enum Signal: UInt32 {
    case none
    /// It is its turn to lead the line.
    case lead
    /// It has its outcome.
    case done
  }

  let durability: AnchorDurability
  private var changes: ((borrowing Transaction) throws(StorageError) -> Void)?
  var outcome: Result<Void, StorageError>?
  private let word: SharedWord

  init(_ durability: AnchorDurability, _ changes: @escaping (borrowing Transaction) throws(StorageError) -> Void) {
    self.durability = durability
    self.changes = changes
    word = SharedWord(.allocate(byteCount: 4, alignment: 4))
    word.storeRelaxed(Signal.none.rawValue)
  }

  deinit { word.address.deallocate() }

  /// Makes the changes, once.
  func apply(_ transaction: borrowing Transaction) throws(StorageError) {
    guard let changes = changes.take() else { return }
    try changes(transaction)
  }

  /// Lets go of the changes, made or not. Its owner does so at the end, when nobody else looks at them: others may hold
  /// the writer a moment longer.
  func forgetChanges() { changes = nil }

  /// Tells a writer that waits.
  func signal(_ signal: Signal) {
    word.store(signal.rawValue)
    word.wake()
  }

  /// Sleeps until there is a signal.
  func wait() -> Signal {
    while true {
      if let signal = Signal(rawValue: word.load()), signal != .none { return signal }
      _ = word.wait(while: Signal.none.rawValue, timeout: nil)
    }
  }

  /// Sleeps until there is a signal, or `timeout` nanoseconds have passed; a wake-up without a reason counts as that.
  func wait(timeout: UInt64) { _ = word.wait(while: Signal.none.rawValue, timeout: timeout) }

  /// Forgets the signal it had, to wait for another.
  func resetSignal() { word.storeRelaxed(Signal.none.rawValue) }
}

/// How durable the anchor's counter is when a commit returns.
enum AnchorDurability {
  case againstKill
  case againstPowerLoss
}

extension SecureStore {
  private static let largestBatch = 64
  /// Nanoseconds.
  private static let longestGathering: UInt64 = 5_000_000

  /// Runs `body` and makes all its changes durable together; when it throws, none of them happens.
  ///
  /// Returns once the changes are on disk. Concurrent callers share a transaction, each keeping its own all-or-nothing: one of
  /// them runs all their closures. `body` therefore must not wait for what its caller holds, nor call the store but
  /// through its argument.
  /// Throws what `body` throws, `.noSpace` (the store stays usable), or `.io` and `.failed`.
  public func commit<T>(_ body: (borrowing Transaction) throws(StorageError) -> T) throws(StorageError) -> T {
    try commit(anchor: .againstKill, body)
  }

  func commit<T>(
    anchor durability: AnchorDurability, _ body: (borrowing Transaction) throws(StorageError) -> T
  ) throws(StorageError) -> T {
    var value: T?
    try withoutActuallyEscaping(body) { (body) throws(StorageError) in
      try commit(Writer(durability) { (transaction) throws(StorageError) in value = try body(transaction) })
    }
    guard let value else { throw .failed("a commit ended without its changes") }
    return value
  }

  private func commit(_ writer: Writer) throws(StorageError) {
    defer { writer.forgetChanges() }
    monitor.lock()
    waitingWriters.append(writer)
    let isAlone = !isLed
    isLed = true
    let isAwaited = isGathering && waitingWriters.count >= expectedWriters
    if isAwaited { isGathering = false }
    monitor.unlock()
    // The last one who was waited for leads, so that nobody has to be woken for it.
    if isAwaited || ((isAlone || writer.wait() == .lead) && gather(writer)) {
      lead(writer)
    } else {
      _ = writer.wait()
    }
    try writer.outcome?.get()
  }

  /// Waits for more writers if more are expected; false when one of them has taken the lead.
  ///
  /// Those who shared the last commit were let go a moment ago and may be on their way back. Going without them costs them the
  /// time of a commit, so half of that is waited, and never more than `longestGathering`: a disk may have stalled.
  private func gather(_ writer: Writer) -> Bool {
    monitor.lock()
    if waitingWriters.count >= expectedWriters {
      monitor.unlock()
      return true
    }
    isGathering = true
    writer.resetSignal()
    monitor.unlock()
    writer.wait(timeout: min(lastCommitNanoseconds / 2, Self.longestGathering))
    monitor.lock()
    let leads = isGathering
    isGathering = false
    monitor.unlock()
    return leads
  }

  /// Commits for all who are in line, `writer` among them, and hands the line over.
  private func lead(_ writer: Writer) {
    monitor.lock()
    // Readers that found a transaction open come before the next one.
    while waitingReaders > 0 { monitor.wait() }
    isWriting = true
    let batch = Array(waitingWriters.prefix(Self.largestBatch))
    waitingWriters.removeFirst(batch.count)
    monitor.unlock()

    // Those who waited for the last commit have gone on meanwhile.
    if database.logFrameCount >= Self.checkpointFrameCount { database.checkpoint() }
    let start = MonotonicClock.now()
    write(batch)

    monitor.lock()
    lastCommitNanoseconds = MonotonicClock.now() - start
    expectedWriters = min(batch.count + waitingWriters.count, Self.largestBatch)
    isWriting = false
    let next = waitingWriters.first
    isLed = next != nil
    if waitingReaders > 0 { monitor.wakeAll() }
    monitor.unlock()
    next?.signal(.lead)
    for other in batch where other !== writer { other.signal(.done) }
  }

  /// Makes the changes of all, syncs them, and gives each its outcome. The database is the calling thread's own meanwhile.
  private func write(_ batch: [Writer]) {
    if let failure {
      for writer in batch { writer.outcome = .failure(failure) }
      return
    }
    readAtOpening = [:]
    var joined: [Writer] = []
    for writer in batch {
      do throws(StorageError) {
        if joined.isEmpty { try applyFirst(writer) } else { try applyNext(writer) }
        joined.append(writer)
      } catch {
        writer.outcome = .failure(error)
        // SQLite gave up the whole transaction: nobody in it has changed anything.
        guard database.isOutsideTransaction else { continue }
        working = durable
        for other in joined { other.outcome = .failure(error) }
        joined = []
      }
    }
    if joined.isEmpty { return }
    let syncsAnchor = joined.contains { $0.durability == .againstPowerLoss }
    let outcome: Result<Void, StorageError>
    do throws(StorageError) {
      try finish(syncsAnchor: syncsAnchor)
      outcome = .success(())
    } catch {
      outcome = .failure(error)
    }
    for writer in joined { writer.outcome = outcome }
  }

  /// Begins a transaction with a writer's changes; on an error there is none.
  private func applyFirst(_ writer: Writer) throws(StorageError) {
    try statements.begin.run()
    do throws(StorageError) {
      try writer.apply(Transaction(self))
    } catch {
      if !database.isOutsideTransaction { try? statements.rollback.run() }
      working = durable
      throw error
    }
  }

  /// Adds a writer's changes to the open transaction; an error undoes them alone, unless it ended the transaction.
  private func applyNext(_ writer: Writer) throws(StorageError) {
    let before = working
    do throws(StorageError) {
      try statements.savepoint.run()
      try writer.apply(Transaction(self))
      try statements.release.run()
    } catch {
      if database.isOutsideTransaction { throw error }
      do throws(StorageError) {
        try statements.rollbackToSavepoint.run()
        try statements.release.run()
        working = before
      } catch {
        try? statements.rollback.run()
      }
      throw error
    }
  }

  /// Commits the open transaction.
  private func finish(syncsAnchor: Bool) throws(StorageError) {
    guard working != durable else {
      try? statements.rollback.run()
      return
    }
    do throws(StorageError) {
      working.counter = durable.counter + 1
      // At least what was given to the objects in here.
      working.nextObjectID = nextObjectID.load(ordering: .relaxed)
      try statements.putState.bind(1, try working.sealed(keys))
      try statements.putState.run()
      try statements.commit.run()
    } catch {
      if !database.isOutsideTransaction { try? statements.rollback.run() }
      if case .failed = error { failure = error }
      working = durable
      throw error
    }
    durable = working
    transactionCount &+= 1
    do throws(StorageError) {
      try anchor.write(durable.counter)
      if syncsAnchor { try anchor.sync() }
    } catch {
      // This commit is durable and reported so; without its anchor there must not be another.
      failure = .failed("the anchor cannot be written: \(error)")
    }
  }
}
