// The token's life in a process: loading, sessions, logins, C_Finalize, fork, and the way back after an error.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "soak.h"

_Atomic bool ending;

bool load_module(void) {
  void *library = dlopen(process.module, RTLD_NOW | RTLD_LOCAL);
  CK_C_GetInterface get_interface = NULL;
  if (library) *(void **)&get_interface = dlsym(library, "C_GetInterface");
  if (!get_interface) {
    fprintf(stderr, "%s\n", library ? "no C_GetInterface" : dlerror());
    return false;
  }
  CK_VERSION v3_2 = {3, 2}, v1_0 = {1, 0};
  CK_INTERFACE *interface = NULL;
  if (get_interface((CK_UTF8CHAR *)"PKCS 11", &v3_2, &interface, 0) != CKR_OK) return false;
  process.p11 = interface->pFunctionList;
  if (get_interface((CK_UTF8CHAR *)CK_STRONGROOM_INTERFACE_NAME, &v1_0, &interface, 0) != CKR_OK) return false;
  process.strongroom = interface->pFunctionList;
  return true;
}

bool initialize(Thread *thread) {
  CK_C_INITIALIZE_ARGS arguments;
  memset(&arguments, 0, sizeof arguments);
  arguments.flags = CKF_OS_LOCKING_OK;
  DO(C_Initialize, &arguments);
  return true;
}

CK_RV log_in(Thread *thread) {
  return CALL(C_Login, thread->session, CKU_USER, (CK_UTF8CHAR *)USER_PIN, strlen(USER_PIN));
}

bool find(Thread *thread, const char *label, const char *id, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *found, CK_ULONG room,
          CK_ULONG *count) {
  CK_BBOOL yes = CK_TRUE;
  CK_ATTRIBUTE template[4] = {{CKA_TOKEN, &yes, 1}};
  CK_ULONG length = 1;
  if (label) template[length++] = (CK_ATTRIBUTE){CKA_LABEL, (void *)label, strlen(label)};
  if (id) template[length++] = (CK_ATTRIBUTE){CKA_ID, (void *)id, strlen(id)};
  if (class != CK_UNAVAILABLE_INFORMATION) template[length++] = (CK_ATTRIBUTE){CKA_CLASS, &class, sizeof class};
  DO(C_FindObjectsInit, thread->session, template, length);
  *count = 0;
  CK_RV answer = CALL(C_FindObjects, thread->session, found, room, count);
  bool good = expected(thread, "C_FindObjects", CKR_OK, answer);
  DO(C_FindObjectsFinal, thread->session);
  return good;
}

static bool find_shared(Thread *thread) {
  static const char *names[SHARED_KEYS] = {"shared-aes", "shared-known", "shared-hmac", "shared-p256", "shared-ed25519", "shared-rsa"};
  for (int i = 0; i < SHARED_KEYS; i++) {
    CK_ULONG count;
    bool pair = i >= SHARED_P256;
    if (!find(thread, names[i], NULL, pair ? CKO_PRIVATE_KEY : CKO_SECRET_KEY, &thread->shared[i], 1, &count)) return false;
    CHECK(count == 1, "a shared key is there");
    if (!pair) continue;
    if (!find(thread, names[i], NULL, CKO_PUBLIC_KEY, &thread->shared_public[i], 1, &count)) return false;
    CHECK(count == 1, "a shared public key is there");
  }
  return true;
}

bool begin(Thread *thread) {
  thread->epoch = process.epoch;
  DO(C_OpenSession, process.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &thread->session);
  CK_RV answer = log_in(thread);
  if (answer != CKR_USER_ALREADY_LOGGED_IN && !expected(thread, "C_Login", CKR_OK, answer)) return false;
  return find_shared(thread);
}

bool another_session(Thread *thread, CK_FLAGS flags, CK_SESSION_HANDLE *session) {
  CK_SESSION_INFO info;
  DO(C_OpenSession, process.slot, CKF_SERIAL_SESSION | flags, NULL, NULL, session);
  // Where the secure world has died since the thread's own session was opened, the new one is at the next secure world, and nobody
  // is logged in there.
  CK_RV answer = CALL(C_GetSessionInfo, thread->session, &info);
  if (expected(thread, "C_GetSessionInfo", CKR_OK, answer)) return true;
  CALL(C_CloseSession, *session);
  return false;
}

void recover(Thread *thread) {
  do {
    // Its session may have gone with what went wrong; if it is there it can be closed.
    if (thread->session != CK_INVALID_HANDLE) {
      CK_RV answer = CALL(C_CloseSession, thread->session);
      if (answer != CKR_SESSION_HANDLE_INVALID && answer != CKR_CRYPTOKI_NOT_INITIALIZED)
        expected(thread, "C_CloseSession", CKR_OK, answer);
      thread->session = CK_INVALID_HANDLE;
    }
    if (begin(thread)) return;
    usleep(10000);
  } while (!ending);
}

// ---- logins

// Wrong PINs count for all processes together: they take turns, so that it stays far from the limit.
static int take_turn(void) {
  char path[4096];
  snprintf(path, sizeof path, "%s/pin.lock", process.folder);
  int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file >= 0) flock(file, LOCK_EX);
  return file;
}

static bool wrong_pin(Thread *thread, CK_USER_TYPE user) {
  char pin[16];
  snprintf(pin, sizeof pin, "wrong-%zu", below(thread, 1000));
  WANT(CKR_PIN_INCORRECT, C_Login, thread->session, user, (CK_UTF8CHAR *)pin, strlen(pin));
  return true;
}

static bool logs_out_and_in(Thread *thread) {
  CK_SESSION_INFO info;
  DO(C_Logout, thread->session);
  DO(C_GetSessionInfo, thread->session, &info);
  CHECK(info.state == CKS_RW_PUBLIC_SESSION, "nobody is logged in after C_Logout");
  CK_OBJECT_HANDLE found[2];
  CK_ULONG count;
  if (!find(thread, "shared-known", NULL, CKO_SECRET_KEY, found, 2, &count)) return false;
  CHECK(count == 0, "a private key is not found without a login");
  CK_MECHANISM mechanism = {CKM_AES_CMAC, NULL, 0};
  WANT(CKR_KEY_HANDLE_INVALID, C_SignInit, thread->session, &mechanism, thread->shared[SHARED_KNOWN]);
  switch (below(thread, 4)) {
    case 0:
      if (!wrong_pin(thread, CKU_USER)) return false;
      break;
    case 1:
      if (!wrong_pin(thread, CKU_SO)) return false;
      DO(C_Login, thread->session, CKU_SO, (CK_UTF8CHAR *)OFFICER_PIN, strlen(OFFICER_PIN));
      DO(C_GetSessionInfo, thread->session, &info);
      CHECK(info.state == CKS_RW_SO_FUNCTIONS, "the officer is logged in");
      DO(C_Logout, thread->session);
      break;
    case 2:
      WANT(CKR_PIN_INCORRECT, C_Login, thread->session, CKU_USER, (CK_UTF8CHAR *)"1", 1);  // no try: no PIN is so short
      break;
  }
  DO(C_Login, thread->session, CKU_USER, (CK_UTF8CHAR *)USER_PIN, strlen(USER_PIN));
  WANT(CKR_USER_ALREADY_LOGGED_IN, C_Login, thread->session, CKU_USER, (CK_UTF8CHAR *)USER_PIN, strlen(USER_PIN));
  return find_shared(thread);
}

bool logins(Thread *thread) {
  int turn = take_turn();
  bool good = logs_out_and_in(thread);
  if (turn >= 0) close(turn);
  return good;
}

// ---- C_Finalize, C_CloseAllSessions

static bool finalize_and_return(Thread *thread) {
  process.epoch++;
  thread->session = CK_INVALID_HANDLE;
  DO(C_Finalize, NULL);
  CK_SESSION_INFO info;
  WANT(CKR_CRYPTOKI_NOT_INITIALIZED, C_GetSessionInfo, 1, &info);
  // The library must be back, whatever comes between: the other threads do not initialise it.
  while (!initialize(thread)) {
    if (ending || thread->last == CKR_CRYPTOKI_ALREADY_INITIALIZED) return false;
    usleep(10000);
  }
  return begin(thread);
}

bool finalizes(Thread *thread) { return finalize_and_return(thread); }

// While the other threads are at work, which the specification leaves undefined: they may get errors, and no more than that.
bool finalizes_rudely(Thread *thread) {
  report("rude %llu %d", (unsigned long long)now(), process.number);
  return finalize_and_return(thread);
}

bool closes_all(Thread *thread) {
  CK_SESSION_HANDLE more[5];
  for (size_t i = 0; i < COUNT(more); i++)
    if (!another_session(thread, i % 2 ? CKF_RW_SESSION : 0, &more[i])) return false;
  process.epoch++;
  thread->session = CK_INVALID_HANDLE;
  DO(C_CloseAllSessions, process.slot);
  CK_SESSION_INFO info;
  for (size_t i = 0; i < COUNT(more); i++) WANT(CKR_SESSION_HANDLE_INVALID, C_GetSessionInfo, more[i], &info);
  return begin(thread);
}

// ---- fork

// The child: begins with the library anew, as PKCS#11 says, does a few things, and leaves in one way or another.
static bool child_works(Thread *thread, int answer) {
  CK_SESSION_INFO info;
  CK_SESSION_HANDLE inherited = thread->session;
  WANT(CKR_CRYPTOKI_NOT_INITIALIZED, C_GetSessionInfo, inherited, &info);
  WANT(CKR_CRYPTOKI_NOT_INITIALIZED, C_Finalize, NULL);
  thread->session = CK_INVALID_HANDLE;
  thread->own_count = 0;  // its parent's
  if (!initialize(thread)) return false;
  WANT(CKR_SESSION_HANDLE_INVALID, C_GetSessionInfo, inherited, &info);
  if (!begin(thread)) return false;
  CK_BYTE random[16];
  DO(C_GenerateRandom, thread->session, random, sizeof random);
  if (write(answer, random, sizeof random) != sizeof random) return false;
  for (size_t i = 1 + below(thread, 6); i > 0; i--) {
    const Item *item;
    // Token objects are kept by threads that live on.
    do item = any_item(thread, true);
    while (item->run == token_objects);
    run_item(thread, item);
    if (thread->session == CK_INVALID_HANDLE) return false;
  }
  if (below(thread, 3) > 0) DO(C_Finalize, NULL);
  return true;
}

bool forks(Thread *thread) {
  int answer[2];
  CK_BYTE mine[16], childs[16];
  // What was fetched ahead before the fork is not given out twice.
  DO(C_GenerateRandom, thread->session, mine, sizeof mine);
  CHECK(pipe2(answer, O_CLOEXEC) == 0, "there are descriptors");
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pthread_rwlock_init(&process.life, NULL);
    close(answer[0]);
    bool whole = below(thread, 8) > 0;  // some only leave, having touched nothing
    if (whole) child_works(thread, answer[1]);
    _exit(0);
  }
  close(answer[1]);
  CHECK(child > 0, "fork works");
  DO(C_GenerateRandom, thread->session, mine, sizeof mine);
  ssize_t count = read(answer[0], childs, sizeof childs);
  close(answer[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ends as it should");
  CHECK(count != sizeof childs || memcmp(mine, childs, sizeof mine) != 0, "parent and child get random bytes of their own");
  return true;
}
