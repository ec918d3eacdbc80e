import LinuxSystem
import ObjectInvoke
import Peripherals
import RestrictedMemory
import TokenProtocol
import Wire

/// The peripherals service: hands restricted buffers to the decoder and the display, and says what the display has shown.
final class PeripheralsService: InvocableObject {
  private let decoder: VideoDecoder
  private let display: Display
  private let presentations: PresentationQueue
  private let memory: ClientMemory

  init(decoder: VideoDecoder, display: Display, _ presentations: PresentationQueue, _ memory: ClientMemory) {
    self.decoder = decoder
    self.display = display
    self.presentations = presentations
    self.memory = memory
  }

  func invoke(_ operation: UInt32, _ call: inout Invocation) throws -> UInt32 {
    guard let operation = PeripheralsOperation(rawValue: operation) else { throw InvocationError.malformed }
    do {
      switch operation {
      case .openDecoder: try openDecoder(&call)
      case .present: return try present(&call)
      case .displayStatus: try displayStatus(&call)
      case .contactSheet:
        try call.request.end()
        call.reply.bytes(Array(try display.contactSheet().utf8))
      }
      return 0
    } catch let error as PeripheralError {
      return error.result
    } catch let error as RestrictedMemoryError {
      return error.result
    }
  }

  private func openDecoder(_ call: inout Invocation) throws {
    let number = try call.request.u32()
    let configuration = try call.request.bytes()
    try call.request.end()
    guard let codec = VideoCodec(rawValue: number) else { throw PeripheralError.refused(.codec) }
    let pool = try memory.pools.pool(for: .secureVideoPlayback)
    guard let charge = memory.account.charge(.decoderStreams) else { throw PeripheralError.tooManyStreams }
    let stream = DecoderStreamObject(
      try decoder.open(codec, configuration: configuration), charge, surfaces: pool, memory)
    call.reply.u64(try call.client.addObject(stream))
  }

  private func present(_ call: inout Invocation) throws -> UInt32 {
    let id = try call.request.u64()
    let wantsCompletion = try call.request.bool()
    try call.request.end()
    guard let buffer = call.client.buffer(id) else { return objectHandleInvalid }
    guard wantsCompletion else {
      try presentations.waitForEarlier()
      _ = try display.present(buffer)
      return 0
    }
    // What can be refused now is refused now; the rest is for whoever polls.
    _ = try buffer.check(.read, by: .display, offset: 0, count: 0)
    guard let charge = memory.account.charge(.presentations) else { throw InvocationError.noMemory }
    let completion = try CompletionDescriptor.make()
    guard let descriptor = completion.client.take() else { throw InvocationError.noMemory }
    call.replyDescriptors.append(descriptor)
    let display = display
    let operation = completion.operation
    try presentations.add {
      defer { withExtendedLifetime(charge) {} }
      do {
        _ = try display.present(buffer)
        operation.succeed()
      } catch {
        operation.fail()
      }
    }
    return 0
  }

  private func displayStatus(_ call: inout Invocation) throws {
    try call.request.end()
    let status = try display.status()
    call.reply.u64(status.frameCount)
    call.reply.bytes(status.allFramesSHA256)
    call.reply.bytes(status.lastFrameMD5.isEmpty ? [UInt8](repeating: 0, count: 16) : status.lastFrameMD5)
  }
}

/// CKR_OBJECT_HANDLE_INVALID.
let objectHandleInvalid: UInt32 = 0x82

/// A decoder stream as an object of a client.
final class DecoderStreamObject: InvocableObject {
  private let stream: DecoderStream
  private let charge: ClientAccount.Charge
  private let surfaces: Pool
  private let memory: ClientMemory

  init(_ stream: DecoderStream, _ charge: ClientAccount.Charge, surfaces: Pool, _ memory: ClientMemory) {
    self.stream = stream
    self.charge = charge
    self.surfaces = surfaces
    self.memory = memory
  }

  func invoke(_ operation: UInt32, _ call: inout Invocation) throws -> UInt32 {
    guard StreamOperation(rawValue: operation) == .decode else { throw InvocationError.malformed }
    let request = try DecodeRequest(from: &call.request)
    let limit = Int(try call.request.u32())
    try call.request.end()
    do {
      let frames: [DecodedFrame]
      if request.byteCount == 0 {
        frames = try stream.flush(surfaces: surfaces, for: memory.account, limit: limit)
      } else {
        guard let buffer = call.client.buffer(request.place.buffer) else { return objectHandleInvalid }
        frames = try stream.decode(
          buffer, offset: request.place.offset, count: request.byteCount,
          pts: Int64(bitPattern: request.timestamp), surfaces: surfaces, for: memory.account,
          limit: limit)
      }
      call.reply.u32(UInt32(truncatingIfNeeded: frames.count))
      for frame in frames {
        FrameReply(
          buffer: try call.client.add(frame.surface, memory),
          width: UInt32(truncatingIfNeeded: frame.info.width), height: UInt32(truncatingIfNeeded: frame.info.height),
          timestamp: UInt64(bitPattern: frame.info.pts)
        ).write(to: &call.reply)
      }
      return 0
    } catch let error as PeripheralError {
      return error.result
    }
  }
}

extension PeripheralError {
  /// The result code of an invocation.
  var result: UInt32 {
    switch self {
    case .unavailable, .died, .malformedReply: RestrictedResult.peripheralUnavailable
    case .memory(let error): error.result
    case .tooManyStreams: 0x31  // CKR_DEVICE_MEMORY
    case .noPicture: RestrictedResult.bitstreamInvalid
    case .refused(let status):
      switch status {
      case .resources: 0x31  // CKR_DEVICE_MEMORY
      case .storage: 0x30  // CKR_DEVICE_ERROR
      default: RestrictedResult.bitstreamInvalid
      }
    }
  }
}
