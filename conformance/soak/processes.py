"""What /proc tells of a process: memory, threads, descriptors, processor time, and where it stands."""

import glob
import mmap
import os
import shutil
import struct
import subprocess
import time

STATE_NONE, STATE_WORKING, STATE_PAUSED, STATE_WAITING = range(4)
# Of threads that are at no call.
IDLE_STATES = (STATE_PAUSED, STATE_WAITING)


def alive(pid):
    """Whether the process is there and is not a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def status(pid):
    """Resident KiB of the process's own and of shared memory, and the number of threads. (Files that are mapped do not count.)"""
    fields = {}
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            name, _, value = line.partition(":")
            fields[name] = value.split()
    if "RssAnon" not in fields:
        raise ProcessLookupError(pid)
    return int(fields["RssAnon"][0]), int(fields["RssShmem"][0]), int(fields["Threads"][0])


def descriptors(pid):
    """The number of open descriptors; None where only root may count them."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        return None


def processor_time(pid):
    """Nanoseconds of processor time of a process so far."""
    # The number of the clock of another process: clock_getcpuclockid(3).
    return time.clock_gettime_ns(~pid << 3 | 2)


def children(pid):
    found = []
    for path in glob.glob(f"/proc/{pid}/task/[0-9]*/children"):
        try:
            with open(path) as file:
                found += [int(word) for word in file.read().split()]
        except OSError:
            pass
    return found


def stacks(pid):
    """Where every thread of a process stands: with gdb where it is installed, else what the kernel says."""
    lines = []
    for task in sorted(glob.glob(f"/proc/{pid}/task/[0-9]*")):
        line = [os.path.basename(task)]
        for name in ("comm", "wchan", "syscall"):
            try:
                with open(f"{task}/{name}") as file:
                    line.append(f"{name} {file.read().strip()}")
            except OSError:
                pass
        lines.append(", ".join(line))
    if shutil.which("gdb"):
        command = ["gdb", "-p", str(pid), "-batch", "-nx", "-ex", "thread apply all backtrace 16"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
            lines.append(done.stdout)
        except subprocess.TimeoutExpired:
            lines.append("gdb does not come back")
    return "\n".join(lines)


class Table:
    """The rows in which the workers' threads say how far they are: struct Row of soak.h."""

    ROW = struct.Struct("<QQQII32s64s")

    def __init__(self, path):
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)

    def row(self, index):
        items, calls, since, state, thread, item, call = self.ROW.unpack_from(self.memory, index * self.ROW.size)
        text = [bytes.partition(b"\0")[0].decode(errors="replace") for bytes in (item, call)]
        return items, calls, since, state, thread, *text
