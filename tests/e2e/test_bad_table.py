"""One bad table, or one bad transaction, on the edge: what goes on, what waits, and that it is said."""

import json

from harness import wait_until

NOTE = "CREATE TABLE note (id int PRIMARY KEY, body text)"


def status_of(fleet):
    return json.loads(fleet.publisher.http("/status")[1])


def test_a_failure_that_repeats_at_one_place_is_blocked_and_named(new_pair):
    fleet = new_pair(NOTE, ["note"])
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO note VALUES (1, 'a')")
    fleet.wait_equal()
    # wal2json drops this UPDATE; afterwards the table looks well, so each session comes to the same place.
    with edge.cursor(autocommit=False) as cursor:
        cursor.execute("ALTER TABLE note DROP CONSTRAINT note_pkey; UPDATE note SET body = 'b'; ALTER TABLE note ADD PRIMARY KEY (id)")
        cursor.execute("SELECT pg_current_xact_id()::text")
        xid = cursor.fetchone()[0]
    wait_until(lambda: status_of(fleet)["refusal"] == "stuck_transaction", 60, "it is stuck", fleet.diagnose)
    wait_until(lambda: fleet.publisher.metric("pmoves_sync_source_repeated_failures") >= 3, 60, "it tries on", fleet.diagnose)
    status = status_of(fleet)
    assert status["state"] == "blocked" and f"xid {xid}" in status["reason"] and "docs/operations.md" in status["reason"], status
    assert fleet.publisher.metric("pmoves_sync_state", state="blocked") == 1
