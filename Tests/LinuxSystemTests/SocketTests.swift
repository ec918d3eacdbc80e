import Foundation
import Glibc
import Testing

@testable import LinuxSystem

private func bytes(_ text: String, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
  try Array(text.utf8).withUnsafeBytes(body)
}

private func receive(
  _ socket: borrowing MessageSocket, capacity: Int = 64, maximumDescriptors: Int = 0
) throws -> (String, Int)? {
  var buffer = [UInt8](repeating: 0, count: capacity)
  let answer = try buffer.withUnsafeMutableBytes { memory -> (Int, Int)? in
    guard let message = try socket.receive(into: memory, maximumDescriptors: maximumDescriptors, waiting: false)
    else { return nil }
    return (message.byteCount, message.descriptors.count)
  }
  return answer.map { (String(decoding: buffer.prefix($0.0), as: UTF8.self), $0.1) }
}

@Suite("Message sockets", .serialized)
struct SocketTests {
  @Test("messages keep their boundaries and carry descriptors")
  func descriptors() throws {
    let pair = try MessageSocket.pair()
    let file = try Descriptor.open("/dev/null", O_RDONLY)
    try bytes("one") { try pair.near.send($0) }
    try bytes("two") { two in try bytes("three") { try pair.near.send(two, $0, descriptors: [file.number]) } }
    let first = try receive(pair.far)
    #expect(first?.0 == "one")
    let second = try receive(pair.far, maximumDescriptors: 2)
    #expect(second?.0 == "twothree")
    #expect(second?.1 == 1)
  }

  @Test("a message that is too long, or brings too many descriptors, is refused and its descriptors are closed")
  func surplus() throws {
    let pair = try MessageSocket.pair()
    let created = try SharedRegion.create(name: "surplus", byteCount: 4096)
    let file = created.descriptor.number
    #expect(try openCount(ofMemoryFile: "surplus") == 1)
    try bytes("x") { try pair.near.send($0, descriptors: [file, file, file]) }
    #expect(throws: SystemError("recvmsg", EMSGSIZE)) { _ = try receive(pair.far, maximumDescriptors: 1) }
    try bytes("x") { try pair.near.send($0, descriptors: [file]) }
    #expect(throws: SystemError("recvmsg", EMSGSIZE)) { _ = try receive(pair.far) }
    try bytes("0123456789") { try pair.near.send($0, descriptors: [file]) }
    #expect(throws: SystemError("recvmsg", EMSGSIZE)) {
      _ = try receive(pair.far, capacity: 5, maximumDescriptors: 1)
    }
    #expect(try openCount(ofMemoryFile: "surplus") == 1)
    #expect(throws: SystemError("recvmsg", EAGAIN)) { _ = try receive(pair.far) }
  }

  @Test("the end of the other side is seen")
  func hangUp() throws {
    let pair = try MessageSocket.pair()
    let far = pair.far
    let near = pair.near
    let early = near.hasHungUp()
    #expect(!early)
    _ = consume far
    let hungUp = near.hasHungUp()
    #expect(hungUp)
    let end = try receive(near)
    #expect(end == nil)
    #expect(throws: SystemError("sendmsg", EPIPE)) { try bytes("x") { try near.send($0) } }
  }

  @Test(
    "a listener is reached by a path of any length, names its peer, and is not replaced while it listens",
    arguments: [1, 60, 200])
  func paths(length: Int) throws {
    let folder = "/tmp/strongroom-\(getpid())-\(length)-" + String(repeating: "d", count: length)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/socket"
    #expect(throws: SystemError("connect", ENOENT)) {
      _ = try MessageSocket.connect(to: path, timeout: 1_000_000_000)
    }
    do {
      let listener = try MessageListener(path: path, mode: 0o600)
      var status = stat()
      #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
      let client = try MessageSocket.connect(to: path, timeout: 1_000_000_000)
      let server = try listener.accept()
      let peer = try server.peerCredentials()
      #expect(peer == PeerCredentials(pid: getpid(), uid: geteuid(), gid: getegid()))
      let cookies = (
        try MessageSocket.cookie(of: client.descriptor), try MessageSocket.cookie(of: server.descriptor)
      )
      #expect(cookies.0 != cookies.1)
      #expect(throws: SystemError("bind", EADDRINUSE)) { _ = try MessageListener(path: path) }
    }
    #expect(throws: SystemError("connect", ECONNREFUSED)) {
      _ = try MessageSocket.connect(to: path, timeout: 1_000_000_000)
    }
    let again = try MessageListener(path: path)
    #expect(again.descriptor.number >= 0)
  }
}
