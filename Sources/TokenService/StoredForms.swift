import CryptoCore
import Cryptoki
import SecureStorage

/// What the token service writes as a token's record.
struct TokenRecord: Equatable, Sendable {
  static let labelByteCount = 32
  static let serialByteCount = 16
  private static let format: UInt8 = 1

  /// 32 bytes, padded with blanks.
  var label: [UInt8]
  /// 16 bytes.
  var serialNumber: [UInt8]
  var isInitialized: Bool

  /// The record of a slot whose token was never initialised, with a new serial number.
  init(newSerialNumber random: [UInt8]) {
    label = Array(repeating: 0x20, count: Self.labelByteCount)
    serialNumber = hexadecimal(random).prefix(Self.serialByteCount).map { $0 }
    isInitialized = false
  }

  init?(stored: [UInt8]) {
    guard stored.count == 2 + Self.labelByteCount + Self.serialByteCount, stored[0] == Self.format, stored[1] <= 1
    else { return nil }
    isInitialized = stored[1] == 1
    label = Array(stored[2..<2 + Self.labelByteCount])
    serialNumber = Array(stored[(2 + Self.labelByteCount)...])
  }

  var stored: [UInt8] { [Self.format, isInitialized ? 1 : 0] + label + serialNumber }
}

/// What the token service writes for an object.
///
/// Of a public object the attributes are the public part, and its secret values, if it has any, the private part. Of a
/// private object everything lies in the private part, which does not open without a PIN.
enum StoredForm {
  private static let publicObject: UInt8 = 1
  private static let privateObject: UInt8 = 2

  static func publicPart(_ attributes: AttributeSet) -> [UInt8] {
    attributes.bool(.private) ? [privateObject] : [publicObject] + attributes.encoded
  }

  /// Nil when the object is public and has no secret values.
  static func privatePart(_ attributes: AttributeSet, _ secrets: SecretAttributes?) -> SecretBytes? {
    guard attributes.bool(.private) else { return secrets?.encoded }
    let open = attributes.encoded
    let count = 4 + open.count + (secrets?.byteCount ?? 0)
    return SecretBytes(count: count) { (memory) throws(Never) in
      memory.storeBytes(of: UInt32(truncatingIfNeeded: open.count).littleEndian, as: UInt32.self)
      UnsafeMutableRawBufferPointer(rebasing: memory[4...]).copyBytes(from: open)
      secrets?.encoded.withBytes {
        UnsafeMutableRawBufferPointer(rebasing: memory[(4 + open.count)...]).copyMemory(from: $0)
      }
      return count
    }
  }

  static func isPrivate(_ publicPart: [UInt8]) -> Bool { publicPart.first == privateObject }

  /// The attributes of a public object; nil for anything else.
  static func attributes(publicPart: [UInt8]) -> AttributeSet? {
    guard publicPart.first == publicObject else { return nil }
    return AttributeSet(encoded: Array(publicPart.dropFirst()))
  }

  /// The attributes of a private object, without the secret values.
  static func attributes(privatePart bytes: UnsafeRawBufferPointer) -> AttributeSet? {
    halves(bytes).flatMap { AttributeSet(encoded: [UInt8]($0.open)) }
  }

  /// The secret values of a private object.
  static func secrets(privatePart: SecretBytes) -> SecretAttributes? {
    privatePart.withBytes { bytes in
      halves(bytes).flatMap { SecretAttributes(encoded: SecretBytes(copying: $0.secret)) }
    }
  }

  /// The attributes of a private object and its secret values; nil for what is not one's private part.
  private static func halves(
    _ bytes: UnsafeRawBufferPointer
  ) -> (open: UnsafeRawBufferPointer, secret: UnsafeRawBufferPointer)? {
    guard bytes.count >= 4 else { return nil }
    let count = Int(UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)))
    guard count <= bytes.count - 4 else { return nil }
    return (
      UnsafeRawBufferPointer(rebasing: bytes[4..<4 + count]), UnsafeRawBufferPointer(rebasing: bytes[(4 + count)...])
    )
  }
}

/// The bytes in lower-case hexadecimal digits, as ASCII.
func hexadecimal(_ bytes: [UInt8]) -> [UInt8] {
  let digits: [UInt8] = Array("0123456789abcdef".utf8)
  return bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
}

extension StorageError {
  /// What a client is told.
  var returnValue: ReturnValue {
    switch self {
    case .noSpace: .deviceMemory
    case .pinNotSet: .userPINNotInitialized
    case .pinIncorrect(let remaining): remaining == 0 ? .pinLocked : .pinIncorrect
    case .pinLocked: .pinLocked
    case .cryptography: .functionFailed
    default: .deviceError
    }
  }
}

/// Runs `body` and turns the store's errors into what a client is told.
func storing<R>(_ body: () throws(StorageError) -> R) throws(ReturnValue) -> R {
  do throws(StorageError) {
    return try body()
  } catch {
    throw error.returnValue
  }
}

/// Runs `body`; a failure of libcrypto that is not the data's is CKR_FUNCTION_FAILED.
func computing<R>(_ body: () throws(CryptoError) -> R) throws(ReturnValue) -> R {
  do throws(CryptoError) {
    return try body()
  } catch {
    throw .functionFailed
  }
}
