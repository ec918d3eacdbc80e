import Glibc
import LinuxSystem

/// Who a client is, as the kernel says and never as the client says.
public struct ClientIdentity: Equatable, Sendable {
  public let credentials: PeerCredentials

  public init(_ credentials: PeerCredentials) {
    self.credentials = credentials
  }

  /// The user as the kernel's TEE subsystem names it to a TEE at login: the name-based UUID (RFC 4122, version 5) of
  /// "uid=%x" in its name space; 16 bytes.
  public var userUUID: [UInt8] { ClientIdentity.uuid("uid=" + String(credentials.uid, radix: 16)) }

  /// The group likewise: "gid=%x".
  public var groupUUID: [UInt8] { ClientIdentity.uuid("gid=" + String(credentials.gid, radix: 16)) }

  /// The name space of drivers/tee/tee_core.c.
  private static let nameSpace: [UInt8] = [
    0x58, 0xac, 0x9c, 0xa0, 0x20, 0x86, 0x46, 0x83, 0xa1, 0xb8, 0xec, 0x4b, 0xc0, 0x8e, 0x01, 0xb6,
  ]

  private static func uuid(_ name: String) -> [UInt8] {
    var bytes = Array(sha1(nameSpace + Array(name.utf8)).prefix(16))
    bytes[6] = bytes[6] & 0x0f | 0x50
    bytes[8] = bytes[8] & 0x3f | 0x80
    return bytes
  }
}

/// SHA-1 (FIPS 180-4), for UUIDs alone: this room does not link a cryptographic library for sixteen public bytes.
func sha1(_ message: [UInt8]) -> [UInt8] {
  var state: [UInt32] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0]
  var padded = message + [0x80]
  padded += [UInt8](repeating: 0, count: (120 - padded.count % 64) % 64)
  let bitCount = UInt64(message.count) * 8
  padded += (0..<8).map { UInt8(truncatingIfNeeded: bitCount >> (56 - 8 * UInt64($0))) }
  func rotated(_ word: UInt32, _ count: UInt32) -> UInt32 { word << count | word >> (32 - count) }

  for block in stride(from: 0, to: padded.count, by: 64) {
    var words = (0..<16).map { index in
      (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(padded[block + index * 4 + $1]) }
    }
    for index in 16..<80 {
      words.append(rotated(words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16], 1))
    }
    var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
    for index in 0..<80 {
      let (mix, constant): (UInt32, UInt32) =
        switch index / 20 {
        case 0: (b & c | ~b & d, 0x5a82_7999)
        case 1: (b ^ c ^ d, 0x6ed9_eba1)
        case 2: (b & c | b & d | c & d, 0x8f1b_bcdc)
        default: (b ^ c ^ d, 0xca62_c1d6)
        }
      let next = rotated(a, 5) &+ mix &+ e &+ constant &+ words[index]
      (e, d, c, b, a) = (d, c, rotated(b, 30), a, next)
    }
    state = zip(state, [a, b, c, d, e]).map { $0 &+ $1 }
  }
  return state.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * UInt32($0))) } }
}
