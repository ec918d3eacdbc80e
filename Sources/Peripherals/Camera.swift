import LinuxSystem
import RestrictedMemory
import Synchronization
import Wire

/// The camera as the secure world sees it: the only writer of recording buffers.
public final class Camera: Sendable {
  private let launcher: PeripheralLauncher
  private let connection = Mutex<PeripheralConnection?>(nil)

  public init(launcher: PeripheralLauncher) { self.launcher = launcher }

  /// Takes a picture of this size into the start of `surface`; answers its number, from 1.
  public func capture(
    into surface: RestrictedBuffer, width: Int, height: Int, pts: Int64 = 0
  ) throws(PeripheralError) -> UInt64 {
    guard let info = FrameInfo(width: width, height: height, stride: width, pts: pts) else {
      throw .refused(.unsupported)
    }
    do {
      _ = try surface.check(.write, by: .camera, offset: 0, count: UInt64(info.byteCount))
    } catch { throw .memory(error) }
    let connection = try connect()
    let number = try surface.lendingDescriptor(to: .camera, .write) { (memory) throws(PeripheralError) in
      try connection.call(CameraOperation.capture.rawValue, memory: memory) { request in
        info.write(to: &request)
      } reply: { (reply) throws(WireError) in
        try reply.u64()
      }
    }
    surface.contentDescription = info.bytes
    return number
  }

  private func connect() throws(PeripheralError) -> PeripheralConnection {
    try connection.withLock { (connection) throws(PeripheralError) in
      if let connection, connection.isAlive { return connection }
      let new = try launcher.launch(.camera)
      connection = new
      return new
    }
  }
}
