import LinuxSystem
import RestrictedMemory
import Synchronization
import Wire

/// What a display has shown since its process began.
public struct DisplayStatus: Sendable, Equatable {
  public var frameCount: UInt64 = 0
  /// SHA-256 over the I420 planes, without padding, of all frames in their order; 32 bytes.
  public var allFramesSHA256: [UInt8]
  /// MD5 over the planes of the last frame, 16 bytes; empty before the first.
  public var lastFrameMD5: [UInt8]
}

/// The display as the secure world sees it. Its process begins with the first frame, and begins anew, with its count at
/// zero, after one that ended.
public final class Display: Sendable {
  private let launcher: PeripheralLauncher
  private let connection = Mutex<PeripheralConnection?>(nil)

  public init(launcher: PeripheralLauncher) { self.launcher = launcher }

  private func connect() throws(PeripheralError) -> PeripheralConnection {
    try connection.withLock { (connection) throws(PeripheralError) in
      if let connection, connection.isAlive { return connection }
      let new = try launcher.launch(.display)
      connection = new
      return new
    }
  }

  /// Shows the picture in `surface`, which a decoder or a camera wrote; answers its number, from 1.
  ///
  /// Throws `.noPicture` when the buffer was written by somebody else since.
  public func present(_ surface: RestrictedBuffer) throws(PeripheralError) -> UInt64 {
    guard let info = surface.picture else {
      // Somebody who may not show this at all is told so, whatever it holds.
      do { _ = try surface.check(.read, by: .display, offset: 0, count: 0) } catch { throw .memory(error) }
      throw .noPicture
    }
    return try present(surface, info)
  }

  /// Shows the picture that lies at the start of `surface` as `info` says; answers its number, from 1.
  public func present(_ surface: RestrictedBuffer, _ info: FrameInfo) throws(PeripheralError) -> UInt64 {
    do {
      _ = try surface.check(.read, by: .display, offset: 0, count: UInt64(info.byteCount))
    } catch { throw .memory(error) }
    let connection = try connect()
    return try surface.lendingDescriptor(to: .display, .read) { (number) throws(PeripheralError) in
      try connection.call(DisplayOperation.present.rawValue, memory: number) { request in
        info.write(to: &request)
      } reply: { (reply) throws(WireError) in
        try reply.u64()
      }
    }
  }

  public func status() throws(PeripheralError) -> DisplayStatus {
    try connect().call(DisplayOperation.status.rawValue) { (reply) throws(WireError) in
      let status = DisplayStatus(
        frameCount: try reply.u64(), allFramesSHA256: try reply.bytes(), lastFrameMD5: try reply.bytes())
      guard status.allFramesSHA256.count == 32, [0, 16].contains(status.lastFrameMD5.count) else { throw .invalid }
      return status
    }
  }

  /// Writes all frames, scaled down, as one picture into the display's folder; answers the file's name.
  ///
  /// Throws `.refused(.noPicture)` when nothing was shown yet.
  public func contactSheet() throws(PeripheralError) -> String {
    let name = try connect().call(DisplayOperation.contactSheet.rawValue) { (reply) throws(WireError) in
      try reply.bytes()
    }
    return String(decoding: name, as: UTF8.self)
  }
}
