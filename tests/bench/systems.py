"""The two systems under test, behind one interface: start() begins to drain, stop() ends it, costs() tells what it took.

Both read the same WAL of the same edge database, each through a slot of its own, and write a database of its own in the same central cluster. While one
works the other is stopped, so neither takes the other's processor.
"""

from harness import Publisher, Subscriber
from measure import cpu_seconds, memory_kib, wait_until
from workloads import TABLES

EDGE_DATABASE = "bench"
SOURCE = "bench"


class Native:
    """CREATE PUBLICATION / CREATE SUBSCRIPTION. The slot is made before; the subscription is switched on and off."""

    name = "native"
    database = "native"
    slot = "native"

    def __init__(self, edge, centre):
        self._edge, self._centre = edge, centre

    def prepare(self):
        self._edge.execute(f"CREATE PUBLICATION bench FOR TABLE {', '.join(TABLES)}", dbname=EDGE_DATABASE)
        self._edge.execute("SELECT pg_create_logical_replication_slot('native', 'pgoutput')", dbname=EDGE_DATABASE)
        self._centre.execute(
            f"CREATE SUBSCRIPTION bench CONNECTION '{self._edge.dsn(EDGE_DATABASE)}' PUBLICATION bench"
            " WITH (create_slot = false, slot_name = 'native', copy_data = false, enabled = false)", dbname=self.database)

    def start(self):
        self._centre.execute("ALTER SUBSCRIPTION bench ENABLE", dbname=self.database)

    def stop(self):
        self._centre.execute("ALTER SUBSCRIPTION bench DISABLE", dbname=self.database)
        wait_until(lambda: not _slot_pid(self._edge, self.slot), "the native slot is free", 60)

    def processes(self):
        """{what: [pids]} of everything that works for this system now."""
        workers = self._centre.query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'logical replication worker'")
        return {"walsender": _slot_pid(self._edge, self.slot), "apply": [pid for (pid,) in workers]}

    def before(self):
        """Costs that outlive one drain; subtracted from costs()."""
        return {}

    def costs(self, before):
        """CPU seconds per process kind. Every process but the kept ones began with this drain."""
        del before
        return {what: sum(cpu_seconds(pid) or 0.0 for pid in pids) for what, pids in self.processes().items()}

    def memory(self):
        return {what: [memory_kib(pid) for pid in pids] for what, pids in self.processes().items()}


class Ours:
    """The publisher, a nats-server and the subscriber, configured as by default."""

    name = "ours"
    database = "ours"
    slot = "pmoves_sync"

    def __init__(self, scratch, edge, centre, nats):
        self._edge, self._centre, self._nats = edge, centre, nats
        tables = [f"public.{table}" for table in TABLES]
        # What the harness shortens for tests goes back to the programs' own defaults. The purge waits, so that the stream's bytes can be counted.
        self.publisher = Publisher(scratch, SOURCE, edge, nats, tables, name="publisher", config={
            "postgres": {"dsn": edge.dsn(EDGE_DATABASE), "status_interval": "1s"},
            "stream": {"ack_timeout": None, "max_bytes": "8GiB"}, "confirm": {"stored_hold": None},
            "progress": {"interval": None, "heartbeat": None}, "log": {"level": "warn"}})
        self.subscriber = Subscriber(scratch, centre, nats, tables, config={
            "postgres": {"dsn": centre.dsn(self.database)}, "log": {"level": "warn"},
            "report_interval": None, "purge_interval": "1h", "retain_applied": None, "discover_interval": None})

    def prepare(self):
        self.subscriber.must("init")
        self.publisher.must("init")

    def start(self):
        self.subscriber.start()
        self.publisher.start()

    def stop(self):
        # The publisher must tell the slot what was applied, or its next start reads the same WAL again.
        wait_until(self._all_confirmed, "all that was published is confirmed", 120, 0.1)
        self.publisher.terminate()
        self.subscriber.terminate()
        wait_until(lambda: not _slot_pid(self._edge, self.slot), "our slot is free", 60)

    def _all_confirmed(self):
        metrics = self.publisher.metrics()
        return metrics["pmoves_sync_source_confirmed_lsn_bytes"] >= metrics["pmoves_sync_source_published_lsn_bytes"]

    def processes(self):
        backends = self._centre.query("SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
                                      " AND application_name LIKE 'pmoves%%'", (self.database,))
        edge = self._edge.query("SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
                                " AND application_name LIKE 'pmoves%%'", (EDGE_DATABASE,))
        return {"walsender": _slot_pid(self._edge, self.slot), "publisher": [self.publisher.process.pid],
                "nats-server": [self._nats.process.pid], "subscriber": [self.subscriber.process.pid],
                "apply": [pid for (pid,) in backends], "edge sql": [pid for (pid,) in edge]}

    def before(self):
        return {"nats-server": cpu_seconds(self._nats.process.pid), "stream": self._stream()}

    def costs(self, before):
        spent = {what: sum(cpu_seconds(pid) or 0.0 for pid in pids) for what, pids in self.processes().items()}
        spent["nats-server"] -= before["nats-server"]
        return spent

    def memory(self):
        return {what: [memory_kib(pid) for pid in pids] for what, pids in self.processes().items()}

    def _stream(self):
        try:
            with self._nats.client() as client:
                state = client.stream_state(f"SYNC_{SOURCE}")
        except OSError:
            return {"bytes": 0, "messages": 0}
        return {"bytes": state["bytes"], "messages": state["messages"]}

    def stream_growth(self, before):
        now = self._stream()
        return {key: now[key] - before["stream"][key] for key in now}


def _slot_pid(edge, slot):
    """[pid] of the walsender that holds the slot, or []."""
    pid = edge.value("SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", (slot,))
    return [pid] if pid else []

