import COpenSSL

/// Finds the numbers of an RSA private key that were not given, and checks that those given belong together.
enum RSAKeyCompletion {
  struct Complete {
    let publicExponent: [UInt8]
    /// By libcrypto's names.
    let secrets: [(name: StaticString, number: SecretBytes)]
  }

  /// In bytes, leading zeros included: so that arithmetic with a hostile key's numbers stays cheap.
  private static let longestNumber = 4096

  /// Throws `.invalidKey` where no key has these numbers.
  static func complete(
    _ given: RSAPrivateComponents, sizes: ClosedRange<Int>
  ) throws(CryptoError) -> Complete {
    let counts =
      [given.modulus.count, given.publicExponent?.count ?? 0, given.privateExponent.count]
      + [given.prime1, given.prime2, given.exponent1, given.exponent2, given.coefficient].map { $0?.count ?? 0 }
    guard counts.allSatisfy({ $0 <= longestNumber }) else { throw invalid("sizes") }
    return try preservingErrorQueue { () throws(CryptoError) in
      let arithmetic = try Arithmetic()
      let modulus = try BigNumber.of(given.modulus)
      let privateExponent = try BigNumber.of(given.privateExponent)
      guard sizes.contains(modulus.bitCount), modulus.isOdd else { throw invalid("modulus") }
      guard privateExponent.bitCount > 1, privateExponent.isLess(than: modulus) else {
        throw invalid("private exponent")
      }
      let secretPrime1 = try firstPrime(given, modulus, privateExponent, arithmetic)
      let prime1 = try BigNumber.of(secretPrime1)
      guard prime1.isOdd, prime1.bitCount > 1, prime1.isLess(than: modulus) else { throw invalid("primes") }
      let prime2 =
        if let given = given.prime2 { try BigNumber.of(given) } else { try arithmetic.quotient(modulus, by: prime1) }
      guard prime2.bitCount > 1, try arithmetic.product(prime1, prime2).equals(modulus), !prime1.equals(prime2) else {
        throw invalid("primes")
      }

      let below1 = try arithmetic.predecessor(of: prime1)
      let below2 = try arithmetic.predecessor(of: prime2)
      let publicExponent =
        if let given = given.publicExponent { given } else {
          try self.publicExponent(for: privateExponent, below1, below2, arithmetic)
        }
      let exponent = try BigNumber.of(publicExponent)
      let product = try arithmetic.product(exponent, privateExponent)
      let one = try BigNumber(1)
      guard try arithmetic.remainder(product, by: below1).equals(one),
        try arithmetic.remainder(product, by: below2).equals(one)
      else { throw invalid("exponents") }

      let exponent1 = try arithmetic.remainder(privateExponent, by: below1)
      let exponent2 = try arithmetic.remainder(privateExponent, by: below2)
      let coefficient = try arithmetic.inverse(of: prime2, modulo: prime1)
      guard try agrees(given.exponent1, exponent1), try agrees(given.exponent2, exponent2),
        try agrees(given.coefficient, coefficient)
      else { throw invalid("CRT values") }

      return Complete(
        publicExponent: publicExponent,
        secrets: [
          ("d", given.privateExponent), ("rsa-factor1", secretPrime1),
          ("rsa-factor2", try prime2.secretBytes()), ("rsa-exponent1", try exponent1.secretBytes()),
          ("rsa-exponent2", try exponent2.secretBytes()), ("rsa-coefficient1", try coefficient.secretBytes()),
        ])
    }
  }

  private static func firstPrime(
    _ given: RSAPrivateComponents, _ modulus: BigNumber, _ privateExponent: BigNumber,
    _ arithmetic: borrowing Arithmetic
  ) throws(CryptoError) -> SecretBytes {
    if let prime1 = given.prime1 { return prime1 }
    if let prime2 = given.prime2 {
      let divisor = try BigNumber.of(prime2)
      guard divisor.bitCount > 1 else { throw invalid("primes") }
      return try arithmetic.quotient(modulus, by: divisor).secretBytes()
    }
    let exponent = try BigNumber.of(given.publicExponent ?? [1, 0, 1])
    return try factor(modulus, exponent, privateExponent, arithmetic)
  }

  /// The inverse of `privateExponent` modulo the least common multiple of `below1` and `below2`.
  private static func publicExponent(
    for privateExponent: BigNumber, _ below1: BigNumber, _ below2: BigNumber,
    _ arithmetic: borrowing Arithmetic
  ) throws(CryptoError) -> [UInt8] {
    let common = try arithmetic.greatestCommonDivisor(below1, below2)
    let multiple = try arithmetic.quotient(try arithmetic.product(below1, below2), by: common)
    return try arithmetic.inverse(of: privateExponent, modulo: multiple).publicBytes()
  }

  /// A prime factor of `modulus`, from exponents that belong to it (NIST SP 800-56B, appendix C.1).
  ///
  /// Each base finds it with probability one half or more. Exponents that do not belong to the modulus are turned away
  /// after the first base, so that a hostile key costs little.
  private static func factor(
    _ modulus: BigNumber, _ exponent: BigNumber, _ privateExponent: BigNumber,
    _ arithmetic: borrowing Arithmetic
  ) throws(CryptoError) -> SecretBytes {
    let product = try arithmetic.product(exponent, privateExponent)
    guard product.isOdd, product.bitCount > 1 else { throw invalid("exponents") }
    let multiple = try arithmetic.predecessor(of: product)
    var twos: Int32 = 0
    while BN_is_bit_set(multiple.pointer, twos) == 0 { twos += 1 }
    let odd = try arithmetic.shiftedRight(multiple, by: twos)
    let one = try BigNumber(1)
    let minusOne = try arithmetic.predecessor(of: modulus)

    for candidate: UInt in [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71] {
      let base = try BigNumber(candidate)
      var root = try arithmetic.power(base, odd, modulo: modulus)
      if root.equals(one) || root.equals(minusOne) { continue }
      var reachedMinusOne = false
      for _ in 0..<twos {
        let square = try arithmetic.remainder(try arithmetic.product(root, root), by: modulus)
        if square.equals(one) {
          let difference = try arithmetic.predecessor(of: root)
          return try arithmetic.greatestCommonDivisor(difference, modulus).secretBytes()
        }
        root = square
        if root.equals(minusOne) {
          reachedMinusOne = true
          break
        }
      }
      // Neither 1 nor -1 on the way: base^(e*d - 1) is not 1, so these are not the exponents of this modulus.
      if !reachedMinusOne { throw invalid("exponents") }
    }
    throw invalid("exponents")
  }

  private static func agrees(_ given: SecretBytes?, _ computed: BigNumber) throws(CryptoError) -> Bool {
    guard let given else { return true }
    return try BigNumber.of(given).equals(computed)
  }

  private static func invalid(_ what: String) -> CryptoError {
    CryptoError(.invalidKey, in: "RSAPrivateKey", reason: "\(what): do not belong together or out of range")
  }
}
