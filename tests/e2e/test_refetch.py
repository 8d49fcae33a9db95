"""Updates that leave unchanged TOASTed columns out: how a row becomes whole in the centre all the same."""

import json
import threading

from harness import MARKER_TABLE, difference, wait_until
from test_types import HOSTILE_SETTINGS, families, fill, make_tables

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


def wait_healed(fleet, table="doc", edge=None):
    """The row came back by itself: no letter is open, and the table equals that of the edge."""
    fleet.wait_caught_up()
    wait_no_open_letter(fleet)
    text = difference((edge or fleet.edge).db, fleet.centre.db, table)
    assert not text, f"{text}\n{fleet.diagnose()}"


def lose(fleet, where):
    """Rows vanish from the centre as no replicated change would make them: without a tombstone."""
    fleet.centre.db.execute(f"SET session_replication_role = replica; DELETE FROM doc WHERE {where}")


def test_a_row_that_the_centre_lost_comes_back_whole(new_pair):
    fleet = new_pair(DOC, ["doc"])
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO doc SELECT i, 0, repeat(i || 'x\"', 5000), NULL FROM generate_series(1, 50) i")
    fleet.wait_equal()
    lose(fleet, "id <= 20")
    edge.execute("UPDATE doc SET n = 1 WHERE id <= 10")                 # the body is left out
    edge.execute("UPDATE doc SET n = 2, note = 'twice' WHERE id <= 5")
    edge.execute("UPDATE doc SET id = id + 1000 WHERE id BETWEEN 11 AND 15")
    edge.execute("UPDATE doc SET n = 3 WHERE id = 16; DELETE FROM doc WHERE id = 16")
    edge.execute("UPDATE doc SET body = body WHERE id > 16")            # is sent whole or not at all
    edge.execute("UPDATE doc SET note = body WHERE id > 16")
    wait_healed(fleet)
    letters = fleet.centre.dead_letters()
    assert {letter["state"] for letter in letters} == {"superseded"}
    assert {letter["reason"] for letter in letters} <= {"update_missing", "joined"}
    assert fleet.publisher.metric("pmoves_sync_refetch_answered_total", outcome="row") >= 15
    assert fleet.subscriber.metric("pmoves_sync_refetch_asked_total") >= 15
    edge.execute("UPDATE doc SET n = n + 1")
    fleet.wait_equal()
    assert len(fleet.centre.dead_letters()) == len(letters)


def two_edges(new_fleet):
    fleet = new_fleet()
    fleet.create(fleet.centre.db, DOC)
    fleet.centre.add_subscriber(["doc"])
    for source in ("jetson-01", "jetson-02"):
        fleet.add_edge(source, schema=DOC, tables=["doc"])
    fleet.start()
    return fleet, fleet.edges[0], fleet.edges[1]


def apply_in_order(fleet, *steps):
    """Each (edge, statement) is applied before the next one is committed: the clocks agree on who is newer."""
    for edge, statement in steps:
        edge.db.execute(statement)
        wait_until(edge.mark(), 30, "the centre has caught up", fleet.diagnose)


def test_a_partial_update_of_a_row_that_another_edge_wrote_last_brings_the_whole_row(new_fleet):
    fleet, first, second = two_edges(new_fleet)
    apply_in_order(fleet,
                   (first, "INSERT INTO doc VALUES (1, 1, repeat('first', 2000), 'of first')"),
                   (second, "INSERT INTO doc VALUES (1, 2, repeat('second', 2000), 'of second')"))
    assert fleet.centre.db.value("SELECT _source FROM doc") == "jetson-02"
    apply_in_order(fleet, (first, "UPDATE doc SET n = 10"))
    wait_healed(fleet, edge=first)
    assert [letter["reason"] for letter in fleet.centre.dead_letters()] == ["update_incomplete"]
    assert fleet.centre.db.query("SELECT _source, n, note FROM doc") == [("jetson-01", 10, "of first")]
    apply_in_order(fleet, (second, "UPDATE doc SET n = 20"), (second, "UPDATE doc SET note = 'later'"))
    wait_healed(fleet, edge=second)


def test_a_row_that_was_asked_for_does_not_win_over_what_was_written_since(new_fleet):
    """It counts with the version of the change that needed it. Meanwhile its edge is away, and is asked when it is back."""
    fleet, first, second = two_edges(new_fleet)
    apply_in_order(fleet,
                   (first, "INSERT INTO doc SELECT i, 1, repeat('first', 2000), 'of first' FROM generate_series(1, 2) i"),
                   (second, "INSERT INTO doc SELECT i, 2, repeat('second', 2000), 'of second' FROM generate_series(1, 2) i"))
    fleet.subscriber.terminate()
    first.db.execute("UPDATE doc SET n = 10")
    first.mark()
    wait_until(lambda: len(stored_bodies(fleet, "jetson-01")) == 2, 30, "the update is stored", fleet.diagnose)
    first.publisher.kill9()
    fleet.subscriber.start()
    wait_until(lambda: len(letters_of(fleet, state="open", reason="update_incomplete")) == 2, 30, "the updates are set aside",
               fleet.diagnose)
    apply_in_order(fleet, (second, "UPDATE doc SET n = 20, body = 'newer' WHERE id = 1"))
    assert len(letters_of(fleet, state="open")) == 2
    first.publisher.start()
    wait_no_open_letter(fleet)
    assert fleet.centre.db.query("SELECT id, _source, n, note FROM doc ORDER BY id") == [
        (1, "jetson-02", 20, "of second"), (2, "jetson-01", 10, "of first")]


def test_no_change_is_lost_while_rows_vanish_and_come_back(new_pair):
    fleet = new_pair(DOC, ["doc"])
    fleet.start()
    fleet.edge.db.execute("INSERT INTO doc SELECT i, 0, repeat(i || 'x', 3000), NULL FROM generate_series(1, 10) i")
    fleet.wait_equal()
    done = threading.Event()

    def write(number):
        with fleet.edge.db.cursor() as cursor:
            for round_ in range(150):
                cursor.execute("UPDATE doc SET n = n + 1, note = %s WHERE id = %s", (f"{number}/{round_}", round_ % 10 + 1))
                if round_ % 25 == number:
                    cursor.execute("DELETE FROM doc WHERE id = %s", (round_ % 10 + 1,))
                    cursor.execute("INSERT INTO doc VALUES (%s, 0, repeat('again', 2000), NULL)", (round_ % 10 + 1,))

    def lose_rows():
        while not done.wait(0.1):
            lose(fleet, "id = 1 + (random() * 9)::int")

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    loser = threading.Thread(target=lose_rows)
    for thread in [*writers, loser]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    loser.join()
    fleet.wait_caught_up()
    lose(fleet, "id = 1")
    fleet.edge.db.execute("UPDATE doc SET n = n + 1")   # what vanished last is missed now, row 1 at least
    wait_healed(fleet)
    assert fleet.publisher.metric("pmoves_sync_refetch_answered_total", outcome="row") > 0


def test_values_of_every_type_come_back_as_they_were(new_pair):
    tables = families()
    with_big = [f"ALTER TABLE {table} ADD big text DEFAULT repeat('x', 5000); ALTER TABLE {table} ALTER big SET STORAGE EXTERNAL"
                for table in tables]

    def schema(db):
        make_tables(tables, hostile=False)(db)
        for statement in with_big:
            db.execute(statement)
        db.execute(HOSTILE_SETTINGS)

    fleet = new_pair(schema, list(tables))
    fleet.start()
    for table, types in tables.items():
        fill(fleet.edge.db, table, types)
    fleet.wait_equal()
    for table in tables:
        fleet.centre.db.execute(f"SET session_replication_role = replica; DELETE FROM {table}")
        fleet.edge.db.execute(f"UPDATE {table} SET touched = touched + 1")
    for table in tables:
        wait_healed(fleet, table)
    assert {letter["reason"] for letter in fleet.centre.dead_letters()} == {"update_missing"}


def test_a_row_of_forty_megabytes_comes_back(new_pair):
    fleet = new_pair(DOC, ["doc"])
    fleet.start()
    fleet.edge.db.execute("INSERT INTO doc VALUES (1, 0, repeat('ü\"\\' || chr(10), 8000000), NULL)")
    fleet.wait_equal(deadline=120)
    lose(fleet, "true")
    fleet.edge.db.execute("UPDATE doc SET n = 1")
    wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM doc") == 1, 120, "the row comes back", fleet.diagnose)
    wait_healed(fleet)

    # The publisher dies while it sends the row in parts: the beginning is left in the stream, and the row is asked for again.
    lose(fleet, "true")
    with fleet.nats.client() as client:
        before = client.stream_state("SYNC_jetson-01")["last_seq"]
        fleet.edge.db.execute("UPDATE doc SET n = 2")
        wait_until(lambda: client.stream_state("SYNC_jetson-01")["last_seq"] > before + 10, 30, "the row is on its way",
                   fleet.diagnose, interval=0.005)
        fleet.publisher.kill9()
        tail = client.stream_message("SYNC_jetson-01", client.stream_state("SYNC_jetson-01")["last_seq"])
    assert ".SNAPSHOT." in tail[0] and "Sync-Last" not in tail[1], "killed too late: this tests nothing"
    fleet.publisher.start()
    wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM doc") == 1, 120, "the row comes back", fleet.diagnose)
    wait_healed(fleet)


def test_what_cannot_be_read_is_refused_with_its_reason(new_pair):
    """The edge's role may read the WAL but not the table."""
    fleet = new_pair(DOC + "CREATE ROLE pub LOGIN REPLICATION; GRANT CREATE ON DATABASE postgres TO pub;"
                     "CREATE TABLE other (id int PRIMARY KEY)", ["doc"])
    dsn = fleet.edge.db.dsn(user="pub")
    fleet.edge.db.execute(f"GRANT SELECT ON {MARKER_TABLE} TO pub")
    fleet.publisher.configure({"postgres": {"dsn": dsn}})
    fleet.start()
    fleet.edge.db.execute("INSERT INTO doc VALUES (1, 0, repeat('x', 9000), NULL)")
    fleet.wait_caught_up()
    lose(fleet, "true")
    fleet.edge.db.execute("UPDATE doc SET n = 1")
    wait_until(lambda: letters_of(fleet, state="open") and "permission denied" in (letters_of(fleet)[0]["refetch_answer"] or ""),
               60, "the refusal is known in the centre", fleet.diagnose)
    letter = letters_of(fleet, state="open")[0]
    assert "permission denied" in fleet.subscriber.must("dead-letters", "show", str(letter["id"]))
    assert fleet.publisher.metric("pmoves_sync_refetch_requests_total", outcome="refused") > 0
    with fleet.nats.client() as client:                       # what nobody captures is nobody's business
        for question in ('{"schema":"public","table":"other","key":{"id":"1"}}',
                         '{"schema":"public","table":"doc","key":{"n":"1"}}'):
            answer = json.loads(client.request("supabase.sync-refetch.jetson-01", question)[1])
            assert answer["outcome"] == "refused" and answer["reason"]


def test_a_mark_that_is_not_the_publishers_own_sends_nothing(new_pair):
    """Anybody may write a logical message."""
    fleet = new_pair(DOC, ["doc"])
    fleet.start()
    fleet.edge.db.execute("INSERT INTO doc VALUES (1, 0, 'x', NULL)")
    writer = fleet.edge.db.value("SELECT writer FROM pmoves_sync.publisher_state")
    for content in (f"refetch {writer} 1", "refetch", "", "\\\"{}", '{"schema":"public","table":"doc","key":{"id":"1"}}'):
        fleet.edge.db.execute("SELECT pg_logical_emit_message(%s, 'pmoves_sync', %s)", (True, content))
        fleet.edge.db.execute("SELECT pg_logical_emit_message(%s, 'pmoves_sync', %s)", (False, content))
    fleet.edge.db.execute("UPDATE doc SET n = 1")
    fleet.wait_equal()
    assert {body["operation"] for body in stored_bodies(fleet)} == {"INSERT", "UPDATE"}


def test_a_row_of_a_table_with_other_names_and_other_spellings_of_its_key_comes_back(new_pair):
    edge_schema = ("CREATE TABLE doc (number numeric PRIMARY KEY, n int, body text, note text);"
                   "ALTER TABLE doc ALTER body SET STORAGE EXTERNAL")
    centre_schema = ("CREATE SCHEMA archive; CREATE TABLE archive.paper (site text, id numeric PRIMARY KEY, n int, body text, note text)")
    fleet = new_pair(edge_schema, ["doc"], centre_schema=centre_schema, subscriber_tables=[
        {"table": "archive.paper", "from": "public.doc", "rename": {"number": "id"}, "constants": {"site": "berlin"}}])
    fleet.start()
    edge, centre = fleet.edge.db, fleet.centre.db
    edge.execute("INSERT INTO doc VALUES (1.00, 0, repeat('x', 9000), NULL), (2, 0, repeat('y', 9000), NULL)")
    fleet.wait_caught_up()
    centre.execute("SET session_replication_role = replica; DELETE FROM archive.paper")
    edge.execute("UPDATE doc SET n = 1")
    edge.execute("UPDATE doc SET number = 1.0, n = 2 WHERE number = 1")   # the same key, written differently
    fleet.wait_caught_up()
    wait_no_open_letter(fleet)
    columns = "id::text, n, length(body), site"
    assert centre.query(f"SELECT {columns} FROM archive.paper ORDER BY id") == [("1.0", 2, 9000, "berlin"), ("2", 1, 9000, "berlin")]
