"""Streams filled without a publisher, in the protocol's encoding (proto/README.md), so that a drain measures the subscriber and the centre alone.

The rows are `jobs` of workloads.SCHEMA with a column for each kind of rule. Like the publisher's, a message has at most 500 rows of one operation, a large
transaction is several messages, and consecutive small ones share one.
"""

import hashlib
import json
import time
import uuid

ROWS_PER_MESSAGE = 500
TRANSACTIONS_PER_GROUP = 16
POSITION_STEP = 0x1000
# Transactions of one source are so far apart. Sources write at the same time, shifted by a third: each is newer than another half of the time.
STEP_MS = 90
WRITERS = ("e1", "e2", "e3")

SCHEMA = """
CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    worker_id uuid NOT NULL,
    status text NOT NULL,
    created_at timestamp,
    updated_at timestamp,
    local_worker_name text,
    local_gpu_id text,
    parts_done int,
    tags text[],
    labels jsonb
);
"""
COLUMNS = "id, worker_id, status, created_at, updated_at, local_worker_name, local_gpu_id, parts_done, tags, labels"


def key_of(number):
    """As scattered as a random uuid, and the same in each run."""
    return str(uuid.UUID(bytes=hashlib.md5(b"%d" % number).digest()))


def row_of(number, key, source, turn):
    """Row `number` as `source` writes it in its turn-th pass: every column but the key and created_at differs between sources and turns."""
    writer = f"{source}-{turn}"
    return json.dumps({
        "id": key, "worker_id": key_of(number % 50), "status": ("queued", "running", "done")[(number + turn + ord(source[-1])) % 3],
        "created_at": "2026-11-22 10:00:00.123456", "updated_at": f"2026-11-22 10:{turn:02d}:00.123456", "local_worker_name": f"worker {writer}",
        "local_gpu_id": f"GPU-{number % 8}", "parts_done": turn * 10 + number % 10, "tags": f"{{{source},gpu{number % 8}}}",
        "labels": json.dumps({source: turn, "room": f"r{number % 5}"})}, separators=(",", ":"))


class StreamWriter:
    """The stream of one source. Every transaction is stored when add() returns."""

    def __init__(self, client, source, shift_ms=0):
        self.source = source
        self.name = f"SYNC_{source}"
        self.changes = 0
        self.position = 0
        self._ms = int(time.time() * 1000) - 7_200_000 + shift_ms   # in the past: no clock is believed that is ahead of the store's
        client.api(f"STREAM.CREATE.{self.name}", {"name": self.name, "subjects": [f"supabase.sync.*.*.{source}"], "retention": "limits",
                                                  "storage": "file", "discard": "new", "allow_direct": True})

    def add(self, client, operation, rows):
        """One transaction. `rows` are JSON objects: new rows, or keys of DELETE."""
        pieces = [rows[i:i + ROWS_PER_MESSAGE] for i in range(0, len(rows), ROWS_PER_MESSAGE)]
        previous, hlc = self._next(len(rows))
        for chunk, piece in enumerate(pieces):
            self._store(client, operation, piece, previous, hlc + chunk * ROWS_PER_MESSAGE, chunk, chunk + 1 == len(pieces))

    def add_one_by_one(self, client, operation, rows):
        """A transaction for each row; groups of them share a message."""
        for first in range(0, len(rows), TRANSACTIONS_PER_GROUP):
            before, first_hlc, entries = self.position, None, []
            group = rows[first:first + TRANSACTIONS_PER_GROUP]
            for _ in group:
                _, hlc = self._next(1)
                first_hlc = first_hlc or hlc
                entries.append({"position": lsn(self.position), "xid": 1, "timestamp": self._time(), "hlc": str(hlc), "rows": 1})
            self._store(client, operation, group, before, first_hlc, 0, True, entries if len(group) > 1 else None)

    def _next(self, rows):
        """(position before, first version) of the next transaction."""
        previous, self.position = self.position, self.position + POSITION_STEP
        self._ms += STEP_MS
        self.changes += rows
        return previous, self._ms << 16

    def _time(self):
        seconds, milliseconds = divmod(self._ms, 1000)
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{milliseconds:03d}000Z"

    def _store(self, client, operation, rows, previous, hlc, chunk, last, transactions=None):
        member = "keys" if operation == "DELETE" else "data"
        body = (f'{{"source":"{self.source}","schema":"public","table":"jobs","operation":"{operation}","timestamp":"{self._time()}",'
                f'"{member}":[{",".join(rows)}]')
        if transactions:
            body += f',"transactions":{json.dumps(transactions, separators=(",", ":"))}'
        headers = [("Sync-Protocol", 1), ("Sync-Source", self.source), ("Sync-Epoch", 1), ("Sync-Origin", "bench/1/pmoves_sync"),
                   ("Sync-Writer", "bench"), ("Sync-Position", lsn(self.position)), ("Sync-Previous", lsn(previous)), ("Sync-Chunk", chunk),
                   *([("Sync-Last", 1)] if last else []), ("Sync-Hlc", hlc), ("Sync-Xid", 1)]
        client.store(f"supabase.sync.jobs.{operation}.{self.source}", body + "}", headers)


def lsn(position):
    return f"{position >> 32:X}/{position & 0xffffffff:X}"


class Fill:
    """Streams of one workload: passes over the same keys by each writer.

    A pass is I (insert), U (update) or D (delete) of every key in transactions of 1,000 rows, or u: updates in transactions of one row. A pass has more keys
    than a batch of the subscriber has rows, or else changes of one source to one row would fall together in a batch and count as one.
    """

    def __init__(self, nats, name, keys, writers=1, own_rows=False):
        self._nats = nats
        self._keys = range(keys)
        self._own_rows = own_rows   # of each writer, instead of the same rows of all
        self._turn = 0
        self.name = name
        with nats.client() as client:
            self.streams = [StreamWriter(client, f"{name}-{source}", i * STEP_MS // len(WRITERS))
                            for i, source in enumerate(WRITERS[:writers])]
        self.sources = [stream.source for stream in self.streams]

    def add(self, passes):
        """Stores them, and returns how many changes they are."""
        before = self.changes()
        with self._nats.client() as client:
            for kind in passes:
                self._turn += 1
                for stream in self.streams:
                    self._add_pass(client, stream, kind)
        return self.changes() - before

    def changes(self):
        return sum(stream.changes for stream in self.streams)

    def ends(self):
        """{source: position of its last transaction}, as source_position shows it."""
        return {stream.source: lsn(stream.position) for stream in self.streams}

    def _add_pass(self, client, stream, kind):
        operation = {"I": "INSERT", "U": "UPDATE", "u": "UPDATE", "D": "DELETE"}[kind]
        offset = self.streams.index(stream) * len(self._keys) if self._own_rows else 0
        for first in self._keys[::1000]:
            rows = []
            for number in self._keys[first:first + 1000]:
                key = key_of(offset + number)
                rows.append(json.dumps({"id": key}) if kind == "D" else row_of(number, key, stream.source, self._turn))
            (stream.add_one_by_one if kind == "u" else stream.add)(client, operation, rows)
