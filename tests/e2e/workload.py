"""Writers at the edge whose transactions have laws, a reader of the centre that checks the laws, and an audit of what was applied."""

import random
import threading
import time

import psycopg2

from harness import Ticker

ACCOUNTS, BALANCE, TOKENS, PAD_ROWS, BULK_ROWS = 100, 1000, 60, 40, 12_000
BULK_EVERY = 6.0   # seconds

# Every row carries a `rev` that no other state of any row has, so the centre can be asked whether something was applied twice.
SCHEMA = """
CREATE TABLE pair_a (writer int, n bigint, rev bigint, body text, PRIMARY KEY (writer, n));
CREATE TABLE pair_b (writer int, n bigint, rev bigint, extra jsonb, PRIMARY KEY (n, writer));
CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL, rev bigint);
CREATE TABLE token (id bigint PRIMARY KEY, slot int NOT NULL, rev bigint);
CREATE TABLE item (id uuid PRIMARY KEY, rev bigint, amount numeric(20, 4), body text, tags text[]);
CREATE TABLE pad (generation bigint, i int, rev bigint, PRIMARY KEY (i));
CREATE TABLE bulk (batch bigint, i int, rev bigint, PRIMARY KEY (batch, i));
CREATE TABLE never (id bigint PRIMARY KEY, rev bigint);
"""
EDGE_SCHEMA = SCHEMA + "CREATE SEQUENCE change_rev;"
TABLES = ["pair_a", "pair_b", "account", "token", "item", "pad", "bulk", "never"]

# ENABLE ALWAYS: the subscriber applies as a replica, and ordinary triggers do not fire then.
AUDIT = """
CREATE TABLE audit (table_name text, key text, rev bigint, operation text, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION write_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE image jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
BEGIN
    INSERT INTO public.audit (table_name, key, rev, operation)
    VALUES (TG_TABLE_NAME, (SELECT string_agg(image ->> k, ',') FROM unnest(TG_ARGV) k), (image ->> 'rev')::bigint,
            CASE WHEN TG_OP = 'DELETE' THEN 'DELETE' ELSE 'WRITE' END);
    RETURN NULL;
END $$;
""" + "".join(f"""
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION write_audit({key});
ALTER TABLE {table} ENABLE ALWAYS TRIGGER audit;
""" for table, key in (("pair_a", "'writer', 'n'"), ("pair_b", "'writer', 'n'"), ("account", "'id'"), ("token", "'id'"),
                       ("item", "'id'"), ("pad", "'i'"), ("bulk", "'batch', 'i'"), ("never", "'id'")))

SEED_ROWS = f"""
INSERT INTO account SELECT i, {BALANCE}, nextval('change_rev') FROM generate_series(1, {ACCOUNTS}) i;
INSERT INTO token SELECT i, i, nextval('change_rev') FROM generate_series(1, {TOKENS}) i;
"""


def duplicates_in_audit(centre):
    """States that were written twice, or rows deleted twice."""
    return centre.query("SELECT table_name, key, rev, operation, count(*) FROM audit GROUP BY 1, 2, 3, 4 HAVING count(*) > 1 LIMIT 10")


class Writer(threading.Thread):
    """One connection that commits one lawful transaction after another. Reconnects as long as it is not told to stop."""

    def __init__(self, db, number, seed, pace):
        super().__init__(name=f"writer-{number}", daemon=True)
        self._db = db
        self._number = number
        self._random = random.Random(f"{seed}/{number}")
        self._pace = pace
        self._stop_asked = threading.Event()
        self._next_bulk = 0.0
        self.committed = 0
        self.error = None

    def run(self):
        connection = None
        while not self._stop_asked.is_set():
            try:
                if connection is None:
                    connection = self._db.connect(autocommit=False, name=self.name)
                with connection.cursor() as cursor:
                    self._transaction(cursor)
                connection.commit()
                self.committed += 1
            except (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.DeadlockDetected):
                connection = self._forget(connection)
            except BaseException as error:   # pylint: disable=broad-except
                self.error = error
                return
            self._stop_asked.wait(self._pace)
        self._forget(connection)

    @staticmethod
    def _forget(connection):
        if connection is not None:
            connection.close()

    def stop(self):
        self._stop_asked.set()
        self.join(60)
        if self.error is not None:
            raise self.error

    def _transaction(self, cursor):
        if self._number == 0 and time.monotonic() > self._next_bulk:
            self._next_bulk = time.monotonic() + BULK_EVERY
            self._bulk(cursor)
            return
        choice = self._random.random()
        if choice < 0.35:
            self._pair(cursor)
        elif choice < 0.60:
            self._transfer(cursor)
        elif choice < 0.70:
            self._move_token(cursor)
        elif choice < 0.97:
            self._items(cursor)
        else:
            self._new_pad(cursor)

    def _pair(self, cursor):
        """The same counter in two tables; old pairs go in the same transaction."""
        cursor.execute("SELECT coalesce(max(n), 0) + 1 FROM pair_a WHERE writer = %s", (self._number,))
        n = cursor.fetchone()[0]
        cursor.execute("SELECT nextval('change_rev')")
        rev = cursor.fetchone()[0]
        with_rollback = self._random.random() < 0.3
        cursor.execute("INSERT INTO pair_a VALUES (%s, %s, %s, %s)", (self._number, n, rev, "x" * self._random.randrange(200)))
        if with_rollback:
            cursor.execute("SAVEPOINT s; INSERT INTO never SELECT nextval('change_rev'), 0; "
                           "UPDATE pair_a SET rev = -1 WHERE writer = %s; ROLLBACK TO s", (self._number,))
        cursor.execute("SAVEPOINT t; INSERT INTO pair_b VALUES (%s, %s, %s, '{}'); RELEASE t", (self._number, n, rev))
        cursor.execute("DELETE FROM pair_a WHERE writer = %s AND n < %s", (self._number, n - 50))
        cursor.execute("DELETE FROM pair_b WHERE writer = %s AND n < %s", (self._number, n - 50))

    def _transfer(self, cursor):
        first, second = sorted(self._random.sample(range(1, ACCOUNTS + 1), 2))
        amount = self._random.randrange(-50, 50)
        cursor.execute("UPDATE account SET balance = balance + %s, rev = nextval('change_rev') WHERE id = %s", (amount, first))
        cursor.execute("UPDATE account SET balance = balance - %s, rev = nextval('change_rev') WHERE id = %s", (amount, second))

    def _move_token(self, cursor):
        """A key change: the number of tokens stays."""
        slot = self._random.randrange(1, TOKENS + 1)
        cursor.execute("UPDATE token SET id = nextval('change_rev'), rev = nextval('change_rev') WHERE slot = %s", (slot,))

    def _items(self, cursor):
        for _ in range(self._random.randrange(1, 6)):
            choice = self._random.random()
            if choice < 0.5:
                body = "b" * self._random.choice((0, 10, 300, 12_000))
                cursor.execute("INSERT INTO item VALUES (gen_random_uuid(), nextval('change_rev'), %s, %s, %s)",
                               (self._random.randrange(10**9), body, ["a", None, "c"]))
            elif choice < 0.8:
                cursor.execute("UPDATE item SET amount = amount + 1, rev = nextval('change_rev') WHERE id IN "
                               "(SELECT id FROM item ORDER BY id OFFSET %s LIMIT 3 FOR UPDATE SKIP LOCKED)",
                               (self._random.randrange(20),))
            else:
                cursor.execute("DELETE FROM item WHERE id IN "
                               "(SELECT id FROM item ORDER BY id DESC OFFSET %s LIMIT 2 FOR UPDATE SKIP LOCKED)",
                               (self._random.randrange(20),))

    def _new_pad(self, cursor):
        """TRUNCATE and fill again: all rows are always of one generation."""
        cursor.execute("TRUNCATE pad")
        cursor.execute("INSERT INTO pad SELECT g, i, nextval('change_rev') FROM nextval('change_rev') g, generate_series(1, %s) i",
                       (PAD_ROWS,))

    def _bulk(self, cursor):
        """More rows than one batch of the subscriber."""
        cursor.execute("DELETE FROM bulk")
        cursor.execute("INSERT INTO bulk SELECT b, i, nextval('change_rev') FROM nextval('change_rev') b, generate_series(1, %s) i",
                       (BULK_ROWS,))


class Load:
    """Some writers, started and stopped together: `with Load(edge.db, writers=4, seed=7) as load:`"""

    def __init__(self, db, writers, seed, pace=0.0):
        self._writers = [Writer(db, number, seed, pace) for number in range(writers)]

    def __enter__(self):
        for writer in self._writers:
            writer.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for writer in self._writers:
            writer.stop()

    @property
    def committed(self):
        return sum(writer.committed for writer in self._writers)


LAWS = {
    "both halves of a pair": """
        SELECT count(*) FROM pair_a a FULL JOIN pair_b b USING (writer, n) WHERE a.n IS NULL OR b.n IS NULL OR a.rev <> b.rev""",
    "the sum of all accounts": f"SELECT count(*) FROM (SELECT sum(balance) s FROM account) x WHERE s <> {ACCOUNTS * BALANCE}",
    "the number of accounts": f"SELECT count(*) FROM (SELECT count(*) c FROM account) x WHERE c NOT IN (0, {ACCOUNTS})",
    "the number of tokens": f"SELECT count(*) FROM (SELECT count(*) c FROM token) x WHERE c NOT IN (0, {TOKENS})",
    "one slot per token": "SELECT count(*) FROM (SELECT 1 FROM token GROUP BY slot HAVING count(*) > 1) x",
    "one generation in the pad": f"""
        SELECT count(*) FROM (SELECT count(*) c, count(DISTINCT generation) g FROM pad) x WHERE c NOT IN (0, {PAD_ROWS}) OR g > 1""",
    "whole bulk transactions": f"""
        SELECT count(*) FROM (SELECT count(*) c, count(DISTINCT batch) b FROM bulk) x WHERE c NOT IN (0, {BULK_ROWS}) OR b > 1""",
    "nothing of a rolled-back savepoint": "SELECT count(*) FROM never",
}


class LawReader:
    """Looks at the centre again and again, each time in one snapshot, and fails on a half-visible source transaction."""

    def __init__(self, centre):
        self._centre = centre
        self._connection = None

    def look(self):
        try:
            if self._connection is None:
                self._connection = self._centre.connect(autocommit=False, name="law reader")
                self._connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with self._connection.cursor() as cursor:
                for law, sql in LAWS.items():
                    cursor.execute(sql)
                    assert cursor.fetchone()[0] == 0, f"seen in the centre: {law} is broken"
            self._connection.commit()
        except psycopg2.Error:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            raise

    def running(self, interval=0.02):
        return Ticker(self.look, interval, "law reader")


def lsn(text):
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


class PositionChecker:
    """Promise P1, looked at from outside: the slot's confirmed position is never past what the stream holds completely.

    The confirmed position is read FIRST: the tail only moves on, so what it is later bounds what was confirmed before.
    """

    def __init__(self, edge):
        self._edge = edge
        self._nats = edge.fleet.nats
        self._at_first = None
        self.compared = 0

    def look(self):
        confirmed = self._edge.confirmed()
        if confirmed is None:
            return
        tail = self._complete_tail()
        if tail is None:   # nothing stored yet: then nothing may be confirmed beyond where the slot began
            self._at_first = self._at_first or confirmed
            tail = self._at_first
        assert confirmed <= tail, f"confirmed {confirmed:X} is past the stream's complete tail {tail:X}"
        self.compared += 1

    def _complete_tail(self):
        """Position of the newest transaction that the stream holds to its end; None while it holds none."""
        with self._nats.client() as client:
            state = client.stream_state(self._edge.stream)
            for sequence in range(state["last_seq"], max(state["first_seq"], state["last_seq"] - 50) - 1, -1):
                if state["messages"] == 0:
                    return None
                headers = client.stream_message(self._edge.stream, sequence)[1]
                if "Sync-Position" in headers:
                    return lsn(headers["Sync-Position" if headers.get("Sync-Last") == "1" else "Sync-Previous"])
        return None

    def running(self, interval=0.02):
        return Ticker(self.look, interval, "position checker")
