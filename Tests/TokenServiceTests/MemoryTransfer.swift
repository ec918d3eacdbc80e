import Cryptoki
import Glibc

@testable import TokenService

/// Bulk data in memory, handed out in small pieces as a ring would.
struct MemoryTransfer: BulkTransfer {
  private let input: [UInt8]
  private let announced: UInt64
  private let piece: UInt64
  private var position = 0
  private var room: [UInt8] = []
  private var lent: UnsafeMutableRawBufferPointer?
  private(set) var output: [UInt8] = []
  let outputCapacity: UInt64
  /// Where output is written, if it is not in memory of the transfer's own: somebody else may write there too.
  private let place: UnsafeMutableRawBufferPointer?

  /// `announced` is what the client says it will send; it may send less.
  init(
    _ input: [UInt8] = [], capacity: UInt64 = 1 << 20, announced: UInt64? = nil, piece: Int = 1000,
    place: UnsafeMutableRawBufferPointer? = nil
  ) {
    self.input = input
    self.announced = announced ?? UInt64(input.count)
    self.piece = UInt64(piece)
    outputCapacity = capacity
    self.place = place
  }

  var inputByteCount: UInt64 { announced }
  var outputByteCount: UInt64 { UInt64(output.count) }

  mutating func nextInput(atMost: Int) throws(ReturnValue) -> UnsafeRawBufferPointer {
    release()
    let count = min(atMost, Int(piece), input.count - position)
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count, 1), alignment: 1)
    memory.copyBytes(from: input[position..<position + count])
    position += count
    lent = memory
    return UnsafeRawBufferPointer(rebasing: memory[..<count])
  }

  private var reserved: UnsafeMutableRawBufferPointer?

  mutating func reserveOutput(_ count: Int) throws(ReturnValue) -> UnsafeMutableRawBufferPointer {
    if let place {
      reserved = place
      return UnsafeMutableRawBufferPointer(rebasing: place[..<count])
    }
    reserved?.deallocate()
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count, 1), alignment: 1)
    reserved = memory
    return UnsafeMutableRawBufferPointer(rebasing: memory[..<count])
  }

  mutating func commitOutput(_ count: Int) throws(ReturnValue) {
    guard let reserved, count <= reserved.count, UInt64(output.count + count) <= outputCapacity else {
      throw .bufferTooSmall
    }
    output += reserved[..<count]
  }

  private mutating func release() {
    lent?.deallocate()
    lent = nil
  }
}
