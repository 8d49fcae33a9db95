"""People and services write the central tables directly, beside the edges: they are one source more, called central."""

import pytest

from harness import wait_until

JOBS = "CREATE TABLE jobs (id int PRIMARY KEY, status text NOT NULL, note text)"
LOOK = "SELECT id, status FROM jobs ORDER BY id"


def jobs_fleet(new_fleet, rule=None, sources=("jetson-01",), config=None):
    fleet = new_fleet()
    fleet.centre.db.execute(JOBS)
    for source in sources:
        fleet.add_edge(source, schema=JOBS, tables=["jobs"])
    fleet.centre.add_subscriber([dict({"table": "jobs"}, **(rule or {}))], config)
    return fleet.start()


def shows(fleet, rows):
    wait_until(lambda: fleet.centre.db.query(LOOK) == rows, 20, f"the centre shows {rows}", fleet.diagnose)


def late(fleet, sql):
    """Committed by the edge now; returns what makes it arrive."""
    fleet.publisher.terminate()
    fleet.edge.db.execute(sql)

    def arrive():
        fleet.publisher.start()
        fleet.wait_caught_up()

    return arrive


@pytest.mark.parametrize("triggers", [False, True])
def test_the_newer_of_a_person_and_an_edge_wins(new_fleet, triggers):
    fleet = jobs_fleet(new_fleet, config={"postgres": {"triggers": triggers}})
    centre, edge = fleet.centre.db, fleet.edge.db
    edge.execute("INSERT INTO jobs SELECT n, 'edge' FROM generate_series(1, 200) n")
    fleet.wait_caught_up()
    assert centre.value("SELECT count(*) FROM jobs WHERE _source <> 'jetson-01'") == 0, "what is applied is not stamped"
    arrive = late(fleet, "UPDATE jobs SET status = 'late' WHERE id < 4; DELETE FROM jobs WHERE id > 4")
    centre.execute("UPDATE jobs SET status = 'person' WHERE id IN (1, 5)")
    centre.execute("DELETE FROM jobs WHERE id = 2")
    centre.execute("INSERT INTO jobs VALUES (300, 'person')")
    arrive()
    # 2: deleted by a person after the edge had written it. 5: written by a person after the edge had deleted it.
    assert centre.query(LOOK) == [(1, "person"), (3, "late"), (4, "edge"), (5, "person"), (300, "person")]
    assert centre.query("SELECT id FROM jobs WHERE _source = 'central' ORDER BY 1") == [(1,), (5,), (300,)]
    edge.execute("UPDATE jobs SET status = 'newer' WHERE id < 4")
    edge.execute("INSERT INTO jobs VALUES (300, 'newer')")
    fleet.wait_caught_up()
    assert centre.query(LOOK) == [(1, "newer"), (2, "newer"), (3, "newer"), (4, "edge"), (5, "person"), (300, "newer")]
    assert centre.value("SELECT count(*) FROM jobs WHERE _source = 'central'") == 1
    assert fleet.centre.dead_letters() == []
    wait_until(lambda: centre.value("SELECT count(*) FROM pmoves_sync.recompute_queue") == 0, 20, "the queue is worked off",
               fleet.diagnose)


@pytest.mark.parametrize("triggers", [False, True])
def test_what_people_decided_in_the_centre_is_kept(new_fleet, triggers):
    fleet = jobs_fleet(new_fleet, {"conflict": "keep-central"}, config={"postgres": {"triggers": triggers}})
    centre, edge = fleet.centre.db, fleet.edge.db
    centre.execute("INSERT INTO jobs VALUES (1, 'person')")
    edge.execute("INSERT INTO jobs VALUES (1, 'edge'), (2, 'edge'), (3, 'edge')")
    fleet.wait_caught_up()
    assert centre.query(LOOK) == [(1, "person"), (2, "edge"), (3, "edge")]
    centre.execute("UPDATE jobs SET status = 'person' WHERE id = 2")
    edge.execute("UPDATE jobs SET status = 'newer'")
    fleet.wait_caught_up()
    shows(fleet, [(1, "person"), (2, "person"), (3, "newer")])
    centre.execute("DELETE FROM jobs WHERE id < 3")
    shows(fleet, [(3, "newer")])
    settled = "pmoves_sync_central_writes_total"
    wait_until(lambda: fleet.subscriber.metric(settled, outcome="settled") >= 3, 20, "writes are settled", fleet.diagnose)


def test_a_person_sees_his_row_until_the_rule_has_decided(new_fleet):
    rule = {"conflict": "source-priority", "priority": ["central", "jetson-01"]}
    fleet = jobs_fleet(new_fleet, rule, sources=("jetson-01", "jetson-02"))
    centre, (one, two) = fleet.centre.db, (edge.db for edge in fleet.edges)
    two.execute("INSERT INTO jobs VALUES (1, 'two')")
    one.execute("INSERT INTO jobs VALUES (1, 'one')")
    fleet.wait_caught_up()
    centre.execute("UPDATE jobs SET status = 'person'")
    one.execute("UPDATE jobs SET status = 'one again'")
    fleet.wait_caught_up()
    shows(fleet, [(1, "person")])

    fleet.subscriber.terminate()
    config = {"table": "jobs", "conflict": "source-priority", "priority": ["jetson-01", "central"]}
    fleet.centre.subscribers.clear()
    fleet.centre.add_subscriber([config]).must("init")
    centre.execute("UPDATE jobs SET status = 'person again'")
    assert centre.query(LOOK) == [(1, "person again")], "at once"
    fleet.subscriber.start()
    shows(fleet, [(1, "one again")])


def test_check_says_when_the_triggers_are_out_of_date(new_fleet):
    fleet = jobs_fleet(new_fleet, {"conflict": "keep-central"})
    assert "writes in the centre of public.jobs count as those of source central" in fleet.subscriber.must("check")
    fleet.centre.db.execute("ALTER TABLE jobs ADD COLUMN more text")
    told = fleet.subscriber.must("check")
    assert "WARN  the triggers of public.jobs" in told and "fix: pmoves-sync-subscriber init" in told
    fleet.subscriber.must("init")
    assert "WARN" not in fleet.subscriber.must("check")
