import CCryptoki
import Cryptoki

/// A mechanism with its parameter, under the name that the command line gives it.
enum ParameterizedMechanism: Equatable {
  case plain(MechanismType)
  case oaep(hash: MechanismType, mgf: CK_RSA_PKCS_MGF_TYPE)
  case pss(MechanismType, hash: MechanismType, mgf: CK_RSA_PKCS_MGF_TYPE, saltByteCount: CK_ULONG)
  case iv(MechanismType, [UInt8])
  case ctr([UInt8])
  case gcm(iv: [UInt8], aad: [UInt8])

  var type: MechanismType {
    switch self {
    case .plain(let type), .iv(let type, _), .pss(let type, _, _, _): type
    case .oaep: .rsaPKCSOAEP
    case .ctr: .aesCTR
    case .gcm: .aesGCM
    }
  }

  /// Lends the mechanism for one call.
  func withMechanism<Answer>(_ body: (UnsafeMutablePointer<CK_MECHANISM>) throws -> Answer) rethrows -> Answer {
    func lend<Parameter>(_ parameter: inout Parameter) throws -> Answer {
      try withUnsafeMutablePointer(to: &parameter) { pointer in
        var mechanism = CK_MECHANISM(
          mechanism: CK_ULONG(type.rawValue), pParameter: UnsafeMutableRawPointer(pointer),
          ulParameterLen: CK_ULONG(MemoryLayout<Parameter>.size))
        return try body(&mechanism)
      }
    }
    switch self {
    case .plain:
      var mechanism = CK_MECHANISM(mechanism: CK_ULONG(type.rawValue), pParameter: nil, ulParameterLen: 0)
      return try body(&mechanism)
    case .oaep(let hash, let mgf):
      var parameter = CK_RSA_PKCS_OAEP_PARAMS(
        hashAlg: CK_ULONG(hash.rawValue), mgf: mgf, source: CKZ_DATA_SPECIFIED, pSourceData: nil, ulSourceDataLen: 0)
      return try lend(&parameter)
    case .pss(_, let hash, let mgf, let saltByteCount):
      var parameter = CK_RSA_PKCS_PSS_PARAMS(hashAlg: CK_ULONG(hash.rawValue), mgf: mgf, sLen: saltByteCount)
      return try lend(&parameter)
    case .iv(_, var iv):
      return try iv.withUnsafeMutableBytes { bytes in
        var mechanism = CK_MECHANISM(
          mechanism: CK_ULONG(type.rawValue), pParameter: bytes.baseAddress, ulParameterLen: CK_ULONG(bytes.count))
        return try body(&mechanism)
      }
    case .ctr(let counter):
      var parameter = CK_AES_CTR_PARAMS()
      parameter.ulCounterBits = 128
      withUnsafeMutableBytes(of: &parameter.cb) { $0.copyBytes(from: counter.prefix(16)) }
      return try lend(&parameter)
    case .gcm(var iv, var aad):
      return try iv.withUnsafeMutableBufferPointer { iv in
        try aad.withUnsafeMutableBufferPointer { aad in
          var parameter = CK_GCM_PARAMS(
            pIv: iv.baseAddress, ulIvLen: CK_ULONG(iv.count), ulIvBits: CK_ULONG(iv.count * 8),
            pAAD: aad.isEmpty ? nil : aad.baseAddress, ulAADLen: CK_ULONG(aad.count), ulTagBits: 128)
          return try lend(&parameter)
        }
      }
    }
  }

  private static let hashes: [(name: String, hash: MechanismType, mgf: CK_RSA_PKCS_MGF_TYPE)] = [
    ("sha1", .sha1, CKG_MGF1_SHA1), ("sha224", .sha224, CKG_MGF1_SHA224), ("sha256", .sha256, CKG_MGF1_SHA256),
    ("sha384", .sha384, CKG_MGF1_SHA384), ("sha512", .sha512, CKG_MGF1_SHA512),
  ]

  static let unwrapping: [String: ParameterizedMechanism] = {
    var table: [String: ParameterizedMechanism] = [
      "rsa-pkcs": .plain(.rsaPKCS), "aes-kw": .plain(.aesKeyWrap), "aes-kwp": .plain(.aesKeyWrapKWP),
    ]
    for entry in hashes { table["rsa-oaep-\(entry.name)"] = .oaep(hash: entry.hash, mgf: entry.mgf) }
    return table
  }()

  static let signing: [String: ParameterizedMechanism] = {
    let pss: [MechanismType] = [
      .sha1RSAPKCSPSS, .sha224RSAPKCSPSS, .sha256RSAPKCSPSS, .sha384RSAPKCSPSS, .sha512RSAPKCSPSS,
    ]
    let pkcs: [MechanismType] = [.sha1RSAPKCS, .sha224RSAPKCS, .sha256RSAPKCS, .sha384RSAPKCS, .sha512RSAPKCS]
    let ecdsa: [MechanismType] = [.ecdsaSHA1, .ecdsaSHA224, .ecdsaSHA256, .ecdsaSHA384, .ecdsaSHA512]
    let hmac: [MechanismType] = [.sha1HMAC, .sha224HMAC, .sha256HMAC, .sha384HMAC, .sha512HMAC]
    let saltByteCounts: [CK_ULONG] = [20, 28, 32, 48, 64]
    var table: [String: ParameterizedMechanism] = ["eddsa": .plain(.eddsa), "aes-cmac": .plain(.aesCMAC)]
    for (index, entry) in hashes.enumerated() {
      table["\(entry.name)-rsa"] = .plain(pkcs[index])
      table["\(entry.name)-rsa-pss"] = .pss(
        pss[index], hash: entry.hash, mgf: entry.mgf, saltByteCount: saltByteCounts[index])
      table["\(entry.name)-ecdsa"] = .plain(ecdsa[index])
      table["\(entry.name)-hmac"] = .plain(hmac[index])
    }
    return table
  }()

  static let digests: [String: MechanismType] = Dictionary(
    uniqueKeysWithValues: hashes.map { ($0.name, $0.hash) }
      + [("sha3-256", .sha3_256), ("sha3-384", .sha3_384), ("sha3-512", .sha3_512)])

  /// Encryption with a key: names of `unwrapping` for RSA keys, or an AES mode with its IV.
  static func encryption(_ name: String, iv: [UInt8]?, aad: [UInt8]) throws -> ParameterizedMechanism {
    func needed(_ byteCount: Int) throws -> [UInt8] {
      guard let iv else { throw Failure.usage("\(name) needs --iv, \(byteCount) bytes") }
      guard iv.count == byteCount else {
        throw Failure.usage("--iv has \(iv.count) bytes; \(name) takes \(byteCount)")
      }
      return iv
    }
    switch name {
    case "aes-cbc": return .iv(.aesCBC, try needed(16))
    case "aes-cbc-pad": return .iv(.aesCBCPad, try needed(16))
    case "aes-ctr": return .ctr(try needed(16))
    case "aes-gcm":
      guard let iv, !iv.isEmpty else { throw Failure.usage("aes-gcm needs --iv, 12 bytes as a rule") }
      return .gcm(iv: iv, aad: aad)
    default:
      if name.hasPrefix("rsa-"), let mechanism = unwrapping[name] { return mechanism }
      let names =
        ["aes-cbc", "aes-cbc-pad", "aes-ctr", "aes-gcm"] + unwrapping.keys.filter { $0.hasPrefix("rsa-") }.sorted()
      throw Failure.usage("no mechanism \"\(name)\"; there is \(names.joined(separator: ", "))")
    }
  }
}

extension [String: ParameterizedMechanism] {
  /// The mechanism of that name; throws a usage failure that lists the names.
  func named(_ name: String) throws -> ParameterizedMechanism {
    guard let mechanism = self[name] else {
      throw Failure.usage("no mechanism \"\(name)\"; there is \(keys.sorted().joined(separator: ", "))")
    }
    return mechanism
  }
}
