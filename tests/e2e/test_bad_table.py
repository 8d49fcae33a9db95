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


def test_a_missing_table_waits_alone_and_joins_when_it_is_created(new_pair):
    schema = NOTE + "; CREATE TABLE later (id int PRIMARY KEY, v text)"
    fleet = new_pair(NOTE, ["note", "later"], centre_schema=schema)
    done = fleet.publisher.run_verb("check")
    assert done.returncode == 1 and "FAIL" in done.stdout and "public.later" in done.stdout, done.stdout
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO note VALUES (1, 'goes on')")
    fleet.wait_equal(["note"])
    wait_until(lambda: status_of(fleet)["waiting_tables"] == ["public.later"], 20, "it is said", fleet.diagnose)
    assert "public.later" in status_of(fleet)["reason"] and status_of(fleet)["state"] == "streaming"
    assert fleet.publisher.metric("pmoves_sync_tables_waiting") == 1
    edge.execute("CREATE TABLE later (id int, v text); INSERT INTO later VALUES (1, 'with it'); ALTER TABLE later ADD PRIMARY KEY (id)")
    edge.execute("INSERT INTO later VALUES (2, 'after it'); UPDATE later SET v = v || '!'")
    fleet.wait_equal()
    wait_until(lambda: status_of(fleet)["waiting_tables"] == [] and status_of(fleet)["reason"] == "", 20, "it waits no more", fleet.diagnose)
    fleet.publisher.terminate()
    edge.execute("DELETE FROM later WHERE id = 1")
    fleet.publisher.start()
    fleet.wait_equal()
    assert edge.value("SELECT count(*) FROM pmoves_sync.waiting_table") == 0


def test_a_missing_table_that_appears_by_a_rename_is_refused(new_pair):
    schema = NOTE + "; CREATE TABLE later (id int PRIMARY KEY, v text)"
    fleet = new_pair(NOTE + "; CREATE TABLE before (id int PRIMARY KEY, v text)", ["note", "later"], centre_schema=schema)
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO before VALUES (1, 'nobody took it')")
    edge.execute("INSERT INTO note VALUES (1, 'x')")
    fleet.wait_equal(["note"])
    edge.execute("ALTER TABLE before RENAME TO later; INSERT INTO later VALUES (2, 'y')")
    edge.execute("INSERT INTO note VALUES (2, 'kept')")
    wait_until(lambda: status_of(fleet)["state"] == "blocked", 30, "it is refused", fleet.diagnose)
    wait_until(lambda: "public.later" in status_of(fleet)["reason"] and "waiting_table" in status_of(fleet)["reason"], 30, "it says why", fleet.diagnose)
    edge.execute("DELETE FROM pmoves_sync.waiting_table")      # the way out that the reason names, the rows being copied
    fleet.centre.db.execute("INSERT INTO later (id, v, _source, _sync_version) VALUES (1, 'nobody took it', 'jetson-01', 0)")
    fleet.wait_equal(deadline=90)


def test_a_table_without_a_key_below_a_wildcard_stops_only_itself(new_pair):
    # Anybody who may create a table could stop the whole edge for good.
    fleet = new_pair(NOTE, ["public.*"], subscriber_tables=["note"])
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO note VALUES (1, 'a')")
    fleet.wait_equal(["note"])
    edge.execute("CREATE TABLE junk (a int)")
    edge.execute("UPDATE junk SET a = 1; INSERT INTO note VALUES (2, 'b')")
    with edge.cursor(autocommit=False) as cursor:
        cursor.execute("INSERT INTO note VALUES (3, 'c'); INSERT INTO junk VALUES (1); UPDATE junk SET a = 2; INSERT INTO note VALUES (4, 'd')")
    fleet.wait_equal(["note"])
    wait_until(lambda: status_of(fleet)["waiting_tables"] == ["public.junk (left out)"], 30, "it is said", fleet.diagnose)
    assert "public.junk" in status_of(fleet)["reason"]
    assert "table.left_out" in fleet.publisher.log_text()
    fleet.publisher.terminate()
    edge.execute("UPDATE junk SET a = 3; INSERT INTO note VALUES (5, 'e'); CREATE TABLE more_junk (a int)")
    fleet.publisher.start()
    fleet.wait_equal(["note"])
    done = fleet.publisher.run_verb("check")
    assert done.returncode == 1 and "public.junk" in done.stdout and "public.more_junk" in done.stdout, done.stdout
