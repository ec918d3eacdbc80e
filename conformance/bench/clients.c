// Calls one after the other for a time: from the worker itself, or from threads that share its module.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bench.h"

uint64_t run_calls(Worker *worker, const Row *row, uint64_t nanoseconds, size_t (*bucket_of)(uint64_t), uint64_t *count) {
  uint64_t (*once)(Worker *, const Row *) = worker->module ? row->once : row->raw_once;
  uint64_t start = monotonic_nanoseconds(), now = start, next = start, calls = 0;
  do {
    if (row->pace) {
      // A time missed is left out, not made up for by two calls at once.
      next += row->pace * 1000ull;
      if (next < now) next = now;
      struct timespec at = {(time_t)(next / 1000000000u), (long)(next % 1000000000u)};
      clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    }
    uint64_t value = once(worker, row);
    if (value == FAILED) return FAILED;
    count[bucket_of(value)]++;
    calls++;
    now = monotonic_nanoseconds();
  } while (now - start < nanoseconds);
  return calls;
}

typedef struct {
  pthread_t thread;
  Worker worker;
  const Row *row;
  pthread_barrier_t *line;
  uint64_t nanoseconds, calls, end;
  size_t (*bucket_of)(uint64_t);
  uint64_t *count;
  bool good;
} Client;

// The first calls, which make what belongs to a thread, are not counted.
static void *run_client(void *argument) {
  Client *client = argument;
  Worker *worker = &client->worker;
  uint64_t (*once)(Worker *, const Row *) = worker->module ? client->row->once : client->row->raw_once;
  if (client->good && !worker->module) client->good = client->row->raw_prepare(worker, client->row);
  for (int i = 0; i < 3 && client->good; i++) client->good = once(worker, client->row) != FAILED;
  pthread_barrier_wait(client->line);
  if (!client->good) return NULL;
  client->calls = run_calls(worker, client->row, client->nanoseconds, client->bucket_of, client->count);
  client->end = monotonic_nanoseconds();
  client->good = client->calls != FAILED;
  return NULL;
}

static unsigned char *room(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

static bool become_client(Client *client, const Worker *worker, const Row *row) {
  client->worker = *worker;
  client->worker.raw = NULL;
  client->worker.input = room(row->bytes + 4096);
  client->worker.output = room(row->bytes + 4096);
  if (!client->worker.input || !client->worker.output) return false;
  memset(client->worker.input, 0x5a, row->bytes);
  if (!worker->module) return raw_open(&client->worker);
  return !failed(&client->worker, "C_OpenSession",
                 worker->p11->C_OpenSession(worker->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                                            &client->worker.session));
}

uint64_t run_threads(Worker *worker, const Row *row, uint64_t nanoseconds, size_t (*bucket_of)(uint64_t), uint64_t *count,
                     size_t buckets, uint64_t *wall_nanoseconds) {
  static Client clients[MAXIMUM_CLIENTS];
  pthread_barrier_t line;
  pthread_barrier_init(&line, NULL, row->threads + 1);
  unsigned started = 0;
  for (; started < row->threads; started++) {
    Client *client = &clients[started];
    *client = (Client){.row = row, .line = &line, .nanoseconds = nanoseconds, .bucket_of = bucket_of};
    client->count = calloc(buckets, sizeof *client->count);
    client->good = client->count && become_client(client, worker, row);
    // Without its thread the others would wait for ever.
    if (pthread_create(&client->thread, NULL, run_client, client) != 0) abort();
  }
  pthread_barrier_wait(&line);
  uint64_t start = monotonic_nanoseconds(), end = start, calls = 0;
  bool good = true;
  for (unsigned i = 0; i < started; i++) {
    Client *client = &clients[i];
    pthread_join(client->thread, NULL);
    if (client->good) {
      calls += client->calls;
      if (client->end > end) end = client->end;
      for (size_t bucket = 0; bucket < buckets; bucket++) count[bucket] += client->count[bucket];
    } else {
      good = false;
      memcpy(worker->error, client->worker.error, sizeof worker->error);
    }
    if (worker->module && client->worker.session != worker->session) worker->p11->C_CloseSession(client->worker.session);
    if (!worker->module) raw_close(&client->worker);
    munmap(client->worker.input, row->bytes + 4096);
    munmap(client->worker.output, row->bytes + 4096);
    free(client->count);
  }
  pthread_barrier_destroy(&line);
  *wall_nanoseconds = end - start;
  return good ? calls : FAILED;
}
