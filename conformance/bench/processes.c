// What the kernel says of processes: their memory and their use of processors.
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

const char *stores_folder(void) {
  static char folder[4096];
  const char *configuration = getenv("STRONGROOM_CONF");
  snprintf(folder, sizeof folder, "%s", configuration ? configuration : "");
  char *slash = strrchr(folder, '/');
  if (slash) *slash = 0;
  return folder;
}

// Whether a process is one of the secure world's for the stores in that folder: its command line says so.
static bool is_of_world(const char *process, const char *folder) {
  char path[300], words[8192];
  snprintf(path, sizeof path, "/proc/%s/cmdline", process);
  FILE *file = fopen(path, "r");
  if (!file) return false;
  size_t length = fread(words, 1, sizeof words - 1, file);
  fclose(file);
  words[length] = 0;
  const char *program = strrchr(words, '/') ? strrchr(words, '/') + 1 : words;
  if (strncmp(program, "strongroom-", 11) != 0) return false;
  for (size_t at = strlen(words) + 1; at < length; at += strlen(words + at) + 1)
    if (strncmp(words + at, folder, strlen(folder)) == 0) return true;
  return false;
}

// Calls `visit` with the number of each process of that secure world.
static void for_each(const char *folder, void (*visit)(const char *process, void *context), void *context) {
  DIR *processes = opendir("/proc");
  if (!processes) return;
  for (struct dirent *entry; (entry = readdir(processes));)
    if (isdigit((unsigned char)entry->d_name[0]) && is_of_world(entry->d_name, folder)) visit(entry->d_name, context);
  closedir(processes);
}

static void add_clock(const char *process, void *context) {
  WorldClocks *clocks = context;
  if (clocks->count < sizeof clocks->clock / sizeof *clocks->clock &&
      clock_getcpuclockid(atoi(process), &clocks->clock[clocks->count]) == 0)
    clocks->count++;
}

WorldClocks world_clocks(const char *folder) {
  WorldClocks clocks = {.count = 0};
  for_each(folder, add_clock, &clocks);
  return clocks;
}

uint64_t processor_nanoseconds(const WorldClocks *clocks) {
  uint64_t total = 0;
  for (size_t i = 0; i < clocks->count; i++) {
    struct timespec time;
    if (clock_gettime(clocks->clock[i], &time) != 0) continue;
    total += (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
  }
  return total;
}

static uint64_t resident_bytes(const char *process) {
  char path[300];
  unsigned long long size = 0, resident = 0;
  snprintf(path, sizeof path, "/proc/%s/statm", process);
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  if (fscanf(file, "%llu %llu", &size, &resident) != 2) resident = 0;
  fclose(file);
  return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void add_resident(const char *process, void *context) { *(uint64_t *)context += resident_bytes(process); }

uint64_t world_resident_bytes(const char *folder) {
  uint64_t total = 0;
  for_each(folder, add_resident, &total);
  return total;
}

// smaps_rollup counts pages; statm lags behind by some for each processor.
uint64_t own_resident_bytes(void) {
  char line[256];
  unsigned long long kibibytes;
  FILE *file = fopen("/proc/self/smaps_rollup", "r");
  while (file && fgets(line, sizeof line, file)) {
    if (sscanf(line, "Rss: %llu kB", &kibibytes) == 1) {
      fclose(file);
      return kibibytes << 10;
    }
  }
  if (file) fclose(file);
  return resident_bytes("self");
}
