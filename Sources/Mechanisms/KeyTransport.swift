import CryptoCore
import Cryptoki
import Wire

/// Wrapping and unwrapping of key bytes: what C_WrapKey and C_UnwrapKey do once policy has been decided.
public enum KeyTransport {
  /// The encoding of a key that is wrapped: the value of a secret key, the PKCS #8 of a private key.
  public static func wrap(
    _ encoded: SecretBytes, mechanism: Mechanism, facts: MechanismFacts, with key: CryptographicKey
  ) throws(ReturnValue) -> [UInt8] {
    var operation = try Operation(function: .encrypt, mechanism: mechanism, facts: facts, key: key)
    let input = try padded(encoded, for: facts.family)
    return try input.withBytes { (input) throws(ReturnValue) in
      let room = operation.updateByteCount(for: input.count)
      var wrapped = [UInt8](repeating: 0, count: room)
      var span = wrapped.mutableSpan
      var count = try span.withUnsafeMutableBytes { (output) throws(ReturnValue) in
        try operation.update(input, into: output)
      }
      var end = [UInt8](repeating: 0, count: operation.finishByteCount)
      var endSpan = end.mutableSpan
      let endCount = try endSpan.withUnsafeMutableBytes { (output) throws(ReturnValue) in
        try operation.finish(into: output)
      }
      wrapped.removeLast(wrapped.count - count)
      wrapped += end.prefix(endCount)
      count += endCount
      return wrapped
    }
  }

  /// The encoding that was wrapped. With mechanisms that pad with zeros or not at all the caller cuts it to length.
  ///
  /// Throws CKR_WRAPPED_KEY_INVALID or CKR_WRAPPED_KEY_LEN_RANGE for what is no wrapped key of this mechanism and key.
  public static func unwrap(
    _ wrapped: UnsafeRawBufferPointer, mechanism: Mechanism, facts: MechanismFacts, with key: CryptographicKey
  ) throws(ReturnValue) -> SecretBytes {
    do throws(ReturnValue) {
      var operation = try Operation(function: .decrypt, mechanism: mechanism, facts: facts, key: key)
      let room = operation.updateByteCount(for: wrapped.count)
      let head = try SecretBytes(count: room) { (output) throws(ReturnValue) in
        try operation.update(wrapped, into: output)
      }
      let end = try SecretBytes(count: operation.finishByteCount) { (output) throws(ReturnValue) in
        try operation.finish(into: output)
      }
      if end.count == 0 { return head }
      return SecretBytes(count: head.count + end.count) { (whole) throws(Never) in
        head.withBytes { whole.copyBytes(from: $0) }
        end.withBytes { whole.copy($0, at: head.count) }
        return whole.count
      }
    } catch {
      switch error {
      case .encryptedDataInvalid: throw .wrappedKeyInvalid
      case .encryptedDataLenRange: throw .wrappedKeyLenRange
      default: throw error
      }
    }
  }

  /// ECB and CBC wrap whole blocks: the value is followed by zeros up to the next one (PKCS#11 3.2, AES-CBC, wrapping).
  private static func padded(_ encoded: SecretBytes, for family: MechanismFamily) throws(ReturnValue) -> SecretBytes {
    guard family == .aesECB || family == .aesCBC, encoded.count % 16 != 0 else { return encoded }
    return SecretBytes(count: (encoded.count + 15) & ~15) { (memory) throws(Never) in
      encoded.withBytes { memory.copyBytes(from: $0) }
      return memory.count
    }
  }
}
