"""Scenarios e and f: the subscriber alone, on streams that are full before it starts, from the same state of the centre each time.

e  what each conflict rule costs: the same changes under every rule, of one source and of three that write the same rows
f  the subscriber of this build against that of another (--against), under last-write-wins

The time runs from when the subscriber owns the streams until the centre has the position of the last transaction of each.
"""

from harness import Subscriber
from measure import cpu_seconds, wait_until
from streams import COLUMNS, SCHEMA, Fill

PLAIN = "last-write-wins"
THIS, OTHER = "this build", "other build"
BASE = ("one source", PLAIN)
_OWNED = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = x'706d5301'::int::oid"


def rules(sources):
    """{name: the table's options}, in the order of the report. `sources`: the writers."""
    def column(name, conflict, **options):
        return {"columns": {name: {"conflict": conflict, **options}}}
    return {
        PLAIN: {},
        "append-only": {"conflict": "append-only"},
        "granularity: column": {"granularity": "column"},
        "first-write-wins": {"conflict": "first-write-wins"},
        "source-priority": {"conflict": "source-priority", "priority": sources[::-1]},
        "manual": {"conflict": "manual"},
        "value-priority": column("status", "value-priority", values=["running"], group=["worker_id"]),
        "greatest": column("parts_done", "greatest"),
        "least": column("parts_done", "least"),
        "sum-of-sources": column("parts_done", "sum-of-sources"),
        "set-union": column("tags", "set-union"),
        "json-merge": column("labels", "json-merge"),
        "keep-central": column("status", "keep-central"),
        "expression": column("parts_done", "expression", expression="GREATEST(a, b)"),
        "delete-wins": {"delete": "delete-wins"},
    }


# (workload, passes, writers, rules or None for all of them, log). Six passes each.
WORKLOADS = (
    ("one source", "IUUUUU", 1, None, "lossy"),
    ("three sources", "IU", 3, None, "lossy"),
    ("three sources, log: off", "IU", 3, None, "off"),
    ("three sources, log: all", "IU", 3, (PLAIN,), "all"),
    ("one source, deletes", "IUDIUD", 1, (PLAIN, "delete-wins"), "lossy"),
    ("three sources, deletes", "ID", 3, (PLAIN, "delete-wins"), "lossy"),
)


class Centre:
    """One subscriber and its database, which is made anew for each drain."""

    def __init__(self, scratch, postgres, nats, name="apply", build=None):
        self.name = name
        self._postgres = postgres
        # As in systems.py: the programs' own defaults, and no purge.
        self._subscriber = Subscriber(scratch, postgres, nats, ["public.jobs"], name=name, config={
            "postgres": {"dsn": postgres.dsn(name)}, "log": {"level": "warn"},
            "report_interval": None, "purge_interval": "1h", "retain_applied": None, "discover_interval": None})
        self._subscriber.build = build
        self._templates = {}

    def prepare(self, fill):
        """Applies what `fill` has now, untimed: each drain of it begins with that."""
        self.drain(fill, {}, 0)
        template = f"{self.name}-{fill.name}"
        self._postgres.execute(f'ALTER DATABASE "{self.name}" RENAME TO "{template}"')
        self._templates[fill.name] = template

    def drain(self, fill, options, rows):
        """{seconds, rows, cpu, print} of applying `rows` changes, to the end of `fill`."""
        self._make(fill, options)
        with self._postgres.cursor(dbname=self.name, name="bench-observer") as cursor:
            def owned():
                cursor.execute(_OWNED)
                return cursor.fetchone()[0] == len(fill.sources)

            def complete():
                cursor.execute("SELECT source, position::text FROM pmoves_sync.source_position")
                return dict(cursor.fetchall()) == fill.ends()

            self._subscriber.start()
            try:
                begin = wait_until(owned, f"{self.name} owns its streams", 60)
                before = self._costs()
                end = wait_until(complete, f"{self.name} has applied everything", 600)
            except TimeoutError as error:
                raise TimeoutError(f"{error}\n{self._subscriber.log_tail()}") from None
            after = self._costs()
            found = self._check(cursor, fill)
        self._subscriber.terminate()
        return {"seconds": end - begin, "rows": rows, "cpu": {what: after[what] - before[what] for what in after}, "print": found}

    def _make(self, fill, options):
        template = self._templates.get(fill.name)
        self._postgres.execute(f'DROP DATABASE IF EXISTS "{self.name}"')
        self._postgres.execute(f'CREATE DATABASE "{self.name}"' + (f' TEMPLATE "{template}" STRATEGY file_copy' if template else ""))
        self._subscriber.configure({"sources": fill.sources, "tables": [{"table": "public.jobs", **options}]})
        if not template:
            self._postgres.execute(SCHEMA, dbname=self.name)
            self._subscriber.must("init")
            if any(column.get("conflict") == "expression" for column in options.get("columns", {}).values()):
                self._subscriber.must("config", "check-rules")
        self._postgres.execute("CHECKPOINT")

    def _costs(self):
        backends = self._postgres.query("SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'pmoves%%'", (self.name,))
        return {"subscriber": cpu_seconds(self._subscriber.process.pid) or 0.0, "apply": sum(cpu_seconds(pid) or 0.0 for (pid,) in backends)}

    @staticmethod
    def _check(cursor, fill):
        """Nothing was left out; returns a hash of the table, which the same changes under the same rule must always give (promise C1)."""
        cursor.execute("SELECT (SELECT sum(changes) FROM pmoves_sync.source_position), (SELECT count(*) FROM pmoves_sync.dead_letter)")
        changes, letters = cursor.fetchone()
        if (changes, letters) != (fill.changes(), 0):
            raise RuntimeError(f"{fill.name}: {changes} of {fill.changes()} changes applied, {letters} set aside")
        cursor.execute(f"SELECT count(*), md5(string_agg(j::text, '' ORDER BY id)) FROM (SELECT {COLUMNS} FROM jobs) j")
        return cursor.fetchone()


def _run(cases, rounds, say):
    """cases: [((workload, what), same, centre, fill, options, rows)]; `same`: what must give the same table. Returns {(workload, what): runs}.

    Every other round goes backwards, so that a slow change of the machine hits all alike.
    """
    runs, prints = {}, {}
    for number in range(1, rounds + 1):
        for key, same, centre, fill, options, rows in cases if number % 2 else cases[::-1]:
            found = centre.drain(fill, options, rows)
            if prints.setdefault(same, found["print"]) != found["print"]:
                raise RuntimeError(f"{key}: the same changes gave another table in round {number}")
            runs.setdefault(key, []).append(found)
            say(f"{', '.join(key)}: round {number}, {found['seconds']:.2f} s, {rows / found['seconds']:,.0f} rows/s")
    return runs


def scenario_e(scratch, postgres, nats, rows, rounds, say):
    """`rows` changes in each drain."""
    centre = Centre(scratch, postgres, nats)
    fills = {}
    cases = []
    for workload, passes, writers, chosen, log in WORKLOADS:
        name = f"{passes.lower()}-{writers}"
        if name not in fills:
            fills[name] = Fill(nats, name, rows // 6, writers)
            fills[name].add(passes)
        fill = fills[name]
        for rule, options in rules(fill.sources).items():
            if rule == "manual" and log == "off":
                continue   # a person picks by the log
            if rule in chosen if chosen else rule != "delete-wins":
                cases.append(((workload, rule), (name, rule), centre, fill, {**options, "log": log}, fill.changes()))
    return _run(cases, rounds, say)


def scenario_f(scratch, postgres, nats, rows, rounds, other, say):
    """`rows` inserts; fewer of the others. `other`: build directory, or None."""
    centres = {THIS: Centre(scratch, postgres, nats, "apply-this")}
    if other:
        centres[OTHER] = Centre(scratch, postgres, nats, "apply-other", build=other)
    cases = []
    for number, (workload, keys, before, passes, writers, own_rows) in enumerate((
            ("inserts", rows, "", "I", 1, True),
            ("single-row updates", rows * 2 // 15, "I", "u", 1, True),
            ("updates", rows * 2 // 3, "I", "U", 1, True),
            ("deletes, then inserts", rows // 3, "I", "DI", 1, True),
            ("updates by three sources of their own rows", rows // 5, "I", "U", 3, True),
            ("updates by three sources of the same rows", rows // 10, "I", "UU", 3, False))):
        fill = Fill(nats, f"f{number}", keys, writers, own_rows)
        fill.add(before)
        for centre in centres.values() if before else ():
            centre.prepare(fill)
        changes = fill.add(passes)
        cases.extend(((workload, name), workload, centre, fill, {}, changes) for name, centre in centres.items())
    return _run(cases, rounds, say)
