// The soak's worker: a process that uses the token as an application does, in several threads, and checks every result.
// What it does and how it is judged is said in docs/soak.md; soak.py starts the workers and judges what they report.
#ifndef SOAK_H
#define SOAK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "strongroom.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define TOKEN_LABEL "soak"
#define OFFICER_PIN "8765-officer"
#define USER_PIN "1234-user"

enum {
  LARGEST = 320 << 10,  // bytes of the data that an ordinary item works on, at most
  ROOM = LARGEST + 64,  // and of what may come out of it
  OWN_OBJECTS = 8,      // token objects that one thread keeps
};

// ---- what a process and its threads are

// A row of the table in which the driver watches the threads. A file that all of them map, so that it outlives a process that is
// killed. soak.py knows the layout.
typedef struct Row {
  _Atomic uint64_t items;  // done, with every result as expected
  _Atomic uint64_t calls;
  _Atomic uint64_t since;  // monotonic nanoseconds: the begin of the present item
  _Atomic uint32_t state;
  _Atomic uint32_t thread;  // the kernel's number of it
  char item[32];
  char call[64];  // the last function that was called
} Row;
_Static_assert(sizeof(Row) == 128, "soak.py knows the layout");

// PAUSED with all others, WAITING for those of its process.
enum { STATE_NONE, STATE_WORKING, STATE_PAUSED, STATE_WAITING };

typedef enum Kind { KIND_KNOWN_KEY = 'k', KIND_MADE_KEY = 'm', KIND_PAIR = 'p', KIND_DATA = 'd' } Kind;

// What is not known of a token object after a call that did not come back with an answer.
typedef enum Doubt { SURE, MADE_PERHAPS, CHANGED_PERHAPS, DESTROYED_PERHAPS } Doubt;

// A token object of this thread's.
typedef struct Own {
  char label[40];
  Kind kind;
  unsigned version;
  Doubt doubt;
} Own;

typedef enum SharedKey { SHARED_AES, SHARED_KNOWN, SHARED_HMAC, SHARED_P256, SHARED_ED25519, SHARED_RSA, SHARED_KEYS } SharedKey;

typedef struct Thread {
  int number;
  uint64_t random;  // the state of its pseudo-random numbers
  Row *row;
  CK_SESSION_HANDLE session;
  unsigned epoch;  // of the process when the session was opened
  CK_OBJECT_HANDLE shared[SHARED_KEYS], shared_public[SHARED_KEYS];
  CK_BYTE *input, *output, *back;  // ROOM bytes each
  Own own[OWN_OBJECTS];
  size_t own_count;
  unsigned next_label;
  CK_RV last;  // the last unexpected answer
} Thread;

typedef struct Process {
  const char *module, *folder;
  CK_FUNCTION_LIST_3_2 *p11;
  CK_STRONGROOM_FUNCTION_LIST *strongroom;
  CK_SLOT_ID slot;
  int number;           // which of the workers
  unsigned generation;  // how often it was replaced
  unsigned population;  // objects that are there from the beginning
  // Held for reading by every item, for writing by those that end what the other threads have: logins and the library.
  pthread_rwlock_t life;
  _Atomic unsigned epoch;  // counts how often sessions and login have ended for all threads
} Process;

extern Process process;

// ---- reporting (report.c)

uint64_t now(void);

// One line to the driver, in one write: lines of several processes in one pipe stay whole.
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Notes the function that is about to be called.
void entering(Thread *thread, const char *function);

// Whether the answer is the expected one; any other is reported. The driver knows what was injected and judges.
bool expected(Thread *thread, const char *function, CK_RV wanted, CK_RV answer);

// Whether a result is right; a wrong one is reported, and never excused.
bool holds(Thread *thread, bool condition, const char *claim);

// CALL answers what the function does; WANT leaves the item unless that is the wanted answer; DO wants CKR_OK.
#define CALL(function, ...) (entering(thread, #function), process.p11->function(__VA_ARGS__))
#define WANT(answer, function, ...)                                                         \
  do {                                                                                      \
    if (!expected(thread, #function, (answer), CALL(function, __VA_ARGS__))) return false; \
  } while (0)
#define DO(function, ...) WANT(CKR_OK, function, __VA_ARGS__)
#define VENDOR_CALL(function, ...) (entering(thread, #function), process.strongroom->function(__VA_ARGS__))
#define VENDOR_WANT(answer, function, ...)                                                         \
  do {                                                                                             \
    if (!expected(thread, #function, (answer), VENDOR_CALL(function, __VA_ARGS__))) return false; \
  } while (0)
#define VENDOR_DO(function, ...) VENDOR_WANT(CKR_OK, function, __VA_ARGS__)
#define CHECK(condition, claim)                                 \
  do {                                                          \
    if (!holds(thread, (condition), (claim))) return false; \
  } while (0)

// ---- chance (report.c)

uint64_t any(Thread *thread);
// 0 ..< limit
size_t below(Thread *thread, size_t limit);
// A length as applications have them, LARGEST at most.
size_t any_length(Thread *thread);
// Pseudo-random bytes that cost little.
void fill(Thread *thread, void *bytes, size_t count);

// ---- what libcrypto says (reference.c)

typedef enum Cipher { CIPHER_ECB, CIPHER_CBC, CIPHER_CBC_PAD, CIPHER_CTR, CIPHER_GCM } Cipher;

// AES encryption. GCM: 12 bytes of IV, and 16 of tag at the end. Answers the length.
size_t reference_encrypt(Cipher cipher, const CK_BYTE *key, size_t key_length, const CK_BYTE *iv, const CK_BYTE *aad,
                         size_t aad_length, const CK_BYTE *input, size_t length, CK_BYTE *output);
size_t reference_digest(const char *name, const void *input, size_t length, CK_BYTE *output);
void reference_cmac(const CK_BYTE *key, size_t key_length, const void *input, size_t length, CK_BYTE output[16]);
void reference_hmac(const char *digest, const CK_BYTE *key, size_t key_length, const void *input, size_t length,
                    CK_BYTE *output);
// point and modulus as PKCS#11 gives them, signature as it answers it.
bool reference_verify_ecdsa(const CK_BYTE *point, size_t point_length, const CK_BYTE digest[32], const CK_BYTE signature[64]);
bool reference_verify_ed25519(const CK_BYTE *point, size_t point_length, const void *input, size_t length,
                              const CK_BYTE signature[64]);
bool reference_verify_rsa(const CK_BYTE *modulus, size_t modulus_length, const CK_BYTE *exponent, size_t exponent_length,
                          bool pss, const void *input, size_t length, const CK_BYTE *signature, size_t signature_length);
// The value of everything whose value is known follows from its name.
void value_of(const char *name, CK_BYTE value[32]);

// ---- life of the token in this process (life.c)

bool load_module(void);
bool initialize(Thread *thread);
// A new session, logged in, with the shared keys found.
bool begin(Thread *thread);
// The same after an item that went wrong, tried until it succeeds or the process ends.
void recover(Thread *thread);
CK_RV log_in(Thread *thread);
// One more session, logged in as the thread's own is.
bool another_session(Thread *thread, CK_FLAGS flags, CK_SESSION_HANDLE *session);
// Handles of the token objects with this label (or id, or both NULL: all); answers false when a call failed.
bool find(Thread *thread, const char *label, const char *id, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *found, CK_ULONG room,
          CK_ULONG *count);
bool logins(Thread *thread);
bool finalizes(Thread *thread);
bool finalizes_rudely(Thread *thread);
bool closes_all(Thread *thread);
bool forks(Thread *thread);
extern _Atomic bool ending;

// ---- items (ciphers.c, keys.c, objects.c, restricted.c): each checks every result, answers whether all were as expected, and leaves
// nothing behind but token objects that the ledger knows.

bool ciphers(Thread *thread);
bool large_cipher(Thread *thread);
bool messages(Thread *thread);
bool macs(Thread *thread);
bool digests(Thread *thread);
bool random_bytes(Thread *thread);
bool abandons(Thread *thread);
bool ecdsa(Thread *thread);
bool ed25519(Thread *thread);
bool rsa(Thread *thread);
bool agreement(Thread *thread);
bool generates(Thread *thread);
bool generates_rsa(Thread *thread);
bool wraps(Thread *thread);
bool sessions(Thread *thread);
bool session_objects(Thread *thread);
bool token_objects(Thread *thread);
bool others_objects(Thread *thread);
bool population(Thread *thread);
bool restricted(Thread *thread);
bool samples(Thread *thread);

typedef struct Item {
  const char *name;
  bool (*run)(Thread *thread);
  unsigned weight;
} Item;

void run_item(Thread *thread, const Item *item);
// An item by weight; without those of life when `plain`.
const Item *any_item(Thread *thread, bool plain);

// A session AES key with this value, for everything.
bool session_key(Thread *thread, const CK_BYTE *value, size_t length, CK_OBJECT_HANDLE *key);

// ---- token objects (objects.c)

// Destroys what an earlier process of this number left.
bool adopt(Thread *thread);
bool make_shared_keys(Thread *thread);
bool populate(Thread *thread, unsigned first, unsigned end);
// Reports every token object, and whether it is whole.
bool audit(Thread *thread);

#endif
