import Glibc

/// Memory of this process alone for a message or an input: wiped before it is given back, as it may hold a secret.
public struct PrivateBytes: ~Copyable, @unchecked Sendable {
  // Sendable: the value has one owner.
  private let base: UnsafeMutableRawPointer?
  /// The length in bytes.
  public let count: Int
  /// The client whose quota the bytes count against.
  private let account: ClientEnvironment?
  /// How many bytes from the start may have been written, and are wiped.
  private var writtenCount: Int

  /// `count` bytes of no particular value; nil when there is no memory for them.
  init?(count: Int) {
    guard let memory = PrivateBytes.allocate(count) else { return nil }
    base = memory.baseAddress
    self.count = count
    account = nil
    writtenCount = count
  }

  /// The same, counted against a client's quota for as long as they are held.
  init(count: Int, of client: ClientEnvironment) throws(InvocationError) {
    try client.reserve(count)
    guard let memory = PrivateBytes.allocate(count) else {
      client.giveBack(count)
      throw .noMemory
    }
    base = memory.baseAddress
    self.count = count
    account = client
    writtenCount = count
  }

  private static func allocate(_ count: Int) -> UnsafeMutableRawBufferPointer? {
    if count == 0 { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
    guard count > 0, let memory = malloc(count) else { return nil }
    return UnsafeMutableRawBufferPointer(start: memory, count: count)
  }

  deinit {
    account?.giveBack(count)
    if let base {
      explicit_bzero(base, writtenCount)
      free(base)
    }
  }

  /// Says that nothing past the first `count` bytes has been written, or will be: they need no wiping.
  mutating func noteWritten(_ count: Int) { writtenCount = min(max(count, 0), self.count) }

  /// The bytes, lent: valid as long as this value.
  public var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base, count: count) }
}
