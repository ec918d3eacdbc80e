import CLinux
import Glibc

/// The owner of one file descriptor: closed when the value goes.
///
/// Every descriptor this room makes is close-on-exec.
public struct Descriptor: ~Copyable, Sendable {
  /// The number, lent: valid as long as the owner lives.
  public let number: Int32

  /// Takes over `number`, which nobody else may close.
  public init(adopting number: Int32) {
    self.number = number
  }

  deinit {
    close(number)
  }

  /// Gives up the ownership: the caller closes the number.
  public consuming func relinquish() -> Int32 {
    let number = self.number
    discard self
    return number
  }

  /// Another descriptor of the same open file.
  public borrowing func duplicate() throws(SystemError) -> Descriptor {
    let number = self.number
    return Descriptor(adopting: try checked("fcntl") { clinux_duplicate(number, 3) })
  }

  /// Another descriptor of the open file behind `number`, which stays with its owner.
  public static func duplicate(of number: Int32) throws(SystemError) -> Descriptor {
    Descriptor(adopting: try checked("fcntl") { clinux_duplicate(number, 3) })
  }

  /// Opens a file; `flags` are O_RDONLY and its like. Close-on-exec is added.
  public static func open(_ path: String, _ flags: Int32, mode: UInt32 = 0o600) throws(SystemError) -> Descriptor {
    Descriptor(adopting: try checked("open") { clinux_open(path, flags, mode) })
  }

  /// Reads at most `buffer.count` bytes; 0 is the end.
  public borrowing func read(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
    let number = self.number
    return try checked("read") { Glibc.read(number, buffer.baseAddress, buffer.count) }
  }

  /// Reads `buffer.count` bytes from `offset`, fewer when the file ends before.
  public borrowing func read(
    into buffer: UnsafeMutableRawBufferPointer, at offset: Int
  ) throws(SystemError) -> Int {
    let number = self.number
    var count = 0
    while count < buffer.count, let base = buffer.baseAddress {
      let part = try checked("pread") { pread(number, base + count, buffer.count - count, off_t(offset + count)) }
      if part == 0 { break }
      count += part
    }
    return count
  }

  /// Writes all of `bytes`.
  public borrowing func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
    let number = self.number
    var count = 0
    while count < bytes.count, let base = bytes.baseAddress {
      count += try checked("write") { Glibc.write(number, base + count, bytes.count - count) }
    }
  }

  /// Makes reads and writes that would wait fail with EAGAIN instead, or undoes that.
  public borrowing func setNonBlocking(_ on: Bool) throws(SystemError) {
    let number = self.number
    try checked("fcntl") { clinux_set_nonblocking(number, on ? 1 : 0) }
  }
}

/// Descriptors that arrived with a message: whoever wants one takes it, the others are closed.
public struct DescriptorList: ~Copyable, Sendable {
  // Mostly there are none: a list of nothing is made and given up with every invocation, and costs nothing.
  private var numbers: [Int32]?

  /// An empty list.
  @inline(__always)
  public init() {
    numbers = nil
  }

  init(adopting numbers: [Int32]) {
    self.numbers = numbers
  }

  deinit {
    if let numbers { for number in numbers { close(number) } }
  }

  public var count: Int { numbers?.count ?? 0 }
  public var isEmpty: Bool { count == 0 }

  /// Takes the first of the remaining descriptors.
  public mutating func takeFirst() -> Descriptor? {
    guard var left = numbers, !left.isEmpty else { return nil }
    let first = left.removeFirst()
    numbers = left
    return Descriptor(adopting: first)
  }

  /// Takes all of the remaining descriptors.
  public mutating func takeAll() -> DescriptorList {
    let taken = DescriptorList(adopting: numbers ?? [])
    numbers = nil
    return taken
  }

  /// Adds a descriptor at the end.
  public mutating func append(_ descriptor: consuming Descriptor) {
    numbers = (numbers ?? []) + [descriptor.relinquish()]
  }

  /// Lends the numbers, in their order.
  public borrowing func withNumbers<R, E: Error>(_ body: ([Int32]) throws(E) -> R) throws(E) -> R {
    try body(numbers ?? [])
  }
}

/// What `waitForEvents` reports and waits for: poll(2)'s bits.
public struct PollEvents: OptionSet, Sendable {
  public let rawValue: Int16
  public init(rawValue: Int16) { self.rawValue = rawValue }
  public static let readable = PollEvents(rawValue: Int16(POLLIN))
  public static let writable = PollEvents(rawValue: Int16(POLLOUT))
  public static let error = PollEvents(rawValue: Int16(POLLERR))
  /// The other side has closed; reported whether asked for or not.
  public static let hangUp = PollEvents(rawValue: Int16(POLLHUP))
  public static let invalid = PollEvents(rawValue: Int16(POLLNVAL))
}

/// Waits until one of `events` (or an error, or a hang-up) is true of the descriptor; empty when the time has passed.
///
/// - Parameter timeout: nanoseconds, rounded up to milliseconds; nil waits without limit; 0 only asks.
public func waitForEvents(
  _ number: Int32, _ events: PollEvents, timeout: UInt64?
) throws(SystemError) -> PollEvents {
  var request = pollfd(fd: number, events: events.rawValue, revents: 0)
  let deadline = timeout.map { MonotonicClock.now() &+ $0 }
  while true {
    var milliseconds: Int32 = -1
    if let deadline {
      let now = MonotonicClock.now()
      milliseconds = deadline > now ? Int32(min((deadline - now + 999_999) / 1_000_000, 1_000_000_000)) : 0
    }
    let answer = poll(&request, 1, milliseconds)
    if answer >= 0 { return PollEvents(rawValue: answer == 0 ? 0 : request.revents) }
    if errno != EINTR { throw SystemError("poll", errno) }
  }
}
