// A PKCS#11 token as the benchmark uses it: its life, and its keys. Keys are token objects, private, sensitive and
// unextractable, as they are in production.
#include "bench.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

bool failed(Worker *worker, const char *what, CK_RV rv) {
  if (rv == CKR_OK) return false;
  snprintf(worker->error, sizeof worker->error, "%s: 0x%lx", what, rv);
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
  if (interface_of && interface_of((CK_UTF8CHAR *)CK_STRONGROOM_INTERFACE_NAME, NULL, &found, 0) == CKR_OK)
    worker->strongroom = found->pFunctionList;
  CK_C_INITIALIZE_ARGS arguments;
  memset(&arguments, 0, sizeof arguments);
  arguments.flags = CKF_OS_LOCKING_OK;
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

bool token_open(Worker *worker, bool initialise) {
  if (!load(worker)) return false;
  CK_FUNCTION_LIST *p11 = worker->p11;
  CK_SESSION_HANDLE session;
  if (initialise) {
    CK_UTF8CHAR label[32];
    memset(label, ' ', sizeof label);
    memcpy(label, TOKEN_LABEL, strlen(TOKEN_LABEL));
    if (!find_slot(worker, true)) return false;
    TRY(p11->C_InitToken(worker->slot, (CK_UTF8CHAR *)OFFICER_PIN, strlen(OFFICER_PIN), label), "C_InitToken");
    if (!find_slot(worker, false)) return false;
    TRY(p11->C_OpenSession(worker->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session), "C_OpenSession");
    TRY(p11->C_Login(session, CKU_SO, (CK_UTF8CHAR *)OFFICER_PIN, strlen(OFFICER_PIN)), "C_Login of the officer");
    TRY(p11->C_InitPIN(session, (CK_UTF8CHAR *)USER_PIN, strlen(USER_PIN)), "C_InitPIN");
    TRY(p11->C_CloseAllSessions(worker->slot), "C_CloseAllSessions");
  } else if (!find_slot(worker, false)) {
    return false;
  }
  TRY(p11->C_OpenSession(worker->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &worker->session),
      "C_OpenSession");
  TRY(p11->C_Login(worker->session, CKU_USER, (CK_UTF8CHAR *)USER_PIN, strlen(USER_PIN)), "C_Login");
  return true;
}

void token_close(Worker *worker) {
  if (worker->p11) worker->p11->C_Finalize(NULL);
}

int token_start_once(const char *module) {
  Worker worker = {.name = "start", .module = module};
  uint64_t start = monotonic_nanoseconds();
  bool good = token_open(&worker, false);
  uint64_t end = monotonic_nanoseconds();
  if (!good) {
    fprintf(stderr, "%s\n", worker.error);
    return 1;
  }
  printf("%llu\n", (unsigned long long)(end - start));
  fflush(stdout);
  token_close(&worker);
  return 0;
}

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

#define PRIVATE_TOKEN_KEY \
  {CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &yes, 1}, {CKA_SENSITIVE, &yes, 1}, { CKA_EXTRACTABLE, &no, 1 }

static bool secret_key(Worker *worker, CK_MECHANISM_TYPE mechanism, CK_ULONG bytes, CK_OBJECT_HANDLE *key) {
  CK_MECHANISM generate = {mechanism, NULL, 0};
  bool hmac = mechanism == CKM_GENERIC_SECRET_KEY_GEN;
  CK_ATTRIBUTE template[] = {
      PRIVATE_TOKEN_KEY,
      {CKA_VALUE_LEN, &bytes, sizeof bytes},
      {hmac ? CKA_SIGN : CKA_ENCRYPT, &yes, 1},
      {hmac ? CKA_VERIFY : CKA_DECRYPT, &yes, 1},
  };
  TRY(worker->p11->C_GenerateKey(worker->session, &generate, template, COUNT(template), key), "C_GenerateKey");
  return true;
}

static bool key_pair(Worker *worker, CK_MECHANISM_TYPE mechanism, CK_ATTRIBUTE parameter, CK_OBJECT_HANDLE *key) {
  CK_MECHANISM generate = {mechanism, NULL, 0};
  bool derives = mechanism == CKM_EC_KEY_PAIR_GEN;
  CK_ATTRIBUTE public[] = {{CKA_TOKEN, &yes, 1}, {CKA_VERIFY, &yes, 1}, parameter};
  CK_ATTRIBUTE private[] = {PRIVATE_TOKEN_KEY, {CKA_SIGN, &yes, 1}, {CKA_DERIVE, derives ? &yes : &no, 1}};
  CK_OBJECT_HANDLE verifier;
  TRY(worker->p11->C_GenerateKeyPair(worker->session, &generate, public, COUNT(public), private, COUNT(private),
                                     &verifier, key),
      "C_GenerateKeyPair");
  return true;
}

bool token_key(Worker *worker, KeyKind kind) {
  static CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
  static CK_BYTE ed25519[] = {0x06, 0x03, 0x2b, 0x65, 0x70};
  static CK_ULONG bits = 2048;
  CK_OBJECT_HANDLE *key = &worker->keys[kind];
  if (*key != CK_INVALID_HANDLE) return true;
  switch (kind) {
    case KEY_AES128: return secret_key(worker, CKM_AES_KEY_GEN, 16, key);
    case KEY_AES256: return secret_key(worker, CKM_AES_KEY_GEN, 32, key);
    case KEY_HMAC: return secret_key(worker, CKM_GENERIC_SECRET_KEY_GEN, 32, key);
    case KEY_P256: return key_pair(worker, CKM_EC_KEY_PAIR_GEN, (CK_ATTRIBUTE){CKA_EC_PARAMS, p256, sizeof p256}, key);
    case KEY_ED25519:
      return key_pair(worker, CKM_EC_EDWARDS_KEY_PAIR_GEN, (CK_ATTRIBUTE){CKA_EC_PARAMS, ed25519, sizeof ed25519}, key);
    case KEY_RSA2048:
      return key_pair(worker, CKM_RSA_PKCS_KEY_PAIR_GEN, (CK_ATTRIBUTE){CKA_MODULUS_BITS, &bits, sizeof bits}, key);
    case KEY_COUNT: break;
  }
  return false;
}
