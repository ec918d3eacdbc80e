import CryptoCore
import Cryptoki

extension CryptoError {
  /// The CKR for this failure of an operation of kind `function` (PKCS#11 3.2, 5.8 to 5.13). Translated here, once.
  func returnValue(of function: KeyFunction) -> ReturnValue {
    switch (kind, function) {
    case (.authenticationFailed, .verify): .signatureInvalid
    case (.authenticationFailed, _), (.badPadding, _): .encryptedDataInvalid
    case (.dataLength, .decrypt), (.messageTooLongForKey, .decrypt): .encryptedDataLenRange
    case (.dataLength, _), (.messageTooLongForKey, _): .dataLenRange
    case (.invalidParameter, _), (.invalidPoint, _), (.unsupported, _): .mechanismParamInvalid
    case (.invalidKey, _): .keySizeRange
    case (.bufferTooSmall, _): .bufferTooSmall
    case (.libraryFailure, _): .functionFailed
    }
  }
}

/// Runs `body` and folds what CryptoCore throws into the CKR for an operation of kind `function`.
@inline(__always)
func folding<R: ~Copyable>(
  _ function: KeyFunction, _ body: () throws(CryptoError) -> R
) throws(ReturnValue) -> R {
  do throws(CryptoError) {
    return try body()
  } catch {
    throw error.returnValue(of: function)
  }
}
