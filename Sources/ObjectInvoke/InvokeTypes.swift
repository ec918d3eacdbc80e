import LinuxSystem
import Wire

/// What the caller knows about an invocation.
public struct InvokeOptions: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// The operation may take longer than waking a thread (above about 15 microseconds): how to wait for its answer is
  /// learned from the ones before it.
  public static let long = InvokeOptions(rawValue: 1)
  /// The request or the output holds a secret (a PIN, a key to be imported, random bytes): the shared memory is wiped after
  /// the answer.
  public static let secret = InvokeOptions(rawValue: 2)
  /// No output comes before the input's last piece is reached, so the output may lie where that piece begins.
  public static let outputWithLast = InvokeOptions(rawValue: 4)

  /// These, of an operation with that key: two with different keys may take differently long.
  public func with(key: UInt64) -> InvokeOptions {
    InvokeOptions(rawValue: rawValue & 0xff | UInt32(truncatingIfNeeded: key) << 8)
  }

  /// Tells operations that may take differently long from one another, as far as it goes.
  func kind(_ operation: UInt32) -> Int { Int((rawValue >> 8) &+ operation &* 5) }
}

/// Pieces of memory that are sent behind one another as the input of an invocation: three, and a list of more for the
/// batches that need one. The memory is lent.
public struct InputSegments {
  public var first: UnsafeRawBufferPointer
  public var second: UnsafeRawBufferPointer
  public var third: UnsafeRawBufferPointer
  /// What comes behind the third.
  public let more: UnsafeBufferPointer<UnsafeRawBufferPointer>
  @usableFromInline let moreByteCount: Int

  @inlinable
  public init(
    _ first: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
    _ second: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
    _ third: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
  ) {
    self.first = first
    self.second = second
    self.third = third
    more = UnsafeBufferPointer(start: nil, count: 0)
    moreByteCount = 0
  }

  /// Any number of pieces. Their sizes must not add up to more than an Int holds.
  public init(_ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) {
    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
    (first, second, third) = (nothing, nothing, nothing)
    more = pieces
    moreByteCount = pieces.reduce(0) { $0 + $1.count }
  }

  /// Whether `output` would overwrite input before it has been read. Objects produce no more than they have consumed, so
  /// output that begins at the start of the whole input, or before it, does not.
  func isOvertaken(by output: UnsafeMutableRawBufferPointer, _ options: InvokeOptions) -> Bool {
    guard let base = output.baseAddress, output.count > 0 else { return false }
    guard more.isEmpty else { return true }
    let start = UInt(bitPattern: base)
    let pieces = [first, second, third].filter { !$0.isEmpty }
    var before: UInt = 0
    for piece in options.contains(.outputWithLast) ? pieces.suffix(1) : pieces[...] {
      let pieceStart = UInt(bitPattern: piece.baseAddress!)
      let overlaps = start < pieceStart &+ UInt(piece.count) && pieceStart < start &+ UInt(output.count)
      if overlaps, start &+ before > pieceStart { return true }
      before &+= UInt(piece.count)
    }
    return false
  }

  /// The length of all pieces in bytes.
  public var byteCount: Int {
    @inline(__always) get { first.count &+ second.count &+ third.count &+ moreByteCount }
  }
}

/// The answer of an object. It holds the channel until it goes: read it and let it go before the next invocation.
public struct InvokeAnswer: ~Copyable {
  /// The service's result code, 0 = OK.
  public let result: UInt32
  /// How many bytes were written to the output.
  public let outputByteCount: Int
  /// The reply message, lent: valid as long as the answer.
  public let message: WireReader
  /// The descriptors that came with the answer, to be taken; only after `invokeWithDescriptors` can there be any.
  public var descriptors: DescriptorList
  // Acquired, and with that kept alive.
  private let channel: Unmanaged<ClientChannel>?
  private let ownedMessage: PrivateBytes?

  init(
    result: UInt32, outputByteCount: Int, message: UnsafeRawBufferPointer, channel: Unmanaged<ClientChannel>?,
    ownedMessage: consuming PrivateBytes?, descriptors: consuming DescriptorList
  ) {
    self.result = result
    self.outputByteCount = outputByteCount
    self.message = WireReader(message)
    self.channel = channel
    self.ownedMessage = ownedMessage
    self.descriptors = descriptors
  }

  deinit {
    channel?.endUse()
  }
}

/// Reads the input's pieces one after the other.
struct InputCursor {
  private var pieces: (UnsafeRawBufferPointer, UnsafeRawBufferPointer, UnsafeRawBufferPointer, UnsafeRawBufferPointer)
  private var more: Slice<UnsafeBufferPointer<UnsafeRawBufferPointer>>
  private(set) var remaining: Int

  init(message: UnsafeRawBufferPointer, _ input: InputSegments) {
    pieces = (message, input.first, input.second, input.third)
    more = input.more[...]
    remaining = message.count + input.byteCount
  }

  /// Copies the next `count` bytes, which must remain.
  mutating func copy(_ count: Int, to target: UnsafeMutableRawPointer) {
    var target = target
    var wanted = count
    remaining -= count
    while wanted > 0 {
      if pieces.0.isEmpty {
        pieces = (pieces.1, pieces.2, pieces.3, more.popFirst() ?? UnsafeRawBufferPointer(start: nil, count: 0))
        continue
      }
      let part = min(wanted, pieces.0.count)
      target.copyMemory(from: pieces.0.baseAddress!, byteCount: part)
      pieces.0 = UnsafeRawBufferPointer(rebasing: pieces.0[part...])
      target += part
      wanted -= part
    }
  }
}
