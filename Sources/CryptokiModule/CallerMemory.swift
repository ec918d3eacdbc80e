import CCryptoki
import Cryptoki
import Glibc

/// Where user space ends at the latest (five-level page tables): no object of a caller reaches past it.
private let endOfUserSpace: UInt = 1 << 56

/// The `count` bytes at `pointer`, as a caller's arguments describe them.
///
/// Throws CKR_ARGUMENTS_BAD when bytes are announced but there is no pointer, or more than an address space can hold.
@inline(__always)
func callerBytes(_ pointer: UnsafeRawPointer?, _ count: CK_ULONG) throws(ReturnValue) -> UnsafeRawBufferPointer {
  guard count > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
  guard let pointer, let byteCount = Int(exactly: count), count < endOfUserSpace,
    UInt(bitPattern: pointer) &+ count <= endOfUserSpace
  else { throw .argumentsBad }
  return UnsafeRawBufferPointer(start: pointer, count: byteCount)
}

/// The elements of a caller's array. Throws CKR_ARGUMENTS_BAD as `callerBytes` does.
func callerArray<Element>(
  _ pointer: UnsafeMutablePointer<Element>?, _ count: CK_ULONG
) throws(ReturnValue) -> UnsafeMutableBufferPointer<Element> {
  guard count > 0 else { return UnsafeMutableBufferPointer(start: nil, count: 0) }
  guard let pointer, let elementCount = Int(exactly: count) else { throw .argumentsBad }
  let (byteCount, overflow) = count.multipliedReportingOverflow(by: UInt(MemoryLayout<Element>.stride))
  guard !overflow, byteCount < endOfUserSpace, UInt(bitPattern: pointer) &+ byteCount <= endOfUserSpace else {
    throw .argumentsBad
  }
  return UnsafeMutableBufferPointer(start: pointer, count: elementCount)
}

/// The place that a caller gives for a result. Throws CKR_ARGUMENTS_BAD when it is NULL.
@inline(__always)
func place<Value>(_ pointer: UnsafeMutablePointer<Value>?) throws(ReturnValue) -> UnsafeMutablePointer<Value> {
  guard let pointer else { throw .argumentsBad }
  return pointer
}

/// A buffer and the place of its length, by the convention for output of variable size (PKCS#11 3.2, 5.2).
struct OutputBuffer {
  private let start: UnsafeMutableRawPointer?
  private let count: UnsafeMutablePointer<CK_ULONG>

  /// Throws CKR_ARGUMENTS_BAD when there is no place for the length.
  init(_ start: UnsafeMutableRawPointer?, _ count: UnsafeMutablePointer<CK_ULONG>?) throws(ReturnValue) {
    self.start = start
    self.count = try place(count)
  }

  /// Whether the caller asks how many bytes there will be.
  var isSizeQuery: Bool { start == nil }

  /// The buffer's first `limit` bytes, fewer when it is shorter.
  func memory(limit: Int) -> UnsafeMutableRawBufferPointer {
    guard let start else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
    return UnsafeMutableRawBufferPointer(start: start, count: min(Int(clamping: count.pointee), max(limit, 0)))
  }

  /// What was said last.
  var byteCount: Int { Int(clamping: count.pointee) }

  /// Says how many bytes were written, or would be.
  func setCount(_ byteCount: Int) {
    count.pointee = UInt(max(byteCount, 0))
  }

  /// Answers a size query (true), refuses a buffer below `bound` where that is exact, and else lets the work go on.
  ///
  /// Throws CKR_BUFFER_TOO_SMALL after having said what is needed.
  func settlesWithoutWork(_ bound: OutputBound) throws(ReturnValue) -> Bool {
    if isSizeQuery {
      setCount(bound.byteCount)
      return true
    }
    if bound.isExact, count.pointee < UInt(max(bound.byteCount, 0)) {
      setCount(bound.byteCount)
      throw .bufferTooSmall
    }
    return false
  }
}

/// How many bytes a step of an operation gives: exactly, or at most.
struct OutputBound: Equatable {
  var byteCount: Int
  var isExact: Bool

  static func exactly(_ byteCount: Int) -> OutputBound { OutputBound(byteCount: byteCount, isExact: true) }
  static func atMost(_ byteCount: Int) -> OutputBound { OutputBound(byteCount: byteCount, isExact: false) }
}

/// Fills a fixed field with `text`, padded with blanks (PKCS#11 3.2, 3.1: strings are not NUL-terminated).
func setPadded<Field>(_ field: inout Field, _ text: String) {
  setPadded(&field, Array(text.utf8))
}

/// Fills a fixed field with `bytes`, cut or padded with blanks.
func setPadded<Field>(_ field: inout Field, _ bytes: [UInt8]) {
  withUnsafeMutableBytes(of: &field) { destination in
    for index in destination.indices { destination[index] = index < bytes.count ? bytes[index] : UInt8(ascii: " ") }
  }
}

/// Whether a number that a caller gives as a descriptor is one.
func isOpenDescriptor(_ number: Int32) -> Bool {
  number >= 0 && fcntl(number, F_GETFD) >= 0
}
