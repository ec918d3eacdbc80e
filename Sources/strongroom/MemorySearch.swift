import Foundation

/// Searches the memory of a process for byte strings, through /proc/PID/maps and /proc/PID/mem.
struct MemorySearch {
  struct Needle {
    /// What the bytes are; needles of one name are counted together.
    let name: String
    let bytes: [UInt8]
  }

  struct Hit {
    let needle: Int
    let address: UInt
    /// The mapping's name: a file, [heap], [stack], or nothing.
    let mapping: String
    /// Whether the file that is mapped there holds the same bytes at the same place: part of a program or library as it
    /// was shipped, not something the process has learned.
    let isPartOfFile: Bool
    /// Whether a needle that counts up by one goes on counting after its end: a table of small numbers, of which a
    /// video library has many, and not that needle.
    let isPartOfTable: Bool
  }

  private(set) var hits: [Hit] = []
  private(set) var byteCount: UInt64 = 0
  private(set) var mappingCount = 0
  /// Mappings that the kernel does not let anybody read (EIO, EFAULT), with their sizes.
  private(set) var unreadable: [(name: String, byteCount: UInt)] = []

  /// The least length of a needle: shorter ones are found by chance.
  static let minimumByteCount = 8

  private let needles: [Needle]
  private let index: [UInt64: [Int]]
  private let filter: [UInt64]
  private let longest: Int

  init(_ needles: [Needle]) throws {
    for needle in needles where needle.bytes.count < Self.minimumByteCount {
      throw Failure.usage("the needle \"\(needle.name)\" has \(needle.bytes.count) bytes; at least 8 are needed")
    }
    self.needles = needles
    longest = needles.map(\.bytes.count).max() ?? Self.minimumByteCount
    var index: [UInt64: [Int]] = [:]
    var filter = [UInt64](repeating: 0, count: 1 << 14)
    for (number, needle) in needles.enumerated() {
      let head = needle.bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
      index[head, default: []].append(number)
      let slot = Self.slot(head)
      filter[slot >> 6] |= 1 << UInt64(slot & 63)
    }
    self.index = index
    self.filter = filter
  }

  /// A position among 2^20 for the first eight bytes of a needle.
  @inline(__always) private static func slot(_ head: UInt64) -> Int {
    Int((head &* 0x9e37_79b9_7f4a_7c15) >> 44)
  }

  private struct Mapping {
    let start: UInt
    let end: UInt
    let fileOffset: UInt64
    /// Whether what is written there stays with the process.
    let isPrivate: Bool
    let name: String
  }

  /// Searches every readable mapping of the process.
  mutating func search(process: Int32) throws {
    let mappings = try Self.mappings(of: process)
    let memory = open("/proc/\(process)/mem", O_RDONLY | O_CLOEXEC)
    guard memory >= 0 else {
      throw Failure.system("/proc/\(process)/mem")
    }
    defer { close(memory) }
    for mapping in mappings { search(mapping, memory) }
  }

  private static func mappings(of process: Int32) throws -> [Mapping] {
    let path = "/proc/\(process)/maps"
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw Failure.system(path) }
    defer { close(file) }
    // The kernel gives it in pieces of about a page: read on until there is none left.
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65_536)
    while case let count = read(file, &piece, piece.count), count > 0 { bytes += piece[..<count] }
    let text = String(decoding: bytes, as: UTF8.self)
    return text.split(separator: "\n").compactMap { line in
      let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
      guard fields.count >= 5, fields[1].hasPrefix("r") else { return nil }
      let range = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
      guard range.count == 2, let offset = UInt64(fields[2], radix: 16) else { return nil }
      return Mapping(
        start: range[0], end: range[1], fileOffset: offset, isPrivate: fields[1].hasSuffix("p"),
        name: fields.count > 5 ? fields[5].trimmingCharacters(in: .whitespaces) : "")
    }
  }

  private static let chunkByteCount = 4 << 20

  private mutating func search(_ mapping: Mapping, _ memory: Int32) {
    var position = mapping.start
    var carried = 0
    var chunk = [UInt8](repeating: 0, count: Self.chunkByteCount + longest)
    var lost: UInt = 0
    while position < mapping.end {
      let wanted = min(UInt(Self.chunkByteCount), mapping.end - position)
      let got = chunk.withUnsafeMutableBytes { buffer in
        pread(memory, buffer.baseAddress! + carried, Int(wanted), Int(bitPattern: position))
      }
      guard got > 0 else {
        // One page at a time, so that a hole hides no more than itself.
        lost += min(4096, mapping.end - position)
        position += min(4096, mapping.end - position)
        carried = 0
        continue
      }
      let available = carried + got
      let base = position - UInt(carried)
      let found = chunk.withUnsafeBytes { find(in: UnsafeRawBufferPointer(rebasing: $0[..<available])) }
      for (needle, offset) in found {
        // What lies wholly in the carried part was found in the last round.
        guard offset + needles[needle].bytes.count > carried else { continue }
        let address = base + UInt(offset)
        hits.append(
          Hit(
            needle: needle, address: address, mapping: mapping.name,
            isPartOfFile: isPartOfFile(mapping, address, needles[needle].bytes),
            isPartOfTable: isPartOfTable(memory, address, needles[needle].bytes)))
      }
      byteCount += UInt64(got)
      position += UInt(got)
      carried = min(available, longest - 1)
      chunk.withUnsafeMutableBytes { buffer in
        _ = memmove(buffer.baseAddress!, buffer.baseAddress! + (available - carried), carried)
      }
    }
    mappingCount += 1
    if lost > 0 { unreadable.append((mapping.name, lost)) }
  }

  /// Every needle in the bytes, with where it begins.
  private func find(in bytes: UnsafeRawBufferPointer) -> [(needle: Int, offset: Int)] {
    guard bytes.count >= 8, let base = bytes.baseAddress else { return [] }
    var found: [(Int, Int)] = []
    filter.withUnsafeBufferPointer { filter in
      for offset in 0...(bytes.count - 8) {
        let head = base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        let slot = Self.slot(head)
        if filter[slot >> 6] & (1 << UInt64(slot & 63)) == 0 { continue }
        for number in index[head] ?? [] {
          let needle = needles[number].bytes
          guard offset + needle.count <= bytes.count else { continue }
          if needle.withUnsafeBytes({ memcmp($0.baseAddress!, base + offset, needle.count) }) == 0 {
            found.append((number, offset))
          }
        }
      }
    }
    return found
  }

  private func isPartOfTable(_ memory: Int32, _ address: UInt, _ bytes: [UInt8]) -> Bool {
    guard zip(bytes, bytes.dropFirst()).allSatisfy({ $1 == $0 &+ 1 }), let last = bytes.last else { return false }
    var next: [UInt8] = [0, 0, 0, 0]
    let position = Int(bitPattern: address) + bytes.count
    return pread(memory, &next, next.count, position) == next.count && next == (1...4).map { last &+ $0 }
  }

  private func isPartOfFile(_ mapping: Mapping, _ address: UInt, _ bytes: [UInt8]) -> Bool {
    // What a process writes to a shared mapping is in the file as well.
    guard mapping.isPrivate, mapping.name.hasPrefix("/") else { return false }
    let file = open(mapping.name, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return false }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return false }
    var content = [UInt8](repeating: 0, count: bytes.count)
    let offset = mapping.fileOffset + UInt64(address - mapping.start)
    return pread(file, &content, bytes.count, Int(truncatingIfNeeded: offset)) == bytes.count && content == bytes
  }
}
