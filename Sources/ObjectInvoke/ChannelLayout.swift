/// Where everything lies in a channel's shared memory: the one place that both sides take it from.
///
/// A channel carries the invocations of one client thread, one at a time. The server creates it as a memory file whose
/// size is sealed and sends the descriptor; both map it. All numbers are little-endian and of fixed width. A word has
/// one writer. Words that different sides write are 128 bytes apart, since processors fetch lines of 64 in pairs.
///
///     offset  size  written by  content
///     0x0000     4  server      magic, `magic`
///     0x0004     4  server      protocol version, `version`
///     0x0008     4  server      length of each inline area, bytes
///     0x000c     4  server      length of each ring, bytes
///     0x0010     4  server      what waking a thread on another processor costs, nanoseconds
///     0x0080     4  server      1 while the server's thread sleeps (or is about to)
///     0x0084     4  server      where the server's thread runs or sleeps: a processor's number, or `noProcessor` while it
///                               moves; with `spinning` when it will spin for the next request
///     0x0100     4  client      1 while the client's thread sleeps (or is about to)
///     0x0180     8  client      bytes ever put into the input ring
///     0x0200     8  server      bytes ever taken from the input ring
///     0x0280     8  server      bytes ever put into the output ring
///     0x0300     8  client      bytes ever taken from the output ring
///     0x0400    64  client      request line
///     0x0440 16384  client      inline request: the message, then at the next multiple of 8 a short input
///     0x4480    64  server      reply line
///     0x44c0 16384  server      inline reply: a short output, then at the next multiple of 8 the message
///     0x9000  256K  client      input ring
///    0x49000  256K  server      output ring
///
/// Request line:
///
///     +0   4  sequence number of the request, one more than the last one's; written last
///     +4   4  events: changes whenever the client did something the server may sleep for
///     +8   8  object id
///    +16   4  operation
///    +20   2  flags, `RequestFlags`
///    +22   2  the processor the client's thread ran on
///    +24   4  length of the request message, bytes, the names of shared memory at its end included
///    +28   4  zero
///    +32   8  length of the input, bytes, without a request message that goes before it
///    +40   8  capacity of the client's output, bytes
///
/// Reply line:
///
///     +0   4  sequence number of the request that is answered; written last
///     +4   4  events: changes whenever the server did something the client may sleep for
///     +8   4  errno: 0, or why the invocation did not reach the object
///    +12   4  result of the object, 0 = OK
///    +16   4  flags, `ReplyFlags`
///    +20   4  length of the reply message, bytes
///    +24   8  length of the output, bytes
///    +32   4  what a `.timed` request's work took, nanoseconds
///
/// A ring's counters only grow while a request is worked on. With the answer the server stops reading input; the client
/// then sets "put" back to "taken". A side believes a counter of the other only if "put" minus "taken" is between 0 and
/// the ring's length. Both sides map each ring twice in a row, so that every piece of it is contiguous.
enum ChannelLayout {
  static let magic: UInt32 = 0x4e43_5253  // "SRCN"
  static let version: UInt32 = 1

  static let inlineByteCount = 16384
  static let ringByteCount = 256 << 10
  /// The longest message, bytes. A longer one is refused before anything is sent.
  static let messageByteLimit = 64 << 20
  /// How much is copied at most before the other side is told.
  static let chunkByteCount = 16384

  static let wakeCost = 0x0010
  static let serverAsleep = 0x0080
  static let serverPlace = 0x0084
  static let clientAsleep = 0x0100
  static let inputPut = 0x0180
  static let inputTaken = 0x0200
  static let outputPut = 0x0280
  static let outputTaken = 0x0300
  static let requestLine = 0x0400
  static let inlineRequest = 0x0440
  static let replyLine = 0x4480
  static let inlineReply = 0x44c0
  static let inputRing = 0x9000
  static let outputRing = inputRing + ringByteCount
  static let byteCount = outputRing + ringByteCount

  static let spinning: UInt32 = 0x8000_0000
  static let processorMask: UInt32 = 0x7fff_ffff
  static let noProcessor = 0x7fff_ffff

  enum RequestField {
    static let sequence = 0
    static let events = 4
    static let object = 8
    static let operationAndFlags = 16
    static let messageByteCount = 24
    static let inputByteCount = 32
    static let outputCapacity = 40
  }

  enum ReplyField {
    static let sequence = 0
    static let events = 4
    static let errno = 8
    static let result = 12
    static let flags = 16
    static let messageByteCount = 20
    static let outputByteCount = 24
    static let workTime = 32
  }
}

struct RequestFlags: OptionSet {
  let rawValue: UInt16
  /// The message goes through the input ring, before the input.
  static let messageInRing = RequestFlags(rawValue: 1)
  /// All input that is sent lies behind the message in the inline area.
  static let inputInline = RequestFlags(rawValue: 2)
  /// The client sleeps until the answer comes: the operation takes long, or nobody knows how long it takes.
  static let long = RequestFlags(rawValue: 4)
  /// The client spun in vain for the last answer.
  static let spinMissed = RequestFlags(rawValue: 8)
  /// The message ends with the names of shared memory that takes the place of input or output (`SharedReferences`).
  static let sharedMemory = RequestFlags(rawValue: 16)
  /// The client wants to know how long the work took.
  static let timed = RequestFlags(rawValue: 32)
  /// The client went on soon after the last answer, which was slow to come.
  static let quick = RequestFlags(rawValue: 64)
  static let known: RequestFlags = [
    .messageInRing, .inputInline, .long, .spinMissed, .sharedMemory, .timed, .quick,
  ]
}

struct ReplyFlags: OptionSet {
  let rawValue: UInt32
  /// The message goes through the output ring, behind the output; it follows the reply line.
  static let messageInRing = ReplyFlags(rawValue: 1)
  /// The output lies in the inline area.
  static let outputInline = ReplyFlags(rawValue: 2)
}

/// The next multiple of 8.
@inline(__always)
func alignedToWord(_ count: Int) -> Int { (count &+ 7) & ~7 }
