// The rows of the table: what is measured through PKCS#11, and what of libcrypto stands beside it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TRY(call, what) \
  if (failed(worker, what, (call))) return false
#define TIMED(call, what) \
  if (failed(worker, what, (call))) return FAILED

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

// ---- ciphers

// The mechanism of a row, from its name, with the worker's IV.
static CK_MECHANISM cipher_of(Worker *worker, const Row *row, KeyKind *kind) {
  static CK_GCM_PARAMS gcm;
  static CK_AES_CTR_PARAMS ctr;
  *kind = KEY_AES256;
  if (strncmp(row->name, "aes256-gcm", 10) == 0) {
    gcm = (CK_GCM_PARAMS){.pIv = worker->iv, .ulIvLen = 12, .ulIvBits = 96, .ulTagBits = 128};
    return (CK_MECHANISM){CKM_AES_GCM, &gcm, sizeof gcm};
  }
  if (strncmp(row->name, "aes128-cbc", 10) == 0) {
    *kind = KEY_AES128;
    return (CK_MECHANISM){CKM_AES_CBC, worker->iv, 16};
  }
  ctr.ulCounterBits = 128;
  memcpy(ctr.cb, worker->iv, 16);
  return (CK_MECHANISM){CKM_AES_CTR, &ctr, sizeof ctr};
}

static bool cipher_prepare(Worker *worker, const Row *row) {
  KeyKind kind;
  cipher_of(worker, row, &kind);
  return token_key(worker, kind);
}

static uint64_t encrypt_once(Worker *worker, const Row *row) {
  KeyKind kind;
  worker->iv[0]++;
  CK_MECHANISM mechanism = cipher_of(worker, row, &kind);
  CK_ULONG length = row->bytes + 16;
  uint64_t start = ticks();
  TIMED(worker->p11->C_EncryptInit(worker->session, &mechanism, worker->keys[kind]), "C_EncryptInit");
  TIMED(worker->p11->C_Encrypt(worker->session, worker->input, row->bytes, worker->output, &length), "C_Encrypt");
  return ticks() - start;
}

static uint64_t decrypt_once(Worker *worker, const Row *row) {
  KeyKind kind;
  CK_MECHANISM mechanism = cipher_of(worker, row, &kind);
  CK_ULONG length = row->bytes;
  uint64_t start = ticks();
  TIMED(worker->p11->C_DecryptInit(worker->session, &mechanism, worker->keys[kind]), "C_DecryptInit");
  TIMED(worker->p11->C_Decrypt(worker->session, worker->input, row->bytes, worker->output, &length), "C_Decrypt");
  return ticks() - start;
}

// ---- restricted buffers

static bool restricted_prepare(Worker *worker, const Row *row) {
  if (!worker->strongroom) {
    snprintf(worker->error, sizeof worker->error, "no restricted buffers");
    return false;
  }
  if (!token_key(worker, KEY_AES256) || !token_key(worker, KEY_AES128)) return false;
  if (worker->buffer != CK_INVALID_HANDLE) worker->p11->C_DestroyObject(worker->session, worker->buffer);
  worker->buffer = CK_INVALID_HANDLE;
  TRY(worker->strongroom->AllocateBuffer(worker->session, CKU_STRONGROOM_SECURE_VIDEO_PLAYBACK, row->bytes, 0,
                                         &worker->buffer),
      "AllocateBuffer");
  return true;
}

static uint64_t restricted_once(Worker *worker, const Row *row) {
  KeyKind kind;
  CK_MECHANISM mechanism = cipher_of(worker, row, &kind);
  CK_ULONG written;
  uint64_t start = ticks();
  TIMED(worker->strongroom->DecryptIntoInit(worker->session, &mechanism, worker->keys[kind]), "DecryptIntoInit");
  TIMED(worker->strongroom->DecryptInto(worker->session, worker->input, row->bytes, worker->buffer, 0, &written),
        "DecryptInto");
  return ticks() - start;
}

static uint64_t samples_once(Worker *worker, const Row *row) {
  static CK_STRONGROOM_SAMPLE samples[60];
  CK_STRONGROOM_SAMPLE_PARAMS parameters = {CKS_STRONGROOM_CENC, 0, 0};
  for (size_t i = 0; i < COUNT(samples); i++) {
    CK_ULONG length = row->bytes / COUNT(samples);
    samples[i] = (CK_STRONGROOM_SAMPLE){
        .pData = worker->input, .ulDataLen = length, .iv = {(CK_BYTE)i}, .hBuffer = worker->buffer, .ulOffset = i * length};
  }
  uint64_t start = ticks();
  TIMED(worker->strongroom->DecryptSamples(worker->session, worker->keys[KEY_AES128], &parameters, samples, COUNT(samples)),
        "DecryptSamples");
  return ticks() - start;
}

// ---- message authentication, digests, random

static bool mac_prepare(Worker *worker, const Row *row) {
  (void)row;
  return token_key(worker, KEY_HMAC);
}

static uint64_t mac_once(Worker *worker, const Row *row) {
  CK_MECHANISM mechanism = {CKM_SHA256_HMAC, NULL, 0};
  CK_ULONG length = 32;
  uint64_t start = ticks();
  TIMED(worker->p11->C_SignInit(worker->session, &mechanism, worker->keys[KEY_HMAC]), "C_SignInit");
  TIMED(worker->p11->C_Sign(worker->session, worker->input, row->bytes, worker->output, &length), "C_Sign");
  return ticks() - start;
}

static bool nothing(Worker *worker, const Row *row) {
  (void)worker, (void)row;
  return true;
}

static uint64_t digest_once(Worker *worker, const Row *row) {
  CK_MECHANISM mechanism = {CKM_SHA256, NULL, 0};
  CK_ULONG length = 32;
  uint64_t start = ticks();
  TIMED(worker->p11->C_DigestInit(worker->session, &mechanism), "C_DigestInit");
  TIMED(worker->p11->C_Digest(worker->session, worker->input, row->bytes, worker->output, &length), "C_Digest");
  return ticks() - start;
}

static uint64_t random_once(Worker *worker, const Row *row) {
  uint64_t start = ticks();
  TIMED(worker->p11->C_GenerateRandom(worker->session, worker->output, row->bytes), "C_GenerateRandom");
  return ticks() - start;
}

// ---- asymmetric keys

static bool sign_prepare(Worker *worker, const Row *row) {
  return token_key(worker, strncmp(row->name, "rsa", 3) == 0   ? KEY_RSA2048
                           : strncmp(row->name, "ed", 2) == 0 ? KEY_ED25519
                                                              : KEY_P256);
}

static uint64_t sign_once(Worker *worker, const Row *row) {
  bool rsa = strncmp(row->name, "rsa", 3) == 0, edwards = strncmp(row->name, "ed", 2) == 0;
  CK_MECHANISM mechanism = {rsa ? CKM_SHA256_RSA_PKCS : edwards ? CKM_EDDSA : CKM_ECDSA, NULL, 0};
  CK_OBJECT_HANDLE key = worker->keys[rsa ? KEY_RSA2048 : edwards ? KEY_ED25519 : KEY_P256];
  CK_ULONG length = 512;
  uint64_t start = ticks();
  TIMED(worker->p11->C_SignInit(worker->session, &mechanism, key), "C_SignInit");
  TIMED(worker->p11->C_Sign(worker->session, worker->input, row->bytes, worker->output, &length), "C_Sign");
  return ticks() - start;
}

static bool derive_prepare(Worker *worker, const Row *row) {
  // The peer's point comes from libcrypto, made by the same function that the raw row uses.
  Worker maker = {.input = worker->input};
  return token_key(worker, KEY_P256) && raw_open(&maker) && raw_derive_prepare(&maker, row);
}

static uint64_t derive_once(Worker *worker, const Row *row) {
  (void)row;
  CK_ECDH1_DERIVE_PARAMS parameters = {.kdf = CKD_NULL, .ulPublicDataLen = 65, .pPublicData = worker->input};
  CK_MECHANISM mechanism = {CKM_ECDH1_DERIVE, &parameters, sizeof parameters};
  CK_OBJECT_CLASS class = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_GENERIC_SECRET;
  CK_ULONG length = 32;
  CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class},
                             {CKA_KEY_TYPE, &type, sizeof type},
                             {CKA_VALUE_LEN, &length, sizeof length},
                             {CKA_TOKEN, &no, 1}};
  CK_OBJECT_HANDLE key;
  uint64_t start = ticks();
  TIMED(worker->p11->C_DeriveKey(worker->session, &mechanism, worker->keys[KEY_P256], template, COUNT(template), &key),
        "C_DeriveKey");
  uint64_t elapsed = ticks() - start;
  TIMED(worker->p11->C_DestroyObject(worker->session, key), "C_DestroyObject");
  return elapsed;
}

// ---- sessions

static uint64_t session_info_once(Worker *worker, const Row *row) {
  (void)row;
  CK_SESSION_INFO info;
  uint64_t start = ticks();
  TIMED(worker->p11->C_GetSessionInfo(worker->session, &info), "C_GetSessionInfo");
  return ticks() - start;
}

static uint64_t session_open_close_once(Worker *worker, const Row *row) {
  (void)row;
  CK_SESSION_HANDLE session;
  uint64_t start = ticks();
  TIMED(worker->p11->C_OpenSession(worker->slot, CKF_SERIAL_SESSION, NULL, NULL, &session), "C_OpenSession");
  TIMED(worker->p11->C_CloseSession(session), "C_CloseSession");
  return ticks() - start;
}

// A fresh process loads the module and logs in, and says how long that took.
static uint64_t start_once(Worker *worker, const Row *row) {
  int pipes[2];
  char text[64] = "", program[4096];
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  (void)row;
  if (length < 0 || pipe(pipes) != 0) return FAILED;
  program[length] = 0;
  pid_t child = fork();
  if (child == 0) {
    dup2(pipes[1], 1);
    close(pipes[0]);
    execl(program, program, "--start", worker->module, (char *)NULL);
    _exit(127);
  }
  close(pipes[1]);
  length = child < 0 ? -1 : read(pipes[0], text, sizeof text - 1);
  close(pipes[0]);
  int status = 0;
  if (child > 0) waitpid(child, &status, 0);
  if (length <= 0) {
    snprintf(worker->error, sizeof worker->error, "the fresh process failed with status %d", status);
    return FAILED;
  }
  return (uint64_t)(strtod(text, NULL) / nanoseconds_per_tick());
}

// The same after the secure world has left, so that it has to be started. The bench's configuration lets it leave after a second.
static bool cold_prepare(Worker *worker, const Row *row) {
  (void)row;
  if (!worker->strongroom) snprintf(worker->error, sizeof worker->error, "no process of its own to start");
  return worker->strongroom != NULL;
}

static uint64_t cold_once(Worker *worker, const Row *row) {
  token_close(worker);
  usleep(1600000);
  uint64_t elapsed = start_once(worker, row);
  if (!token_open(worker, false)) return FAILED;
  // Handles of before mean nothing now.
  memset(worker->keys, 0, sizeof worker->keys);
  worker->buffer = CK_INVALID_HANDLE;
  return elapsed;
}

// ---- objects

static CK_RV create_key(Worker *worker, CK_BBOOL *token, CK_OBJECT_HANDLE *key, const char *label) {
  static CK_BYTE value[16] = {1, 2, 3};
  CK_OBJECT_CLASS class = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_AES;
  CK_ATTRIBUTE template[] = {
      {CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type}, {CKA_VALUE, value, sizeof value},
      {CKA_TOKEN, token, 1},             {CKA_PRIVATE, &yes, 1},             {CKA_SENSITIVE, &yes, 1},
      {CKA_EXTRACTABLE, &no, 1},         {CKA_ENCRYPT, &yes, 1},             {CKA_LABEL, (void *)label, strlen(label)},
  };
  return worker->p11->C_CreateObject(worker->session, template, COUNT(template), key);
}

static CK_RV generate_key(Worker *worker, CK_BBOOL *token, CK_OBJECT_HANDLE *key) {
  CK_MECHANISM generate = {CKM_AES_KEY_GEN, NULL, 0};
  CK_ULONG length = 32;
  CK_ATTRIBUTE template[] = {{CKA_VALUE_LEN, &length, sizeof length}, {CKA_TOKEN, token, 1},      {CKA_PRIVATE, &yes, 1},
                             {CKA_SENSITIVE, &yes, 1},                {CKA_EXTRACTABLE, &no, 1}, {CKA_ENCRYPT, &yes, 1}};
  return worker->p11->C_GenerateKey(worker->session, &generate, template, COUNT(template), key);
}

typedef enum { CREATE, GENERATE, DESTROY } ObjectWork;

static uint64_t object_once(Worker *worker, CK_BBOOL *token, ObjectWork work) {
  CK_OBJECT_HANDLE key;
  uint64_t start = ticks(), made;
  TIMED(work == GENERATE ? generate_key(worker, token, &key) : create_key(worker, token, &key, "short-lived"),
        work == GENERATE ? "C_GenerateKey" : "C_CreateObject");
  made = ticks();
  TIMED(worker->p11->C_DestroyObject(worker->session, key), "C_DestroyObject");
  return work == DESTROY ? ticks() - made : made - start;
}

static uint64_t create_session_once(Worker *w, const Row *row) { (void)row; return object_once(w, &no, CREATE); }
static uint64_t generate_session_once(Worker *w, const Row *row) { (void)row; return object_once(w, &no, GENERATE); }
static uint64_t destroy_session_once(Worker *w, const Row *row) { (void)row; return object_once(w, &no, DESTROY); }
static uint64_t create_token_once(Worker *w, const Row *row) { (void)row; return object_once(w, &yes, CREATE); }
static uint64_t generate_token_once(Worker *w, const Row *row) { (void)row; return object_once(w, &yes, GENERATE); }
static uint64_t destroy_token_once(Worker *w, const Row *row) { (void)row; return object_once(w, &yes, DESTROY); }

static bool attributes_prepare(Worker *worker, const Row *row) {
  (void)row;
  return token_key(worker, KEY_AES256);
}

static uint64_t attributes_once(Worker *worker, const Row *row) {
  (void)row;
  CK_BYTE label[64], id[64];
  CK_ULONG class, type, length;
  CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
                             {CKA_LABEL, label, sizeof label},  {CKA_ID, id, sizeof id},
                             {CKA_VALUE_LEN, &length, sizeof length}};
  uint64_t start = ticks();
  TIMED(worker->p11->C_GetAttributeValue(worker->session, worker->keys[KEY_AES256], template, COUNT(template)),
        "C_GetAttributeValue");
  return ticks() - start;
}

static void object_label(char *label, size_t size, unsigned number) { snprintf(label, size, "object-%06u", number); }

static bool find_prepare(Worker *worker, const Row *row) {
  char label[32];
  for (; worker->population < row->bytes; worker->population++) {
    CK_OBJECT_HANDLE key;
    object_label(label, sizeof label, worker->population);
    TRY(create_key(worker, &yes, &key, label), "C_CreateObject");
  }
  return true;
}

static uint64_t find_once(Worker *worker, const Row *row) {
  static unsigned next;
  char label[32];
  next = (next + 7919) % (unsigned)row->bytes;
  object_label(label, sizeof label, next);
  CK_ATTRIBUTE template[] = {{CKA_LABEL, label, strlen(label)}};
  CK_OBJECT_HANDLE found[2];
  CK_ULONG count = 0;
  uint64_t start = ticks();
  TIMED(worker->p11->C_FindObjectsInit(worker->session, template, 1), "C_FindObjectsInit");
  TIMED(worker->p11->C_FindObjects(worker->session, found, 2, &count), "C_FindObjects");
  TIMED(worker->p11->C_FindObjectsFinal(worker->session), "C_FindObjectsFinal");
  uint64_t elapsed = ticks() - start;
  if (count != 1) {
    snprintf(worker->error, sizeof worker->error, "%lu objects found instead of 1", count);
    return FAILED;
  }
  return elapsed;
}

#define CIPHER(name, size) {name, size, 0, false, cipher_prepare, encrypt_once, raw_cipher_prepare, raw_cipher_once}

const Row rows[] = {
    {"start", 0, 0, false, nothing, start_once, NULL, NULL},
    {"start-cold", 0, 0, false, cold_prepare, cold_once, NULL, NULL},
    {"session-info", 0, 0, false, nothing, session_info_once, NULL, NULL},
    {"session-open-close", 0, 0, false, nothing, session_open_close_once, NULL, NULL},
    {"random-32", 32, 0, false, nothing, random_once, raw_random_prepare, raw_random_once},
    {"sha256-64", 64, 0, false, nothing, digest_once, raw_digest_prepare, raw_digest_once},
    {"hmac-sha256-64", 64, 0, false, mac_prepare, mac_once, raw_mac_prepare, raw_mac_once},
    {"hmac-sha256-64 each 100 us", 64, 100, false, mac_prepare, mac_once, raw_mac_prepare, raw_mac_once},
    {"hmac-sha256-64 each 1 ms", 64, 1000, false, mac_prepare, mac_once, raw_mac_prepare, raw_mac_once},
    CIPHER("aes128-cbc-16", 16),
    CIPHER("aes128-cbc-1k", 1024),
    CIPHER("aes256-gcm-16", 16),
    CIPHER("aes256-gcm-1k", 1024),
    CIPHER("aes256-gcm-16k", 16 * 1024),
    CIPHER("aes256-gcm-1m", 1024 * 1024),
    CIPHER("aes256-ctr-16", 16),
    CIPHER("aes256-ctr-1k", 1024),
    CIPHER("aes256-ctr-16k", 16 * 1024),
    CIPHER("aes256-ctr-1m", 1024 * 1024),
    {"aes256-ctr-decrypt-1m", 1024 * 1024, 0, false, cipher_prepare, decrypt_once, raw_cipher_prepare, raw_cipher_decrypt_once},
    {"restricted-ctr-16k", 16 * 1024, 0, false, restricted_prepare, restricted_once, raw_cipher_prepare, raw_cipher_decrypt_once},
    {"restricted-ctr-1m", 1024 * 1024, 0, false, restricted_prepare, restricted_once, raw_cipher_prepare, raw_cipher_decrypt_once},
    {"cenc-60x60k", 60 * 60 * 1024, 0, false, restricted_prepare, samples_once, raw_cipher_prepare, raw_samples_once},
    {"ecdsa-p256-sign", 32, 0, false, sign_prepare, sign_once, raw_sign_prepare, raw_sign_once},
    {"ed25519-sign", 64, 0, false, sign_prepare, sign_once, raw_sign_prepare, raw_sign_once},
    {"ecdh-p256", 0, 0, false, derive_prepare, derive_once, raw_derive_prepare, raw_derive_once},
    {"rsa2048-sign", 64, 0, false, sign_prepare, sign_once, raw_sign_prepare, raw_sign_once},
    {"get-attributes", 0, 0, false, attributes_prepare, attributes_once, NULL, NULL},
    {"create-aes-session", 0, 0, false, nothing, create_session_once, NULL, NULL},
    {"generate-aes-session", 0, 0, false, nothing, generate_session_once, NULL, NULL},
    {"destroy-aes-session", 0, 0, false, nothing, destroy_session_once, NULL, NULL},
    {"create-aes-token", 0, 0, false, nothing, create_token_once, NULL, NULL},
    {"generate-aes-token", 0, 0, false, nothing, generate_token_once, NULL, NULL},
    {"destroy-aes-token", 0, 0, false, nothing, destroy_token_once, NULL, NULL},
    {"find-10", 10, 0, true, find_prepare, find_once, NULL, NULL},
    {"find-10000", 10000, 0, true, find_prepare, find_once, NULL, NULL},
};
const size_t row_count = COUNT(rows);
