import COpenSSL
import Glibc
import Testing

@testable import CryptoCore

/// What a host application, whose libcrypto is ours too, may notice: nothing.
struct HostTests {
  @Test("failures leave the thread's error queue as it was, a host's own entry included")
  func errorQueue() throws {
    func failEverywhere() throws {
      let rsa = try RSAPrivateKey(pkcs8: SecretBytes(copying: RSASample.pkcs8))
      let ec = try ECPrivateKey.generate(.p256)
      let aes = try AESKey(SecretBytes(count: 16))
      let failures: [() throws -> Void] = [
        { _ = try rsa.decrypt([UInt8](repeating: 1, count: 256), .oaep(hash: .sha256, maskHash: .sha256)) },
        { _ = try ECPublicKey(.p256, point: [4] + [UInt8](repeating: 1, count: 64)) },
        { _ = try ec.sharedSecret(withPoint: [2] + [UInt8](repeating: 0xff, count: 32)) },
        { _ = try MontgomeryPrivateKey.generate(.x25519).sharedSecret(with: [UInt8](repeating: 0, count: 32)) },
        {
          _ = try Mode.cbcPadded([UInt8](repeating: 0, count: 16)).begin(aes, .decrypt).run(
            [UInt8](repeating: 3, count: 32))
        },
        { _ = try Mode.gcm([1]).begin(aes, .decrypt).run([UInt8](repeating: 3, count: 32)) },
        {
          _ = try AES256GCM(SecretBytes(count: 32)).open(
            [UInt8](repeating: 1, count: 40), nonce: [UInt8](repeating: 0, count: 12), authenticating: [])
        },
        {
          _ = try RSAPrivateKey(
            RSAPrivateComponents(
              modulus: rsa.publicKey.modulus, publicExponent: [3], privateExponent: SecretBytes(copying: [9, 9, 9])))
        },
      ]
      for (index, failure) in failures.enumerated() {
        #expect(kind(of: failure) != nil, "failure \(index)")
      }
      // An error, or a made-up message: see rejectsImplicitly.
      _ = try? rsa.decrypt([UInt8](repeating: 1, count: 256), .pkcs1)
      // Refusals that are not errors.
      let signature = [UInt8](repeating: 1, count: 256)
      #expect(try !rsa.publicKey.isValid(signature, for: [UInt8](repeating: 0, count: 32), .pkcs1(.sha256)))
      #expect(try !ec.publicKey().isValid([UInt8](repeating: 1, count: 64), for: [1]))
      #expect(try !EdwardsPrivateKey.generate(.ed25519).publicKey().isValid([UInt8](repeating: 1, count: 64), for: [1]))
    }
    ERR_clear_error()
    try failEverywhere()
    #expect(ERR_peek_error() == 0)

    // An error of the host's, from its own context.
    let refused = EVP_PKEY_CTX_new_from_name(nil, "no such algorithm", nil)
    EVP_PKEY_CTX_free(refused)
    let newest = ERR_peek_last_error()
    let oldest = ERR_peek_error()
    #expect(newest != 0)
    try failEverywhere()
    #expect(ERR_peek_last_error() == newest)
    #expect(ERR_peek_error() == oldest)
    ERR_clear_error()
  }

  @Test("a process of ours opens no configuration file, whatever OPENSSL_CONF says")
  func configuration() async {
    await #expect(processExitsWith: .success) {
      let path = "/tmp/strongroom-core-\(getpid()).cnf"
      let file = open(path, O_CREAT | O_WRONLY, 0o600)
      guard file >= 0 else { exit(2) }
      close(file)
      setenv("OPENSSL_CONF", path, 1)
      let watch = inotify_init()
      guard watch >= 0, inotify_add_watch(watch, path, UInt32(IN_OPEN)) >= 0 else { exit(3) }
      _ = fcntl(watch, F_SETFL, O_NONBLOCK)
      LibraryContext.refuseConfigurationFile()

      let rsa = try RSAPrivateKey(pkcs8: SecretBytes(copying: RSASample.pkcs8))
      let digest = try sha256([1])
      _ = try rsa.publicKey.isValid(rsa.sign(digest, .pkcs1(.sha256)), for: digest, .pkcs1(.sha256))
      _ = try rsa.sign(digest, .pss(hash: .sha256, maskHash: .sha256, saltByteCount: 32))
      _ = try rsa.decrypt(rsa.publicKey.encrypt([1], .pkcs1), .pkcs1)
      let ec = try ECPrivateKey.generate(.p256)
      _ = try ec.publicKey().isValid(ec.sign(digest), for: digest)
      _ = try ec.sharedSecret(withPoint: ec.publicPoint)
      _ = try EdwardsPrivateKey.generate(.ed25519).sign([1])
      _ = try MontgomeryPrivateKey.generate(.x25519)
      _ = try Mode.gcm([1, 2]).begin(AESKey(SecretBytes(count: 16)), .encrypt).run([1])
      _ = try hmacSHA256(key: SecretBytes(count: 1), data: [1])
      _ = try scrypt(password: SecretBytes(count: 1), salt: [], n: 16, r: 1, p: 1, count: 16)
      _ = try randomBytes(count: 16)

      var event = [UInt8](repeating: 0, count: 4096)
      let opened = read(watch, &event, event.count)
      // The watch works: opening the file ourselves is seen.
      close(open(path, O_RDONLY))
      let control = read(watch, &event, event.count)
      unlink(path)
      exit(opened < 0 && control > 0 ? 0 : 1)
    }
  }

  @Test("a host's configuration governs the host's context and not ours")
  func hostConfiguration() async {
    await #expect(processExitsWith: .success) {
      let path = "/tmp/strongroom-core-host-\(getpid()).cnf"
      let text = """
        openssl_conf = init
        [init]
        alg_section = algorithms
        [algorithms]
        default_properties = fips=yes
        """
      let file = open(path, O_CREAT | O_WRONLY, 0o600)
      guard write(file, text, text.utf8.count) == text.utf8.count else { exit(2) }
      close(file)
      setenv("OPENSSL_CONF", path, 1)
      LibraryContext.loadHostConfiguration()
      unlink(path)
      // No FIPS provider is loaded, so the host has no SHA-256 now.
      guard EVP_MD_fetch(nil, "SHA256", nil) == nil else { exit(3) }
      ERR_clear_error()
      let abc = try sha256(Array("abc".utf8))
      let key = try ECPrivateKey.generate(.p256)
      let isRight =
        try abc == hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        && key.publicKey().isValid(key.sign(abc), for: abc) && ERR_peek_error() == 0
      exit(isRight ? 0 : 1)
    }
  }

  @Test("everything that this core is built on is available here")
  func availability() {
    for hash in HashAlgorithm.allCases { #expect(hash.isAvailable) }
    for curve in EllipticCurve.allCases { #expect(curve.isAvailable) }
    for curve in EdwardsCurve.allCases { #expect(curve.isAvailable) }
    for curve in MontgomeryCurve.allCases { #expect(curve.isAvailable) }
    #expect(MessageAuthenticationKey.isHMACAvailable)
    #expect(MessageAuthenticationKey.isCMACAvailable)
    #expect(AESKey.isAvailable)
    #expect(AESKey.isGCMAvailable)
    #expect(RSAPublicKey.isAvailable)
  }

  @Test("an algorithm that libcrypto has not is unavailable, without a trace in the error queue")
  func unavailable() {
    ERR_clear_error()
    #expect(!FetchedAlgorithm.digest("NO-SUCH-HASH").isAvailable)
    #expect(!FetchedAlgorithm.keyType("NO-SUCH-KEY").isAvailable)
    #expect(ERR_peek_error() == 0)
  }
}
