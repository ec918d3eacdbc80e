import CLinux
import Glibc

/// What happens to a mapping at fork and in a core file.
public struct MappingOptions: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// A forked child does not have the mapping.
  public static let notInherited = MappingOptions(rawValue: 1)
  /// A core file does not show the content.
  public static let notDumped = MappingOptions(rawValue: 2)
  /// The pages are there from the start, where the system can do that (Linux 5.14).
  public static let populated = MappingOptions(rawValue: 4)
}

/// A region that was just created, and the descriptor to send to those who are to map it.
@frozen
public struct CreatedRegion: ~Copyable, Sendable {
  public let region: SharedRegion
  public var descriptor: Descriptor
}

/// Memory that two processes map: a sealed memory file.
///
/// The size is sealed, so that neither side can take pages away from under the other (SIGBUS).
public final class SharedRegion: @unchecked Sendable {
  // Sendable: the properties are constant; whoever shares the content says how.

  public enum Access: Sendable { case readOnly, readWrite }

  /// A part of the file and where the mapping shows it; the same part may be shown more than once. All multiples of
  /// the page size.
  public struct Window: Sendable {
    public let fileOffset: Int
    public let byteCount: Int
    public init(fileOffset: Int, byteCount: Int) {
      self.fileOffset = fileOffset
      self.byteCount = byteCount
    }
  }

  /// The first byte of the mapping.
  public let base: UnsafeMutableRawPointer
  /// The length of the mapping in bytes.
  public let byteCount: Int
  private let isMapped: ManagedFlag

  /// Creates a region of `byteCount` zero bytes and answers it with its descriptor.
  ///
  /// With `published` the creator alone can write: its mapping is made before the file is sealed against later
  /// writable ones (F_SEAL_FUTURE_WRITE), so a receiver can only map it for reading.
  public static func create(
    name: String, byteCount: Int, published: Bool = false, windows: [Window]? = nil, options: MappingOptions = []
  ) throws(SystemError) -> CreatedRegion {
    let descriptor = Descriptor(adopting: try checked("memfd_create") { clinux_memory_file(name) })
    let number = descriptor.number
    try checked("ftruncate") { ftruncate(number, off_t(byteCount)) }
    let region = try SharedRegion(
      mapping: number, windows: windows ?? [Window(fileOffset: 0, byteCount: byteCount)], access: .readWrite,
      options: options)
    let seals = CLINUX_SEAL_SHRINK | CLINUX_SEAL_GROW | CLINUX_SEAL_SEAL | (published ? CLINUX_SEAL_FUTURE_WRITE : 0)
    try checked("fcntl") { clinux_add_seals(number, seals) }
    return CreatedRegion(region: region, descriptor: descriptor)
  }

  /// Maps a region that another process created. Refused with EINVAL unless it is a memory file of exactly
  /// `byteCount` bytes whose size is sealed.
  public convenience init(
    _ descriptor: borrowing Descriptor, byteCount: Int, access: Access, windows: [Window]? = nil,
    options: MappingOptions = []
  ) throws(SystemError) {
    let number = descriptor.number
    let seals = try checked("fcntl") { clinux_get_seals(number) }
    let needed = CLINUX_SEAL_SHRINK | CLINUX_SEAL_GROW
    guard seals & needed == needed, try SharedRegion.fileByteCount(descriptor) == byteCount else {
      throw SystemError("SharedRegion", EINVAL)
    }
    try self.init(
      mapping: number, windows: windows ?? [Window(fileOffset: 0, byteCount: byteCount)], access: access,
      options: options)
  }

  /// The bytes of as many pages as hold `byteCount` bytes.
  public static func wholePages(_ byteCount: Int) -> Int {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    return (byteCount + page - 1) / page * page
  }

  /// The length in bytes of the file behind a descriptor.
  public static func fileByteCount(_ descriptor: borrowing Descriptor) throws(SystemError) -> Int {
    let number = descriptor.number
    var status = stat()
    try checked("fstat") { fstat(number, &status) }
    return Int(status.st_size)
  }

  /// Whether the descriptor is a memory file (or another file whose reading never waits for somebody else).
  public static func isMemoryFile(_ descriptor: borrowing Descriptor) -> Bool {
    clinux_get_seals(descriptor.number) >= 0
  }

  private init(
    mapping number: Int32, windows: [Window], access: Access, options: MappingOptions
  ) throws(SystemError) {
    var total = 0
    for window in windows { total += window.byteCount }
    let protection = access == .readOnly ? PROT_READ : PROT_READ | PROT_WRITE
    guard total > 0 else { throw SystemError("mmap", EINVAL) }
    guard let start = mmap(nil, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
      start != MAP_FAILED
    else { throw SystemError("mmap", errno) }
    var offset = 0
    for window in windows {
      let part = mmap(
        start + offset, window.byteCount, protection, MAP_SHARED | MAP_FIXED, number, off_t(window.fileOffset))
      if part == MAP_FAILED {
        let code = errno
        munmap(start, total)
        throw SystemError("mmap", code)
      }
      offset += window.byteCount
    }
    if options.contains(.notInherited) { madvise(start, total, MADV_DONTFORK) }
    if options.contains(.notDumped) { madvise(start, total, MADV_DONTDUMP) }
    if options.contains(.populated) { madvise(start, total, 23 /* MADV_POPULATE_WRITE */) }
    base = start
    byteCount = total
    isMapped = ManagedFlag(true)
  }

  /// Gives the pages back to the system, whoever else has the file: it reads as zeros from then on.
  public func discard() {
    madvise(base, byteCount, MADV_REMOVE)
  }

  deinit {
    if isMapped.value { munmap(base, byteCount) }
  }

  /// Forgets the mapping without undoing it: for a forked child that did not inherit it, where something else may lie
  /// at its address by now.
  public func abandon() {
    isMapped.value = false
  }
}

/// A flag that one thread sets and deinit reads.
final class ManagedFlag: @unchecked Sendable {
  // Sendable: written only where no other thread of the process can exist (after fork), read in deinit.
  var value: Bool
  init(_ value: Bool) { self.value = value }
}
