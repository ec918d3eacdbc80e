import CryptoCore
import Cryptoki
import Glibc
import Synchronization

/// libcrypto in the host's process, for what is computed here: digests, and operations with public keys.
///
/// It is loaded when it is first used (`CLateLibcrypto`). A host that asks for nothing but operations with the token's
/// keys never has it because of us.
enum HostCryptography {
  private static let name = "libcrypto.so.3"
  private static let isReady = Atomic<Bool>(false)

  /// At C_Initialize: where the host has libcrypto, it is made ready at once, with no lock held.
  static func prepareIfLoaded() {
    guard let loaded = dlopen(name, RTLD_LAZY | RTLD_NOLOAD) else { return }
    dlclose(loaded)
    try? prepare()
  }

  /// Before the first use of libcrypto. Throws CKR_FUNCTION_FAILED where there is none.
  ///
  /// The host's configuration is loaded with it, as the host's own first use would. It may name a PKCS #11 engine or
  /// provider that calls into this module again on this thread: no lock but the calling session's may be held, and
  /// that session's handle nobody else knows.
  static func prepare() throws(ReturnValue) {
    if isReady.load(ordering: .acquiring) { return }
    // Kept for good: `CLateLibcrypto` has the addresses of its functions.
    guard dlopen(name, RTLD_NOW | RTLD_LOCAL) != nil else { throw .functionFailed }
    LibraryContext.loadHostConfiguration()
    isReady.store(true, ordering: .releasing)
  }
}
