"""Streams that no publisher wrote: what a subscriber does with them needs no edge, and there can be a thousand of them."""

import json


class ForgedStream:
    """The stream of `source`, with messages as a publisher would have stored them."""

    def __init__(self, client, source, table, create=True, **settings):
        self.client = client
        self.source = source
        self.table = table
        self.name = f"SYNC_{source}"
        self.subjects = [f"supabase.sync.*.*.{source}"]
        self.epoch = 1
        self.position = 0
        self.hlc = 1_780_000_000_000 << 16
        if create:
            self.create(**settings)

    def create(self, **settings):
        self.client.api(f"STREAM.CREATE.{self.name}", {
            "name": self.name, "subjects": self.subjects, "retention": "limits", "storage": "file", "discard": "new",
            "max_bytes": -1, "max_msgs": -1, "max_msgs_per_subject": -1, "max_age": 0, "num_replicas": 1} | settings)

    def create_anew(self, epoch):
        """Another stream of the same name, for the next epoch."""
        self.client.api(f"STREAM.DELETE.{self.name}")
        self.create()
        self.epoch = epoch
        self.position = 0

    def body(self, rows, operation="INSERT"):
        return json.dumps({"source": self.source, "schema": "public", "table": self.table, "operation": operation,
                           "timestamp": "2026-06-01T00:00:00.000000Z", "data": rows}, separators=(",", ":"))

    def headers(self, chunk=0, last=True, **more):
        """Of a message of the transaction behind the last one; the first chunk begins it."""
        if chunk == 0:
            self.previous, self.position = self.position, self.position + 16
        self.hlc += 100_000
        headers = {"Sync-Protocol": "1", "Sync-Source": self.source, "Sync-Epoch": str(self.epoch), "Sync-Origin": "7/1/pmoves_sync",
                   "Sync-Writer": "forged", "Sync-Position": self.lsn(self.position), "Sync-Previous": self.lsn(self.previous),
                   "Sync-Chunk": str(chunk), "Sync-Hlc": str(self.hlc), "Sync-Xid": "7"}
        if last:
            headers["Sync-Last"] = "1"
        return list((headers | more).items())

    @staticmethod
    def lsn(number):
        return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"

    def publish(self, body, **how):
        """One message; flush() or state() tells when it is stored."""
        self.client.publish(f"supabase.sync.{self.table}.INSERT.{self.source}", body, self.headers(**how))

    def insert(self, ids, row):
        """A transaction per id, of one row: `row`(id)."""
        for number in ids:
            self.publish(self.body([row(number)]))
        self.client.flush()
        return self

    def state(self):
        return self.client.stream_state(self.name)
