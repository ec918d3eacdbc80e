/*
 * Counting of checks for the programs of this folder: each failed one is named on standard error, and `finish` prints
 * how many were made and gives the exit status.
 */
#ifndef STRONGROOM_CHECK_H
#define STRONGROOM_CHECK_H

#include <stdio.h>

static unsigned long checks_made;
static unsigned long checks_failed;

static void check(int holds, const char *claim) {
  checks_made += 1;
  if (!holds) {
    checks_failed += 1;
    fprintf(stderr, "failed: %s\n", claim);
  }
}

static void check_number(unsigned long is, unsigned long expected, const char *what) {
  checks_made += 1;
  if (is != expected) {
    checks_failed += 1;
    fprintf(stderr, "failed: %s is 0x%lx, expected 0x%lx\n", what, is, expected);
  }
}

static int finish(void) {
  printf("%lu checks, %lu failed\n", checks_made, checks_failed);
  return checks_failed == 0 ? 0 : 1;
}

#endif
