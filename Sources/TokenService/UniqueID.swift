import CryptoCore
import Cryptoki

/// Values of CKA_UNIQUE_ID: 128 bits in hexadecimal digits (PKCS#11 3.2, 4.4.1).
///
/// Those of token objects are random. Those of session objects, which come by the thousand and go with their session, are a
/// number drawn when the token is opened and the object's handle, which is never given twice.
enum UniqueID {
  static let byteCount = 32

  static func ofTokenObject() throws(ReturnValue) -> InlineArray<32, UInt8> {
    let random = try computing { () throws(CryptoError) in try randomBytes(count: 16) }
    let (high, low) = random.withUnsafeBytes {
      ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }
    return digits(high, low)
  }

  static func ofSessionObject(_ handle: UInt64, opening: UInt64) -> InlineArray<32, UInt8> { digits(opening, handle) }

  private static func digits(_ high: UInt64, _ low: UInt64) -> InlineArray<32, UInt8> {
    InlineArray { place in
      let half = place < 16 ? high : low
      let digit = UInt8(truncatingIfNeeded: half >> UInt64(60 &- (place & 15) &* 4)) & 15
      return digit &+ (digit < 10 ? 0x30 : 0x57)
    }
  }
}

extension AttributeSet {
  mutating func setUniqueID(_ digits: InlineArray<32, UInt8>) {
    digits.span.withUnsafeBytes { set(.uniqueID, $0) }
  }
}
