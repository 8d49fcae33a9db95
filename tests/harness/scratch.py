"""One scratch directory per test process, and the certainty that nothing of it stays.

Every child runs with its working directory inside the scratch directory (PostgreSQL's processes do so by themselves), so "what is
still running of ours" has one honest answer: the processes whose /proc/PID/cwd lies inside. Three nets, one below the other:
  1. close(), also through atexit and on SIGTERM;
  2. the janitor, a small process that waits for our end (also by SIGKILL) and cleans up then;
  3. the next Scratch removes the directories of owners that no longer live.
"""

import atexit
import contextlib
import ctypes
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PREFIX = "pmoves-sync-"
_PR_SET_CHILD_SUBREAPER = 36
_OWNER = "owner"


def postgres_user():
    """The account that PostgreSQL servers run under: they refuse root."""
    return "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def processes_in(directory):
    """Ids of the processes whose working directory is `directory` or below it. Zombies have none, so they do not count."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            cwd = os.readlink(f"/proc/{name}/cwd").removesuffix(" (deleted)")
            if cwd == directory or cwd.startswith(directory + "/"):
                found.append(int(name))
    return found


def kill_processes_in(directory, patience=30):
    """Ends them with SIGKILL and waits until they are gone. Orphans that became our children are reaped."""
    end = time.monotonic() + patience
    seen = set()
    pause = threading.Event()
    while True:
        running = processes_in(directory)
        seen.update(running)
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in seen:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if not running:
            return
        if time.monotonic() > end:
            raise RuntimeError(f"processes in {directory} do not end: {running}")
        pause.wait(0.01)


def remove_shared_memory(data_directory):
    """Removes the System V segment that a killed PostgreSQL left: its id stands in line 7 of postmaster.pid."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        with open(os.path.join(data_directory, "postmaster.pid"), encoding="utf-8") as file:
            segment = int(file.read().splitlines()[6].split()[1])
        subprocess.run(["ipcrm", "-m", str(segment)], stderr=subprocess.DEVNULL, check=False)


def remove_scratch(directory):
    """Ends every process inside, then removes the directory."""
    kill_processes_in(directory)
    for root, _, files in os.walk(directory):
        if "postmaster.pid" in files:
            remove_shared_memory(root)
    shutil.rmtree(directory, ignore_errors=True)


def _start_time(pid):
    """When a process started, in clock ticks; tells it from a later one with the same id. None: no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _sweep(base):
    """Removes scratch directories whose owner does not live any more."""
    for name in os.listdir(base):
        directory = os.path.join(base, name)
        if not name.startswith(PREFIX):
            continue
        with contextlib.suppress(OSError, ValueError):
            with open(os.path.join(directory, _OWNER), encoding="utf-8") as file:
                pid, started = map(int, file.read().split())
            if _start_time(pid) != started:
                remove_scratch(directory)


_held_ports = {}


def free_port():
    """A loopback port that nobody listens on and that no other copy of the harness will pick.

    Ports below the range of outgoing connections, so that a restarted server finds its port again. Held for the life of this
    process through the name of an abstract socket.
    """
    for _ in range(500):
        port = random.SystemRandom().randrange(20000, 32000)
        if port in _held_ports:
            continue
        hold = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            hold.bind(f"\0pmoves-sync-port-{port}")
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            hold.close()
            continue
        _held_ports[port] = hold
        return port
    raise RuntimeError("no free loopback port found")


class Area:
    """A directory for servers and programs, whose names are unique inside it. The template of clusters is shared by all areas."""

    def __init__(self, path, template):
        self.path = path
        self.template = template

    def directory(self, name, user=None):
        """Makes <area>/<name>, owned by `user`."""
        path = os.path.join(self.path, name)
        os.makedirs(path, exist_ok=True)
        if user and os.geteuid() == 0:
            shutil.chown(path, user, user)
        return path

    def spawn(self, arguments, cwd, log, env=None, user=None):
        """Starts a child in a session of its own (Ctrl-C at the terminal reaches us, not it), its output appended to `log`."""
        clean = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8", "HOME": cwd}
        clean.update({key: os.environ[key] for key in os.environ if key.endswith("SAN_OPTIONS")})
        clean.update(env or {})
        account = {}
        if user and os.geteuid() == 0 and user != "root":
            account = {"user": user, "group": user, "extra_groups": []}
        with open(log, "ab") as output:
            return subprocess.Popen(arguments, cwd=cwd, env=clean, stdin=subprocess.DEVNULL, stdout=output,
                                    stderr=subprocess.STDOUT, start_new_session=True, **account)

    def close(self):
        """Ends every process inside and removes the directory."""
        remove_scratch(self.path)


class Scratch(Area):
    """The directory of this process, and its janitor."""

    def __init__(self, keep=False):
        base = os.environ.get("PMOVES_SCRATCH", tempfile.gettempdir())
        _sweep(base)
        path = tempfile.mkdtemp(prefix=PREFIX, dir=base)
        os.chmod(path, 0o755)
        super().__init__(path, os.path.join(path, "template"))
        self._areas = 0
        with open(os.path.join(self.path, _OWNER), "w", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {_start_time(os.getpid())}")
        # Orphans (the backends of a killed postmaster) become ours instead of PID 1's, which in a container may not reap.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._keep = keep
        self._janitor = None if keep else self._start_janitor()
        atexit.register(self.close)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def _start_janitor(self):
        here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        return subprocess.Popen([sys.executable, "-m", "harness.janitor", self.path], cwd=here,
                                stdin=subprocess.PIPE, start_new_session=True)

    def area(self):
        """A fresh part of the scratch directory."""
        self._areas += 1
        path = self.directory(f"{self._areas}")
        return Area(path, self.template)

    def close(self):
        atexit.unregister(self.close)
        if self._keep or self.path is None:
            return
        remove_scratch(self.path)
        self.path = None
        if self._janitor:
            self._janitor.stdin.close()
            self._janitor.wait(30)
