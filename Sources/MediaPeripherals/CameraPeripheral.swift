import LinuxSystem
import Peripherals
import Wire

/// The camera: writes a moving test picture to a surface, as a sensor would its frames.
struct CameraPeripheral: PeripheralService {
  private var frameCount: UInt64 = 0

  mutating func answer(
    _ operation: UInt32, _ request: inout WireReader, memory: consuming Descriptor?, reply: inout WireWriter
  ) throws(PeripheralStatus) {
    guard CameraOperation(rawValue: operation) == .capture else { throw .unsupported }
    let info = try field { () throws(WireError) in try FrameInfo(from: &request) }
    try endOfRequest(request)
    let surface = try MappedMemory(memory, access: .readWrite)
    guard surface.bytes.count >= info.byteCount else { throw .memoryTooSmall }
    Self.draw(number: frameCount, info, to: surface.bytes)
    frameCount += 1
    reply.u64(frameCount)
  }

  /// Diagonal bars that move with the frame number, in slowly changing colours.
  private static func draw(number: UInt64, _ info: FrameInfo, to surface: UnsafeMutableRawBufferPointer) {
    let time = Int(truncatingIfNeeded: number)
    for (index, plane) in info.planes.enumerated() {
      for row in 0..<plane.height {
        let samples = surface[plane.offset + row * plane.stride..<plane.offset + row * plane.stride + plane.width]
        for (column, position) in samples.indices.enumerated() {
          surface[position] =
            switch index {
            case 0: UInt8(16 + (row &+ column &+ time &* 4) % 220)
            case 1: UInt8(16 + (column &+ time) % 225)
            default: UInt8(16 + (row &+ time &* 2) % 225)
            }
        }
      }
    }
  }
}
