import CryptoCore

/// A sealed record as it is stored: nonce, AES-256-GCM ciphertext, tag.
enum Seal {
  static let nonceByteCount = AES256GCM.nonceByteCount
  static let overhead = AES256GCM.nonceByteCount + AES256GCM.tagByteCount

  /// `plaintext` sealed under a nonce taken from `numbers`.
  static func close(
    _ plaintext: UnsafeRawBufferPointer, key: AES256GCM, authenticating associatedData: AssociatedData,
    numbers: RandomNumbers
  ) throws(StorageError) -> [UInt8] {
    var sealed = [UInt8](repeating: 0, count: plaintext.count + overhead)
    var span = sealed.mutableSpan
    try cryptography { () throws(CryptoError) in
      try span.withUnsafeMutableBytes { (output) throws(CryptoError) in
        let nonce = UnsafeMutableRawBufferPointer(rebasing: output[..<nonceByteCount])
        try numbers.fill(nonce)
        try associatedData.withBytes { (associatedData) throws(CryptoError) in
          _ = try key.seal(
            plaintext, nonce: UnsafeRawBufferPointer(nonce), authenticating: associatedData,
            into: UnsafeMutableRawBufferPointer(rebasing: output[nonceByteCount...]))
        }
      }
    }
    return sealed
  }

  /// The plaintext's byte count of a sealed record, nil for one that is too short to be one.
  static func plaintextByteCount(_ sealed: UnsafeRawBufferPointer) -> Int? {
    sealed.count >= overhead ? sealed.count - overhead : nil
  }

  /// Opens `sealed` into `output` and answers the byte count; nil when it is not what was sealed.
  static func open(
    _ sealed: UnsafeRawBufferPointer, key: AES256GCM, authenticating associatedData: AssociatedData,
    into output: UnsafeMutableRawBufferPointer
  ) throws(StorageError) -> Int? {
    guard sealed.count >= overhead else { return nil }
    do throws(CryptoError) {
      return try associatedData.withBytes { (associatedData) throws(CryptoError) in
        try key.open(
          UnsafeRawBufferPointer(rebasing: sealed[nonceByteCount...]),
          nonce: UnsafeRawBufferPointer(rebasing: sealed[..<nonceByteCount]), authenticating: associatedData,
          into: output)
      }
    } catch {
      if error.kind == .authenticationFailed { return nil }
      throw StorageError(error)
    }
  }

  /// The plaintext as plain bytes, nil when `sealed` is not what was sealed.
  static func open(
    _ sealed: UnsafeRawBufferPointer, key: AES256GCM, authenticating associatedData: AssociatedData
  ) throws(StorageError) -> [UInt8]? {
    guard let count = plaintextByteCount(sealed) else { return nil }
    var opened = [UInt8](repeating: 0, count: count)
    var span = opened.mutableSpan
    let written = try span.withUnsafeMutableBytes { (output) throws(StorageError) in
      try open(sealed, key: key, authenticating: associatedData, into: output)
    }
    return written == nil ? nil : opened
  }

  /// The plaintext in secret memory, nil when `sealed` is not what was sealed.
  static func openSecret(
    _ sealed: UnsafeRawBufferPointer, key: AES256GCM, authenticating associatedData: AssociatedData
  ) throws(StorageError) -> SecretBytes? {
    guard let count = plaintextByteCount(sealed) else { return nil }
    var authentic = false
    let opened = try SecretBytes(count: count) { (output) throws(StorageError) in
      let written = try open(sealed, key: key, authenticating: associatedData, into: output)
      authentic = written != nil
      return written ?? 0
    }
    return authentic ? opened : nil
  }
}

/// What a seal covers beside the plaintext, in place: there is one for each record that is read.
struct AssociatedData {
  private static let capacity = 88
  private var storage = InlineArray<88, UInt8>(repeating: 0)
  private var count = 0

  mutating func append(_ value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append($0) }
  }

  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    precondition(count + bytes.count <= Self.capacity, "what is authenticated has a length that is known")
    let start = count
    var span = storage.mutableSpan
    span.withUnsafeMutableBytes { UnsafeMutableRawBufferPointer(rebasing: $0[start...]).copyMemory(from: bytes) }
    count += bytes.count
  }

  mutating func append(_ bytes: [UInt8]) { bytes.withUnsafeBytes { append($0) } }

  func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    let count = count
    return try storage.span.withUnsafeBytes { (bytes) throws(E) in
      try body(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
    }
  }
}
