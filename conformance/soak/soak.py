"""The soak: eight processes at one token for minutes, with kills, restarts and forks. docs/soak.md says what it proves and how.

Usage: soak.py --worker PROGRAM --module MODULE --folder FOLDER [--minutes N] [--objects N] [--seed N]
Prints 'ok - claim' and 'not ok - claim' lines; what it has to say beside them begins with #.
"""

import argparse
import collections
import math
import os
import random
import selectors
import shutil
import signal
import statistics
import subprocess
import sys
import time

import processes
from ledger import Ledger

WORKERS = 8
THREADS = 4
ROWS_OF_A_WORKER = 16
ELDERS = 2  # workers that are never killed, so that their memory can be compared

SECOND = 1_000_000_000
STUCK_SECONDS = 10  # a thread none of whose calls ends for so long is stuck
ENDLESS_SECONDS = 120  # and so is one that is at the same item for so long: one item may be a thousand commits
WINDOW = 10 * SECOND  # how long after an injection its errors may be seen: a thread may have been in a long item
GROWTH = 1.05
WARM_UP = 0.25  # of a phase
IDLE_NANOSECONDS = 2_000_000  # of processor time in a second in which nobody calls: the noise of a sample

FAIR_PROCESSES = 64
FAIR_THREADS = 4
FAIR_SECONDS = 5
FAIR_FACTOR = 20  # between the most and the least that a process gets done, at most

CKR = {
    0x00: "CKR_OK", 0x05: "CKR_GENERAL_ERROR", 0x30: "CKR_DEVICE_ERROR", 0x31: "CKR_DEVICE_MEMORY",
    0x32: "CKR_DEVICE_REMOVED", 0x60: "CKR_KEY_HANDLE_INVALID", 0x82: "CKR_OBJECT_HANDLE_INVALID",
    0x91: "CKR_OPERATION_NOT_INITIALIZED", 0xA0: "CKR_PIN_INCORRECT", 0xB3: "CKR_SESSION_HANDLE_INVALID",
    0x100: "CKR_USER_ALREADY_LOGGED_IN", 0x101: "CKR_USER_NOT_LOGGED_IN", 0x190: "CKR_CRYPTOKI_NOT_INITIALIZED",
}
# What an application may see, and for how long after what.
WHEN_THE_SECURE_WORLD_DIED = {0x32}
WHEN_FINALIZED_MEANWHILE = {0x32, 0xB3, 0x190}


def now():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def say(text):
    print(f"# {text}", flush=True)


def uncertainty(series):
    """The standard error of the mean of a series."""
    return statistics.stdev(series) / math.sqrt(len(series)) if len(series) > 1 else 0


class Stuck(Exception):
    pass


class Worker:
    """One process of the eight, in one of its lives."""

    def __init__(self, soak, number, generation):
        self.number, self.generation = number, generation
        arguments = ["work", number, generation, soak.options.objects, THREADS, soak.chance.getrandbits(32)]
        self.process = soak.start(arguments, stdin=subprocess.PIPE)
        self.rest = b""
        self.born = now()
        self.rests = self.has_ended = False

    def order(self, byte):
        self.process.stdin.write(byte)
        self.process.stdin.flush()

    @property
    def rows(self):
        return range(self.number * ROWS_OF_A_WORKER, self.number * ROWS_OF_A_WORKER + THREADS)


class Soak:
    def __init__(self, options):
        self.options = options
        self.chance = random.Random(options.seed)
        self.store = os.path.join(options.folder, "store")
        self.ledger = Ledger()
        self.selector = selectors.DefaultSelector()
        self.workers = {}
        self.table = None
        self.failed = False
        # what was injected
        self.deaths = []  # of the secure world, moments
        self.rude = collections.defaultdict(list)  # worker: moments
        self.worker_kills = 0
        # what was seen
        self.excused = collections.Counter()
        self.unexpected = []
        self.wrong = []
        self.items = collections.Counter()
        self.finished_items = self.finished_calls = 0  # of lives that are over
        self.watched = self.grace_from = now()
        self.last_calls = {}  # of each row: how many calls, and since when it is as many

    # -- claims

    def claim(self, text, good, details=()):
        print(f"{'ok' if good else 'not ok'} - soak: {text}", flush=True)
        if not good:
            self.failed = True
            for line in list(details)[:12]:
                say(f"  {line}")

    # -- processes

    def start(self, arguments, **streams):
        command = [self.options.worker, self.options.module, self.options.folder, *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, **streams)

    def run(self, *arguments, timeout=600):
        """Runs a worker to its end; answers its lines."""
        process = self.start(arguments, stdin=subprocess.DEVNULL)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.report_stuck(f"worker {arguments[0]} does not end", [process.pid])
            process.kill()
            output, _ = process.communicate()
        lines = [line.split() for line in output.decode().splitlines()]
        for words in lines:
            if words[0] in ("answer", "wrong"):
                self.take(words, None)
        return process.returncode, lines

    def world(self):
        """The process that has the store; None when there is none."""
        try:
            with open(os.path.join(self.store, "lock")) as file:
                pid = int(file.read() or 0)
        except (OSError, ValueError):
            return None
        return pid if pid and processes.alive(pid) else None

    def add_worker(self, number, generation):
        worker = Worker(self, number, generation)
        self.workers[number] = worker
        os.set_blocking(worker.process.stdout.fileno(), False)
        self.selector.register(worker.process.stdout, selectors.EVENT_READ, worker)

    # -- what the workers say

    def take(self, words, worker):
        kind = words[0]
        if kind == "ledger":
            self.ledger.note(words[1:])
        elif kind == "answer":
            self.judge(words)
        elif kind == "wrong":
            self.wrong.append(" ".join(words[2:]))
        elif kind == "rude":
            self.rude[int(words[2])].append(int(words[1]))
        elif kind == "rests":
            worker.rests = True
        elif kind == "ended":
            worker.has_ended = True

    def judge(self, words):
        moment, number, answer = int(words[1]), int(words[2]), int(words[-1], 16)
        text = f"{' '.join(words[4:-2])} answered {CKR.get(answer, hex(answer))}"
        if answer in WHEN_THE_SECURE_WORLD_DIED and any(at <= moment <= at + WINDOW for at in self.deaths[-8:]):
            self.excused[f"{CKR[answer]} after the secure world's death"] += 1
        elif answer in WHEN_FINALIZED_MEANWHILE and any(at <= moment <= at + WINDOW for at in self.rude[number][-8:]):
            self.excused[f"{CKR[answer]} after C_Finalize in another thread"] += 1
        else:
            self.unexpected.append(f"{text}, in worker {number}, thread {words[3]}")

    def read(self, worker):
        """Takes what a worker has said; False at the end of it."""
        try:
            piece = os.read(worker.process.stdout.fileno(), 1 << 18)
        except BlockingIOError:
            return True
        lines = (worker.rest + piece).split(b"\n")
        worker.rest = lines.pop()
        for line in lines:
            self.take(line.decode().split(), worker)
        return bool(piece)

    def pump(self, seconds):
        """Reads and watches for a while."""
        end = time.monotonic() + seconds
        while True:
            remaining = end - time.monotonic()
            if remaining <= 0:
                return
            for key, _ in self.selector.select(min(remaining, 0.25)):
                if not self.read(key.data):
                    self.selector.unregister(key.fileobj)
                    if not key.data.has_ended:
                        code = key.data.process.wait()
                        self.unexpected.append(f"worker {key.data.number} ended by itself with status {code}")
                        raise Stuck
            if now() - self.watched > SECOND // 2:
                # When this process itself had no processor for a while, nobody else had to have one.
                if now() - self.watched > 2 * SECOND:
                    self.grace_from = now()
                self.watched = now()
                self.watch()

    def watch(self):
        for worker in self.workers.values():
            for index in worker.rows:
                _, calls, since, state, thread, item, call = self.table.row(index)
                if self.last_calls.get(index, (None,))[0] != calls:
                    self.last_calls[index] = calls, now()
                in_item = now() - max(since, worker.born, self.grace_from)
                in_call = min(in_item, now() - self.last_calls[index][1])
                is_stuck = in_call > STUCK_SECONDS * SECOND or in_item > ENDLESS_SECONDS * SECOND
                if state in processes.IDLE_STATES or worker.has_ended or not is_stuck:
                    continue
                pid = worker.process.pid
                self.report_stuck(
                    f"worker {worker.number}, thread {thread}: in '{item}' for {in_item // SECOND} s, "
                    f"in {call} for {in_call // SECOND} s",
                    [pid, *processes.children(pid)],
                )
                raise Stuck

    def report_stuck(self, what, pids):
        path = os.path.join(self.options.folder, "stuck.txt")
        with open(path, "w") as file:
            for pid in [*pids, *filter(None, [self.world()])]:
                print(f"== process {pid}\n{processes.stacks(pid)}", file=file)
        self.claim("no thread is stuck", False, [what, f"stacks are in {self.options.keep_stacks or path}"])
        if self.options.keep_stacks:
            os.makedirs(os.path.dirname(self.options.keep_stacks), exist_ok=True)
            shutil.move(path, self.options.keep_stacks)

    def totals(self):
        rows = [self.table.row(index) for worker in self.workers.values() for index in worker.rows]
        return (self.finished_items + sum(row[0] for row in rows), self.finished_calls + sum(row[1] for row in rows))

    # -- injections

    def kill_worker(self):
        worker = self.workers[self.chance.randrange(ELDERS, WORKERS)]
        rows = [self.table.row(index) for index in worker.rows]
        worker.process.kill()
        worker.process.wait()
        # Its children go as well, and then what it said has an end. All of it is read before the next life begins.
        os.set_blocking(worker.process.stdout.fileno(), True)
        while self.read(worker):
            pass
        self.selector.unregister(worker.process.stdout)
        worker.process.stdout.close()
        worker.process.stdin.close()
        self.finished_items += sum(row[0] for row in rows)
        self.finished_calls += sum(row[1] for row in rows)
        self.worker_kills += 1
        self.add_worker(worker.number, worker.generation + 1)

    def kill_world(self):
        pid = self.world()
        if pid is None:
            return
        self.deaths.append(now())
        os.kill(pid, signal.SIGKILL)

    # -- measuring

    def pause(self):
        """Lets every thread come to rest, without a session; what is measured then can be compared."""
        for worker in self.workers.values():
            worker.order(b"p")
        deadline = time.monotonic() + 3 * STUCK_SECONDS
        while not all(worker.rests for worker in self.workers.values()):
            self.pump(0.05)
            if time.monotonic() > deadline:
                late = [worker for worker in self.workers.values() if not worker.rests]
                self.report_stuck("workers do not come to rest", [worker.process.pid for worker in late])
                raise Stuck

    def resume(self):
        for worker in self.workers.values():
            worker.rests = False
            worker.order(b"r")

    def ours(self):
        return [pid for pid in [self.world(), *(worker.process.pid for worker in self.workers.values())] if pid]

    def idle_time(self, seconds):
        """Processor time, in nanoseconds, of all of ours in a while in which nobody calls."""
        before = sum(map(processes.processor_time, self.ours()))
        self.pump(seconds)
        return sum(map(processes.processor_time, self.ours())) - before

    def sample(self):
        """Memory of its own and shared in KiB, threads and descriptors of the secure world and the elders, at rest."""
        self.pause()
        self.pump(0.1)
        pids = {"secure world": self.world()}
        pids.update({f"worker {number}": self.workers[number].process.pid for number in range(ELDERS)})
        result = {}
        for name, pid in pids.items():
            if pid is None:
                continue
            result[name] = (*processes.status(pid), processes.descriptors(pid))
        self.resume()
        return result

    # -- phases

    def prepare(self):
        start = time.monotonic()
        status, lines = self.run("prepare", self.options.objects)
        self.table = processes.Table(os.path.join(self.options.folder, "progress"))
        took = [int(words[2]) / SECOND for words in lines if words[0] == "prepared"]
        self.claim(
            f"a token gets {self.options.objects} objects" + (f", in {took[0]:.1f} s" if took else ""),
            status == 0 and took and not self.unexpected and not self.wrong,
            self.unexpected + self.wrong,
        )
        self.threads_without_clients = self.settled_threads()
        return status == 0

    def settled_threads(self):
        """The number of the secure world's threads when its clients have gone."""
        least = None
        for _ in range(20):
            world = self.world()
            if world is None:
                return least
            threads = processes.status(world)[2]
            least = threads if least is None else min(least, threads)
            time.sleep(0.05)
        return least

    def faults(self, seconds):
        """Kills of workers and of the secure world; the workers that are not killed are sampled."""
        taken = []
        next_worker, next_world = time.monotonic() + 2, time.monotonic() + 4
        for part in range(4):
            end = time.monotonic() + seconds / 4
            while time.monotonic() < end:
                self.pump(self.chance.uniform(0.05, 0.3))
                if time.monotonic() > next_worker:
                    self.kill_worker()
                    next_worker = time.monotonic() + self.chance.uniform(1, 3)
                if time.monotonic() > next_world:
                    self.kill_world()
                    next_world = time.monotonic() + self.chance.uniform(2, 6)
            # Everybody gets to work again before something is measured.
            self.pump(1)
            sample = self.sample()
            sample.pop("secure world", None)
            taken.append(sample)
        return taken

    def steady(self, seconds, samples):
        """Kills of workers only; memory, threads and descriptors are sampled."""
        world = self.world()
        end = time.monotonic() + seconds
        taken = []
        while time.monotonic() < end:
            self.pump(seconds / samples / 2)
            self.kill_worker()
            self.pump(seconds / samples / 2)
            taken.append(self.sample())
        if self.world() != world:
            self.unexpected.append("the secure world ended by itself")
        return taken

    def judge_samples(self, taken, reconnecting):
        """`taken` while the secure world lived, `reconnecting` before that, while it was killed now and then."""
        rest = taken[int(len(taken) * WARM_UP):]
        for name in taken[0]:
            # What a worker shares is the secure world's as well, and varies with the channels that its threads have met.
            for what, place in (("memory", 0), ("shared memory", 1)) if name == "secure world" else (("memory", 0),):
                series = [sample[name][place] for sample in rest]
                edge = max(1, len(series) // 3)
                first, last = statistics.mean(series[:edge]), statistics.mean(series[-edge:])
                # A heap at rest varies by a tenth with what it was doing; few samples say less of it than many.
                doubt = 2 * math.hypot(uncertainty(series[:edge]), uncertainty(series[-edge:]))
                self.claim(
                    f"{what} of the {name} is flat within 5%: {first / 1024:.1f} MiB, and {last / 1024:.1f} MiB at the end, "
                    f"give or take {doubt / 1024:.1f}",
                    last - doubt <= first * GROWTH,
                )
                say(f"KiB: {[sample[name][place] for sample in taken]}")
            for what, place in (("threads", 2), ("descriptors", 3)):
                counts = [sample[name][place] for sample in taken]
                if None in counts:
                    say(f"only root counts the {what} of the {name}")
                    continue
                self.claim(f"at rest the {name} has always as many {what}: {counts[0]}", len(set(counts)) == 1, [f"{counts}"])
        for name in (name for name in taken[0] if name in reconnecting[0]):
            first, last = reconnecting[0][name][0], reconnecting[-1][name][0]
            self.claim(
                f"memory of the {name} is flat within 5% over {len(self.deaths)} deaths of the secure world: "
                f"{first / 1024:.1f} MiB, {last / 1024:.1f} MiB",
                last <= first * GROWTH,
                [f"KiB: {[sample[name][0] for sample in reconnecting]}"],
            )

    def idle(self):
        self.pause()
        used = []
        # What a machine does beside this may be put down to us once, not three times.
        for _ in range(3):
            used.append(self.idle_time(1))
            if used[-1] < IDLE_NANOSECONDS:
                break
        self.claim(
            f"nothing of ours uses a processor when nobody calls: {min(used) / 1000:.0f} us in a second",
            min(used) < IDLE_NANOSECONDS,
            [f"nanoseconds: {used}"],
        )
        self.resume()

    def end_workers(self):
        for worker in self.workers.values():
            worker.order(b"e")
        deadline = time.monotonic() + 30
        while not all(worker.has_ended for worker in self.workers.values()):
            self.pump(0.1)
            if time.monotonic() > deadline:
                late = [worker for worker in self.workers.values() if not worker.has_ended]
                self.report_stuck("workers do not end", [worker.process.pid for worker in late])
                raise Stuck
        statuses = [worker.process.wait(timeout=10) for worker in self.workers.values()]
        for worker in self.workers.values():
            self.read(worker)
        items, calls = self.totals()
        self.claim(f"all workers end in order, after {items} items of work and {calls} calls", statuses == [0] * WORKERS)

    def fair(self):
        """64 processes with four threads each, all at once."""
        pipes = {"stdin": subprocess.PIPE}
        started = [self.start(["fair", number, FAIR_THREADS], **pipes) for number in range(FAIR_PROCESSES)]
        for process in started:
            # A thread that cannot begin is missed below.
            for _ in range(FAIR_THREADS):
                process.stdout.readline()
        begin = now() + SECOND // 2
        for process in started:
            process.stdin.write(f"{begin} {begin + FAIR_SECONDS * SECOND}\n".encode())
            process.stdin.flush()
        counts = collections.Counter()
        threads, longest = [], 0
        late = 0
        for process in started:
            try:
                output, _ = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                self.report_stuck("a process of the 64 does not end", [process.pid])
                process.kill()
                output, _ = process.communicate()
            for words in (line.split() for line in output.decode().splitlines()):
                if words[0] == "fair":
                    counts[int(words[1])] += int(words[3])
                    threads.append(int(words[3]))
                    longest = max(longest, int(words[4]))
                elif words[0] in ("answer", "wrong"):
                    self.take(words, None)
            late += process.returncode != 0
        everybody = len(threads) == FAIR_PROCESSES * FAIR_THREADS and late == 0
        self.claim(f"{FAIR_PROCESSES} processes with {FAIR_THREADS} threads each are served at once", everybody)
        if not everybody:
            return
        most, least = max(counts.values()), min(counts.values())
        say(f"{sum(threads) / FAIR_SECONDS:.0f} operations a second; threads: {min(threads)} to {max(threads)}; "
            f"the longest took {longest / 1e6:.0f} ms")
        self.claim(
            f"and fairly: the busiest process gets {most / max(least, 1):.1f} times what the last one gets, {FAIR_FACTOR} at most",
            most <= FAIR_FACTOR * least and min(threads) > 0,
            [f"operations by process: {sorted(counts.values())}", f"by thread: {sorted(threads)}"],
        )

    def audit(self):
        status, lines = self.run("audit")
        own, count, strangers, population_wrong = collections.defaultdict(list), 0, [], 0
        for words in lines:
            if words[0] != "audit":
                continue
            if words[1] == "population":
                count += 1
                population_wrong += words[-1] != "1"
            elif words[1] == "own":
                own[words[2]].append((int(words[3]), int(words[4]), words[5] == "1"))
            elif words[1] == "stranger":
                strangers.append(" ".join(words[2:]))
        self.claim(
            f"all of the {self.options.objects} objects are there, with their content",
            status == 0 and count == self.options.objects and not population_wrong and not strangers,
            [f"status {status}, {count} objects, {population_wrong} of them wrong", *strangers],
        )
        wrong = self.ledger.judge(own)
        self.claim(
            f"no acknowledged change of a token object is lost and none is half done: {self.ledger.acknowledged} changes, "
            f"{self.ledger.certain} objects that must be there",
            status == 0 and not wrong and self.ledger.acknowledged > 0,
            wrong,
        )

    def leave(self):
        threads = self.settled_threads()
        self.claim(
            f"threads of clients that have gone are gone: {threads} are left",
            threads is None or threads <= self.threads_without_clients,
            [f"{self.threads_without_clients} at the beginning"],
        )
        deadline = time.monotonic() + 20
        while self.world() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.claim("the secure world leaves when nobody has come for a while", self.world() is None)

    def soak(self):
        if not self.prepare():
            return
        seconds = self.options.minutes * 60
        for number in range(WORKERS):
            self.add_worker(number, 0)
        self.pump(3)
        reconnecting = self.faults(seconds * 0.4)
        taken = self.steady(seconds * 0.6, max(8, min(60, int(seconds * 0.6 / 2))))
        self.idle()
        self.end_workers()
        self.claim(
            f"{self.worker_kills} workers and {len(self.deaths)} secure worlds were killed at work",
            self.worker_kills >= seconds / 12 and len(self.deaths) >= seconds / 40,
        )
        self.judge_samples(taken, reconnecting)
        self.fair()
        self.audit()
        self.leave()
        self.claim("no thread is stuck", True)

    def run_all(self):
        begin = time.monotonic()
        try:
            self.soak()
        except Stuck:
            self.failed = True
        finally:
            for worker in self.workers.values():
                if worker.process.poll() is None:
                    worker.process.kill()
        for text, count in sorted(self.excused.items()):
            say(f"{count} times {text}")
        self.claim("every result is right", not self.wrong, self.wrong)
        summary = [f"{count} times {text}" for text, count in collections.Counter(self.unexpected).most_common()]
        self.claim("no error but those that were injected", not self.unexpected, summary)
        say(f"{time.monotonic() - begin:.0f} s, seed {self.options.seed}")
        return 1 if self.failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", required=True)
    parser.add_argument("--module", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--objects", type=int, help="token objects; 100 000, or 10 000 for less than ten minutes")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(31))
    parser.add_argument("--keep-stacks", help="file for the stacks of a stuck process")
    options = parser.parse_args()
    if options.objects is None:
        options.objects = 100_000 if options.minutes >= 10 else 10_000
    sys.exit(Soak(options).run_all())


main()
