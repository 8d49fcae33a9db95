"""Acceptance 4 and 10: JetStream loses acknowledged messages, as a power cut makes it; the WAL heals that without an operator."""

import pytest

from harness import wait_until
from workload import (AUDIT, EDGE_SCHEMA, SCHEMA, SEED_ROWS, TABLES, LawReader, Load, PositionChecker, duplicates_in_audit)


def pair_under_law(new_pair):
    fleet = new_pair(EDGE_SCHEMA, TABLES, centre_schema=SCHEMA + AUDIT, publisher={"confirm": {"stored_hold": "90s"}})
    fleet.start()
    fleet.edge.db.execute(SEED_ROWS)
    fleet.wait_caught_up()
    return fleet


def wait_committed(fleet, load, more):
    goal = load.committed + more
    wait_until(lambda: load.committed >= goal, 60, f"{more} more transactions", fleet.diagnose)


def lose_the_tail(fleet, copy):
    fleet.nats.stop()
    fleet.nats.restore(copy)
    fleet.nats.start()


def check_end(fleet):
    fleet.wait_equal(deadline=120)
    assert fleet.centre.dead_letters() == []
    assert duplicates_in_audit(fleet.centre.db) == []


def test_tail_that_the_centre_had_already_applied(new_pair):
    fleet = pair_under_law(new_pair)
    with LawReader(fleet.centre.db).running():
        with Load(fleet.edge.db, writers=3, seed=4, pace=0.002) as load:
            with PositionChecker(fleet.edge).running():
                wait_committed(fleet, load, 300)
                copy = fleet.nats.snapshot()
                wait_committed(fleet, load, 600)
                fleet.wait_caught_up()   # what is lost now was applied and, most of it, confirmed
            lose_the_tail(fleet, copy)
            wait_committed(fleet, load, 300)
        fleet.wait_caught_up(120)
        with PositionChecker(fleet.edge).running() as checker:
            fleet.edge.db.execute("UPDATE account SET rev = nextval('change_rev')")
            fleet.wait_caught_up()
            wait_until(lambda: checker.rounds > 20, 30, "positions were compared again")
    check_end(fleet)


def test_tail_that_the_centre_had_not_seen(new_pair):
    fleet = pair_under_law(new_pair)
    with LawReader(fleet.centre.db).running(), PositionChecker(fleet.edge).running() as checker:
        with Load(fleet.edge.db, writers=3, seed=5, pace=0.002) as load:
            wait_committed(fleet, load, 300)
            fleet.subscriber.kill9()
            copy = fleet.nats.snapshot()
            wait_committed(fleet, load, 600)
            lose_the_tail(fleet, copy)
            fleet.subscriber.start()
            wait_committed(fleet, load, 300)
        fleet.wait_caught_up(120)
        assert checker.rounds > 50
    check_end(fleet)


@pytest.mark.parametrize("down", ["publisher", "subscriber", "both"])
def test_tail_lost_while_programs_were_down(new_pair, down):
    fleet = pair_under_law(new_pair)
    with Load(fleet.edge.db, writers=2, seed=6, pace=0.005) as load:
        wait_committed(fleet, load, 100)
        copy = fleet.nats.snapshot()
        wait_committed(fleet, load, 300)
        fleet.wait_caught_up()
        for name in ("publisher", "subscriber"):
            if down in (name, "both"):
                getattr(fleet, name).kill9()
        lose_the_tail(fleet, copy)
        wait_committed(fleet, load, 100)
        for program in fleet.programs():
            program.start()
    fleet.wait_caught_up(120)
    check_end(fleet)


def test_tail_lost_after_several_sessions_of_the_publisher(new_pair):
    """The older tail was written by a session that many others followed: still the same database's own history."""
    fleet = pair_under_law(new_pair)
    with Load(fleet.edge.db, writers=2, seed=7, pace=0.005) as load:
        wait_committed(fleet, load, 100)
        copy = fleet.nats.snapshot()
        for _ in range(4):
            fleet.publisher.kill9()
            fleet.publisher.start()
            wait_committed(fleet, load, 30)
            fleet.wait_caught_up()
        lose_the_tail(fleet, copy)
        wait_committed(fleet, load, 100)
    fleet.wait_caught_up(120)
    check_end(fleet)
