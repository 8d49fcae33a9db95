"""The catalog of an edge moves while rows flow: each change is read by the definition of its own place in the WAL."""

import json
import threading

import pytest
from harness import MARKER_TABLE, wait_until

BIG = "repeat(md5(i::text) || 'x', 4000)"


def messages(fleet, until):
    """The bodies of all row messages, once a marker row that is written now is stored."""
    fleet.edge.db.execute(f"INSERT INTO {MARKER_TABLE} VALUES ('m', {until})")
    found = []

    def read():
        found.clear()
        marks = 0
        with fleet.nats.client() as client:
            state = client.stream_state("SYNC_jetson-01")
            parts = ""
            for sequence in range(state["first_seq"], state["last_seq"] + 1):
                subject, headers, body = client.stream_message("SYNC_jetson-01", sequence)
                if ".~." in subject:
                    continue
                parts += body if isinstance(body, str) else body.decode()
                if "Sync-Part" in headers and headers.get("Sync-Last") is None and not parts.endswith("}"):
                    continue
                found.append(json.loads(parts))
                parts = ""
                if found[-1]["table"] == MARKER_TABLE:
                    marks = max([marks, *(row["round"] for row in found[-1]["data"])])
        return marks >= until

    wait_until(read, 60, "the marker row is stored", fleet.diagnose)
    return [body for body in found if body["table"] != MARKER_TABLE]


def rows(bodies, table, operation=None):
    return [row for body in bodies if body["table"] == table and operation in (None, body["operation"])
            for row in body.get("data", body.get("keys"))]


CHANGES = f"""
CREATE TABLE late (id int PRIMARY KEY, v text);
INSERT INTO late VALUES (1, 'new table');
CREATE TABLE filled AS SELECT 1 AS id, 'rows before the mark'::text AS v;
ALTER TABLE filled ADD PRIMARY KEY (id);
ALTER TABLE renamed RENAME TO renamed_since;
INSERT INTO renamed_since VALUES (2, 'after');
INSERT INTO dropped VALUES (1, 'before DROP');
DROP TABLE dropped;
ALTER TABLE reading ADD COLUMN v float8;
INSERT INTO reading VALUES (1, 1, 'NaN');
ALTER TABLE reading ALTER n TYPE float8;
INSERT INTO reading VALUES (2, 'Infinity', 'NaN');
BEGIN;
ALTER TABLE doc ADD COLUMN body text, ALTER body SET STORAGE EXTERNAL;
INSERT INTO doc SELECT i, 0, {BIG} FROM generate_series(1, 1) i;
UPDATE doc SET n = 1 WHERE id = 1;
COMMIT;
UPDATE doc SET n = 2 WHERE id = 1;
BEGIN ISOLATION LEVEL REPEATABLE READ;
ALTER TABLE strict ADD COLUMN a text;
ALTER TABLE strict ADD COLUMN f float8;
INSERT INTO strict VALUES (1, 'x', 'NaN');
COMMIT;
INSERT INTO wide VALUES (1, 1, 'narrow key');
ALTER TABLE wide DROP CONSTRAINT wide_pkey, ADD PRIMARY KEY (a, b);
UPDATE wide SET b = 2;
DELETE FROM wide;
INSERT INTO plain SELECT i, {BIG} FROM generate_series(1, 1) i;
ALTER TABLE plain ADD COLUMN n int;
UPDATE plain SET n = 1;
DROP TABLE swapped;
ALTER TABLE other RENAME TO swapped;
INSERT INTO swapped VALUES (1, 'NaN');
DO $$ BEGIN
  BEGIN
    ALTER TABLE sub ADD COLUMN gone text;
    RAISE EXCEPTION 'back';
  EXCEPTION WHEN raise_exception THEN NULL;
  END;
  ALTER TABLE sub ADD COLUMN f float8;
  INSERT INTO sub VALUES (1, 'NaN');
END $$;
"""
TABLES = """
CREATE TABLE renamed (id int PRIMARY KEY, v text);
CREATE TABLE dropped (id int PRIMARY KEY, v text);
CREATE TABLE reading (id int PRIMARY KEY, n int);
CREATE TABLE doc (id int PRIMARY KEY, n int);
CREATE TABLE wide (a int PRIMARY KEY, b int NOT NULL, v text);
CREATE TABLE plain (id int PRIMARY KEY, v text);
ALTER TABLE plain ALTER v SET STORAGE EXTERNAL;
CREATE TABLE swapped (id int PRIMARY KEY, v text);
CREATE TABLE other (id int PRIMARY KEY, f float8);
CREATE TABLE strict (id int PRIMARY KEY);
CREATE TABLE sub (id int PRIMARY KEY);
"""


def statements():
    """One at a time, but for what belongs together."""
    script, block = [], ""
    for line in CHANGES.strip().splitlines():
        block += line + "\n"
        opened = block.startswith(("BEGIN", "DO"))
        if (not opened and line.endswith(";")) or line in ("COMMIT;", "END $$;"):
            script.append(block)
            block = ""
    assert not block
    return script


def check_changes(bodies):
    assert rows(bodies, "late") == [{"id": 1, "v": "new table"}]
    assert rows(bodies, "filled") == [{"id": 1, "v": "rows before the mark"}]
    assert rows(bodies, "renamed") == [{"id": 1, "v": "before RENAME"}]
    assert rows(bodies, "renamed_since") == [{"id": 2, "v": "after"}]
    assert rows(bodies, "dropped") == [{"id": 1, "v": "before DROP"}]
    assert rows(bodies, "reading") == [{"id": 1, "n": 1, "v": "NaN"}, {"id": 2, "n": "Infinity", "v": "NaN"}]
    updates = [body for body in bodies if body["table"] == "doc" and body["operation"] == "UPDATE"]
    assert [body["unchanged"] for body in updates] == [["body"]] * len(updates)
    assert [row for body in updates for row in body["data"]] == [{"id": 1, "n": 1}, {"id": 1, "n": 2}]
    assert rows(bodies, "strict") == [{"id": 1, "a": "x", "f": "NaN"}]
    widened = [body for body in bodies if body["table"] == "wide"]
    assert [body.get("keys") for body in widened] == [None, [{"a": 1, "b": 1}], [{"a": 1, "b": 2}]]
    assert [body["unchanged"] for body in bodies if body["table"] == "plain" and body["operation"] == "UPDATE"] == [["v"]]
    assert rows(bodies, "swapped") == [{"id": 1, "f": "NaN"}]
    assert rows(bodies, "sub") == [{"id": 1, "f": "NaN"}]


@pytest.mark.parametrize("backlog", [False, True], ids=["streaming", "backlog"])
def test_changes_around_ddl_keep_their_meaning(new_fleet, backlog):
    fleet = new_fleet()
    fleet.add_edge(schema=TABLES, tables=["public.*"])
    fleet.start()
    if backlog:
        fleet.publisher.terminate()
    fleet.edge.db.execute("INSERT INTO renamed VALUES (1, 'before RENAME')")
    for statement in statements():
        fleet.edge.db.execute(statement)
    if backlog:
        fleet.publisher.start()
    check_changes(messages(fleet, 1))


def test_a_new_table_is_not_lost_while_its_commit_is_not_visible(new_fleet):
    """With a synchronous standby that is away the WAL tells of a commit that no session sees."""
    fleet = new_fleet()
    edge = fleet.add_edge(schema="CREATE TABLE t (id int PRIMARY KEY)", tables=["public.*"])
    fleet.start()
    edge.db.reload(synchronous_standby_names="nobody")
    wait_until(lambda: edge.db.value("SHOW synchronous_standby_names") == "nobody", 30, "the standby is asked for", fleet.diagnose)
    sql = "CREATE TABLE fresh (id int PRIMARY KEY, f float8); INSERT INTO fresh VALUES (1, 'NaN')"
    writer = threading.Thread(target=lambda: edge.db.execute(sql))
    writer.start()
    try:
        wait_until(lambda: edge.db.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") > 0, 30,
                   "the commit waits", fleet.diagnose)
        sent = edge.db.value("SELECT pg_current_wal_flush_lsn()::text")
        wait_until(lambda: edge.db.value("SELECT coalesce(bool_or(sent_lsn >= %s::pg_lsn), false) FROM pg_stat_replication", (sent,)), 30,
                   "the walsender has sent it", fleet.diagnose)
    finally:
        edge.db.reload(synchronous_standby_names="")
        writer.join()
    assert rows(messages(fleet, 1), "fresh") == [{"id": 1, "f": "NaN"}]


def test_an_inherits_child_whose_rows_are_not_captured_is_refused_by_name(new_fleet):
    fleet = new_fleet()
    edge = fleet.add_edge(schema="CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent)",
                          tables=["parent"])
    done = edge.publisher.run_verb("check")
    assert done.returncode == 1 and "INHERITS child public.child" in done.stdout, done.stdout
    edge.db.execute("ALTER TABLE child NO INHERIT parent")
    fleet.start()


def test_messages_of_others_cost_nothing_and_forge_nothing(new_fleet):
    fleet = new_fleet()
    edge = fleet.add_edge(schema="CREATE TABLE t (id int PRIMARY KEY)", tables=["public.*"])
    fleet.start()
    edge.db.execute("CREATE ROLE anybody LOGIN")
    edge.db.execute("SELECT pg_logical_emit_message(true, 'pmoves_sync', repeat(E'\\x01', 180000000)) IS NULL", user="anybody")
    edge.db.execute("INSERT INTO t VALUES (1)")
    assert rows(messages(fleet, 1), "t") == [{"id": 1}]
    assert not edge.db.value("SELECT has_table_privilege('anybody', 'pmoves_sync.wal_prefix', 'SELECT')")
    assert fleet.publisher.rss_bytes() < 200 << 20


def test_a_role_without_rights_uses_the_trigger_of_a_superuser_and_goes_on_without_it(new_fleet):
    """Once without the trigger: what cannot be known is sent as the WAL has it. Then with what `init` prints."""
    fleet = new_fleet()
    edge = fleet.add_edge(schema="CREATE TABLE t (id int PRIMARY KEY); CREATE ROLE app LOGIN REPLICATION;"
                                 "GRANT CREATE ON DATABASE postgres TO app; GRANT pg_read_all_data TO app", tables=["public.*"])
    edge.publisher.configure({"postgres": {"dsn": edge.db.dsn(user="app")}})
    printed = edge.publisher.must("init")
    edge.publisher.start()
    edge.publisher.wait_ready()
    edge.publisher.terminate()
    edge.db.execute("CREATE TABLE gone (id int PRIMARY KEY, v text); INSERT INTO gone VALUES (1, 'x'); DROP TABLE gone")
    edge.publisher.start()
    assert rows(messages(fleet, 1), "gone") == [{"id": 1, "v": "x"}]
    edge.publisher.terminate()
    assert "pmoves_sync_ddl" in printed
    edge.db.execute(printed[printed.index("BEGIN;"):printed.index("COMMIT;") + 7])
    edge.db.execute("ALTER TABLE t ADD COLUMN f float8; INSERT INTO t VALUES (1, 'NaN'); ALTER TABLE t ALTER f TYPE int USING 5")
    edge.publisher.start()
    assert len(rows(messages(fleet, 2), "t")) == 1
    assert "history.mismatch" not in edge.publisher.log_text()
    assert "PASS" in next(line for line in edge.publisher.run_verb("check").stdout.splitlines() if "definitions" in line)
