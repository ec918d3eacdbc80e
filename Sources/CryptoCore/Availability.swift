// What this process's libcrypto really has, for those who announce mechanisms. Each answer is found once and kept.

extension HashAlgorithm {
  public var isAvailable: Bool { algorithm.isAvailable }
}

extension MessageAuthenticationKey {
  public static var isHMACAvailable: Bool { hmac.isAvailable }
  public static var isCMACAvailable: Bool { cmac.isAvailable }
}

extension AESKey {
  public static var isAvailable: Bool { [ecb, cbc, ctr].allSatisfy { $0.allSatisfy(\.isAvailable) } }
  public static var isGCMAvailable: Bool { gcm.allSatisfy(\.isAvailable) }
}

extension RSAPublicKey {
  public static var isAvailable: Bool { rsaKeyType.isAvailable }
}

extension EllipticCurve {
  public var isAvailable: Bool { ecKeyType.isAvailable && (try? group) != nil }
}

extension EdwardsCurve {
  public var isAvailable: Bool { edwardsKeyTypes[Int(rawValue)].isAvailable }
}

extension MontgomeryCurve {
  public var isAvailable: Bool { montgomeryKeyTypes[Int(rawValue)].isAvailable }
}

private let rsaKeyType = FetchedAlgorithm.keyType("RSA")
private let ecKeyType = FetchedAlgorithm.keyType("EC")
private let edwardsKeyTypes = EdwardsCurve.allCases.map { FetchedAlgorithm.keyType($0.name) }
private let montgomeryKeyTypes = MontgomeryCurve.allCases.map { FetchedAlgorithm.keyType($0.name) }
