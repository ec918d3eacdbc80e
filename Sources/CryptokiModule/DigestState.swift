import CCryptoki
import CryptoCore
import Cryptoki
import Mechanisms

/// A digest in progress: always in this process, without a crossing.
struct DigestState {
  let type: MechanismType
  let digest: Digest
  var hasParts = false
}

extension SessionOperations {
  /// C_DigestInit. The last computation is used again when it is of the same hash.
  mutating func beginDigest(_ mechanism: UnsafeMutablePointer<CK_MECHANISM>) throws(ReturnValue) {
    if digest == nil, let idle = idleDigest.take(), UInt(idle.type.rawValue) == mechanism.pointee.mechanism,
      mechanism.pointee.ulParameterLen == 0
    {
      do throws(CryptoError) { try idle.digest.reset() } catch { throw .functionFailed }
      digest = idle
      return
    }
    let mechanism = try Mechanism(reading: mechanism)
    guard digest == nil else { throw .operationActive }
    guard let facts = MechanismTable.facts(mechanism.type), case .digest(let hash) = facts.family else {
      throw .mechanismInvalid
    }
    try HostCryptography.prepare()
    do throws(CryptoError) {
      digest = DigestState(type: mechanism.type, digest: try Digest(hash))
    } catch {
      throw error.kind == .unsupported ? .mechanismInvalid : .functionFailed
    }
  }

  /// Runs one call of the active digest. What it throws ends it, but for CKR_BUFFER_TOO_SMALL and CKR_OPERATION_ACTIVE.
  mutating func digestStep(_ body: (inout DigestState) throws(ReturnValue) -> Progress) throws(ReturnValue) {
    guard var state = digest.take() else { throw .operationNotInitialized }
    do throws(ReturnValue) {
      if try body(&state) == .ended {
        state.hasParts = false
        idleDigest = state
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
