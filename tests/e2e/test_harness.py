"""The harness itself: whatever ends a test, nothing of it stays; and two copies do not meet."""

import os
import signal
import subprocess
import sys

import pytest

from harness import wait_until
from harness.scratch import processes_in

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OWNER = """
import sys, threading
from harness import NatsServer, Postgres, Scratch
scratch = Scratch()
db = Postgres(scratch, "db").start()
nats = NatsServer(scratch).start()
print(scratch.path, db.port, nats.port, flush=True)
{end}
"""
ENDS = {
    "ordinary end": "",
    "exception": "raise RuntimeError('a test failed')",
    "Ctrl-C": "threading.Event().wait()",
    "SIGTERM": "threading.Event().wait()",
    "SIGKILL": "threading.Event().wait()",
    "Ctrl-C after a kill of the servers": "db.kill9(); nats.kill9(); print('killed', flush=True); threading.Event().wait()",
}


def start_owner(end):
    return subprocess.Popen([sys.executable, "-c", OWNER.format(end=end)], cwd=TESTS, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True, env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))


@pytest.mark.parametrize("end", ENDS)
def test_nothing_stays_after(end):
    owner = start_owner(ENDS[end])
    path = owner.stdout.readline().split()[0]
    if "killed" in ENDS[end]:
        owner.stdout.readline()
    for word, number in (("Ctrl-C", signal.SIGINT), ("SIGTERM", signal.SIGTERM), ("SIGKILL", signal.SIGKILL)):
        if end.startswith(word):
            assert processes_in(path) or "killed" in ENDS[end]
            owner.send_signal(number)
    owner.wait(30)
    wait_until(lambda: not os.path.exists(path) and not processes_in(path), 30, f"{path} and its processes are gone")


def test_two_copies_run_side_by_side():
    owners = [start_owner(ENDS["Ctrl-C"]) for _ in range(3)]
    lines = [owner.stdout.readline().split() for owner in owners]
    assert len({port for line in lines for port in line[1:]}) == 6
    for owner, line in zip(owners, lines):
        owner.send_signal(signal.SIGINT)
        owner.wait(30)
        assert not os.path.exists(line[0])
