import Glibc
import LinuxSystem
import Peripherals

/// The program `strongroom-peripheral`: `decoder`, `display FOLDER` or `camera`, with the connection to the secure
/// world as descriptor 3.
public enum PeripheralProgram {
  /// Runs until the secure world closes the connection; answers the exit status.
  public static func run(_ arguments: [String]) -> Int32 {
    let following = Array(arguments.dropFirst(2))
    do {
      switch arguments.dropFirst().first {
      case "decoder" where following.isEmpty:
        var service = DecoderPeripheral()
        try confine()
        try serve(&service, on: connection())
      case "display" where following.count == 1:
        let folder = try FrameFolder(path: following[0])
        var service = try DisplayPeripheral(folder: folder)
        try confine(writingBeneath: following[0])
        try serve(&service, on: connection())
      case "camera" where following.isEmpty:
        var service = CameraPeripheral()
        try confine()
        try serve(&service, on: connection())
      default:
        complain("usage: strongroom-peripheral decoder | display FOLDER | camera, started by the secure world")
        return 64
      }
      return 0
    } catch {
      complain("strongroom-peripheral: \(error)")
      return 1
    }
  }

  private static func connection() throws(SystemError) -> MessageSocket {
    let number = PeripheralMessage.connectionNumber
    guard fcntl(number, F_SETFD, FD_CLOEXEC) == 0 else { throw SystemError("fcntl", errno) }
    return MessageSocket(adopting: Descriptor(adopting: number))
  }

  private static func complain(_ text: String) {
    let line = text + "\n"
    _ = write(2, line, line.utf8.count)
  }
}
