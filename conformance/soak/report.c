#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "soak.h"

uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void report(const char *format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  if (length > (int)sizeof line - 2) length = sizeof line - 2;
  line[length++] = '\n';
  // Below PIPE_BUF: whole or not at all. A driver that has gone leaves nobody to tell.
  if (write(1, line, (size_t)length) != length) _exit(3);
}

void entering(Thread *thread, const char *function) {
  atomic_fetch_add_explicit(&thread->row->calls, 1, memory_order_relaxed);
  strncpy(thread->row->call, function, sizeof thread->row->call - 1);
}

bool expected(Thread *thread, const char *function, CK_RV wanted, CK_RV answer) {
  if (answer == wanted) return true;
  thread->last = answer;
  report("answer %llu %d %d %s %s 0x%lx 0x%lx", (unsigned long long)now(), process.number, thread->number,
         thread->row->item, function, wanted, answer);
  return false;
}

bool holds(Thread *thread, bool condition, const char *claim) {
  if (condition) return true;
  thread->last = CKR_OK;
  report("wrong %llu %d %d %s after %s: %s", (unsigned long long)now(), process.number, thread->number, thread->row->item,
         thread->row->call, claim);
  return false;
}

uint64_t any(Thread *thread) {
  // xorshift64*
  uint64_t x = thread->random;
  x ^= x >> 12, x ^= x << 25, x ^= x >> 27;
  thread->random = x;
  return x * 0x2545f4914f6cdd1dull;
}

size_t below(Thread *thread, size_t limit) { return (any(thread) >> 11) % limit; }

size_t any_length(Thread *thread) {
  static const size_t lengths[] = {0,   1,    15,   16,   17,   31,    32,    63,    64,    100,    255,    256,   1000,
                                   1024, 1500, 4095, 4096, 4097, 16384, 16400, 65535, 65536, 65537, 131072, 262144, LARGEST};
  // Most are short, as in life; a third is any number at all.
  switch (below(thread, 6)) {
    case 0: return below(thread, 300);
    case 1: return below(thread, 20000);
    case 2: return lengths[below(thread, COUNT(lengths))];
    default: return lengths[below(thread, 16)];
  }
}

void fill(Thread *thread, void *bytes, size_t count) {
  CK_BYTE *place = bytes;
  uint64_t word = any(thread);
  for (size_t i = 0; i < count; i += 8) {
    word = word * 6364136223846793005ull + 1442695040888963407ull;
    uint64_t mixed = word ^ word >> 29;
    memcpy(place + i, &mixed, count - i < 8 ? count - i : 8);
  }
}
