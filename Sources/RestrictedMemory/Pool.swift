import Glibc
import LinuxSystem
import Synchronization

/// The memory that buffers of one use-case come from.
public final class Pool: Sendable {
  /// Where a pool's memory comes from.
  public enum Kind: Sendable, Equatable {
    /// A carve-out of a fixed size, lent to the secure world from the start.
    case fixed(byteCount: Int)
    /// Lent on demand in steps and up to a limit, and given back whole when the last buffer goes.
    case dynamic(step: Int, limit: Int)
  }

  /// How full a pool is, in bytes.
  public struct Usage: Sendable, Equatable {
    /// What buffers take, each rounded up to pages.
    public var used = 0
    /// What the system has lent to the secure world.
    public var lent = 0
    public var capacity = 0
    public var bufferCount = 0
  }

  public let useCase: UseCase
  public let kind: Kind
  let matrix: AccessMatrix
  private let secretBudget: SecretBudget
  private let usageState: Mutex<Usage>

  init(_ useCase: UseCase, _ kind: Kind, matrix: AccessMatrix, secretBudget: SecretBudget) {
    self.useCase = useCase
    self.kind = kind
    self.matrix = matrix
    self.secretBudget = secretBudget
    usageState =
      switch kind {
      case .fixed(let byteCount): Mutex(Usage(lent: byteCount, capacity: byteCount))
      case .dynamic(_, let limit): Mutex(Usage(capacity: limit))
      }
  }

  public var usage: Usage { usageState.withLock { $0 } }

  /// A buffer of `byteCount` zero bytes.
  ///
  /// - Parameter account: of the client that the buffer is for; nil for the secure world's own.
  /// - Throws: `.size` for zero and for more than any pool can hold, `.exhausted` when this pool has not that much left or the
  ///   client may not have that much more of it.
  public func allocate(
    byteCount: UInt64, for account: ClientAccount? = nil
  ) throws(RestrictedMemoryError) -> RestrictedBuffer {
    let page = UInt64(getpagesize())
    guard byteCount > 0, byteCount <= UInt64(Int.max) - page else { throw .size }
    // Fits: the line above leaves room for one more page.
    let reserved = Int((byteCount + page - 1) / page * page)
    var charges: [ClientAccount.Charge] = []
    if let account {
      guard let buffer = account.charge(.buffers), let bytes = account.charge(.poolBytes(useCase), reserved) else {
        throw .exhausted
      }
      charges = [buffer, bytes]
    }
    guard usageState.withLock({ Self.reserve(reserved, in: &$0, kind) }) else { throw .exhausted }
    let secret = secretBudget.take(reserved)
    do {
      let memory = try BufferMemory(byteCount: reserved, preferSecret: secret)
      if secret, !memory.isSecret { secretBudget.give(reserved) }
      return RestrictedBuffer(memory, byteCount: Int(byteCount), pool: self, charges: charges)
    } catch {
      if secret { secretBudget.give(reserved) }
      usageState.withLock { Self.release(reserved, in: &$0, kind) }
      throw .system(error.code)
    }
  }

  /// Takes back what a buffer had; its pages are zeroed and unmapped already.
  func release(_ byteCount: Int, wasSecret: Bool) {
    if wasSecret { secretBudget.give(byteCount) }
    usageState.withLock { Self.release(byteCount, in: &$0, kind) }
  }

  private static func reserve(_ byteCount: Int, in usage: inout Usage, _ kind: Kind) -> Bool {
    guard byteCount <= usage.capacity - usage.used else { return false }
    usage.used += byteCount
    usage.bufferCount += 1
    if case .dynamic(let step, let limit) = kind, usage.used > usage.lent {
      let steps = (usage.used - 1) / max(step, 1) + 1
      let (wanted, overflow) = steps.multipliedReportingOverflow(by: max(step, 1))
      usage.lent = overflow ? limit : min(limit, wanted)
    }
    return true
  }

  private static func release(_ byteCount: Int, in usage: inout Usage, _ kind: Kind) {
    usage.used -= byteCount
    usage.bufferCount -= 1
    if case .dynamic = kind, usage.bufferCount == 0 { usage.lent = 0 }
  }
}

/// How much of the process's lockable memory restricted buffers may take as secret memory: keys need some as well.
final class SecretBudget: Sendable {
  private let left: Mutex<Int>

  init(byteCount: Int) { left = Mutex(byteCount) }

  func take(_ byteCount: Int) -> Bool {
    left.withLock {
      guard byteCount <= $0 else { return false }
      $0 -= byteCount
      return true
    }
  }

  func give(_ byteCount: Int) { left.withLock { $0 += byteCount } }
}

/// The pools of the secure world, one a use-case, and the access matrix that guards them.
public final class PoolSet: Sendable {
  private let pools: [UseCase: Pool]
  public let matrix: AccessMatrix

  /// - Parameters:
  ///   - kinds: the pools there are. A use-case without one answers `.noPool`.
  ///   - secretByteCount: how many bytes of all pools together may be secret memory, which counts against
  ///     RLIMIT_MEMLOCK; what is beyond is ordinary memory of the secure world.
  public init(
    _ kinds: [UseCase: Pool.Kind] = PoolSet.standardKinds, matrix: AccessMatrix = .standard,
    secretByteCount: Int = PoolSet.standardSecretByteCount
  ) {
    let budget = SecretBudget(byteCount: secretByteCount)
    var pools: [UseCase: Pool] = [:]
    for (useCase, kind) in kinds {
      pools[useCase] = Pool(useCase, kind, matrix: matrix, secretBudget: budget)
    }
    self.pools = pools
    self.matrix = matrix
  }

  public func pool(for useCase: UseCase) throws(RestrictedMemoryError) -> Pool {
    guard let pool = pools[useCase] else { throw .noPool(useCase) }
    return pool
  }

  /// How much of each pool one client may have, so that it cannot take all of it from the others: half, and never less than a page.
  public var clientLimits: [SharedResource: Int] {
    var limits: [SharedResource: Int] = [:]
    for (useCase, pool) in pools { limits[.poolBytes(useCase)] = max(pool.usage.capacity / 2, Int(getpagesize())) }
    return limits
  }

  /// Half of what this process may lock, at most 4 MiB: the other half is for keys.
  public static var standardSecretByteCount: Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit) == 0 else { return 0 }
    return Int(min(limit.rlim_cur / 2, 4 << 20))
  }

  /// Playback has room for compressed samples and some 4K pictures; the others are small carve-outs.
  public static let standardKinds: [UseCase: Pool.Kind] = [
    .secureVideoPlayback: .dynamic(step: 16 << 20, limit: 256 << 20),
    .trustedUI: .fixed(byteCount: 32 << 20),
    .secureVideoRecording: .dynamic(step: 16 << 20, limit: 128 << 20),
    .keyMaterial: .fixed(byteCount: 1 << 20),
  ]
}
