import CCryptoki
import Cryptoki
import Mechanisms
import Wire

/// What lies behind `pParameter` of a mechanism.
enum ParameterShape {
  case none
  case bytes
  case macByteCount
  case counter
  case gcm
  case pss
  case oaep
  case ecdh
  case edwards
}

extension MechanismFamily {
  /// The shape of the parameter, by mechanism (PKCS#11 3.2, chapter 6).
  var parameterShape: ParameterShape {
    switch self {
    case .digest, .hmac(_, general: false), .aesCMAC(general: false), .aesECB, .rsaPKCS, .rsaRaw, .ecdsa, .generateKey,
      .generateKeyPair:
      .none
    case .hmac(_, general: true), .aesCMAC(general: true): .macByteCount
    case .aesCBC, .aesCBCPad, .aesKeyWrap, .aesKeyWrapPadded: .bytes
    case .aesCTR: .counter
    case .aesGCM: .gcm
    case .rsaPSS: .pss
    case .rsaOAEP: .oaep
    case .edDSA: .edwards
    case .ecdh: .ecdh
    }
  }
}

/// The longest IV, label, shared data or associated data, in bytes, that a parameter may carry.
private let longestField: CK_ULONG = 16 << 20

extension Mechanism {
  /// Reads a caller's mechanism, with everything its parameter points to.
  ///
  /// Throws CKR_ARGUMENTS_BAD without a mechanism, CKR_MECHANISM_INVALID for one the token does not have,
  /// CKR_MECHANISM_PARAM_INVALID for a parameter of another size than the mechanism's, or whose pointers lead nowhere.
  init(reading pointer: UnsafeMutablePointer<CK_MECHANISM>?) throws(ReturnValue) {
    guard let pointer else { throw .argumentsBad }
    guard let number = UInt32(exactly: pointer.pointee.mechanism) else { throw .mechanismInvalid }
    let type = MechanismType(rawValue: number)
    guard let facts = MechanismTable.facts(type) else { throw .mechanismInvalid }
    self.init(type, try MechanismParameters(reading: pointer, facts.family.parameterShape))
  }
}

extension MechanismParameters {
  /// Reads the parameter of a caller's mechanism, whose parameter has this shape.
  ///
  /// Throws CKR_MECHANISM_PARAM_INVALID for one of another size than the mechanism's, or whose pointers lead nowhere.
  @inline(__always)
  init(reading pointer: UnsafeMutablePointer<CK_MECHANISM>, _ shape: ParameterShape) throws(ReturnValue) {
    self = try readParameters(parameterBytes(pointer.pointee.pParameter, pointer.pointee.ulParameterLen), shape)
  }
}

/// Bytes that a parameter, or a pointer within one, announces.
@inline(__always)
private func parameterBytes(
  _ pointer: UnsafeRawPointer?, _ count: CK_ULONG
) throws(ReturnValue) -> UnsafeRawBufferPointer {
  guard count <= longestField else { throw .mechanismParamInvalid }
  do throws(ReturnValue) {
    return try callerBytes(pointer, count)
  } catch {
    throw .mechanismParamInvalid
  }
}

/// A CK_ULONG that must fit the 32 bits of every constant and size in a parameter.
private func number(_ value: CK_ULONG) throws(ReturnValue) -> UInt32 {
  guard let number = UInt32(exactly: value) else { throw .mechanismParamInvalid }
  return number
}

/// The structure that a parameter holds; any alignment.
private func load<Structure: BitwiseCopyable>(
  _ memory: UnsafeRawBufferPointer, as type: Structure.Type
) throws(ReturnValue) -> Structure {
  guard memory.count == MemoryLayout<Structure>.size else { throw .mechanismParamInvalid }
  return memory.loadUnaligned(as: type)
}

@inline(__always)
private func readParameters(
  _ memory: UnsafeRawBufferPointer, _ shape: ParameterShape
) throws(ReturnValue) -> MechanismParameters {
  if memory.count == 0 {
    switch shape {
    case .none, .bytes, .edwards: return .none
    default: throw .mechanismParamInvalid
    }
  }
  switch shape {
  case .none: throw .mechanismParamInvalid
  case .bytes: return .iv(ShortBytes(memory))
  case .macByteCount: return .macByteCount(try number(load(memory, as: CK_MAC_GENERAL_PARAMS.self)))
  case .counter:
    let parameters = try load(memory, as: CK_AES_CTR_PARAMS.self)
    return .counter(
      bitCount: try number(parameters.ulCounterBits),
      block: withUnsafeBytes(of: parameters.cb) { ShortBytes($0) })
  case .gcm: return try readGCM(memory)
  case .pss:
    let parameters = try load(memory, as: CK_RSA_PKCS_PSS_PARAMS.self)
    return .pss(
      hash: MechanismType(rawValue: try number(parameters.hashAlg)), mgf: try number(parameters.mgf),
      saltByteCount: try number(parameters.sLen))
  case .oaep: return try readOAEP(load(memory, as: CK_RSA_PKCS_OAEP_PARAMS.self))
  case .ecdh:
    let parameters = try load(memory, as: CK_ECDH1_DERIVE_PARAMS.self)
    return .ecdh(
      kdf: try number(parameters.kdf),
      sharedData: [UInt8](try parameterBytes(parameters.pSharedData, parameters.ulSharedDataLen)),
      publicPoint: [UInt8](try parameterBytes(parameters.pPublicData, parameters.ulPublicDataLen)))
  case .edwards:
    let parameters = try load(memory, as: CK_EDDSA_PARAMS.self)
    return .edwards(
      preHash: parameters.phFlag != 0,
      context: [UInt8](try parameterBytes(parameters.pContextData, parameters.ulContextDataLen)))
  }
}

/// CK_GCM_PARAMS as versions 2.20 to 2.30 had it: without `ulIvBits`, which the first printing of 2.40 left out as
/// well.
private struct GCMParametersWithoutIVBits: BitwiseCopyable {
  var pIv: UnsafeMutablePointer<UInt8>?
  var ulIvLen: CK_ULONG
  var pAAD: UnsafeMutablePointer<UInt8>?
  var ulAADLen: CK_ULONG
  var ulTagBits: CK_ULONG
}

private func readGCM(_ memory: UnsafeRawBufferPointer) throws(ReturnValue) -> MechanismParameters {
  if memory.count == MemoryLayout<GCMParametersWithoutIVBits>.size {
    let parameters = try load(memory, as: GCMParametersWithoutIVBits.self)
    return .gcm(
      iv: ShortBytes(try parameterBytes(parameters.pIv, parameters.ulIvLen)),
      aad: [UInt8](try parameterBytes(parameters.pAAD, parameters.ulAADLen)),
      tagBitCount: try number(parameters.ulTagBits))
  }
  let parameters = try load(memory, as: CK_GCM_PARAMS.self)
  // ulIvBits is not looked at: the specification says that ulIvLen gives the length.
  return .gcm(
    iv: ShortBytes(try parameterBytes(parameters.pIv, parameters.ulIvLen)),
    aad: [UInt8](try parameterBytes(parameters.pAAD, parameters.ulAADLen)),
    tagBitCount: try number(parameters.ulTagBits))
}

private func readOAEP(_ parameters: CK_RSA_PKCS_OAEP_PARAMS) throws(ReturnValue) -> MechanismParameters {
  let label = try parameterBytes(parameters.pSourceData, parameters.ulSourceDataLen)
  // Without a label, clients leave the source at 0 as well.
  guard parameters.source == UInt(OAEPSource.dataSpecified.rawValue) || (parameters.source == 0 && label.isEmpty) else {
    throw .mechanismParamInvalid
  }
  return .oaep(
    hash: MechanismType(rawValue: try number(parameters.hashAlg)), mgf: try number(parameters.mgf),
    label: [UInt8](label))
}
