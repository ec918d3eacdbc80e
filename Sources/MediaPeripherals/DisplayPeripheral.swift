import CMedia
import LinuxSystem
import Peripherals
import Wire

/// The display: shows each frame as a PNG file in the folder that it was given at its start, and keeps count and
/// digest.
struct DisplayPeripheral: PeripheralService {
  private let folder: FrameFolder
  private let digest: FrameDigest
  private var sheet = ContactSheet()
  private var frameCount: UInt64 = 0

  init(folder: FrameFolder) throws(PeripheralStatus) {
    av_log_set_level(AV_LOG_QUIET)
    self.folder = folder
    digest = try FrameDigest()
  }

  mutating func answer(
    _ operation: UInt32, _ request: inout WireReader, memory: consuming Descriptor?, reply: inout WireWriter
  ) throws(PeripheralStatus) {
    switch DisplayOperation(rawValue: operation) {
    case .present: try present(&request, memory, &reply)
    case .status:
      try endOfRequest(request)
      reply.u64(frameCount)
      reply.bytes(digest.allFrames)
      reply.bytes(digest.lastFrame)
    case .contactSheet:
      try endOfRequest(request)
      guard let image = sheet.image else { throw .noPicture }
      try folder.replace(ContactSheet.fileName, with: try image.png())
      reply.bytes(Array(ContactSheet.fileName.utf8))
    case nil: throw .unsupported
    }
  }

  private mutating func present(
    _ request: inout WireReader, _ memory: consuming Descriptor?, _ reply: inout WireWriter
  ) throws(PeripheralStatus) {
    let info = try field { () throws(WireError) in try FrameInfo(from: &request) }
    try endOfRequest(request)
    // The surface stays the secure world's: what is shown, digested and written is one and the same copy.
    let frame = UnsafeMutableRawBufferPointer.allocate(byteCount: info.byteCount + 64, alignment: 64)
    defer {
      frame.initializeMemory(as: UInt8.self, repeating: 0)
      frame.deallocate()
    }
    do {
      let surface = try MappedMemory(memory, access: .read)
      let picture = try surface.range(offset: 0, count: UInt64(info.byteCount))
      frame.copyMemory(from: picture)
    }
    let planes = UnsafeRawBufferPointer(rebasing: frame[..<info.byteCount])
    let image = try RGBImage(info, planes: planes, width: info.width, height: info.height)
    try folder.add(try image.png())
    let (width, height) = ContactSheet.thumbnailSize(of: info)
    sheet.add(try RGBImage(info, planes: planes, width: width, height: height))
    digest.add(info, planes: planes)
    frameCount += 1
    reply.u64(frameCount)
  }
}
