"""The two programs as an operator would run them: a configuration file, an environment, a log."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request

from .scratch import free_port
from .wait import wait_until


def build_dir():
    """Where the programs were built: PMOVES_BUILD_DIR, or build/dev of the repository."""
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return os.environ.get("PMOVES_BUILD_DIR", os.path.join(here, "build", "dev"))


def tail(path, lines):
    """The last lines of a file, or why there are none."""
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 64 * 1024))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return str(error)


def to_yaml(value, indent=0):
    """Plain YAML of dicts, lists and scalars; strings are quoted."""
    pad = "  " * indent
    if isinstance(value, dict):
        lines = []
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                lines.append(f"{pad}{key}:\n{to_yaml(item, indent + 1)}")
            else:
                lines.append(f"{pad}{key}: {_scalar(item)}")
        return "\n".join(lines)
    return "\n".join(f"{pad}- {json.dumps(item, ensure_ascii=False)}" for item in value)


def _scalar(value):
    return json.dumps(value, ensure_ascii=False)


def merge(base, changes):
    """`base` with `changes` laid over it, section by section. A value None removes the key."""
    merged = dict(base)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


class Program:
    """One process of one of our programs. Configuration is a dict; configure() changes it for the next start."""

    binary = ""   # below the build directory
    build = None  # which: None is build_dir()

    def __init__(self, scratch, name, config, env=None):
        self.scratch = scratch
        self.name = name
        self.http_port = free_port()
        self.directory = scratch.directory(name)
        self.config_path = os.path.join(self.directory, "config.yaml")
        self.log = os.path.join(self.directory, "log")
        self.env = dict(env or {})
        self.process = None
        self.config = {}
        self.configure(merge({"metrics": {"listen": f"127.0.0.1:{self.http_port}"}, "log": {"level": "info", "format": "text"},
                              "retry": {"initial": "100ms", "max": "1s"}}, config))

    def configure(self, changes):
        self.config = merge(self.config, changes)
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(self.config) + "\n")

    def path(self):
        path = os.path.join(self.build or build_dir(), self.binary)
        if not os.access(path, os.X_OK):
            raise RuntimeError(f"{path} is not built")
        return path

    # ---- the daemon

    def start(self):
        """Starts `run`. Does not wait: what to wait for is the test's business (ready(), rows in the centre, ...)."""
        if not self.running():
            self.process = self.scratch.spawn([self.path(), "run", "--config", self.config_path], self.directory, self.log,
                                              env=self.env)
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait_ready(self, deadline=30):
        wait_until(lambda: self.http("/readyz")[0] == 200, deadline, f"{self.name} is ready", self.log_tail)
        return self

    def terminate(self, deadline=20):
        """SIGTERM; returns the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs {deadline} s after SIGTERM\n{self.log_tail()}") from None

    def kill9(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)

    def wait_exit(self, deadline=20):
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {deadline} s\n{self.log_tail()}") from None

    # ---- other verbs, in the foreground

    def run_verb(self, *arguments, env=None, config=True, deadline=60):
        """Runs a verb to its end; returns the CompletedProcess with text output. Same environment as the daemon's."""
        clean = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8", "HOME": self.directory}
        clean.update(self.env)
        clean.update(env or {})
        command = [self.path(), *arguments]
        if config:
            command += ["--config", self.config_path]
        return subprocess.run(command, cwd=self.directory, env=clean, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=deadline, check=False)

    def must(self, *arguments, **how):
        """run_verb that has to succeed; returns its standard output."""
        done = self.run_verb(*arguments, **how)
        assert done.returncode == 0, f"{self.name} {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    # ---- looking inside

    def http(self, path):
        """(status code, text) of its HTTP server."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def status(self):
        return json.loads(self.http("/status")[1])

    def metrics(self):
        """{'name{label="value"}': number} of /metrics."""
        found = {}
        for line in self.http("/metrics")[1].splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name] = float(value)
        return found

    def metric(self, name, **labels):
        """Sum of the series of that name which carry these labels; None when there is none."""
        total = None
        for series, value in self.metrics().items():
            family, _, rest = series.partition("{")
            if family == name and all(f'{key}="{wanted}"' in rest for key, wanted in labels.items()):
                total = value if total is None else total + value
        return total

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def log_tail(self, lines=40):
        state = "not started" if self.process is None else "runs" if self.running() else f"exit {self.process.returncode}"
        return f"--- {self.name} ({state}) {self.log}\n{tail(self.log, lines)}"


class Publisher(Program):
    """pmoves-sync-publisher of one source."""

    binary = "publisher/pmoves-sync-publisher"

    def __init__(self, scratch, source, postgres, nats, tables, config=None, name=None, env=None):
        base = {
            "version": 1, "source": source, "mode": "dual-write",
            "postgres": {"dsn": postgres.dsn(), "slot": "pmoves_sync", "tables": list(tables), "status_interval": "1s"},
            "nats": {"url": nats.url},
            "stream": {"ack_timeout": "3s", "max_bytes": "2GiB"},
            "confirm": {"stored_hold": "20s"},
            "progress": {"interval": "2s", "heartbeat": "1s"},
        }
        self.source = source
        super().__init__(scratch, name or f"publisher-{source}", merge(base, config or {}), env)


class Subscriber(Program):
    """pmoves-sync-subscriber of the centre."""

    binary = "subscriber/pmoves-sync-subscriber"

    def __init__(self, scratch, postgres, nats, tables, config=None, name="subscriber", env=None):
        base = {
            "version": 1,
            "postgres": {"dsn": postgres.dsn()},
            "nats": {"url": nats.url},
            "tables": [table if isinstance(table, dict) else {"table": table} for table in tables],
            "report_interval": "200ms", "purge_interval": "2s", "retain_applied": 1000, "discover_interval": "1s",
        }
        super().__init__(scratch, name, merge(base, config or {}), env)
