"""Dead letters: which later changes settle them, what a retry gives, how fast it goes."""

import pytest

from harness import Fleet, wait_until
from test_poison import letters_of, wait_letters

SALE = "CREATE TABLE {} (id int PRIMARY KEY, amount int, note text, gone_at timestamptz)"
# What each policy does not carry out, or what it needs every change for.
POLICIES = {
    "audit": {"conflict": "append-only"},
    "kept": {"delete": "ignore"},
    "filled": {"truncate": "ignore"},
    "soft": {"delete": "soft", "soft_delete_column": "gone_at"},
    "held": {"columns": {"note": {"conflict": "value-priority", "values": ["running"], "scope": "absorbing"}}},
    "plain": {},
}


def bounded(schema):
    return schema.replace("amount int", "amount int CONSTRAINT small CHECK (amount < 1000)")


def unbind(fleet, table):
    fleet.centre.db.execute(f"ALTER TABLE {table} DROP CONSTRAINT small")


def retry(fleet, letter):
    return fleet.subscriber.must("dead-letters", "retry", str(letter["id"])).strip().split(": ", 1)[1]


@pytest.fixture(name="fleet", scope="module")
def fleet_of_policies(scratch):
    schema = ";".join(SALE.format(table) for table in POLICIES)
    fleet = Fleet.pair(schema, list(POLICIES), scratch=scratch.area(), centre_schema=bounded(schema),
                       subscriber_tables=[{"table": table} | policy for table, policy in POLICIES.items()])
    with fleet:
        yield fleet.start()


def open_of(fleet, table):
    return [(letter["operation"], letter["reason"]) for letter in letters_of(fleet, state="open", table_name=table)]


def test_what_append_only_leaves_out_settles_no_letter(fleet):
    edge = fleet.edge.db
    edge.execute("INSERT INTO audit VALUES (1, 5000, 'first')")
    edge.execute("UPDATE audit SET amount = 10")
    edge.execute("DELETE FROM audit")
    edge.execute("INSERT INTO audit VALUES (1, 20, 'again')")   # the older insert is the row
    edge.execute("TRUNCATE audit")
    fleet.wait_caught_up()
    assert open_of(fleet, "audit") == [("UPSERT", "constraint")], fleet.diagnose()
    unbind(fleet, "audit")
    assert retry(fleet, letters_of(fleet, table_name="audit")[0]) == "applied"
    assert fleet.centre.db.query("SELECT id, amount, note FROM audit") == [(1, 5000, "first")]


@pytest.mark.parametrize("table, statement", [("kept", "DELETE FROM kept"), ("filled", "TRUNCATE filled")])
def test_a_change_that_the_policy_ignores_settles_no_letter(fleet, table, statement):
    fleet.edge.db.execute(f"INSERT INTO {table} VALUES (1, 5000, 'x')")
    fleet.edge.db.execute(statement)
    fleet.wait_caught_up()
    assert open_of(fleet, table) == [("UPSERT", "constraint")], fleet.diagnose()
    unbind(fleet, table)
    assert retry(fleet, letters_of(fleet, table_name=table)[0]) == "applied"
    assert fleet.centre.db.query(f"SELECT id, amount FROM {table}") == [(1, 5000)]


def test_a_soft_delete_waits_behind_the_row_that_it_does_not_bring(fleet):
    edge = fleet.edge.db
    edge.execute("INSERT INTO soft VALUES (1, 5000, 'x')")
    edge.execute("DELETE FROM soft")
    fleet.wait_caught_up()
    assert open_of(fleet, "soft") == [("UPSERT", "constraint"), ("DELETE", "joined")], fleet.diagnose()
    insert, delete = letters_of(fleet, table_name="soft")
    refused = fleet.subscriber.run_verb("dead-letters", "retry", str(delete["id"]))
    assert refused.returncode != 0 and f"dead letter {insert['id']}" in refused.stdout
    unbind(fleet, "soft")
    fleet.subscriber.must("dead-letters", "retry", str(insert["id"]))
    fleet.subscriber.must("dead-letters", "retry", str(delete["id"]))
    assert fleet.centre.db.query("SELECT id, amount, gone_at IS NULL FROM soft") == [(1, 5000, False)]


def test_what_a_rule_remembers_is_not_lost_with_the_letter(fleet):
    edge = fleet.edge.db
    edge.execute("INSERT INTO held VALUES (1, 5000, 'running')")
    fleet.wait_caught_up()
    assert open_of(fleet, "held") == [("UPSERT", "constraint")]
    edge.execute("UPDATE held SET amount = 1, note = 'done'")   # 'running' was reported, and can never leave again
    fleet.wait_caught_up()
    assert fleet.centre.db.query("SELECT id, amount, note FROM held") == [(1, 1, "running")], fleet.diagnose()
    assert open_of(fleet, "held") == []


def test_what_brings_the_whole_row_or_its_end_settles_a_letter(fleet):
    edge = fleet.edge.db
    edge.execute("INSERT INTO plain VALUES (1, 5000, 'x'), (2, 5000, 'x'), (3, 5000, 'x')")
    edge.execute("UPDATE plain SET amount = 1 WHERE id = 1; DELETE FROM plain WHERE id = 2")
    fleet.wait_caught_up()
    assert open_of(fleet, "plain") == [("UPSERT", "constraint")], fleet.diagnose()
    edge.execute("TRUNCATE plain")
    fleet.wait_equal(["plain"])
    assert open_of(fleet, "plain") == []


def test_a_conflict_that_came_before_the_partition_of_its_day_is_moved_there(fleet):
    centre = fleet.centre.db
    today = centre.value("SELECT 'conflict_log_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')")
    centre.execute(f"DROP TABLE pmoves_sync.{today}")
    row = centre.value("INSERT INTO pmoves_sync.conflict_log (type, resolution, lossy, schema_name, table_name, key, remote_source, "
                       "remote_version) VALUES ('insert_exists', 'keep_local', true, 'public', 'plain', '{}', 'x', 1) RETURNING id")
    where = "SELECT tableoid::regclass::text FROM pmoves_sync.conflict_log WHERE id = %s"
    assert centre.value(where, (row,)) == "pmoves_sync.conflict_log_default"
    assert centre.value("SELECT pmoves_sync.maintain_conflict_log('30 days')") == 1
    assert centre.value(where, (row,)) == f"pmoves_sync.{today}"
    assert centre.value("SELECT pmoves_sync.maintain_conflict_log('30 days')") == 0
    fleet.subscriber.must("init")


DOC = ("CREATE TABLE doc (id int PRIMARY KEY, amount int, note text, body text); ALTER TABLE doc ALTER body SET STORAGE EXTERNAL;"
       "CREATE TABLE stamped (id int PRIMARY KEY, amount int, note text, updated_at timestamptz)")


def test_a_transaction_that_is_set_aside_keeps_its_columns_and_its_place(new_pair):
    """A later update that leaves large values out was laid over a row without them, and the retry said 'applied'; with a version
    column the retry put an older row over a newer one."""
    fleet = new_pair(DOC, ["doc", "stamped"], centre_schema=bounded(DOC), subscriber_tables=[
        {"table": "doc", "on_error": "transaction"},
        {"table": "stamped", "on_error": "transaction", "version": "column:updated_at"}])
    fleet.start()
    edge, centre = fleet.edge.db, fleet.centre.db
    edge.execute("INSERT INTO doc VALUES (1, 1, 'old', repeat('o', 3000)); INSERT INTO stamped VALUES (1, 1, 'old', '2026-01-01')")
    fleet.wait_caught_up()
    fleet.publisher.terminate()   # what a refetch would mend is not to be mended here
    edge.execute("UPDATE doc SET body = repeat('n', 3000) WHERE id = 1; INSERT INTO doc VALUES (2, 5000, 'bad', 'x')")
    edge.execute("UPDATE doc SET note = 'newest' WHERE id = 1")
    edge.execute("UPDATE stamped SET note = 'older', updated_at = '2026-06-01'; INSERT INTO stamped VALUES (2, 5000, 'bad', now())")
    edge.execute("UPDATE stamped SET note = 'newest', updated_at = '2026-03-01' WHERE id = 1")
    fleet.publisher.start()
    fleet.wait_caught_up()
    letters = letters_of(fleet, table_name="doc")
    assert ["joined" in letter["message"] for letter in letters if letter["key"] == '{"id":"1"}'] == [False, True], letters
    for table in ("doc", "stamped"):
        unbind(fleet, table)
    fleet.subscriber.must("dead-letters", "retry", "--all")
    assert letters_of(fleet, state="open") == []
    fleet.wait_equal()
    assert centre.query("SELECT note, left(body, 1) FROM doc WHERE id = 1") == [("newest", "n")]


def test_thousands_of_letters_are_retried_in_one_go(new_pair):
    schema = SALE.format("sale")
    fleet = new_pair(schema, ["sale"], centre_schema=bounded(schema))
    fleet.start()
    fleet.edge.db.execute("INSERT INTO sale SELECT i, 5000, 'x' FROM generate_series(1, 2000) i; INSERT INTO sale VALUES (3000, 9000, 'y')")
    fleet.wait_caught_up()
    wait_letters(fleet, 2001, state="open")
    fleet.centre.db.execute("ALTER TABLE sale DROP CONSTRAINT small, ADD CONSTRAINT small CHECK (amount < 6000)")
    commits = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    before = fleet.centre.db.value(commits)
    done = fleet.subscriber.run_verb("dead-letters", "retry", "--all")
    assert done.returncode == 1 and done.stdout.count(": applied") == 2000, done.stdout[-500:]
    assert "2001 of 2001 dead letters retried, 1 of them stay open" in done.stderr
    assert [letter["sqlstate"] for letter in letters_of(fleet, state="open")] == ["23514"]
    assert fleet.centre.db.value("SELECT count(*) FROM sale") == 2000
    assert fleet.centre.db.value(commits) - before < 1500, "not a commit per letter"
    settled_ones_are_forgotten_in_time(fleet)


def settled_ones_are_forgotten_in_time(fleet):
    """Those that were settled long ago go with their payloads; open ones stay, however old."""
    centre = fleet.centre.db
    centre.execute("UPDATE pmoves_sync.dead_letter SET resolved_at = resolved_at - interval '91 days' WHERE id % 2 = 0 AND state <> 'open'")
    centre.execute("UPDATE pmoves_sync.dead_letter SET created_at = created_at - interval '9 years' WHERE state = 'open'")
    old = centre.value("SELECT count(*) FROM pmoves_sync.dead_letter WHERE resolved_at < now() - interval '90 days'")
    assert old >= 999
    fleet.subscriber.terminate()
    fleet.subscriber.start()
    wait_letters(fleet, 2001 - old)
    assert len(letters_of(fleet, state="open")) == 1
    wait_until(lambda: fleet.subscriber.metric("pmoves_sync_dead_letters_forgotten_total") == old, 10, "it is counted", fleet.diagnose)
