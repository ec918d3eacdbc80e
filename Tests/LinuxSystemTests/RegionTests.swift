import Glibc
import Testing

@testable import LinuxSystem

@Suite("Shared and secret memory")
struct RegionTests {
  @Test("a region shows the same bytes through both mappings, at every window")
  func sharing() throws {
    let created = try SharedRegion.create(name: "test", byteCount: 8192)
    let other = try SharedRegion(
      created.descriptor, byteCount: 8192, access: .readWrite,
      windows: [.init(fileOffset: 4096, byteCount: 4096), .init(fileOffset: 4096, byteCount: 4096)])
    created.region.base.storeBytes(of: 42, toByteOffset: 4096, as: UInt8.self)
    #expect(other.base.load(as: UInt8.self) == 42)
    #expect(other.base.load(fromByteOffset: 4096, as: UInt8.self) == 42)
  }

  @Test("the size of a region cannot be changed, and a wrong size is refused")
  func sealed() throws {
    let created = try SharedRegion.create(name: "test", byteCount: 4096)
    #expect(ftruncate(created.descriptor.number, 0) == -1)
    #expect(ftruncate(created.descriptor.number, 8192) == -1)
    #expect(throws: SystemError("SharedRegion", EINVAL)) {
      _ = try SharedRegion(created.descriptor, byteCount: 8192, access: .readWrite)
    }
  }

  @Test("a file that is not sealed is refused")
  func unsealed() throws {
    let directory = try Descriptor.open("/tmp", O_RDONLY)
    #expect(throws: SystemError.self) { _ = try SharedRegion(directory, byteCount: 4096, access: .readOnly) }
  }

  @Test("a published region can be read but not mapped for writing")
  func published() throws {
    let created = try SharedRegion.create(name: "test", byteCount: 4096, published: true)
    #expect(throws: SystemError("mmap", EPERM)) {
      _ = try SharedRegion(created.descriptor, byteCount: 4096, access: .readWrite)
    }
    let reader = try SharedRegion(created.descriptor, byteCount: 4096, access: .readOnly)
    #expect(mprotect(reader.base, 4096, PROT_READ | PROT_WRITE) == -1)
    created.region.base.storeBytes(of: 7, as: UInt8.self)
    #expect(reader.base.load(as: UInt8.self) == 7)
    #expect(pwrite(created.descriptor.number, "x", 1, 0) == -1)
  }

  @Test("a secret region is zero, writable and rounded up to pages")
  func secret() throws {
    let region = try SecretRegion(byteCount: 1)
    #expect(region.byteCount == Int(getpagesize()))
    #expect(region.base.load(as: UInt64.self) == 0)
    region.base.storeBytes(of: 1, as: UInt64.self)
    #expect(throws: SystemError.self) { _ = try SecretRegion(byteCount: 0) }
    #expect(throws: SystemError.self) { _ = try SecretRegion(byteCount: Int.max) }
  }

  @Test("a sleeper on a shared word is woken, sees a change, or runs into its time limit")
  func waiting() throws {
    let created = try SharedRegion.create(name: "test", byteCount: 4096)
    let word = SharedWord(created.region.base)
    #expect(word.wait(while: 1, timeout: 1_000_000) == .changed)
    #expect(word.wait(while: 0, timeout: 1_000_000) == .timedOut)
    let region = created.region
    let thread = try startThread(name: "waker") {
      let word = SharedWord(region.base)
      usleep(20_000)
      word.store(1)
      word.wake()
    }
    while word.load() == 0 { _ = word.wait(while: 0, timeout: 5_000_000_000) }
    thread.join()
    #expect(word.load() == 1)
  }
}
