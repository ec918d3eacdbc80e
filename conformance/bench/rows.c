// The rows of the table: what is measured through PKCS#11, and what of libcrypto stands beside it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "raw.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TRY(call, what) \
  if (failed(worker, what, (call))) return false
#define TIMED(call, what) \
  if (failed(worker, what, (call))) return FAILED

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

static bool refuse(Worker *worker, const char *why) {
  snprintf(worker->error, sizeof worker->error, "%s", why);
  return false;
}

static bool nothing(Worker *worker, const Row *row) {
  (void)worker, (void)row;
  return true;
}

static bool key_prepare(Worker *worker, const Row *row) { return token_key(worker, row->key, row->session_key); }

static Key key_of(const Worker *worker, const Row *row) { return worker->keys[row->session_key][row->key]; }

// ---- ciphers

typedef union {
  CK_GCM_PARAMS gcm;
  CK_AES_CTR_PARAMS ctr;
} CipherParameters;

// The mechanism of a row with the worker's IV.
static CK_MECHANISM cipher_of(Worker *worker, const Row *row, CipherParameters *parameters) {
  switch (row->mechanism) {
    case CKM_AES_GCM:
      parameters->gcm = (CK_GCM_PARAMS){.pIv = worker->iv, .ulIvLen = 12, .ulIvBits = 96, .ulTagBits = 128};
      return (CK_MECHANISM){row->mechanism, &parameters->gcm, sizeof parameters->gcm};
    case CKM_AES_CTR:
      parameters->ctr.ulCounterBits = 128;
      memcpy(parameters->ctr.cb, worker->iv, 16);
      return (CK_MECHANISM){row->mechanism, &parameters->ctr, sizeof parameters->ctr};
    default: return (CK_MECHANISM){row->mechanism, worker->iv, 16};
  }
}

// A peer that answers CKR_OK and less than there is to do would have a wrong time.
static bool wrong_length(Worker *worker, CK_ULONG length, CK_ULONG right) {
  if (length == right) return false;
  snprintf(worker->error, sizeof worker->error, "%lu bytes instead of %lu", length, right);
  return true;
}

static uint64_t encrypt_once(Worker *worker, const Row *row) {
  CipherParameters parameters;
  worker->iv[0]++;
  CK_MECHANISM mechanism = cipher_of(worker, row, &parameters);
  CK_ULONG length = row->bytes + 16;
  uint64_t start = ticks();
  TIMED(worker->p11->C_EncryptInit(worker->session, &mechanism, key_of(worker, row).secret), "C_EncryptInit");
  TIMED(worker->p11->C_Encrypt(worker->session, worker->input, row->bytes, worker->output, &length), "C_Encrypt");
  uint64_t elapsed = ticks() - start;
  if (wrong_length(worker, length, row->bytes + (row->mechanism == CKM_AES_GCM ? 16 : 0))) return FAILED;
  return elapsed;
}

// What is decrypted is what was encrypted: an AEAD's tag has to fit.
static bool decrypt_prepare(Worker *worker, const Row *row) {
  if (!key_prepare(worker, row) || encrypt_once(worker, row) == FAILED) return false;
  memcpy(worker->input, worker->output, row->bytes + 16);
  return true;
}

static uint64_t decrypt_once(Worker *worker, const Row *row) {
  CipherParameters parameters;
  CK_MECHANISM mechanism = cipher_of(worker, row, &parameters);
  CK_ULONG length = row->bytes + 16, sealed = row->bytes + (row->mechanism == CKM_AES_GCM ? 16 : 0);
  uint64_t start = ticks();
  TIMED(worker->p11->C_DecryptInit(worker->session, &mechanism, key_of(worker, row).secret), "C_DecryptInit");
  TIMED(worker->p11->C_Decrypt(worker->session, worker->input, sealed, worker->output, &length), "C_Decrypt");
  uint64_t elapsed = ticks() - start;
  return wrong_length(worker, length, row->bytes) ? FAILED : elapsed;
}

// ---- AEAD by messages: one initialisation, and then a call a message

static CK_GCM_MESSAGE_PARAMS message_of(Worker *worker) {
  return (CK_GCM_MESSAGE_PARAMS){.pIv = worker->iv, .ulIvLen = 12, .ivGenerator = CKG_NO_GENERATE,
                                 .pTag = worker->tag, .ulTagBits = 128};
}

// A session of its own: one operation of a session at a time.
static bool message_session(Worker *worker, const Row *row) {
  if (!worker->p11_3) return refuse(worker, "no 3.0 interface");
  if (worker->message_session != CK_INVALID_HANDLE) worker->p11->C_CloseSession(worker->message_session);
  worker->message_session = CK_INVALID_HANDLE;
  TRY(worker->p11->C_OpenSession(worker->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &worker->message_session),
      "C_OpenSession");
  return key_prepare(worker, row);
}

static bool message_encrypt_prepare(Worker *worker, const Row *row) {
  CK_MECHANISM mechanism = {row->mechanism, NULL, 0};
  if (!message_session(worker, row)) return false;
  TRY(worker->p11_3->C_MessageEncryptInit(worker->message_session, &mechanism, key_of(worker, row).secret),
      "C_MessageEncryptInit");
  return true;
}

static uint64_t message_encrypt_once(Worker *worker, const Row *row) {
  CK_GCM_MESSAGE_PARAMS parameters = message_of(worker);
  CK_ULONG length = row->bytes;
  worker->iv[0]++;
  uint64_t start = ticks();
  TIMED(worker->p11_3->C_EncryptMessage(worker->message_session, &parameters, sizeof parameters, NULL, 0, worker->input,
                                        row->bytes, worker->output, &length),
        "C_EncryptMessage");
  uint64_t elapsed = ticks() - start;
  return wrong_length(worker, length, row->bytes) ? FAILED : elapsed;
}

static bool message_decrypt_prepare(Worker *worker, const Row *row) {
  CK_MECHANISM mechanism = {row->mechanism, NULL, 0};
  if (!message_encrypt_prepare(worker, row) || message_encrypt_once(worker, row) == FAILED) return false;
  memcpy(worker->input, worker->output, row->bytes);
  TRY(worker->p11_3->C_MessageEncryptFinal(worker->message_session), "C_MessageEncryptFinal");
  TRY(worker->p11_3->C_MessageDecryptInit(worker->message_session, &mechanism, key_of(worker, row).secret),
      "C_MessageDecryptInit");
  return true;
}

static uint64_t message_decrypt_once(Worker *worker, const Row *row) {
  CK_GCM_MESSAGE_PARAMS parameters = message_of(worker);
  CK_ULONG length = row->bytes;
  uint64_t start = ticks();
  TIMED(worker->p11_3->C_DecryptMessage(worker->message_session, &parameters, sizeof parameters, NULL, 0, worker->input,
                                        row->bytes, worker->output, &length),
        "C_DecryptMessage");
  uint64_t elapsed = ticks() - start;
  return wrong_length(worker, length, row->bytes) ? FAILED : elapsed;
}

// ---- restricted buffers

static bool restricted_prepare(Worker *worker, const Row *row) {
  if (!worker->strongroom) return refuse(worker, "no restricted buffers");
  if (!key_prepare(worker, row)) return false;
  if (worker->buffer != CK_INVALID_HANDLE) worker->p11->C_DestroyObject(worker->session, worker->buffer);
  worker->buffer = CK_INVALID_HANDLE;
  TRY(worker->strongroom->AllocateBuffer(worker->session, CKU_STRONGROOM_SECURE_VIDEO_PLAYBACK, row->bytes, 0,
                                         &worker->buffer),
      "AllocateBuffer");
  return true;
}

static uint64_t restricted_once(Worker *worker, const Row *row) {
  CipherParameters parameters;
  CK_MECHANISM mechanism = cipher_of(worker, row, &parameters);
  CK_ULONG written;
  uint64_t start = ticks();
  TIMED(worker->strongroom->DecryptIntoInit(worker->session, &mechanism, key_of(worker, row).secret), "DecryptIntoInit");
  TIMED(worker->strongroom->DecryptInto(worker->session, worker->input, row->bytes, worker->buffer, 0, &written),
        "DecryptInto");
  return ticks() - start;
}

static uint64_t samples_once(Worker *worker, const Row *row) {
  CK_STRONGROOM_SAMPLE samples[SAMPLES];
  CK_STRONGROOM_SAMPLE_PARAMS parameters = {CKS_STRONGROOM_CENC, 0, 0};
  CK_ULONG length = row->bytes / SAMPLES;
  for (size_t i = 0; i < SAMPLES; i++) {
    samples[i] = (CK_STRONGROOM_SAMPLE){.pData = worker->input + i * length,
                                        .ulDataLen = length,
                                        .iv = {(CK_BYTE)i},
                                        .hBuffer = worker->buffer,
                                        .ulOffset = i * length};
  }
  uint64_t start = ticks();
  TIMED(worker->strongroom->DecryptSamples(worker->session, key_of(worker, row).secret, &parameters, samples, SAMPLES),
        "DecryptSamples");
  return ticks() - start;
}

// ---- message authentication, digests, random

static uint64_t mac_once(Worker *worker, const Row *row) {
  CK_MECHANISM mechanism = {row->mechanism, NULL, 0};
  CK_ULONG length = 32;
  uint64_t start = ticks();
  TIMED(worker->p11->C_SignInit(worker->session, &mechanism, key_of(worker, row).secret), "C_SignInit");
  TIMED(worker->p11->C_Sign(worker->session, worker->input, row->bytes, worker->output, &length), "C_Sign");
  return ticks() - start;
}

static uint64_t digest_once(Worker *worker, const Row *row) {
  CK_MECHANISM mechanism = {row->mechanism, NULL, 0};
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

// RSA signs a DigestInfo of SHA-256, which every peer can do; the worker's input holds one.
static bool sign_prepare(Worker *worker, const Row *row) {
  static const unsigned char digest_info[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                              0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
  if (row->mechanism == CKM_RSA_PKCS) memcpy(worker->input, digest_info, sizeof digest_info);
  return key_prepare(worker, row);
}

static uint64_t sign_once(Worker *worker, const Row *row) {
  CK_MECHANISM mechanism = {row->mechanism, NULL, 0};
  CK_ULONG length = sizeof worker->signature;
  uint64_t start = ticks();
  TIMED(worker->p11->C_SignInit(worker->session, &mechanism, key_of(worker, row).secret), "C_SignInit");
  TIMED(worker->p11->C_Sign(worker->session, worker->input, row->bytes, worker->signature, &length), "C_Sign");
  uint64_t elapsed = ticks() - start;
  worker->signature_length = length;
  return elapsed;
}

static bool verify_prepare(Worker *worker, const Row *row) {
  return sign_prepare(worker, row) && sign_once(worker, row) != FAILED;
}

static uint64_t verify_once(Worker *worker, const Row *row) {
  CK_MECHANISM mechanism = {row->mechanism, NULL, 0};
  uint64_t start = ticks();
  TIMED(worker->p11->C_VerifyInit(worker->session, &mechanism, key_of(worker, row).public), "C_VerifyInit");
  TIMED(worker->p11->C_Verify(worker->session, worker->input, row->bytes, worker->signature, worker->signature_length),
        "C_Verify");
  return ticks() - start;
}

static uint64_t encipher_once(Worker *worker, const Row *row) {
  CK_MECHANISM mechanism = {row->mechanism, NULL, 0};
  CK_ULONG length = 512;
  uint64_t start = ticks();
  TIMED(worker->p11->C_EncryptInit(worker->session, &mechanism, key_of(worker, row).public), "C_EncryptInit");
  TIMED(worker->p11->C_Encrypt(worker->session, worker->input, row->bytes, worker->output, &length), "C_Encrypt");
  return ticks() - start;
}

static bool derive_prepare(Worker *worker, const Row *row) { return key_prepare(worker, row) && raw_points(worker); }

static uint64_t derive_once(Worker *worker, const Row *row) {
  CK_ECDH1_DERIVE_PARAMS parameters = {
      .kdf = CKD_NULL, .ulPublicDataLen = POINT_BYTES, .pPublicData = worker->points[worker->turn++ % POINTS]};
  CK_MECHANISM mechanism = {row->mechanism, &parameters, sizeof parameters};
  CK_OBJECT_CLASS class = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_GENERIC_SECRET;
  CK_ULONG length = 32;
  CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class},
                             {CKA_KEY_TYPE, &type, sizeof type},
                             {CKA_VALUE_LEN, &length, sizeof length},
                             {CKA_TOKEN, &no, 1}};
  CK_OBJECT_HANDLE key;
  uint64_t start = ticks();
  TIMED(worker->p11->C_DeriveKey(worker->session, &mechanism, key_of(worker, row).secret, template, COUNT(template), &key),
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

// The PIN was right before. Logging out ends what is known of private objects.
static uint64_t login_once(Worker *worker, const Row *row) {
  (void)row;
  TIMED(worker->p11->C_Logout(worker->session), "C_Logout");
  token_forget(worker);
  uint64_t start = ticks();
  TIMED(worker->p11->C_Login(worker->session, CKU_USER, (CK_UTF8CHAR *)USER_PIN, strlen(USER_PIN)), "C_Login");
  return ticks() - start;
}

// A fresh process, of the program `start` beside this one, loads the module and logs in.
static bool start_fresh(Worker *worker, double *nanoseconds, uint64_t *resident) {
  int pipes[2];
  char text[128] = "", program[4096];
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 16);
  if (length < 0 || pipe(pipes) != 0) return refuse(worker, "no pipe");
  program[length] = 0;
  strcpy(strrchr(program, '/') + 1, "bench-start");
  pid_t child = fork();
  if (child == 0) {
    dup2(pipes[1], 1);
    close(pipes[0]);
    execl(program, program, worker->module, (char *)NULL);
    _exit(127);
  }
  close(pipes[1]);
  length = child < 0 ? -1 : read(pipes[0], text, sizeof text - 1);
  close(pipes[0]);
  int status = 0;
  if (child > 0) waitpid(child, &status, 0);
  char *end = text;
  *nanoseconds = strtod(text, &end);
  *resident = strtoull(end, NULL, 10);
  if (length > 0) return true;
  snprintf(worker->error, sizeof worker->error, "the fresh process failed with status %d", status);
  return false;
}

static uint64_t start_once(Worker *worker, const Row *row) {
  (void)row;
  double nanoseconds;
  uint64_t resident;
  if (!start_fresh(worker, &nanoseconds, &resident)) return FAILED;
  return (uint64_t)(nanoseconds / nanoseconds_per_tick());
}

static uint64_t module_memory_once(Worker *worker, const Row *row) {
  (void)row;
  double nanoseconds;
  uint64_t resident;
  return start_fresh(worker, &nanoseconds, &resident) ? resident : FAILED;
}

// ---- the secure world's process

static bool world_prepare(Worker *worker, const Row *row) {
  (void)row;
  return worker->strongroom ? true : refuse(worker, "no process of its own");
}

// Leaves the secure world alone until it has ended; the bench's configuration lets it do so after a second.
static bool leave(Worker *worker) {
  token_close(worker);
  for (int waited = 0; waited < 1000; waited++) {
    usleep(10000);
    if (world_resident_bytes(stores_folder()) == 0) return true;
  }
  return refuse(worker, "the secure world did not end");
}

// A start after the secure world has left, so that it has to be started.
static uint64_t cold_once(Worker *worker, const Row *row) {
  if (!leave(worker)) return FAILED;
  uint64_t elapsed = start_once(worker, row);
  return token_open(worker, false) ? elapsed : FAILED;
}

static bool world_memory_prepare(Worker *worker, const Row *row) {
  return world_prepare(worker, row) && leave(worker) && token_open(worker, false);
}

static uint64_t world_memory_once(Worker *worker, const Row *row) {
  (void)worker, (void)row;
  return world_resident_bytes(stores_folder());
}

// What an object takes: the secure world started anew with all of them, less what it took without.
static uint64_t object_memory_once(Worker *worker, const Row *row) {
  (void)row;
  uint64_t resident = world_resident_bytes(stores_folder());
  if (worker->population == 0 || worker->empty_world == 0 || resident < worker->empty_world) {
    refuse(worker, "no objects");
    return FAILED;
  }
  return (resident - worker->empty_world) / worker->population;
}

static int64_t nanoseconds_of(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

// Processor time that the peer's processes, and its threads in this one, use in half a second from 100 us after a call on.
// The calling thread sleeps meanwhile and is not counted.
static uint64_t idle_once(Worker *worker, const Row *row) {
  int64_t used[2];
  WorldClocks world = {.count = 0};
  for (int i = 0; i < 20; i++)
    if (mac_once(worker, row) == FAILED) return FAILED;
  if (worker->strongroom) world = world_clocks(stores_folder());
  for (int i = 0; i < 20; i++)
    if (mac_once(worker, row) == FAILED) return FAILED;
  for (uint64_t end = monotonic_nanoseconds() + 100000; monotonic_nanoseconds() < end;) {}
  for (int i = 0; i < 2; i++) {
    if (i) usleep(500000);
    used[i] = (int64_t)processor_nanoseconds(&world) + nanoseconds_of(CLOCK_PROCESS_CPUTIME_ID) -
              nanoseconds_of(CLOCK_THREAD_CPUTIME_ID);
  }
  // The two clocks of this process are not read at one time.
  int64_t grown = used[1] - used[0] - 5000;
  return grown < 0 ? 0 : (uint64_t)((double)grown / nanoseconds_per_tick());
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

static uint64_t attributes_once(Worker *worker, const Row *row) {
  CK_BYTE label[64], id[64];
  CK_ULONG class, type, length;
  CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
                             {CKA_LABEL, label, sizeof label},  {CKA_ID, id, sizeof id},
                             {CKA_VALUE_LEN, &length, sizeof length}};
  uint64_t start = ticks();
  TIMED(worker->p11->C_GetAttributeValue(worker->session, key_of(worker, row).secret, template, COUNT(template)),
        "C_GetAttributeValue");
  return ticks() - start;
}

static void object_label(char *label, size_t size, unsigned number) { snprintf(label, size, "object-%06u", number); }

// Fills the token up to the row's count of objects, unless that would take longer than FILL_SECONDS.
static bool find_prepare(Worker *worker, const Row *row) {
  const char *limit_text = getenv("FILL_SECONDS");
  double limit = limit_text ? strtod(limit_text, NULL) : 60;
  if (worker->population == 0 && worker->strongroom) worker->empty_world = world_resident_bytes(stores_folder());
  uint64_t start = monotonic_nanoseconds();
  unsigned first = worker->population;
  while (worker->population < row->bytes) {
    char label[32];
    CK_OBJECT_HANDLE key;
    object_label(label, sizeof label, worker->population);
    TRY(create_key(worker, &yes, &key, label), "C_CreateObject");
    unsigned made = ++worker->population - first;
    double whole = (double)(monotonic_nanoseconds() - start) / 1e9 / made * (double)(row->bytes - first);
    if (made % 64 == 0 && whole > limit) {
      snprintf(worker->error, sizeof worker->error, "filling it takes %.0f s", whole);
      return false;
    }
  }
  return true;
}

static uint64_t find_once(Worker *worker, const Row *row) {
  char label[32];
  worker->turn += 7919;
  object_label(label, sizeof label, worker->turn % (unsigned)row->bytes);
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

// ---- the table

#define KIB 1024ul
#define MIB (1024ul * 1024)
#define ENCRYPT key_prepare, encrypt_once, raw_cipher_prepare, raw_encrypt_once
#define DECRYPT decrypt_prepare, decrypt_once, raw_decrypt_prepare, raw_decrypt_once
#define MESSAGE_ENCRYPT message_encrypt_prepare, message_encrypt_once, raw_cipher_prepare, raw_encrypt_once
#define MESSAGE_DECRYPT message_decrypt_prepare, message_decrypt_once, raw_decrypt_prepare, raw_decrypt_once
#define RESTRICTED restricted_prepare, restricted_once, raw_decrypt_prepare, raw_decrypt_once
#define CBC KEY_AES128, CKM_AES_CBC
#define GCM KEY_AES256, CKM_AES_GCM
#define CTR KEY_AES256, CKM_AES_CTR
#define MAC KEY_HMAC, CKM_SHA256_HMAC, key_prepare, mac_once, raw_mac_prepare, raw_mac_once
#define DIGEST 0, CKM_SHA256, nothing, digest_once, raw_digest_prepare, raw_digest_once
#define SIGN sign_prepare, sign_once, raw_sign_prepare, raw_sign_once
#define VERIFY verify_prepare, verify_once, raw_verify_prepare, raw_verify_once
#define P256 KEY_P256, CKM_ECDSA
#define RSA2048 KEY_RSA2048, CKM_RSA_PKCS
#define RSA3072 KEY_RSA3072, CKM_RSA_PKCS
#define ALONE(prepare, once) 0, 0, prepare, once, NULL, NULL
#define COMMIT(once) 0, 0, nothing, once, raw_commit_prepare, raw_commit_once
#define FIND 0, 0, find_prepare, find_once, NULL, NULL, .populous = true

#pragma GCC diagnostic ignored "-Wmissing-field-initializers" // the rest of a row is zero
const Row rows[] = {
    {"start", 0, ALONE(nothing, start_once)},
    {"start-cold", 0, ALONE(world_prepare, cold_once)},
    {"login-again", 0, ALONE(nothing, login_once)},
    {"session-info", 0, ALONE(nothing, session_info_once)},
    {"session-open-close", 0, ALONE(nothing, session_open_close_once)},
    {"random-32", 32, 0, 0, nothing, random_once, raw_random_prepare, raw_random_once},
    {"sha256-64", 64, DIGEST},
    {"sha256-16k", 16 * KIB, DIGEST},

    {"hmac-sha256-64", 64, MAC},
    {"aes128-cbc-16", 16, CBC, ENCRYPT},
    {"aes128-cbc-1k", KIB, CBC, ENCRYPT},
    {"aes256-gcm-16", 16, GCM, ENCRYPT},
    {"aes256-gcm-1k", KIB, GCM, ENCRYPT},
    {"aes256-gcm-16k", 16 * KIB, GCM, ENCRYPT},
    {"aes256-gcm-1m", MIB, GCM, ENCRYPT},
    {"aes256-gcm-64m", 64 * MIB, GCM, ENCRYPT},
    {"aes256-gcm-decrypt-16k", 16 * KIB, GCM, DECRYPT},
    {"aes256-gcm-decrypt-1m", MIB, GCM, DECRYPT},
    {"aes256-ctr-16", 16, CTR, ENCRYPT},
    {"aes256-ctr-1k", KIB, CTR, ENCRYPT},
    {"aes256-ctr-16k", 16 * KIB, CTR, ENCRYPT},
    {"aes256-ctr-1m", MIB, CTR, ENCRYPT},
    {"aes256-ctr-64m", 64 * MIB, CTR, ENCRYPT},
    {"message-gcm-16", 16, GCM, MESSAGE_ENCRYPT},
    {"message-gcm-16k", 16 * KIB, GCM, MESSAGE_ENCRYPT},
    {"message-gcm-1m", MIB, GCM, MESSAGE_ENCRYPT},
    {"message-gcm-decrypt-16", 16, GCM, MESSAGE_DECRYPT},
    {"message-gcm-decrypt-16k", 16 * KIB, GCM, MESSAGE_DECRYPT},
    {"message-gcm-decrypt-1m", MIB, GCM, MESSAGE_DECRYPT},

    {"aes256-gcm-16k shared", 16 * KIB, GCM, ENCRYPT, .shared = true},
    {"aes256-gcm-1m shared", MIB, GCM, ENCRYPT, .shared = true},
    {"aes256-gcm-64m shared", 64 * MIB, GCM, ENCRYPT, .shared = true},
    {"aes256-ctr-16k shared", 16 * KIB, CTR, ENCRYPT, .shared = true},
    {"aes256-ctr-1m shared", MIB, CTR, ENCRYPT, .shared = true},
    {"aes256-ctr-64m shared", 64 * MIB, CTR, ENCRYPT, .shared = true},

    {"hmac-sha256-64 session key", 64, MAC, .session_key = true},
    {"aes128-cbc-16 session key", 16, CBC, ENCRYPT, .session_key = true},
    {"aes128-cbc-1k session key", KIB, CBC, ENCRYPT, .session_key = true},
    {"aes256-gcm-16 session key", 16, GCM, ENCRYPT, .session_key = true},
    {"aes256-gcm-1k session key", KIB, GCM, ENCRYPT, .session_key = true},
    {"aes256-ctr-16 session key", 16, CTR, ENCRYPT, .session_key = true},
    {"aes256-ctr-1k session key", KIB, CTR, ENCRYPT, .session_key = true},

    {"hmac-sha256-64 each 100us", 64, MAC, .pace = 100},
    {"hmac-sha256-64 each 1ms", 64, MAC, .pace = 1000},
    {"aes256-gcm-16 each 1ms", 16, GCM, ENCRYPT, .pace = 1000},
    {"hmac-sha256-64 busy", 64, MAC, .busy = true},
    {"hmac-sha256-64 busy 100us", 64, MAC, .pace = 100, .busy = true},
    {"hmac-sha256-64 busy 1ms", 64, MAC, .pace = 1000, .busy = true},
    {"idle-processor-time", 64, KEY_HMAC, CKM_SHA256_HMAC, key_prepare, idle_once, NULL, NULL},

    {"restricted-ctr-16k", 16 * KIB, CTR, RESTRICTED},
    {"restricted-ctr-1m", MIB, CTR, RESTRICTED},
    {"cenc-60x60k", SAMPLES * 60 * KIB, KEY_AES128, CKM_AES_CTR, restricted_prepare, samples_once, raw_cipher_prepare,
     raw_samples_once},

    {"ecdsa-p256-sign", 32, P256, SIGN},
    {"ecdsa-p384-sign", 32, KEY_P384, CKM_ECDSA, SIGN},
    {"ed25519-sign", 64, KEY_ED25519, CKM_EDDSA, SIGN},
    {"ecdh-p256-new-point", 0, KEY_P256, CKM_ECDH1_DERIVE, derive_prepare, derive_once, raw_derive_prepare, raw_derive_once},
    {"rsa2048-sign", 51, RSA2048, SIGN},
    {"rsa3072-sign", 51, RSA3072, SIGN},
    {"ecdsa-p256-verify", 32, P256, VERIFY},
    {"rsa2048-verify", 51, RSA2048, VERIFY},
    {"rsa2048-encrypt", 32, RSA2048, key_prepare, encipher_once, raw_encipher_prepare, raw_encipher_once},

    {"get-attributes", 0, KEY_AES256, 0, key_prepare, attributes_once, NULL, NULL},
    {"create-aes-session", 0, ALONE(nothing, create_session_once)},
    {"generate-aes-session", 0, ALONE(nothing, generate_session_once)},
    {"destroy-aes-session", 0, ALONE(nothing, destroy_session_once)},
    {"create-aes-token", 0, COMMIT(create_token_once)},
    {"generate-aes-token", 0, COMMIT(generate_token_once)},
    {"destroy-aes-token", 0, COMMIT(destroy_token_once)},

    {"hmac-sha256-64 1 client", 64, MAC, .unit = UNIT_RATE, .threads = 1},
    {"hmac-sha256-64 2 threads", 64, MAC, .unit = UNIT_RATE, .threads = 2},
    {"hmac-sha256-64 4 threads", 64, MAC, .unit = UNIT_RATE, .threads = 4},
    {"hmac-sha256-64 2 processes", 64, MAC, .unit = UNIT_RATE, .processes = 2},
    {"hmac-sha256-64 4 processes", 64, MAC, .unit = UNIT_RATE, .processes = 4},
    {"aes256-gcm-16k 1 client", 16 * KIB, GCM, ENCRYPT, .unit = UNIT_RATE, .threads = 1},
    {"aes256-gcm-16k 2 threads", 16 * KIB, GCM, ENCRYPT, .unit = UNIT_RATE, .threads = 2},
    {"aes256-gcm-16k 4 threads", 16 * KIB, GCM, ENCRYPT, .unit = UNIT_RATE, .threads = 4},
    {"ecdsa-p256-sign 1 client", 32, P256, SIGN, .unit = UNIT_RATE, .threads = 1},
    {"ecdsa-p256-sign 4 threads", 32, P256, SIGN, .unit = UNIT_RATE, .threads = 4},
    {"rsa2048-sign 1 client", 51, RSA2048, SIGN, .unit = UNIT_RATE, .threads = 1},
    {"rsa2048-sign 4 threads", 51, RSA2048, SIGN, .unit = UNIT_RATE, .threads = 4},
    {"generate-aes-token 1 client", 0, ALONE(nothing, generate_token_once), .unit = UNIT_RATE, .threads = 1},
    {"generate-aes-token 8 threads", 0, ALONE(nothing, generate_token_once), .unit = UNIT_RATE, .threads = 8},

    {"memory-module", 0, ALONE(nothing, module_memory_once), .unit = UNIT_BYTES},
    {"memory-secure-world", 0, ALONE(world_memory_prepare, world_memory_once), .unit = UNIT_BYTES},

    {"find-10", 10, FIND},
    {"find-1000", 1000, FIND},
    {"find-10000", 10000, FIND},
    {"find-100000", 100000, FIND},
    {"find-100000 each 1ms", 100000, FIND, .pace = 1000},
    {"start-cold-100000", 100000, 0, 0, find_prepare, cold_once, NULL, NULL, .populous = true},
    {"memory-per-object-100000", 100000, ALONE(find_prepare, object_memory_once), .unit = UNIT_BYTES, .populous = true},
};
const size_t row_count = COUNT(rows);
