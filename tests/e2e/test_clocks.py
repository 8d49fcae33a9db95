"""Acceptance: boxes without a battery-backed clock. A single writer's row ends equal to the writer under any clock; a clock that
runs ahead owns nothing. The edges' servers run with wall clocks that the test sets."""

import json
import time

import pytest

from harness import MARKER_TABLE, wait_until

RUN = "CREATE TABLE run (id int PRIMARY KEY, note text, seen timestamptz DEFAULT clock_timestamp(), big text)"
NOON = "2026-11-22 12:00:00"

# Each step sets the clock before some changes.
SCRIPTS = {
    "booted in 1970, then told the time": [("runs_from", 1970), ("right",)],
    "back and forth": [("right",), ("shift", -3600), ("shift", 600), ("shift", -86400), ("shift", 30), ("right",)],
    "frozen": [("frozen_at", NOON), ("frozen_at", NOON), ("right",), ("frozen_at", NOON)],
    "2099, found out, and 2099 again": [("runs_from", 2099), ("right",), ("runs_from", 2099), ("runs_from", 1970)],
    "a minute ahead, then far": [("shift", 50), ("shift", 70), ("shift", 86400), ("shift", -70)],
}


def set_clock(edge, step):
    getattr(edge.db.clock, step[0])(*step[1:])


def changes(edge, step):
    """Every kind of change, most of them of rows that the step before wrote, under its other clock."""
    edge.db.execute("INSERT INTO run (id, note, big) SELECT i, %s, repeat('x', 3000) FROM generate_series(%s, %s) i",
                    (f"step {step}", step * 100, step * 100 + 49))
    edge.db.execute("UPDATE run SET note = note || '; ' || %s, seen = DEFAULT WHERE id %% 3 = 0", (f"seen in {step}",))
    edge.db.execute("DELETE FROM run WHERE id %% 7 = %s", (step,))
    edge.db.execute("UPDATE run SET id = id + 50 WHERE id % 100 = 10 AND id < 1000")
    edge.db.execute("INSERT INTO run (id, note) VALUES (%s, 'again') ON CONFLICT (id) DO UPDATE SET note = 'again'", (step + 700,))
    edge.db.execute("DELETE FROM run WHERE id = 777; INSERT INTO run (id, note) VALUES (777, %s)", (f"step {step}",))


def one_edge(new_fleet, version="commit", publisher=None, **subscriber):
    fleet = new_fleet()
    fleet.create(fleet.centre.db, RUN)
    fleet.add_edge(schema=RUN, tables=["run"], config=publisher, clock=True)
    fleet.centre.add_subscriber([{"table": "run", "version": version}], subscriber)
    return fleet.start()


@pytest.mark.parametrize("version", ["commit", "column:seen", "arrival"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_single_writers_rows_end_equal_to_the_writer_under_any_clock_script(new_fleet, script, version):
    fleet = one_edge(new_fleet, version)
    for step, clock in enumerate(SCRIPTS[script]):
        set_clock(fleet.edge, clock)
        changes(fleet.edge, step)
        if step == 1:
            fleet.subscriber.kill9()
            changes(fleet.edge, step + 10)
            fleet.subscriber.start()
        fleet.wait_equal()
    assert fleet.centre.dead_letters() == []
    ahead = fleet.centre.db.value("SELECT max(_sync_version >> 16) FROM run") / 1000 - time.time()
    assert ahead < 61, "no version lies further ahead than max_future"


def test_a_box_in_2099_does_not_own_what_a_sane_box_writes_later(new_fleet):
    fleet = new_fleet()
    fleet.create(fleet.centre.db, RUN)
    insane = fleet.add_edge("insane", schema=RUN, tables=["run"], clock=True)
    sane = fleet.add_edge("sane", schema=RUN, tables=["run"], clock=True)
    fleet.centre.add_subscriber(["run"])
    fleet.start()
    centre = fleet.centre.db
    insane.db.clock.runs_from(2099)
    insane.db.execute("INSERT INTO run (id, note) VALUES (1, 'from 2099'), (2, 'from 2099'); DELETE FROM run WHERE id = 2")
    fleet.wait_caught_up()
    assert centre.query("SELECT id, note FROM run") == [(1, "from 2099")]

    sane.db.execute("INSERT INTO run (id, note) VALUES (1, 'later'), (2, 'later')")
    fleet.wait_caught_up()
    assert centre.query("SELECT id, note, _source FROM run ORDER BY id") == [(1, "later", "sane"), (2, "later", "sane")]

    insane.db.execute("UPDATE run SET note = 'later still' WHERE id = 1")
    fleet.wait_caught_up()
    assert centre.query("SELECT note, _source FROM run WHERE id = 1") == [("later still", "insane")]

    metric = fleet.subscriber.metric
    assert metric("pmoves_sync_clock_clamped_total", source="insane") >= 4
    assert metric("pmoves_sync_clock_clamped_total", source="sane") == 0
    assert metric("pmoves_sync_source_clock_skew_seconds", source="insane") > 70 * 365 * 86400
    assert abs(metric("pmoves_sync_source_clock_skew_seconds", source="sane")) < 60
    assert metric("pmoves_sync_clock_backsteps_total", source="insane") == 0
    insane.db.clock.right()
    insane.db.execute("INSERT INTO run (id, note) VALUES (3, 'told the time')")
    fleet.wait_caught_up()
    assert metric("pmoves_sync_clock_backsteps_total", source="insane") == 1


def versions(fleet):
    return fleet.centre.db.query("SELECT id, _source, _sync_version FROM run ORDER BY id")


def clocks(fleet):
    return dict(fleet.centre.db.query("SELECT 'commit', hlc FROM pmoves_sync.source_position "
                                      "UNION ALL SELECT relation, hlc FROM pmoves_sync.source_clock"))


def read_to_the_end(fleet):
    with fleet.nats.client() as client:
        last = client.stream_state(fleet.edge.stream)["last_seq"]
    return fleet.centre.db.value("SELECT stream_sequence FROM pmoves_sync.source_position") == last


def forget_everything(fleet):
    """The centre as before its first message; the stream still has them all."""
    fleet.centre.db.execute(f"TRUNCATE run, {MARKER_TABLE}, pmoves_sync.source_position, pmoves_sync.source_clock, "
                            "pmoves_sync.tombstone")


@pytest.mark.parametrize("version", ["commit", "column:seen", "arrival"])
def test_versions_are_a_function_of_the_stream_alone(new_fleet, version):
    """Live with kills and small batches, and once more at one go into an empty centre: the same versions, bit by bit."""
    fleet = one_edge(new_fleet, version, batch={"max_rows": 10, "max_bytes": "64KiB"})
    for step, clock in enumerate([("right",), ("runs_from", 2099), ("shift", -3600), ("frozen_at", NOON)]):
        set_clock(fleet.edge, clock)
        changes(fleet.edge, step)
        # Far larger than a batch, so it is applied in pieces; killed in its midst, it is undone and begun anew.
        with fleet.edge.db.cursor(autocommit=False) as cursor:
            cursor.execute("INSERT INTO run SELECT i, 'bulk', clock_timestamp(), repeat('y', 200) FROM generate_series(%s, %s) i",
                           (step * 10000 + 1000, step * 10000 + 5999))
        fleet.subscriber.kill9()
        fleet.subscriber.start()
    fleet.wait_equal()
    fleet.publisher.terminate()   # or its progress messages go on moving the clock
    wait_until(lambda: read_to_the_end(fleet), 30, "the centre has read the whole stream", fleet.diagnose)
    live = versions(fleet)
    states = clocks(fleet)
    newest = max(version for _, _, version in live)
    assert newest <= states[{"commit": "commit", "column:seen": "public.run", "arrival": ""}[version]]
    assert len(states) == (1 if version == "commit" else 2)
    fleet.subscriber.kill9()
    forget_everything(fleet)
    fleet.subscriber.configure({"batch": {"max_rows": 100000, "max_bytes": "64MiB"}})
    fleet.subscriber.start()
    wait_until(lambda: read_to_the_end(fleet), 60, "the centre has read the whole stream again", fleet.diagnose)
    assert versions(fleet) == live
    assert clocks(fleet) == states


def test_what_is_not_clamped_keeps_the_version_of_its_message(new_fleet):
    """Without progress messages, which move the clock of an idle source beyond its last change."""
    fleet = one_edge(new_fleet, publisher={"progress": {"interval": "1h"}})
    for step, clock in enumerate([("right",), ("shift", -7200), ("frozen_at", NOON), ("shift", 40)]):
        set_clock(fleet.edge, clock)
        fleet.edge.db.execute("INSERT INTO run (id, note) VALUES (%s, 'one')", (step,))
    fleet.wait_equal()
    published = {}
    with fleet.nats.client() as client:
        for sequence in range(1, client.stream_state(fleet.edge.stream)["last_seq"] + 1):
            subject, headers, body = client.stream_message(fleet.edge.stream, sequence)
            if ".run.INSERT." in subject:
                # Small transactions may share a message.
                for transaction in json.loads(body).get("transactions", [{"hlc": headers["Sync-Hlc"]}]):
                    published[len(published)] = int(transaction["hlc"])
    assert {row: version for row, _, version in versions(fleet)} == published
    assert fleet.subscriber.metric("pmoves_sync_clock_clamped_total") == 0


def test_a_message_set_aside_is_clamped_also_at_its_retry(new_fleet):
    fleet = new_fleet()
    fleet.create(fleet.centre.db, RUN)
    fleet.add_edge(schema=RUN, tables=["run"], clock=True)
    fleet.centre.add_subscriber([])
    fleet.start()
    fleet.edge.db.clock.runs_from(2099)
    fleet.edge.db.execute("INSERT INTO run (id, note) VALUES (1, 'from 2099'), (2, 'from 2099')")
    fleet.wait_caught_up()
    assert [letter["reason"] for letter in fleet.centre.dead_letters()] == ["not_configured"]
    fleet.subscriber.terminate()
    fleet.subscriber.configure({"tables": [{"table": "run"}, {"table": MARKER_TABLE}]})
    fleet.subscriber.must("init")
    fleet.subscriber.must("dead-letters", "retry", "--all")
    rows = versions(fleet)
    assert [row[0] for row in rows] == [1, 2]
    assert rows[1][2] == rows[0][2] + 1
    assert abs((rows[0][2] >> 16) / 1000 - time.time()) < 120
