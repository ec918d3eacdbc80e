// A child process that was made without fork's handlers: by _Fork, or by the clone system call. It has none of its parent's state,
// not even by accident, and above all none of its random numbers.
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkcs11.h"

static bool failed;
static CK_FUNCTION_LIST *p11;
static CK_SESSION_HANDLE session;

static void check(bool holds, const char *claim, const char *how) {
  printf("%s - raw_fork: %s: %s\n", holds ? "ok" : "not ok", how, claim);
  failed |= !holds;
}

static void need(CK_RV rv, const char *what) {
  if (rv == CKR_OK) return;
  printf("not ok - raw_fork: %s answers 0x%lx\n", what, rv);
  exit(1);
}
#define NEED(call) need(call, #call)

static pid_t by_fork(void) { return _Fork(); }
static pid_t by_clone(void) { return (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L); }

// What the child has to say, as its exit status: bit 0, it was told that nothing is initialised; bit 1, and was given nothing.
static int be_child(void) {
  CK_BYTE bytes[32], untouched[32];
  CK_SESSION_INFO info;
  memset(bytes, 0xa5, sizeof bytes);
  memset(untouched, 0xa5, sizeof untouched);
  bool refused = p11->C_GenerateRandom(session, bytes, sizeof bytes) == CKR_CRYPTOKI_NOT_INITIALIZED &&
                 p11->C_GetSessionInfo(session, &info) == CKR_CRYPTOKI_NOT_INITIALIZED;
  return refused | (memcmp(bytes, untouched, sizeof bytes) == 0) << 1;
}

static void try_way(pid_t (*make)(void), const char *how) {
  CK_BYTE bytes[32];
  NEED(p11->C_GenerateRandom(session, bytes, sizeof bytes));
  fflush(stdout);
  pid_t child = make();
  if (child == 0) _exit(be_child());
  int status = 0;
  bool ended = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status);
  check(ended && WEXITSTATUS(status) & 1, "the child's library is not initialised", how);
  check(ended && WEXITSTATUS(status) & 2, "the child is given no random bytes", how);
  NEED(p11->C_GenerateRandom(session, bytes, sizeof bytes));
}

int main(int count, char **arguments) {
  void *module = count > 1 ? dlopen(arguments[1], RTLD_NOW) : NULL;
  CK_C_GetFunctionList get_list = NULL;
  if (module) *(void **)&get_list = dlsym(module, "C_GetFunctionList");
  if (!get_list) return 2;
  CK_SLOT_ID slot;
  CK_ULONG slots = 1;
  NEED(get_list(&p11));
  NEED(p11->C_Initialize(NULL));
  NEED(p11->C_GetSlotList(CK_TRUE, &slot, &slots));
  NEED(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session));
  try_way(by_fork, "_Fork");
  try_way(by_clone, "clone");
  NEED(p11->C_Finalize(NULL));
  return failed;
}
