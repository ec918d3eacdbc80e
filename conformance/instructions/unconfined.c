// Loaded into the secure world before the system's libraries, for valgrind alone: valgrind translates code as it runs, so it wants
// memory that is written and executed, and files of its own. These are the calls that would forbid it; the secure world's own
// code is what ships. (Landlock's system calls valgrind does not know: they answer ENOSYS.)
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/prctl.h>

// Of Linux 6.3, which Debian 12's headers do not know.
enum { REFUSE_EXECUTABLE_MEMORY = 65 }; // PR_SET_MDWE

int seccomp_attr_set(void *filter, int attribute, unsigned value) {
  (void)filter, (void)attribute, (void)value;
  return 0;
}

int seccomp_load(const void *filter) {
  (void)filter;
  return 0;
}

int prctl(int option, ...) {
  static int (*next)(int, ...);
  unsigned long words[4];
  va_list list;
  va_start(list, option);
  for (int i = 0; i < 4; i++) words[i] = va_arg(list, unsigned long);
  va_end(list);
  if (option == REFUSE_EXECUTABLE_MEMORY) return 0;
  if (!next) next = (int (*)(int, ...))dlsym(RTLD_NEXT, "prctl");
  return next(option, words[0], words[1], words[2], words[3]);
}
