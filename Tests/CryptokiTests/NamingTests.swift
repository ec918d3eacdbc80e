import Foundation
import Testing

/// The rule by which a name of the specification becomes a name in Swift (`NamedConstant` states it).
struct NamingRule {
  /// Words that keep upper case wherever they do not come first.
  static let acronyms = Set(
    """
    AC AEAD AES CAST CBC CCM CDMF CKR CKS CMAC CMS CMVP CTR CTS DES DH DHP DHR DHS DKM DSA EC ECB ECC ECDH ECDSA ECMQV \
    EDDSA EDE FIPS GCM GMAC HKDF HKR HKS HMAC HSS HW ID IKE IPSEC KDF KEA KEM KIP KWP LMOTS LMS MAC MIDP MIME ML MQV \
    NHKR NHKS NIST NR NS OAEP OCSP OFB OID OK OS OTP PBA PBE PIN PKCS PNS PRF PSS RK RNG RO RSA RW SHA SHAKE SLH SO \
    SSL TLS TPM URI URL WTLS XCBC XEDDSA XMSS XMSSMT XTS
    """.split(separator: " ").map(String.init))

  /// Words of the specification that are two words, or a name with a digit.
  static let spellings = [
    "BAGSIZE": "BagSize", "BOBS1STMSG": "Bobs1stMsg", "CURVENAME": "CurveName", "ECPARAMETERS": "ECParameters",
    "ISALICE": "IsAlice", "NAMEDCURVE": "NamedCurve", "POLY1305": "Poly1305", "RELAYX": "RelayX",
  ]

  static func swiftName(_ name: String, prefix: String) -> String? {
    guard name.hasPrefix(prefix) else { return nil }
    let words = name.dropFirst(prefix.count).split(separator: "_").map(String.init)
    guard var result = words.first?.lowercased() else { return nil }
    for word in words.dropFirst() {
      let next = spelled(word)
      if result.last?.isNumber == true, next.first?.isNumber == true { result += "_" }
      result += next
    }
    return result
  }

  private static func spelled(_ word: String) -> String {
    if let spelling = spellings[word] { return spelling }
    if acronyms.contains(word) || word.contains(where: \.isNumber) { return word }
    return word.prefix(1) + word.dropFirst().lowercased()
  }
}

@Suite("The names in Swift")
struct NamingTests {
  @Test("follow the rule from the names of the specification", arguments: Vocabulary.all)
  func followTheRule(vocabulary: Vocabulary) throws {
    let folder = Facts.package.appendingPathComponent("Sources/Cryptoki")
    let files = ["\(vocabulary.type).swift", "\(vocabulary.type)+Names.swift"]
    let entry = /\(\.(\w+), "(\w+)"\)/
    var seen = 0
    for file in files {
      guard let text = try? String(contentsOf: folder.appendingPathComponent(file), encoding: .utf8) else { continue }
      for match in text.matches(of: entry) {
        #expect(NamingRule.swiftName(String(match.2), prefix: vocabulary.prefix) == String(match.1))
        seen += 1
      }
    }
    #expect(seen == vocabulary.names.count + vocabulary.olderNames.count, "every entry of the tables was read")
  }

  @Test(
    "are as its examples say",
    arguments: [
      ("CKM_AES_CBC_PAD", "aesCBCPad"), ("CKM_SHA256_RSA_PKCS_PSS", "sha256RSAPKCSPSS"),
      ("CKM_ECDH1_DERIVE", "ecdh1Derive"), ("CKM_SHA3_256_HMAC", "sha3_256HMAC"), ("CKM_SHA_1", "sha1"),
      ("CKM_CHACHA20_POLY1305", "chacha20Poly1305"), ("CKM_HASH_ML_DSA_SHA512", "hashMLDSASHA512"),
    ])
  func examples(name: String, swift: String) {
    #expect(NamingRule.swiftName(name, prefix: "CKM_") == swift)
  }
}
