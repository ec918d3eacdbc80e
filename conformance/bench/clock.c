#include "bench.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#ifdef __x86_64__
#include <x86intrin.h>
#endif

uint64_t monotonic_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#ifdef __x86_64__
// The counter runs at one rate in all states of all cores only when the kernel says so.
static bool counter_is_steady(void) {
  static int known = -1;
  if (known < 0) {
    known = 0;
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[8192];
    while (file && fgets(line, sizeof line, file)) {
      if (strncmp(line, "flags", 5) == 0) {
        known = strstr(line, " constant_tsc") && strstr(line, " nonstop_tsc");
        break;
      }
    }
    if (file) fclose(file);
  }
  return known;
}

uint64_t ticks(void) {
  unsigned processor;
  return counter_is_steady() ? __rdtscp(&processor) : monotonic_nanoseconds();
}
#else
uint64_t ticks(void) { return monotonic_nanoseconds(); }
#endif

double nanoseconds_per_tick(void) {
  static double rate;
  if (rate == 0) {
    uint64_t clock = monotonic_nanoseconds(), counter = ticks();
    while (monotonic_nanoseconds() - clock < 50000000) {}
    rate = (double)(monotonic_nanoseconds() - clock) / (double)(ticks() - counter);
  }
  return rate;
}
