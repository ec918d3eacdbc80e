// A PKCS#11 token as the benchmark uses it: its life, and its keys. Token keys are private, sensitive and unextractable, as
// they are in production.
#include "bench.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

bool failed(Worker *worker, const char *what, CK_RV rv) {
  switch (rv) {
    case CKR_OK: return false;
    case CKR_MECHANISM_INVALID: snprintf(worker->error, sizeof worker->error, "no such mechanism (%s)", what); break;
    case CKR_FUNCTION_NOT_SUPPORTED: snprintf(worker->error, sizeof worker->error, "no such function (%s)", what); break;
    default: snprintf(worker->error, sizeof worker->error, "%s: 0x%lx", what, rv);
  }
  return true;
}

#define TRY(call, what) \
  if (failed(worker, what, (call))) return false

static bool load(Worker *worker) {
  void *library = dlopen(worker->module, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    snprintf(worker->error, sizeof worker->error, "%s", dlerror());
    return false;
  }
  CK_RV (*list)(CK_FUNCTION_LIST **) = (CK_RV (*)(CK_FUNCTION_LIST **))dlsym(library, "C_GetFunctionList");
  if (!list) {
    snprintf(worker->error, sizeof worker->error, "no C_GetFunctionList");
    return false;
  }
  TRY(list(&worker->p11), "C_GetFunctionList");
  CK_RV (*interface_of)(CK_UTF8CHAR *, CK_VERSION *, CK_INTERFACE **, CK_FLAGS) =
      (CK_RV (*)(CK_UTF8CHAR *, CK_VERSION *, CK_INTERFACE **, CK_FLAGS))dlsym(library, "C_GetInterface");
  CK_INTERFACE *found = NULL;
  CK_VERSION version = {3, 0};
  if (interface_of && interface_of((CK_UTF8CHAR *)CK_STRONGROOM_INTERFACE_NAME, NULL, &found, 0) == CKR_OK)
    worker->strongroom = found->pFunctionList;
  if (interface_of && interface_of((CK_UTF8CHAR *)"PKCS 11", &version, &found, 0) == CKR_OK)
    worker->p11_3 = found->pFunctionList;
  // NSS takes the folder of its database, and the label, by the argument that the standard reserves; a word follows it there.
  struct {
    CK_C_INITIALIZE_ARGS standard;
    void *beyond;
  } arguments;
  memset(&arguments, 0, sizeof arguments);
  arguments.standard.flags = CKF_OS_LOCKING_OK;
  if (strstr(worker->module, "softokn")) arguments.standard.pReserved = getenv("NSS_PARAMETERS");
  TRY(worker->p11->C_Initialize(&arguments), "C_Initialize");
  return true;
}

static bool find_slot(Worker *worker, bool initialise) {
  CK_SLOT_ID slots[64];
  CK_ULONG count = COUNT(slots);
  TRY(worker->p11->C_GetSlotList(CK_TRUE, slots, &count), "C_GetSlotList");
  for (CK_ULONG i = 0; i < count; i++) {
    CK_TOKEN_INFO info;
    if (worker->p11->C_GetTokenInfo(slots[i], &info) != CKR_OK) continue;
    bool ours = strncmp((char *)info.label, TOKEN_LABEL " ", sizeof TOKEN_LABEL) == 0;
    if (initialise ? !(info.flags & CKF_TOKEN_INITIALIZED) : ours) {
      worker->slot = slots[i];
      return true;
    }
  }
  snprintf(worker->error, sizeof worker->error, initialise ? "no uninitialised token" : "no token named " TOKEN_LABEL);
  return false;
}

// With `initialise`, makes the token unless one of that label is there: the script has made those that want other tools.
bool token_open(Worker *worker, bool initialise) {
  if (!load(worker)) return false;
  CK_FUNCTION_LIST *p11 = worker->p11;
  CK_SESSION_HANDLE session;
  if (!find_slot(worker, false)) {
    CK_UTF8CHAR label[32];
    memset(label, ' ', sizeof label);
    memcpy(label, TOKEN_LABEL, strlen(TOKEN_LABEL));
    if (!initialise || !find_slot(worker, true)) return false;
    TRY(p11->C_InitToken(worker->slot, (CK_UTF8CHAR *)OFFICER_PIN, strlen(OFFICER_PIN), label), "C_InitToken");
    if (!find_slot(worker, false)) return false;
    TRY(p11->C_OpenSession(worker->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session), "C_OpenSession");
    TRY(p11->C_Login(session, CKU_SO, (CK_UTF8CHAR *)OFFICER_PIN, strlen(OFFICER_PIN)), "C_Login of the officer");
    TRY(p11->C_InitPIN(session, (CK_UTF8CHAR *)USER_PIN, strlen(USER_PIN)), "C_InitPIN");
    TRY(p11->C_CloseAllSessions(worker->slot), "C_CloseAllSessions");
  }
  TRY(p11->C_OpenSession(worker->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &worker->session),
      "C_OpenSession");
  TRY(p11->C_Login(worker->session, CKU_USER, (CK_UTF8CHAR *)USER_PIN, strlen(USER_PIN)), "C_Login");
  return true;
}

void token_close(Worker *worker) {
  if (worker->p11) worker->p11->C_Finalize(NULL);
  token_forget(worker);
}

void token_forget(Worker *worker) {
  memset(worker->keys, 0, sizeof worker->keys);
  worker->buffer = CK_INVALID_HANDLE;
  worker->message_session = CK_INVALID_HANDLE;
}

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

static const char *const labels[KEY_COUNT] = {"bench-aes128", "bench-aes256",  "bench-hmac",    "bench-p256",
                                              "bench-p384",   "bench-ed25519", "bench-rsa2048", "bench-rsa3072"};

static bool find_key(Worker *worker, CK_OBJECT_CLASS class, const char *label, CK_OBJECT_HANDLE *key) {
  CK_ATTRIBUTE template[] = {
      {CKA_CLASS, &class, sizeof class}, {CKA_TOKEN, &yes, 1}, {CKA_LABEL, (void *)label, strlen(label)}};
  CK_ULONG count = 0;
  if (worker->p11->C_FindObjectsInit(worker->session, template, COUNT(template)) != CKR_OK) return false;
  CK_RV rv = worker->p11->C_FindObjects(worker->session, key, 1, &count);
  worker->p11->C_FindObjectsFinal(worker->session);
  return rv == CKR_OK && count == 1;
}

#define COMMON_ATTRIBUTES                                                                                    \
  {CKA_TOKEN, session_key ? &no : &yes, 1}, {CKA_PRIVATE, &yes, 1}, {CKA_SENSITIVE, &yes, 1}, \
      {CKA_EXTRACTABLE, &no, 1}, {                                                                           \
    CKA_LABEL, (void *)labels[kind], strlen(labels[kind])                                                    \
  }

static bool secret_key(Worker *worker, KeyKind kind, bool session_key, Key *key) {
  bool hmac = kind == KEY_HMAC;
  CK_ULONG bytes = kind == KEY_AES128 ? 16 : 32;
  CK_MECHANISM generate = {hmac ? CKM_GENERIC_SECRET_KEY_GEN : CKM_AES_KEY_GEN, NULL, 0};
  CK_ATTRIBUTE template[] = {
      COMMON_ATTRIBUTES,
      {CKA_VALUE_LEN, &bytes, sizeof bytes},
      {hmac ? CKA_SIGN : CKA_ENCRYPT, &yes, 1},
      {hmac ? CKA_VERIFY : CKA_DECRYPT, &yes, 1},
  };
  TRY(worker->p11->C_GenerateKey(worker->session, &generate, template, COUNT(template), &key->secret), "C_GenerateKey");
  return true;
}

static bool key_pair(Worker *worker, KeyKind kind, bool session_key, CK_MECHANISM_TYPE mechanism, CK_ATTRIBUTE parameter,
                     Key *key) {
  static CK_BYTE exponent[] = {1, 0, 1};
  CK_MECHANISM generate = {mechanism, NULL, 0};
  bool derives = mechanism == CKM_EC_KEY_PAIR_GEN, rsa = mechanism == CKM_RSA_PKCS_KEY_PAIR_GEN;
  CK_ATTRIBUTE public[] = {{CKA_TOKEN, session_key ? &no : &yes, 1},
                           {CKA_VERIFY, &yes, 1},
                           {CKA_LABEL, (void *)labels[kind], strlen(labels[kind])},
                           parameter,
                           {CKA_ENCRYPT, &yes, 1},
                           {CKA_PUBLIC_EXPONENT, exponent, sizeof exponent}};
  CK_ATTRIBUTE private[] = {COMMON_ATTRIBUTES, {CKA_SIGN, &yes, 1}, {CKA_DERIVE, derives ? &yes : &no, 1}};
  TRY(worker->p11->C_GenerateKeyPair(worker->session, &generate, public, COUNT(public) - (rsa ? 0 : 2), private,
                                     COUNT(private), &key->public, &key->secret),
      "C_GenerateKeyPair");
  return true;
}

bool token_key(Worker *worker, KeyKind kind, bool session_key) {
  static CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
  static CK_BYTE p384[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};
  static CK_BYTE ed25519[] = {0x06, 0x03, 0x2b, 0x65, 0x70};
  CK_ULONG bits = kind == KEY_RSA2048 ? 2048 : 3072;
  Key *key = &worker->keys[session_key][kind];
  if (key->secret != CK_INVALID_HANDLE) return true;
  bool paired = kind >= KEY_P256;
  if (!session_key && find_key(worker, paired ? CKO_PRIVATE_KEY : CKO_SECRET_KEY, labels[kind], &key->secret) &&
      (!paired || find_key(worker, CKO_PUBLIC_KEY, labels[kind], &key->public)))
    return true;
  switch (kind) {
    case KEY_AES128:
    case KEY_AES256:
    case KEY_HMAC: return secret_key(worker, kind, session_key, key);
    case KEY_P256:
      return key_pair(worker, kind, session_key, CKM_EC_KEY_PAIR_GEN, (CK_ATTRIBUTE){CKA_EC_PARAMS, p256, sizeof p256}, key);
    case KEY_P384:
      return key_pair(worker, kind, session_key, CKM_EC_KEY_PAIR_GEN, (CK_ATTRIBUTE){CKA_EC_PARAMS, p384, sizeof p384}, key);
    case KEY_ED25519:
      return key_pair(worker, kind, session_key, CKM_EC_EDWARDS_KEY_PAIR_GEN,
                      (CK_ATTRIBUTE){CKA_EC_PARAMS, ed25519, sizeof ed25519}, key);
    case KEY_RSA2048:
    case KEY_RSA3072:
      return key_pair(worker, kind, session_key, CKM_RSA_PKCS_KEY_PAIR_GEN,
                      (CK_ATTRIBUTE){CKA_MODULUS_BITS, &bits, sizeof bits}, key);
    case KEY_COUNT: break;
  }
  return false;
}
