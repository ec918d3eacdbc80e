import Synchronization

/// What clients share, so that one of them could take it from the others.
public enum SharedResource: Hashable, Sendable {
  /// Bytes of a use-case's pool.
  case poolBytes(UseCase)
  /// Restricted buffers. Each takes a descriptor of the secure world's.
  case buffers
  /// Exported descriptors of buffers.
  case exports
  /// Streams of the video decoder, each a process.
  case decoderStreams
  /// Presentations under way whose end the client polls for, each a thread.
  case presentations
  /// Bytes that decryptions into restricted buffers hold back until they are verified.
  case withheldBytes
}

/// How much one client has of what all share, and how much it may have.
///
/// What was charged comes back when the `Charge` goes, which lies with the thing itself: a buffer that its maker exported and let go of
/// still counts as its maker's.
public final class ClientAccount: Sendable {
  private let left: Mutex<[SharedResource: Int]>

  /// - Parameter limits: what the client may have; of a resource that is not named it may have nothing.
  public init(limits: [SharedResource: Int]) { left = Mutex(limits) }

  /// Something that counts against an account as long as this lives.
  public final class Charge: @unchecked Sendable {
    // Sendable: the amount is touched with the account's lock held, or by the last owner.
    private let account: ClientAccount
    private let resource: SharedResource
    private var amount: Int

    fileprivate init(_ account: ClientAccount, _ resource: SharedResource, _ amount: Int) {
      self.account = account
      self.resource = resource
      self.amount = amount
    }

    /// Counts for what `other` counted for, of the same account and resource, as well; `other` then counts for nothing.
    public func absorb(_ other: Charge) {
      precondition(other.account === account && other.resource == resource, "what is counted stays where it is")
      account.left.withLock { _ in
        amount += other.amount
        other.amount = 0
      }
    }

    deinit { account.left.withLock { $0[resource, default: 0] += amount } }
  }

  /// Charges an amount, which is not negative; nil when the client may not have that much more.
  public func charge(_ resource: SharedResource, _ amount: Int = 1) -> Charge? {
    let admitted = left.withLock { left in
      guard amount >= 0, let rest = left[resource], amount <= rest else { return false }
      left[resource] = rest - amount
      return true
    }
    return admitted ? Charge(self, resource, amount) : nil
  }
}
