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
  /// Per class, the pages that have a block left; the last one is taken from.
  private var pagesWithRoom: [[Int]]

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
    pagesWithRoom = Array(repeating: [], count: Self.classCount)
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
    guard let sizeClass = Self.sizeClass(byteCount) else {
      let needed = Self.pageCount(byteCount)
      guard let first = takeRun(pageCount: needed) else { return nil }
      for page in first..<first + needed { pages[page] = .run }
      return base + first * Self.pageByteCount
    }
    if pagesWithRoom[sizeClass].isEmpty {
      guard let page = takeRun(pageCount: 1) else { return nil }
      pages[page] = .blocks(sizeClass: sizeClass, taken: (0, 0))
      pagesWithRoom[sizeClass].append(page)
    }
    guard let page = pagesWithRoom[sizeClass].last else { return nil }
    return takeBlock(inPage: page, sizeClass: sizeClass)
  }

  /// Frees a block of this arena; false when `pointer` is not in it.
  mutating func free(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> Bool {
    let offset = pointer - base
    guard offset >= 0, offset < pages.count * Self.pageByteCount else { return false }
    let page = offset / Self.pageByteCount
    if case .blocks(let sizeClass, var taken) = pages[page] {
      if Self.isFull(taken, sizeClass: sizeClass) { pagesWithRoom[sizeClass].append(page) }
      let block = offset % Self.pageByteCount / Self.blockByteCount(sizeClass)
      if block < 64 { taken.low &= ~(1 << block) } else { taken.high &= ~(1 << (block - 64)) }
      pages[page] = .blocks(sizeClass: sizeClass, taken: taken)
    } else {
      for freed in page..<page + Self.pageCount(byteCount) { pages[freed] = .free }
    }
    return true
  }

  private mutating func takeBlock(inPage page: Int, sizeClass: Int) -> UnsafeMutableRawPointer? {
    guard case .blocks(_, var taken) = pages[page] else { return nil }
    var block = (~taken.low).trailingZeroBitCount
    if block == 64 { block += (~taken.high).trailingZeroBitCount }
    if block < 64 { taken.low |= 1 << block } else { taken.high |= 1 << (block - 64) }
    pages[page] = .blocks(sizeClass: sizeClass, taken: taken)
    if Self.isFull(taken, sizeClass: sizeClass) { pagesWithRoom[sizeClass].removeLast() }
    return base + page * Self.pageByteCount + block * Self.blockByteCount(sizeClass)
  }

  /// The first of `pageCount` free pages in a row. Pages whose blocks are all free count once nothing else is left.
  private mutating func takeRun(pageCount: Int) -> Int? {
    if let first = firstFreeRun(pageCount: pageCount) { return first }
    for page in pages.indices {
      guard case .blocks(let sizeClass, (0, 0)) = pages[page] else { continue }
      pages[page] = .free
      pagesWithRoom[sizeClass].removeAll { $0 == page }
    }
    return firstFreeRun(pageCount: pageCount)
  }

  private func firstFreeRun(pageCount needed: Int) -> Int? {
    var length = 0
    for page in pages.indices {
      guard case .free = pages[page] else {
        length = 0
        continue
      }
      length += 1
      if length == needed { return page - needed + 1 }
    }
    return nil
  }

  private static func isFull(_ taken: (low: UInt64, high: UInt64), sizeClass: Int) -> Bool {
    taken.low.nonzeroBitCount + taken.high.nonzeroBitCount == pageByteCount / blockByteCount(sizeClass)
  }

  private static func blockByteCount(_ sizeClass: Int) -> Int { smallestBlockByteCount << sizeClass }

  private static func pageCount(_ byteCount: Int) -> Int { (byteCount - 1) / pageByteCount + 1 }

  private static func sizeClass(_ byteCount: Int) -> Int? {
    (0..<classCount).first { byteCount <= blockByteCount($0) }
  }
}
