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
  /// Whole numbers of any size, in the byte order that libcrypto reads.
  private var integers: [SecretBytes] = []

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

  /// A number for a parameter that libcrypto wants signed.
  mutating func signedNumber(_ key: StaticString, _ value: Int32) {
    let number = UnsafeMutableRawPointer(numbers + count).bindMemory(to: Int32.self, capacity: 1)
    number.pointee = value
    append(OSSL_PARAM_construct_int32(name(key), number))
  }

  /// A natural number given big-endian, as keys have them. The list keeps its own copy and wipes it.
  mutating func integer(_ key: StaticString, _ bigEndian: UnsafeRawBufferPointer) {
    let native = SecretBytes(count: max(bigEndian.count, 1)) { bytes in
      for (index, byte) in bigEndian.reversed().enumerated() { bytes[index] = byte }
      return bytes.count
    }
    integers.append(native)
    native.withBytes { bytes in
      let start = UnsafeMutableRawPointer(mutating: bytes.baseAddress)?.assumingMemoryBound(to: UInt8.self)
      append(OSSL_PARAM_construct_BN(name(key), start, bytes.count))
    }
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
