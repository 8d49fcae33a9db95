"""A PostgreSQL cluster of our own: made from a template, run in the foreground as our child, killed at will."""

import contextlib
import glob
import os
import secrets
import shutil
import signal
import subprocess

import psycopg2
import psycopg2.extensions

from .clock import WallClock
from .scratch import free_port, kill_processes_in, postgres_user, processes_in, remove_shared_memory
from .wait import wait_until

_DEFAULTS = {
    "listen_addresses": "127.0.0.1",
    "wal_level": "logical",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "max_slot_wal_keep_size": "8GB",
    "max_wal_size": "4GB",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "dynamic_shared_memory_type": "mmap",   # in the data directory: a killed server leaves nothing in /dev/shm
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%a ",
    "timezone": "UTC",
}

# The harness's own connections do not depend on what a database or role has set.
_PINNED = "-c standard_conforming_strings=on -c datestyle=ISO -c search_path=public -c client_min_messages=warning " \
    "-c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed -c statement_timeout=0 " \
    "-c lock_timeout=0 -c idle_session_timeout=0 -c row_security=on"


def bin_directory():
    """Where Debian puts the newest installed server, or what PMOVES_PG_BIN says."""
    if "PMOVES_PG_BIN" in os.environ:
        return os.environ["PMOVES_PG_BIN"]
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    if not found:
        raise RuntimeError("no PostgreSQL server below /usr/lib/postgresql: run deploy/install-deps")
    return os.path.dirname(max(found, key=lambda path: int(path.split("/")[4])))


def _run_as_postgres(arguments, check=True):
    account = {"user": postgres_user(), "group": postgres_user(), "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(arguments, cwd="/", env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **account)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}")
    return done


class Postgres:
    """One cluster. The constructor prepares its files; start() runs it."""

    def __init__(self, scratch, name, fsync=False, settings=None, port=None, clock=False):
        self.scratch = scratch
        self.name = name
        self.port = port or free_port()
        self.directory = scratch.directory(name, postgres_user())
        self.data = os.path.join(self.directory, "data")
        self.log = os.path.join(self.directory, "postgres.log")
        self.process = None
        self.clock = WallClock(self.directory) if clock else None   # one that the test can set
        self._settings = dict(_DEFAULTS, fsync="on" if fsync else "off", full_page_writes="on" if fsync else "off")
        self._settings.update(settings or {})
        if not os.path.exists(self.data):
            self._copy(self._template())
            self._new_identity()
        self._configure()

    # ---- files

    def _template(self):
        template = os.path.join(self.scratch.template, "data")
        if not os.path.exists(template):
            os.makedirs(self.scratch.template)
            if os.geteuid() == 0:
                shutil.chown(self.scratch.template, postgres_user(), postgres_user())
            _run_as_postgres([f"{bin_directory()}/initdb", "-D", template, "-U", "postgres", "--auth=trust", "--no-sync",
                              "--encoding=UTF8", "--locale=C.UTF-8"])
        return template

    def _copy(self, source):
        _run_as_postgres(["cp", "-a", "--reflink=auto", source, self.data])

    def _new_identity(self):
        """Gives the copy a system identifier of its own, as initdb would: its first 8 bytes, then a WAL that agrees."""
        with open(os.path.join(self.data, "global/pg_control"), "r+b") as file:
            file.write(secrets.token_bytes(7) + b"\x65")
        _run_as_postgres([f"{bin_directory()}/pg_resetwal", "-f", "-D", self.data])

    def _configure(self):
        settings = dict(self._settings, port=str(self.port), unix_socket_directories="")
        # PostgreSQL 15.19 and later admit only listed output plugins; older ones refuse to start when they see the list.
        known = _run_as_postgres([f"{bin_directory()}/postgres", "-D", self.data, "-C", "output_plugin_libraries"], check=False)
        if known.returncode == 0:
            settings.setdefault("output_plugin_libraries", "pgoutput, test_decoding, wal2json")
        with open(os.path.join(self.data, "harness.conf"), "w", encoding="utf-8") as file:
            for key, value in settings.items():
                escaped = value.replace("'", "''")
                file.write(f"{key} = '{escaped}'\n")
        main = os.path.join(self.data, "postgresql.conf")
        with open(main, encoding="utf-8") as file:
            text = file.read()
        if "harness.conf" not in text:
            with open(main, "a", encoding="utf-8") as file:
                file.write("\ninclude 'harness.conf'\n")
        shutil.chown(os.path.join(self.data, "harness.conf"), postgres_user(), postgres_user())

    def clone(self, name):
        """A file-level copy, as of an SD card, with the same identity. While the cluster runs it is held still for the copy."""
        running = processes_in(self.data)
        for pid in running:
            os.kill(pid, signal.SIGSTOP)
        try:
            directory = self.scratch.directory(name, postgres_user())
            _run_as_postgres(["cp", "-a", self.data, os.path.join(directory, "data")])
        finally:
            for pid in running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(directory, "data/postmaster.pid"))
        return Postgres(self.scratch, name, settings=self._settings)

    # ---- life

    def start(self, deadline=60):
        """Starts it and waits until it takes connections, also through crash recovery."""
        if self.running():
            return self
        if not processes_in(self.data):   # a lock file whose process is gone may name an id that is somebody else's now
            remove_shared_memory(self.data)
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(self.data, "postmaster.pid"))
        self.process = self.scratch.spawn([f"{bin_directory()}/postgres", "-D", self.data], self.directory, self.log,
                                          env=self.clock.environment() if self.clock else None, user=postgres_user())

        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"postgres {self.name} ended with {self.process.returncode}:\n{self.log_tail()}")
            self.connect().close()
            return True

        wait_until(ready, deadline, f"postgres {self.name} takes connections", self.log_tail, interval=0.02)
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, mode="fast", deadline=60):
        """pg_ctl stop -m MODE; fails if the server is still there after the deadline."""
        if not self.running():
            return
        done = _run_as_postgres([f"{bin_directory()}/pg_ctl", "stop", "-D", self.data, "-m", mode, "-t", str(int(deadline))],
                                check=False)
        if done.returncode != 0:
            raise AssertionError(f"pg_ctl stop -m {mode} of {self.name}:\n{done.stdout}\n{self.log_tail()}")
        self.process.wait(10)

    def kill9(self):
        """The whole cluster dies at once, as in a power cut: postmaster first, so that it cannot tidy up after its children."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
        kill_processes_in(self.data)

    def reload(self, **settings):
        """Changes settings and makes the server read them."""
        self._settings.update(settings)
        self._configure()
        self.execute("SELECT pg_reload_conf()")

    # ---- SQL

    def dsn(self, dbname="postgres", user="postgres"):
        return f"host=127.0.0.1 port={self.port} dbname={dbname} user={user}"

    def connect(self, autocommit=True, dbname="postgres", user="postgres", name="test"):
        connection = psycopg2.connect(self.dsn(dbname, user), connect_timeout=10, application_name=name,
                                      options=_PINNED)
        connection.autocommit = autocommit
        return connection

    @contextlib.contextmanager
    def cursor(self, autocommit=True, **how):
        """A cursor on a connection of its own; without autocommit the block is one transaction."""
        connection = self.connect(autocommit, **how)
        try:
            with connection.cursor() as cursor:
                yield cursor
            if not autocommit:
                connection.commit()
        finally:
            connection.close()

    def execute(self, sql, arguments=None, **how):
        with self.cursor(**how) as cursor:
            cursor.execute(sql, arguments)
            return cursor.rowcount

    def query(self, sql, arguments=None, **how):
        with self.cursor(**how) as cursor:
            cursor.execute(sql, arguments)
            return cursor.fetchall()

    def value(self, sql, arguments=None, **how):
        """The first column of the first row; None when there is no row."""
        rows = self.query(sql, arguments, **how)
        return rows[0][0] if rows else None

    def log_tail(self, lines=30):
        from .program import tail
        return f"--- {self.name} {self.log}\n{tail(self.log, lines)}"
