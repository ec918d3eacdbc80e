import LinuxSystem
import RestrictedMemory
import Synchronization

/// The accounts of the client processes, by the process id that the kernel gave at connect: what one process has over several connections
/// counts together, and what it left behind still counts when it comes again.
final class ClientAccounts: Sendable {
  private struct Entry {
    weak var account: ClientAccount?
  }

  private let limits: [SharedResource: Int]
  private let entries = Mutex<[Int32: Entry]>([:])

  init(limits: [SharedResource: Int]) { self.limits = limits }

  /// The account of a connection's process. It goes with the last thing that is charged to it.
  func account(of peer: PeerCredentials) -> ClientAccount {
    // Processes of other PID name spaces have no number here: each of their connections is on its own.
    guard peer.pid != 0 else { return ClientAccount(limits: limits) }
    return entries.withLock { entries in
      if let account = entries[peer.pid]?.account { return account }
      entries = entries.filter { $0.value.account != nil }
      let account = ClientAccount(limits: limits)
      entries[peer.pid] = Entry(account: account)
      return account
    }
  }
}

extension ClientAccounts {
  /// What one client may have beside its part of the pools. The decoder has 16 streams for all, the capability table 512 exports.
  static let fixedLimits: [SharedResource: Int] = [
    .buffers: 256, .exports: 64, .decoderStreams: 4, .presentations: 16,
  ]
}

/// Restricted memory as one client has it.
struct ClientMemory: Sendable {
  let pools: PoolSet
  let capabilities: CapabilityTable
  let account: ClientAccount
}
