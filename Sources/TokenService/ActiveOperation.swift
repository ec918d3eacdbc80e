import CryptoCore
import Cryptoki
import Mechanisms
import Synchronization

/// A multi-part operation of a client. It belongs to the session, and ends with it and with the login.
///
/// One thread at a time works with it; a second one is answered CKR_OPERATION_ACTIVE.
public final class ActiveOperation: @unchecked Sendable {
  /// What a session has one of at a time.
  enum Kind: Hashable {
    case function(KeyFunction)
    /// A decryption whose plaintext goes to restricted buffers.
    case restrictedDecryption
  }

  let kind: Kind
  /// The number of the login that it ends with; nil when it needs none.
  let loginNumber: UInt64?
  /// The numbers of the use-cases whose buffers may receive the plaintext of a restricted decryption; none means all.
  public let useCases: Set<UInt32>
  /// Touched by the thread that has taken the operation only, as are the two below.
  public var operation: Operation
  /// The last bytes, when they have been computed and did not fit their place.
  public var lastBytes: SecretBytes?
  /// What stands for memory of the operation that is not counted here; let go of with the operation.
  public var charge: (any Sendable)?
  /// What the operation counts for in the client's quota; written with the client's lock held, by the thread that has
  /// it.
  var countedByteCount = 0
  /// Whether no session has it any longer: a thread that still works with it may not let it grow. Guarded by the client's
  /// lock.
  var hasEnded = false
  private let isTaken = Atomic<Bool>(false)

  /// Bytes of memory that an operation counts for beside what it holds: its context in libcrypto and what goes with it.
  static let ownByteCount = 8 << 10

  init(_ operation: consuming Operation, _ kind: Kind, loginNumber: UInt64?, useCases: Set<UInt32> = []) {
    self.kind = kind
    self.loginNumber = loginNumber
    self.useCases = useCases
    self.operation = operation
  }

  /// Whether the caller may now work with the operation, until it calls `release`.
  func take() -> Bool {
    isTaken.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
  }

  func release() { isTaken.store(false, ordering: .releasing) }
}
