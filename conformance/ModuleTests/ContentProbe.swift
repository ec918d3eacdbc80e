import CCryptoki
import CMedia

/// Finds out whether a restricted buffer holds given bytes, although nobody can read it: by way of the one exit there
/// is, the display.
///
/// H.264 has macroblocks of plain samples (I_PCM). Around the bytes in question, clear bytes are written that make all of
/// it one such picture; it is decoded and shown, and the display's digest is that of the picture with the expected bytes
/// exactly when the buffer holds them. Where the picture needs bytes of its own amid the content (two at each macroblock's head,
/// and one in two adjacent zeros, which the NAL syntax reserves) the content is hidden: further passes, with the picture's
/// start elsewhere, show what one hides.
final class ContentProbe {
  /// The bytes of content that fit.
  let capacity: Int
  /// The picture's macroblocks, in rows of `columns`.
  private let macroblockCount: Int
  private let session: CK_SESSION_HANDLE
  private let stream: CK_OBJECT_HANDLE

  private static let columns = 8
  /// The access unit's first bytes: NAL length, IDR slice, slice header and the first macroblock's type.
  static let headByteCount = 9
  private static let macroblockByteCount = 384
  /// Where the picture begins before the content, in bytes, by pass.
  private static let shifts = [0, 193, 97, 290, 41, 137]

  init(_ session: CK_SESSION_HANDLE, capacity: Int = 2500) {
    self.session = session
    let needed = capacity + 300
    let perRow = Self.columns * (Self.macroblockByteCount + 2)
    let rows = (needed + perRow - 1) / perRow
    macroblockCount = rows * Self.columns
    self.capacity = rows * perRow - 300
    var (result, stream) = Self.openStream(session, rows: rows)
    if result == CKR_DEVICE_MEMORY {
      // Streams of an earlier connection are on their way out.
      _ = becomesTrue {
        (result, stream) = Self.openStream(session, rows: rows)
        return result == CKR_OK
      }
    }
    require(result == CKR_OK, "OpenDecoder: \(name(result))")
    self.stream = stream
  }

  deinit { _ = p11.C_DestroyObject!(session, stream) }

  // MARK: Pictures of plain samples

  static func openStream(_ session: CK_SESSION_HANDLE, rows: Int) -> (CK_RV, CK_OBJECT_HANDLE) {
    var configuration = Self.configuration(rows: rows)
    var stream: CK_OBJECT_HANDLE = 0
    let result = vendor.OpenDecoder!(session, CKC_STRONGROOM_H264, &configuration, UInt(configuration.count), &stream)
    return (result, stream)
  }

  /// The avcC record of pictures of so many rows of macroblocks.
  static func configuration(rows: Int) -> [UInt8] {
    var sps = BitWriter()
    // Identifier, frame number of 4 bits, order count type 2, no reference frames, no gaps.
    for value in [0, 0, 2, 0] { sps.exponentialGolomb(value) }
    sps.bits(0, count: 1)
    sps.exponentialGolomb(columns - 1)
    sps.exponentialGolomb(rows - 1)
    // Frames only, direct 8x8; neither cropping nor VUI.
    sps.bits(0b1100, count: 4)
    var pps = BitWriter()
    for value in [0, 0] { pps.exponentialGolomb(value) }
    pps.bits(0b00, count: 2)
    for value in [0, 0, 0] { pps.exponentialGolomb(value) }
    pps.bits(0b000, count: 3)
    for value in [0, 0, 0] { pps.exponentialGolomb(value) }
    // The deblocking filter can be turned off.
    pps.bits(0b100, count: 3)
    let spsUnit: [UInt8] = [0x67, 66, 0xc0, 40] + sps.finished
    let ppsUnit: [UInt8] = [0x68] + pps.finished
    func length(_ bytes: [UInt8]) -> [UInt8] { [UInt8(bytes.count >> 8), UInt8(bytes.count & 0xff)] }
    return [1, 66, 0xc0, 40, 0xff, 0xe1] + length(spsUnit) + spsUnit + [1] + length(ppsUnit) + ppsUnit
  }

  /// The access unit of a picture whose samples, macroblock after macroblock, are these.
  static func accessUnit(samples: [UInt8]) -> [UInt8] {
    var unit: [UInt8] = []
    for start in stride(from: 0, to: samples.count, by: macroblockByteCount) {
      if start > 0 { unit += [0x0d, 0x00] }
      unit += samples[start..<(start + macroblockByteCount)]
    }
    return head(payloadByteCount: unit.count) + unit + [0x80]
  }

  private static func head(payloadByteCount: Int) -> [UInt8] {
    let length = UInt32(payloadByteCount + 6)
    return withUnsafeBytes(of: length.bigEndian) { Array($0) } + [0x65, 0x88, 0x84, 0xa0, 0xd0]
  }

  /// The I420 planes of that picture.
  static func planes(samples: [UInt8]) -> [UInt8] {
    let count = samples.count / macroblockByteCount
    let width = columns * 16
    let height = count / columns * 16
    var luma = [UInt8](repeating: 0, count: width * height)
    var chroma = [[UInt8]](repeating: [UInt8](repeating: 0, count: width * height / 4), count: 2)
    for block in 0..<count {
      let (column, row) = (block % columns, block / columns)
      let base = block * macroblockByteCount
      for y in 0..<16 {
        for x in 0..<16 { luma[(row * 16 + y) * width + column * 16 + x] = samples[base + y * 16 + x] }
      }
      for plane in 0..<2 {
        for y in 0..<8 {
          for x in 0..<8 {
            chroma[plane][(row * 8 + y) * width / 2 + column * 8 + x] = samples[base + 256 + plane * 64 + y * 8 + x]
          }
        }
      }
    }
    return luma + chroma[0] + chroma[1]
  }

  static func md5(_ bytes: [UInt8]) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 16)
    av_md5_sum(&digest, bytes, bytes.count)
    return digest
  }

  // MARK: The question

  /// Whether `place` leaves `expected` in the buffer that it is given, from the offset that it is given. It is called
  /// once for each pass, every time with a new buffer, and answers whether it could do its part.
  func holds(_ expected: [UInt8], place: (CK_OBJECT_HANDLE, UInt) -> Bool) -> Bool {
    require(expected.count <= capacity, "\(expected.count) bytes do not fit the probe")
    var isSeen = [Bool](repeating: false, count: expected.count)
    for (pass, shift) in Self.shifts.enumerated() where isSeen.contains(false) {
      let buffer = makeBuffer(session, UInt(Self.headByteCount + payloadByteCount + 1))
      defer { _ = p11.C_DestroyObject!(session, buffer) }
      guard place(buffer, UInt(Self.headByteCount + shift)) else { return false }
      guard shows(expected, in: buffer, shift: shift, oddZeros: pass % 2 == 1, &isSeen) else { return false }
    }
    require(expected.isEmpty || !isSeen.contains(false), "the passes hide a byte")
    return true
  }

  /// The same for a buffer that is there already, of `bufferByteCount` bytes, in one pass that may hide a few bytes. The clear
  /// bytes that it needs are left in the buffer.
  func seesOnce(_ expected: [UInt8], in buffer: CK_OBJECT_HANDLE) -> Bool {
    var isSeen = [Bool](repeating: false, count: expected.count)
    return shows(expected, in: buffer, shift: 0, oddZeros: false, &isSeen)
  }

  /// The size of a buffer for `seesOnce`, and where its content begins.
  var bufferByteCount: UInt { UInt(Self.headByteCount + payloadByteCount + 1) }
  static var contentOffset: UInt { UInt(headByteCount) }

  private var payloadByteCount: Int { macroblockCount * (Self.macroblockByteCount + 2) - 2 }

  private func shows(
    _ expected: [UInt8], in buffer: CK_OBJECT_HANDLE, shift: Int, oddZeros: Bool, _ isSeen: inout [Bool]
  ) -> Bool {
    var payload = [UInt8](repeating: 0x55, count: payloadByteCount)
    payload.replaceSubrange(shift..<(shift + expected.count), with: expected)
    var isOurs = [Bool](repeating: true, count: payloadByteCount)
    for index in shift..<(shift + expected.count) { isOurs[index] = false }
    for start in stride(from: Self.macroblockByteCount, to: payloadByteCount, by: Self.macroblockByteCount + 2) {
      payload.replaceSubrange(start..<(start + 2), with: [0x0d, 0x00])
      isOurs[start] = true
      isOurs[start + 1] = true
    }
    let original = payload
    for index in payload.indices where payload[index] == 0 && !isOurs[index] {
      let before = index == 0 ? 1 : original[index - 1]
      let after = index + 1 < payload.count ? original[index + 1] : 1
      guard before == 0 || after == 0 else { continue }
      let followsOurs = index > 0 && payload[index - 1] == 0 && isOurs[index - 1]
      if ((index - shift) % 2 == 1) == oddZeros || followsOurs {
        payload[index] = 0xff
        isOurs[index] = true
      }
    }
    guard writeOwn(payload, isOurs, to: buffer) else { return false }
    for index in expected.indices where !isOurs[shift + index] { isSeen[index] = true }
    var samples: [UInt8] = []
    for start in stride(from: 0, to: payloadByteCount, by: Self.macroblockByteCount + 2) {
      samples += payload[start..<(start + Self.macroblockByteCount)]
    }
    let shown = show(buffer, offset: 0, count: bufferByteCount)
    return shown == Self.md5(Self.planes(samples: samples))
  }

  /// Writes the bytes that are the picture's own, and no other.
  private func writeOwn(_ payload: [UInt8], _ isOurs: [Bool], to buffer: CK_OBJECT_HANDLE) -> Bool {
    guard write(session, buffer, 0, Self.head(payloadByteCount: payload.count)) == CKR_OK,
      write(session, buffer, UInt(Self.headByteCount + payload.count), [0x80]) == CKR_OK
    else { return false }
    var index = 0
    while index < payload.count {
      guard isOurs[index] else {
        index += 1
        continue
      }
      let end = isOurs[index...].firstIndex(of: false) ?? payload.count
      guard write(session, buffer, UInt(Self.headByteCount + index), Array(payload[index..<end])) == CKR_OK else {
        return false
      }
      index = end
    }
    return true
  }

  /// Decodes one picture and shows it; answers the display's MD5 of it, nil when there is none.
  func show(_ buffer: CK_OBJECT_HANDLE, offset: UInt, count: UInt) -> [UInt8]? {
    guard let frame = decode(buffer, offset: offset, count: count) else { return nil }
    defer { _ = p11.C_DestroyObject!(session, frame) }
    guard vendor.Present!(session, frame, nil) == CKR_OK else { return nil }
    return displayStatus(session)?.lastMD5
  }

  /// The surface of the one picture of an access unit, nil when there is none.
  func decode(_ buffer: CK_OBJECT_HANDLE, offset: UInt, count: UInt) -> CK_OBJECT_HANDLE? {
    let (result, first) = ModuleTests.decode(session, stream, buffer, offset, count)
    var frames = first
    var (flushed, more) = ModuleTests.decode(session, stream, 0, 0, 0)
    while flushed == CKR_OK, !more.isEmpty {
      frames += more
      (flushed, more) = ModuleTests.decode(session, stream, 0, 0, 0)
    }
    for extra in frames.dropFirst() { _ = p11.C_DestroyObject!(session, extra.hBuffer) }
    guard result == CKR_OK else { return nil }
    return frames.first?.hBuffer
  }
}

/// Bits from the first to the last, as H.264 has them.
private struct BitWriter {
  private var content: [Bool] = []

  mutating func bits(_ value: Int, count: Int) {
    for index in (0..<count).reversed() { content.append(value >> index & 1 == 1) }
  }

  /// ue(v).
  mutating func exponentialGolomb(_ value: Int) {
    let width = Int.bitWidth - (value + 1).leadingZeroBitCount
    bits(value + 1, count: 2 * width - 1)
  }

  /// The bytes with the stop bit.
  var finished: [UInt8] {
    var all = content + [true]
    while all.count % 8 != 0 { all.append(false) }
    return stride(from: 0, to: all.count, by: 8).map { start in
      all[start..<(start + 8)].reduce(0) { $0 << 1 | ($1 ? 1 : 0) }
    }
  }
}

// MARK: Peripherals

func decode(
  _ session: CK_SESSION_HANDLE, _ stream: CK_OBJECT_HANDLE, _ buffer: CK_OBJECT_HANDLE, _ offset: UInt, _ count: UInt,
  timestamp: Int = 0, room: UInt = 16
) -> (CK_RV, [CK_STRONGROOM_FRAME]) {
  var frames = [CK_STRONGROOM_FRAME](repeating: CK_STRONGROOM_FRAME(), count: Int(max(room, 1)))
  var frameCount = room
  let result = vendor.Decode!(session, stream, buffer, offset, count, timestamp, &frames, &frameCount)
  return (result, result == CKR_OK ? Array(frames.prefix(Int(frameCount))) : [])
}

struct DisplayStatus: Equatable {
  let frameCount: UInt
  let sha256: [UInt8]
  let lastMD5: [UInt8]
}

func displayStatus(_ session: CK_SESSION_HANDLE) -> DisplayStatus? {
  var status = CK_STRONGROOM_DISPLAY_STATUS()
  guard vendor.GetDisplayStatus!(session, &status) == CKR_OK else { return nil }
  return DisplayStatus(
    frameCount: status.ulFrameCount, sha256: withUnsafeBytes(of: status.sha256) { Array($0) },
    lastMD5: withUnsafeBytes(of: status.lastMD5) { Array($0) })
}
