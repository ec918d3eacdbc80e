#pragma once
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/obj_mac.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

// What Swift cannot import: function-like macros and variadic functions. No logic.

// Macros over other macros, which the importer leaves out.
static const int strongroom_pkey_public = EVP_PKEY_PUBLIC_KEY;
static const int strongroom_pkey_pair = EVP_PKEY_KEYPAIR;

// A new memfd_secret descriptor, closed on exec, or -1 with errno (ENOSYS where the kernel has none or it is disabled).
static inline int strongroom_memfd_secret(void) {
#ifdef SYS_memfd_secret
  return (int)syscall(SYS_memfd_secret, O_CLOEXEC);
#else
  return (int)syscall(447, O_CLOEXEC);
#endif
}
