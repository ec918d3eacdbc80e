/// The messages between the secure world and its peripheral processes: one SEQPACKET message a request, one a reply,
/// written with `Wire`.
///
/// A request is {u32 operation, fields} and carries at most one memory descriptor by SCM_RIGHTS; a reply is
/// {u32 status, fields}, the fields only with status 0. A peripheral answers in order and never speaks first.
public enum PeripheralMessage {
  /// The largest request or reply in bytes; a decoder's configuration record is the largest field.
  public static let maximumByteCount = 65_536
  /// The descriptor number that a peripheral program finds its end of the connection at.
  public static let connectionNumber: Int32 = 3
}

/// What a video decoder is asked; the fields of request and reply stand beside.
public enum DecoderOperation: UInt32, Sendable {
  /// {u32 codec, bytes configuration record} -> {}: once, before anything else
  case open = 1
  /// {u64 offset, u64 byte count, u64 pts} + memory of the access unit -> {list of FrameInfo that wait}
  case decode = 2
  /// {} + memory of the surface -> {FrameInfo}: the first picture that waits is written to the start of the surface
  case collect = 3
  /// {} -> {list of FrameInfo that wait}: no more access units belong to the pictures under way
  case flush = 4
  /// {} -> {}: forgets pictures and references, as for a seek
  case reset = 5
}

/// What a display is asked.
public enum DisplayOperation: UInt32, Sendable {
  /// {FrameInfo} + memory of the surface -> {u64 number of the frame, from 1}
  case present = 1
  /// {} -> {u64 frame count, bytes SHA-256 of all frames, bytes MD5 of the last frame, empty before the first}
  case status = 2
  /// {} -> {bytes name of the file}
  case contactSheet = 3
}

/// What a camera is asked.
public enum CameraOperation: UInt32, Sendable {
  /// {FrameInfo} + memory of the surface -> {u64 number of the frame, from 1}
  case capture = 1
}

/// Why a peripheral did not do what it was asked. The values travel in replies.
public enum PeripheralStatus: UInt32, Error, Sendable {
  /// The request does not read as one.
  case malformed = 1
  /// The operation is not one of this peripheral's, or not now.
  case unsupported = 2
  /// The codec or its configuration record is not one that can be decoded.
  case codec = 3
  /// The access unit is damaged, or was deciphered with another key.
  case undecodable = 4
  /// As many pictures wait as may; collect some first.
  case picturesWait = 5
  /// No picture waits.
  case noPicture = 6
  /// The memory is too small for what it should hold.
  case memoryTooSmall = 7
  /// The memory could not be mapped, or there is none left.
  case resources = 8
  /// The display's folder does not take the picture: full, or not writable.
  case storage = 9
}

/// The codecs a stream may name.
public enum VideoCodec: UInt32, Sendable, CaseIterable {
  case h264 = 1
  case hevc = 2
  case vp9 = 3
  case av1 = 4
}
