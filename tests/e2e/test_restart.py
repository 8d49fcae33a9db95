"""Acceptance 6: servers shut down fast under our programs and come back in any order; the programs come back by themselves."""

import itertools
import json
import time

import pytest

from harness import wait_until
from workload import EDGE_SCHEMA, SCHEMA, SEED_ROWS, TABLES, Load

NOTE = "CREATE TABLE note (id int PRIMARY KEY, v text)"


def stop_fast(db):
    began = time.monotonic()
    db.stop("fast", deadline=30)
    took = time.monotonic() - began
    assert took < 10, f"pg_ctl stop -m fast of {db.name} took {took:.1f} s\n{db.log_tail()}"


def published(fleet):
    """How far the publisher has stored the WAL, as a number."""
    high, low = json.loads(fleet.publisher.http("/status")[1])["published"].split("/")
    return (int(high, 16) << 32) + int(low, 16)


def processes_of(fleet):
    return [program.process.pid for program in fleet.programs()]


@pytest.mark.parametrize("load", ["idle", "under load"])
def test_postgres_shuts_down_fast_on_both_sides(new_pair, load):
    fleet = new_pair(EDGE_SCHEMA, TABLES, centre_schema=SCHEMA)
    fleet.start()
    fleet.edge.db.execute(SEED_ROWS)
    fleet.wait_equal()
    pids = processes_of(fleet)
    with Load(fleet.edge.db, writers=0 if load == "idle" else 3, seed=1, pace=0.001):
        for db in (fleet.edge.db, fleet.centre.db):
            stop_fast(db)
            db.start()
            fleet.wait_caught_up()
    stop_fast(fleet.edge.db)
    stop_fast(fleet.centre.db)
    fleet.centre.db.start()
    fleet.edge.db.start()
    fleet.wait_equal()
    assert processes_of(fleet) == pids and all(program.running() for program in fleet.programs())


def test_shutdown_is_fast_while_the_rest_is_unreachable(new_pair):
    """A publisher that cannot store anything must not hold the server up, nor confirm anything to be let go."""
    fleet = new_pair(NOTE, ["note"])
    fleet.start()
    fleet.wait_caught_up()
    fleet.nats.pause()
    fleet.edge.db.execute("INSERT INTO note SELECT i, 'x' FROM generate_series(1, 5000) i")
    stop_fast(fleet.edge.db)
    fleet.nats.resume()
    fleet.edge.db.start()
    fleet.wait_equal()
    fleet.nats.kill9()
    fleet.edge.db.execute("UPDATE note SET v = 'y'")
    stop_fast(fleet.edge.db)
    stop_fast(fleet.centre.db)
    for server in (fleet.nats, fleet.edge.db, fleet.centre.db):
        server.start()
    fleet.wait_equal()


@pytest.mark.parametrize("order", list(itertools.permutations(["nats", "edge", "centre"]))[::2], ids="-".join)
def test_programs_start_before_any_server_and_wait(new_pair, order):
    fleet = new_pair(NOTE, ["note"])
    fleet.init()
    servers = {"nats": fleet.nats, "edge": fleet.edge.db, "centre": fleet.centre.db}
    fleet.edge.db.execute("INSERT INTO note VALUES (1, 'before')")
    for server in servers.values():
        server.stop()
    for program in fleet.programs():
        program.start()
        wait_until(lambda each=program: each.http("/readyz")[0] == 503 and each.http("/livez")[0] == 200, 20,
                   f"{program.name} lives and says that it is not ready", fleet.diagnose)
    for name in order:
        servers[name].start()
    for program in fleet.programs():
        program.wait_ready()
    fleet.edge.db.execute("INSERT INTO note VALUES (2, 'after')")
    fleet.wait_caught_up()
    assert (2, "after") in fleet.centre.db.query("SELECT id, v FROM note")


def test_nats_stalls_and_comes_back(new_pair):
    fleet = new_pair(NOTE, ["note"])
    fleet.start()
    for round_number in range(3):
        fleet.nats.pause()
        fleet.edge.db.execute("INSERT INTO note SELECT i, 'x' FROM generate_series(%s, %s) i",
                              (round_number * 1000 + 1, round_number * 1000 + 1000))
        wait_until(lambda: fleet.publisher.http("/readyz")[0] == 503, 60, "the publisher notices", fleet.diagnose)
        fleet.nats.resume()
        fleet.wait_equal()


def test_backend_of_the_programs_is_terminated(new_pair):
    fleet = new_pair(NOTE, ["note"])
    fleet.start()
    for number in range(5):
        for db in (fleet.edge.db, fleet.centre.db):
            db.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pmoves%'")
        fleet.edge.db.execute("INSERT INTO note VALUES (%s, 'x')", (number,))
    fleet.wait_equal()


def test_publisher_restarts_while_nothing_is_confirmed(new_pair):
    """The centre is away, so the slot still holds what the stream has: a restart must go on behind the tail, not take itself for a clone."""
    fleet = new_pair("CREATE TABLE t (id int PRIMARY KEY)", ["t"])
    fleet.start()
    fleet.subscriber.kill9()
    for start in (0, 100, 200):
        fleet.edge.db.execute(f"INSERT INTO t SELECT {start} + g FROM generate_series(1, 50) g")
        fleet.publisher.kill9()
        fleet.publisher.start()
        fleet.edge.db.execute(f"INSERT INTO t SELECT {start} + 50 + g FROM generate_series(1, 50) g")
        written = fleet.edge.db.value("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
        wait_until(lambda want=written: published(fleet) >= want - 8192, 15, "the restarted publisher stores what came since",
                   fleet.diagnose)
    fleet.subscriber.start()
    fleet.wait_equal()
