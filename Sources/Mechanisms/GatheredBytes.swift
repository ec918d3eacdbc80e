import CryptoCore
import Wire

/// Input that is needed whole: a growing byte string that is wiped when it goes.
///
/// Most of it comes in one piece, which is kept as it is. Further pieces, however short, fill rooms that grow with what there is, so the
/// memory is at most about twice the bytes.
final class GatheredBytes {
  private var first: SecretBytes?
  private var rooms: [SecretRoom] = []
  /// The number of bytes held.
  private(set) var count = 0

  private static let roomByteCounts = 64...(1 << 18)

  /// Bytes of memory for what is held.
  var allocatedByteCount: Int { rooms.reduce(first?.count ?? 0) { $0 + $1.capacity } }

  /// The pieces of memory that it lies in.
  var blockCount: Int { rooms.count + (first == nil ? 0 : 1) }

  /// Appends a copy.
  func append(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count > 0 else { return }
    guard count > 0 else {
      first = SecretBytes(copying: bytes)
      count = bytes.count
      return
    }
    var rest = bytes
    while !rest.isEmpty {
      if rooms.last.map({ $0.count == $0.capacity }) ?? true {
        let range = Self.roomByteCounts
        rooms.append(SecretRoom(capacity: min(max(count, range.lowerBound), range.upperBound)))
      }
      let taken = rooms[rooms.count - 1].append(rest)
      rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
      count += taken
    }
  }

  /// The whole as one string.
  func joined() -> SecretBytes {
    if rooms.isEmpty, let first { return first }
    let whole = SecretBytes(count: count) { (memory) throws(Never) in
      var place = 0
      first?.withBytes {
        memory.copy($0, at: place)
        place += $0.count
      }
      for room in rooms {
        room.withBytes {
          memory.copy($0, at: place)
          place += $0.count
        }
      }
      return place
    }
    first = whole
    rooms = []
    return whole
  }
}
