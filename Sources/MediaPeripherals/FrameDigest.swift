import CMedia
import Peripherals

/// The digests a display keeps of what it showed: SHA-256 over the planes of all frames, MD5 of each.
///
/// Rows enter without their padding, plane after plane, so that the MD5 of a frame is the one that
/// `ffmpeg -f framemd5 -pix_fmt yuv420p` prints for it.
final class FrameDigest {
  private let sha: OpaquePointer
  private let md5: OpaquePointer
  /// The MD5 of the last frame; empty before the first.
  private(set) var lastFrame: [UInt8] = []

  init() throws(PeripheralStatus) {
    guard let sha = av_sha_alloc() else { throw .resources }
    guard let md5 = av_md5_alloc() else {
      av_free(UnsafeMutableRawPointer(sha))
      throw .resources
    }
    av_sha_init(sha, 256)
    self.sha = sha
    self.md5 = md5
  }

  deinit {
    av_free(UnsafeMutableRawPointer(sha))
    av_free(UnsafeMutableRawPointer(md5))
  }

  /// Adds a frame whose planes lie in `bytes` as `info` says; `bytes` is at least `info.byteCount` long.
  func add(_ info: FrameInfo, planes bytes: UnsafeRawBufferPointer) {
    av_md5_init(md5)
    for plane in info.planes {
      for row in 0..<plane.height {
        let samples = UnsafeRawBufferPointer(
          rebasing: bytes[plane.offset + row * plane.stride..<plane.offset + row * plane.stride + plane.width])
        av_sha_update(sha, samples.baseAddress, samples.count)
        av_md5_update(md5, samples.baseAddress, samples.count)
      }
    }
    lastFrame = [UInt8](repeating: 0, count: 16)
    av_md5_final(md5, &lastFrame)
  }

  /// SHA-256 over all frames so far; more may follow.
  var allFrames: [UInt8] {
    // The library has no copy of a running digest, but its context is plain memory of a known size.
    let copy = UnsafeMutableRawPointer.allocate(byteCount: Int(av_sha_size), alignment: 16)
    defer { copy.deallocate() }
    copy.copyMemory(from: UnsafeRawPointer(sha), byteCount: Int(av_sha_size))
    var digest = [UInt8](repeating: 0, count: 32)
    av_sha_final(OpaquePointer(copy), &digest)
    return digest
  }
}
