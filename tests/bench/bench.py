"""The benchmark; tests/bench/run builds and calls it. See `tests/bench/run --help`.

How a drain is measured: both slots exist and both systems are stopped while the data is written. Then one system is started and timed until its database
holds the last row of the last transaction (both apply in commit order), then the other, on the same WAL. The order alternates from round to round. The time
includes the start of the system. CPU is read from /proc at the end, before the system stops.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests")]

# pylint: disable=wrong-import-position
import apply  # noqa: E402
import report  # noqa: E402
import workloads  # noqa: E402
from harness import NatsServer, Postgres, Scratch  # noqa: E402
from measure import commit_to_visible, percentile, refuse_huge_pages, wait_until  # noqa: E402
from systems import EDGE_DATABASE, Native, Ours  # noqa: E402

ROWS_EACH = 1000
TICK_RATE = 500
TICK_SECONDS = 30
OBSERVE_SECONDS = 0.01   # between two looks whether a drain is complete: each look takes processor time from those who are measured

# The same on both clusters.
SETTINGS = {
    "fsync": "off", "shared_buffers": "512MB", "max_wal_size": "16GB", "checkpoint_timeout": "1h", "max_slot_wal_keep_size": "20GB",
    "autovacuum": "off", "wal_retrieve_retry_interval": "100ms", "logical_decoding_work_mem": "64MB",
}


class Bench:
    """Native and ours between the same two clusters."""

    def __init__(self, scratch, say):
        self.say = say
        self.edge = Postgres(scratch, "edge", settings=SETTINGS).start()
        self.centre = Postgres(scratch, "centre", settings=SETTINGS).start()
        self.nats = NatsServer(scratch, max_file="16GB").start()
        self.native = Native(self.edge, self.centre)
        self.ours = Ours(scratch, self.edge, self.centre, self.nats)
        self.systems = [self.native, self.ours]
        self.results = {}
        self._round = 0
        self._ticks = 1

    def close(self):
        """The servers of one set of scenarios must not work beside the next."""
        self.nats.kill9()
        for db in (self.edge, self.centre):
            db.kill9()

    def prepare(self):
        self.edge.execute(f"CREATE DATABASE {EDGE_DATABASE}")
        self.edge.execute(workloads.SCHEMA, dbname=EDGE_DATABASE)
        for system in self.systems:
            self.centre.execute(f"CREATE DATABASE {system.database}")
            self.centre.execute(workloads.SCHEMA, dbname=system.database)
        for system in self.systems:
            system.prepare()
        self._write(lambda cursor: workloads.insert_in_transactions(cursor, "warm", ROWS_EACH, 100))
        for system in self.systems:   # once from start to end, so that first-time costs are in no figure
            self._drain(system, lambda cursor: workloads.has_row(cursor, "warm", ROWS_EACH), timed=False)

    def _write(self, action):
        with self.edge.cursor(dbname=EDGE_DATABASE) as cursor:
            action(cursor)

    def _order(self):
        """Both systems; who is first alternates."""
        self._round += 1
        return self.systems if self._round % 2 else self.systems[::-1]

    def _drain(self, system, complete, timed=True):
        """Runs one system until complete(cursor on its database). Returns {seconds, cpu, memory, stream}."""
        if timed:
            self.edge.execute("CHECKPOINT")
            self.centre.execute("CHECKPOINT")
        before = system.before()
        with self.centre.cursor(dbname=system.database, name="bench-observer") as cursor:
            begin = time.monotonic()
            system.start()
            end = wait_until(lambda: complete(cursor), f"{system.name} is complete", 600, OBSERVE_SECONDS)
            found = {"seconds": end - begin, "cpu": system.costs(before), "memory": system.memory()}
        if system is self.ours:
            found["stream"] = system.stream_growth(before)
        system.stop()
        return found

    def drain(self, key, title, rows, write, complete, rounds):
        """A scenario of drains: writes once per round, both systems drain it. write and complete get (cursor, round)."""
        runs = {system.name: [] for system in self.systems}
        for number in range(1, rounds + 1):
            self._write(lambda cursor, n=number: write(cursor, n))
            for system in self._order():
                found = self._drain(system, lambda cursor, n=number: complete(cursor, n))
                runs[system.name].append(found)
                self.say(f"{key}: round {number}, {system.name}: {found['seconds']:.2f} s, {rows / found['seconds']:,.0f} rows/s")
            self._check_equal()
        self.results[key] = {"title": title, "rows": rows, "runs": runs}

    def _check_equal(self):
        """A fast system that loses rows is not fast."""
        prints = {}
        for database, side in ((EDGE_DATABASE, self.edge), *((system.database, self.centre) for system in self.systems)):
            with side.cursor(dbname=database) as cursor:
                prints[database] = workloads.fingerprint(cursor)
        if len(set(prints.values())) != 1:
            raise RuntimeError(f"the databases differ (rows, hash): {prints}")

    def scenario_a(self, rows, rounds):
        self.drain("a", f"drain of {rows:,} inserts in {ROWS_EACH:,}-row transactions", rows,
                   lambda cursor, n: workloads.insert_in_transactions(cursor, f"a{n}", rows, ROWS_EACH),
                   lambda cursor, n: workloads.has_row(cursor, f"a{n}", rows), rounds)

    def scenario_b(self, transactions, rounds):
        rows = max(transactions, 1000)
        self._write(lambda cursor: workloads.insert_at_once(cursor, "b", rows))
        for system in self.systems:
            self._drain(system, lambda cursor: workloads.has_row(cursor, "b", rows), timed=False)
        self.drain("b", f"drain of {transactions:,} single-row update transactions", transactions,
                   lambda cursor, n: workloads.update_one_by_one(cursor, "b", transactions, rows, f"mark {n}"),
                   lambda cursor, n: workloads.has_mark(cursor, "b", (transactions - 1) % rows + 1, f"mark {n}"), rounds)

    def scenario_d(self, rows, rounds):
        self.drain("d", f"one transaction of {rows:,} rows", rows,
                   lambda cursor, n: workloads.insert_at_once(cursor, f"d{n}", rows),
                   lambda cursor, n: workloads.has_row(cursor, f"d{n}", rows), rounds)

    def scenario_c(self, seconds, rounds):
        """Both in turns, `seconds` in all for each. A turn has percentiles of its own: a machine that stood still for 0.1 s spoils one turn."""
        latencies = {system.name: [] for system in self.systems}
        part = seconds / rounds
        for number in range(1, rounds + 1):
            for system in self._order():
                first = self._ticks
                self._write(lambda cursor, seq=first: cursor.execute("INSERT INTO ticks (seq, payload) VALUES (%s, 'begin')", (seq,)))
                system.start()
                with self.centre.cursor(dbname=system.database) as cursor:
                    def begun(cursor=cursor, seq=first):
                        cursor.execute("SELECT 1 FROM ticks WHERE seq = %s", (seq,))
                        return cursor.fetchone()
                    wait_until(begun, f"{system.name} has caught up", 120)
                found = commit_to_visible(self.edge.dsn(EDGE_DATABASE), self.centre.dsn(system.database), first + 1, TICK_RATE, part)
                self._ticks = first + 1 + len(found)
                system.stop()
                latencies[system.name].append(found)
                ordered = sorted(found)
                self.say(f"c: round {number}, {system.name}: p50 {percentile(ordered, 0.5):.2f} ms, p99 {percentile(ordered, 0.99):.2f} ms")
        self.results["c"] = {"title": f"{TICK_RATE} transactions/s for {seconds:.0f} s, commit to visible", "latencies": latencies}

    def native_wire_bytes(self, sample_rows=2000):
        """Bytes of pgoutput per row for 1,000-row and for single-row transactions, peeked from the native slot; the slot stays where it is."""
        self._write(lambda cursor: workloads.insert_in_transactions(cursor, "wire", sample_rows, ROWS_EACH))
        query = ("SELECT sum(length(data)) FROM pg_logical_slot_peek_binary_changes('native', NULL, NULL,"
                 " 'proto_version', '2', 'publication_names', 'bench')")
        bulk = self.edge.value(query, dbname=EDGE_DATABASE)
        self._write(lambda cursor: workloads.update_one_by_one(cursor, "wire", sample_rows, sample_rows, "wire"))
        both = self.edge.value(query, dbname=EDGE_DATABASE)
        for system in self.systems:
            self._drain(system, lambda cursor: workloads.has_mark(cursor, "wire", sample_rows, "wire"), timed=False)
        return {"bulk": float(bulk) / sample_rows, "single": float(both - bulk) / sample_rows}


def machine(postgres, nats):
    revision = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), platform.machine())
    with nats.client() as client:
        version = client.info["version"]
    return {"cpu": model, "cores": os.cpu_count(), "postgres": postgres.value("SHOW server_version"), "nats_server": version,
            "revision": revision or "not committed", "settings": SETTINGS, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def parse(arguments):
    parser = argparse.ArgumentParser(prog="tests/bench/run")
    parser.add_argument("--scenario", default="a,b,c,d")
    parser.add_argument("--rows", type=int, default=300_000, help="rows of a and f; b has rows/7.5 transactions, d has rows/0.3, e has rows/5 changes")
    parser.add_argument("--rounds", type=int, default=3, help="how often a, b, e and f are repeated; c is split into as many turns; d runs once")
    parser.add_argument("--seconds", type=float, default=TICK_SECONDS, help="of c, for each system")
    parser.add_argument("--against", metavar="DIR", help="another build directory, measured beside this one in f")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--build-dir", default=os.path.join(ROOT, "build", "release"))
    parsed = parser.parse_args(arguments)
    parsed.scenario = [name.strip() for name in parsed.scenario.split(",") if name.strip()]
    if not parsed.scenario or set(parsed.scenario) - set("abcdef"):
        parser.error("--scenario: some of a,b,c,d,e,f, separated by commas")
    if parsed.rows < ROWS_EACH or parsed.rows % ROWS_EACH:
        parser.error(f"--rows: a multiple of {ROWS_EACH}")
    if not 1 <= parsed.rounds <= 20:
        parser.error("--rounds: 1 to 20")
    if parsed.against:
        parsed.against = os.path.abspath(parsed.against)
    return parsed


def run_pairs(scratch, arguments, say):
    """Scenarios a to d. Returns (their summary, machine)."""
    bench = Bench(scratch, say)
    bench.prepare()
    for name in arguments.scenario:
        if name == "a":
            bench.scenario_a(arguments.rows, arguments.rounds)
        elif name == "b":
            bench.scenario_b(int(arguments.rows / 7.5), arguments.rounds)
        elif name == "c":
            bench.scenario_c(arguments.seconds, arguments.rounds)
        elif name == "d":
            bench.scenario_d(int(arguments.rows / 0.3), 1)
    wire = bench.native_wire_bytes()
    found = report.summarise(bench.results, wire), machine(bench.centre, bench.nats)
    bench.close()
    return found


def run_alone(scratch, arguments, say):
    """Scenarios e and f. Returns (their summary, machine)."""
    area = scratch.area()
    postgres = Postgres(area, "centre", settings=SETTINGS).start()
    nats = NatsServer(area, max_file="16GB").start()
    found = {}
    if "e" in arguments.scenario:
        found["e"] = apply.scenario_e(area, postgres, nats, arguments.rows // 5, arguments.rounds, say)
    if "f" in arguments.scenario:
        found["f"] = apply.scenario_f(area, postgres, nats, arguments.rows, arguments.rounds, arguments.against, say)
    return report.summarise_alone(found), machine(postgres, nats)


def main():
    arguments = parse(sys.argv[1:])
    os.environ["PMOVES_BUILD_DIR"] = os.path.abspath(arguments.build_dir)

    def say(text):
        print(text, file=sys.stderr, flush=True)

    refuse_huge_pages()
    scratch = Scratch()
    try:
        summary = {"scenarios": {}}
        for scenarios, run in (("abcd", run_pairs), ("ef", run_alone)):
            if set(arguments.scenario) & set(scenarios):
                found, summary["machine"] = run(scratch, arguments, say)
                summary["scenarios"].update(found)
        print(report.text(summary))
        if arguments.json:
            with open(arguments.json, "w", encoding="utf-8") as out:
                json.dump(summary, out, indent=2)
    except KeyboardInterrupt:
        return 130
    finally:
        scratch.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
