import COpenSSL
import Synchronization

/// The one libcrypto context of this process that is ours.
///
/// It has its own providers and random generators and takes nothing from a configuration file. It lives as long as the
/// process.
///
/// libcrypto 3.0 looks for an ENGINE whenever a digest, cipher or random generator starts, in whatever context, and
/// before the first look loads the configuration file, into the default context only. A process of ours forbids that
/// with `refuseConfigurationFile`. In a host application it would keep the host from its own configuration, so there
/// `loadHostConfiguration` brings it forward to a moment when being called again by what it loads does no harm.
public final class LibraryContext: Sendable {
  public static let shared = LibraryContext()

  // libcrypto locks its contexts itself; the pointer never changes.
  private nonisolated(unsafe) let context: OpaquePointer?

  private init() {
    context = try? preservingErrorQueue { () throws(CryptoError) in
      let context = try check(OSSL_LIB_CTX_new(), "OSSL_LIB_CTX_new")
      guard OSSL_PROVIDER_load(context, "default") != nil else {
        let error = CryptoError.fromQueue("OSSL_PROVIDER_load")
        OSSL_LIB_CTX_free(context)
        throw error
      }
      return context
    }
  }

  /// The libcrypto that serves this process, in its own words: "OpenSSL 3.0.22 25 Aug 2026".
  public static var version: String { OpenSSL_version(OPENSSL_VERSION).map { String(cString: $0) } ?? "unknown" }

  /// Keeps this process from ever reading a libcrypto configuration file. For processes of our own, at their start.
  public static func refuseConfigurationFile() {
    OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_LOAD_CONFIG), nil)
  }

  /// Has libcrypto load the host's configuration into the host's context, as the host's own first use would have, if
  /// that has not happened.
  ///
  /// The configuration may load a PKCS #11 engine or provider that calls into us again on this thread: call it before
  /// anything else here, and with no lock held that such a call needs.
  public static func loadHostConfiguration() {
    ERR_set_mark()
    OPENSSL_init_crypto(UInt64(OPENSSL_INIT_LOAD_CONFIG), nil)
    ERR_pop_to_mark()
  }

  /// The context; NULL would mean the host's default context, so its absence is an error.
  var pointer: OpaquePointer {
    get throws(CryptoError) {
      guard let context else { throw CryptoError(.libraryFailure, in: "OSSL_LIB_CTX_new") }
      return context
    }
  }
}

/// An algorithm fetched from the private context at its first use and kept from then on.
final class FetchedAlgorithm: Sendable {
  typealias Fetch = @Sendable (_ context: OpaquePointer, _ name: UnsafePointer<CChar>) -> OpaquePointer?

  let name: String
  private let fetch: Fetch
  private let release: @Sendable (OpaquePointer) -> Void
  /// The pointer's bits, 0 before the first use.
  private let kept = Atomic<UInt>(0)

  private init(_ name: String, fetch: @escaping Fetch, release: @escaping @Sendable (OpaquePointer) -> Void) {
    self.name = name
    self.fetch = fetch
    self.release = release
  }

  static func cipher(_ name: String) -> FetchedAlgorithm {
    FetchedAlgorithm(name, fetch: { EVP_CIPHER_fetch($0, $1, nil) }, release: { EVP_CIPHER_free($0) })
  }

  static func digest(_ name: String) -> FetchedAlgorithm {
    FetchedAlgorithm(name, fetch: { EVP_MD_fetch($0, $1, nil) }, release: { EVP_MD_free($0) })
  }

  static func authentication(_ name: String) -> FetchedAlgorithm {
    FetchedAlgorithm(name, fetch: { EVP_MAC_fetch($0, $1, nil) }, release: { EVP_MAC_free($0) })
  }

  /// An asymmetric key type.
  static func keyType(_ name: String) -> FetchedAlgorithm {
    FetchedAlgorithm(name, fetch: { EVP_KEYMGMT_fetch($0, $1, nil) }, release: { EVP_KEYMGMT_free($0) })
  }

  static func derivation(_ name: String) -> FetchedAlgorithm {
    FetchedAlgorithm(name, fetch: { EVP_KDF_fetch($0, $1, nil) }, release: { EVP_KDF_free($0) })
  }

  /// The EVP object. Throws `.unsupported` where this libcrypto has no such algorithm.
  var pointer: OpaquePointer {
    get throws(CryptoError) {
      if let pointer = OpaquePointer(bitPattern: kept.load(ordering: .acquiring)) { return pointer }
      return try fetchOnce()
    }
  }

  var isAvailable: Bool { (try? pointer) != nil }

  private func fetchOnce() throws(CryptoError) -> OpaquePointer {
    let context = try LibraryContext.shared.pointer
    let fetched = try preservingErrorQueue { () throws(CryptoError) in
      try check(fetch(context, name), "fetch of \(name)", .unsupported)
    }
    let (exchanged, winner) = kept.compareExchange(
      expected: 0, desired: UInt(bitPattern: fetched), ordering: .acquiringAndReleasing)
    guard !exchanged, let winner = OpaquePointer(bitPattern: winner) else { return fetched }
    release(fetched)  // another thread fetched it meanwhile
    return winner
  }
}
