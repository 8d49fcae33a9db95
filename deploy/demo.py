"""The demo itself; deploy/demo installs, builds and calls it.

What happens: edge and central PostgreSQL and a nats-server start in a scratch directory; both programs are initialised and run; a workload writes to the
edge while an observer watches the centre; the publisher is killed with SIGKILL and comes back; one transaction of thousands of rows goes through; and in the
end every row of every table is compared. Exit code: 0 all equal, 1 not equal or a step failed, 130 after Ctrl-C.
"""

import argparse
import collections
import json
import os
import signal
import sys
import time

import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
TESTS = os.path.join(ROOT, "tests")
sys.path[:0] = [HERE, TESTS]

# pylint: disable=wrong-import-position
import demo_workload  # noqa: E402
from demo_screen import Frame, Screen  # noqa: E402
from harness import (NatsServer, Postgres, Publisher, Scratch, Subscriber, Ticker, difference,  # noqa: E402
                     wait_until)
from harness.scratch import remove_scratch  # noqa: E402

SOURCE = "jetson-01"
STREAM = f"SYNC_{SOURCE}"
TAIL_SHOWN = 4
DRAW_SECONDS = 0.25
CATCH_UP_SECONDS = 60


class LogEvents:
    """New lines of a program's JSON log, as short sentences."""

    _SHOWN = ("table", "sqlstate", "reason", "previous", "expected_sequence", "from_sequence", "worker", "retry_in")

    def __init__(self, program):
        self._program = program
        self._offset = 0

    def take(self):
        try:
            with open(self._program.log, "rb") as log:
                log.seek(self._offset)
                data = log.read()
        except OSError:
            return
        whole = data.rfind(b"\n") + 1
        self._offset += whole
        for line in data[:whole].decode(errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            kind = {"warn": "warn", "error": "bad"}.get(entry.get("level"), "info")
            details = ", ".join(f"{name} {entry[name]}" for name in self._SHOWN if entry.get(name) not in (None, ""))
            yield kind, f"{self._program.name}: {entry.get('msg')}" + (f" ({details})" if details else "")


class Observer:
    """Watches the centre: the newest visible transaction, how long each took, how old the oldest missing one is."""

    def __init__(self, centre, workload):
        self._workload = workload
        self._connection = centre.connect(name="demo-observer")
        self._latencies = collections.deque(maxlen=500)
        self.beat = 0
        self.oldest_missing = None

    def look(self):
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(max(beat), 0) FROM workers")
            self.beat = cursor.fetchone()[0]
        now = time.monotonic()
        seen, self.oldest_missing = self._workload.take_seen(self.beat)
        self._latencies.extend(now - committed for committed in seen)

    def lag_seconds(self):
        oldest = self.oldest_missing
        return 0.0 if oldest is None else max(0.0, time.monotonic() - oldest)

    def p50_ms(self):
        values = sorted(self._latencies)
        return values[len(values) // 2] * 1000.0 if values else None


class Demo:
    def __init__(self, arguments, screen):
        self.arguments = arguments
        self.screen = screen
        self.phase = "starting"
        self.started = time.monotonic()
        # keep: without a janitor, and without the name of an owner whose end would make the next test run sweep it away.
        self.scratch = Scratch(keep=arguments.keep)
        if arguments.keep:
            os.remove(os.path.join(self.scratch.path, "owner"))
        self.workload = None
        self.observer = None

    # ---- the steps

    def run(self):
        self._start_servers()
        self._start_programs()
        self.workload = demo_workload.Workload(self.edge.dsn(), self.arguments.rate)
        self.observer = Observer(self.centre, self.workload)
        with Ticker(self.observer.look, 0.002, "observer"):
            self._traffic()
            self._drain()
        equal = self._compare()
        if self.arguments.keep:
            self._tell_how_to_look()
        return equal

    def _start_servers(self):
        say = self.screen.event
        self.edge = Postgres(self.scratch, "edge").start()
        say(f"edge PostgreSQL on port {self.edge.port}")
        self.centre = Postgres(self.scratch, "centre").start()
        say(f"central PostgreSQL on port {self.centre.port}")
        self.nats = NatsServer(self.scratch).start()
        say(f"nats-server on port {self.nats.port}")
        for side in (self.edge, self.centre):
            side.execute(demo_workload.SCHEMA)
        say(f"tables {', '.join(demo_workload.TABLES)} on both sides")

    def _start_programs(self):
        say = self.screen.event
        tables = [f"public.{table}" for table in demo_workload.TABLES]
        logs = {"log": {"format": "json"}}
        self.publisher = Publisher(self.scratch, SOURCE, self.edge, self.nats, tables, logs, name="publisher")
        self.subscriber = Subscriber(self.scratch, self.centre, self.nats, tables, logs)
        self.logs = [LogEvents(self.publisher), LogEvents(self.subscriber)]
        for program in (self.subscriber, self.publisher):
            program.must("init")
            say(f"{program.name} init: done")
        for program in (self.subscriber, self.publisher):
            done = program.run_verb("check")
            lines = (done.stdout + done.stderr).splitlines()
            count = collections.Counter(word for line in lines for word in ("PASS", "WARN", "FAIL") if word in line)
            say(f"{program.name} check: {count['PASS']} pass, {count['WARN']} warn, {count['FAIL']} fail", "bad" if count["FAIL"] else "info")
            program.start()
        for program in (self.subscriber, self.publisher):
            program.wait_ready()
        say("both programs run", "good")

    def _traffic(self):
        seconds = self.arguments.seconds
        self.workload.start()
        begin = time.monotonic()
        pause = min(4.0, max(1.0, seconds * 0.15))
        plan = [(0.35 * seconds, self._kill_publisher), (0.35 * seconds + pause, self._restart_publisher),
                (0.70 * seconds, self._bulk)]
        self.phase = "traffic"
        while (elapsed := time.monotonic() - begin) < seconds:
            while plan and elapsed >= plan[0][0]:
                plan.pop(0)[1]()
            self._show()
            if self.workload.error:
                raise RuntimeError(f"the workload cannot write: {self.workload.error}")
        for _, action in plan:
            action()
        self.workload.stop()

    def _kill_publisher(self):
        pid = self.publisher.process.pid
        self.publisher.kill9()
        self.screen.event(f"FAULT: publisher (pid {pid}) killed with SIGKILL; writing goes on", "bad")
        self.phase = "publisher is dead"

    def _restart_publisher(self):
        self.publisher.start()
        self.screen.event(f"publisher started again (pid {self.publisher.process.pid}), {self.workload.beat - self.observer.beat:,} transactions behind", "good")
        self.phase = "traffic"

    def _bulk(self):
        self.workload.ask_for_bulk()
        self.screen.event(f"one transaction of {demo_workload.BULK_JOBS:,} rows")

    def _drain(self):
        self.phase = "draining"
        self.screen.event(f"writing stopped after {self.workload.transactions:,} transactions; waiting until the centre has all of them")
        end = time.monotonic() + CATCH_UP_SECONDS
        while self.observer.beat < self.workload.beat and time.monotonic() < end:
            self._show()
        self.phase = "comparing"
        self._show(force=True)
        if self.observer.beat < self.workload.beat:
            self.screen.event(f"the centre did not catch up within {CATCH_UP_SECONDS} s", "bad")

    def _compare(self):
        paint, say = self.screen.paint, self.screen.say
        say()
        say(paint.bold(f"{'table':<12}{'edge rows':>12}{'centre rows':>14}   every row, every column"))
        equal = True
        for table in demo_workload.TABLES:
            edge, centre = self._count(self.edge, table), self._count(self.centre, table)
            text = difference(self.edge, self.centre, table)
            equal = equal and not text
            say(f"{table:<12}{edge:>12,}{centre:>14,}   {paint.bad('DIFFERENT') if text else paint.good('equal')}")
            if text:
                say(text)
        letters = self.centre.value("SELECT count(*) FROM pmoves_sync.dead_letter")
        rows = self.workload.rows
        say(f"\nwritten on the edge: {self.workload.transactions:,} transactions, {rows['insert']:,} inserts, {rows['update']:,} updates, "
            f"{rows['delete']:,} deletes of jobs; dead letters: {letters}")
        verdict = equal and letters == 0
        say(paint.good("EQUAL: the centre holds exactly what the edge holds.") if verdict
            else paint.bad("NOT EQUAL: see above" if not equal else "Equal, but there are dead letters."))
        return verdict

    # ---- what is shown

    def _count(self, side, table):
        return side.value(f"SELECT count(*) FROM {table}")

    def _state(self, program):
        if not program.running():
            return "DEAD"
        try:
            status, text = program.http("/readyz")
        except OSError:
            return "starting"
        return "ready" if status == 200 else f"not ready ({(text.splitlines() or ['?'])[0]:.60})"

    def _tail(self):
        """Newest messages of the stream as lines, and the stream's state."""
        with self.nats.client() as client:
            state = client.stream_state(STREAM)
            last = state["last_seq"]
            lines = []
            for sequence in range(max(state["first_seq"], last - TAIL_SHOWN + 1), last + 1):
                subject, headers, body = client.stream_message(STREAM, sequence)
                lines.append(f"#{sequence:<6} {subject:<44} {headers.get('Sync-Position', ''):<12} {len(body):>8,} B {self._contents(body)}")
        return state, lines

    @staticmethod
    def _contents(body):
        try:
            message = json.loads(body)
        except ValueError:
            return ""
        rows = max(len(message.get("data", [])), len(message.get("keys", [])))
        transactions = len(message.get("transactions", [])) or 1
        return f"{rows} rows" + (f" of {transactions} transactions" if transactions > 1 else "")

    def _show(self, force=False):
        pause = getattr(self, "_next_draw", 0) - time.monotonic()
        if pause > 0 and not force:
            time.sleep(min(pause, 0.05))
            return
        self._next_draw = time.monotonic() + DRAW_SECONDS
        for log in self.logs:
            for kind, text in log.take():
                self.screen.event(text, kind)
        try:
            state, tail = self._tail()
        except OSError:
            state, tail = {}, []
        # The centre is counted first, so that it never seems to be ahead.
        centre_rows = {table: self._count(self.centre, table) for table in demo_workload.TABLES}
        edge_rows = {table: self._count(self.edge, table) for table in demo_workload.TABLES}
        self.screen.draw(Frame(
            phase=self.phase, elapsed_seconds=time.monotonic() - self.started, edge_rows=edge_rows, centre_rows=centre_rows,
            transactions=self.workload.transactions, behind=max(0, self.workload.transactions - self.observer.beat),
            lag_seconds=self.observer.lag_seconds(), p50_ms=self.observer.p50_ms(),
            stream_messages=state.get("messages"), stream_last=state.get("last_seq"), stream_bytes=state.get("bytes"),
            slot_behind_bytes=self.edge.value("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint"
                                              " FROM pg_replication_slots WHERE slot_name = 'pmoves_sync'"),
            publisher=self._state(self.publisher), subscriber=self._state(self.subscriber), tail=tail))

    def _tell_how_to_look(self):
        stop = os.path.join(self.scratch.path, "stop")
        with open(stop, "w", encoding="utf-8") as script:
            script.write(f"#!/bin/sh\n# Ends everything that the demo left running and removes its directory.\ncd '{TESTS}' &&\n"
                         f"exec /usr/bin/python3 -m harness.janitor '{self.scratch.path}' </dev/null\n")
        os.chmod(stop, 0o755)
        publisher, subscriber, say = self.publisher, self.subscriber, self.screen.say
        say(f"""
Everything is still running. Look around:

  edge database      psql '{self.edge.dsn()}'
  central database   psql '{self.centre.dsn()}' -c 'SELECT * FROM pmoves_sync.sync_health'
  write something    psql '{self.edge.dsn()}' -c "INSERT INTO jobs (worker_id, status) VALUES (gen_random_uuid(), 'queued')"
  see it arrive      psql '{self.centre.dsn()}' -c 'SELECT * FROM jobs ORDER BY created_at DESC LIMIT 3'

  publisher          {publisher.path()} status --config {publisher.config_path}
                     curl http://127.0.0.1:{publisher.http_port}/metrics      (also /status /readyz /livez)
                     log {publisher.log}
  subscriber         {subscriber.path()} status --config {subscriber.config_path}
                     curl http://127.0.0.1:{subscriber.http_port}/metrics
                     log {subscriber.log}

  nats-server        {self.nats.url}     nats --server {self.nats.url} sub 'supabase.sync.>'
                     curl 'http://127.0.0.1:{self.nats.monitor_port}/jsz?streams=true'

  stop and remove    {stop}
""")

    def clean(self):
        """Ends every process and removes the directory. Nothing that it waits for can be interrupted."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if self.workload:
            self.workload.stop()
        path, keep = self.scratch.path, self.arguments.keep
        self.scratch.close()
        if keep and path:
            remove_scratch(path)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="deploy/demo", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="how long traffic is written (default 30)")
    parser.add_argument("--rate", type=float, default=60.0, help="transactions per second (default 60)")
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    parser.add_argument("--build-dir", default=os.path.join(ROOT, "build", "release"), help="where the programs were built")
    parsed = parser.parse_args(arguments)
    if not 3 <= parsed.seconds <= 3600:
        parser.error("--seconds: 3 to 3600")
    if not 1 <= parsed.rate <= 2000:
        parser.error("--rate: 1 to 2000")
    return parsed


def main():
    arguments = parse(sys.argv[1:])
    os.environ["PMOVES_BUILD_DIR"] = os.path.abspath(arguments.build_dir)
    screen = Screen()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    demo, kept = None, False
    try:
        demo = Demo(arguments, screen)
        equal = demo.run()
        kept = arguments.keep
        return 0 if equal else 1
    except KeyboardInterrupt:
        screen.say("\nstopping: removing every process and the directory")
        return 130
    except (AssertionError, RuntimeError, TimeoutError, OSError, psycopg2.Error) as error:
        screen.say(f"\n{screen.paint.bad('the demo failed')}: {error}")
        return 1
    finally:
        if demo and not kept:
            demo.clean()


if __name__ == "__main__":
    sys.exit(main())
