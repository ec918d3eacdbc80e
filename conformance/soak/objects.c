// Token objects and the ledger: before a change goes to the token the driver is told what is to come, after it what was
// acknowledged. So a process may be killed at any moment, and the driver still knows what must be there, what must not, and of
// which one object either may be.
#include <stdio.h>
#include <string.h>

#include "soak.h"

#define OWN_ID "soak-own"
#define POPULATION_ID "soak-population"

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static CK_BYTE ed25519_name[] = {0x06, 0x03, 0x2b, 0x65, 0x70};

// ---- making

static bool create_key(Thread *thread, const char *label, const char *id, CK_KEY_TYPE type) {
  CK_OBJECT_CLASS class = CKO_SECRET_KEY;
  CK_OBJECT_HANDLE key;
  CK_BYTE value[32];
  value_of(label, value);
  bool aes = type == CKK_AES;
  CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class},   {CKA_KEY_TYPE, &type, sizeof type},
                             {CKA_VALUE, value, sizeof value},    {CKA_TOKEN, &yes, 1},
                             {CKA_LABEL, (void *)label, strlen(label)}, {CKA_ID, (void *)id, strlen(id)},
                             {CKA_SIGN, &yes, 1},                 {CKA_VERIFY, &yes, 1},
                             {CKA_ENCRYPT, aes ? &yes : &no, 1},  {CKA_DECRYPT, aes ? &yes : &no, 1}};
  DO(C_CreateObject, thread->session, template, COUNT(template) - (aes ? 0 : 2), &key);
  return true;
}

static size_t data_of(const char *label, unsigned version, CK_BYTE *value) {
  // Of different lengths, so that a change moves things.
  size_t length = 40 + (version * 37) % 400;
  char name[64];
  CK_BYTE block[32];
  snprintf(name, sizeof name, "%u of %s", version, label);
  value_of(name, block);
  for (size_t i = 0; i < length; i++) value[i] = block[i % 32] + (CK_BYTE)(i / 32);
  return length;
}

static bool create_data(Thread *thread, const char *label, const char *id) {
  CK_OBJECT_CLASS class = CKO_DATA;
  CK_OBJECT_HANDLE object;
  CK_BYTE value[512];
  size_t length = data_of(label, 0, value);
  CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_VALUE, value, length}, {CKA_TOKEN, &yes, 1},
                             {CKA_PRIVATE, &yes, 1}, {CKA_LABEL, (void *)label, strlen(label)},
                             {CKA_APPLICATION, (void *)id, strlen(id)}};
  DO(C_CreateObject, thread->session, template, COUNT(template), &object);
  return true;
}

static bool make_pair(Thread *thread, const char *label, const char *id, CK_MECHANISM_TYPE type, CK_ATTRIBUTE parameter) {
  CK_MECHANISM mechanism = {type, NULL, 0};
  CK_OBJECT_HANDLE public_key, private_key;
  CK_ATTRIBUTE name = {CKA_LABEL, (void *)label, strlen(label)}, number = {CKA_ID, (void *)id, strlen(id)};
  CK_ATTRIBUTE public_template[] = {parameter, name, number, {CKA_TOKEN, &yes, 1}};
  CK_ATTRIBUTE private_template[] = {name, number, {CKA_TOKEN, &yes, 1}, {CKA_DERIVE, type == CKM_EC_KEY_PAIR_GEN ? &yes : &no, 1}};
  DO(C_GenerateKeyPair, thread->session, &mechanism, public_template, COUNT(public_template), private_template,
     COUNT(private_template), &public_key, &private_key);
  return true;
}

static bool make_key(Thread *thread, const char *label, const char *id) {
  CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
  CK_ULONG length = 32;
  CK_OBJECT_HANDLE key;
  CK_ATTRIBUTE template[] = {{CKA_VALUE_LEN, &length, sizeof length}, {CKA_TOKEN, &yes, 1},
                             {CKA_LABEL, (void *)label, strlen(label)}, {CKA_ID, (void *)id, strlen(id)}, {CKA_SIGN, &yes, 1}};
  DO(C_GenerateKey, thread->session, &mechanism, template, COUNT(template), &key);
  return true;
}

bool make_shared_keys(Thread *thread) {
  CK_ULONG bits = 2048;
  return make_key(thread, "shared-aes", "shared") && create_key(thread, "shared-known", "shared", CKK_AES) &&
         create_key(thread, "shared-hmac", "shared", CKK_GENERIC_SECRET) &&
         make_pair(thread, "shared-p256", "shared", CKM_EC_KEY_PAIR_GEN, (CK_ATTRIBUTE){CKA_EC_PARAMS, p256, sizeof p256}) &&
         make_pair(thread, "shared-ed25519", "shared", CKM_EC_EDWARDS_KEY_PAIR_GEN,
                   (CK_ATTRIBUTE){CKA_EC_PARAMS, ed25519_name, sizeof ed25519_name}) &&
         make_pair(thread, "shared-rsa", "shared", CKM_RSA_PKCS_KEY_PAIR_GEN,
                   (CK_ATTRIBUTE){CKA_MODULUS_BITS, &bits, sizeof bits});
}

static void population_label(unsigned number, char label[40]) {
  snprintf(label, 40, "population-%06u-%c", number, number % 2 ? KIND_KNOWN_KEY : KIND_DATA);
}

bool populate(Thread *thread, unsigned first, unsigned end) {
  for (unsigned number = first; number < end; number++) {
    char label[40];
    population_label(number, label);
    if (number % 2 ? !create_key(thread, label, POPULATION_ID, CKK_AES) : !create_data(thread, label, POPULATION_ID)) return false;
  }
  return true;
}

static bool make(Thread *thread, const Own *own) {
  switch (own->kind) {
    case KIND_KNOWN_KEY: return create_key(thread, own->label, OWN_ID, CKK_AES);
    case KIND_MADE_KEY: return make_key(thread, own->label, OWN_ID);
    case KIND_PAIR:
      return make_pair(thread, own->label, OWN_ID, CKM_EC_KEY_PAIR_GEN, (CK_ATTRIBUTE){CKA_EC_PARAMS, p256, sizeof p256});
    case KIND_DATA: return create_data(thread, own->label, OWN_ID);
  }
  return false;
}

// ---- checking

static bool code_is(Thread *thread, CK_OBJECT_HANDLE key, const CK_BYTE *wanted) {
  CK_MECHANISM mechanism = {CKM_AES_CMAC, NULL, 0};
  CK_BYTE code[16];
  CK_ULONG count = sizeof code;
  DO(C_SignInit, thread->session, &mechanism, key);
  DO(C_Sign, thread->session, (CK_BYTE *)"the same text", 13, code, &count);
  CHECK(!wanted || memcmp(code, wanted, 16) == 0, "the key has the value it was made with");
  return true;
}

static bool known_key_is_right(Thread *thread, CK_OBJECT_HANDLE key, const char *label) {
  CK_BYTE value[32], wanted[16];
  value_of(label, value);
  reference_cmac(value, sizeof value, "the same text", 13, wanted);
  return code_is(thread, key, wanted);
}

// Its value is that of one of two versions, whichever is answered.
static bool data_is_right(Thread *thread, CK_OBJECT_HANDLE object, const char *label, unsigned first, unsigned last,
                          unsigned *version) {
  CK_BYTE value[512], wanted[512];
  CK_ATTRIBUTE template = {CKA_VALUE, value, sizeof value};
  DO(C_GetAttributeValue, thread->session, object, &template, 1);
  for (*version = first; *version <= last; ++*version) {
    size_t length = data_of(label, *version, wanted);
    if (template.ulValueLen == length && memcmp(value, wanted, length) == 0) return true;
  }
  CHECK(false, "the data are those of the version that was acknowledged");
  return false;
}

static bool pair_is_right(Thread *thread, CK_OBJECT_HANDLE public_key, CK_OBJECT_HANDLE private_key) {
  CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
  CK_BYTE digest[32] = {7}, signature[64], point[100];
  CK_ULONG count = sizeof signature;
  DO(C_SignInit, thread->session, &mechanism, private_key);
  DO(C_Sign, thread->session, digest, sizeof digest, signature, &count);
  CK_ATTRIBUTE template = {CKA_EC_POINT, point, sizeof point};
  DO(C_GetAttributeValue, thread->session, public_key, &template, 1);
  CHECK(reference_verify_ecdsa(point, template.ulValueLen, digest, signature), "the halves of a pair belong together");
  return true;
}

// The objects of a label: of pairs the public key first.
static bool locate(Thread *thread, const Own *own, CK_OBJECT_HANDLE found[3], CK_ULONG *count) {
  if (own->kind != KIND_PAIR) return find(thread, own->label, NULL, CK_UNAVAILABLE_INFORMATION, found, 3, count);
  CK_ULONG private_count = 0;
  if (!find(thread, own->label, NULL, CKO_PUBLIC_KEY, found, 2, count)) return false;
  if (!find(thread, own->label, NULL, CKO_PRIVATE_KEY, found + *count, 3 - *count, &private_count)) return false;
  *count += private_count;
  return true;
}

// ---- changing

static void drop(Thread *thread, Own *own) { *own = thread->own[--thread->own_count]; }

static bool creates(Thread *thread) {
  static const Kind kinds[] = {KIND_KNOWN_KEY, KIND_KNOWN_KEY, KIND_MADE_KEY, KIND_PAIR, KIND_DATA, KIND_DATA};
  Own *own = &thread->own[thread->own_count];
  *own = (Own){.kind = kinds[below(thread, COUNT(kinds))], .doubt = MADE_PERHAPS};
  snprintf(own->label, sizeof own->label, "own-%d-%u-%d-%u-%c", process.number, process.generation, thread->number,
           thread->next_label++, own->kind);
  thread->own_count++;
  report("ledger create %s", own->label);
  if (!make(thread, own)) return false;
  own->doubt = SURE;
  report("ledger created %s", own->label);
  return true;
}

static bool changes(Thread *thread, Own *own, CK_OBJECT_HANDLE object) {
  CK_BYTE value[512];
  size_t length = data_of(own->label, own->version + 1, value);
  CK_ATTRIBUTE template = {CKA_VALUE, value, length};
  own->doubt = CHANGED_PERHAPS;
  report("ledger change %s %u", own->label, own->version + 1);
  DO(C_SetAttributeValue, thread->session, object, &template, 1);
  own->version++;
  own->doubt = SURE;
  report("ledger changed %s %u", own->label, own->version);
  return true;
}

static bool destroys(Thread *thread, Own *own, CK_OBJECT_HANDLE *found, CK_ULONG count) {
  own->doubt = DESTROYED_PERHAPS;
  report("ledger destroy %s", own->label);
  for (CK_ULONG i = 0; i < count; i++) DO(C_DestroyObject, thread->session, found[i]);
  report("ledger destroyed %s", own->label);
  drop(thread, own);
  return true;
}

bool token_objects(Thread *thread) {
  if (thread->own_count < OWN_OBJECTS && below(thread, 2)) return creates(thread);
  if (thread->own_count == 0) return creates(thread);
  Own *own = &thread->own[below(thread, thread->own_count)];
  CK_OBJECT_HANDLE found[3];
  CK_ULONG count, whole = own->kind == KIND_PAIR ? 2 : 1;
  if (!locate(thread, own, found, &count)) return false;
  // What is in doubt is settled by what is there: all of it or nothing, for a pair that is being destroyed also its half.
  if (own->doubt == DESTROYED_PERHAPS) {
    CHECK(count <= whole, "an object is there at most once");
    if (count > 0) return destroys(thread, own, found, count);
    report("ledger destroyed %s", own->label);
    drop(thread, own);
    return true;
  }
  if (own->doubt == MADE_PERHAPS && count == 0) {
    report("ledger absent %s", own->label);
    drop(thread, own);
    return true;
  }
  CHECK(count == whole, "an object that was acknowledged is there, once and whole");
  if (own->doubt == MADE_PERHAPS) report("ledger created %s", own->label);
  unsigned newest = own->version + (own->doubt == CHANGED_PERHAPS);
  bool good = own->kind == KIND_KNOWN_KEY ? known_key_is_right(thread, found[0], own->label)
              : own->kind == KIND_MADE_KEY ? code_is(thread, found[0], NULL)
              : own->kind == KIND_PAIR     ? pair_is_right(thread, found[0], found[1])
                                           : data_is_right(thread, found[0], own->label, own->version, newest, &own->version);
  if (!good) return false;
  if (own->doubt == CHANGED_PERHAPS) report("ledger changed %s %u", own->label, own->version);
  own->doubt = SURE;
  if (own->kind == KIND_DATA && below(thread, 3)) return changes(thread, own, found[0]);
  if (below(thread, 2)) return destroys(thread, own, found, count);
  return true;
}

// Another thread's objects, which may be destroyed at any moment: used meanwhile, or gone, and nothing else.
bool others_objects(Thread *thread) {
  CK_OBJECT_HANDLE found[100];
  CK_ULONG count;
  if (!find(thread, NULL, OWN_ID, CKO_SECRET_KEY, found, COUNT(found), &count)) return false;
  for (int tries = 0; tries < 3 && count > 0; tries++) {
    CK_OBJECT_HANDLE object = found[below(thread, count)];
    char label[64];
    CK_ATTRIBUTE template = {CKA_LABEL, label, sizeof label - 1};
    CK_RV answer = CALL(C_GetAttributeValue, thread->session, object, &template, 1);
    if (answer == CKR_OBJECT_HANDLE_INVALID) continue;
    if (!expected(thread, "C_GetAttributeValue", CKR_OK, answer)) return false;
    label[template.ulValueLen] = 0;
    CK_MECHANISM mechanism = {CKM_AES_CMAC, NULL, 0};
    CK_BYTE value[32], wanted[16], code[16];
    CK_ULONG length = sizeof code;
    answer = CALL(C_SignInit, thread->session, &mechanism, object);
    if (answer == CKR_KEY_HANDLE_INVALID) continue;
    if (!expected(thread, "C_SignInit", CKR_OK, answer)) return false;
    answer = CALL(C_Sign, thread->session, (CK_BYTE *)"the same text", 13, code, &length);
    if (answer == CKR_KEY_HANDLE_INVALID) continue;
    if (!expected(thread, "C_Sign", CKR_OK, answer)) return false;
    if (label[strlen(label) - 1] != KIND_KNOWN_KEY) continue;
    value_of(label, value);
    reference_cmac(value, sizeof value, "the same text", 13, wanted);
    CHECK(memcmp(code, wanted, 16) == 0, "another's key has the value it was made with");
  }
  return true;
}

bool population(Thread *thread) {
  if (process.population == 0) return true;
  unsigned number = (unsigned)below(thread, process.population), version;
  char label[40];
  CK_OBJECT_HANDLE found[2];
  CK_ULONG count;
  population_label(number, label);
  if (!find(thread, label, NULL, CK_UNAVAILABLE_INFORMATION, found, 2, &count)) return false;
  CHECK(count == 1, "an object of the population is there");
  return number % 2 ? known_key_is_right(thread, found[0], label)
                    : data_is_right(thread, found[0], label, 0, 0, &version);
}

// Whether a label is one of this process's present life, and not of those that it succeeds.
static bool is_mine(const char *label) {
  char prefix[40];
  snprintf(prefix, sizeof prefix, "own-%d-%u-", process.number, process.generation);
  return strncmp(label, prefix, strlen(prefix)) == 0;
}

bool adopt(Thread *thread) {
  static char labels[1024][64];
  size_t destroyed = 0;
  CK_ATTRIBUTE by_id[] = {{CKA_TOKEN, &yes, 1}, {CKA_ID, OWN_ID, strlen(OWN_ID)}};
  CK_ATTRIBUTE by_application[] = {{CKA_TOKEN, &yes, 1}, {CKA_APPLICATION, OWN_ID, strlen(OWN_ID)}};
  CK_ATTRIBUTE *templates[] = {by_id, by_application};
  char prefix[20];
  snprintf(prefix, sizeof prefix, "own-%d-", process.number);
  for (int i = 0; i < 2; i++) {
    CK_OBJECT_HANDLE found[1024];
    CK_ULONG count;
    DO(C_FindObjectsInit, thread->session, templates[i], 2);
    DO(C_FindObjects, thread->session, found, COUNT(found), &count);
    DO(C_FindObjectsFinal, thread->session);
    for (CK_ULONG j = 0; j < count && destroyed < COUNT(labels); j++) {
      char *label = labels[destroyed];
      CK_ATTRIBUTE name = {CKA_LABEL, label, sizeof labels[0] - 1};
      CK_RV answer = CALL(C_GetAttributeValue, thread->session, found[j], &name, 1);
      // The killed process's last requests may still be under way, and others destroy what is theirs.
      if (answer == CKR_OBJECT_HANDLE_INVALID) continue;
      if (!expected(thread, "C_GetAttributeValue", CKR_OK, answer)) return false;
      label[name.ulValueLen] = 0;
      if (strncmp(label, prefix, strlen(prefix)) != 0 || is_mine(label)) continue;
      report("ledger destroy %s", label);
      answer = CALL(C_DestroyObject, thread->session, found[j]);
      if (answer != CKR_OBJECT_HANDLE_INVALID && !expected(thread, "C_DestroyObject", CKR_OK, answer)) return false;
      destroyed++;
    }
  }
  // Only now is a pair gone as a whole.
  for (size_t i = 0; i < destroyed; i++) report("ledger destroyed %s", labels[i]);
  return true;
}

// ---- sessions and session objects

bool sessions(Thread *thread) {
  CK_SESSION_HANDLE opened[12];
  CK_SESSION_INFO info;
  CK_MECHANISM mechanism = {CKM_AES_CMAC, NULL, 0};
  size_t count = 1 + below(thread, COUNT(opened));
  for (size_t i = 0; i < count; i++) {
    if (!another_session(thread, CKF_RW_SESSION, &opened[i])) return false;
    if (below(thread, 2)) DO(C_SignInit, opened[i], &mechanism, thread->shared[SHARED_KNOWN]);
  }
  for (size_t i = count; i > 0; i--) {
    size_t which = below(thread, i);
    DO(C_GetSessionInfo, opened[which], &info);
    CHECK(info.state == CKS_RW_USER_FUNCTIONS, "a new session shares the login");
    DO(C_CloseSession, opened[which]);
    WANT(CKR_SESSION_HANDLE_INVALID, C_GetSessionInfo, opened[which], &info);
    opened[which] = opened[i - 1];
  }
  return true;
}

bool session_objects(Thread *thread) {
  CK_OBJECT_HANDLE key, copy, found[40];
  CK_SESSION_HANDLE other;
  CK_ULONG count;
  CK_BYTE value[32], shown[64];
  char label[40];
  fill(thread, value, sizeof value);
  snprintf(label, sizeof label, "object-%016llx", (unsigned long long)any(thread));
  CK_ATTRIBUTE name = {CKA_LABEL, label, strlen(label)}, hidden = {CKA_VALUE, shown, sizeof shown};
  if (!session_key(thread, value, sizeof value, &key)) return false;
  DO(C_SetAttributeValue, thread->session, key, &name, 1);
  DO(C_CopyObject, thread->session, key, &name, 1, &copy);
  WANT(CKR_ATTRIBUTE_SENSITIVE, C_GetAttributeValue, thread->session, copy, &hidden, 1);
  DO(C_FindObjectsInit, thread->session, &name, 1);
  DO(C_FindObjects, thread->session, found, COUNT(found), &count);
  DO(C_FindObjectsFinal, thread->session);
  CHECK(count == 2, "a key and its copy are found");
  DO(C_DestroyObject, thread->session, key);
  WANT(CKR_OBJECT_HANDLE_INVALID, C_DestroyObject, thread->session, key);
  if (below(thread, 2)) DO(C_DestroyObject, thread->session, copy);  // else it goes with the session, later

  // What belongs to a session goes with it.
  if (!another_session(thread, CKF_RW_SESSION, &other)) return false;
  CK_SESSION_HANDLE mine = thread->session;
  snprintf(label, sizeof label, "object-%016llx", (unsigned long long)any(thread));
  for (size_t i = 0; i < 20; i++) {
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, name, {CKA_VALUE, thread->input, below(thread, 5000)}};
    DO(C_CreateObject, other, template, COUNT(template), &found[i]);
  }
  DO(C_FindObjectsInit, mine, &name, 1);
  DO(C_FindObjects, mine, found, COUNT(found), &count);
  DO(C_FindObjectsFinal, mine);
  CHECK(count == 20, "objects of another session of this process are found");
  DO(C_CloseSession, other);
  DO(C_FindObjectsInit, mine, &name, 1);
  DO(C_FindObjects, mine, found, COUNT(found), &count);
  DO(C_FindObjectsFinal, mine);
  CHECK(count == 0, "they go with their session");
  return true;
}

// ---- the audit

static bool audit_one(Thread *thread, CK_OBJECT_HANDLE object) {
  char label[64];
  CK_OBJECT_CLASS class;
  CK_ATTRIBUTE template[] = {{CKA_LABEL, label, sizeof label - 1}, {CKA_CLASS, &class, sizeof class}};
  DO(C_GetAttributeValue, thread->session, object, template, 2);
  label[template[0].ulValueLen] = 0;
  bool of_population = strncmp(label, "population-", 11) == 0;
  if (!of_population && strncmp(label, "own-", 4) != 0) {
    // Shared keys, and the profiles that every token has.
    if (strncmp(label, "shared-", 7) != 0 && class != CKO_PROFILE) report("audit stranger %s", label);
    return true;
  }
  char kind = label[strlen(label) - 1];
  unsigned version = 0;
  bool good = true;
  switch (kind) {
    case KIND_KNOWN_KEY: good = known_key_is_right(thread, object, label); break;
    case KIND_MADE_KEY: good = code_is(thread, object, NULL); break;
    case KIND_DATA: good = data_is_right(thread, object, label, 0, of_population ? 0 : 100000, &version); break;
    case KIND_PAIR:
      if (class == CKO_PUBLIC_KEY) {
        CK_OBJECT_HANDLE private_key;
        CK_ULONG count;
        if (!find(thread, label, NULL, CKO_PRIVATE_KEY, &private_key, 1, &count)) return false;
        // A half is the ledger's to judge.
        good = count == 0 || pair_is_right(thread, object, private_key);
      }
      break;
    default: report("audit stranger %s", label);
  }
  report("audit %s %s %lu %u %d", of_population ? "population" : "own", label, class, version, good);
  return true;
}

bool audit(Thread *thread) {
  CK_BBOOL token = CK_TRUE;
  CK_ATTRIBUTE template = {CKA_TOKEN, &token, 1};
  static CK_OBJECT_HANDLE found[1 << 20];
  CK_ULONG count;
  DO(C_FindObjectsInit, thread->session, &template, 1);
  DO(C_FindObjects, thread->session, found, COUNT(found), &count);
  DO(C_FindObjectsFinal, thread->session);
  for (CK_ULONG i = 0; i < count; i++)
    if (!audit_one(thread, found[i])) return false;
  report("audit end %lu", count);
  return true;
}
