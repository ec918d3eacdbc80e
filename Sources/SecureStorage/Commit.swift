import Glibc
import Synchronization

/// The writers that share one synced transaction.
final class Batch {
  var writerCount = 0
  /// Whether the anchor is to be synced, too.
  var syncsAnchor = false
  /// Nil while the transaction is open.
  var outcome: Result<Void, StorageError>?
  /// Whether a writer of it waits for more writers, and will commit when they do not come.
  var isGathering = false
}

/// How durable the anchor's counter is when a commit returns.
enum AnchorDurability {
  case againstKill
  case againstPowerLoss
}

extension SecureStore {
  private static let largestBatch = 64

  /// Runs `body` and makes all its changes durable together; when it throws, none of them happens.
  ///
  /// Returns once the changes are on disk. Concurrent callers share a transaction, each keeping its own all-or-nothing.
  /// `body` must not call the store but through its argument.
  /// Throws what `body` throws, `.noSpace` (the store stays usable), or `.io` and `.failed`.
  public func commit<T>(_ body: (borrowing Transaction) throws(StorageError) -> T) throws(StorageError) -> T {
    try commit(anchor: .againstKill, body)
  }

  func commit<T>(
    anchor durability: AnchorDurability, _ body: (borrowing Transaction) throws(StorageError) -> T
  ) throws(StorageError) -> T {
    arriving.add(1, ordering: .sequentiallyConsistent)
    monitor.lock()
    defer { monitor.unlock() }
    arriving.subtract(1, ordering: .sequentiallyConsistent)
    let batch = try joinBatch()
    let result = run(body, in: batch)
    if self.batch === batch {
      if case .success = result {
        batch.writerCount += 1
        if durability == .againstPowerLoss { batch.syncsAnchor = true }
      }
      closeOrLeave(batch)
    }
    let value = try result.get()
    while true {
      if let outcome = batch.outcome {
        try outcome.get()
        return value
      }
      monitor.wait()
    }
  }

  /// Commits the batch unless another writer will.
  private func closeOrLeave(_ batch: Batch) {
    if batch.writerCount >= Self.largestBatch { return finish(batch) }
    // A writer that is arriving decides after its own turn.
    if arriving.load(ordering: .sequentiallyConsistent) > 0 { return }
    if batch.writerCount >= expectedWriters { return finish(batch) }
    if batch.isGathering { return }
    // As many as shared the last commit were let go a moment ago and may be on their way back: wait for them, but no
    // longer than half of what going without them costs.
    batch.isGathering = true
    let deadline = monotonicNanoseconds() + lastCommitNanoseconds / 2
    while batch.outcome == nil {
      if !monitor.wait(until: deadline), batch.outcome == nil { return finish(batch) }
    }
  }

  /// The open batch, or a new one with its transaction begun.
  private func joinBatch() throws(StorageError) -> Batch {
    // Readers that found a transaction open come before the next one.
    while batch == nil, waitingReaders > 0 { monitor.wait() }
    if let batch { return batch }
    if let failure { throw failure }
    try statements.begin.run()
    readAtOpening = [:]
    let batch = Batch()
    self.batch = batch
    return batch
  }

  /// Runs one writer's changes in a savepoint.
  private func run<T>(
    _ body: (borrowing Transaction) throws(StorageError) -> T, in batch: Batch
  ) -> Result<T, StorageError> {
    let before = working
    do throws(StorageError) {
      try statements.savepoint.run()
      let transaction = Transaction(self)
      let value = try body(transaction)
      try statements.release.run()
      return .success(value)
    } catch {
      if !database.isOutsideTransaction {
        do throws(StorageError) {
          try statements.rollbackToSavepoint.run()
          try statements.release.run()
          restoreWorking(before)
          return .failure(error)
        } catch {
          try? statements.rollback.run()
        }
      }
      // SQLite gave up the whole transaction: nobody in it has changed anything.
      end(batch, .failure(error))
      return .failure(error)
    }
  }

  /// Commits the open transaction for all of its writers.
  private func finish(_ batch: Batch) {
    guard batch.writerCount > 0, working != durable else {
      try? statements.rollback.run()
      return end(batch, .success(()))
    }
    let start = monotonicNanoseconds()
    do throws(StorageError) {
      working.counter = durable.counter + 1
      try statements.putState.bind(1, try working.sealed(keys))
      try statements.putState.run()
      try statements.commit.run()
    } catch {
      if !database.isOutsideTransaction { try? statements.rollback.run() }
      if case .failed = error { failure = error }
      return end(batch, .failure(error))
    }
    durable = working
    transactionCount &+= 1
    do throws(StorageError) {
      try anchor.write(durable.counter)
      if batch.syncsAnchor { try anchor.sync() }
    } catch {
      // This commit is durable and reported so; without its anchor there must not be another.
      failure = .failed("the anchor cannot be written: \(error)")
    }
    lastCommitNanoseconds = monotonicNanoseconds() - start
    expectedWriters = batch.writerCount + max(arriving.load(ordering: .sequentiallyConsistent), 0)
    end(batch, .success(()))
    if database.logFrameCount >= Self.checkpointFrameCount { database.checkpoint() }
  }

  private func end(_ batch: Batch, _ outcome: Result<Void, StorageError>) {
    if case .failure = outcome { restoreWorking(durable) }
    batch.outcome = outcome
    self.batch = nil
    monitor.wakeAll()
  }

  /// Ids given out stay given out.
  private func restoreWorking(_ state: StoreState) {
    let next = working.nextObjectID
    working = state
    working.nextObjectID = next
  }
}

private func monotonicNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
