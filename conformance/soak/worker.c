// The worker's program. Usage: worker MODULE FOLDER
//     prepare POPULATION                              initialises the token and fills it
//   | work NUMBER GENERATION POPULATION THREADS SEED  works until it is told to end
//   | fair NUMBER THREADS                             counts what each thread gets done between two moments
//   | audit                                           reports every token object
// What it has to say goes to standard output, a line each. 'work' reads its orders, bytes, from standard input: p pause, r resume,
// e end; the end of the input ends it at once. 'fair' reads the two moments, in nanoseconds, when it has said that it is ready.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "soak.h"

enum { ROWS = 1024, ROWS_OF_A_WORKER = 16, FIRST_FAIR_ROW = 512, THREADS = 64, PREPARING_THREADS = 64 };

Process process;
static Row *rows;

static const Item items[] = {
    {"ciphers", ciphers, 220},
    {"large cipher", large_cipher, 2},
    {"messages", messages, 60},
    {"authentication codes", macs, 120},
    {"digests", digests, 60},
    {"random", random_bytes, 40},
    {"abandoned operations", abandons, 15},
    {"ecdsa", ecdsa, 30},
    {"ed25519", ed25519, 20},
    {"rsa", rsa, 10},
    {"key agreement", agreement, 15},
    {"key generation", generates, 40},
    {"rsa generation", generates_rsa, 1},
    {"wrapping", wraps, 40},
    {"sessions", sessions, 30},
    {"session objects", session_objects, 25},
    {"token objects", token_objects, 100},
    {"others' objects", others_objects, 30},
    {"population", population, 60},
    {"restricted buffers", restricted, 30},
    {"samples", samples, 30},
    // From here on items that take something from the other threads, or from this process.
    {"logins", logins, 4},
    {"finalize", finalizes, 3},
    {"close all sessions", closes_all, 3},
    {"fork", forks, 4},
    {"rude finalize", finalizes_rudely, 2},
};
enum { PLAIN_ITEMS = 21 };

// Worker 0 keeps its connection as long as the secure world lives; the others leave and return, as an item and at each pause.
static bool stays(void) { return process.number == 0; }

const Item *any_item(Thread *thread, bool plain) {
  size_t count = plain ? PLAIN_ITEMS : COUNT(items), total = 0;
  for (size_t i = 0; i < count; i++) total += items[i].weight;
  size_t chosen = below(thread, total);
  const Item *item = items;
  while (chosen >= item->weight) chosen -= item++->weight;
  return item;
}

static bool is_exclusive(const Item *item) {
  return item->run == logins || item->run == finalizes || item->run == closes_all;
}

void run_item(Thread *thread, const Item *item) {
  strncpy(thread->row->item, item->name, sizeof thread->row->item - 1);
  if (item->run(thread))
    atomic_fetch_add(&thread->row->items, 1);
  else
    recover(thread);
}

// ---- threads

static Thread *make_thread(int number, Row *row, uint64_t seed) {
  Thread *thread = calloc(1, sizeof *thread);
  thread->number = number;
  thread->random = (seed + 1) * 0x9e3779b97f4a7c15ull ^ (uint64_t)(number + 1) << 40;
  thread->row = row;
  memset(row, 0, sizeof *row);
  // Touched here, so that what they take does not look like growth.
  thread->input = malloc(3 * ROOM);
  thread->output = thread->input + ROOM;
  thread->back = thread->output + ROOM;
  fill(thread, thread->input, 3 * ROOM);
  return thread;
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static bool paused;
static int resting;  // threads that have come to rest

static void leave_session(Thread *thread) {
  if (thread->session == CK_INVALID_HANDLE || thread->epoch != process.epoch) return;
  expected(thread, "C_CloseSession", CKR_OK, CALL(C_CloseSession, thread->session));
  thread->session = CK_INVALID_HANDLE;
}

// At a pause a thread keeps no session, so that nothing of what it did is left on either side.
static void rest(Thread *thread) {
  atomic_store(&thread->row->state, STATE_WAITING);
  pthread_rwlock_rdlock(&process.life);
  leave_session(thread);
  pthread_rwlock_unlock(&process.life);
  pthread_mutex_lock(&gate);
  atomic_store(&thread->row->state, STATE_PAUSED);
  resting++;
  pthread_cond_broadcast(&gate_moved);
  while (paused && !ending) pthread_cond_wait(&gate_moved, &gate);
  resting--;
  atomic_store(&thread->row->since, now());
  atomic_store(&thread->row->state, STATE_WORKING);
  pthread_mutex_unlock(&gate);
}

static void *work(void *argument) {
  Thread *thread = argument;
  atomic_store(&thread->row->thread, (uint32_t)syscall(SYS_gettid));
  atomic_store(&thread->row->since, now());
  atomic_store(&thread->row->state, STATE_WORKING);
  unsigned before_renewal = 0;
  bool adopted = false;
  while (!ending) {
    pthread_mutex_lock(&gate);
    bool rests = paused;
    pthread_mutex_unlock(&gate);
    if (rests) {
      rest(thread);
      continue;
    }
    const Item *item = any_item(thread, false);
    if (item->run == finalizes_rudely && (thread->number != 0 || stays())) continue;
    if (item->run == finalizes && stays()) continue;
    atomic_store(&thread->row->state, STATE_WAITING);
    if (is_exclusive(item))
      pthread_rwlock_wrlock(&process.life);
    else
      pthread_rwlock_rdlock(&process.life);
    atomic_store(&thread->row->since, now());
    atomic_store(&thread->row->state, STATE_WORKING);
    if (thread->epoch != process.epoch) thread->session = CK_INVALID_HANDLE;
    // Session objects that items leave behind go with the session.
    if (before_renewal-- == 0) {
      before_renewal = 50 + (unsigned)below(thread, 100);
      leave_session(thread);
    }
    strncpy(thread->row->item, "begin", sizeof thread->row->item - 1);
    if (thread->session == CK_INVALID_HANDLE && !begin(thread)) recover(thread);
    if (thread->number == 0 && !adopted && thread->session != CK_INVALID_HANDLE) {
      strncpy(thread->row->item, "adopt", sizeof thread->row->item - 1);
      adopted = adopt(thread);
      if (!adopted) recover(thread);
    } else if (thread->session != CK_INVALID_HANDLE) {
      run_item(thread, item);
    }
    pthread_rwlock_unlock(&process.life);
  }
  pthread_rwlock_rdlock(&process.life);
  leave_session(thread);
  pthread_rwlock_unlock(&process.life);
  atomic_store(&thread->row->state, STATE_NONE);
  return NULL;
}

static void set_paused(bool value) {
  pthread_mutex_lock(&gate);
  paused = value;
  pthread_cond_broadcast(&gate_moved);
  pthread_mutex_unlock(&gate);
}

// Brings all threads to rest, and then ends this process's connection, so that every pause finds the same.
static void pause_all(Thread *main_thread, int threads) {
  set_paused(true);
  pthread_mutex_lock(&gate);
  while (resting < threads) pthread_cond_wait(&gate_moved, &gate);
  pthread_mutex_unlock(&gate);
  if (!stays()) expected(main_thread, "C_Finalize", CKR_OK, process.p11->C_Finalize(NULL));
  report("rests %d", process.number);
}

static void resume_all(Thread *main_thread) {
  process.epoch++;
  while (!stays() && !initialize(main_thread)) usleep(10000);
  set_paused(false);
}

static int run_work(int threads, uint64_t seed) {
  pthread_t handles[THREADS];
  Row row_of_main;
  Thread main_thread = {.number = threads, .row = &row_of_main};
  memset(&row_of_main, 0, sizeof row_of_main);
  strcpy(row_of_main.item, "main thread");
  while (!initialize(&main_thread)) usleep(10000);
  for (int i = 0; i < threads; i++)
    pthread_create(&handles[i], NULL, work, make_thread(i, rows + process.number * ROWS_OF_A_WORKER + i, seed));
  report("ready %d", process.number);
  char order;
  while (true) {
    ssize_t count = read(0, &order, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) _exit(0);
    if (order == 'e') break;
    if (order == 'p')
      pause_all(&main_thread, threads);
    else
      resume_all(&main_thread);
  }
  ending = true;
  set_paused(false);
  for (int i = 0; i < threads; i++) pthread_join(handles[i], NULL);
  expected(&main_thread, "C_Finalize", CKR_OK, process.p11->C_Finalize(NULL));
  report("ended %d", process.number);
  return 0;
}

// ---- preparing

typedef struct Share {
  Thread *thread;
  unsigned first, end;
  bool good;
} Share;

static void *prepare_share(void *argument) {
  Share *share = argument;
  share->good = begin(share->thread) && populate(share->thread, share->first, share->end);
  return NULL;
}

static bool initialize_token(Thread *thread) {
  CK_SLOT_ID slots[16];
  CK_ULONG count = COUNT(slots);
  CK_UTF8CHAR label[32];
  memset(label, ' ', sizeof label);
  memcpy(label, TOKEN_LABEL, strlen(TOKEN_LABEL));
  DO(C_GetSlotList, CK_TRUE, slots, &count);
  process.slot = slots[0];
  DO(C_InitToken, process.slot, (CK_UTF8CHAR *)OFFICER_PIN, strlen(OFFICER_PIN), label);
  DO(C_OpenSession, process.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &thread->session);
  DO(C_Login, thread->session, CKU_SO, (CK_UTF8CHAR *)OFFICER_PIN, strlen(OFFICER_PIN));
  DO(C_InitPIN, thread->session, (CK_UTF8CHAR *)USER_PIN, strlen(USER_PIN));
  DO(C_Logout, thread->session);
  DO(C_Login, thread->session, CKU_USER, (CK_UTF8CHAR *)USER_PIN, strlen(USER_PIN));
  return make_shared_keys(thread);
}

static int run_prepare(void) {
  static Share shares[PREPARING_THREADS];
  pthread_t handles[PREPARING_THREADS];
  Thread *thread = make_thread(0, rows, 0);
  if (!initialize(thread) || !initialize_token(thread)) return 1;
  uint64_t start = now();
  // Many threads, because those that wait for the disk together share a commit.
  for (unsigned i = 0; i < PREPARING_THREADS; i++) {
    shares[i] = (Share){make_thread((int)i, rows + i, i), process.population * i / PREPARING_THREADS,
                        process.population * (i + 1) / PREPARING_THREADS, false};
    pthread_create(&handles[i], NULL, prepare_share, &shares[i]);
  }
  bool good = true;
  for (unsigned i = 0; i < PREPARING_THREADS; i++) {
    pthread_join(handles[i], NULL);
    good &= shares[i].good;
  }
  report("prepared %u %llu", process.population, (unsigned long long)(now() - start));
  return process.p11->C_Finalize(NULL) == CKR_OK && good ? 0 : 1;
}

// ---- fairness

static uint64_t fair_from, fair_until;
static pthread_barrier_t fair_told;

static void sleep_until(uint64_t moment) {
  struct timespec time = {(time_t)(moment / 1000000000u), (long)(moment % 1000000000u)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) continue;
}

static bool fair_operation(Thread *thread) {
  CK_MECHANISM mechanism = {CKM_SHA256_HMAC, NULL, 0};
  CK_BYTE code[32];
  CK_ULONG count = sizeof code;
  DO(C_SignInit, thread->session, &mechanism, thread->shared[SHARED_HMAC]);
  DO(C_Sign, thread->session, thread->input, 64, code, &count);
  return true;
}

static void *be_fair(void *argument) {
  Thread *thread = argument;
  strncpy(thread->row->item, "fair", sizeof thread->row->item - 1);
  bool ready = begin(thread);
  report(ready ? "ready %d" : "not ready %d", process.number);
  pthread_barrier_wait(&fair_told);
  if (!ready) return NULL;
  sleep_until(fair_from);
  uint64_t done = 0, longest = 0, last = now();
  while (last < fair_until && fair_operation(thread)) {
    uint64_t time = now();
    if (time - last > longest) longest = time - last;
    last = time;
    done++;
  }
  report("fair %d %d %llu %llu", process.number, thread->number, (unsigned long long)done, (unsigned long long)longest);
  return NULL;
}

static int run_fair(int threads) {
  pthread_t handles[THREADS];
  pthread_barrier_init(&fair_told, NULL, (unsigned)threads + 1);
  for (int i = 0; i < threads; i++) {
    Thread *thread = make_thread(i, rows + FIRST_FAIR_ROW + process.number * threads + i, (uint64_t)process.number);
    if (i == 0 && !initialize(thread)) return 1;
    pthread_create(&handles[i], NULL, be_fair, thread);
  }
  if (scanf("%" SCNu64 " %" SCNu64, &fair_from, &fair_until) != 2) _exit(0);
  pthread_barrier_wait(&fair_told);
  for (int i = 0; i < threads; i++) pthread_join(handles[i], NULL);
  return process.p11->C_Finalize(NULL) == CKR_OK ? 0 : 1;
}

// ---- the program

static int run_audit(void) {
  Thread *thread = make_thread(0, rows, 0);
  if (!initialize(thread) || !begin(thread) || !audit(thread)) return 1;
  return process.p11->C_Finalize(NULL) == CKR_OK ? 0 : 1;
}

static bool map_rows(void) {
  char path[4096];
  snprintf(path, sizeof path, "%s/progress", process.folder);
  int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, ROWS * sizeof(Row)) != 0) return false;
  rows = mmap(NULL, ROWS * sizeof(Row), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  return rows != MAP_FAILED;
}

int main(int count, char **arguments) {
  // Its own large buffers go back to the system at once, so that what its memory grows by is the module's doing.
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
  const char *mode = count > 3 ? arguments[3] : "";
  process.module = count > 3 ? arguments[1] : "";
  process.folder = count > 3 ? arguments[2] : "";
  // A waiting writer goes before new readers, or it would wait for ever.
  pthread_rwlockattr_t attributes;
  pthread_rwlockattr_init(&attributes);
  pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
  pthread_rwlock_init(&process.life, &attributes);
  if (!map_rows() || !load_module()) return 1;
  if (strcmp(mode, "prepare") == 0 && count == 5) {
    process.population = (unsigned)atoi(arguments[4]);
    return run_prepare();
  }
  if (strcmp(mode, "work") == 0 && count == 9) {
    process.number = atoi(arguments[4]);
    process.generation = (unsigned)atoi(arguments[5]);
    process.population = (unsigned)atoi(arguments[6]);
    return run_work(atoi(arguments[7]), strtoull(arguments[8], NULL, 10));
  }
  if (strcmp(mode, "fair") == 0 && count == 6) {
    process.number = atoi(arguments[4]);
    return run_fair(atoi(arguments[5]));
  }
  if (strcmp(mode, "audit") == 0 && count == 4) return run_audit();
  fprintf(stderr, "usage: see worker.c\n");
  return 2;
}
