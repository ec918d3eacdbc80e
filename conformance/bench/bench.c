// Measures PKCS#11 modules and raw libcrypto in turn, in one run, and prints one table.
//
// Each peer lives in processes of its own, so that none disturbs or crashes another; they work one at a time. A row is
// measured in rounds: each peer gets a slice of time, then the next one, five times. Every call is timed with the time-stamp
// counter and kept in a histogram of 64 steps an octave (1.1 %). p50 and p99 are over all rounds; the rate of several clients
// is the median of the rounds'. The ratio is raw's p50 over the peer's, or the peer's rate over raw's: 1.00 is as fast as
// libcrypto in-process, of the release that our secure world has.
#include <errno.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { MAXIMUM_PEERS = 8, ROUNDS = 5, STEPS = 64, BUCKETS = STEPS * 58, PATIENCE_MS = 240000 };

typedef enum { PREPARE, RUN, VERSION } Command;

typedef struct {
  Command command;
  size_t row;
  uint64_t nanoseconds;
} Order;

typedef struct {
  bool good;
  uint64_t calls, nanoseconds;
  char error[200];
} Answer;

// Values, ticks for the most part: exact below 64, then 64 steps to each doubling. Shared with the worker.
typedef struct {
  uint64_t count[BUCKETS];
} Histogram;

typedef struct {
  pid_t process;
  int socket;
  bool alive;
  Histogram *histogram;
} Client;

typedef struct {
  const char *name;
  const char *module;  // NULL: libcrypto
  const char *library; // the libcrypto.so.3 of a peer without module; NULL: the one that this program has
  char version[80];    // of that libcrypto
  Client clients[MAXIMUM_CLIENTS]; // the first lives as long as the peer's store
  // of the row at hand
  bool able;
  Histogram sum;
  double p50, p99, mean; // nanoseconds, or bytes
  double rates[ROUNDS], rate; // of all clients together, operations a second
  char error[200];
  // of the last row with one client whose rate counts
  const Row *alone;
  double rate_alone;
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
    if ((double)seen >= part * (double)total && seen > 0) return value_of(i);
  }
  return 0;
}

static double mean(const Histogram *histogram) {
  double total = 0, sum = 0;
  for (size_t i = 0; i < BUCKETS; i++) {
    total += (double)histogram->count[i];
    sum += (double)histogram->count[i] * value_of(i);
  }
  return total > 0 ? sum / total : 0;
}

static int compare(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

// ---- the worker's side

static void run(Worker *worker, const Row *row, uint64_t nanoseconds, Answer *answer, Histogram *histogram) {
  if (row->threads) {
    answer->calls =
        run_threads(worker, row, nanoseconds, bucket_of, histogram->count, BUCKETS, &answer->nanoseconds);
  } else {
    uint64_t start = monotonic_nanoseconds();
    answer->calls = run_calls(worker, row, nanoseconds, bucket_of, histogram->count);
    answer->nanoseconds = monotonic_nanoseconds() - start;
  }
  answer->good = answer->calls != FAILED;
}

// Lends the worker the memory that the row wants for its payload, and takes back what the last row had.
static bool lend_memory(Worker *worker, const Row *row) {
  unsigned char **places[] = {&worker->input, &worker->output};
  unsigned char *own[] = {worker->own_input, worker->own_output};
  for (int i = 0; i < 2; i++) {
    if (*places[i] != own[i]) worker->strongroom->FreeSharedMemory(*places[i]);
    *places[i] = own[i];
  }
  if (!row->shared || !worker->module) return true;
  if (!worker->strongroom) {
    snprintf(worker->error, sizeof worker->error, "no shared memory");
    return false;
  }
  for (int i = 0; i < 2; i++) {
    CK_BYTE *memory;
    if (failed(worker, "AllocateSharedMemory", worker->strongroom->AllocateSharedMemory(row->bytes + 4096, 0, &memory)))
      return false;
    *places[i] = memory;
  }
  return true;
}

static bool prepare(Worker *worker, const Row *row) {
  bool (*make)(Worker *, const Row *) = worker->module ? row->prepare : row->raw_prepare;
  worker->error[0] = 0;
  if (!make || !lend_memory(worker, row)) return false;
  // A page written to is a page of one's own.
  size_t bytes = row->populous ? 0 : row->bytes;
  memset(worker->input, 0x5a, bytes);
  memset(worker->output, 0, bytes);
  return make(worker, row);
}

static unsigned char *room(void) {
  void *memory = mmap(NULL, MAXIMUM_BYTES + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

static void work(const char *name, const char *module, Histogram *histogram, int socket, bool initialise) {
  Worker worker = {.name = name, .module = module, .own_input = room(), .own_output = room()};
  worker.input = worker.own_input;
  worker.output = worker.own_output;
  // A sleep ends when it was to end.
  prctl(PR_SET_TIMERSLACK, 1);
  bool opened = worker.input && worker.output && (worker.module ? token_open(&worker, initialise) : raw_open(&worker));
  Order order;
  while (read(socket, &order, sizeof order) == (ssize_t)sizeof order) {
    const Row *row = &rows[order.row];
    Answer answer = {.good = opened};
    if (opened && order.command == PREPARE) answer.good = prepare(&worker, row);
    if (opened && order.command == RUN) run(&worker, row, order.nanoseconds, &answer, histogram);
    memcpy(answer.error, worker.error, sizeof answer.error);
    if (order.command == VERSION) snprintf(answer.error, sizeof answer.error, "%s", OpenSSL_version(OPENSSL_VERSION));
    if (write(socket, &answer, sizeof answer) != (ssize_t)sizeof answer) break;
  }
  token_close(&worker);
  _exit(0);
}

// ---- the conductor's side

// A process that is to have another libcrypto starts this program anew, with the two descriptors that it needs.
enum { WORK_SOCKET = 3, WORK_HISTOGRAM = 4 };

static void work_with(const char *library, int socket, int histogram) {
  char folder[4096];
  snprintf(folder, sizeof folder, "%s", library);
  *strrchr(folder, '/') = 0;
  setenv("LD_LIBRARY_PATH", folder, 1);
  // Out of each other's way first: a descriptor may have the other's number.
  int sockets = dup(socket), histograms = dup(histogram);
  dup2(sockets, WORK_SOCKET);
  dup2(histograms, WORK_HISTOGRAM);
  execl("/proc/self/exe", "bench", "--work", (char *)NULL);
  _exit(127);
}

static int work_as_told(void) {
  prctl(PR_SET_PDEATHSIG, 9);
  Histogram *histogram = mmap(NULL, sizeof *histogram, PROT_READ | PROT_WRITE, MAP_SHARED, WORK_HISTOGRAM, 0);
  if (histogram == MAP_FAILED) return 1;
  work("raw", NULL, histogram, WORK_SOCKET, false);
  return 0;
}

static bool start_client(const Peer *peer, Client *client, bool initialise) {
  int pair[2], memory = memfd_create("histogram", MFD_CLOEXEC);
  if (memory < 0 || ftruncate(memory, sizeof *client->histogram) != 0) return false;
  client->histogram = mmap(NULL, sizeof *client->histogram, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (client->histogram == MAP_FAILED || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return false;
  fflush(NULL);
  client->process = fork();
  if (client->process == 0) {
    prctl(PR_SET_PDEATHSIG, 9);
    close(pair[0]);
    if (peer->library) work_with(peer->library, pair[1], memory);
    work(peer->name, peer->module, client->histogram, pair[1], initialise);
  }
  close(memory);
  close(pair[1]);
  client->socket = pair[0];
  client->alive = client->process > 0;
  return client->alive;
}

static bool end_client(Client *client) {
  bool alive = client->alive;
  shutdown(client->socket, SHUT_RDWR); // closing would not do: workers started later hold a copy
  close(client->socket);
  if (alive) waitpid(client->process, NULL, 0);
  munmap(client->histogram, sizeof *client->histogram);
  *client = (Client){.alive = false};
  return alive;
}

static void give_up(Peer *peer, Client *client, size_t row, const char *how) {
  int status = 0;
  kill(client->process, SIGKILL);
  waitpid(client->process, &status, 0);
  client->alive = false;
  fprintf(stderr, "%s %s in row %s (status %d)\n", peer->name, how, rows[row].name, status);
}

// Has so many clients of the peer do as ordered, at the same time, and adds up what they did.
static bool ask(Peer *peer, unsigned count, Order order, double *rate) {
  bool good = true;
  double sum = 0;
  for (unsigned i = 0; i < count; i++) {
    Client *client = &peer->clients[i];
    if (client->alive && write(client->socket, &order, sizeof order) != (ssize_t)sizeof order)
      give_up(peer, client, order.row, "ended");
  }
  for (unsigned i = 0; i < count; i++) {
    Client *client = &peer->clients[i];
    struct pollfd answered = {.fd = client->socket, .events = POLLIN};
    Answer answer;
    if (client->alive && poll(&answered, 1, PATIENCE_MS) != 1) give_up(peer, client, order.row, "did not answer");
    if (client->alive && read(client->socket, &answer, sizeof answer) != (ssize_t)sizeof answer)
      give_up(peer, client, order.row, "ended");
    if (!client->alive) {
      snprintf(peer->error, sizeof peer->error, "its process has ended");
      good = false;
      continue;
    }
    if (!answer.good || order.command == VERSION) memcpy(peer->error, answer.error, sizeof peer->error);
    good = good && answer.good;
    if (answer.nanoseconds) sum += (double)answer.calls * 1e9 / (double)answer.nanoseconds;
  }
  if (rate) *rate = sum;
  return good;
}

static pid_t start_neighbour(void) {
  fflush(NULL);
  pid_t process = fork();
  if (process == 0) {
    prctl(PR_SET_PDEATHSIG, 9);
    for (volatile unsigned turns = 0;; turns++) {}
  }
  return process;
}

static void end_neighbour(pid_t process) {
  if (process <= 0) return;
  kill(process, SIGKILL);
  waitpid(process, NULL, 0);
}

// Each variable NAME_IN_MEMORY names the configuration to use as NAME from now on.
static void move_stores_to_memory(void) {
  static const char *const variables[][2] = {{"STRONGROOM_CONF", "STRONGROOM_CONF_IN_MEMORY"},
                                             {"SOFTHSM2_CONF", "SOFTHSM2_CONF_IN_MEMORY"},
                                             {"NSS_PARAMETERS", "NSS_PARAMETERS_IN_MEMORY"}};
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
    const char *value = getenv(variables[i][1]);
    if (value) setenv(variables[i][0], value, 1);
  }
}

static void clear(Peer *peer, unsigned clients) {
  for (unsigned i = 0; i < clients; i++) memset(peer->clients[i].histogram, 0, sizeof(Histogram));
}

static void measure(Peer *peers, size_t count, size_t row, double seconds) {
  unsigned clients = rows[row].processes ? rows[row].processes : 1;
  for (size_t i = 0; i < count; i++) {
    Peer *peer = &peers[i];
    peer->able = true;
    peer->error[0] = 0;
    for (unsigned extra = 1; extra < clients; extra++)
      peer->able = start_client(peer, &peer->clients[extra], false) && peer->able;
    peer->able = peer->able && ask(peer, clients, (Order){PREPARE, row, 0}, NULL);
    // A first call outside of the measurement: page faults, lazily fetched algorithms.
    peer->able = peer->able && ask(peer, clients, (Order){RUN, row, 0}, NULL);
    clear(peer, clients);
  }
  pid_t neighbour = rows[row].busy ? start_neighbour() : 0;
  for (int round = 0; round < ROUNDS; round++) {
    for (size_t i = 0; i < count; i++) {
      Peer *peer = &peers[i];
      if (!peer->able) continue;
      peer->able = ask(peer, clients, (Order){RUN, row, (uint64_t)(seconds / ROUNDS * 1e9)}, &peer->rates[round]);
    }
  }
  end_neighbour(neighbour);
  double unit = rows[row].unit == UNIT_BYTES ? 1 : nanoseconds_per_tick();
  for (size_t i = 0; i < count; i++) {
    Peer *peer = &peers[i];
    memset(&peer->sum, 0, sizeof peer->sum);
    for (unsigned client = 0; client < clients; client++)
      for (size_t bucket = 0; bucket < BUCKETS; bucket++)
        peer->sum.count[bucket] += peer->clients[client].histogram->count[bucket];
    for (unsigned extra = 1; extra < clients; extra++) end_client(&peer->clients[extra]);
    peer->p50 = quantile(&peer->sum, 0.5) * unit;
    peer->p99 = quantile(&peer->sum, 0.99) * unit;
    peer->mean = mean(&peer->sum) * unit;
    qsort(peer->rates, ROUNDS, sizeof *peer->rates, compare);
    peer->rate = peer->rates[ROUNDS / 2];
    if (rows[row].unit == UNIT_RATE && rows[row].threads == 1) {
      peer->alone = peer->able ? &rows[row] : NULL;
      peer->rate_alone = peer->rate;
    }
  }
}

// ---- output

static double of_raw(const Peer *peers, size_t count, const Peer *peer, const Row *row) {
  for (size_t i = 0; i < count; i++) {
    if (peers[i].module) continue;
    if (!peers[i].able || peer == &peers[i]) return 0;
    if (row->unit == UNIT_RATE) return peers[i].rate > 0 ? peer->rate / peers[i].rate : 0;
    return peer->p50 > 0 ? peers[i].p50 / peer->p50 : 0;
  }
  return 0;
}

// The rate in terms of what one client alone had, when that was measured just before.
static double of_one(const Peer *peer, const Row *row) {
  if (row->unit != UNIT_RATE || !peer->alone || peer->alone == row || peer->rate_alone <= 0) return 0;
  size_t work = strcspn(row->name, " ");
  if (strcspn(peer->alone->name, " ") != work || strncmp(peer->alone->name, row->name, work) != 0) return 0;
  return peer->rate / peer->rate_alone;
}

static void print_number(double number) {
  printf(number < 10 ? " %9.2f" : number < 100 ? " %9.1f" : " %9.0f", number);
}

static void print_ratio(double ratio) {
  if (ratio > 0)
    printf(ratio < 100 ? " %7.3f" : " %7.0f", ratio);
  else
    printf(" %7s", "");
}

static void print_header(const Peer *peers, size_t count, Unit unit) {
  static const char *const titles[] = {"microseconds a call", "operations a second", "KiB of memory"};
  printf("\n%-29s", titles[unit]);
  for (size_t i = 0; i < count; i++) printf(peers[i].module ? " |%27s" : " |%19s", peers[i].name);
  printf("\n%-29s", "");
  for (size_t i = 0; i < count; i++) {
    printf(unit == UNIT_TIME ? " | %8s %9s" : " | %8s %9s", unit == UNIT_TIME ? "p50" : "", unit == UNIT_TIME ? "p99" : "median");
    if (peers[i].module) printf(" %7s", unit == UNIT_BYTES ? "" : "of raw");
  }
  printf("\n");
}

static void print_row(const Peer *peers, size_t count, const Row *row) {
  printf("%-29s", row->name);
  for (size_t i = 0; i < count; i++) {
    const Peer *peer = &peers[i];
    if (!peer->able && !peer->module) {
      printf(" |%19s", "");
    } else if (!peer->able) {
      // What the function was is in the JSON.
      size_t length = strcspn(peer->error, "(");
      printf(" | n/a %-22.*s", length < 22 ? (int)length : 22, peer->error);
    } else if (row->unit == UNIT_TIME) {
      printf(" |");
      print_number(peer->p50 / 1000);
      print_number(peer->p99 / 1000);
      if (peer->module) print_ratio(of_raw(peers, count, peer, row));
    } else if (row->unit == UNIT_RATE) {
      char text[32] = "";
      double times = of_one(peer, row);
      if (times > 0) snprintf(text, sizeof text, "x%.2f", times);
      printf(" | %8s %9.0f", text, peer->rate);
      if (peer->module) print_ratio(of_raw(peers, count, peer, row));
    } else {
      printf(" | %8s %9.2f", "", peer->p50 / 1024);
      if (peer->module) printf(" %7s", "");
    }
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

static void write_head(FILE *json, const Peer *peers, size_t count, double seconds) {
  struct utsname system;
  uname(&system);
  fprintf(json, "{\"cores\": %ld, \"kernel\": ", sysconf(_SC_NPROCESSORS_ONLN));
  write_text(json, system.release);
  fprintf(json, ", \"libcrypto\": {");
  bool first = true;
  for (size_t i = 0; i < count; i++) {
    if (peers[i].module) continue;
    fprintf(json, "%s", first ? "" : ", ");
    write_text(json, peers[i].name);
    fprintf(json, ": ");
    write_text(json, peers[i].version);
    first = false;
  }
  fprintf(json, "}, \"seconds\": %g, \"peers\": [", seconds);
  for (size_t i = 0; i < count; i++) {
    fprintf(json, "%s", i ? ", " : "");
    write_text(json, peers[i].name);
  }
  fprintf(json, "], \"rows\": [\n");
}

static void write_row(FILE *json, const Peer *peers, size_t count, const Row *row, bool first) {
  static const char *const units[] = {"time", "rate", "bytes"};
  fprintf(json, "%s  {\"row\": ", first ? "" : ",\n");
  write_text(json, row->name);
  fprintf(json, ", \"unit\": \"%s\", \"bytes\": %zu, \"peers\": {", units[row->unit], row->bytes);
  for (size_t i = 0; i < count; i++) {
    const Peer *peer = &peers[i];
    fprintf(json, "%s", i ? ", " : "");
    write_text(json, peer->name);
    if (!peer->able) {
      fprintf(json, ": {\"error\": ");
      write_text(json, peer->module || peer->error[0] ? peer->error : "nothing to compare with");
      fprintf(json, "}");
    } else if (row->unit == UNIT_BYTES) {
      fprintf(json, ": {\"bytes\": %.0f}", peer->p50);
    } else {
      fprintf(json, ": {\"p50_ns\": %.1f, \"p99_ns\": %.1f, \"mean_ns\": %.1f, \"ops_per_s\": %.1f", peer->p50, peer->p99,
              peer->mean, peer->rate);
      double ratio = of_raw(peers, count, peer, row), times = of_one(peer, row);
      if (ratio > 0) fprintf(json, ", \"of_raw\": %.4f", ratio);
      if (times > 0) fprintf(json, ", \"of_one\": %.3f", times);
      fprintf(json, "}");
    }
  }
  fprintf(json, "}}");
}

// True when the list, of names with commas between, is empty or one of its names begins `name`. A name that ends in '.' is a
// whole name.
static bool selected(const char *list, const char *name) {
  if (!list || !*list) return true;
  for (const char *at = list; *at;) {
    size_t length = strcspn(at, ",");
    bool whole = length > 1 && at[length - 1] == '.';
    if (whole ? strlen(name) == length - 1 && strncmp(name, at, length - 1) == 0 : length && strncmp(name, at, length) == 0)
      return true;
    at += length + (at[length] == ',');
  }
  return false;
}

static int usage(void) {
  fprintf(stderr,
          "usage: bench [--only ROW,...] [--peers NAME,...] [--seconds N] [--json FILE] NAME=MODULE...\n"
          "  A row or peer is named by its beginning, or by all of it and a '.'. A peer whose name begins with 'raw' is libcrypto: the\n"
          "  library after the '=', or the system's; ratios are against the first of them. --list prints the rows.\n");
  return 2;
}

int main(int argc, char **argv) {
  static const struct option options[] = {{"only", required_argument, NULL, 'o'},    {"peers", required_argument, NULL, 'p'},
                                          {"seconds", required_argument, NULL, 's'}, {"json", required_argument, NULL, 'j'},
                                          {"list", no_argument, NULL, 'l'},          {"work", no_argument, NULL, 'w'},
                                          {NULL, 0, NULL, 0}};
  const char *only = NULL, *wanted = NULL, *path = NULL;
  double seconds = 0.5;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (option) {
      case 'o': only = optarg; break;
      case 'p': wanted = optarg; break;
      case 's': seconds = strtod(optarg, NULL); break;
      case 'j': path = optarg; break;
      case 'l':
        for (size_t i = 0; i < row_count; i++) puts(rows[i].name);
        return 0;
      case 'w': return work_as_told(); // this program's own use
      default: return usage();
    }
  }
  if (!(seconds > 0 && seconds < 3600)) return usage();
  static Peer peers[MAXIMUM_PEERS];
  size_t count = 0;
  for (; optind < argc; optind++) {
    char *equals = strchr(argv[optind], '=');
    if (!equals || count == MAXIMUM_PEERS) return usage();
    *equals = 0;
    if (!selected(wanted, argv[optind])) continue;
    Peer peer = {.name = argv[optind], .module = equals + 1};
    if (strncmp(peer.name, "raw", 3) == 0) peer = (Peer){.name = peer.name, .library = equals[1] ? equals + 1 : NULL};
    if (peer.library && !strchr(peer.library, '/')) return usage();
    peers[count++] = peer;
  }
  size_t chosen = 0;
  for (size_t i = 0; i < row_count; i++) chosen += selected(only, rows[i].name);
  if (count == 0 || chosen == 0) {
    fprintf(stderr, "no %s is left of the choice\n", count ? "row" : "peer");
    return usage();
  }
  uint64_t begun = monotonic_nanoseconds();
  nanoseconds_per_tick();
  FILE *json = path ? fopen(path, "w") : NULL;
  if (path && !json) {
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return 1;
  }
  bool complete = true;
  size_t printed = 0;
  Unit unit = UNIT_TIME;
  for (int populous = 0; populous < 2; populous++) {
    chosen = 0;
    for (size_t i = 0; i < row_count; i++) chosen += selected(only, rows[i].name) && rows[i].populous == populous;
    if (chosen == 0) continue;
    if (populous) move_stores_to_memory();
    for (size_t i = 0; i < count; i++) complete = start_client(&peers[i], &peers[i].clients[0], true) && complete;
    for (size_t i = 0; i < count; i++) {
      if (peers[i].module || !ask(&peers[i], 1, (Order){VERSION, 0, 0}, NULL)) continue;
      memcpy(peers[i].version, peers[i].error, sizeof peers[i].version - 1);
      if (printed == 0) printf("%s: %s\n", peers[i].name, peers[i].version);
    }
    if (json && printed == 0) write_head(json, peers, count, seconds);
    for (size_t i = 0; i < row_count; i++) {
      if (!selected(only, rows[i].name) || rows[i].populous != populous) continue;
      if (printed == 0 || unit != rows[i].unit) print_header(peers, count, unit = rows[i].unit);
      measure(peers, count, i, seconds);
      print_row(peers, count, &rows[i]);
      if (json) write_row(json, peers, count, &rows[i], printed == 0);
      printed++;
    }
    for (size_t i = 0; i < count; i++) complete = end_client(&peers[i].clients[0]) && complete;
  }
  double elapsed = (double)(monotonic_nanoseconds() - begun) / 1e9;
  if (json) {
    fprintf(json, "\n], \"elapsed_s\": %.0f}\n", elapsed);
    if (fclose(json) != 0) complete = false;
  }
  printf("\n%zu rows in %.0f s\n", printed, elapsed);
  return complete ? 0 : 1;
}
