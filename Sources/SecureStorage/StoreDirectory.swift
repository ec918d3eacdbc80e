import CryptoCore
import Glibc

/// The directory of a store, locked for this process as long as this lives, and the plain files in it.
final class StoreDirectory {
  static let databaseName = "strongroom.db"
  static let logName = "strongroom.db-wal"
  static let anchorName = "anchor"
  static let deviceKeyName = "device.key"
  static let lockName = "lock"
  static let deviceKeyByteCount = 32

  let path: String
  private let descriptor: Int32
  private let lock: Int32

  /// Makes the directory (0700) where it is absent and takes the lock; throws `.inUse` when another process has it.
  init(path: String) throws(StorageError) {
    let descriptor = try Self.openDirectory(path)
    do throws(StorageError) {
      lock = try Self.takeLock(in: descriptor, path: path)
    } catch {
      close(descriptor)
      throw error
    }
    self.path = path
    self.descriptor = descriptor
  }

  deinit {
    close(lock)
    close(descriptor)
  }

  func path(of name: String) -> String { path + "/" + name }

  /// The byte count of a regular file, nil when there is none.
  func byteCount(of name: String) throws(StorageError) -> Int? {
    var status = stat()
    guard fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
      if errno == ENOENT { return nil }
      throw .fromErrno("stat", path(of: name))
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notAStore("\(path(of: name)) is not a regular file") }
    return Int(status.st_size)
  }

  /// Opens `name`; the descriptor is the caller's.
  func open(_ name: String, _ flags: Int32) throws(StorageError) -> Int32 {
    let file = openat(descriptor, name, flags | O_CLOEXEC | O_NOFOLLOW, 0o600)
    if file < 0 { throw .fromErrno("open", path(of: name)) }
    return file
  }

  func remove(_ name: String) { unlinkat(descriptor, name, 0) }

  /// Makes the names in the directory durable.
  func sync() throws(StorageError) {
    if fsync(descriptor) != 0 { throw .fromErrno("fsync", path) }
  }

  /// Makes a file `name` (0600) of `content` that is either absent or whole and durable, whatever happens.
  func create(_ name: String, content: UnsafeRawBufferPointer) throws(StorageError) {
    let draft = name + ".new"
    remove(draft)  // left by an interrupted creation
    let file = try open(draft, O_RDWR | O_CREAT | O_EXCL)
    defer { close(file) }
    try writeAll(content, to: file, at: 0, path: path(of: draft))
    if fsync(file) != 0 { throw .fromErrno("fsync", path(of: draft)) }
    if renameat(descriptor, draft, descriptor, name) != 0 { throw .fromErrno("rename", path(of: draft)) }
    try sync()
  }

  /// The device key. Throws `.deviceKey` when it is absent, has another length or is readable by others.
  func readDeviceKey() throws(StorageError) -> SecretBytes {
    guard let byteCount = try byteCount(of: Self.deviceKeyName) else {
      throw .deviceKey(
        "\(path(of: Self.deviceKeyName)) is missing, but the store holds data that only this key opens. "
          + "Restore it from a copy. Nothing was modified.")
    }
    guard byteCount == Self.deviceKeyByteCount else {
      throw .deviceKey(
        "\(path(of: Self.deviceKeyName)) has \(byteCount) bytes instead of \(Self.deviceKeyByteCount). "
          + "Restore it from a copy. Nothing was modified.")
    }
    let file = try open(Self.deviceKeyName, O_RDONLY)
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0 else { throw .fromErrno("stat", path(of: Self.deviceKeyName)) }
    guard status.st_mode & 0o077 == 0 else {
      throw .deviceKey("\(path(of: Self.deviceKeyName)) is open to others: give it mode 600. Nothing was modified.")
    }
    let name = path(of: Self.deviceKeyName)
    return try SecretBytes(count: Self.deviceKeyByteCount) { (bytes) throws(StorageError) in
      let count = pread(file, bytes.baseAddress, bytes.count, 0)
      if count < 0 { throw .fromErrno("read", name) }
      guard count == bytes.count else { throw .deviceKey("\(name) is too short") }
      return count
    }
  }

  /// Makes a new random device key, durable.
  func createDeviceKey() throws(StorageError) -> SecretBytes {
    let key = try cryptography { () throws(CryptoError) in try SecretBytes.random(count: Self.deviceKeyByteCount) }
    try key.withBytes { (bytes) throws(StorageError) in try create(Self.deviceKeyName, content: bytes) }
    return key
  }

  private static func openDirectory(_ path: String) throws(StorageError) -> Int32 {
    try makeDirectories(path)
    let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if descriptor < 0 { throw .fromErrno("open", path) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      let error = StorageError.fromErrno("stat", path)
      close(descriptor)
      throw error
    }
    guard status.st_mode & 0o022 == 0 else {
      close(descriptor)
      throw .notAStore("\(path) can be written by others: give it mode 700")
    }
    return descriptor
  }

  private static func makeDirectories(_ path: String) throws(StorageError) {
    if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
    guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
      throw .fromErrno("mkdir", path)
    }
    try makeDirectories(String(path[..<slash]))
    if mkdir(path, 0o700) != 0, errno != EEXIST { throw .fromErrno("mkdir", path) }
  }

  private static func takeLock(in directory: Int32, path: String) throws(StorageError) -> Int32 {
    let file = openat(directory, lockName, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    if file < 0 { throw .fromErrno("open", path + "/" + lockName) }
    guard takesLock(file) else {
      defer { close(file) }
      guard errno == EWOULDBLOCK else { throw .fromErrno("flock", path + "/" + lockName) }
      throw .inUse(directory: path, processID: readProcessID(file))
    }
    // The number only serves the message above; without room for it the lock holds all the same.
    let digits = Array("\(getpid())\n".utf8)
    _ = ftruncate(file, 0)
    _ = digits.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, 0) }
    return file
  }

  private static func readProcessID(_ file: Int32) -> Int32? {
    var digits = [UInt8](repeating: 0, count: 16)
    let count = digits.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, 0) }
    guard count > 0 else { return nil }
    return Int32(String(decoding: digits[..<count].prefix { $0 != 0x0A }, as: UTF8.self))
  }
}

/// Writes all of `bytes` at `offset`.
func writeAll(
  _ bytes: UnsafeRawBufferPointer, to file: Int32, at offset: Int, path: String
) throws(StorageError) {
  var done = 0
  while done < bytes.count {
    let count = pwrite(file, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
    if count < 0 {
      if errno == EINTR { continue }
      throw .fromErrno("write", path)
    }
    done += count
  }
}

/// How often the lock is asked for, two milliseconds apart, before the store counts as in use. A holder may be on its way out,
/// or be a child between fork and exec that shares the holder's descriptor for a moment.
private let lockAttempts = 500

/// Whether the lock could be taken; if not, errno says why.
private func takesLock(_ file: Int32) -> Bool {
  for attempt in 1...lockAttempts {
    if flock(file, LOCK_EX | LOCK_NB) == 0 { return true }
    guard errno == EWOULDBLOCK || errno == EINTR, attempt < lockAttempts else { return false }
    usleep(2000)
  }
  return false
}
