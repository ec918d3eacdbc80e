import CryptoCore

/// The bytes of a hexadecimal literal; spaces and newlines are skipped.
func hex(_ text: String) -> [UInt8] {
  let digits = text.compactMap(\.hexDigitValue)
  precondition(digits.count % 2 == 0, "a vector has whole bytes")
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

func secret(_ text: String) -> SecretBytes { SecretBytes(copying: hex(text)) }

extension SecretBytes {
  /// A copy for comparing in a test.
  var exposed: [UInt8] { withBytes { [UInt8]($0) } }
}

/// Asserts the kind of the error that `body` throws, or says that none came.
func kind(of body: () throws -> Void) -> CryptoError.Kind? {
  do {
    try body()
    return nil
  } catch let error as CryptoError {
    return error.kind
  } catch {
    return nil
  }
}
