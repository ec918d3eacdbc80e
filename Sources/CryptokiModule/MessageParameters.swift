import CCryptoki
import Cryptoki
import Glibc
import Mechanisms
import Wire

/// CK_GCM_MESSAGE_PARAMS of one message: where its IV and its tag lie in the caller's memory, and how the IV is made
/// (PKCS#11 3.2, 6.13.3).
struct MessageParameters {
  private let ivMemory: UnsafeMutableRawBufferPointer
  private let fixedBitCount: Int
  private let generator: UInt
  private let tagMemory: UnsafeMutableRawBufferPointer
  private let tagBitCount: UInt32

  /// The longest IV, in bytes, that a message may have.
  private static let longestIV: CK_ULONG = 256

  /// Throws CKR_MECHANISM_PARAM_INVALID for what is not such a structure.
  init(reading pointer: UnsafeMutableRawPointer?, _ byteCount: CK_ULONG) throws(ReturnValue) {
    guard let pointer, byteCount == UInt(MemoryLayout<CK_GCM_MESSAGE_PARAMS>.size) else { throw .mechanismParamInvalid }
    let parameters = pointer.loadUnaligned(as: CK_GCM_MESSAGE_PARAMS.self)
    guard let iv = parameters.pIv, parameters.ulIvLen >= 1, parameters.ulIvLen <= Self.longestIV,
      parameters.ulIvFixedBits <= parameters.ulIvLen * 8, let tag = parameters.pTag, parameters.ulTagBits <= 128,
      parameters.ulTagBits % 8 == 0
    else { throw .mechanismParamInvalid }
    ivMemory = UnsafeMutableRawBufferPointer(start: iv, count: Int(parameters.ulIvLen))
    fixedBitCount = Int(parameters.ulIvFixedBits)
    generator = UInt(parameters.ivGenerator)
    tagMemory = UnsafeMutableRawBufferPointer(start: tag, count: Int(parameters.ulTagBits / 8))
    tagBitCount = UInt32(parameters.ulTagBits)
  }

  /// CKM_AES_GCM with this message's IV, without associated data.
  var mechanism: Mechanism {
    Mechanism(
      .aesGCM, .gcm(iv: ShortBytes(UnsafeRawBufferPointer(ivMemory)), aad: [], tagBitCount: tagBitCount))
  }

  /// The same with associated data.
  func mechanism(authenticating associated: UnsafeRawBufferPointer) -> Mechanism {
    Mechanism(
      .aesGCM,
      .gcm(iv: ShortBytes(UnsafeRawBufferPointer(ivMemory)), aad: [UInt8](associated), tagBitCount: tagBitCount))
  }

  /// The tag as the caller gives it.
  var tag: ShortBytes { ShortBytes(UnsafeRawBufferPointer(tagMemory)) }

  /// Hands the tag to the caller. Throws CKR_DEVICE_ERROR for one of another length.
  func setTag(_ tag: ShortBytes) throws(ReturnValue) {
    guard tag.count == tagMemory.count else { throw .deviceError }
    tag.withUnsafeBytes { tagMemory.copyMemory(from: $0) }
  }

  /// Makes the IV of the next message with that key as the generator says, in the caller's memory.
  ///
  /// CKG_GENERATE is by random bits where there are 96 of them, and else by the key's counter from a random value on. The
  /// counter of CKG_GENERATE_COUNTER and CKG_GENERATE_COUNTER_XOR begins at zero in each process (6.13.3): what tells processes
  /// apart belongs in the fixed bits. Throws CKR_MECHANISM_PARAM_INVALID for another generator or too few bits for
  /// random ones, CKR_KEY_EXHAUSTED when the counter has run out.
  func makeIV(for key: UInt64, in slot: Slot) throws(ReturnValue) {
    let variableBitCount = ivMemory.count * 8 - fixedBitCount
    func random(_ memory: UnsafeMutableRawBufferPointer) throws(ReturnValue) { try slot.fillWithRandom(memory) }
    func counted() throws(ReturnValue) -> (count: UInt64, start: UInt64) {
      guard variableBitCount > 0 else { throw .keyExhausted }
      return try Library.current.messageCounters.next(
        of: .init(slot: slot.id, key: key), bitCount: variableBitCount, random: random)
    }
    switch generator {
    case UInt(CKG_NO_GENERATE): return
    case UInt(CKG_GENERATE_RANDOM):
      guard variableBitCount >= 96 else { throw .mechanismParamInvalid }
      try setRandom(variableBitCount, random)
    case UInt(CKG_GENERATE):
      if variableBitCount >= 96 { return try setRandom(variableBitCount, random) }
      let (count, start) = try counted()
      set(variableBitCount, to: start &+ count, exclusiveOr: false)
    case UInt(CKG_GENERATE_COUNTER): set(variableBitCount, to: try counted().count, exclusiveOr: false)
    case UInt(CKG_GENERATE_COUNTER_XOR): set(variableBitCount, to: try counted().count, exclusiveOr: true)
    default: throw .mechanismParamInvalid
    }
  }

  private func setRandom(
    _ bitCount: Int, _ random: (UnsafeMutableRawBufferPointer) throws(ReturnValue) -> Void
  ) throws(ReturnValue) {
    let fresh = UnsafeMutableRawBufferPointer.allocate(byteCount: ivMemory.count, alignment: 16)
    defer { fresh.deallocate() }
    try random(fresh)
    for place in 0..<bitCount { setBit(place, fresh[fresh.count - 1 - place / 8] >> (place % 8) & 1 == 1) }
  }

  /// Sets the last `bitCount` bits to `number`, or to what they are combined with it.
  private func set(_ bitCount: Int, to number: UInt64, exclusiveOr: Bool) {
    for place in 0..<bitCount {
      let bit = place < 64 && number >> UInt64(place) & 1 == 1
      setBit(place, exclusiveOr ? bit != self.bit(place) : bit)
    }
  }

  /// The bit at `place` from the end of the IV.
  private func bit(_ place: Int) -> Bool {
    ivMemory[ivMemory.count - 1 - place / 8] >> (place % 8) & 1 == 1
  }

  private func setBit(_ place: Int, _ value: Bool) {
    let index = ivMemory.count - 1 - place / 8
    let mask = UInt8(1) << (place % 8)
    ivMemory[index] = value ? ivMemory[index] | mask : ivMemory[index] & ~mask
  }
}
