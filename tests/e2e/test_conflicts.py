"""Conflict rules end to end: three edges write the same rows, the centre shows what the rules say."""

from harness import Fleet, wait_until

SOURCES = ["jetson-01", "jetson-02", "jetson-03"]

JOBS = """
CREATE TABLE jobs (
  id int PRIMARY KEY, status text NOT NULL, worker_id text, note text,
  _source_updated_at timestamptz NOT NULL DEFAULT now(), last_seen_at timestamptz, parts_done int)"""
PLAIN = "CREATE TABLE notes (id int PRIMARY KEY, body text)"

RUNNING_WINS = {
    "table": "jobs",
    "columns": {
        "status": {"conflict": "value-priority", "values": ["running"], "group": ["worker_id"]},
        "last_seen_at": {"conflict": "greatest"},
        "parts_done": {"conflict": "sum-of-sources"},
    },
}


def three_edges(schema, tables, rules):
    fleet = Fleet()
    try:
        fleet.create(fleet.centre.db, schema)
        for source in SOURCES:
            fleet.add_edge(source, schema=schema, tables=tables)
        fleet.centre.add_subscriber(rules)
        return fleet.start()
    except BaseException:
        fleet.close()
        raise


def row(fleet, sql):
    rows = fleet.centre.db.query(sql)
    assert len(rows) <= 1
    return rows[0] if rows else None


def test_running_wins_while_an_edge_reports_it_otherwise_the_last_write():
    jobs = JOBS.replace("_source_updated_at", "updated_at")
    with three_edges(jobs, ["jobs"], [RUNNING_WINS]) as fleet:
        one, two, three = (edge.db for edge in fleet.edges)

        def write(db, status, worker, parts, seen="2026-11-22 10:00+00"):
            db.execute("INSERT INTO jobs (id, status, worker_id, note, last_seen_at, parts_done) VALUES (1, %s, %s, %s, %s, %s) "
                       "ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, worker_id = EXCLUDED.worker_id, note = "
                       "EXCLUDED.note, last_seen_at = EXCLUDED.last_seen_at, parts_done = EXCLUDED.parts_done, updated_at = now()",
                       (status, worker, f"{status} by {worker}", seen, parts))
            fleet.wait_caught_up()

        look = "SELECT status, worker_id, note, parts_done, last_seen_at::text FROM jobs"
        write(one, "queued", "w1", 1)
        assert row(fleet, look)[:4] == ("queued", "w1", "queued by w1", 1)
        write(two, "running", "w2", 10, "2026-11-22 12:00+00")
        write(three, "queued", "w3", 100)
        # status and worker are those of the edge that runs it, the rest is the newest row's
        assert row(fleet, look) == ("running", "w2", "queued by w3", 111, "2026-11-22 12:00:00+00")
        write(three, "running", "w3", 100)
        assert row(fleet, look)[:2] == ("running", "w3"), "of two that run it the newest"
        write(three, "done", "w3", 200)
        assert row(fleet, look)[:2] == ("running", "w2"), "the other one still runs it"
        write(two, "done", "w2", 20)
        assert row(fleet, look) == ("done", "w2", "done by w2", 221, "2026-11-22 10:00:00+00")
        assert fleet.centre.dead_letters() == []


def test_one_edge_alone_is_shown_as_it_is_under_running_wins():
    """The literal reading of the rule leaves a finished job running for ever."""
    jobs = JOBS.replace("_source_updated_at", "updated_at")
    with three_edges(jobs, ["jobs"], [RUNNING_WINS]) as fleet:
        edge = fleet.edges[0].db
        edge.execute("INSERT INTO jobs (id, status, worker_id, parts_done) VALUES (1, 'running', 'w1', 5)")
        edge.execute("UPDATE jobs SET status = 'done', parts_done = 3")
        edge.execute("INSERT INTO jobs (id, status) VALUES (2, 'running')")
        edge.execute("DELETE FROM jobs WHERE id = 2")
        fleet.wait_caught_up()
        assert fleet.centre.db.query("SELECT id, status, parts_done FROM jobs") == [(1, "done", 3)]


def test_last_write_wins_by_the_users_own_stamp():
    """The rule that the services rely on: of several edges the newest _source_updated_at wins, whatever arrives last."""
    schema = "CREATE TABLE jobs (id int PRIMARY KEY, status text NOT NULL, updated_at timestamptz NOT NULL)"
    rule = {"table": "jobs", "version": "column:updated_at"}
    with three_edges(schema, ["jobs"], [rule]) as fleet:
        write = ("INSERT INTO jobs VALUES (1, %s, %s) ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, "
                 "updated_at = EXCLUDED.updated_at")
        for edge, status, stamp in zip(fleet.edges, ["middle", "newest", "oldest"], ["10:05", "10:09", "10:01"]):
            edge.db.execute(write, (status, f"2026-11-22 {stamp}+00"))
            fleet.wait_caught_up()
        assert fleet.centre.db.query("SELECT status, _source FROM jobs") == [("newest", "jetson-02")]
        # an edge's own later commit counts after its earlier one, also with an older stamp
        fleet.edges[1].db.execute(write, ("set back", "2026-11-22 10:02+00"))
        fleet.wait_caught_up()
        assert fleet.centre.db.query("SELECT status, _source FROM jobs") == [("set back", "jetson-02")]


def test_truncate_on_one_edge_leaves_the_rows_of_the_others():
    for rule in ({"table": "notes"}, {"table": "notes", "delete": "own-only"}):
        with three_edges(PLAIN, ["notes"], [rule]) as fleet:
            for number, edge in enumerate(fleet.edges):
                edge.db.execute(f"INSERT INTO notes SELECT {number} * 100 + g, 'x' FROM generate_series(1, 50) g")
            fleet.wait_caught_up()
            assert fleet.centre.db.value("SELECT count(*) FROM notes") == 150
            fleet.edges[0].db.execute("TRUNCATE notes")
            fleet.wait_caught_up()
            left = fleet.centre.db.query("SELECT _source, count(*) FROM notes GROUP BY 1 ORDER BY 1")
            assert left == [("jetson-02", 50), ("jetson-03", 50)], rule
            fleet.edges[0].db.execute("INSERT INTO notes VALUES (1, 'again')")
            fleet.wait_caught_up()
            assert fleet.centre.db.value("SELECT body FROM notes WHERE id = 1") == "again", rule


def test_a_late_older_update_brings_no_deleted_row_back_and_a_key_lives_after_it_is_inserted_again():
    # first-write-wins: the second edge has reported the key ever since, the first one began anew
    for rule, shown in (({"table": "notes"}, "again"), ({"table": "notes", "conflict": "first-write-wins"}, "late")):
        with three_edges(PLAIN, ["notes"], [rule]) as fleet:
            one, two, _ = fleet.edges
            one.db.execute("INSERT INTO notes VALUES (1, 'one')")
            fleet.wait_caught_up()
            two.publisher.terminate()
            two.db.execute("INSERT INTO notes VALUES (1, 'late')")          # committed first, arrives last
            one.db.execute("DELETE FROM notes WHERE id = 1")
            wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM notes") == 0, 30, "the delete arrives", fleet.diagnose)
            two.publisher.start()
            fleet.wait_caught_up()
            assert fleet.centre.db.value("SELECT count(*) FROM notes") == 0, rule
            one.db.execute("INSERT INTO notes VALUES (1, 'again')")
            fleet.wait_caught_up()
            assert fleet.centre.db.value("SELECT body FROM notes WHERE id = 1") == shown, rule


def conflicts(fleet, columns="type, resolution, lossy, remote_source, local_source"):
    return fleet.centre.db.query(f"SELECT {columns} FROM pmoves_sync.conflict_log ORDER BY id")


def test_every_lossy_conflict_is_logged_once_with_what_came_what_stood_there_and_what_is_shown():
    with three_edges(PLAIN, ["notes"], [{"table": "notes", "identity": "shared"}]) as fleet:
        one, two, three = fleet.edges
        three.publisher.terminate()
        three.db.execute("INSERT INTO notes VALUES (1, 'three, the oldest'), (2, 'three alone')")
        one.db.execute("INSERT INTO notes VALUES (1, 'one')")
        wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM notes") == 1, 30, "the first row", fleet.diagnose)
        two.db.execute("INSERT INTO notes VALUES (1, 'two')")
        wait_until(lambda: fleet.centre.db.value("SELECT body FROM notes") == "two", 30, "the second write", fleet.diagnose)
        three.publisher.start()
        fleet.wait_caught_up()
        assert conflicts(fleet) == [("insert_exists", "apply_remote", True, "jetson-02", "jetson-01"),
                                    ("insert_exists", "keep_local", True, "jetson-03", "jetson-02")]
        assert conflicts(fleet, "remote_row->>'body', local_row->>'body', applied_row->>'body', key") == [
            ("two", "one", "two", ["1"]), ("three, the oldest", "two", "two", ["1"])]
        one.db.execute("UPDATE notes SET body = 'two'")             # nothing is lost: the same row
        fleet.wait_caught_up()
        assert len(conflicts(fleet)) == 2
        two.db.execute("DELETE FROM notes WHERE id = 1")
        fleet.wait_caught_up()
        assert conflicts(fleet)[2:] == [("delete_origin_differs", "apply_remote", True, "jetson-02", "jetson-01")]
        # read again from the start: positions are behind, nothing is applied and nothing logged twice
        fleet.subscriber.kill9()
        fleet.subscriber.start()
        fleet.wait_caught_up()
        assert len(conflicts(fleet)) == 3
        listing = fleet.subscriber.must("conflicts", "list")
        assert "delete_origin_differs" in listing and listing.count("insert_exists") == 2
        number = fleet.centre.db.value("SELECT min(id) FROM pmoves_sync.conflict_log")
        shown = fleet.subscriber.must("conflicts", "show", str(number))
        assert '"body": "one"' in shown and '"body": "two"' in shown


def test_many_conflicts_in_one_batch_are_all_logged():
    with three_edges(PLAIN, ["notes"], [{"table": "notes"}]) as fleet:
        fleet.subscriber.terminate()
        for edge in fleet.edges:
            edge.db.execute("INSERT INTO notes SELECT g, %s || g FROM generate_series(1, 300) g", (edge.source,))
        fleet.subscriber.start()
        fleet.wait_caught_up()
        assert fleet.centre.db.query("SELECT _source, count(*) FROM notes GROUP BY 1") == [("jetson-03", 300)]
        counts = fleet.centre.db.query("SELECT type, count(*), count(DISTINCT (key, remote_source)) FROM pmoves_sync.conflict_log "
                                       "GROUP BY 1")
        assert counts == [("pk_collision", 600, 600)], "each row of the second and third to arrive, once"


def test_a_large_value_is_left_out_of_the_log_whole():
    with three_edges(PLAIN, ["notes"], [{"table": "notes"}]) as fleet:
        for edge in fleet.edges[:2]:
            edge.db.execute("INSERT INTO notes VALUES (1, repeat(%s, 70000))", (edge.source,))
            fleet.wait_caught_up()
        assert conflicts(fleet, "remote_row->'body', local_row->'body', applied_row->'body'") == [
            ({"omitted_bytes": 630000},) * 3]


def test_conflicts_of_rules_with_registers_are_logged_when_something_is_not_shown():
    jobs = JOBS.replace("_source_updated_at", "updated_at")
    with three_edges(jobs, ["jobs"], [RUNNING_WINS]) as fleet:
        write = "INSERT INTO jobs (id, status, updated_at) VALUES (1, %s, '2026-11-22') ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status"
        fleet.edges[0].db.execute(write, ("running",))
        fleet.wait_caught_up()
        fleet.edges[1].db.execute(write, ("queued",))
        fleet.wait_caught_up()
        assert conflicts(fleet) == [("insert_exists", "keep_local", True, "jetson-02", "jetson-01")]
        fleet.edges[2].db.execute(write, ("running",))
        fleet.wait_caught_up()
        assert len(conflicts(fleet)) == 1, "all that the third reported is shown, and so is what stood there"


def test_a_rule_changed_on_a_live_table_knows_the_rows_that_are_there():
    with three_edges(PLAIN, ["notes"], [{"table": "notes"}]) as fleet:
        one, two, _ = fleet.edges
        two.publisher.terminate()
        two.db.execute("INSERT INTO notes VALUES (1, 'older, arrives last')")
        one.db.execute("INSERT INTO notes VALUES (1, 'newer')")
        wait_until(lambda: fleet.centre.db.value("SELECT body FROM notes") == "newer", 30, "the newer row", fleet.diagnose)
        fleet.subscriber.terminate()
        changed = fleet.centre.add_subscriber([{"table": "notes", "delete": "own-only"}])
        changed.start()
        two.publisher.start()
        fleet.centre.subscribers.remove(fleet.subscriber)
        fleet.wait_caught_up()
        assert fleet.centre.db.query("SELECT body, _source FROM notes") == [("newer", "jetson-01")]
        assert fleet.centre.db.query("SELECT source FROM pmoves_sync.register ORDER BY 1") == [("jetson-01",), ("jetson-02",)]
        one.db.execute("DELETE FROM notes")
        fleet.wait_caught_up()
        assert fleet.centre.db.value("SELECT body FROM notes") == "older, arrives last", "its own report goes, the other's stays"


def test_a_rule_is_changed_by_a_restart():
    with three_edges(PLAIN, ["notes"], [{"table": "notes"}]) as fleet:
        one, two, _ = (edge.db for edge in fleet.edges)

        def restart_with(**rule):
            fleet.subscriber.terminate()
            fleet.centre.subscribers.clear()
            subscriber = fleet.centre.add_subscriber([dict({"table": "notes"}, **rule)])
            told = subscriber.must("check")
            subscriber.start()
            fleet.wait_caught_up()
            return told

        def shown():
            return fleet.centre.db.query("SELECT id, body FROM notes ORDER BY id")

        two.execute("INSERT INTO notes VALUES (1, 'two'), (2, 'two')")
        fleet.wait_caught_up()
        one.execute("INSERT INTO notes VALUES (1, 'one')")
        fleet.wait_caught_up()
        assert "is under rule 1" in fleet.subscriber.must("check")
        told = restart_with(conflict="source-priority", priority=["jetson-02"])
        assert "WARN  at the next start public.notes comes under rule 2" in told and "is not known any more" in told
        assert shown() == [(1, "one"), (2, "two")], "what jetson-02 had said of 1 was replaced before there were registers"
        one.execute("INSERT INTO notes VALUES (2, 'one')")
        two.execute("UPDATE notes SET body = 'two again' WHERE id = 1")
        fleet.wait_caught_up()
        assert shown() == [(1, "two again"), (2, "two")]
        restart_with(conflict="source-priority", priority=["jetson-01"])
        assert shown() == [(1, "one"), (2, "one")], "computed again from the reports"
        assert '"table":"public.notes"' in fleet.subscriber.log_text() or "table=public.notes" in fleet.subscriber.log_text()
        restart_with()
        two.execute("UPDATE notes SET body = 'newest' WHERE id = 2")
        fleet.wait_caught_up()
        assert shown() == [(1, "one"), (2, "newest")]
        assert "is under rule 4" in fleet.subscriber.must("check")
        assert fleet.centre.dead_letters() == []


def test_a_change_of_a_rule_that_is_killed_half_way_is_ended_by_the_next_start():
    def priority(source):
        return {"table": "notes", "conflict": "source-priority", "priority": [source]}

    with three_edges(PLAIN, ["notes"], [priority("jetson-01")]) as fleet:
        for edge in fleet.edges[:2]:
            edge.db.execute("INSERT INTO notes SELECT g, %s FROM generate_series(1, 20000) g", (edge.source,))
        fleet.wait_caught_up()
        fleet.subscriber.terminate()
        fleet.centre.subscribers.clear()
        changed = fleet.centre.add_subscriber([priority("jetson-02")])
        changed.start()

        def done():
            return fleet.centre.db.value("SELECT count(*) FROM notes WHERE body = 'jetson-02'")

        wait_until(lambda: done() > 0, 30, "the change begins", fleet.diagnose)
        changed.kill9()
        assert done() < 20000
        assert fleet.centre.db.query("SELECT version, unfinished FROM pmoves_sync.table_rule WHERE relation = 'public.notes'") == [(1, True)]
        changed.start()
        fleet.edges[2].db.execute("INSERT INTO notes VALUES (0, 'new')")
        wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM notes WHERE id = 0") == 1, 30, "the end", fleet.diagnose)
        assert done() == 20000, "all rows before anything is applied"
        assert fleet.centre.db.query("SELECT version, unfinished FROM pmoves_sync.table_rule WHERE relation = 'public.notes'") == [(2, False)]


def test_a_table_that_is_missing_at_the_start_comes_under_its_rule_when_it_is_there():
    with three_edges(PLAIN, ["notes"], [{"table": "notes", "conflict": "keep-central"}]) as fleet:
        fleet.subscriber.terminate()
        centre = fleet.centre.db
        centre.execute("DELETE FROM pmoves_sync.table_rule")
        centre.execute("SET pmoves_sync.applying = on")             # a row from before anything was applied: no trigger saw it
        centre.execute("INSERT INTO notes VALUES (1, 'the centre')")
        centre.execute("ALTER TABLE notes RENAME TO elsewhere")
        fleet.subscriber.start()
        fleet.edges[0].db.execute("INSERT INTO notes VALUES (1, 'edge'), (2, 'edge')")
        wait_until(lambda: "does not exist in the centre" in fleet.subscriber.log_text(), 30, "the source waits", fleet.diagnose)
        centre.execute("ALTER TABLE elsewhere RENAME TO notes")
        wait_until(lambda: centre.value("SELECT count(*) FROM notes") == 2, 60, "the source goes on", fleet.diagnose)
        fleet.wait_caught_up()
        assert centre.query("SELECT id, body FROM notes ORDER BY id") == [(1, "the centre"), (2, "edge")]
        assert centre.query("SELECT version, policy FROM pmoves_sync.table_rule WHERE relation = 'public.notes'") == [
            (1, "conflict: keep-central")]


def test_a_rule_that_was_changed_while_nats_was_away_is_looked_at_before_anything_is_applied():
    with three_edges(PLAIN, ["notes"], ["notes"]) as fleet:
        fleet.edges[0].db.execute("INSERT INTO notes VALUES (1, 'one')")
        fleet.wait_caught_up()
        fleet.nats.stop()
        wait_until(lambda: "session.ended" in fleet.subscriber.log_text(), 30, "NATS is away", fleet.diagnose)
        # As another process leaves it, with another configuration.
        fleet.centre.db.execute("UPDATE pmoves_sync.table_rule SET version = 2, policy = 'conflict: append-only' WHERE relation = 'public.notes'")
        fleet.nats.start()
        fleet.edges[0].db.execute("UPDATE notes SET body = 'two'")
        wait_until(lambda: row(fleet, "SELECT body FROM notes") == ("two",), 60, "the change is applied", fleet.diagnose)
        assert fleet.centre.db.query("SELECT version, policy FROM pmoves_sync.table_rule WHERE relation = 'public.notes'") == [
            (3, "conflict: last-write-wins")]


def test_a_person_picks_what_is_shown_until_a_source_says_something_new():
    with three_edges(PLAIN, ["notes"], [{"table": "notes", "conflict": "manual"}]) as fleet:
        one, two, three = (edge.db for edge in fleet.edges)

        def shown():
            return fleet.centre.db.query("SELECT id, body, _source FROM notes ORDER BY id")

        one.execute("INSERT INTO notes VALUES (1, 'one'), (2, 'alone')")
        fleet.wait_caught_up()
        two.execute("INSERT INTO notes VALUES (1, 'two')")
        fleet.wait_caught_up()
        assert shown() == [(1, "two", "jetson-02"), (2, "alone", "jetson-01")]
        number = str(fleet.centre.db.value("SELECT id FROM pmoves_sync.conflict_log WHERE state = 'open'"))
        assert "jetson-02" in fleet.subscriber.must("conflicts", "list", "--open")
        siblings = fleet.subscriber.must("conflicts", "show", number).split("reports, the newest first:")[1]
        assert siblings.index("jetson-02") < siblings.index('"body": "two"') < siblings.index("jetson-01") < siblings.index('"body": "one"')
        told = fleet.subscriber.must("conflicts", "pick", number, "--source", "jetson-01", "--note", "it was first")
        assert "1 open conflicts of the row are resolved" in told
        decided = [(1, "one", "central"), (2, "alone", "jetson-01")]
        assert shown() == decided
        assert "jetson" not in fleet.subscriber.must("conflicts", "list", "--open")
        assert "picked jetson-01: it was first" in fleet.subscriber.must("conflicts", "show", number)
        fleet.subscriber.kill9()
        fleet.subscriber.start()
        three.execute("INSERT INTO notes VALUES (3, 'three')")
        fleet.wait_caught_up()
        assert shown() == decided + [(3, "three", "jetson-03")], "nothing takes it back by itself"
        two.execute("UPDATE notes SET body = 'two again' WHERE id = 1")
        fleet.wait_caught_up()
        assert shown()[0] == (1, "two again", "jetson-02")
        assert fleet.centre.db.value("SELECT count(*) FROM pmoves_sync.conflict_log WHERE state = 'open'") == 1
        assert fleet.centre.dead_letters() == []


def test_a_change_of_the_clock_loses_no_later_change_of_the_same_source():
    """The stamps of the new clock are older than the versions that are there."""
    schema = "CREATE TABLE notes (id int PRIMARY KEY, body text, updated_at timestamptz)"
    for rule in ({"table": "notes"}, {"table": "notes", "delete": "own-only"}):
        with three_edges(schema, ["notes"], [rule]) as fleet:
            one = fleet.edges[0].db

            def restart_with(version):
                fleet.subscriber.terminate()
                fleet.centre.subscribers.clear()
                fleet.centre.add_subscriber([dict(rule, version=version)]).start()

            one.execute("INSERT INTO notes VALUES (1, 'by commit', '2001-01-01')")
            fleet.wait_caught_up()
            for version in ("column:updated_at", "arrival", "commit"):
                restart_with(version)
                one.execute("UPDATE notes SET body = %s", (version,))
                fleet.wait_caught_up()
                assert fleet.centre.db.query("SELECT body FROM notes") == [(version,)], rule
            assert fleet.centre.dead_letters() == []
