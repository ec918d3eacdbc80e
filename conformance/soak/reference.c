#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <string.h>

#include "soak.h"

// libcrypto has locks, and a fork while another thread holds one leaves it held in the child for ever. The worker is an
// application that forks with threads, so it does what such an application has to: it forks between uses.
static pthread_rwlock_t libcrypto_in_use = PTHREAD_RWLOCK_INITIALIZER;

static void before_fork(void) { pthread_rwlock_wrlock(&libcrypto_in_use); }
static void after_fork(void) { pthread_rwlock_unlock(&libcrypto_in_use); }
// A new one: the old one counts waiting threads that the child does not have.
static void in_child(void) { pthread_rwlock_init(&libcrypto_in_use, NULL); }
__attribute__((constructor)) static void guard_forks(void) { pthread_atfork(before_fork, after_fork, in_child); }

static void leave(pthread_rwlock_t **lock) { pthread_rwlock_unlock(*lock); }
#define USES_LIBCRYPTO \
  __attribute__((cleanup(leave))) pthread_rwlock_t *guard = &libcrypto_in_use; \
  pthread_rwlock_rdlock(guard)

size_t reference_encrypt(Cipher cipher, const CK_BYTE *key, size_t key_length, const CK_BYTE *iv, const CK_BYTE *aad,
                         size_t aad_length, const CK_BYTE *input, size_t length, CK_BYTE *output) {
  USES_LIBCRYPTO;
  const EVP_CIPHER *by_length[5][3] = {
      {EVP_aes_128_ecb(), EVP_aes_192_ecb(), EVP_aes_256_ecb()}, {EVP_aes_128_cbc(), EVP_aes_192_cbc(), EVP_aes_256_cbc()},
      {EVP_aes_128_cbc(), EVP_aes_192_cbc(), EVP_aes_256_cbc()}, {EVP_aes_128_ctr(), EVP_aes_192_ctr(), EVP_aes_256_ctr()},
      {EVP_aes_128_gcm(), EVP_aes_192_gcm(), EVP_aes_256_gcm()},
  };
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  int count = 0, more = 0;
  EVP_EncryptInit_ex(context, by_length[cipher][key_length / 8 - 2], NULL, key, iv);
  EVP_CIPHER_CTX_set_padding(context, cipher == CIPHER_CBC_PAD);
  if (cipher == CIPHER_GCM && aad_length) EVP_EncryptUpdate(context, NULL, &count, aad, (int)aad_length);
  count = 0;
  if (length) EVP_EncryptUpdate(context, output, &count, input, (int)length);
  EVP_EncryptFinal_ex(context, output + count, &more);
  size_t total = (size_t)count + (size_t)more;
  if (cipher == CIPHER_GCM) {
    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, 16, output + total);
    total += 16;
  }
  EVP_CIPHER_CTX_free(context);
  return total;
}

size_t reference_digest(const char *name, const void *input, size_t length, CK_BYTE *output) {
  USES_LIBCRYPTO;
  size_t count = 0;
  EVP_Q_digest(NULL, name, NULL, input, length, output, &count);
  return count;
}

void reference_cmac(const CK_BYTE *key, size_t key_length, const void *input, size_t length, CK_BYTE output[16]) {
  USES_LIBCRYPTO;
  size_t count = 0;
  EVP_Q_mac(NULL, "CMAC", NULL, key_length == 16 ? "AES-128-CBC" : "AES-256-CBC", NULL, key, key_length, input, length,
            output, 16, &count);
}

void reference_hmac(const char *digest, const CK_BYTE *key, size_t key_length, const void *input, size_t length,
                    CK_BYTE *output) {
  USES_LIBCRYPTO;
  size_t count = 0;
  EVP_Q_mac(NULL, "HMAC", NULL, digest, NULL, key, key_length, input, length, output, 64, &count);
}

// CKA_EC_POINT is an OCTET STRING around the point.
static EVP_PKEY *ec_key(const CK_BYTE *point, size_t length) {
  OSSL_PARAM parameters[] = {OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0),
                             OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(point + 2), length - 2), OSSL_PARAM_END};
  EVP_PKEY *key = NULL;
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
  if (length > 2 && EVP_PKEY_fromdata_init(context) == 1)
    EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters);
  EVP_PKEY_CTX_free(context);
  return key;
}

bool reference_verify_ecdsa(const CK_BYTE *point, size_t point_length, const CK_BYTE digest[32], const CK_BYTE signature[64]) {
  USES_LIBCRYPTO;
  EVP_PKEY *key = ec_key(point, point_length);
  ECDSA_SIG *pair = ECDSA_SIG_new();
  ECDSA_SIG_set0(pair, BN_bin2bn(signature, 32, NULL), BN_bin2bn(signature + 32, 32, NULL));
  CK_BYTE encoded[80], *end = encoded;
  int length = i2d_ECDSA_SIG(pair, &end);
  EVP_PKEY_CTX *context = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
  bool good = context && EVP_PKEY_verify_init(context) == 1 && EVP_PKEY_verify(context, encoded, (size_t)length, digest, 32) == 1;
  EVP_PKEY_CTX_free(context);
  ECDSA_SIG_free(pair);
  EVP_PKEY_free(key);
  return good;
}

bool reference_verify_ed25519(const CK_BYTE *point, size_t point_length, const void *input, size_t length,
                              const CK_BYTE signature[64]) {
  USES_LIBCRYPTO;
  // An OCTET STRING, or the 32 bytes as they are.
  if (point_length == 34) point += 2, point_length -= 2;
  EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, point, point_length);
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  bool good = key && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
              EVP_DigestVerify(context, signature, 64, input, length) == 1;
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(key);
  return good;
}

bool reference_verify_rsa(const CK_BYTE *modulus, size_t modulus_length, const CK_BYTE *exponent, size_t exponent_length,
                          bool pss, const void *input, size_t length, const CK_BYTE *signature, size_t signature_length) {
  USES_LIBCRYPTO;
  BIGNUM *n = BN_bin2bn(modulus, (int)modulus_length, NULL), *e = BN_bin2bn(exponent, (int)exponent_length, NULL);
  OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
  OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n);
  OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e);
  OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
  EVP_PKEY *key = NULL;
  EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
  if (EVP_PKEY_fromdata_init(maker) == 1) EVP_PKEY_fromdata(maker, &key, EVP_PKEY_PUBLIC_KEY, parameters);
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  EVP_PKEY_CTX *setting = NULL;
  bool good = key && EVP_DigestVerifyInit(context, &setting, EVP_sha256(), NULL, key) == 1;
  if (good && pss)
    good = EVP_PKEY_CTX_set_rsa_padding(setting, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(setting, 32) == 1;
  good = good && EVP_DigestVerify(context, signature, signature_length, input, length) == 1;
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(key);
  EVP_PKEY_CTX_free(maker);
  OSSL_PARAM_free(parameters);
  OSSL_PARAM_BLD_free(builder);
  BN_free(n);
  BN_free(e);
  return good;
}

void value_of(const char *name, CK_BYTE value[32]) { reference_digest("SHA256", name, strlen(name), value); }
