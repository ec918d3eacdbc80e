public import CCryptoki
import Cryptoki
import ObjectInvoke
import TokenProtocol

// PKCS#11 3.2, 5.19: random number generation functions.

@c @implementation
public func C_SeedRandom(_ session: CK_SESSION_HANDLE, _ seed: CK_BYTE_PTR?, _ seedCount: CK_ULONG) -> CK_RV {
  inSession(session) { (session, _) throws(ReturnValue) in
    guard seed != nil else { throw .argumentsBad }
    let input = InputSegments(try callerBytes(seed, seedCount))
    try session.slot.request(.seedRandom, NoFields(), input: input, reading: { _ in })
  }
}

@c @implementation
public func C_GenerateRandom(_ session: CK_SESSION_HANDLE, _ bytes: CK_BYTE_PTR?, _ byteCount: CK_ULONG) -> CK_RV {
  inLibrary { (library) throws(ReturnValue) in
    let slot = try library.slot(ofSession: session)
    guard bytes != nil else { throw .argumentsBad }
    try slot.fillWithRandom(UnsafeMutableRawBufferPointer(mutating: try callerBytes(bytes, byteCount)))
  }
}

/// Bytes that one crossing fetches at most.
private let largestFetch = 16 << 20

extension Slot {
  /// Fills `output` with random bytes of the secure world.
  func fillWithRandom(_ output: UnsafeMutableRawBufferPointer) throws(ReturnValue) {
    let taken = try random.take(output) { (memory) throws(ReturnValue) in try fetchRandom(memory) }
    if taken { return }
    var rest = output[...]
    while !rest.isEmpty {
      let piece = UnsafeMutableRawBufferPointer(rebasing: rest.prefix(largestFetch))
      try fetchRandom(piece)
      rest = rest.dropFirst(piece.count)
    }
  }

  /// Random bytes of the secure world, in one crossing.
  fileprivate func fetchRandom(_ output: UnsafeMutableRawBufferPointer) throws(ReturnValue) {
    let answer = try transfer(.random, NoFields(), output: output, options: .secret)
    guard answer == .done(output.count) else { throw .deviceError }
  }
}
