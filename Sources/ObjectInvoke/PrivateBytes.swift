import Glibc

/// Memory of this process alone for a message or an input: wiped before it is given back, as it may hold a secret.
public struct PrivateBytes: ~Copyable, @unchecked Sendable {
  // Sendable: the value has one owner.
  private let base: UnsafeMutableRawPointer?
  /// The length in bytes.
  public let count: Int

  /// `count` bytes of no particular value; nil when there is no memory for them.
  init?(count: Int) {
    self.count = count
    if count == 0 {
      base = nil
    } else {
      guard let memory = malloc(count) else { return nil }
      base = memory
    }
  }

  deinit {
    if let base {
      explicit_bzero(base, count)
      free(base)
    }
  }

  /// The bytes, lent: valid as long as this value.
  public var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base, count: count) }
}
