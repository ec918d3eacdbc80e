// What the parts of the benchmark share: a worker that drives one peer, and the table of rows.
#pragma once

#include <pkcs11.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <strongroom.h>
#include <time.h>

#define TOKEN_LABEL "bench"
// Eight characters: openCryptoki's token takes no more.
#define USER_PIN "user1234"
#define OFFICER_PIN "offi5678"
#define MAXIMUM_BYTES (64u << 20)
#define MAXIMUM_CLIENTS 8
#define SAMPLES 60
#define POINTS 16
#define POINT_BYTES 65
#define FAILED UINT64_MAX

typedef enum {
  KEY_AES128,
  KEY_AES256,
  KEY_HMAC,
  KEY_P256,
  KEY_P384,
  KEY_ED25519,
  KEY_RSA2048,
  KEY_RSA3072,
  KEY_COUNT
} KeyKind;

typedef struct {
  CK_OBJECT_HANDLE secret; // a secret key, or the private half of a pair
  CK_OBJECT_HANDLE public; // the other half
} Key;

// A process of its own, or a thread of one, that drives one peer: a PKCS#11 module, or libcrypto when `module` is NULL.
typedef struct Worker {
  const char *name;
  const char *module;
  char error[200]; // of the last call that failed

  CK_FUNCTION_LIST *p11;
  CK_FUNCTION_LIST_3_0 *p11_3;             // NULL when the module has no interface of PKCS#11 3.0 or later
  CK_STRONGROOM_FUNCTION_LIST *strongroom; // NULL when the module has no such interface
  CK_SLOT_ID slot;
  CK_SESSION_HANDLE session;
  CK_SESSION_HANDLE message_session; // with a message operation active
  Key keys[2][KEY_COUNT];            // token keys and session keys; made, or found by their label, when first asked for
  CK_OBJECT_HANDLE buffer;           // restricted
  unsigned population;               // token objects made for the searches
  unsigned turn;                     // of the search, and of the peer's points
  uint64_t empty_world;              // bytes resident in the secure world before the first of them

  struct Raw *raw;
  unsigned char *input, *output; // MAXIMUM_BYTES each, and a page for a tag; in shared memory for the rows that want it
  unsigned char *own_input, *own_output;
  unsigned char iv[16], tag[16];
  unsigned char signature[512];
  size_t signature_length;
  unsigned char points[POINTS][POINT_BYTES]; // of peers, on P-256
} Worker;

// What a row's values are, and how they are printed.
typedef enum {
  UNIT_TIME,  // ticks of one call
  UNIT_RATE,  // the same, but what counts is how many calls all clients did in a second
  UNIT_BYTES, // of memory
} Unit;

typedef struct Row Row;
struct Row {
  const char *name;
  size_t bytes; // of payload, or a number of objects
  KeyKind key;
  CK_MECHANISM_TYPE mechanism;
  // Makes what the row needs. False: the peer cannot do it, and `error` says why.
  bool (*prepare)(Worker *, const Row *);
  // Does it once and answers the ticks of the timed part (bytes for UNIT_BYTES), or FAILED.
  uint64_t (*once)(Worker *, const Row *);
  // The same with libcrypto; NULL where there is nothing to compare with.
  bool (*raw_prepare)(Worker *, const Row *);
  uint64_t (*raw_once)(Worker *, const Row *);

  Unit unit;
  unsigned pace;      // microseconds from the begin of a call to the next one's; 0: at once
  bool session_key;   // instead of a token key
  bool shared;        // the payload lies in memory that the secure world has mapped as well, through our vendor interface
  bool busy;          // beside a process that computes all the time
  bool populous;      // wants a store with many objects: one in memory, so that filling it does not take minutes
  unsigned threads;   // clients in one process, each with a session of its own; 0: the worker alone
  unsigned processes; // clients in processes of their own; 0: the worker alone
};

extern const Row rows[];
extern const size_t row_count;

// clock.c: ticks of the time-stamp counter where it is steady, of the monotonic clock otherwise.
uint64_t ticks(void);
double nanoseconds_per_tick(void);
uint64_t monotonic_nanoseconds(void);

// token.c
bool token_open(Worker *, bool initialise);
void token_close(Worker *);
// The key of that kind; false when the peer cannot make one.
bool token_key(Worker *, KeyKind, bool session_key);
// What is known of the token's objects is no longer true: it was left, or its user has logged out.
void token_forget(Worker *);
bool failed(Worker *, const char *what, CK_RV);

// raw.c
bool raw_open(Worker *);
void raw_close(Worker *);

// processes.c: the processes of the secure world whose store lies in `folder`.
typedef struct {
  clockid_t clock[8];
  size_t count;
} WorldClocks;
WorldClocks world_clocks(const char *folder);
uint64_t processor_nanoseconds(const WorldClocks *);
uint64_t world_resident_bytes(const char *folder);
uint64_t own_resident_bytes(void);
// The folder of the stores that this run uses at present.
const char *stores_folder(void);

// clients.c: as many threads as the row wants, each with a session of its own (and a copy of the worker), at work for a time.
// Adds their times to `count`, by the bucket that `bucket_of` answers. Answers the number of calls, or FAILED.
uint64_t run_threads(Worker *, const Row *, uint64_t nanoseconds, size_t (*bucket_of)(uint64_t), uint64_t *count,
                     size_t buckets, uint64_t *wall_nanoseconds);
// One call at its time after another until the time is over. Answers the number of calls, or FAILED.
uint64_t run_calls(Worker *, const Row *, uint64_t nanoseconds, size_t (*bucket_of)(uint64_t), uint64_t *count);
