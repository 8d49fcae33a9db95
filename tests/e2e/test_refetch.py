"""Updates that leave unchanged TOASTed columns out: how a row becomes whole in the centre all the same."""

import json

from harness import MARKER_TABLE

DOC = ("CREATE TABLE doc (id int PRIMARY KEY, n int, body text, note text);"
       "ALTER TABLE doc ALTER body SET STORAGE EXTERNAL;")


def stored_bodies(fleet, source="jetson-01"):
    """The bodies of all change messages in the stream of a source, oldest first."""
    bodies = []
    with fleet.nats.client() as client:
        state = client.stream_state(f"SYNC_{source}")
        for sequence in range(state["first_seq"], state["last_seq"] + 1):
            subject, _, body = client.stream_message(f"SYNC_{source}", sequence)
            if ".~." not in subject and f".{MARKER_TABLE}." not in subject:
                bodies.append(json.loads(body))
    return bodies


def test_replica_identity_full_sends_whole_rows(new_pair):
    """The old row holds what the new one leaves out, so the update is whole and needs no row in the centre."""
    fleet = new_pair(DOC + "ALTER TABLE doc REPLICA IDENTITY FULL", ["doc"])
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO doc SELECT i, 0, repeat(i || 'x\"', 5000), NULL FROM generate_series(1, 6) i")
    fleet.wait_equal()
    fleet.centre.db.execute("TRUNCATE doc")
    edge.execute("UPDATE doc SET n = 1 WHERE id < 6")
    edge.execute("UPDATE doc SET id = 60, note = 'moved' WHERE id = 6")
    fleet.wait_equal()
    updates = [body for body in stored_bodies(fleet) if body["operation"] == "UPDATE"]
    assert [len(body["data"]) for body in updates] == [5, 1]
    assert all("unchanged" not in body and set(row) == {"id", "n", "body", "note"} for body in updates for row in body["data"])
    assert [body.get("keys") for body in updates] == [None, [{"id": 6}]]   # the key alone, and only where it changed
    assert fleet.centre.dead_letters() == []
