"""Rows that the publisher reads again over SQL: NaN that wal2json writes as null, and rows that the centre asks for."""

import json

from harness import wait_until

# As keys: the texts of wal2json and of SQL differ for many of them, and so do the places of their operators. (interval, jsonb and reg* are no keys for
# the centre: subscriber/core/key_types.)
KEYS = {
    "boolean": "true", "bytea": r"\x0001ff", "bit(3)": "101", "bit varying": "1101", "money": "$1,234.50", "\"char\"": "z",
    "char(6)": "ab", "varchar(9)": "a\"b\\c", "name": "x", "text": "über", "ext.citext": "Abc", "ext.ltree": "a.b",
    "int4": "-7", "int8": "9007199254740993", "numeric(20,3)": "12345678901234567.500", "float8": "-1e-300", "float4": "0.1",
    "date": "2026-02-03", "timestamp": "2026-02-03 04:05:06.789", "timestamptz": "2026-02-03 04:05:06.789+05",
    "time": "24:00:00", "timetz": "04:05:06+02", "uuid": "00000000-0000-0000-0000-00000000abcd",
    "inet": "10.0.0.1/8", "macaddr": "08:00:2b:01:02:03", "int4range": "[1,5)", "int4[]": "{1,-2}",
    "text[]": '{a,"b c",NULL}', "ext.mood": "sad", "ext.pair": '(1,"a,b")', "ext.percent": "7", "ext.shout": "HO", "ext.raw": r"\x5c",
    "oid": "4000000000", "pg_lsn": "0/1F", "bool[]": "{t,f}", "ext.mood[]": "{sad,NULL}",
}
EXTRA_TYPES = """CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext; CREATE EXTENSION ltree SCHEMA ext;
CREATE TYPE ext.mood AS ENUM ('sad', 'glad'); CREATE TYPE ext.pair AS (a int, b text); CREATE DOMAIN ext.percent AS int CHECK (value < 101);
CREATE DOMAIN ext.shout AS text COLLATE "C" CHECK (value = upper(value)); CREATE DOMAIN ext.raw AS bytea;"""


def make_keys(db):
    db.execute(EXTRA_TYPES)
    for number, name in enumerate(KEYS):
        # A second key column: also those that are not the only one must be found.
        db.execute(f"CREATE TABLE k{number} (k {name}, b boolean, f float8, n numeric, PRIMARY KEY (k, b))")


def test_nan_is_found_by_a_key_of_every_type(new_pair):
    tables = [f"k{number}" for number in range(len(KEYS))]
    fleet = new_pair(make_keys, tables)
    fleet.start()
    for number, (name, text) in enumerate(KEYS.items()):
        for b, f, n in (("true", "NaN", "1"), ("false", "-Infinity", "NaN"), (None, None, None)):
            if b:
                fleet.edge.db.execute(f"INSERT INTO k{number} VALUES (%s::text::{name}, %s::boolean, %s::float8, %s::numeric)", (text, b, f, n))
    fleet.wait_equal()
    assert fleet.centre.dead_letters() == []
    assert fleet.publisher.metric("pmoves_sync_source_nonfinite_unread_total") == 0


def nulls_in_the_centre(fleet):
    return fleet.centre.db.value("SELECT count(*) FROM reading WHERE f IS NULL")


def test_a_locked_table_holds_up_only_its_own_rows(new_pair):
    schema = "CREATE TABLE reading (id int PRIMARY KEY, f float8, note text); CREATE TABLE other (id int PRIMARY KEY, v text)"
    fleet = new_pair(schema, ["reading", "other"])
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO reading VALUES (1, 1, 'was here')")
    fleet.wait_equal()
    fleet.publisher.terminate()
    edge.execute("INSERT INTO reading VALUES (2, 'NaN', 'new'); UPDATE reading SET f = 'NaN', note = 'changed' WHERE id = 1;"
                 "INSERT INTO reading VALUES (3, NULL, 'a real NULL')")
    edge.execute("INSERT INTO other VALUES (1, 'behind it')")
    with edge.cursor(autocommit=False) as lock:
        lock.execute("LOCK TABLE reading IN ACCESS EXCLUSIVE MODE")
        fleet.publisher.start()
        fleet.wait_caught_up()
        assert fleet.centre.db.query("SELECT v FROM other") == [("behind it",)]
        # Nothing was guessed: what stood there stands, what is new is not there yet, and it is said.
        assert fleet.centre.db.query("SELECT id, f, note FROM reading") == [(1, 1.0, "was here")]
        letters = fleet.centre.dead_letters()
        assert {(letter["reason"], letter["state"]) for letter in letters} == {("unread", "open")} and len(letters) == 3
        assert fleet.publisher.metric("pmoves_sync_source_nonfinite_unread_total") == 3
        assert "reading" in fleet.publisher.log_text() and "cannot be read again" in fleet.publisher.log_text()
        edge.execute("INSERT INTO other VALUES (2, 'still')")
        fleet.wait_caught_up()
        assert fleet.publisher.metric("pmoves_sync_sessions_total") == 1
        status = json.loads(fleet.publisher.http("/status")[1])
        assert status["state"] == "streaming", status
    wait_until(lambda: all(letter["state"] != "open" for letter in fleet.centre.dead_letters()), 90, "all letters are settled", fleet.diagnose)
    fleet.wait_equal()
    assert nulls_in_the_centre(fleet) == 1


def test_without_the_right_to_read_nothing_is_guessed(new_pair):
    fleet = new_pair("CREATE TABLE reading (id int PRIMARY KEY, f float8, note text)", ["reading"])
    edge = fleet.edge.db
    edge.execute("CREATE ROLE plain LOGIN REPLICATION; GRANT CREATE ON DATABASE postgres TO plain")
    fleet.subscriber.must("init")
    fleet.publisher.must("init")
    edge.execute("ALTER SCHEMA pmoves_sync OWNER TO plain; ALTER TABLE pmoves_sync.publisher_state OWNER TO plain")
    fleet.publisher.configure({"postgres": {"dsn": edge.dsn(user="plain")}})
    for program in fleet.programs():
        program.start()
    edge.execute("INSERT INTO reading VALUES (1, 'NaN', 'x'), (2, 2, 'y')")
    fleet.wait_caught_up()
    assert fleet.centre.db.query("SELECT id, f FROM reading") == [(2, 2.0)]
    edge.execute("GRANT SELECT ON reading TO plain")
    wait_until(lambda: fleet.centre.db.value("SELECT f = 'NaN' FROM reading WHERE id = 1"), 90, "the row came", fleet.diagnose)


def test_a_row_is_refetched_although_the_replica_identity_is_wider_than_the_key(new_pair):
    schema = ("CREATE TABLE doc (id int PRIMARY KEY, b boolean NOT NULL, kind char(4) NOT NULL, body text, n int);"
              "ALTER TABLE doc ALTER body SET STORAGE EXTERNAL; CREATE UNIQUE INDEX wide ON doc (kind, b, id);")
    fleet = new_pair(schema + "ALTER TABLE doc REPLICA IDENTITY USING INDEX wide", ["doc"], centre_schema=schema)
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO doc SELECT i, true, 'a', repeat(i || 'x', 5000), 0 FROM generate_series(1, 5) i")
    fleet.wait_equal()
    fleet.centre.db.execute("DELETE FROM doc WHERE id < 3")
    edge.execute("UPDATE doc SET n = 1; UPDATE doc SET kind = 'b' WHERE id = 2")
    fleet.wait_caught_up()
    wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM doc WHERE n = 1") == 5, 60, "the rows came", fleet.diagnose)
    fleet.wait_equal()
    assert all(letter["state"] != "open" for letter in fleet.centre.dead_letters())


def test_nan_in_a_key_costs_only_its_own_row(new_pair):
    # One such row took all rows of its message with it.
    fleet = new_pair("CREATE TABLE m (k float8, j int, v text, PRIMARY KEY (k, j)); CREATE TABLE s (k numeric PRIMARY KEY)", ["m", "s"])
    fleet.start()
    edge, centre = fleet.edge.db, fleet.centre.db
    edge.execute("INSERT INTO m VALUES (1, 1, 'a'), ('NaN', 2, 'b'), (3, 3, 'c'), ('Infinity', 4, 'd'), (5, 5, 'e'); INSERT INTO s VALUES ('NaN'), (2)")
    fleet.wait_caught_up()
    assert centre.query("SELECT j FROM m ORDER BY j") == [(1,), (3,), (5,)] and centre.query("SELECT k FROM s") == [(2,)]
    edge.execute("UPDATE m SET v = v || '!'; UPDATE m SET k = 'NaN' WHERE j = 1; UPDATE m SET k = 2 WHERE j = 2; DELETE FROM m WHERE j > 3")
    fleet.wait_caught_up()
    assert (3, "c!") in centre.query("SELECT j, v FROM m") and centre.value("SELECT count(*) FROM m WHERE j = 5") == 0
    letters = fleet.centre.dead_letters()
    assert {letter["kind"] for letter in letters} == {"row"} and {letter["reason"] for letter in letters} == {"unread_key"}, letters
    assert len(letters) >= 7
