#pragma once

// What Glibc's Swift module cannot express: atomics over shared memory, raw system calls, variadic functions and
// macros. No policy and no allocation that outlives a call. Functions that can fail answer -1 and set errno, unless it
// says otherwise.

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#if defined(__cplusplus)
extern "C" {
#endif

// MARK: Words in memory that another process writes. Each function reads or writes its word exactly once.

static inline uint32_t clinux_load32_acquire(const void *_Nonnull word) {
  return __atomic_load_n((const uint32_t *)word, __ATOMIC_ACQUIRE);
}
static inline uint32_t clinux_load32_relaxed(const void *_Nonnull word) {
  return __atomic_load_n((const uint32_t *)word, __ATOMIC_RELAXED);
}
static inline void clinux_store32_release(void *_Nonnull word, uint32_t value) {
  __atomic_store_n((uint32_t *)word, value, __ATOMIC_RELEASE);
}
static inline void clinux_store32_relaxed(void *_Nonnull word, uint32_t value) {
  __atomic_store_n((uint32_t *)word, value, __ATOMIC_RELAXED);
}
static inline uint32_t clinux_exchange32(void *_Nonnull word, uint32_t value) {
  return __atomic_exchange_n((uint32_t *)word, value, __ATOMIC_SEQ_CST);
}
static inline uint32_t clinux_compare_exchange32(void *_Nonnull word, uint32_t expected, uint32_t desired) {
  __atomic_compare_exchange_n((uint32_t *)word, &expected, desired, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return expected;
}
static inline uint32_t clinux_add32(void *_Nonnull word, uint32_t value) {
  return __atomic_fetch_add((uint32_t *)word, value, __ATOMIC_SEQ_CST);
}
static inline uint64_t clinux_load64_acquire(const void *_Nonnull word) {
  return __atomic_load_n((const uint64_t *)word, __ATOMIC_ACQUIRE);
}
static inline uint64_t clinux_load64_relaxed(const void *_Nonnull word) {
  return __atomic_load_n((const uint64_t *)word, __ATOMIC_RELAXED);
}
static inline void clinux_store64_release(void *_Nonnull word, uint64_t value) {
  __atomic_store_n((uint64_t *)word, value, __ATOMIC_RELEASE);
}
static inline void clinux_store64_relaxed(void *_Nonnull word, uint64_t value) {
  __atomic_store_n((uint64_t *)word, value, __ATOMIC_RELAXED);
}
static inline uint64_t clinux_exchange64(void *_Nonnull word, uint64_t value) {
  return __atomic_exchange_n((uint64_t *)word, value, __ATOMIC_SEQ_CST);
}
static inline uint64_t clinux_compare_exchange64(void *_Nonnull word, uint64_t expected, uint64_t desired) {
  __atomic_compare_exchange_n((uint64_t *)word, &expected, desired, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return expected;
}
static inline void clinux_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/// Fetches the cache line of `address` ahead, to be read.
static inline void clinux_prefetch(const void *_Nonnull address) { __builtin_prefetch(address, 0, 3); }
/// Fetches the cache line of `address` ahead, to be written: takes it from the other processors.
static inline void clinux_prefetch_write(void *_Nonnull address) { __builtin_prefetch(address, 1, 3); }

/// Tells the processor that this is a waiting loop.
static inline void clinux_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

// MARK: Futexes between processes.

/// Sleeps while `*word == expected`, at most `timeout` nanoseconds (negative: without limit).
/// Answers 0 or an errno (EAGAIN, ETIMEDOUT, EINTR).
int clinux_futex_wait(void *_Nonnull word, uint32_t expected, int64_t timeout);
/// Wakes up to `count` sleepers; answers how many.
int clinux_futex_wake(void *_Nonnull word, int count);

// MARK: Memory files.

#define CLINUX_SEAL_SEAL 0x0001
#define CLINUX_SEAL_SHRINK 0x0002
#define CLINUX_SEAL_GROW 0x0004
#define CLINUX_SEAL_WRITE 0x0008
#define CLINUX_SEAL_FUTURE_WRITE 0x0010

int clinux_memory_file(const char *_Nonnull name);
int clinux_secret_memory_file(void);
int clinux_add_seals(int descriptor, int seals);
int clinux_get_seals(int descriptor);

// MARK: Descriptors and UNIX sockets.

#define CLINUX_O_PATH 010000000

int clinux_duplicate(int descriptor, int lowest);
int clinux_open(const char *_Nonnull path, int flags, unsigned mode);
int clinux_set_nonblocking(int descriptor, int on);
int clinux_accept(int listener);
int clinux_connect_unix(int descriptor, const char *_Nonnull path);
int clinux_bind_unix(int descriptor, const char *_Nonnull path);
int clinux_set_send_timeout(int descriptor, int64_t nanoseconds);
int clinux_peer_credentials(int descriptor, int32_t *_Nonnull pid, uint32_t *_Nonnull uid, uint32_t *_Nonnull gid);
int clinux_socket_cookie(int descriptor, uint64_t *_Nonnull cookie);

/// The most descriptors the kernel lets one message carry (SCM_MAX_FD).
#define CLINUX_MAXIMUM_DESCRIPTORS 253

/// Sends one message of two parts with descriptors. Never raises SIGPIPE.
ssize_t clinux_send(
    int socket, const void *_Nullable head, size_t headCount, const void *_Nullable body, size_t bodyCount,
    const int *_Nullable descriptors, size_t descriptorCount, int flags);

/// Receives one message. Descriptors arrive close-on-exec; those beyond `maximum` are closed and make `*truncated` 1,
/// as does a message longer than `capacity`.
ssize_t clinux_receive(
    int socket, void *_Nonnull buffer, size_t capacity, int *_Nullable descriptors, size_t maximum,
    size_t *_Nonnull count, int *_Nonnull truncated, int flags);

// MARK: Watching many descriptors.

int clinux_epoll_create(void);
/// Watches `descriptor`; a hang-up or an error is always reported, whatever `events` (EPOLLIN, ...) are.
int clinux_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t data);
/// Writes the data of up to `maximum` descriptors that have something to report; answers how many.
int clinux_epoll_wait(int epoll, uint64_t *_Nonnull data, int maximum, int milliseconds);

// MARK: Processes, processors, environment.

/// fork(2), which Swift's import hides: for a process without threads only.
pid_t clinux_fork(void);

/// Starts a program: own session, `/` as working directory, every signal at its default, none blocked, standard streams
/// on the null device, `descriptors[i]` as 3 + i and nothing else open.
///
/// Neither SIGCHLD nor a wait of the calling program sees the intermediate process of a detached start.
/// With `detached` the program is a child of init and the answer is 0; else the answer is the pid of a child, which is
/// to be waited for with `clinux_wait`. Answers -errno on failure, also when the program could not be executed.
pid_t clinux_spawn(
    const char *_Nonnull path, char *const _Nullable *_Nonnull arguments, char *const _Nullable *_Nonnull environment,
    const int *_Nullable descriptors, size_t descriptorCount, int detached);
/// waitpid that also sees children without an exit signal; EINTR is retried.
int clinux_wait(pid_t pid, int *_Nullable status, int withoutWaiting);

/// 1 in a program with raised privileges (set-user-ID and the like), whose environment is not to be trusted.
int clinux_is_privileged(void);
/// The environment's entry of that index, NULL past the last.
const char *_Nullable clinux_environment_entry(long index);
const char *_Nullable clinux_secure_getenv(const char *_Nonnull name);
int clinux_current_processor(void);
int clinux_processor_count(void);
/// Binds the calling thread to one processor.
int clinux_bind_to_processor(int processor);
/// Reads (`set` 0) or writes (`set` 1) the calling thread's processor mask of `byteCount` bytes.
int clinux_processor_mask(void *_Nonnull mask, size_t byteCount, int set);
/// Asks for time slices of that many nanoseconds for the calling thread and those it will start (Linux 6.12; older kernels
/// ignore it). Keeps policy and nice value.
int clinux_request_slice(uint64_t nanoseconds);
void clinux_set_thread_name(const char *_Nonnull name);
int clinux_thread_id(void);
/// malloc's heaps (M_ARENA_MAX). To be called before there is a second thread.
void clinux_limit_heaps(int count);

// MARK: Restricting this process.

int clinux_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);

#define CLINUX_PR_SET_DUMPABLE 4
#define CLINUX_PR_GET_DUMPABLE 3
#define CLINUX_PR_SET_NO_NEW_PRIVS 38
#define CLINUX_PR_GET_NO_NEW_PRIVS 39
#define CLINUX_PR_SET_MDWE 65
#define CLINUX_PR_GET_MDWE 66

/// landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION)
int clinux_landlock_version(void);
int clinux_landlock_create(uint64_t files, uint64_t network, uint64_t scopes, int version);
int clinux_landlock_allow_beneath(int ruleset, int directory, uint64_t access);
int clinux_landlock_restrict(int ruleset);

#if defined(__cplusplus)
}
#endif
