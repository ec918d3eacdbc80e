// A fresh process that loads a module and logs in: `start MODULE` prints the nanoseconds from before dlopen to after C_Login
// and the bytes of memory that became resident meanwhile. It knows nothing of libcrypto, so that a module that wants it pays for it,
// as in any other application.
#include <stdio.h>

#include "bench.h"

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: start MODULE\n");
    return 2;
  }
  Worker worker = {.name = "start", .module = argv[1]};
  uint64_t resident = own_resident_bytes();
  uint64_t start = monotonic_nanoseconds();
  bool good = token_open(&worker, false);
  uint64_t end = monotonic_nanoseconds();
  if (!good) {
    fprintf(stderr, "%s\n", worker.error);
    return 1;
  }
  uint64_t then = own_resident_bytes();
  printf("%llu %llu\n", (unsigned long long)(end - start), (unsigned long long)(then > resident ? then - resident : 0));
  fflush(stdout);
  token_close(&worker);
  return 0;
}
