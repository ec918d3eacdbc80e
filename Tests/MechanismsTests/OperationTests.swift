import CryptoCore
import Cryptoki
import Foundation
import Synchronization
import Testing
import Wire

@testable import Mechanisms

/// Runs a whole operation in parts of `partByteCount` bytes.
private func run(
  _ function: KeyFunction, _ mechanism: Mechanism, _ key: CryptographicKey, _ input: [UInt8], partByteCount: Int = 7
) throws(ReturnValue) -> [UInt8] {
  guard let facts = MechanismTable.facts(mechanism.type) else { throw .mechanismInvalid }
  var operation = try Operation(function: function, mechanism: mechanism, facts: facts, key: key)
  var output: [UInt8] = []
  var place = 0
  while place < input.count {
    let part = Array(input[place..<min(place + partByteCount, input.count)])
    let room = operation.updateByteCount(for: part.count)
    output += try write(room) { (memory) throws(ReturnValue) in
      try bytes(part) { (part) throws(ReturnValue) in try operation.update(part, into: memory) }
    }
    place += part.count
  }
  return output
    + (try write(operation.finishByteCount) { (memory) throws(ReturnValue) in try operation.finish(into: memory) })
}

private func verify(
  _ mechanism: Mechanism, _ key: CryptographicKey, _ input: [UInt8], _ signature: [UInt8]
) throws(ReturnValue) {
  guard let facts = MechanismTable.facts(mechanism.type) else { throw .mechanismInvalid }
  var operation = try Operation(function: .verify, mechanism: mechanism, facts: facts, key: key)
  _ = try bytes(input) { (input) throws(ReturnValue) in
    try operation.update(input, into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
  }
  try bytes(signature) { (signature) throws(ReturnValue) in try operation.finishVerification(signature) }
}

private func bytes<R>(
  _ array: [UInt8], _ body: (UnsafeRawBufferPointer) throws(ReturnValue) -> R
) throws(ReturnValue) -> R {
  try array.span.withUnsafeBytes(body)
}

private func write(
  _ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws(ReturnValue) -> Int
) throws(ReturnValue) -> [UInt8] {
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count, 1), alignment: 16)
  defer { memory.deallocate() }
  let written = try body(UnsafeMutableRawBufferPointer(start: memory.baseAddress, count: count))
  return Array(memory[..<written])
}

private func aes(_ bytes: [UInt8]) throws -> CryptographicKey {
  try CryptographicKey(secret: SecretBytes(copying: bytes), keyType: .aes)
}

private let iv = ShortBytes([UInt8](0..<16))
private let nonce = ShortBytes([UInt8](0..<12))
/// One that libcrypto does not take itself.
private let longNonce = ShortBytes([UInt8](repeating: 5, count: 150))

/// Bytes of which a few change and change back, all the time, as memory does that a client shares.
private final class Flickering: @unchecked Sendable {
  // Sendable: that the bytes are written while they are read is the purpose.
  private let memory: UnsafeMutableRawBufferPointer
  private let isOver = Atomic<Bool>(false)
  private let ended = DispatchSemaphore(value: 0)

  init(_ content: [UInt8]) {
    memory = .allocate(byteCount: content.count, alignment: 64)
    memory.copyBytes(from: content)
  }

  deinit { memory.deallocate() }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory) }

  func start() {
    Thread.detachNewThread { [self] in
      while !isOver.load(ordering: .relaxed) {
        for place in stride(from: 100, to: memory.count, by: 1 << 14) { memory[place] ^= 1 }
        sched_yield()
        for place in stride(from: 100, to: memory.count, by: 1 << 14) { memory[place] ^= 1 }
        sched_yield()
      }
      ended.signal()
    }
  }

  func stop() {
    isOver.store(true, ordering: .relaxed)
    ended.wait()
  }
}

/// Every mechanism that encrypts with a secret key, with whether it takes any count of bytes.
private let ciphers: [(Mechanism, anyCount: Bool)] = [
  (Mechanism(.aesECB), false),
  (Mechanism(.aesCBC, .iv(iv)), false),
  (Mechanism(.aesCBCPad, .iv(iv)), true),
  (Mechanism(.aesCTR, .counter(bitCount: 128, block: iv)), true),
  (Mechanism(.aesGCM, .gcm(iv: nonce, aad: [1, 2, 3], tagBitCount: 128)), true),
  (Mechanism(.aesGCM, .gcm(iv: nonce, aad: [], tagBitCount: 96)), true),
]

@Suite struct OperationTests {
  @Test("what is encrypted in parts is decrypted in other parts", arguments: [0, 1, 15, 16, 17, 64, 1000])
  func roundTrip(count: Int) throws {
    let key = try aes([UInt8](repeating: 7, count: 32))
    for (mechanism, anyCount) in ciphers {
      let input = [UInt8]((0..<(anyCount ? count : count & ~15)).map { UInt8(truncatingIfNeeded: $0) })
      let encrypted = try run(.encrypt, mechanism, key, input, partByteCount: 13)
      let decrypted = try run(.decrypt, mechanism, key, encrypted, partByteCount: 29)
      #expect(decrypted == input, "\(mechanism.type)")
      let description = KeyDescription(objectClass: .secretKey, keyType: .aes, usage: [], size: 32)
      let facts = try #require(MechanismTable.facts(mechanism.type))
      #expect(
        Operation.outputByteCount(.encrypt, mechanism, facts, description, inputByteCount: input.count)
          == encrypted.count)
    }
  }

  @Test("GCM decryption yields nothing before the tag, and nothing at all with a wrong one")
  func withheld() throws {
    let key = try aes([UInt8](repeating: 9, count: 16))
    let mechanism = Mechanism(.aesGCM, .gcm(iv: nonce, aad: [], tagBitCount: 128))
    var encrypted = try run(.encrypt, mechanism, key, [UInt8](repeating: 1, count: 100))
    let facts = try #require(MechanismTable.facts(.aesGCM))
    let room = try Operation(function: .decrypt, mechanism: mechanism, facts: facts, key: key).updateByteCount(for: 116)
    #expect(room == 0)
    encrypted[50] ^= 1
    #expect(throws: ReturnValue.encryptedDataInvalid) { try run(.decrypt, mechanism, key, encrypted) }
    #expect(throws: ReturnValue.encryptedDataInvalid) {
      try run(.decrypt, mechanism, key, Array(encrypted.prefix(8)))
    }
  }

  @Test(
    "GCM decryption gives the same at every boundary of its memory, for every tag, and nothing of a forgery",
    arguments: [
      0, 1, 15, 16, 17, 16_367, 16_368, 16_369, 16_384, 65_535, 65_536, 262_128, 262_143, 262_144, 262_160,
      (2 << 20) - 16, (2 << 20) - 1, 2 << 20, (2 << 20) + 5, (4 << 20) + 1,
    ])
  func withheldSizes(count: Int) throws {
    let key = try aes([UInt8](repeating: 9, count: 32))
    let facts = try #require(MechanismTable.facts(.aesGCM))
    let plaintext = [UInt8](unsafeUninitializedCapacity: count) { memory, size in
      for index in 0..<count { memory[index] = UInt8(truncatingIfNeeded: index &* 31 &+ index >> 8) }
      size = count
    }
    for (iv, tagBitCount) in [(nonce, 128), (nonce, 96), (nonce, 32), (longNonce, 104)] as [(ShortBytes, UInt32)] {
      let mechanism = Mechanism(.aesGCM, .gcm(iv: iv, aad: [1], tagBitCount: tagBitCount))
      let tagByteCount = Int(tagBitCount / 8)
      let sealed = try run(.encrypt, mechanism, key, plaintext, partByteCount: 1 << 16)
      #expect(sealed.count == count + tagByteCount)
      for part in [16_384, 65_536, max(sealed.count, 1), max(sealed.count - tagByteCount, 1), 99_991] {
        let opened = try run(.decrypt, mechanism, key, sealed, partByteCount: part)
        #expect(opened == plaintext, "parts of \(part)")
      }
      for forged in [0, count / 2, max(count - 1, 0), count, sealed.count - 1] {
        var forgery = sealed
        forgery[forged] ^= 0x80
        var operation = try Operation(function: .decrypt, mechanism: mechanism, facts: facts, key: key)
        _ = try bytes(forgery) { (forgery) throws(ReturnValue) in
          try operation.update(forgery, into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
        }
        var lent = 0
        for _ in 0..<2 {
          #expect(throws: ReturnValue.self) {
            try operation.finishWithheld { (piece: UnsafeRawBufferPointer) throws(ReturnValue) in lent += piece.count }
          }
        }
        #expect(lent == 0, "changed at \(forged)")
      }
    }
  }

  @Test("what a decryption holds back counts by the memory that it takes, at least a page and never less than there is")
  func heldBytes() throws {
    let key = try aes([UInt8](repeating: 9, count: 16))
    let facts = try #require(MechanismTable.facts(.aesGCM))
    let mechanism = Mechanism(.aesGCM, .gcm(iv: nonce, aad: [], tagBitCount: 128))
    var operation = try Operation(function: .decrypt, mechanism: mechanism, facts: facts, key: key)
    #expect(operation.heldByteCount == 0)
    var taken = 0
    for (count, held) in [(1, 4096), (4095, 4096), (1, 8192), (300_000, 307_200), (2 << 20, 4 << 20)] {
      try bytes([UInt8](repeating: 0, count: count)) { (input) throws(ReturnValue) in
        _ = try operation.update(input, into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
      }
      taken += count
      #expect(operation.heldByteCount == held && held >= taken)
    }
  }

  @Test("ciphertext that changes while it is decrypted gives the plaintext that was sealed, or none")
  func changingCiphertext() async throws {
    let key = try aes([UInt8](repeating: 9, count: 32))
    let facts = try #require(MechanismTable.facts(.aesGCM))
    let plaintext = [UInt8](repeating: 0x77, count: 200_000)
    for iv in [nonce, longNonce] {
      let mechanism = Mechanism(.aesGCM, .gcm(iv: iv, aad: [], tagBitCount: 128))
      let sealed = try run(.encrypt, mechanism, key, plaintext, partByteCount: 1 << 16)
      let memory = Flickering(sealed)
      memory.start()
      defer { memory.stop() }
      for _ in 0..<200 {
        var operation = try Operation(function: .decrypt, mechanism: mechanism, facts: facts, key: key)
        _ = try operation.update(memory.bytes, into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
        var opened: [UInt8] = []
        do throws(ReturnValue) {
          try operation.finishWithheld { (piece: UnsafeRawBufferPointer) throws(ReturnValue) in
            opened.append(contentsOf: piece)
          }
          #expect(opened == plaintext)
        } catch {
          #expect(error == .encryptedDataInvalid && opened.isEmpty)
        }
      }
    }
  }

  @Test("a counter that would run into the nonce is refused, before anything is encrypted")
  func counterWrap() throws {
    let key = try aes([UInt8](repeating: 9, count: 16))
    let nearWrap = ShortBytes([UInt8](repeating: 0, count: 15) + [0xfe])
    let mechanism = Mechanism(.aesCTR, .counter(bitCount: 8, block: nearWrap))
    #expect(try run(.encrypt, mechanism, key, [UInt8](repeating: 0, count: 32)).count == 32)
    #expect(throws: ReturnValue.dataLenRange) {
      try run(.encrypt, mechanism, key, [UInt8](repeating: 0, count: 33), partByteCount: 1)
    }
  }

  @Test("HMAC of RFC 4231, case 2, whole and truncated, and refused when it is another")
  func hmac() throws {
    let key = try CryptographicKey(secret: SecretBytes(copying: Array("Jefe".utf8)), keyType: .genericSecret)
    let message = Array("what do ya want for nothing?".utf8)
    let code = try run(.sign, Mechanism(.sha256HMAC), key, message)
    #expect(Array(code.prefix(4)) == [0x5b, 0xdc, 0xc1, 0x46])
    let short = try run(.sign, Mechanism(.sha256HMACGeneral, .macByteCount(10)), key, message)
    #expect(short == Array(code.prefix(10)))
    try verify(Mechanism(.sha256HMAC), key, message, code)
    #expect(throws: ReturnValue.signatureInvalid) {
      try verify(Mechanism(.sha256HMAC), key, message, Array(code.dropLast()) + [code[31] ^ 1])
    }
    #expect(throws: ReturnValue.signatureLenRange) {
      try verify(Mechanism(.sha256HMAC), key, message, Array(code.dropLast()))
    }
  }

  @Test("a short buffer leaves a signature where it is")
  func bufferTooSmall() throws {
    let pair = try ECPrivateKey.generate(.p256)
    let facts = try #require(MechanismTable.facts(.ecdsaSHA256))
    var operation = try Operation(
      function: .sign, mechanism: Mechanism(.ecdsaSHA256), facts: facts, key: CryptographicKey(pair))
    _ = try bytes([1, 2, 3]) { (input) throws(ReturnValue) in
      try operation.update(input, into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    }
    let byteCount = operation.finishByteCount
    #expect(byteCount == 64)
    var refusal: ReturnValue?
    do throws(ReturnValue) {
      _ = try write(63) { (memory) throws(ReturnValue) in try operation.finish(into: memory) }
    } catch { refusal = error }
    #expect(refusal == .bufferTooSmall)
    let signature = try write(64) { (memory) throws(ReturnValue) in try operation.finish(into: memory) }
    try verify(Mechanism(.ecdsaSHA256), CryptographicKey(try pair.publicKey()), [1, 2, 3], signature)
  }

  @Test("every signature mechanism signs what its public half verifies, and nothing else")
  func signatures() throws {
    let rsa = try RSAPrivateKey.generate(bitCount: 2048)
    let ec = try ECPrivateKey.generate(.p384)
    let edwards = try EdwardsPrivateKey.generate(.ed25519)
    for facts in MechanismTable.all where facts.flags.contains(.sign) {
      let keys: (CryptographicKey, CryptographicKey)
      var parameters = MechanismParameters.none
      var input = [UInt8](repeating: 3, count: 48)
      switch facts.family {
      case .rsaPKCS, .rsaRaw: keys = (CryptographicKey(rsa), CryptographicKey(rsa.publicKey))
      case .rsaPSS(let hash):
        keys = (CryptographicKey(rsa), CryptographicKey(rsa.publicKey))
        let named = try #require(MechanismTable.all.first { $0.family == .digest(hash ?? .sha384) })
        parameters = .pss(hash: named.type, mgf: 2, saltByteCount: 20)
      case .ecdsa: keys = (CryptographicKey(ec), CryptographicKey(try ec.publicKey()))
      case .edDSA: keys = (CryptographicKey(edwards), CryptographicKey(try edwards.publicKey()))
      default: continue
      }
      let mechanism = Mechanism(facts.type, parameters)
      let signature = try run(.sign, mechanism, keys.0, input)
      if facts.family == .rsaRaw { input = [UInt8](repeating: 0, count: 256 - 48) + input }
      try verify(mechanism, keys.1, input, signature)
      input[input.count - 1] ^= 1
      #expect(throws: ReturnValue.signatureInvalid, "\(facts.type)") {
        try verify(mechanism, keys.1, input, signature)
      }
      #expect(throws: ReturnValue.signatureLenRange, "\(facts.type)") {
        try verify(mechanism, keys.1, input, Array(signature.dropLast()))
      }
    }
  }

  @Test("a key serves with every hash, and keeps the states for two of them")
  func keptHashes() throws {
    let secret = SecretBytes(copying: [UInt8](0..<64))
    let key = try CryptographicKey(secret: secret, keyType: .genericSecret)
    var kept = 0
    for _ in 0..<2 {
      kept = 0
      for hash in HashAlgorithm.allCases {
        let (first, second) = (try key.authenticationKey(hash), try key.authenticationKey(hash))
        if first === second { kept += 1 }
        #expect(try first.authenticate([1]) == MessageAuthenticationKey(hmac: hash, key: secret).authenticate([1]))
      }
    }
    #expect(kept == 2 && HashAlgorithm.allCases.count == 11)
  }

  @Test("what is wrapped is unwrapped, and damage is a wrapped key that is invalid")
  func transport() throws {
    let aesKey = try aes([UInt8](repeating: 1, count: 16))
    let rsa = try RSAPrivateKey.generate(bitCount: 2048)
    let secret = SecretBytes(copying: [UInt8](0..<24))
    let cases: [(Mechanism, CryptographicKey, CryptographicKey)] = [
      (Mechanism(.aesKeyWrap), aesKey, aesKey),
      (Mechanism(.aesKeyWrapKWP), aesKey, aesKey),
      (Mechanism(.aesCBCPad, .iv(iv)), aesKey, aesKey),
      (Mechanism(.aesGCM, .gcm(iv: nonce, aad: [], tagBitCount: 128)), aesKey, aesKey),
      (
        Mechanism(.rsaPKCSOAEP, .oaep(hash: .sha256, mgf: 2, label: [5])), CryptographicKey(rsa.publicKey),
        CryptographicKey(rsa)
      ),
    ]
    for (mechanism, wrapping, unwrapping) in cases {
      let facts = try #require(MechanismTable.facts(mechanism.type))
      var wrapped = try KeyTransport.wrap(secret, mechanism: mechanism, facts: facts, with: wrapping)
      let again = try bytes(wrapped) { (wrapped) throws(ReturnValue) in
        try KeyTransport.unwrap(wrapped, mechanism: mechanism, facts: facts, with: unwrapping)
      }
      #expect(again.matches(secret))
      if mechanism.type == .aesCBCPad { continue }
      wrapped[3] ^= 0x40
      #expect(throws: ReturnValue.wrappedKeyInvalid, "\(mechanism.type)") {
        try bytes(wrapped) { (wrapped) throws(ReturnValue) in
          try KeyTransport.unwrap(wrapped, mechanism: mechanism, facts: facts, with: unwrapping)
        }
      }
    }
  }

  @Test("both sides of an agreement derive the same, for both encodings of the point and any function")
  func agreement() throws {
    let (a, b) = (try ECPrivateKey.generate(.p256), try ECPrivateKey.generate(.p256))
    let facts = try #require(MechanismTable.facts(.ecdh1Derive))
    for (kdf, sharedData, count) in [(UInt32(1), [UInt8](), 20), (1, [], 32), (6, [1, 2], 80), (2, [], 16)] {
      func derive(_ key: ECPrivateKey, _ point: [UInt8]) throws -> SecretBytes {
        try KeyDerivation.derive(
          mechanism: Mechanism(.ecdh1Derive, .ecdh(kdf: kdf, sharedData: sharedData, publicPoint: point)), facts: facts,
          from: CryptographicKey(key), byteCount: count)
      }
      let one = try derive(a, b.publicPoint)
      #expect(one.count == count)
      #expect(one.matches(try derive(b, PointEncoding.octetString(a.publicPoint))))
      #expect(throws: ReturnValue.mechanismParamInvalid) {
        try derive(a, [4] + [UInt8](repeating: 1, count: 64))
      }
    }
  }
}
