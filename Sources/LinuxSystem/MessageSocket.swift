import CLinux
import Glibc

/// Who the kernel says is at the other end of a UNIX socket, as of its connect or listen (SO_PEERCRED).
public struct PeerCredentials: Equatable, Sendable {
  public let pid: Int32
  /// The effective user and group.
  public let uid: UInt32
  public let gid: UInt32

  public init(pid: Int32, uid: UInt32, gid: UInt32) {
    self.pid = pid
    self.uid = uid
    self.gid = gid
  }
}

/// A message that arrived: its length in bytes and the descriptors that came with it.
public struct ReceivedMessage: ~Copyable {
  public let byteCount: Int
  public var descriptors: DescriptorList

  /// Takes the descriptors; what was not taken is closed with the message.
  public mutating func takeDescriptors() -> DescriptorList {
    descriptors.takeAll()
  }
}

/// Two ends that are connected to each other.
@frozen
public struct MessageSocketPair: ~Copyable, Sendable {
  public var near: MessageSocket
  public var far: MessageSocket
}

/// One end of a UNIX socket that keeps message boundaries (SOCK_SEQPACKET).
public struct MessageSocket: ~Copyable, Sendable {
  public let descriptor: Descriptor

  /// Takes over a connected socket.
  public init(adopting descriptor: consuming Descriptor) {
    self.descriptor = descriptor
  }

  /// Two ends that are connected to each other.
  public static func pair() throws(SystemError) -> MessageSocketPair {
    var numbers: [Int32] = [-1, -1]
    try checked("socketpair") {
      socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0, &numbers)
    }
    return MessageSocketPair(
      near: MessageSocket(adopting: Descriptor(adopting: numbers[0])),
      far: MessageSocket(adopting: Descriptor(adopting: numbers[1])))
  }

  /// Connects to a listener by its path, of any length.
  ///
  /// - Parameter timeout: nanoseconds to wait where the listener's queue is full.
  /// - Throws: ENOENT or ECONNREFUSED when nobody listens, EAGAIN when the time has passed.
  public static func connect(to path: String, timeout: UInt64) throws(SystemError) -> MessageSocket {
    let socket = try make()
    let number = socket.number
    try checked("setsockopt") { clinux_set_send_timeout(number, Int64(clamping: timeout)) }
    try SocketPath(path).withShortPath { (short) throws(SystemError) in
      _ = try checked("connect") { clinux_connect_unix(number, short) }
    }
    try checked("setsockopt") { clinux_set_send_timeout(number, 0) }
    return MessageSocket(adopting: socket)
  }

  fileprivate static func make() throws(SystemError) -> Descriptor {
    Descriptor(
      adopting: try checked("socket") { socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0) })
  }

  /// Sends one message, the two parts behind one another, with descriptors (the caller keeps its own).
  ///
  /// - Throws: EPIPE when the other side has gone, EMSGSIZE when the message is longer than the socket's buffer.
  public borrowing func send(
    _ head: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
    descriptors: [Int32] = [], waiting: Bool = true
  ) throws(SystemError) {
    let number = descriptor.number
    let flags = waiting ? 0 : Int32(MSG_DONTWAIT)
    _ = try checked("sendmsg") {
      descriptors.withUnsafeBufferPointer {
        clinux_send(
          number, head.baseAddress, head.count, body.baseAddress, body.count, $0.baseAddress, $0.count, flags)
      }
    }
  }

  /// Receives one message; nil when the other side has closed (an empty message counts as that).
  ///
  /// Descriptors beyond `maximumDescriptors` are closed at once.
  /// - Throws: EMSGSIZE when the message is longer than `buffer` or carried more descriptors than allowed: everything
  ///   that came with it is closed. EAGAIN when there is none and `waiting` is false.
  public borrowing func receive(
    into buffer: UnsafeMutableRawBufferPointer, maximumDescriptors: Int = 0, waiting: Bool = true
  ) throws(SystemError) -> ReceivedMessage? {
    let number = descriptor.number
    let flags = waiting ? 0 : Int32(MSG_DONTWAIT)
    guard let base = buffer.baseAddress else { throw SystemError("recvmsg", EINVAL) }
    var truncated: Int32 = 0
    var numbers: [Int32] = []
    var byteCount = 0
    do {
      let maximum = min(max(maximumDescriptors, 0), Int(CLINUX_MAXIMUM_DESCRIPTORS))
      var count = 0
      if maximum == 0 {
        byteCount = try checked("recvmsg") {
          clinux_receive(number, base, buffer.count, nil, 0, &count, &truncated, flags)
        }
      } else {
        numbers = [Int32](repeating: -1, count: maximum)
        byteCount = try checked("recvmsg") {
          numbers.withUnsafeMutableBufferPointer {
            clinux_receive(number, base, buffer.count, $0.baseAddress, maximum, &count, &truncated, flags)
          }
        }
        numbers.removeLast(maximum - count)
      }
    }
    let descriptors = DescriptorList(adopting: numbers)
    if truncated != 0 { throw SystemError("recvmsg", EMSGSIZE) }
    if byteCount == 0 { return nil }
    return ReceivedMessage(byteCount: byteCount, descriptors: descriptors)
  }

  /// Ends the conversation for both sides, whoever else holds a descriptor of this end.
  public borrowing func shutDown() {
    shutdown(descriptor.number, Int32(SHUT_RDWR))
  }

  /// Ends this side's sending: what holds the other end reads the end of the conversation, while this side can still
  /// receive. Whoever writes to this end through another descriptor of it gets EPIPE.
  public borrowing func shutDownWriting() {
    shutdown(descriptor.number, Int32(SHUT_WR))
  }

  /// Whether the other side has closed.
  public borrowing func hasHungUp() -> Bool {
    var request = pollfd(fd: descriptor.number, events: 0, revents: 0)
    return poll(&request, 1, 0) > 0 && request.revents & Int16(POLLHUP | POLLERR | POLLNVAL) != 0
  }

  /// Who is at the other end.
  public borrowing func peerCredentials() throws(SystemError) -> PeerCredentials {
    let number = descriptor.number
    var pid: Int32 = 0
    var uid: UInt32 = 0
    var gid: UInt32 = 0
    try checked("getsockopt") { clinux_peer_credentials(number, &pid, &uid, &gid) }
    return PeerCredentials(pid: pid, uid: uid, gid: gid)
  }

  /// The kernel's number of this socket: never reused while the system runs, the same through every descriptor of it.
  public static func cookie(of descriptor: borrowing Descriptor) throws(SystemError) -> UInt64 {
    let number = descriptor.number
    var cookie: UInt64 = 0
    try checked("getsockopt") { clinux_socket_cookie(number, &cookie) }
    return cookie
  }
}

/// A socket file that others connect to. The file stays when the listener goes: who made it removes it, or the next
/// listener there replaces it.
public struct MessageListener: ~Copyable, Sendable {
  public let descriptor: Descriptor

  /// Listens on `path`, of any length.
  ///
  /// A file that is there already is replaced only when it is a socket nobody listens on; the caller holds a lock
  /// against another one that does the same at the same moment.
  /// - Parameter mode: the permission bits of the socket file; who may write to it may connect.
  /// - Throws: EADDRINUSE when somebody listens there.
  public init(path: String, mode: UInt32 = 0o600, backlog: Int32 = 128) throws(SystemError) {
    let socket = try MessageSocket.make()
    let number = socket.number
    try SocketPath(path).withShortPath { (short) throws(SystemError) in
      var status = stat()
      if lstat(short, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK {
        let probe = try MessageSocket.make()
        try probe.setNonBlocking(true)
        if clinux_connect_unix(probe.number, short) == 0 || errno == EAGAIN { throw SystemError("bind", EADDRINUSE) }
        if errno == ECONNREFUSED { unlink(short) }
      }
      // The file gets the socket's mode less the umask: nobody can connect before the bits are right.
      fchmod(number, mode_t(mode))
      try checked("bind") { clinux_bind_unix(number, short) }
      if chmod(short, mode_t(mode)) < 0 { throw SystemError("chmod", errno) }
      _ = try checked("listen") { listen(number, backlog) }
    }
    descriptor = socket
  }

  /// Takes over a socket that listens already (given by a service manager).
  public init(adopting descriptor: consuming Descriptor) {
    self.descriptor = descriptor
  }

  /// Waits for the next connection.
  public borrowing func accept() throws(SystemError) -> MessageSocket {
    let number = descriptor.number
    return MessageSocket(adopting: Descriptor(adopting: try checked("accept4") { clinux_accept(number) }))
  }
}

/// A path of a socket file. `sockaddr_un` holds 107 bytes; a longer path is reached through its directory's descriptor.
struct SocketPath {
  let path: String

  init(_ path: String) {
    self.path = path
  }

  func withShortPath<R>(_ body: (String) throws(SystemError) -> R) throws(SystemError) -> R {
    if path.utf8.count <= 107 { return try body(path) }
    guard let slash = path.lastIndex(of: "/") else { throw SystemError("SocketPath", ENAMETOOLONG) }
    let name = path[path.index(after: slash)...]
    let directory = try Descriptor.open(String(path[..<slash]), CLINUX_O_PATH | O_DIRECTORY)
    let short = "/proc/self/fd/\(directory.number)/\(name)"
    guard short.utf8.count <= 107 else { throw SystemError("SocketPath", ENAMETOOLONG) }
    return try body(short)
  }
}
