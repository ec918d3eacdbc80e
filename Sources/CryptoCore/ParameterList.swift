import COpenSSL

/// An OSSL_PARAM array under construction.
///
/// Keys and texts are literals, which outlive every list; octets are borrowed and must outlive the call that reads
/// the list; numbers live in the list.
struct ParameterList: ~Copyable {
  private static let capacity = 15
  private let entries = UnsafeMutablePointer<OSSL_PARAM>.allocate(capacity: capacity + 1)
  private let numbers = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity)
  private var count = 0

  init() { entries[0] = OSSL_PARAM_construct_end() }

  deinit {
    entries.deallocate()
    numbers.deallocate()
  }

  /// The array with its end mark. Valid while the list lives.
  var pointer: UnsafeMutablePointer<OSSL_PARAM> { entries }

  mutating func octets(_ key: StaticString, _ bytes: UnsafeRawBufferPointer) {
    // libcrypto takes a NULL for "not given", so an empty value needs an address too.
    let base = UnsafeMutableRawPointer(mutating: bytes.baseAddress) ?? UnsafeMutableRawPointer(numbers)
    append(OSSL_PARAM_construct_octet_string(name(key), base, bytes.count))
  }

  mutating func text(_ key: StaticString, _ value: StaticString) {
    append(OSSL_PARAM_construct_utf8_string(name(key), UnsafeMutablePointer(mutating: name(value)), 0))
  }

  mutating func number(_ key: StaticString, _ value: UInt64) {
    numbers[count] = value
    append(OSSL_PARAM_construct_uint64(name(key), numbers + count))
  }

  private mutating func append(_ parameter: OSSL_PARAM) {
    precondition(count < Self.capacity, "a list never holds more parameters than our longest caller names")
    entries[count] = parameter
    count += 1
    entries[count] = OSSL_PARAM_construct_end()
  }

  private func name(_ literal: StaticString) -> UnsafePointer<CChar> {
    UnsafeRawPointer(literal.utf8Start).assumingMemoryBound(to: CChar.self)
  }
}
