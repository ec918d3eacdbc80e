// Binds the module's uses of libcrypto when the first of them is called, instead of when the module is loaded: a host that
// only asks for operations with the token's keys never pays for it (2 ms and 3 MiB), and a host with functions of these
// names of its own keeps them to itself. What is called is always libcrypto.so.3, the host's if it has that one.
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>

#define SYMBOL(name) #name,
static const char *const names[] = {
#include "symbols.h"
};
#undef SYMBOL

enum { COUNT = sizeof names / sizeof names[0], PAGE = 4096 };

// entries.S
extern void *strongroom_libcrypto_slots[PAGE / sizeof(void *)];
extern void strongroom_libcrypto_missing(void);
_Static_assert(sizeof names <= sizeof strongroom_libcrypto_slots, "one page of slots");

// A function that a slot is filled with is never taken back: libcrypto stays loaded as long as the process.
static void fill_slots(void) {
  void *library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  for (size_t i = 0; i < COUNT; i++) {
    void *function = library ? dlsym(library, names[i]) : NULL;
    strongroom_libcrypto_slots[i] = function ? function : (void *)strongroom_libcrypto_missing;
  }
  mprotect(strongroom_libcrypto_slots, sizeof strongroom_libcrypto_slots, PROT_READ);
}

__attribute__((visibility("hidden"))) void strongroom_libcrypto_bind(void);
void strongroom_libcrypto_bind(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, fill_slots);
}
