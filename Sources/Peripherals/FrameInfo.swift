import Wire

/// How the samples of a picture lie in a surface.
public enum PixelFormat: UInt32, Sendable {
  /// 8-bit planes Y, U, V; both chroma planes have half the width and half the height, rounded up.
  case i420 = 1
}

/// What a surface holds: one picture's geometry, colours and time.
///
/// The planes follow each other without a gap: Y with `stride` bytes a row, then U and V with half of it, rounded up.
/// A value of this type is always one whose sizes fit: it is checked where it is made.
public struct FrameInfo: Sendable, Equatable {
  /// In luma samples; both from 1 to `maximumSide`.
  public let width: Int
  public let height: Int
  /// Bytes from one row of luma samples to the next; at least `width`.
  public let stride: Int
  public let pixelFormat: PixelFormat
  /// The presentation time in the unit that the access units were given in.
  public let pts: Int64
  /// The matrix coefficients of ISO/IEC 23091-2: 1 is BT.709, 2 unspecified, 6 is BT.601.
  public let matrixCoefficients: UInt8
  /// Whether samples use 0 to 255 rather than 16 to 235.
  public let isFullRange: Bool

  public static let maximumSide = 16_384

  /// Nil when a side is zero or too large, or a row does not fit in its stride.
  public init?(
    width: Int, height: Int, stride: Int, pixelFormat: PixelFormat = .i420, pts: Int64, matrixCoefficients: UInt8 = 2,
    isFullRange: Bool = false
  ) {
    let sides = 1...Self.maximumSide
    guard sides.contains(width), sides.contains(height), stride >= width, stride <= 2 * Self.maximumSide else {
      return nil
    }
    self.width = width
    self.height = height
    self.stride = stride
    self.pixelFormat = pixelFormat
    self.pts = pts
    self.matrixCoefficients = matrixCoefficients
    self.isFullRange = isFullRange
  }

  public var chromaWidth: Int { (width + 1) / 2 }
  public var chromaHeight: Int { (height + 1) / 2 }
  public var chromaStride: Int { (stride + 1) / 2 }

  /// The size of the picture in a surface, in bytes.
  public var byteCount: Int { stride * height + 2 * chromaStride * chromaHeight }

  /// One plane of a picture in a surface.
  public struct Plane: Sendable, Equatable {
    /// In bytes from the start of the surface.
    public let offset: Int
    public let stride: Int
    /// Bytes of a row that hold samples.
    public let width: Int
    public let height: Int

    public init(offset: Int, stride: Int, width: Int, height: Int) {
      self.offset = offset
      self.stride = stride
      self.width = width
      self.height = height
    }
  }

  /// Y, U and V.
  public var planes: [Plane] {
    let luma = stride * height
    let chroma = chromaStride * chromaHeight
    return [
      Plane(offset: 0, stride: stride, width: width, height: height),
      Plane(offset: luma, stride: chromaStride, width: chromaWidth, height: chromaHeight),
      Plane(offset: luma + chroma, stride: chromaStride, width: chromaWidth, height: chromaHeight),
    ]
  }
}

extension FrameInfo {
  /// The size of `write`'s form in bytes.
  public static let wireByteCount = 4 * 4 + 8 + 1 + 1

  public func write(to writer: inout WireWriter) {
    writer.u32(UInt32(width))
    writer.u32(UInt32(height))
    writer.u32(UInt32(stride))
    writer.u32(pixelFormat.rawValue)
    writer.u64(UInt64(bitPattern: pts))
    writer.u8(matrixCoefficients)
    writer.bool(isFullRange)
  }

  /// Reads what `write` wrote; `.invalid` when its sizes do not fit.
  public init(from reader: inout WireReader) throws(WireError) {
    let (width, height, stride) = (try reader.u32(), try reader.u32(), try reader.u32())
    guard let pixelFormat = PixelFormat(rawValue: try reader.u32()) else { throw .invalid }
    let pts = Int64(bitPattern: try reader.u64())
    let (matrixCoefficients, isFullRange) = (try reader.u8(), try reader.bool())
    guard
      let info = FrameInfo(
        width: Int(width), height: Int(height), stride: Int(stride), pixelFormat: pixelFormat, pts: pts,
        matrixCoefficients: matrixCoefficients, isFullRange: isFullRange)
    else { throw .invalid }
    self = info
  }
}

extension FrameInfo {
  /// The form in which a buffer carries the description of the picture it holds.
  var bytes: [UInt8] {
    var writer = WireWriter(limit: Self.wireByteCount)
    write(to: &writer)
    return writer.withMessage { Array($0) }
  }
}
