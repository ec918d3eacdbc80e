import CryptoCore
import Cryptoki
import Mechanisms
import Synchronization

/// A multi-part operation of a client. One thread at a time works with it; a second one is answered
/// CKR_OPERATION_ACTIVE.
final class ActiveOperation: @unchecked Sendable {
  let function: KeyFunction
  /// Touched by the thread that has taken the operation only.
  var operation: Operation
  /// The last bytes, when they have been computed and did not fit the caller's buffer.
  var lastBytes: SecretBytes?
  /// What the operation counts for in the client's quota; written with the client's lock held, by the thread that has
  /// it.
  var countedByteCount = 0
  private let isTaken = Atomic<Bool>(false)

  init(_ operation: consuming Operation) {
    function = operation.function
    self.operation = operation
  }

  /// Whether the caller may now work with the operation, until it calls `release`.
  func take() -> Bool {
    isTaken.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
  }

  func release() { isTaken.store(false, ordering: .releasing) }
}
