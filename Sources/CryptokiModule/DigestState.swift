import CryptoCore
import Cryptoki
import Mechanisms

/// A digest in progress: always in this process, without a crossing.
struct DigestState {
  let digest: Digest
  var hasParts = false
}

extension SessionOperations {
  /// C_DigestInit. The last computation is used again when it is of the same hash.
  mutating func beginDigest(_ mechanism: Mechanism) throws(ReturnValue) {
    guard digest == nil else { throw .operationActive }
    guard let facts = MechanismTable.facts(mechanism.type), case .digest(let hash) = facts.family else {
      throw .mechanismInvalid
    }
    try HostCryptography.prepare()
    do throws(CryptoError) {
      if let idle = idleDigest.take(), idle.algorithm == hash {
        try idle.reset()
        digest = DigestState(digest: idle)
      } else {
        digest = DigestState(digest: try Digest(hash))
      }
    } catch {
      throw error.kind == .unsupported ? .mechanismInvalid : .functionFailed
    }
  }

  /// Runs one call of the active digest. What it throws ends it, but for CKR_BUFFER_TOO_SMALL and CKR_OPERATION_ACTIVE.
  mutating func digestStep(_ body: (inout DigestState) throws(ReturnValue) -> Progress) throws(ReturnValue) {
    guard var state = digest.take() else { throw .operationNotInitialized }
    do throws(ReturnValue) {
      if try body(&state) == .ended {
        idleDigest = state.digest
      } else {
        digest = state
      }
    } catch {
      if error == .bufferTooSmall || error == .operationActive { digest = state }
      throw error
    }
  }
}

extension DigestState {
  mutating func update(_ input: UnsafeRawBufferPointer) throws(ReturnValue) {
    hasParts = true
    do throws(CryptoError) { try digest.update(input) } catch { throw .functionFailed }
  }

  func finish(_ input: UnsafeRawBufferPointer, into output: OutputBuffer) throws(ReturnValue) -> Progress {
    let bound = OutputBound.exactly(digest.algorithm.digestByteCount)
    if try output.settlesWithoutWork(bound) { return .active }
    do throws(CryptoError) {
      try digest.update(input)
      output.setCount(try digest.finish(into: output.memory(limit: bound.byteCount)))
    } catch {
      throw .functionFailed
    }
    return .ended
  }
}
