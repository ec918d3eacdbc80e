// Measures PKCS#11 modules and raw libcrypto in turn, in one run, and prints one table.
//
// Each peer lives in a process of its own, so that none disturbs or crashes another; they work one at a time. A row is
// measured in rounds: each peer gets a slice of time, then the next one, five times. Every call is timed with the time-stamp
// counter and kept in a histogram of 64 steps an octave (1.1 %). p50 and p99 are over all rounds, operations a second
// are of the best round. The ratio is raw's p50 over the peer's: 1.00 is as fast as libcrypto in-process.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { MAXIMUM_PEERS = 8, ROUNDS = 5, STEPS = 64, BUCKETS = STEPS * 58 };

typedef enum { PREPARE, RUN } Command;

typedef struct {
  Command command;
  size_t row;
  uint64_t nanoseconds;
} Order;

typedef struct {
  bool good;
  uint64_t operations, nanoseconds;
  char error[200];
} Answer;

// Times in ticks: exact below 64, then 64 steps to each doubling. Shared with the worker.
typedef struct {
  uint64_t count[BUCKETS];
} Histogram;

typedef struct {
  const char *name, *module;
  pid_t process;
  int socket;
  bool alive;
  Histogram *histogram;
  // of the row at hand
  bool able;
  double p50, p99, rate; // nanoseconds, nanoseconds, operations a second
  char error[200];
} Peer;

static size_t bucket_of(uint64_t value) {
  if (value < STEPS) return value;
  int octave = 63 - __builtin_clzll(value) - 5;
  size_t bucket = (size_t)octave * STEPS + (value >> octave);
  return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double value_of(size_t bucket) {
  if (bucket < 2 * STEPS) return (double)bucket;
  int octave = (int)(bucket / STEPS) - 1;
  return (double)((bucket - (size_t)octave * STEPS) << octave) + (double)(1ull << octave) / 2;
}

static double quantile(const Histogram *histogram, double part) {
  uint64_t total = 0, seen = 0;
  for (size_t i = 0; i < BUCKETS; i++) total += histogram->count[i];
  for (size_t i = 0; i < BUCKETS; i++) {
    seen += histogram->count[i];
    if ((double)seen >= part * (double)total && seen > 0) return value_of(i) * nanoseconds_per_tick();
  }
  return 0;
}

// ---- the worker's side

static void run(Worker *worker, const Row *row, const Order *order, Answer *answer, Histogram *histogram) {
  uint64_t (*once)(Worker *, const Row *) = worker->module ? row->once : row->raw_once;
  uint64_t start = monotonic_nanoseconds(), now = start;
  do {
    if (row->pace) usleep(row->pace);
    uint64_t elapsed = once(worker, row);
    if (elapsed == FAILED) {
      answer->good = false;
      return;
    }
    histogram->count[bucket_of(elapsed)]++;
    answer->operations++;
    answer->nanoseconds += (uint64_t)((double)elapsed * nanoseconds_per_tick());
    now = monotonic_nanoseconds();
  } while (now - start < order->nanoseconds);
}

static void work(const Peer *peer, int socket) {
  Worker worker = {.name = peer->name, .module = peer->module};
  worker.input = aligned_alloc(4096, MAXIMUM_BYTES);
  worker.output = aligned_alloc(4096, MAXIMUM_BYTES + 4096);
  memset(worker.input, 0x5a, MAXIMUM_BYTES);
  memset(worker.output, 0, MAXIMUM_BYTES + 4096);
  bool opened = worker.module ? token_open(&worker, true) : raw_open(&worker);
  Order order;
  while (read(socket, &order, sizeof order) == (ssize_t)sizeof order) {
    const Row *row = &rows[order.row];
    Answer answer = {.good = opened};
    if (opened && order.command == PREPARE) {
      bool (*prepare)(Worker *, const Row *) = worker.module ? row->prepare : row->raw_prepare;
      worker.error[0] = 0;
      answer.good = prepare && prepare(&worker, row);
    } else if (opened) {
      run(&worker, row, &order, &answer, peer->histogram);
    }
    memcpy(answer.error, worker.error, sizeof answer.error);
    if (write(socket, &answer, sizeof answer) != (ssize_t)sizeof answer) break;
  }
  token_close(&worker);
  _exit(0);
}

// ---- the conductor's side

static bool ask(Peer *peer, Order order, Answer *answer) {
  if (peer->alive && (write(peer->socket, &order, sizeof order) != (ssize_t)sizeof order ||
                      read(peer->socket, answer, sizeof *answer) != (ssize_t)sizeof *answer)) {
    int status = 0;
    waitpid(peer->process, &status, 0);
    peer->alive = false;
    fprintf(stderr, "%s ended in row %s with status %d\n", peer->name, rows[order.row].name, status);
  }
  if (!peer->alive) {
    snprintf(peer->error, sizeof peer->error, "its process has ended");
    return false;
  }
  memcpy(peer->error, answer->error, sizeof peer->error);
  return answer->good;
}

static bool start_peer(Peer *peer) {
  int pair[2];
  peer->histogram = mmap(NULL, sizeof *peer->histogram, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (peer->histogram == MAP_FAILED || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return false;
  fflush(NULL);
  peer->process = fork();
  if (peer->process == 0) {
    prctl(PR_SET_PDEATHSIG, 9);
    close(pair[0]);
    work(peer, pair[1]);
  }
  close(pair[1]);
  peer->socket = pair[0];
  peer->alive = peer->process > 0;
  return peer->alive;
}

static bool end_peer(Peer *peer) {
  bool alive = peer->alive;
  shutdown(peer->socket, SHUT_RDWR); // closing would not do: workers started later hold a copy
  close(peer->socket);
  if (alive) waitpid(peer->process, NULL, 0);
  munmap(peer->histogram, sizeof *peer->histogram);
  peer->alive = false;
  return alive;
}

// Each variable NAME_IN_MEMORY names the configuration to use as NAME from now on.
static void move_stores_to_memory(void) {
  static const char *const variables[][2] = {{"STRONGROOM_CONF", "STRONGROOM_CONF_IN_MEMORY"},
                                             {"SOFTHSM2_CONF", "SOFTHSM2_CONF_IN_MEMORY"}};
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
    const char *value = getenv(variables[i][1]);
    if (value) setenv(variables[i][0], value, 1);
  }
}

static void measure(Peer *peers, size_t count, size_t row, double seconds) {
  for (size_t i = 0; i < count; i++) {
    Answer answer;
    memset(peers[i].histogram, 0, sizeof *peers[i].histogram);
    peers[i].rate = 0;
    peers[i].able = ask(&peers[i], (Order){PREPARE, row, 0}, &answer);
    // A first call outside of the measurement: page faults, lazily fetched algorithms.
    if (peers[i].able) peers[i].able = ask(&peers[i], (Order){RUN, row, 0}, &answer);
    memset(peers[i].histogram, 0, sizeof *peers[i].histogram);
  }
  for (int round = 0; round < ROUNDS; round++) {
    for (size_t i = 0; i < count; i++) {
      Answer answer;
      if (!peers[i].able) continue;
      peers[i].able = ask(&peers[i], (Order){RUN, row, (uint64_t)(seconds / ROUNDS * 1e9)}, &answer);
      if (!peers[i].able || answer.nanoseconds == 0) continue;
      double rate = (double)answer.operations * 1e9 / (double)answer.nanoseconds;
      if (rate > peers[i].rate) peers[i].rate = rate;
    }
  }
  for (size_t i = 0; i < count; i++) {
    peers[i].p50 = quantile(peers[i].histogram, 0.5);
    peers[i].p99 = quantile(peers[i].histogram, 0.99);
  }
}

static void print_time(double nanoseconds) {
  double microseconds = nanoseconds / 1000;
  printf(microseconds < 10 ? " %9.2f" : microseconds < 100 ? " %9.1f" : " %9.0f", microseconds);
}

static void print_header(const Peer *peers, size_t count) {
  printf("%-27s", "microseconds");
  for (size_t i = 0; i < count; i++) printf(peers[i].module ? " | %40s" : " | %31s", peers[i].name);
  printf("\n%-27s", "");
  for (size_t i = 0; i < count; i++) {
    printf(" | %9s %9s %11s", "p50", "p99", "ops/s");
    if (peers[i].module) printf(" %8s", "of raw");
  }
  printf("\n");
}

static void print_row(const Peer *peers, size_t count, const Row *row) {
  const Peer *raw = NULL;
  for (size_t i = 0; i < count; i++)
    if (!peers[i].module && peers[i].able) raw = &peers[i];
  printf("%-27s", row->name);
  for (size_t i = 0; i < count; i++) {
    const Peer *peer = &peers[i];
    if (!peer->able) {
      if (peer->module)
        printf(" | %-40.40s", peer->error);
      else
        printf(" | %31s", "");
      continue;
    }
    printf(" |");
    print_time(peer->p50);
    print_time(peer->p99);
    printf(" %11.0f", peer->rate);
    if (peer->module && raw)
      printf(" %8.3f", raw->p50 / peer->p50);
    else if (peer->module)
      printf(" %8s", "");
  }
  printf("\n");
  fflush(stdout);
}

static void write_text(FILE *json, const char *text) {
  fputc('"', json);
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') fputc('\\', json);
    if ((unsigned char)*text >= 0x20) fputc(*text, json);
  }
  fputc('"', json);
}

static void write_row(FILE *json, const Peer *peers, size_t count, const Row *row, bool first) {
  fprintf(json, "%s  {\"row\": ", first ? "" : ",\n");
  write_text(json, row->name);
  fprintf(json, ", \"bytes\": %zu, \"peers\": {", row->bytes);
  for (size_t i = 0; i < count; i++) {
    fprintf(json, "%s", i ? ", " : "");
    write_text(json, peers[i].name);
    if (peers[i].able) {
      fprintf(json, ": {\"p50_ns\": %.1f, \"p99_ns\": %.1f, \"ops_per_s\": %.1f}", peers[i].p50, peers[i].p99, peers[i].rate);
    } else {
      fprintf(json, ": {\"error\": ");
      write_text(json, peers[i].module || peers[i].error[0] ? peers[i].error : "nothing to compare with");
      fprintf(json, "}");
    }
  }
  fprintf(json, "}}");
}

// True when the list, of names with commas between, is empty or one of its names begins `name`.
static bool selected(const char *list, const char *name) {
  if (!list || !*list) return true;
  for (const char *at = list; *at;) {
    size_t length = strcspn(at, ",");
    if (length && strncmp(name, at, length) == 0) return true;
    at += length + (at[length] == ',');
  }
  return false;
}

static int usage(void) {
  fprintf(stderr,
          "usage: bench [--only ROW,...] [--peers NAME,...] [--seconds N] [--json FILE] NAME=MODULE...\n"
          "  a row or peer is named by its beginning; 'raw' is libcrypto. --list prints the rows.\n");
  return 2;
}

int main(int argc, char **argv) {
  static const struct option options[] = {{"only", required_argument, NULL, 'o'},  {"peers", required_argument, NULL, 'p'},
                                          {"seconds", required_argument, NULL, 's'}, {"json", required_argument, NULL, 'j'},
                                          {"start", required_argument, NULL, 'S'}, {"list", no_argument, NULL, 'l'},
                                          {NULL, 0, NULL, 0}};
  const char *only = NULL, *wanted = NULL, *path = NULL;
  double seconds = 0.5;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (option) {
      case 'o': only = optarg; break;
      case 'p': wanted = optarg; break;
      case 's': seconds = strtod(optarg, NULL); break;
      case 'j': path = optarg; break;
      case 'S': return token_start_once(optarg);
      case 'l':
        for (size_t i = 0; i < row_count; i++) puts(rows[i].name);
        return 0;
      default: return usage();
    }
  }
  if (!(seconds > 0 && seconds < 3600)) return usage();
  Peer peers[MAXIMUM_PEERS] = {{.name = "raw"}};
  size_t count = selected(wanted, "raw") ? 1 : 0;
  for (; optind < argc; optind++) {
    char *equals = strchr(argv[optind], '=');
    if (!equals || count == MAXIMUM_PEERS) return usage();
    *equals = 0;
    if (selected(wanted, argv[optind])) peers[count++] = (Peer){.name = argv[optind], .module = equals + 1};
  }
  size_t chosen = 0;
  for (size_t i = 0; i < row_count; i++) chosen += selected(only, rows[i].name);
  if (count == 0 || chosen == 0) {
    fprintf(stderr, "no %s is left of the choice\n", count ? "row" : "peer");
    return usage();
  }
  nanoseconds_per_tick();
  FILE *json = path ? fopen(path, "w") : NULL;
  if (path && !json) {
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return 1;
  }
  if (json) fprintf(json, "[\n");
  print_header(peers, count);
  bool first = true, complete = true;
  for (int populous = 0; populous < 2; populous++) {
    chosen = 0;
    for (size_t i = 0; i < row_count; i++) chosen += selected(only, rows[i].name) && rows[i].populous == populous;
    if (chosen == 0) continue;
    if (populous) move_stores_to_memory();
    for (size_t i = 0; i < count; i++) complete = start_peer(&peers[i]) && complete;
    for (size_t i = 0; i < row_count; i++) {
      if (!selected(only, rows[i].name) || rows[i].populous != populous) continue;
      measure(peers, count, i, seconds);
      print_row(peers, count, &rows[i]);
      if (json) write_row(json, peers, count, &rows[i], first);
      first = false;
    }
    for (size_t i = 0; i < count; i++) complete = end_peer(&peers[i]) && complete;
  }
  if (json) {
    fprintf(json, "\n]\n");
    if (fclose(json) != 0) complete = false;
  }
  return complete ? 0 : 1;
}
