import COpenSSL

/// A natural number of a key, wiped when released. Operations on secret ones take libcrypto's constant-time paths.
final class BigNumber {
  let pointer: OpaquePointer

  /// Zero.
  init() throws(CryptoError) {
    pointer = try check(BN_secure_new(), "BN_secure_new")
    BN_set_flags(pointer, BN_FLG_CONSTTIME)
  }

  convenience init(_ small: UInt) throws(CryptoError) {
    try self.init()
    try check(BN_set_word(pointer, small), "BN_set_word")
  }

  /// The number whose big-endian bytes these are.
  convenience init(_ bigEndian: UnsafeRawBufferPointer) throws(CryptoError) {
    try self.init()
    guard let count = Int32(exactly: bigEndian.count) else { throw CryptoError(.dataLength, in: "BN_bin2bn") }
    let start = bigEndian.baseAddress?.assumingMemoryBound(to: UInt8.self)
    guard count > 0 else { return }
    _ = try check(BN_bin2bn(start, count, pointer), "BN_bin2bn")
  }

  static func of(_ secret: SecretBytes) throws(CryptoError) -> BigNumber {
    try secret.withBytes { (bytes) throws(CryptoError) in try BigNumber(bytes) }
  }

  static func of(_ bigEndian: [UInt8]) throws(CryptoError) -> BigNumber {
    try bigEndian.withRawBytes { (bytes) throws(CryptoError) in try BigNumber(bytes) }
  }

  init(adopting pointer: OpaquePointer) {
    self.pointer = pointer
  }

  deinit { BN_clear_free(pointer) }

  var bitCount: Int { Int(BN_num_bits(pointer)) }
  var byteCount: Int { (bitCount + 7) / 8 }
  var isOdd: Bool { BN_is_odd(pointer) == 1 }

  /// The number big-endian in `count` bytes, or without leading zeros.
  func secretBytes(count: Int? = nil) throws(CryptoError) -> SecretBytes {
    try SecretBytes(count: count ?? byteCount) { (bytes) throws(CryptoError) in try write(into: bytes) }
  }

  /// The number big-endian without leading zeros, for public ones.
  func publicBytes() throws(CryptoError) -> [UInt8] {
    try [UInt8](count: byteCount) { (bytes) throws(CryptoError) in try write(into: bytes) }
  }

  private func write(into bytes: UnsafeMutableRawBufferPointer) throws(CryptoError) -> Int {
    guard let start = bytes.baseAddress, bytes.count > 0 else { return 0 }
    let written = BN_bn2binpad(pointer, start.assumingMemoryBound(to: UInt8.self), Int32(bytes.count))
    guard Int(written) == bytes.count else { throw CryptoError(.dataLength, in: "BN_bn2binpad") }
    return bytes.count
  }

  func equals(_ other: BigNumber) -> Bool { BN_cmp(pointer, other.pointer) == 0 }
  func isLess(than other: BigNumber) -> Bool { BN_cmp(pointer, other.pointer) < 0 }
}

/// Arithmetic on `BigNumber`s with the temporaries that libcrypto wants.
struct Arithmetic: ~Copyable {
  private let scratch: OpaquePointer

  init() throws(CryptoError) {
    scratch = try check(BN_CTX_secure_new_ex(try LibraryContext.shared.pointer), "BN_CTX_secure_new_ex")
  }

  deinit { BN_CTX_free(scratch) }

  func product(_ left: BigNumber, _ right: BigNumber) throws(CryptoError) -> BigNumber {
    let result = try BigNumber()
    try check(BN_mul(result.pointer, left.pointer, right.pointer, scratch), "BN_mul")
    return result
  }

  func remainder(_ number: BigNumber, by divisor: BigNumber) throws(CryptoError) -> BigNumber {
    let result = try BigNumber()
    try check(BN_div(nil, result.pointer, number.pointer, divisor.pointer, scratch), "BN_div", .invalidKey)
    return result
  }

  func quotient(_ number: BigNumber, by divisor: BigNumber) throws(CryptoError) -> BigNumber {
    let result = try BigNumber()
    try check(BN_div(result.pointer, nil, number.pointer, divisor.pointer, scratch), "BN_div", .invalidKey)
    return result
  }

  /// `number - 1`, for a number above 0.
  func predecessor(of number: BigNumber) throws(CryptoError) -> BigNumber {
    let result = try BigNumber(1)
    try check(BN_sub(result.pointer, number.pointer, result.pointer), "BN_sub")
    return result
  }

  func power(
    _ base: BigNumber, _ exponent: BigNumber, modulo modulus: BigNumber
  ) throws(CryptoError) -> BigNumber {
    let result = try BigNumber()
    let status = BN_mod_exp(result.pointer, base.pointer, exponent.pointer, modulus.pointer, scratch)
    try check(status, "BN_mod_exp", .invalidKey)
    return result
  }

  func inverse(
    of number: BigNumber, modulo modulus: BigNumber
  ) throws(CryptoError) -> BigNumber {
    let result = try BigNumber()
    let answer = BN_mod_inverse(result.pointer, number.pointer, modulus.pointer, scratch)
    _ = try check(answer, "BN_mod_inverse", .invalidKey)
    return result
  }

  func greatestCommonDivisor(
    _ left: BigNumber, _ right: BigNumber
  ) throws(CryptoError) -> BigNumber {
    let result = try BigNumber()
    try check(BN_gcd(result.pointer, left.pointer, right.pointer, scratch), "BN_gcd")
    return result
  }

  func shiftedRight(_ number: BigNumber, by bits: Int32) throws(CryptoError) -> BigNumber {
    let result = try BigNumber()
    try check(BN_rshift(result.pointer, number.pointer, bits), "BN_rshift")
    return result
  }
}
