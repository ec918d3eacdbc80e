import COpenSSL
import Glibc
import Synchronization

/// Memory that other processes, core files and swap do not see, for `SecretBytes`.
///
/// A secure world enables it once at its start. The mapping is memfd_secret where the kernel has it (out of the
/// kernel's direct map; its descriptor is closed at once), else anonymous memory that is locked and left out of core
/// files. It is not inherited by `fork` (MADV_DONTFORK): a child that goes on to exec a peripheral never holds the
/// keys, and a child that touches a secret of its parent faults. Where the arena is not enabled, or full,
/// `SecretBytes` come from the ordinary heap; they are wiped all the same.
public enum SecretArena {
  public enum Protection: Equatable, Sendable {
    /// memfd_secret: unmapped even in the kernel.
    case secretMemory
    /// Locked into RAM, not in core files.
    case lockedMemory
    /// Not in core files; the process may not lock so much memory (RLIMIT_MEMLOCK).
    case unlockedMemory
  }

  /// Maps at least `byteCount` bytes of secret memory and serves `SecretBytes` from it from now on.
  ///
  /// Answers what the mapping got. A second call changes nothing and answers as the first did.
  /// Throws `.invalidParameter` for a count of 0 or above 1 GiB, `.libraryFailure` when no memory can be mapped.
  public static func enable(byteCount: Int) throws(CryptoError) -> Protection {
    guard byteCount > 0, byteCount <= 1 << 30 else { throw CryptoError(.invalidParameter, in: "SecretArena.enable") }
    return try state.withLock { (state) throws(CryptoError) in
      if let arena = state { return arena.protection }
      let arena = try PageArena(byteCount: byteCount)
      state = arena
      return arena.protection
    }
  }

  /// What was enabled, or nil.
  public static var protection: Protection? { state.withLock { $0?.protection } }

  static func allocate(byteCount: Int) -> UnsafeMutableRawPointer {
    if let inside = state.withLock({ $0?.allocate(byteCount: byteCount) }) { return inside }
    return .allocate(byteCount: max(byteCount, 1), alignment: 16)
  }

  /// Takes back what `allocate` gave for the same `byteCount`. The caller has wiped it.
  static func free(_ pointer: UnsafeMutableRawPointer, byteCount: Int) {
    let wasInside = state.withLock { $0?.free(pointer, byteCount: byteCount) ?? false }
    if !wasInside { pointer.deallocate() }
  }

  private static let state = Mutex<PageArena?>(nil)
}

/// Pages of one mapping. A page holds blocks of one power-of-two size; larger blocks take a run of pages.
private struct PageArena {
  private static let pageByteCount = 4096
  private static let smallestBlockByteCount = 32
  private static let classCount = 7  // 32, 64, ... 2048 bytes

  private enum Page {
    case free
    /// Blocks of class `sizeClass`; `taken` has a bit for each block in use.
    case blocks(sizeClass: Int, taken: (low: UInt64, high: UInt64))
    case run
  }

  let protection: SecretArena.Protection
  private nonisolated(unsafe) let base: UnsafeMutableRawPointer
  private var pages: [Page]
  /// Per class, a page that had room when last looked at.
  private var roomHint: [Int]
  private var freePageHint = 0

  init(byteCount: Int) throws(CryptoError) {
    let pageCount = (byteCount + Self.pageByteCount - 1) / Self.pageByteCount
    let mappedByteCount = pageCount * Self.pageByteCount
    if let secret = Self.mapSecretMemory(byteCount: mappedByteCount) {
      (base, protection) = (secret, .secretMemory)
    } else {
      let mapped = mmap(nil, mappedByteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      guard let mapped, mapped != MAP_FAILED else { throw CryptoError(.libraryFailure, in: "mmap") }
      madvise(mapped, mappedByteCount, Int32(MADV_DONTDUMP))
      base = mapped
      protection = mlock(mapped, mappedByteCount) == 0 ? .lockedMemory : .unlockedMemory
    }
    madvise(base, mappedByteCount, Int32(MADV_DONTFORK))
    pages = Array(repeating: .free, count: pageCount)
    roomHint = Array(repeating: -1, count: Self.classCount)
  }

  private static func mapSecretMemory(byteCount: Int) -> UnsafeMutableRawPointer? {
    let descriptor = strongroom_memfd_secret()
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    guard ftruncate(descriptor, byteCount) == 0 else { return nil }
    let mapped = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    return mapped == MAP_FAILED ? nil : mapped
  }

  /// A block of at least `byteCount` bytes, aligned to 16, or nil when none is left.
  mutating func allocate(byteCount: Int) -> UnsafeMutableRawPointer? {
    guard let sizeClass = Self.sizeClass(byteCount) else { return allocateRun(byteCount: byteCount) }
    if let block = takeBlock(inPage: roomHint[sizeClass], sizeClass: sizeClass) { return block }
    for page in pages.indices {
      guard let block = takeBlock(inPage: page, sizeClass: sizeClass) else { continue }
      roomHint[sizeClass] = page
      return block
    }
    guard let page = firstFreeRun(pageCount: 1) else { return nil }
    pages[page] = .blocks(sizeClass: sizeClass, taken: (0, 0))
    roomHint[sizeClass] = page
    return takeBlock(inPage: page, sizeClass: sizeClass)
  }

  /// Frees a block of this arena; false when `pointer` is not in it.
  mutating func free(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> Bool {
    let offset = pointer - base
    guard offset >= 0, offset < pages.count * Self.pageByteCount else { return false }
    let page = offset / Self.pageByteCount
    switch pages[page] {
    case .blocks(let sizeClass, var taken):
      let block = offset % Self.pageByteCount / (Self.smallestBlockByteCount << sizeClass)
      if block < 64 { taken.low &= ~(1 << block) } else { taken.high &= ~(1 << (block - 64)) }
      let isEmpty = taken.low == 0 && taken.high == 0
      pages[page] = isEmpty ? .free : .blocks(sizeClass: sizeClass, taken: taken)
      if !isEmpty { roomHint[sizeClass] = page }
    case .run, .free:
      for freed in page..<page + Self.pageCount(byteCount) { pages[freed] = .free }
    }
    freePageHint = min(freePageHint, page)
    return true
  }

  private mutating func takeBlock(inPage page: Int, sizeClass: Int) -> UnsafeMutableRawPointer? {
    guard pages.indices.contains(page), case .blocks(sizeClass, var taken) = pages[page] else { return nil }
    let blockCount = Self.pageByteCount / (Self.smallestBlockByteCount << sizeClass)
    var block = (~taken.low).trailingZeroBitCount
    if block == 64 { block += (~taken.high).trailingZeroBitCount }
    guard block < blockCount else { return nil }
    if block < 64 { taken.low |= 1 << block } else { taken.high |= 1 << (block - 64) }
    pages[page] = .blocks(sizeClass: sizeClass, taken: taken)
    return base + page * Self.pageByteCount + block * (Self.smallestBlockByteCount << sizeClass)
  }

  private mutating func allocateRun(byteCount: Int) -> UnsafeMutableRawPointer? {
    let needed = Self.pageCount(byteCount)
    guard needed <= pages.count, let first = firstFreeRun(pageCount: needed) else { return nil }
    for page in first..<first + needed { pages[page] = .run }
    return base + first * Self.pageByteCount
  }

  private mutating func firstFreeRun(pageCount needed: Int) -> Int? {
    var start = freePageHint
    var sawFree = false
    var length = 0
    for page in freePageHint..<pages.count {
      guard case .free = pages[page] else {
        length = 0
        start = page + 1
        if !sawFree { freePageHint = page + 1 }
        continue
      }
      sawFree = true
      length += 1
      if length == needed { return start }
    }
    return nil
  }

  private static func pageCount(_ byteCount: Int) -> Int { (byteCount - 1) / pageByteCount + 1 }

  private static func sizeClass(_ byteCount: Int) -> Int? {
    (0..<classCount).first { byteCount <= smallestBlockByteCount << $0 }
  }
}
