"""What the GPU orchestrator of the demo does: its tables, and the traffic it writes on the edge.

One Workload writes in one thread, transaction by transaction. Every transaction ends by moving `workers.beat` of this box, so that an observer of the
centre can tell from one number which transaction is the newest visible one, and how long it took to get there.
"""

import collections
import json
import random
import threading
import time

import psycopg2

TABLES = ("jobs", "results", "metrics", "workers")

# Edge and centre have the same tables. `init` of the subscriber adds its own columns in the centre.
SCHEMA = """
CREATE TYPE job_status AS ENUM ('queued', 'running', 'done', 'failed');
CREATE TABLE workers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    gpu_model text NOT NULL,
    memory_bytes bigint NOT NULL,
    capabilities text[] NOT NULL DEFAULT '{}',
    beat bigint NOT NULL DEFAULT 0,
    last_seen timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    worker_id uuid NOT NULL,
    status job_status NOT NULL,
    created_at timestamp DEFAULT now(),
    updated_at timestamp DEFAULT now(),
    local_worker_name text,
    local_gpu_id text,
    _synced boolean DEFAULT false,
    _synced_at timestamp
);
CREATE TABLE results (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    output jsonb NOT NULL,
    log text,
    cost numeric(12, 6) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE metrics (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    worker_id uuid NOT NULL,
    name text NOT NULL,
    value double precision NOT NULL,
    labels jsonb NOT NULL DEFAULT '{}',
    recorded_at timestamptz NOT NULL DEFAULT now()
);
"""

WORKERS = (
    ("orin-gpu0", "Jetson AGX Orin", 64 << 30, ["fp16", "int8", "dla"]),
    ("orin-gpu1", "Jetson Orin NX", 16 << 30, ["fp16", "int8"]),
    ("xavier-gpu0", "Jetson AGX Xavier", 32 << 30, ["fp16"]),
)
BULK_JOBS = 5000
JOBS_KEPT = 2000


class Workload:
    """Writes `rate` transactions a second to the edge until stop(). Thread-safe counters: transactions, rows, beat, commits."""

    def __init__(self, dsn, rate, seed=7):
        self._dsn = dsn
        self._rate = rate
        self._random = random.Random(seed)
        self._workers = []
        self._jobs = collections.deque()
        self._stopping = threading.Event()
        self._bulk = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="workload", daemon=True)
        self.commits = {}        # beat -> monotonic time of its commit; the observer removes what it has seen
        self.beat = 0
        self.transactions = 0
        self.rows = collections.Counter()
        self.error = None

    def start(self):
        self._thread.start()

    def stop(self):
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def ask_for_bulk(self):
        """The next transaction inserts BULK_JOBS jobs at once."""
        self._bulk.set()

    def take_seen(self, beat):
        """Commit times of all transactions up to `beat`, oldest first, and that of the oldest one still missing (or None)."""
        with self._lock:
            seen = [self.commits.pop(b) for b in sorted(b for b in self.commits if b <= beat)]
            return seen, min(self.commits.values(), default=None)

    def _run(self):
        try:
            connection = psycopg2.connect(self._dsn)
            with connection.cursor() as cursor:
                self._register(cursor)
            connection.commit()
            due = time.monotonic()
            while not self._stopping.is_set():
                with connection.cursor() as cursor:
                    self._transaction(cursor)
                    self._beat(cursor)
                with self._lock:
                    # Registered before the commit: the centre may show it before this thread runs again.
                    self.commits[self.beat] = time.monotonic()
                connection.commit()
                self.transactions += 1
                due = max(due + 1.0 / self._rate, time.monotonic() - 1.0)
                self._stopping.wait(max(0.0, due - time.monotonic()))
            connection.close()
        except psycopg2.Error as error:
            if not self._stopping.is_set():
                self.error = error

    def _register(self, cursor):
        for name, model, memory, capabilities in WORKERS:
            cursor.execute(
                "INSERT INTO workers (name, gpu_model, memory_bytes, capabilities) VALUES (%s, %s, %s, %s) RETURNING id",
                (name, model, memory, capabilities))
            self._workers.append((cursor.fetchone()[0], name))
        self.rows["insert"] += len(WORKERS)

    def _beat(self, cursor):
        self.beat += 1
        cursor.execute("UPDATE workers SET beat = %s, last_seen = clock_timestamp() WHERE name = %s", (self.beat, WORKERS[0][0]))
        self.rows["update"] += 1

    def _transaction(self, cursor):
        if self._bulk.is_set():
            self._bulk.clear()
            return self._insert_bulk(cursor)
        step = self._random.random()
        if step < 0.45 or not self._jobs:
            return self._new_jobs(cursor)
        if step < 0.80:
            return self._finish_job(cursor)
        if step < 0.95:
            return self._measure(cursor)
        return self._delete_job(cursor)

    def _new_jobs(self, cursor):
        worker, name = self._random.choice(self._workers)
        for _ in range(self._random.randint(1, 4)):
            cursor.execute(
                "INSERT INTO jobs (worker_id, status, local_worker_name, local_gpu_id) VALUES (%s, 'queued', %s, %s) RETURNING id",
                (worker, name, f"GPU-{self._random.randint(0, 7)}"))
            self._jobs.append(cursor.fetchone()[0])
            self.rows["insert"] += 1
        if len(self._jobs) > JOBS_KEPT:
            self._delete_job(cursor)

    def _finish_job(self, cursor):
        job = self._random.choice(self._jobs)
        status = self._random.choice(("running", "done", "done", "failed"))
        cursor.execute("UPDATE jobs SET status = %s, updated_at = clock_timestamp() WHERE id = %s", (status, job))
        self.rows["update"] += 1
        if status == "done":
            output = {"text": "naïve café ✓ 数据", "score": self._random.random(), "tokens": self._random.randint(1, 4000)}
            cursor.execute("INSERT INTO results (job_id, output, log, cost) VALUES (%s, %s, %s, %s)",
                           (job, json.dumps(output), "x" * self._random.randint(0, 400), round(self._random.random(), 6)))
            self.rows["insert"] += 1

    def _measure(self, cursor):
        worker, _ = self._random.choice(self._workers)
        # A sensor that fails reads NaN, and that must arrive as NaN.
        value = "NaN" if self._random.random() < 0.05 else self._random.gauss(55.0, 9.0)
        for name in ("gpu_temperature_celsius", "gpu_power_watts"):
            cursor.execute("INSERT INTO metrics (worker_id, name, value, labels) VALUES (%s, %s, %s, %s)",
                           (worker, name, value, json.dumps({"rail": self._random.choice("abc")})))
            self.rows["insert"] += 1

    def _delete_job(self, cursor):
        job = self._jobs.popleft()
        cursor.execute("DELETE FROM jobs WHERE id = %s", (job,))
        self.rows["delete"] += cursor.rowcount

    def _insert_bulk(self, cursor):
        worker, name = self._workers[0]
        cursor.execute(
            "INSERT INTO jobs (worker_id, status, local_worker_name, local_gpu_id)"
            " SELECT %s, 'queued', %s, 'GPU-' || i %% 8 FROM generate_series(1, %s) i", (worker, name, BULK_JOBS))
        self.rows["insert"] += BULK_JOBS
