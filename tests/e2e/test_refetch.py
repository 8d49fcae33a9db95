"""Updates that leave unchanged TOASTed columns out: how a row becomes whole in the centre all the same."""

import json

from harness import MARKER_TABLE, wait_until

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


def letters_of(fleet, **wanted):
    return [letter for letter in fleet.centre.dead_letters() if all(letter[key] == value for key, value in wanted.items())]


def wait_no_open_letter(fleet):
    wait_until(lambda: letters_of(fleet, state="open") == [], 30, "no dead letter is open", fleet.diagnose)


def test_later_changes_settle_the_dead_letters_of_their_row_or_join_them(new_pair):
    fleet = new_pair(DOC, ["doc"], centre_schema=DOC.replace("n int", "n int CHECK (n < 1000)"))
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO doc SELECT i, 0, repeat(i || 'x', 5000), NULL FROM generate_series(1, 5) i")
    fleet.wait_equal()
    edge.execute("UPDATE doc SET n = 5000 WHERE id < 5")        # refused
    fleet.wait_caught_up()
    assert {letter["key"] for letter in letters_of(fleet, reason="constraint")} == {f'{{"id":"{i}"}}' for i in range(1, 5)}
    edge.execute("UPDATE doc SET n = 6000 WHERE id < 5")        # would be laid over a row that lacks the change before
    fleet.wait_caught_up()
    assert len(letters_of(fleet, reason="joined")) == 4
    shown = fleet.subscriber.run_verb("dead-letters", "retry", str(letters_of(fleet, reason="joined")[0]["id"]))
    assert shown.returncode != 0

    edge.execute("UPDATE doc SET n = 1, body = 'short' WHERE id = 1; DELETE FROM doc WHERE id = 2")
    fleet.wait_caught_up()
    assert {letter["key"] for letter in letters_of(fleet, state="open")} == {'{"id":"3"}', '{"id":"4"}'}
    assert fleet.centre.db.query("SELECT id, n FROM doc WHERE id < 3") == [(1, 1)]
    with edge.cursor(autocommit=False) as cursor:               # all in one batch
        cursor.execute("UPDATE doc SET n = 7000 WHERE id = 3; UPDATE doc SET n = 3, body = NULL WHERE id = 3;"
                       "UPDATE doc SET n = 4 WHERE id = 3; DELETE FROM doc WHERE id = 4; INSERT INTO doc VALUES (4, 4, 'again')")
    fleet.wait_equal()
    wait_no_open_letter(fleet)
    assert {letter["state"] for letter in fleet.centre.dead_letters()} == {"superseded"}
    assert "superseded" in fleet.subscriber.must("dead-letters", "list", "--all")
    assert fleet.subscriber.metric("pmoves_sync_dead_letters_superseded_total") == len(fleet.centre.dead_letters())


def test_a_truncate_settles_the_dead_letters_of_its_table(new_pair):
    fleet = new_pair(DOC, ["doc"], centre_schema=DOC.replace("n int", "n int CHECK (n < 1000)"))
    fleet.start()
    fleet.edge.db.execute("INSERT INTO doc SELECT i, 5000 * (i % 2), 'x', NULL FROM generate_series(1, 100) i")
    fleet.wait_caught_up()
    assert len(letters_of(fleet, state="open")) == 50
    fleet.subscriber.kill9()                                    # what is open is known to whoever takes the source over
    fleet.subscriber.start()
    fleet.edge.db.execute("TRUNCATE doc; INSERT INTO doc VALUES (1, 1, 'new', NULL)")
    fleet.wait_equal()
    wait_no_open_letter(fleet)
