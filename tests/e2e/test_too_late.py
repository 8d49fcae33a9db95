"""Deletes are forgotten at last; a box that comes back after that is told so, change by change."""

import json
import time

import pytest
from harness import wait_until

RUN = "CREATE TABLE run (id int PRIMARY KEY, note text)"
HOUR = 3600
REMEMBERED = "SELECT (SELECT count(*) FROM pmoves_sync.tombstone) + (SELECT count(*) FROM pmoves_sync.register WHERE deleted)"


def late(fleet):
    return [letter for letter in fleet.centre.dead_letters() if letter["reason"] == "too_late" and letter["state"] == "open"]


@pytest.mark.parametrize("rule", [{}, {"conflict": "first-write-wins"}], ids=["by row version", "by registers"])
def test_changes_from_before_forgotten_deletes_are_set_aside_and_wait_for_a_person(new_fleet, rule):
    """The versions of both boxes lie hours back: one worked then, the other kept its changes to itself."""
    fleet = new_fleet()
    fleet.create(fleet.centre.db, RUN)
    worker = fleet.add_edge("jetson-01", schema=RUN, tables=["run"], clock=True)
    lost = fleet.add_edge("jetson-02", schema=RUN, tables=["run"], clock=True)
    fleet.centre.add_subscriber([{"table": "run", **rule}], {"conflicts": {"tombstone_retention": "1h"}})
    fleet.init()
    subscriber, centre = fleet.subscriber.start().wait_ready(), fleet.centre.db
    worker.publisher.start().wait_ready()

    worker.db.clock.shift(-3 * HOUR)
    worker.db.execute("INSERT INTO run VALUES (1, 'deleted'), (2, 'stays'), (3, 'deleted')")
    worker.db.execute("DELETE FROM run WHERE id IN (1, 3)")
    worker.db.clock.right()
    wait_until(worker.mark(), 30, "the centre has caught up with the worker", fleet.diagnose)
    assert centre.value(REMEMBERED) == 2
    subscriber.terminate()
    subscriber.start().wait_ready()   # the collector comes at once, then every minute
    wait_until(lambda: centre.value(REMEMBERED) == 0, 20, "the deletes are forgotten", fleet.diagnose)
    assert subscriber.metric("pmoves_sync_tombstone_horizon_lag_seconds") < 60

    lost.db.clock.shift(-4 * HOUR)
    lost.db.execute("INSERT INTO run VALUES (1, 'late'), (4, 'late')")
    lost.db.execute("INSERT INTO run VALUES (3, 'late')")
    lost.db.clock.right()
    lost.db.execute("INSERT INTO run VALUES (5, 'in time'); UPDATE run SET note = 'once more' WHERE id = 3")
    lost.publisher.start()
    wait_until(lost.mark(), 30, "the centre has caught up with the lost one", fleet.diagnose)
    rows = "SELECT id, note FROM run ORDER BY id"
    assert centre.query(rows) == [(2, "stays"), (3, "once more"), (5, "in time")]
    letters = late(fleet)
    assert sorted(json.loads(letter["payload"])["data"][0]["id"] for letter in letters) == [1, 4]
    assert all("deleted row" in letter["message"] for letter in letters)
    assert subscriber.metric("pmoves_sync_too_late_total", source="jetson-02") >= 3

    # All at once would be careless; each by itself is a decision.
    refused = subscriber.run_verb("dead-letters", "retry", "--all")
    assert refused.returncode == 1 and "by its id" in refused.stdout
    assert len(late(fleet)) == 2
    first, second = letters
    assert subscriber.must("dead-letters", "retry", str(first["id"])) == f"{first['id']}: applied\n"
    subscriber.must("dead-letters", "discard", str(second["id"]), "--reason", "deleted on purpose")
    assert late(fleet) == []
    assert centre.query(rows) == sorted([(json.loads(first["payload"])["data"][0]["id"], "late"), (2, "stays"), (3, "once more"),
                                         (5, "in time")])


def test_an_idle_edge_that_is_connected_does_not_hold_deletes_back(new_fleet):
    """Nothing of its tables changes, but its progress messages say that it has nothing older to send."""
    fleet = new_fleet()
    fleet.create(fleet.centre.db, RUN)
    idle = fleet.add_edge(schema=RUN + "; CREATE TABLE other (id int)", tables=["run"], clock=True)
    fleet.centre.add_subscriber(["run"])
    fleet.start()
    idle.db.clock.shift(-2 * HOUR)
    idle.db.execute("INSERT INTO run VALUES (1, 'long ago')")
    fleet.wait_caught_up()

    def age():
        return time.time() - fleet.centre.db.value("SELECT hlc >> 16 FROM pmoves_sync.source_position") / 1000

    assert age() > 1.9 * HOUR
    idle.db.clock.right()

    def moved():
        idle.db.execute("INSERT INTO other VALUES (1)")   # only WAL of tables that are not replicated
        return age() < 60

    wait_until(moved, 60, "the clock of the idle source has moved in the centre", fleet.diagnose, interval=0.5)
    idle.db.execute("INSERT INTO run VALUES (2, 'now')")
    fleet.wait_equal()
    versions = dict(fleet.centre.db.query("SELECT id, _sync_version >> 16 FROM run"))
    assert abs(versions[2] / 1000 - time.time()) < 60
