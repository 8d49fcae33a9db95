"""A whole installation: nats-server, the centre with its subscribers, edges with their publishers."""

import psycopg2

from .compare import difference
from .nats_server import NatsServer
from .postgres import Postgres
from .program import Publisher, Subscriber
from .scratch import Scratch
from .tables import MARKER_TABLE, create_marker_table
from .wait import wait_until


class Edge:
    """An edge box: its database and its publisher."""

    def __init__(self, fleet, source, tables, config=None, settings=None, fsync=False, clock=False):
        self.source = source
        self.fleet = fleet
        self.db = Postgres(fleet.scratch, f"edge-{source}", fsync=fsync, settings=settings, clock=clock).start()
        self.tables = list(tables)
        self.publisher = Publisher(fleet.scratch, source, self.db, fleet.nats, [*self.tables, MARKER_TABLE], config)
        self._round = 0
        create_marker_table(self.db)

    @property
    def stream(self):
        return f"SYNC_{self.source}"

    def mark(self):
        """Commits a marker row and returns a function that says whether the centre has it."""
        self._round += 1
        mine = (self.source, self._round)
        self.db.execute(f"INSERT INTO {MARKER_TABLE} VALUES (%s, %s)", mine)
        centre = self.fleet.centre.db
        return lambda: centre.value(f"SELECT true FROM {MARKER_TABLE} WHERE (source, round) = (%s, %s)", mine)

    def confirmed(self):
        """The slot's confirmed position, as a number; None while there is no slot."""
        return self.db.value("SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots "
                             "WHERE slot_name = 'pmoves_sync'")


class Centre:
    """The central database and the subscribers that write it."""

    def __init__(self, fleet, settings=None, fsync=False):
        self.fleet = fleet
        self.db = Postgres(fleet.scratch, "centre", fsync=fsync, settings=settings).start()
        self.subscribers = []
        create_marker_table(self.db)

    def add_subscriber(self, tables, config=None):
        name = f"subscriber-{len(self.subscribers) + 1}"
        subscriber = Subscriber(self.fleet.scratch, self.db, self.fleet.nats, [*tables, MARKER_TABLE], config, name)
        self.subscribers.append(subscriber)
        return subscriber

    def position(self, source):
        """The applied position of a source as a number, or None."""
        return self.db.value("SELECT (position - '0/0')::bigint FROM pmoves_sync.source_position WHERE source = %s", (source,))

    def dead_letters(self):
        with self.db.cursor() as cursor:
            cursor.execute("SELECT * FROM pmoves_sync.dead_letter ORDER BY id")
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]

    def statuses(self):
        """Rows of sync_status as text, for people."""
        try:
            rows = self.db.query("SELECT service_name, table_name, last_sync_status, pending_records, failed_records, last_error "
                                 "FROM pmoves_sync.sync_status ORDER BY 1, 2")
            positions = self.db.query("SELECT source, epoch, position, stream_sequence FROM pmoves_sync.source_position")
            letters = self.db.query("SELECT id, source, schema_name, table_name, reason, sqlstate, message, state "
                                    "FROM pmoves_sync.dead_letter ORDER BY id LIMIT 10")
        except psycopg2.Error as error:
            return f"the centre does not answer: {error}"
        return "\n".join(["--- centre", *(f"sync_status {row}" for row in rows), *(f"source_position {row}" for row in positions),
                          *(f"dead_letter {row!r:.300}" for row in letters)])


class Fleet:
    """All of it, in one area of a scratch directory. As a context manager it is gone at the end of the block."""

    def __init__(self, scratch=None, nats=None, centre=None):
        self.scratch = scratch or Scratch()
        self.nats = NatsServer(self.scratch, **(nats or {})).start()
        self.centre = Centre(self, **(centre or {}))
        self.edges = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def add_edge(self, source="jetson-01", schema=None, tables=(), config=None, **how):
        """An edge with `schema` (SQL text, or a function of a Postgres) run on it; see also create()."""
        edge = Edge(self, source, tables, config, **how)
        self.edges.append(edge)
        if schema:
            self.create(edge.db, schema)
        return edge

    @staticmethod
    def create(db, schema):
        if callable(schema):
            schema(db)
        else:
            db.execute(schema)

    @classmethod
    def pair(cls, schema, tables, subscriber_tables=None, publisher=None, subscriber=None, centre_schema=None, **how):
        """The usual case: one edge, one subscriber, the same schema on both sides; nothing of ours started yet."""
        fleet = cls(**how)
        try:
            fleet.create(fleet.centre.db, centre_schema or schema)
            fleet.add_edge(schema=schema, tables=tables, config=publisher)
            fleet.centre.add_subscriber(subscriber_tables or tables, subscriber)
        except BaseException:
            fleet.close()
            raise
        return fleet

    @property
    def edge(self):
        return self.edges[0]

    @property
    def publisher(self):
        return self.edges[0].publisher

    @property
    def subscriber(self):
        return self.centre.subscribers[0]

    def programs(self):
        return [*(edge.publisher for edge in self.edges), *self.centre.subscribers]

    def init(self):
        """What an operator does once: the schemas of the centre and of each edge."""
        if self.centre.subscribers:
            self.centre.subscribers[0].must("init")
        for edge in self.edges:
            edge.publisher.must("init")

    def start(self, deadline=30):
        """init, run everything, wait until all are ready."""
        self.init()
        for program in self.programs():
            program.start()
        for program in self.programs():
            wait_until(lambda each=program: each.http("/readyz")[0] == 200, deadline, f"{program.name} is ready", self.diagnose)
        return self

    def wait_caught_up(self, deadline=60):
        """Until the centre has applied everything that each edge has committed up to now."""
        for edge in self.edges:
            arrived = wait_until(lambda each=edge: (each.mark(),), 30, f"{edge.source} takes a marker row", self.diagnose)[0]
            wait_until(arrived, deadline, f"the centre has caught up with {edge.source}", self.diagnose)

    def wait_equal(self, tables=None, deadline=60):
        """Until the centre has caught up; then the tables must be equal (for one edge, or edges with tables of their own)."""
        self.wait_caught_up(deadline)
        for edge in self.edges:
            for table in tables or edge.tables:
                text = difference(edge.db, self.centre.db, table)
                assert not text, f"{text}\n{self.diagnose()}"

    def diagnose(self):
        """Statuses and the ends of all logs."""
        parts = [self.centre.statuses()]
        for program in self.programs():
            try:
                parts.append(f"--- {program.name} /status\n{program.http('/status')[1]:.1500}")
            except OSError as error:
                parts.append(f"--- {program.name} /status: {error}")
            parts.append(program.log_tail())
        parts.append(self.centre.db.log_tail(15))
        parts.extend(edge.db.log_tail(15) for edge in self.edges)
        parts.append(self.nats.log_tail(10))
        return "\n".join(parts)

    def close(self):
        """Ends everything. Orderly stops are the tests' business; here it is quick."""
        for program in self.programs():
            program.kill9()
        self.nats.kill9()
        for db in [self.centre.db, *(edge.db for edge in self.edges)]:
            if db.running():
                db.process.send_signal(3)   # immediate shutdown: frees its shared memory
        for db in [self.centre.db, *(edge.db for edge in self.edges)]:
            if db.process:
                db.process.wait(30)
        self.scratch.close()
