import RestrictedMemory
import Wire

extension RestrictedBuffer {
  /// The picture that a decoder or camera wrote last, or nil when something else was written since.
  public var picture: FrameInfo? {
    contentDescription.withUnsafeBytes { bytes in
      var reader = WireReader(bytes)
      guard let info = try? FrameInfo(from: &reader), reader.remaining == 0, info.byteCount <= byteCount else {
        return nil
      }
      return info
    }
  }
}
