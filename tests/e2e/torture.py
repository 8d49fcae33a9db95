"""Three edges, two subscribers, random work, random faults, and checkers that look all the time. See tests/e2e/torture.

Each edge has a schema of its own (e1, e2, e3) with the lawful workload of workload.py and a table `shape` whose definition changes
while rows flow; all edges write the same keys of public.shared. What is checked:
  all the time    in one snapshot of the centre, every law of every schema (half a transaction is seen at once); the slot's confirmed
                  position is never past what the stream holds (P1; only --without power)
  at the end      no row was written twice (the audit of the centre), every table of one edge is equal to that edge, every row of
                  `shared` is equal to that of the edge that it names as its source, no dead letter is open
                  (rows that the edge could not read behind a lock are set aside and come again)
"""

import argparse
import json
import os
import random
import sys
import threading
import time

import psycopg2

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness import Fleet, Postgres, Scratch, Ticker, difference, wait_until  # noqa: E402
from workload import AUDIT, EDGE_SCHEMA, SCHEMA, SEED_ROWS, TABLES, LawReader, Load, PositionChecker, duplicates_in_audit  # noqa: E402

EDGES = ("e1", "e2", "e3")
SHAPE = "CREATE TABLE shape (id bigint PRIMARY KEY, amount numeric(10, 2), n int, body text, rev bigint);"
SHARED = "CREATE TABLE public.shared (id int PRIMARY KEY, owner text, rev bigint, body text)"
SHARED_KEYS = 50
COLUMN_TYPES = ("double precision", "text", "numeric(12, 3)", "jsonb", "timestamptz", "integer[]", "bytea")
NUMERIC_MOST, LONGEST_LOCK, LONGEST_DOWN = 30, 12.0, 6.0   # digits, seconds, seconds


class Within:
    """A database as seen from one of its schemas."""

    cursor, execute, query, value = Postgres.cursor, Postgres.execute, Postgres.query, Postgres.value

    def __init__(self, db, schema):
        self._db = db
        self._schema = schema

    def connect(self, autocommit=True, **how):
        connection = self._db.connect(autocommit, **how)
        with connection.cursor() as cursor:
            cursor.execute(f"SET search_path = {self._schema}")
        if not autocommit:
            connection.commit()
        return connection


class Restless(threading.Thread):
    """Does one thing after another until it is stopped; what a server refuses while it is away or locked is tried again."""

    def __init__(self, name, step, pace):
        super().__init__(name=name, daemon=True)
        self._step = step
        self._pace = pace
        self._stopped = threading.Event()
        self.done = 0
        self.error = None

    def run(self):
        while not self._stopped.is_set():
            try:
                self._step()
                self.done += 1
            except (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.InternalError_):
                pass
            except BaseException as error:   # pylint: disable=broad-except
                self.error = error
                return
            self._stopped.wait(self._pace)

    def stop(self):
        self._stopped.set()
        self.join(120)
        if self.error is not None:
            raise self.error


class Shape:
    """The table whose definition changes: who writes it, and who alters it."""

    def __init__(self, fleet, number, seed):
        self._fleet = fleet
        self._edge = fleet.edges[number]
        self._schema = EDGES[number]
        self._here = Within(self._edge.db, self._schema)
        self._there = Within(fleet.centre.db, self._schema)
        self._random = random.Random(f"{seed}/shape/{number}")
        self._added = 0
        self._digits, self._scale = 10, 2
        self.altered = {}

    def write(self):
        """One transaction; the columns are those that the table has in it."""
        with self._here.cursor(autocommit=False) as cursor:
            cursor.execute("SET LOCAL lock_timeout = '20s'; LOCK TABLE shape IN ROW EXCLUSIVE MODE")
            cursor.execute("SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a WHERE a.attrelid = 'shape'::regclass "
                           "AND a.attnum > 0 AND NOT a.attisdropped AND a.attname LIKE 'added%'")
            extra = [(name, self._value(kind)) for name, kind in cursor.fetchall()]
            names = "".join(f", {name}" for name, _ in extra)
            values = "".join(f", {value}" for _, value in extra)
            cursor.execute(f"INSERT INTO shape (id, amount, n, body, rev{names}) SELECT nextval('change_rev'), "
                           f"{self._random.randrange(10**6)}.25, i, repeat('b', {self._random.choice((5, 300, 9000))}), "
                           f"nextval('change_rev'){values} FROM generate_series(1, {self._random.randrange(1, 6)}) i")
            for name, value in extra[:2]:
                cursor.execute(f"UPDATE shape SET {name} = {value}, rev = nextval('change_rev') WHERE id IN "
                               "(SELECT id FROM shape ORDER BY id DESC LIMIT 3)")
            cursor.execute("UPDATE shape SET rev = nextval('change_rev') WHERE id IN (SELECT id FROM shape ORDER BY id LIMIT 2)")
            cursor.execute("DELETE FROM shape WHERE id IN (SELECT id FROM shape ORDER BY id DESC OFFSET 400)")

    def _value(self, kind):
        return {"double precision": self._random.choice(("'NaN'", "'-Infinity'", "1.5", "NULL")),
                "text": f"repeat('t', {self._random.choice((1, 5000, 20000))})", "numeric": self._random.choice(("'NaN'", "12.125")),
                "jsonb": "'{\"a\": [1, null]}'", "timestamp with time zone": "clock_timestamp()", "integer[]": "'{1,NULL,3}'",
                "bytea": "'\\x00ff'"}[kind]

    def alter(self):
        """What widens the table is done in the centre first, what narrows it at the edge first."""
        step = self._random.choice((self._add, self._add, self._drop, self._widen, self._grow, self._noise, self._noise))
        step()
        self.altered[step.__name__.strip("_")] = self.altered.get(step.__name__.strip("_"), 0) + 1

    def _both(self, sql):
        for db in (self._there, self._here):
            self._until_done(db, sql)

    def _until_done(self, db, sql):
        def run():
            db.execute(f"SET lock_timeout = '500ms'; {sql}")
            return True
        wait_until(run, 300, f"{self._schema}: {sql}", self._fleet.diagnose, interval=0.2)

    def _columns(self):
        return [name for (name,) in self._here.query(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'shape'::regclass AND attname LIKE 'added%' AND NOT attisdropped")]

    def _add(self):
        if len(self._columns()) >= 6:
            return
        self._added += 1
        kind = self._random.choice(COLUMN_TYPES)
        self._both(f"ALTER TABLE shape ADD COLUMN IF NOT EXISTS added_{self._added} {kind}")

    def _drop(self):
        columns = self._columns()
        if not columns:
            return
        name = self._random.choice(columns)
        self._until_done(self._here, f"ALTER TABLE shape DROP COLUMN IF EXISTS {name}")
        arrived = wait_until(lambda: (self._edge.mark(),), 120, "a marker row", self._fleet.diagnose)[0]
        wait_until(arrived, 300, "the centre has what was written before the column went", self._fleet.diagnose, interval=0.2)
        self._until_done(self._there, f"ALTER TABLE shape DROP COLUMN IF EXISTS {name}")

    def _widen(self):
        if self._digits >= NUMERIC_MOST:
            return
        self._digits, self._scale = self._digits + 3, self._scale + 1
        self._both(f"ALTER TABLE shape ALTER COLUMN amount TYPE numeric({self._digits}, {self._scale})")

    def _grow(self):
        self._both("ALTER TABLE shape ALTER COLUMN n TYPE bigint")

    def _noise(self):
        self._until_done(self._here, self._random.choice((
            "CREATE TABLE IF NOT EXISTS aside (id int PRIMARY KEY); DROP TABLE aside", "CREATE INDEX IF NOT EXISTS by_rev ON shape (rev)",
            "DROP INDEX IF EXISTS by_rev", "CREATE TEMP TABLE IF NOT EXISTS passing (x int)", "ANALYZE shape", "ALTER TABLE shape ALTER COLUMN body "
            "SET STATISTICS 50")))


class SharedWriter:
    """Rows that all edges write."""

    def __init__(self, edge, seed):
        self._edge = edge
        self._random = random.Random(f"{seed}/shared/{edge.source}")
        self._rev = 0

    def write(self):
        self._rev += 1
        key = self._random.randrange(SHARED_KEYS)
        if self._random.random() < 0.1:
            self._edge.db.execute("DELETE FROM shared WHERE id = %s", (key,))
            return
        self._edge.db.execute("INSERT INTO shared VALUES (%s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET owner = EXCLUDED.owner, "
                              "rev = EXCLUDED.rev, body = EXCLUDED.body",
                              (key, self._edge.source, self._rev, "s" * self._random.choice((1, 3000))))


class Faults:
    """One fault after another, chosen by the seed; each ends by itself."""

    def __init__(self, fleet, seed, without):
        self._fleet = fleet
        self._random = random.Random(f"{seed}/faults")
        self._pause = threading.Event()
        kinds = {"publisher": self._publisher, "subscriber": self._subscriber, "term": self._terminate, "nats": self._nats,
                 "stall": self._stall, "power": self._power_cut, "edge": self._edge, "centre": self._centre, "lock": self._lock,
                 "edgelock": self._edge_lock, "clock": self._clock, "big": self._big}
        self._kinds = {name: kind for name, kind in kinds.items() if name not in without}
        self.count = {name: 0 for name in self._kinds}
        self.log = []

    def step(self):
        name = self._random.choice(sorted(self._kinds))
        self.count[name] += 1
        self.log.append((round(time.monotonic(), 1), name))
        self._kinds[name]()

    def _down(self, most=LONGEST_DOWN):
        self._pause.wait(self._random.uniform(0, most))

    def _some_edge(self):
        return self._random.choice(self._fleet.edges)

    def _kill(self, program):
        program.kill9()
        self._down()
        program.start()

    def _publisher(self):
        self._kill(self._some_edge().publisher)

    def _subscriber(self):
        self._kill(self._random.choice(self._fleet.centre.subscribers))

    def _terminate(self):
        program = self._random.choice(self._fleet.programs())
        program.terminate(deadline=60)
        program.start()

    def _nats(self):
        self._fleet.nats.kill9()
        self._down()
        self._fleet.nats.start()

    def _stall(self):
        self._fleet.nats.pause()
        self._down(10)
        self._fleet.nats.resume()

    def _power_cut(self):
        """What JetStream stored in the last seconds is gone."""
        copy = self._fleet.nats.snapshot()
        self._down(4)
        self._fleet.nats.kill9()
        self._fleet.nats.restore(copy)
        self._fleet.nats.start()

    def _restart(self, db):
        if self._random.random() < 0.5:
            db.kill9()
        else:
            db.stop(mode="immediate")
        self._down()
        db.start()

    def _edge(self):
        self._restart(self._some_edge().db)

    def _centre(self):
        self._restart(self._fleet.centre.db)

    def _hold(self, db, sql):
        with db.cursor(autocommit=False) as cursor:
            cursor.execute(f"SET lock_timeout = '10s'; {sql}")
            self._down(LONGEST_LOCK)

    def _lock(self):
        table = f"{self._random.choice(EDGES)}.{self._random.choice(TABLES)}"
        self._hold(self._fleet.centre.db, self._random.choice((
            f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE", f"LOCK TABLE {table} IN SHARE MODE", f"SELECT FROM {table} LIMIT 20 FOR UPDATE")))

    def _edge_lock(self):
        number = self._random.randrange(len(EDGES))
        self._hold(self._fleet.edges[number].db, f"LOCK TABLE {EDGES[number]}.shape IN ACCESS EXCLUSIVE MODE")

    def _clock(self):
        clock = self._fleet.edges[2].db.clock
        clock.shift(self._random.choice((-86400, -30, 45, 86400)))
        self._down()
        clock.right()

    def _big(self):
        """A transaction of several batches and messages."""
        number = self._random.randrange(len(EDGES))
        here = Within(self._fleet.edges[number].db, EDGES[number])
        here.execute("DELETE FROM big; INSERT INTO big SELECT b, i, repeat('x', 300) FROM nextval('change_rev') b, generate_series(1, %s) i",
                     (self._random.choice((20_000, 60_000, 120_000)),))


BIG = "CREATE TABLE big (batch bigint, i int, body text, PRIMARY KEY (batch, i));"
BIG_LAW = "SELECT count(DISTINCT batch) FROM big"


def whole_large_transactions(centre):
    """A watcher: `big` holds rows of one transaction only, or none."""
    def look():
        assert centre.value(BIG_LAW) in (0, 1), "seen in the centre: two generations of a large transaction"
    return Ticker(look, 0.1, "reader of large transactions")


def build(scratch):
    fleet = Fleet(scratch=scratch.area())
    centre = fleet.centre.db
    centre.execute(SHARED)
    tables = [*TABLES, "shape", "big"]
    for number, schema in enumerate(EDGES):
        centre.execute(f"CREATE SCHEMA {schema}")
        Within(centre, schema).execute(SCHEMA + SHAPE + BIG + AUDIT.replace("public.audit", f"{schema}.audit"))
        edge = fleet.add_edge(f"jetson-0{number + 1}", tables=[*(f"{schema}.{table}" for table in tables), "shared"], clock=number == 2)
        edge.db.execute(SHARED)
        edge.db.execute(f"CREATE SCHEMA {schema}")
        Within(edge.db, schema).execute(EDGE_SCHEMA + SHAPE + BIG)
    every = [f"{schema}.{table}" for schema in EDGES for table in tables]
    for _ in range(2):
        fleet.centre.add_subscriber([*every, "shared"])
    fleet.start(deadline=120)
    for edge, schema in zip(fleet.edges, EDGES):
        Within(edge.db, schema).execute(SEED_ROWS)
    fleet.wait_caught_up(120)
    return fleet


def compare(fleet):
    """What is wrong at the end, as texts."""
    centre = fleet.centre.db
    wrong = []
    for edge, schema in zip(fleet.edges, EDGES):
        wrong += [text for text in (difference(edge.db, centre, (schema, table)) for table in (*TABLES, "shape", "big")) if text]
        twice = duplicates_in_audit(Within(centre, schema))
        if twice:
            wrong.append(f"{schema}: written twice: {twice}")
    theirs = {edge.source: dict((row[0], row) for row in edge.db.query("SELECT id, owner, rev, md5(body) FROM shared"))
              for edge in fleet.edges}
    for *row, source in centre.query("SELECT id, owner, rev, md5(body), _source FROM shared"):
        if theirs[source].get(row[0]) != tuple(row):
            wrong.append(f"shared {row[0]}: the centre has {row}, its source {source} has {theirs[source].get(row[0])}")
    letters = [letter for letter in fleet.centre.dead_letters() if letter["state"] == "open"]
    if letters:
        wrong.append(f"{len(letters)} open dead letters, the first: {letters[0]!r:.600}")
    return wrong


def run(options):
    scratch = Scratch()
    began = time.monotonic()
    fleet = build(scratch)
    faults = Faults(fleet, options.seed, set(filter(None, options.without.split(","))))
    shapes = [Shape(fleet, number, options.seed) for number in range(len(EDGES))]
    restless = [Restless(f"shape {s}", shape.write, 0.05) for s, shape in zip(EDGES, shapes)]
    restless += [Restless(f"shared {e.source}", SharedWriter(e, options.seed).write, 0.05) for e in fleet.edges]
    if "ddl" not in options.without:
        restless += [Restless(f"ddl {s}", shape.alter, 2.0) for s, shape in zip(EDGES, shapes)]
    loads = [Load(Within(edge.db, schema), 2, options.seed + i, pace=0.02) for i, (edge, schema) in enumerate(zip(fleet.edges, EDGES))]
    watchers = [LawReader(Within(fleet.centre.db, schema)).running(0.1) for schema in EDGES]
    watchers += [whole_large_transactions(Within(fleet.centre.db, schema)) for schema in EDGES]
    if "power" in options.without:   # what was confirmed may be lost from the stream in a power cut: the centre has it then
        watchers += [PositionChecker(edge).running(0.1) for edge in fleet.edges]
    print(f"torture: seed {options.seed}, {options.minutes} minutes", flush=True)
    wrong = []
    try:
        for thing in (*watchers, *loads):
            thing.__enter__()
        for each in restless:
            each.start()
        end = time.monotonic() + options.minutes * 60
        chaos = Restless("faults", faults.step, 1.0)
        chaos.start()
        while time.monotonic() < end and all(each.error is None for each in (*watchers, *restless, chaos)):
            chaos.join(1.0)
        for each in (chaos, *restless, *loads):
            each.stop()
        settled = settle(fleet)
        for each in watchers:
            each.stop()
        wrong = compare(fleet)
        report(fleet, faults, shapes, loads, watchers, settled, began)
    except AssertionError as error:
        wrong.append(str(error))
    finally:
        if wrong and options.keep_logs:
            print(fleet.diagnose(), file=sys.stderr)
        fleet.close()
        scratch.close()
    for text in wrong:
        print(f"torture: WRONG: {text}")
    print(f"torture: seed {options.seed}: {'FAILED' if wrong else 'passed'}")
    return 1 if wrong else 0


def settle(fleet):
    """Everything runs again; returns the seconds until the centre has caught up."""
    begun = time.monotonic()
    fleet.edges[2].db.clock.right()
    for db in (fleet.centre.db, *(edge.db for edge in fleet.edges)):
        db.start()
    fleet.nats.start()
    for program in fleet.programs():
        program.start()
    fleet.wait_caught_up(300)
    took = time.monotonic() - begun
    none_open = "SELECT count(*) = 0 FROM pmoves_sync.dead_letter WHERE state = 'open'"
    wait_until(lambda: fleet.centre.db.value(none_open), 120, "rows that were set aside have come again", fleet.diagnose, interval=0.5)
    return took


def report(fleet, faults, shapes, loads, watchers, settled, began):
    altered = {}
    for shape in shapes:
        for name, count in shape.altered.items():
            altered[name] = altered.get(name, 0) + count
    print(json.dumps({
        "seconds": round(time.monotonic() - began), "transactions": sum(load.committed for load in loads), "faults": faults.count,
        "altered": altered, "letters_settled": len(fleet.centre.dead_letters()), "looks": sum(each.rounds for each in watchers), "caught_up_after_seconds": round(settled, 1),
        "peak_rss_mib": {program.name: program.rss_bytes() >> 20 for program in fleet.programs()},
    }, indent=1))


def main():
    parser = argparse.ArgumentParser(prog="tests/e2e/torture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--without", default="", help="kinds of faults to leave out, by comma: publisher subscriber term nats stall "
                        "power edge centre lock edgelock clock big ddl")
    parser.add_argument("--build-dir", default=None)
    parser.add_argument("--keep-logs", action="store_true", help="print statuses and the ends of all logs when something was wrong")
    options = parser.parse_args()
    if options.build_dir:
        os.environ["PMOVES_BUILD_DIR"] = os.path.abspath(options.build_dir)
    sys.exit(run(options))


if __name__ == "__main__":
    main()
