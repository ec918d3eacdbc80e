import Cryptoki
import Wire

/// A mechanism with its parameter, read out of a `CK_MECHANISM`: no pointers, bounds already checked.
///
/// Both worlds speak in this type: the module makes it of a caller's pointers, the secure world of a message.
public struct Mechanism: Sendable, Equatable {
  /// The `CKM_` constant.
  public var type: MechanismType
  /// The parameter.
  public var parameters: MechanismParameters

  public init(_ type: MechanismType, _ parameters: MechanismParameters = .none) {
    self.type = type
    self.parameters = parameters
  }
}

/// The parameters of all mechanisms that the token has, by shape (PKCS#11 3.2, chapter 6).
public enum MechanismParameters: Sendable, Equatable {
  /// No parameter.
  case none
  /// An initialisation vector: 16 bytes for AES-CBC; 8 for CKM_AES_KEY_WRAP, 4 for CKM_AES_KEY_WRAP_KWP (both optional).
  case iv(ShortBytes)
  /// `CK_AES_CTR_PARAMS`: how many low bits of the 16-byte block count.
  case counter(bitCount: UInt32, block: ShortBytes)
  /// `CK_GCM_PARAMS`: the IV in bytes, the associated data, the tag in bits.
  case gcm(iv: ShortBytes, aad: [UInt8], tagBitCount: UInt32)
  /// `CK_MAC_GENERAL_PARAMS`: the number of bytes of the MAC.
  case macByteCount(UInt32)
  /// `CK_RSA_PKCS_PSS_PARAMS`: hash mechanism, mask generation function, salt in bytes.
  case pss(hash: MechanismType, mgf: UInt32, saltByteCount: UInt32)
  /// `CK_RSA_PKCS_OAEP_PARAMS`: hash mechanism, mask generation function, label (the source data).
  case oaep(hash: MechanismType, mgf: UInt32, label: [UInt8])
  /// `CK_ECDH1_DERIVE_PARAMS`: key derivation function, shared data, the other party's point (raw or as DER OCTET STRING).
  case ecdh(kdf: UInt32, sharedData: [UInt8], publicPoint: [UInt8])
  /// `CK_EDDSA_PARAMS`: the pre-hash flag and the context.
  case edwards(preHash: Bool, context: [UInt8])
}

extension Mechanism {
  /// Reads what `write(to:)` wrote.
  public init(from reader: inout WireReader) throws(WireError) {
    type = MechanismType(rawValue: try reader.u32())
    switch try reader.u8() {
    case 0: parameters = .none
    case 1: parameters = .iv(try reader.shortBytes())
    case 2: parameters = .counter(bitCount: try reader.u32(), block: try reader.shortBytes())
    case 3:
      parameters = .gcm(iv: try reader.shortBytes(), aad: try reader.bytes(), tagBitCount: try reader.u32())
    case 4: parameters = .macByteCount(try reader.u32())
    case 5:
      parameters = .pss(
        hash: MechanismType(rawValue: try reader.u32()), mgf: try reader.u32(), saltByteCount: try reader.u32())
    case 6:
      parameters = .oaep(
        hash: MechanismType(rawValue: try reader.u32()), mgf: try reader.u32(), label: try reader.bytes())
    case 7:
      parameters = .ecdh(kdf: try reader.u32(), sharedData: try reader.bytes(), publicPoint: try reader.bytes())
    case 8: parameters = .edwards(preHash: try reader.bool(), context: try reader.bytes())
    default: throw .invalid
    }
  }

  public func write(to writer: inout WireWriter) {
    writer.u32(type.rawValue)
    switch parameters {
    case .none: writer.u8(0)
    case .iv(let iv):
      writer.u8(1)
      writer.bytes(iv)
    case .counter(let bitCount, let block):
      writer.u8(2)
      writer.u32(bitCount)
      writer.bytes(block)
    case .gcm(let iv, let aad, let tagBitCount):
      writer.u8(3)
      writer.bytes(iv)
      writer.bytes(aad)
      writer.u32(tagBitCount)
    case .macByteCount(let count):
      writer.u8(4)
      writer.u32(count)
    case .pss(let hash, let mgf, let saltByteCount):
      writer.u8(5)
      writer.u32(hash.rawValue)
      writer.u32(mgf)
      writer.u32(saltByteCount)
    case .oaep(let hash, let mgf, let label):
      writer.u8(6)
      writer.u32(hash.rawValue)
      writer.u32(mgf)
      writer.bytes(label)
    case .ecdh(let kdf, let sharedData, let publicPoint):
      writer.u8(7)
      writer.u32(kdf)
      writer.bytes(sharedData)
      writer.bytes(publicPoint)
    case .edwards(let preHash, let context):
      writer.u8(8)
      writer.bool(preHash)
      writer.bytes(context)
    }
  }
}
