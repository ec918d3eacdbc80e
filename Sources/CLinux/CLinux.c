#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

int clinux_futex_wait(void *word, uint32_t expected, int64_t timeout) {
  struct timespec limit = {.tv_sec = timeout / 1000000000, .tv_nsec = timeout % 1000000000};
  int saved = errno;
  long answer = syscall(SYS_futex, word, FUTEX_WAIT, expected, timeout < 0 ? NULL : &limit, NULL, 0);
  int code = answer == 0 ? 0 : errno;
  errno = saved;
  return code;
}

int clinux_futex_wake(void *word, int count) {
  int saved = errno;
  long answer = syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
  errno = saved;
  return answer < 0 ? 0 : (int)answer;
}

int clinux_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING); }

int clinux_secret_memory_file(void) { return (int)syscall(SYS_memfd_secret, O_CLOEXEC); }

int clinux_add_seals(int descriptor, int seals) { return fcntl(descriptor, F_ADD_SEALS, seals); }

int clinux_get_seals(int descriptor) { return fcntl(descriptor, F_GET_SEALS); }

int clinux_duplicate(int descriptor, int lowest) { return fcntl(descriptor, F_DUPFD_CLOEXEC, lowest); }

int clinux_open(const char *path, int flags, unsigned mode) { return open(path, flags | O_CLOEXEC, (mode_t)mode); }

int clinux_set_nonblocking(int descriptor, int on) {
  int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0) return -1;
  return fcntl(descriptor, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

int clinux_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_CLOEXEC); }

static int unix_address(struct sockaddr_un *address, const char *path) {
  size_t count = strlen(path);
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  if (count == 0 || count >= sizeof address->sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(address->sun_path, path, count);
  return 0;
}

int clinux_connect_unix(int descriptor, const char *path) {
  struct sockaddr_un address;
  if (unix_address(&address, path) < 0) return -1;
  return connect(descriptor, (const struct sockaddr *)&address, sizeof address);
}

int clinux_bind_unix(int descriptor, const char *path) {
  struct sockaddr_un address;
  if (unix_address(&address, path) < 0) return -1;
  return bind(descriptor, (const struct sockaddr *)&address, sizeof address);
}

int clinux_set_send_timeout(int descriptor, int64_t nanoseconds) {
  struct timeval limit = {.tv_sec = nanoseconds / 1000000000, .tv_usec = nanoseconds % 1000000000 / 1000};
  return setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

int clinux_peer_credentials(int descriptor, int32_t *pid, uint32_t *uid, uint32_t *gid) {
  struct ucred credentials;
  socklen_t count = sizeof credentials;
  if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &count) < 0) return -1;
  *pid = credentials.pid;
  *uid = credentials.uid;
  *gid = credentials.gid;
  return 0;
}

int clinux_socket_cookie(int descriptor, uint64_t *cookie) {
  socklen_t count = sizeof *cookie;
  return getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, cookie, &count);
}

ssize_t clinux_send(
    int socket, const void *head, size_t headCount, const void *body, size_t bodyCount, const int *descriptors,
    size_t descriptorCount, int flags) {
  union {
    char bytes[CMSG_SPACE(CLINUX_MAXIMUM_DESCRIPTORS * sizeof(int))];
    struct cmsghdr alignment;
  } control;
  struct iovec parts[2] = {{(void *)head, headCount}, {(void *)body, bodyCount}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = bodyCount > 0 ? 2 : 1};
  if (descriptorCount > CLINUX_MAXIMUM_DESCRIPTORS) {
    errno = EINVAL;
    return -1;
  }
  if (descriptorCount > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(descriptorCount * sizeof(int));
    struct cmsghdr *item = CMSG_FIRSTHDR(&message);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(descriptorCount * sizeof(int));
    memcpy(CMSG_DATA(item), descriptors, descriptorCount * sizeof(int));
  }
  return sendmsg(socket, &message, flags | MSG_NOSIGNAL);
}

ssize_t clinux_receive(
    int socket, void *buffer, size_t capacity, int *descriptors, size_t maximum, size_t *count, int *truncated,
    int flags) {
  union {
    char bytes[CMSG_SPACE(CLINUX_MAXIMUM_DESCRIPTORS * sizeof(int))];
    struct cmsghdr alignment;
  } control;
  struct iovec part = {buffer, capacity};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  *count = 0;
  *truncated = 0;
  ssize_t answer = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  if (answer < 0) return answer;
  for (struct cmsghdr *item = CMSG_FIRSTHDR(&message); item != NULL; item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    size_t carried = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < carried; i++) {
      int descriptor;
      memcpy(&descriptor, CMSG_DATA(item) + i * sizeof(int), sizeof descriptor);
      if (*count < maximum && descriptors != NULL) {
        descriptors[(*count)++] = descriptor;
      } else {
        close(descriptor);
        *truncated = 1;
      }
    }
  }
  if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) *truncated = 1;
  return answer;
}

// MARK: Starting a program

int clinux_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

int clinux_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
}

int clinux_epoll_wait(int epoll, uint64_t *data, int maximum, int milliseconds) {
  struct epoll_event events[64];
  int count = epoll_wait(epoll, events, maximum < 64 ? maximum : 64, milliseconds);
  for (int i = 0; i < count; i++) data[i] = events[i].data.u64;
  return count;
}

pid_t clinux_fork(void) { return fork(); }

// Both children share the caller's memory, as posix_spawn's does, and the caller's thread waits until they have
// executed the program or left, so that a host of any size starts a program without copying its page tables.
// Unlike posix_spawn's, they have no exit signal: the host's SIGCHLD handler and wait calls do not see them.
struct start {
  const char *path;
  char *const *arguments;
  char *const *environment;
  const int *descriptors;
  size_t descriptorCount;
  char *secondStack;
  int detached;
  int code;
};

enum { start_stack_size = 1 << 16 };

static int start_program(void *context) {
  struct start *start = context;
  struct sigaction byDefault;
  memset(&byDefault, 0, sizeof byDefault);
  byDefault.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; number++) sigaction(number, &byDefault, NULL);

  int lowest = 3 + (int)start->descriptorCount;
  if (!start->detached && setsid() < 0) goto failed;
  if (chdir("/") < 0) goto failed;
  umask(077);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) goto failed;
  if ((null = fcntl(null, F_DUPFD_CLOEXEC, lowest)) < 0) goto failed;
  // First out of the way of each other, then into place.
  int moved[CLINUX_MAXIMUM_DESCRIPTORS];
  for (size_t i = 0; i < start->descriptorCount; i++) {
    if ((moved[i] = fcntl(start->descriptors[i], F_DUPFD_CLOEXEC, lowest)) < 0) goto failed;
  }
  for (int i = 0; i < 3; i++) {
    if (dup2(null, i) < 0) goto failed;
  }
  for (size_t i = 0; i < start->descriptorCount; i++) {
    if (dup2(moved[i], 3 + (int)i) < 0) goto failed;
  }
  if (syscall(SYS_close_range, (unsigned)lowest, ~0U, 0) < 0) {
    for (long number = lowest, end = sysconf(_SC_OPEN_MAX); number < end; number++) close((int)number);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(start->path, start->arguments, start->environment);
failed:
  start->code = errno;
  _exit(127);
}

static int start_detached(void *context) {
  struct start *start = context;
  if (setsid() < 0 ||
      clone(start_program, start->secondStack + start_stack_size, CLONE_VM | CLONE_VFORK | SIGCHLD, start) < 0) {
    start->code = errno;
    _exit(127);
  }
  _exit(0);
}

pid_t clinux_spawn(
    const char *path, char *const *arguments, char *const *environment, const int *descriptors,
    size_t descriptorCount, int detached) {
  if (descriptorCount > CLINUX_MAXIMUM_DESCRIPTORS) return -EINVAL;
  int saved = errno;
  char *stacks =
      mmap(NULL, 2 * start_stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stacks == MAP_FAILED) {
    int code = errno;
    errno = saved;
    return -code;
  }
  struct start start = {
      .path = path,
      .arguments = arguments,
      .environment = environment,
      .descriptors = descriptors,
      .descriptorCount = descriptorCount,
      .secondStack = stacks + start_stack_size,
      .detached = detached,
  };
  // No handler of the host may run in a child that shares its memory.
  sigset_t all, before;
  sigfillset(&all);
  int cancellation;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  pid_t pid = clone(
      detached ? start_detached : start_program, stacks + start_stack_size, CLONE_VM | CLONE_VFORK, &start);
  int code = pid < 0 ? errno : *(volatile int *)&start.code;
  if (pid > 0 && (detached || code != 0)) clinux_wait(pid, NULL, 0);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_setcancelstate(cancellation, NULL);
  munmap(stacks, 2 * start_stack_size);
  errno = saved;
  if (code != 0) return -code;
  return detached ? 0 : pid;
}

int clinux_wait(pid_t pid, int *status, int withoutWaiting) {
  int discarded;
  pid_t answer;
  do {
    answer = waitpid(pid, status != NULL ? status : &discarded, __WALL | (withoutWaiting ? WNOHANG : 0));
  } while (answer < 0 && errno == EINTR);
  return (int)answer;
}

int clinux_is_privileged(void) { return getauxval(AT_SECURE) != 0; }

const char *clinux_environment_entry(long index) {
  if (environ == NULL) return NULL;
  for (long i = 0; i < index; i++) {
    if (environ[i] == NULL) return NULL;
  }
  return environ[index];
}

const char *clinux_secure_getenv(const char *name) { return secure_getenv(name); }

int clinux_current_processor(void) { return sched_getcpu(); }

int clinux_processor_count(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (int)count : 1;
}

int clinux_bind_to_processor(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (processor < 0 || processor >= CPU_SETSIZE) {
    errno = EINVAL;
    return -1;
  }
  CPU_SET(processor, &set);
  return sched_setaffinity(0, sizeof set, &set);
}

int clinux_processor_mask(void *mask, size_t byteCount, int set) {
  return set ? sched_setaffinity(0, byteCount, mask) : sched_getaffinity(0, byteCount, mask);
}

int clinux_request_slice(uint64_t nanoseconds) {
  // linux/sched/types.h, which cannot be included beside sched.h.
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes;
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return -1;
  if (attributes.policy != SCHED_OTHER) return 0;
  attributes.size = sizeof attributes;
  attributes.runtime = nanoseconds;
  return (int)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

void clinux_set_thread_name(const char *name) {
  char cut[16] = {0};
  strncpy(cut, name, sizeof cut - 1);
  pthread_setname_np(pthread_self(), cut);
}

int clinux_thread_id(void) { return (int)syscall(SYS_gettid); }

void clinux_limit_heaps(int count) { mallopt(M_ARENA_MAX, count); }

int clinux_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
  return prctl(option, a, b, c, d);
}

// The structs of linux/landlock.h as of ABI 6; the header of an older system lacks the later fields.
struct landlock_rules {
  uint64_t files, network, scopes;
};
struct __attribute__((packed)) landlock_path_rule {
  uint64_t access;
  int32_t directory;
};

int clinux_landlock_version(void) { return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, 1); }

int clinux_landlock_create(uint64_t files, uint64_t network, uint64_t scopes, int version) {
  struct landlock_rules rules = {files, network, scopes};
  size_t count = version >= 6 ? 24 : version >= 4 ? 16 : 8;
  return (int)syscall(SYS_landlock_create_ruleset, &rules, count, 0);
}

int clinux_landlock_allow_beneath(int ruleset, int directory, uint64_t access) {
  struct landlock_path_rule rule = {access, directory};
  return (int)syscall(SYS_landlock_add_rule, ruleset, 1 /* LANDLOCK_RULE_PATH_BENEATH */, &rule, 0);
}

int clinux_landlock_restrict(int ruleset) { return (int)syscall(SYS_landlock_restrict_self, ruleset, 0); }
