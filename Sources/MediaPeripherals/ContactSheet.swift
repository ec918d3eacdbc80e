import Peripherals

/// Small pictures of what the display showed, for one picture that shows it all: at most `maximumCount` of them, evenly
/// spread over however many frames there were.
struct ContactSheet {
  static let fileName = "contact-sheet.png"
  static let maximumCount = 128
  private static let side = (width: 160, height: 120)
  private static let gap = 4

  private var thumbnails: [RGBImage] = []
  private var stride = 1
  private var seen = 0

  /// The largest size within 160 x 120 of the same shape, never larger than the frame.
  static func thumbnailSize(of info: FrameInfo) -> (width: Int, height: Int) {
    let scale = max(
      1, Double(info.width) / Double(side.width), Double(info.height) / Double(side.height))
    return (max(1, Int(Double(info.width) / scale)), max(1, Int(Double(info.height) / scale)))
  }

  mutating func add(_ thumbnail: RGBImage) {
    defer { seen += 1 }
    if seen % stride != 0 { return }
    if thumbnails.count == Self.maximumCount {
      thumbnails = thumbnails.indices.filter { $0 % 2 == 0 }.map { thumbnails[$0] }
      stride *= 2
      if seen % stride != 0 { return }
    }
    thumbnails.append(thumbnail)
  }

  /// The grid, row by row from the first frame; nil before the first.
  var image: RGBImage? {
    guard let width = thumbnails.map(\.width).max(), let height = thumbnails.map(\.height).max() else { return nil }
    let columns = Int(Double(thumbnails.count).squareRoot().rounded(.up))
    let rows = (thumbnails.count + columns - 1) / columns
    let (cellWidth, cellHeight) = (width + Self.gap, height + Self.gap)
    var sheet = RGBImage(width: columns * cellWidth + Self.gap, height: rows * cellHeight + Self.gap)
    for (index, thumbnail) in thumbnails.enumerated() {
      let x = Self.gap + index % columns * cellWidth + (width - thumbnail.width) / 2
      let y = Self.gap + index / columns * cellHeight + (height - thumbnail.height) / 2
      sheet.draw(thumbnail, x: x, y: y)
    }
    return sheet
  }
}
