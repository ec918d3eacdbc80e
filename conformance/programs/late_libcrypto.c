// flags: -rdynamic
// A host that has no libcrypto, but functions of its own with names from it: the module loads libcrypto when a digest is
// asked for and not before, and uses libcrypto's functions and not the host's.
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11.h"

static bool failed;

static void check(bool holds, const char *claim) {
  printf("%s - late_libcrypto: %s\n", holds ? "ok" : "not ok", claim);
  failed |= !holds;
}

static void need(CK_RV rv, const char *what) {
  if (rv == CKR_OK) return;
  printf("not ok - late_libcrypto: %s answers 0x%lx\n", what, rv);
  exit(1);
}
#define NEED(call) need(call, #call)

// The host's own, which the loader would prefer to libcrypto's.
static unsigned calls;
int EVP_DigestInit_ex2(void *context, const void *type, const void *parameters);
int EVP_DigestInit_ex2(void *context, const void *type, const void *parameters) {
  (void)context, (void)type, (void)parameters;
  calls++;
  return 0;
}
void *EVP_MD_fetch(void *context, const char *algorithm, const char *properties);
void *EVP_MD_fetch(void *context, const char *algorithm, const char *properties) {
  (void)context, (void)algorithm, (void)properties;
  calls++;
  return NULL;
}

static bool is_loaded(void) {
  void *library = dlopen("libcrypto.so.3", RTLD_LAZY | RTLD_NOLOAD);
  if (library) dlclose(library);
  return library != NULL;
}

int main(int count, char **arguments) {
  void *module = count > 1 ? dlopen(arguments[1], RTLD_NOW) : NULL;
  CK_C_GetFunctionList get_list = NULL;
  if (module) *(void **)&get_list = dlsym(module, "C_GetFunctionList");
  const char *pin = getenv("PIN");
  if (!get_list || !pin) return 2;
  check(!is_loaded(), "loading the module loads no libcrypto");

  CK_FUNCTION_LIST *p11;
  CK_SLOT_ID slot;
  CK_ULONG slots = 1;
  CK_SESSION_HANDLE session;
  NEED(get_list(&p11));
  NEED(p11->C_Initialize(NULL));
  NEED(p11->C_GetSlotList(CK_TRUE, &slot, &slots));
  NEED(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
  NEED(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin)));

  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  CK_ULONG bytes = 32;
  CK_ATTRIBUTE template[] = {
      {CKA_TOKEN, &no, 1}, {CKA_VALUE_LEN, &bytes, sizeof bytes}, {CKA_SIGN, &yes, 1}, {CKA_VERIFY, &yes, 1}};
  CK_MECHANISM generate = {CKM_GENERIC_SECRET_KEY_GEN, NULL, 0}, hmac = {CKM_SHA256_HMAC, NULL, 0};
  CK_OBJECT_HANDLE key;
  CK_BYTE data[3] = "abc", mac[32];
  CK_ULONG length = sizeof mac;
  NEED(p11->C_GenerateKey(session, &generate, template, 4, &key));
  NEED(p11->C_SignInit(session, &hmac, key));
  NEED(p11->C_Sign(session, data, sizeof data, mac, &length));
  NEED(p11->C_VerifyInit(session, &hmac, key));
  NEED(p11->C_Verify(session, data, sizeof data, mac, length));
  check(!is_loaded(), "nor does work with the token's keys");

  // FIPS 180-4, the example of one block.
  static const CK_BYTE expected[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                       0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                       0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
  CK_MECHANISM sha256 = {CKM_SHA256, NULL, 0};
  length = sizeof mac;
  NEED(p11->C_DigestInit(session, &sha256));
  NEED(p11->C_Digest(session, data, sizeof data, mac, &length));
  check(is_loaded(), "a digest does");
  check(length == sizeof expected && memcmp(mac, expected, sizeof expected) == 0, "and is right");
  check(calls == 0, "the host's functions of the same names are not called");
  NEED(p11->C_Finalize(NULL));
  return failed;
}
