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
#include <openssl/param_build.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

// What Swift cannot import: function-like macros and variadic functions. No logic.

static inline void strongroom_free(void *pointer) { OPENSSL_free(pointer); }
// Macros over other macros, which the importer leaves out.
static const int strongroom_pkey_public = EVP_PKEY_PUBLIC_KEY;
static const int strongroom_pkey_pair = EVP_PKEY_KEYPAIR;

static inline int strongroom_error_reason(unsigned long code) { return ERR_GET_REASON(code); }
static inline int strongroom_error_library(unsigned long code) { return ERR_GET_LIB(code); }

// A new memfd_secret descriptor, closed on exec, or -1 with errno (ENOSYS where the kernel has none or it is disabled).
static inline int strongroom_memfd_secret(void) {
#ifdef SYS_memfd_secret
  return (int)syscall(SYS_memfd_secret, O_CLOEXEC);
#else
  return (int)syscall(447, O_CLOEXEC);
#endif
}
