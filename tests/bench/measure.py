"""What a process cost, and when a change became visible: measured the same way for both systems, on one clock (CLOCK_MONOTONIC)."""

import ctypes
import multiprocessing
import os
import signal
import time

import psycopg2

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
POLL_SECONDS = 0.0005
_PR_SET_THP_DISABLE = 41


def refuse_huge_pages():
    """Of this process and all that it starts. On a virtual machine one page of 2 MiB can take 20 ms to come, see docs/performance.md."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)


def cpu_seconds(pid):
    """User and system time of a process since it began, its threads included; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def memory_kib(pid):
    """{'VmHWM': most resident memory ever, 'RssAnon': private part of it now}, in KiB; {} when the process is gone."""
    wanted = ("VmHWM", "RssAnon", "VmRSS")
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            pairs = (line.split(":", 1) for line in status)
            return {name: int(value.split()[0]) for name, value in pairs if name in wanted}
    except OSError:
        return {}


def reset_memory_peak(pid):
    """Makes VmHWM count from now. Needs the right to write /proc/PID/clear_refs; does nothing without."""
    try:
        with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as clear:
            clear.write("5")
    except OSError:
        pass


def wait_until(condition, what, deadline_seconds=300.0, interval_seconds=0.002):
    """Polls until condition() is true and returns the monotonic time at which it was seen. TimeoutError names `what`."""
    end = time.monotonic() + deadline_seconds
    while True:
        if condition():
            return time.monotonic()
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline_seconds:.0f} s: {what}")
        time.sleep(interval_seconds)


def percentile(values, share):
    """The nearest-rank percentile. REQUIRES: values is sorted and not empty."""
    return values[min(len(values) - 1, max(0, round(share * len(values) + 0.5) - 1))]


# ---------------------------------------------------------------------------------------------------------------------
# Commit to visible: a writer process and an observer process, so that neither waits for the other's Python.

def _write_ticks(dsn, first, rate, seconds, out):
    signal.signal(signal.SIGINT, signal.SIG_IGN)   # Ctrl-C is the parent's business; it takes this process with it
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    commits = []
    with connection.cursor() as cursor:
        start = time.monotonic()
        for i in range(int(rate * seconds)):
            due = start + i / rate
            pause = due - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            cursor.execute("INSERT INTO ticks (seq, payload) VALUES (%s, %s)", (first + i, "x" * 100))
            commits.append(time.monotonic())   # the COMMIT has been answered
    connection.close()
    out.send(commits)


def _watch_ticks(dsn, first, last, deadline_seconds, out):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    visible = []
    end = time.monotonic() + deadline_seconds
    with connection.cursor() as cursor:
        newest = first - 1
        while newest < last and time.monotonic() < end:
            cursor.execute("SELECT max(seq) FROM ticks")
            seen, now = cursor.fetchone()[0] or 0, time.monotonic()
            if seen > newest:
                # Changes of one source become visible in its commit order, so all below `seen` are visible by now.
                visible.extend([now] * (seen - newest))
                newest = seen
            else:
                time.sleep(POLL_SECONDS)
    connection.close()
    out.send(visible)


def commit_to_visible(edge_dsn, centre_dsn, first, rate, seconds):
    """Writes rate x seconds single-row transactions to the edge's `ticks` and returns the latencies in milliseconds, in order of commit."""
    writer_end, writer = multiprocessing.Pipe(duplex=False)
    watcher_end, watcher = multiprocessing.Pipe(duplex=False)
    last = first + int(rate * seconds) - 1
    processes = [
        multiprocessing.Process(target=_watch_ticks, args=(centre_dsn, first, last, seconds + 60.0, watcher), daemon=True),
        multiprocessing.Process(target=_write_ticks, args=(edge_dsn, first, rate, seconds, writer), daemon=True),
    ]
    for process in processes:
        process.start()
    commits, visible = writer_end.recv(), watcher_end.recv()
    for process in processes:
        process.join()
    if len(visible) != len(commits):
        raise TimeoutError(f"only {len(visible)} of {len(commits)} transactions became visible")
    return [max(0.0, (seen - committed) * 1000.0) for committed, seen in zip(commits, visible)]
