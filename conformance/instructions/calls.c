// The calls whose instructions are counted: `calls MODULE` makes a token where there is none, then does each kind of call some
// times to warm up and COUNTED times to be counted. It prints a line a kind: its name, how often the secure world had been
// asked when the counted ones began, and how often a call asks it.
//
// Under callgrind (--collect-atstart=no) each counted call is a dump of its own.
#include <stdio.h>
#include <string.h>
#include <valgrind/callgrind.h>

#include "bench.h"

enum { WARMING = 50, COUNTED = 33 };

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_BYTE input[1024], output[1100], iv[16], tag[16];

static bool mac(Worker *worker) {
  CK_MECHANISM mechanism = {CKM_SHA256_HMAC, NULL, 0};
  CK_ULONG length = sizeof output;
  return !failed(worker, "C_SignInit", worker->p11->C_SignInit(worker->session, &mechanism, worker->keys[0][KEY_HMAC].secret)) &&
         !failed(worker, "C_Sign", worker->p11->C_Sign(worker->session, input, 64, output, &length));
}

static bool encrypt(Worker *worker, CK_MECHANISM mechanism, CK_ULONG bytes) {
  CK_ULONG length = sizeof output;
  return !failed(worker, "C_EncryptInit",
                 worker->p11->C_EncryptInit(worker->session, &mechanism, worker->keys[0][KEY_AES256].secret)) &&
         !failed(worker, "C_Encrypt", worker->p11->C_Encrypt(worker->session, input, bytes, output, &length));
}

static bool gcm(Worker *worker, CK_ULONG bytes) {
  CK_GCM_PARAMS parameters = {.pIv = iv, .ulIvLen = 12, .ulIvBits = 96, .ulTagBits = 128};
  return encrypt(worker, (CK_MECHANISM){CKM_AES_GCM, &parameters, sizeof parameters}, bytes);
}

static bool gcm_16(Worker *worker) { return gcm(worker, 16); }
static bool gcm_1k(Worker *worker) { return gcm(worker, 1024); }
static bool cbc_16(Worker *worker) { return encrypt(worker, (CK_MECHANISM){CKM_AES_CBC, iv, 16}, 16); }

static bool message_gcm_16(Worker *worker) {
  CK_GCM_MESSAGE_PARAMS parameters = {.pIv = iv, .ulIvLen = 12, .pTag = tag, .ulTagBits = 128};
  CK_MECHANISM mechanism = {CKM_AES_GCM, NULL, 0};
  CK_ULONG length = sizeof output;
  if (worker->message_session == CK_INVALID_HANDLE &&
      (failed(worker, "C_OpenSession",
              worker->p11->C_OpenSession(worker->slot, CKF_SERIAL_SESSION, NULL, NULL, &worker->message_session)) ||
       failed(worker, "C_MessageEncryptInit",
              worker->p11_3->C_MessageEncryptInit(worker->message_session, &mechanism, worker->keys[0][KEY_AES256].secret))))
    return false;
  return !failed(worker, "C_EncryptMessage",
                 worker->p11_3->C_EncryptMessage(worker->message_session, &parameters, sizeof parameters, NULL, 0, input, 16,
                                                 output, &length));
}

static bool attributes(Worker *worker) {
  CK_BYTE label[64];
  CK_ULONG class, type;
  CK_ATTRIBUTE template[] = {
      {CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type}, {CKA_LABEL, label, sizeof label}};
  return !failed(worker, "C_GetAttributeValue",
                 worker->p11->C_GetAttributeValue(worker->session, worker->keys[0][KEY_AES256].secret, template, 3));
}

static bool find(Worker *worker) {
  CK_ATTRIBUTE template[] = {{CKA_LABEL, "bench-hmac", 10}};
  CK_OBJECT_HANDLE found[2];
  CK_ULONG count = 0;
  return !failed(worker, "C_FindObjectsInit", worker->p11->C_FindObjectsInit(worker->session, template, 1)) &&
         !failed(worker, "C_FindObjects", worker->p11->C_FindObjects(worker->session, found, 2, &count)) && count == 1 &&
         !failed(worker, "C_FindObjectsFinal", worker->p11->C_FindObjectsFinal(worker->session));
}

static bool session_key(Worker *worker) {
  static CK_BYTE value[16] = {1};
  CK_OBJECT_CLASS class = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_AES;
  CK_OBJECT_HANDLE key;
  CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
                             {CKA_VALUE, value, sizeof value},  {CKA_TOKEN, &no, 1},
                             {CKA_ENCRYPT, &yes, 1}};
  return !failed(worker, "C_CreateObject", worker->p11->C_CreateObject(worker->session, template, 5, &key)) &&
         !failed(worker, "C_DestroyObject", worker->p11->C_DestroyObject(worker->session, key));
}

static bool random_32(Worker *worker) {
  return !failed(worker, "C_GenerateRandom", worker->p11->C_GenerateRandom(worker->session, output, 32));
}

static bool digest_64(Worker *worker) {
  CK_MECHANISM mechanism = {CKM_SHA256, NULL, 0};
  CK_ULONG length = sizeof output;
  return !failed(worker, "C_DigestInit", worker->p11->C_DigestInit(worker->session, &mechanism)) &&
         !failed(worker, "C_Digest", worker->p11->C_Digest(worker->session, input, 64, output, &length));
}

static bool session_info(Worker *worker) {
  CK_SESSION_INFO info;
  return !failed(worker, "C_GetSessionInfo", worker->p11->C_GetSessionInfo(worker->session, &info));
}

static const struct {
  const char *name;
  bool (*call)(Worker *);
} kinds[] = {
    {"hmac-sha256-64", mac},      {"aes256-cbc-16", cbc_16},       {"aes256-gcm-16", gcm_16},
    {"aes256-gcm-1k", gcm_1k},    {"message-gcm-16", message_gcm_16}, {"get-attributes", attributes},
    {"find", find},               {"create-destroy-aes-session", session_key},
    {"random-32", random_32},     {"sha256-64", digest_64},        {"session-info", session_info},
};

static unsigned long asked(Worker *worker) {
  CK_STRONGROOM_STATISTICS statistics;
  return worker->strongroom->GetStatistics(&statistics) == CKR_OK ? statistics.ulCrossings : 0;
}

static int give_up(const Worker *worker) {
  fprintf(stderr, "calls: %s\n", worker->error);
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: calls MODULE\n");
    return 2;
  }
  Worker worker = {.name = "calls", .module = argv[1]};
  if (!token_open(&worker, true) || !worker.strongroom || !worker.p11_3 || !token_key(&worker, KEY_HMAC, false) ||
      !token_key(&worker, KEY_AES256, false))
    return give_up(&worker);
  for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
    for (int i = 0; i < WARMING; i++)
      if (!kinds[kind].call(&worker)) return give_up(&worker);
    unsigned long before = asked(&worker);
    for (int i = 0; i < COUNTED; i++) {
      CALLGRIND_TOGGLE_COLLECT;
      bool good = kinds[kind].call(&worker);
      CALLGRIND_TOGGLE_COLLECT;
      CALLGRIND_DUMP_STATS;
      if (!good) return give_up(&worker);
    }
    printf("%s %lu %lu\n", kinds[kind].name, before, (asked(&worker) - before + COUNTED / 2) / COUNTED);
  }
  token_close(&worker);
  return 0;
}
