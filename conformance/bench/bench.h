// What the parts of the benchmark share: a worker that drives one peer, and the table of rows.
#pragma once

#include <pkcs11.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <strongroom.h>

#define TOKEN_LABEL "bench"
#define USER_PIN "1234-user"
#define OFFICER_PIN "5678-officer"
#define MAXIMUM_BYTES (4 << 20)
#define FAILED UINT64_MAX

typedef enum { KEY_AES128, KEY_AES256, KEY_HMAC, KEY_P256, KEY_ED25519, KEY_RSA2048, KEY_COUNT } KeyKind;

// A process of its own that drives one peer: a PKCS#11 module, or libcrypto when `module` is NULL.
typedef struct Worker {
  const char *name;
  const char *module;
  char error[200]; // of the last call that failed

  CK_FUNCTION_LIST *p11;
  CK_STRONGROOM_FUNCTION_LIST *strongroom; // NULL when the module has no such interface
  CK_SLOT_ID slot;
  CK_SESSION_HANDLE session;
  CK_OBJECT_HANDLE keys[KEY_COUNT]; // private halves, or secret keys; made when first asked for
  CK_OBJECT_HANDLE buffer;
  unsigned population; // token objects made for the searches

  struct Raw *raw;
  unsigned char *input, *output; // MAXIMUM_BYTES each, and room for a tag
  unsigned char iv[16];
} Worker;

typedef struct Row Row;
struct Row {
  const char *name;
  size_t bytes;     // of payload, or a number of objects
  unsigned pace;    // microseconds of sleep before each call
  bool populous;    // wants a store with many objects: one in memory, so that filling it does not take minutes
  // Makes what the row needs. False: the peer cannot do it, and `error` says why.
  bool (*prepare)(Worker *, const Row *);
  // Does it once and answers the ticks of the timed part, or FAILED.
  uint64_t (*once)(Worker *, const Row *);
  // The same with libcrypto; NULL where there is nothing to compare with.
  bool (*raw_prepare)(Worker *, const Row *);
  uint64_t (*raw_once)(Worker *, const Row *);
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
bool token_key(Worker *, KeyKind);
bool failed(Worker *, const char *what, CK_RV);
// Prints the nanoseconds from before dlopen to after C_Login in this process. The exit status is 0 when that succeeded.
int token_start_once(const char *module);

// raw.c
bool raw_open(Worker *);
