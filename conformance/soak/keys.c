// Items: signatures, key agreement, generation, wrapping.
#include <string.h>

#include "soak.h"

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};

static bool attribute(Thread *thread, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, CK_BYTE *value, size_t room,
                      size_t *length) {
  CK_ATTRIBUTE template = {type, value, room};
  DO(C_GetAttributeValue, thread->session, object, &template, 1);
  *length = template.ulValueLen;
  return true;
}

static bool sign(Thread *thread, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, CK_BYTE *input, size_t length,
                 CK_BYTE *signature, CK_ULONG *count) {
  DO(C_SignInit, thread->session, mechanism, key);
  DO(C_Sign, thread->session, input, length, signature, count);
  return true;
}

// By the module as well, which does it here, and then with one bit wrong.
static bool verify(Thread *thread, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, CK_BYTE *input, size_t length,
                   CK_BYTE *signature, CK_ULONG count) {
  DO(C_VerifyInit, thread->session, mechanism, key);
  DO(C_Verify, thread->session, input, length, signature, count);
  signature[count / 2] ^= 1;
  DO(C_VerifyInit, thread->session, mechanism, key);
  WANT(CKR_SIGNATURE_INVALID, C_Verify, thread->session, input, length, signature, count);
  return true;
}

bool ecdsa(Thread *thread) {
  CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
  CK_BYTE digest[32], point[100], signature[64];
  size_t point_length;
  CK_ULONG count = sizeof signature;
  fill(thread, digest, sizeof digest);
  if (!attribute(thread, thread->shared_public[SHARED_P256], CKA_EC_POINT, point, sizeof point, &point_length)) return false;
  if (!sign(thread, &mechanism, thread->shared[SHARED_P256], digest, sizeof digest, signature, &count)) return false;
  CHECK(count == 64 && reference_verify_ecdsa(point, point_length, digest, signature), "libcrypto verifies the signature");
  return verify(thread, &mechanism, thread->shared_public[SHARED_P256], digest, sizeof digest, signature, count);
}

bool ed25519(Thread *thread) {
  CK_MECHANISM mechanism = {CKM_EDDSA, NULL, 0};
  CK_BYTE point[100], signature[64];
  size_t point_length, length = below(thread, 3000);
  CK_ULONG count = sizeof signature;
  fill(thread, thread->input, length);
  if (!attribute(thread, thread->shared_public[SHARED_ED25519], CKA_EC_POINT, point, sizeof point, &point_length)) return false;
  if (!sign(thread, &mechanism, thread->shared[SHARED_ED25519], thread->input, length, signature, &count)) return false;
  CHECK(count == 64 && reference_verify_ed25519(point, point_length, thread->input, length, signature),
        "libcrypto verifies the signature");
  return verify(thread, &mechanism, thread->shared_public[SHARED_ED25519], thread->input, length, signature, count);
}

bool rsa(Thread *thread) {
  CK_RSA_PKCS_PSS_PARAMS pss = {CKM_SHA256, CKG_MGF1_SHA256, 32};
  CK_RSA_PKCS_OAEP_PARAMS oaep = {CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, NULL, 0};
  CK_OBJECT_HANDLE key = thread->shared[SHARED_RSA], public_key = thread->shared_public[SHARED_RSA];
  if (below(thread, 2)) {
    bool with_pss = below(thread, 2);
    CK_MECHANISM mechanism = {CKM_SHA256_RSA_PKCS, NULL, 0};
    if (with_pss) mechanism = (CK_MECHANISM){CKM_SHA256_RSA_PKCS_PSS, &pss, sizeof pss};
    CK_BYTE modulus[512], exponent[16], signature[512];
    size_t modulus_length, exponent_length, length = any_length(thread);
    CK_ULONG count = sizeof signature;
    fill(thread, thread->input, length);
    if (!attribute(thread, public_key, CKA_MODULUS, modulus, sizeof modulus, &modulus_length)) return false;
    if (!attribute(thread, public_key, CKA_PUBLIC_EXPONENT, exponent, sizeof exponent, &exponent_length)) return false;
    if (!sign(thread, &mechanism, key, thread->input, length, signature, &count)) return false;
    CHECK(reference_verify_rsa(modulus, modulus_length, exponent, exponent_length, with_pss, thread->input, length, signature,
                               count),
          "libcrypto verifies the signature");
    return verify(thread, &mechanism, public_key, thread->input, length, signature, count);
  }
  CK_MECHANISM mechanism = {CKM_RSA_PKCS_OAEP, &oaep, sizeof oaep};
  CK_BYTE secret[100], encrypted[512], back[512];
  CK_ULONG count = sizeof encrypted, length = sizeof back;
  fill(thread, secret, sizeof secret);
  DO(C_EncryptInit, thread->session, &mechanism, public_key);
  DO(C_Encrypt, thread->session, secret, sizeof secret, encrypted, &count);
  DO(C_DecryptInit, thread->session, &mechanism, key);
  DO(C_Decrypt, thread->session, encrypted, count, back, &length);
  CHECK(length == sizeof secret && memcmp(back, secret, length) == 0, "what was encrypted for the key comes back");
  return true;
}

static bool pair(Thread *thread, CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key) {
  CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
  CK_ATTRIBUTE public_template[] = {{CKA_EC_PARAMS, p256, sizeof p256}, {CKA_TOKEN, &no, 1}};
  CK_ATTRIBUTE private_template[] = {{CKA_TOKEN, &no, 1}, {CKA_SIGN, &yes, 1}, {CKA_DERIVE, &yes, 1}};
  DO(C_GenerateKeyPair, thread->session, &mechanism, public_template, COUNT(public_template), private_template,
     COUNT(private_template), public_key, private_key);
  return true;
}

static bool derive(Thread *thread, CK_OBJECT_HANDLE key, CK_OBJECT_HANDLE peer, CK_OBJECT_HANDLE *secret) {
  CK_BYTE point[100];
  size_t length;
  if (!attribute(thread, peer, CKA_EC_POINT, point, sizeof point, &length)) return false;
  CK_ECDH1_DERIVE_PARAMS parameters = {CKD_NULL, 0, NULL, length, point};
  CK_MECHANISM mechanism = {CKM_ECDH1_DERIVE, &parameters, sizeof parameters};
  CK_OBJECT_CLASS class = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_AES;
  CK_ULONG key_length = 32;
  CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
                             {CKA_VALUE_LEN, &key_length, sizeof key_length}, {CKA_TOKEN, &no, 1}, {CKA_SIGN, &yes, 1}};
  DO(C_DeriveKey, thread->session, &mechanism, key, template, COUNT(template), secret);
  return true;
}

static bool code_of(Thread *thread, CK_OBJECT_HANDLE key, CK_BYTE code[16]) {
  CK_MECHANISM mechanism = {CKM_AES_CMAC, NULL, 0};
  CK_ULONG count = 16;
  return sign(thread, &mechanism, key, (CK_BYTE *)"the same text", 13, code, &count);
}

// A fresh pair and the token's agree on a key that neither shows.
bool agreement(Thread *thread) {
  CK_OBJECT_HANDLE public_key, private_key, one, other;
  CK_BYTE code[16], again[16];
  if (!pair(thread, &public_key, &private_key)) return false;
  if (!derive(thread, private_key, thread->shared_public[SHARED_P256], &one)) return false;
  if (!derive(thread, thread->shared[SHARED_P256], public_key, &other)) return false;
  if (!code_of(thread, one, code) || !code_of(thread, other, again)) return false;
  CHECK(memcmp(code, again, 16) == 0, "both sides derive the same key");
  CK_OBJECT_HANDLE made[] = {public_key, private_key, one, other};
  for (size_t i = 0; i < COUNT(made); i++) DO(C_DestroyObject, thread->session, made[i]);
  return true;
}

bool generates(Thread *thread) {
  if (below(thread, 2)) {
    CK_OBJECT_HANDLE public_key, private_key;
    CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
    CK_BYTE digest[32] = {1}, signature[64];
    CK_ULONG count = sizeof signature;
    if (!pair(thread, &public_key, &private_key)) return false;
    if (!sign(thread, &mechanism, private_key, digest, sizeof digest, signature, &count)) return false;
    DO(C_VerifyInit, thread->session, &mechanism, public_key);
    DO(C_Verify, thread->session, digest, sizeof digest, signature, count);
    DO(C_DestroyObject, thread->session, private_key);
    if (below(thread, 4)) DO(C_DestroyObject, thread->session, public_key);  // else it goes with the session
    return true;
  }
  CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
  CK_ULONG length = 16 + 8 * below(thread, 3);
  CK_ATTRIBUTE template[] = {{CKA_VALUE_LEN, &length, sizeof length}, {CKA_TOKEN, &no, 1}};
  CK_OBJECT_HANDLE keys[2];
  CK_BYTE code[16], again[16];
  for (int i = 0; i < 2; i++) DO(C_GenerateKey, thread->session, &mechanism, template, COUNT(template), &keys[i]);
  if (!code_of(thread, keys[0], code) || !code_of(thread, keys[1], again)) return false;
  CHECK(memcmp(code, again, 16) != 0, "two generated keys differ");
  for (int i = 0; i < 2; i++) DO(C_DestroyObject, thread->session, keys[i]);
  return true;
}

bool generates_rsa(Thread *thread) {
  CK_MECHANISM generate = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0}, mechanism = {CKM_SHA256_RSA_PKCS, NULL, 0};
  CK_ULONG bits = 2048, count = 256;
  CK_ATTRIBUTE public_template[] = {{CKA_MODULUS_BITS, &bits, sizeof bits}, {CKA_TOKEN, &no, 1}};
  CK_ATTRIBUTE private_template[] = {{CKA_TOKEN, &no, 1}, {CKA_SIGN, &yes, 1}};
  CK_OBJECT_HANDLE public_key, private_key;
  CK_BYTE signature[256];
  DO(C_GenerateKeyPair, thread->session, &generate, public_template, COUNT(public_template), private_template,
     COUNT(private_template), &public_key, &private_key);
  if (!sign(thread, &mechanism, private_key, thread->input, 100, signature, &count)) return false;
  if (!verify(thread, &mechanism, public_key, thread->input, 100, signature, count)) return false;
  DO(C_DestroyObject, thread->session, public_key);
  DO(C_DestroyObject, thread->session, private_key);
  return true;
}

bool session_key(Thread *thread, const CK_BYTE *value, size_t length, CK_OBJECT_HANDLE *key) {
  CK_OBJECT_CLASS class = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_AES;
  CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
                             {CKA_VALUE, (void *)value, length}, {CKA_TOKEN, &no, 1},
                             {CKA_EXTRACTABLE, &yes, 1},         {CKA_WRAP, &yes, 1},
                             {CKA_UNWRAP, &yes, 1},              {CKA_LABEL, "session key", 11}};
  DO(C_CreateObject, thread->session, template, COUNT(template), key);
  return true;
}

// A key out of the token under another and back in, and it is the same key.
bool wraps(Thread *thread) {
  static const CK_MECHANISM_TYPE types[] = {CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP_KWP, CKM_AES_CBC_PAD};
  CK_BYTE wrapping[32], value[32], wrapped[100], wanted[16], code[16], iv[16] = {0};
  CK_ULONG count = sizeof wrapped;
  CK_OBJECT_HANDLE wrapper, key, back;
  fill(thread, wrapping, sizeof wrapping);
  fill(thread, value, sizeof value);
  CK_MECHANISM mechanism = {types[below(thread, COUNT(types))], NULL, 0};
  if (mechanism.mechanism == CKM_AES_CBC_PAD) mechanism.pParameter = iv, mechanism.ulParameterLen = sizeof iv;
  if (!session_key(thread, wrapping, 32, &wrapper) || !session_key(thread, value, 32, &key)) return false;
  DO(C_WrapKey, thread->session, &mechanism, wrapper, key, wrapped, &count);
  CK_OBJECT_CLASS class = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_AES;
  CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type}, {CKA_TOKEN, &no, 1},
                             {CKA_SIGN, &yes, 1}};
  DO(C_UnwrapKey, thread->session, &mechanism, wrapper, wrapped, count, template, COUNT(template), &back);
  reference_cmac(value, 32, "the same text", 13, wanted);
  if (!code_of(thread, back, code)) return false;
  CHECK(memcmp(code, wanted, 16) == 0, "the unwrapped key is the one that was wrapped");
  if (mechanism.mechanism != CKM_AES_CBC_PAD) {
    wrapped[count / 2] ^= 1;
    CK_OBJECT_HANDLE none;
    WANT(CKR_WRAPPED_KEY_INVALID, C_UnwrapKey, thread->session, &mechanism, wrapper, wrapped, count, template,
         COUNT(template), &none);
  }
  CK_OBJECT_HANDLE made[] = {wrapper, key, back};
  for (size_t i = 0; i < COUNT(made); i++) DO(C_DestroyObject, thread->session, made[i]);
  return true;
}
