"""Acceptance 1: values of every type and names of every kind arrive in the centre exactly as they were."""

import pytest
from psycopg2 import sql

from harness import assert_equal, difference
from type_samples import ARRAYS, BUILT_IN, NOT_FOR_TABLES, USER_TYPES, USER_TYPES_SQL

# A database may have set any of these; none may change what arrives.
HOSTILE_SETTINGS = """
ALTER DATABASE postgres SET bytea_output = 'escape';
ALTER DATABASE postgres SET datestyle = 'SQL, DMY';
ALTER DATABASE postgres SET intervalstyle = 'iso_8601';
ALTER DATABASE postgres SET extra_float_digits = -5;
ALTER DATABASE postgres SET timezone = 'Asia/Kathmandu';
ALTER DATABASE postgres SET xmlbinary = 'hex';
ALTER DATABASE postgres SET search_path = pg_catalog;
ALTER ROLE postgres SET client_min_messages = 'error';
ALTER ROLE postgres SET standard_conforming_strings = off;
"""


def fill(db, table, types):
    """Row k holds the k-th sample of each type that has so many, NULL for the others; row -1 holds NULLs only."""
    rows = max(len(samples) for samples in types.values())
    with db.cursor(autocommit=False) as cursor:
        cursor.execute(sql.SQL("INSERT INTO {} (n) VALUES (-1)").format(sql.Identifier("public", table)))
        for row in range(rows):
            present = {name: samples[row] for name, samples in types.items() if row < len(samples)}
            columns = [sql.Identifier(f"v {name}") for name in present]
            values = [sql.SQL("{}::text::{}").format(sql.Literal(text), sql.SQL(name)) for name, text in present.items()]
            cursor.execute(sql.SQL("INSERT INTO {} (n, {}) VALUES ({}, {})").format(
                sql.Identifier("public", table), sql.SQL(", ").join(columns), sql.Literal(row), sql.SQL(", ").join(values)))
    return rows


def make_tables(families, hostile=True):
    def make(db):
        with db.cursor() as cursor:
            cursor.execute(USER_TYPES_SQL)
            for table, types in families.items():
                columns = [sql.SQL("{} {}").format(sql.Identifier(f"v {name}"), sql.SQL(name)) for name in types]
                cursor.execute(sql.SQL("CREATE TABLE {} (n int PRIMARY KEY, touched int DEFAULT 0, {})").format(
                    sql.Identifier("public", table), sql.SQL(", ").join(columns)))
        if hostile:
            db.execute(HOSTILE_SETTINGS)
    return make


def families():
    arrays = {f"{name}[]": ["{}", *ARRAYS.get(name, [])] for name in BUILT_IN}
    user_arrays = {f"{name}[]": ["{}", "{NULL}"] for name in USER_TYPES}
    for name in ("\"Sch.ema x\".\"Mo od\"", "pair", "label", "citext"):
        user_arrays[f"{name}[]"].append('{"(1,\\"a,b\\")"}' if name == "pair" else '{sad,NULL}')
    return {"built_in": BUILT_IN, "arrays": arrays, "user_types": USER_TYPES, "user_arrays": user_arrays}


def test_every_type_of_the_server_is_in_the_zoo(new_pair):
    fleet = new_pair("SELECT 1", [])
    known = {name for (name,) in fleet.edge.db.query(
        "SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm') "
        "AND typname !~ '^_'")}
    ours = {name.strip('"') for name in BUILT_IN}
    assert known - ours - NOT_FOR_TABLES == set()


def test_all_types_arrive_by_insert_by_update_and_under_hostile_settings(new_pair):
    tables = families()
    fleet = new_pair(make_tables(tables), list(tables))
    edge = fleet.edge.db
    fleet.start()
    for table, types in tables.items():
        fill(edge, table, types)
    fleet.wait_equal()
    # An UPDATE carries the whole row; one that rotates the values between rows writes each value over another one.
    for table, types in tables.items():
        rows = max(len(samples) for samples in types.values())
        edge.execute(sql.SQL("UPDATE {} SET touched = touched + 1").format(sql.Identifier("public", table)))
        columns = [sql.Identifier(f"v {name}") for name in types]
        edge.execute(sql.SQL("UPDATE {0} t SET ({1}) = (SELECT {1} FROM {0} o WHERE o.n = (t.n + 2) % {2} - 1)").format(
            sql.Identifier("public", table), sql.SQL(", ").join(columns), sql.Literal(rows + 1)))
    fleet.wait_equal()
    assert fleet.centre.dead_letters() == []


def test_sixty_columns(new_pair):
    columns = ", ".join(f"c{i} {'text' if i % 3 else 'int'}" for i in range(60))
    fleet = new_pair(f"CREATE TABLE wide (id int PRIMARY KEY, {columns})", ["wide"])
    fleet.start()
    values = ", ".join(f"'{i}'" if i % 3 else "i" for i in range(60))
    fleet.edge.db.execute(f"INSERT INTO wide SELECT i, {values} FROM generate_series(1, 500) i")
    fleet.edge.db.execute("UPDATE wide SET c1 = c1 || id, c59 = NULL WHERE id % 2 = 0")
    fleet.wait_equal()


def test_text_of_forty_megabytes(new_pair):
    fleet = new_pair("CREATE TABLE big (id int PRIMARY KEY, note text, body text, raw bytea)", ["big"])
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO big VALUES (1, 'small', repeat('ü\"\\' || chr(10), 8000000), NULL)")
    edge.execute("INSERT INTO big SELECT 2, 'bytes', NULL, decode(repeat('00ff5c', 1000000), 'hex')")
    fleet.wait_equal(deadline=120)
    assert fleet.centre.db.value("SELECT octet_length(body) FROM big WHERE id = 1") == 40_000_000
    edge.execute("UPDATE big SET note = 'the body did not change'")
    edge.execute("UPDATE big SET body = substr(body, 2) WHERE id = 1")
    edge.execute("DELETE FROM big WHERE id = 2")
    fleet.wait_equal(deadline=120)


def test_unchanged_toast_stays(new_pair):
    fleet = new_pair("CREATE TABLE doc (id int PRIMARY KEY, n int, body text, more text);"
                     "ALTER TABLE doc ALTER body SET STORAGE EXTERNAL, ALTER more SET STORAGE EXTERNAL", ["doc"])
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO doc SELECT i, 0, repeat(i || 'x', 5000), repeat('y', 9000) FROM generate_series(1, 20) i")
    edge.execute("UPDATE doc SET n = 1")                                             # body and more are left out
    edge.execute("UPDATE doc SET more = 'short', n = 2 WHERE id <= 10")              # only body is
    edge.execute("UPDATE doc SET id = id + 100 WHERE id <= 5")                       # the key moves, the body must move along
    with edge.cursor(autocommit=False) as cursor:                                    # several shapes of one key in one transaction
        cursor.execute("UPDATE doc SET n = 3 WHERE id = 7")
        cursor.execute("UPDATE doc SET body = repeat('z', 7000) WHERE id = 7")
        cursor.execute("UPDATE doc SET n = 4 WHERE id = 7")
        cursor.execute("INSERT INTO doc VALUES (50, 0, repeat('w', 8000), NULL)")
        cursor.execute("UPDATE doc SET n = 1 WHERE id = 50")
        cursor.execute("UPDATE doc SET id = 51 WHERE id = 50")
        cursor.execute("UPDATE doc SET n = 2 WHERE id = 51")
    fleet.wait_equal()


NAMES = '''
CREATE SCHEMA "sch.ema ""q"" 🚀";
CREATE TABLE "sch.ema ""q"" 🚀"."ta.ble > * 'x'" ("the ""key""" int PRIMARY KEY, "co.lumn ü" text, "👍 ok" int, "SELECT" text,
    "data" text, "keys" text, "tab\tand %s $1 \\" text);
CREATE TABLE "Ünï:çødé%" (id int PRIMARY KEY, "_Source" text);
CREATE TABLE "MiXed" ("Id" int, "iD" int, v text, PRIMARY KEY ("iD", "Id"));
CREATE TABLE "a~b" (id int PRIMARY KEY);
CREATE SCHEMA other;
CREATE TABLE other."MiXed" ("Id" int PRIMARY KEY, v text);
CREATE TABLE other.abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz1234567890 (id int PRIMARY KEY);
'''


def test_names_with_quotes_dots_spaces_and_emoji(new_pair):
    strange = ('sch.ema "q" 🚀', "ta.ble > * 'x'")
    written = ['"sch.ema ""q"" 🚀"."ta.ble > * \'x\'"', 'public."Ünï:çødé%"', 'public."MiXed"', 'public."a~b"', 'other."MiXed"',
               "other.abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz1234567890"]
    fleet = new_pair(NAMES, written)
    fleet.start()
    edge = fleet.edge.db
    name = sql.Identifier(*strange)
    edge.execute(sql.SQL("INSERT INTO {} SELECT i, 'v' || i, i, 'x', 'd', 'k', 't' FROM generate_series(1, 50) i").format(name))
    edge.execute('INSERT INTO "Ünï:çødé%" VALUES (1, \'s\'), (2, NULL)')
    edge.execute("INSERT INTO \"MiXed\" VALUES (1, 2, 'a'), (2, 1, 'b')")
    edge.execute('INSERT INTO "a~b" VALUES (1)')
    edge.execute("INSERT INTO other.\"MiXed\" VALUES (1, 'other')")
    edge.execute("INSERT INTO other.abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz1234567890 VALUES (1)")
    edge.execute(sql.SQL('UPDATE {} SET "👍 ok" = 0, "the ""key""" = "the ""key""" + 1000 WHERE "the ""key""" < 10').format(name))
    edge.execute(sql.SQL('DELETE FROM {} WHERE "the ""key""" = 20').format(name))
    edge.execute('UPDATE "MiXed" SET "Id" = 3 WHERE "iD" = 2')
    fleet.wait_equal(["Ünï:çødé%", "MiXed", "a~b", strange, ("other", "MiXed"),
                      ("other", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz1234567890")])


KEYS = """
CREATE EXTENSION citext;
CREATE TYPE colour AS ENUM ('red', 'green', 'blue');
CREATE TABLE k_composite (a text, b int, c timestamptz, v int, PRIMARY KEY (b, a, c));
CREATE TABLE k_uuid (id uuid PRIMARY KEY, v int);
CREATE TABLE k_numeric (id numeric PRIMARY KEY, v int);
CREATE TABLE k_citext (id citext PRIMARY KEY, v int);
CREATE TABLE k_char (id char(6) PRIMARY KEY, v int);
CREATE TABLE k_bytea (id bytea PRIMARY KEY, v int);
CREATE TABLE k_enum (id colour PRIMARY KEY, v int);
CREATE TABLE k_float (id float8 PRIMARY KEY, v int);
CREATE TABLE k_stamp (id timestamp PRIMARY KEY, v int);
CREATE TABLE k_array (id text[] PRIMARY KEY, v int);
CREATE TABLE k_only (a int, b int, PRIMARY KEY (a, b));
CREATE TABLE k_full (id int PRIMARY KEY, body text, v int);
ALTER TABLE k_full REPLICA IDENTITY FULL;
"""
KEY_TABLES = ["k_composite", "k_uuid", "k_numeric", "k_citext", "k_char", "k_bytea", "k_enum", "k_float", "k_stamp", "k_array",
              "k_only", "k_full"]


def test_keys_of_every_shape_and_their_changes(new_pair):
    fleet = new_pair(KEYS, KEY_TABLES)
    fleet.start()
    edge = fleet.edge.db
    edge.execute("""
        INSERT INTO k_composite SELECT 'a' || i % 3, i, '2026-01-01'::timestamptz + i * interval '1 ms', 0 FROM generate_series(1, 30) i;
        INSERT INTO k_uuid SELECT gen_random_uuid(), i FROM generate_series(1, 20) i;
        INSERT INTO k_numeric VALUES (1.0, 1), (2.50, 2), (1e40, 3);
        INSERT INTO k_citext VALUES ('Abc', 1), ('xyz', 2);
        INSERT INTO k_char VALUES ('ab', 1), ('', 2);
        INSERT INTO k_bytea VALUES ('', 1), ('\\x00', 2), ('\\x5c78', 3);
        INSERT INTO k_enum VALUES ('red', 1), ('green', 2);
        INSERT INTO k_float VALUES (0.1, 1), (1e300, 2), ('-0', 3);
        INSERT INTO k_stamp VALUES ('infinity', 1), ('2026-01-01 00:00:00.000001', 2);
        INSERT INTO k_array VALUES ('{}', 1), ('{"a b",NULL}', 2);
        INSERT INTO k_only VALUES (1, 1), (1, 2), (2, 1);
        INSERT INTO k_full VALUES (1, repeat('x', 9000), 1), (2, NULL, 2);""")
    fleet.wait_equal()
    # Each table: a change beside the key, a change of the key, a delete.
    for table in KEY_TABLES:
        if table != "k_only":
            edge.execute(f"UPDATE {table} SET v = v + 10")
    edge.execute("""
        UPDATE k_composite SET a = 'moved', c = c + interval '1 day' WHERE b % 5 = 0;
        UPDATE k_uuid SET id = gen_random_uuid() WHERE v % 2 = 0;
        UPDATE k_numeric SET id = id + 1 WHERE id < 3;
        UPDATE k_char SET id = 'cd' WHERE id = 'ab';
        UPDATE k_bytea SET id = '\\xff00' WHERE id = '\\x00';
        UPDATE k_enum SET id = 'blue' WHERE id = 'red';
        UPDATE k_float SET id = 5e-324 WHERE v = 12;
        UPDATE k_stamp SET id = '-infinity' WHERE id = 'infinity';
        UPDATE k_array SET id = id || 'more'::text;
        UPDATE k_only SET b = 7 WHERE a = 1 AND b = 2;
        UPDATE k_full SET id = 10 WHERE id = 1; UPDATE k_full SET v = NULL WHERE id = 2;""")
    edge.execute("DELETE FROM k_composite WHERE b % 7 = 0; DELETE FROM k_uuid WHERE v % 3 = 0; DELETE FROM k_citext WHERE v = 12;"
                 "DELETE FROM k_bytea WHERE id = ''; DELETE FROM k_only WHERE a = 2;"
                 "DELETE FROM k_array WHERE v = 11; DELETE FROM k_full WHERE id = 2")
    fleet.wait_equal()
    assert fleet.centre.dead_letters() == []


def test_replica_identity_by_another_index_follows_that_index_or_is_refused(new_pair):
    """wal2json then sends the index columns as identity, also when the primary key changes."""
    fleet = new_pair("CREATE TABLE coded (id int PRIMARY KEY, code text NOT NULL UNIQUE, v int);"
                     "ALTER TABLE coded REPLICA IDENTITY USING INDEX coded_code_key", ["coded"])
    if fleet.publisher.run_verb("init").returncode != 0:
        checked = fleet.publisher.run_verb("check")
        assert checked.returncode == 1 and "coded" in checked.stdout and "REPLICA IDENTITY DEFAULT" in checked.stdout
        return
    fleet.start()
    fleet.edge.db.execute("INSERT INTO coded VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3)")
    fleet.wait_equal()
    fleet.edge.db.execute("UPDATE coded SET code = 'uno' WHERE id = 1; UPDATE coded SET id = 20 WHERE id = 2; DELETE FROM coded WHERE id = 3")
    fleet.wait_equal()


def test_keys_that_are_equal_but_written_differently(new_pair):
    fleet = new_pair(KEYS, KEY_TABLES)
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO k_numeric VALUES (1.0, 1), (7, 1); INSERT INTO k_citext VALUES ('Abc', 1), ('Def', 1);"
                 "INSERT INTO k_float VALUES ('-0', 1)")
    # A key that changes its looks only; and one deleted under one spelling and made again under another, in one transaction.
    edge.execute("UPDATE k_numeric SET id = 1.000 WHERE id = 1; UPDATE k_citext SET id = 'aBC' WHERE id = 'abc';"
                 "UPDATE k_float SET id = '0'")
    with edge.cursor(autocommit=False) as cursor:
        cursor.execute("DELETE FROM k_numeric WHERE id = 7; INSERT INTO k_numeric VALUES (7.00, 2);"
                       "DELETE FROM k_citext WHERE id = 'DEF'; INSERT INTO k_citext VALUES ('dEf', 2)")
    fleet.wait_equal(["k_numeric", "k_citext", "k_float"])
    edge.execute("DELETE FROM k_numeric WHERE id = 7; INSERT INTO k_numeric VALUES (7.0, 3); UPDATE k_numeric SET v = 4 WHERE id = 7")
    fleet.wait_equal(["k_numeric", "k_citext", "k_float"])


def test_keys_rotate_and_secondary_unique_values_change_hands(new_pair):
    fleet = new_pair("CREATE TABLE seat (id int PRIMARY KEY, place text UNIQUE)", ["seat"])
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO seat SELECT i, 'p' || i FROM generate_series(1, 10) i")
    fleet.wait_equal()
    with edge.cursor(autocommit=False) as cursor:
        cursor.execute("UPDATE seat SET id = -1 WHERE id = 1; UPDATE seat SET id = 1 WHERE id = 2; UPDATE seat SET id = 2 WHERE id = -1")
    with edge.cursor(autocommit=False) as cursor:
        cursor.execute("UPDATE seat SET place = 'free' WHERE id = 3; UPDATE seat SET place = 'p3' WHERE id = 4;"
                       "UPDATE seat SET place = 'p4' WHERE id = 3")
    edge.execute("DELETE FROM seat WHERE id = 5; INSERT INTO seat VALUES (50, 'p5')")
    with edge.cursor(autocommit=False) as cursor:
        cursor.execute("DELETE FROM seat WHERE id = 6; INSERT INTO seat VALUES (6, 'p6'); DELETE FROM seat WHERE id = 6")
    fleet.wait_equal()
    assert fleet.centre.dead_letters() == []


GENERATED = """
CREATE TABLE calc (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, other int GENERATED BY DEFAULT AS IDENTITY, a int,
    twice int GENERATED ALWAYS AS (a * 2) STORED, s serial, lower_name text GENERATED ALWAYS AS (lower(name)) STORED, name text);
"""


def test_generated_and_identity_columns(new_pair):
    fleet = new_pair(GENERATED, ["calc"])
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO calc (a, name) SELECT i, 'Name' || i FROM generate_series(1, 200) i")
    edge.execute("UPDATE calc SET a = a + 1, name = upper(name) WHERE id % 2 = 0")
    edge.execute("DELETE FROM calc WHERE id % 5 = 0")
    edge.execute("INSERT INTO calc (id, a) OVERRIDING SYSTEM VALUE VALUES (10000, NULL)")
    fleet.wait_equal()


def test_truncate_takes_the_rows_of_its_source_and_keeps_order(new_pair):
    fleet = new_pair("CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY REFERENCES a, v int)", ["a", "b"])
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO a SELECT i, i FROM generate_series(1, 100) i; INSERT INTO b SELECT i, i FROM generate_series(1, 50) i")
    edge.execute("TRUNCATE a, b")
    edge.execute("INSERT INTO a VALUES (1, 1)")
    fleet.wait_equal()
    with edge.cursor(autocommit=False) as cursor:
        cursor.execute("INSERT INTO a VALUES (2, 2); INSERT INTO b VALUES (2, 2); TRUNCATE a CASCADE; INSERT INTO a VALUES (2, 3), (3, 3)")
    with edge.cursor(autocommit=False) as cursor:
        cursor.execute("INSERT INTO b VALUES (2, 2); TRUNCATE b; INSERT INTO b VALUES (3, 3); TRUNCATE b; INSERT INTO b VALUES (2, 9)")
    fleet.wait_equal()
    edge.execute("TRUNCATE a, b RESTART IDENTITY")
    fleet.wait_equal()
    assert fleet.centre.db.value("SELECT count(*) FROM a") == 0


@pytest.mark.parametrize("policy", ["own-rows", "all", "ignore"])
def test_truncate_policy(new_fleet, policy):
    fleet = new_fleet()
    schema = "CREATE TABLE shared (id int PRIMARY KEY, v text)"
    fleet.create(fleet.centre.db, schema)
    fleet.centre.add_subscriber([{"table": "shared", "truncate": policy}])
    for source in ("jetson-01", "jetson-02"):
        fleet.add_edge(source, schema=schema, tables=["shared"])
    fleet.start()
    first, second = fleet.edges
    first.db.execute("INSERT INTO shared SELECT i, 'first' FROM generate_series(1, 10) i")
    second.db.execute("INSERT INTO shared SELECT i, 'second' FROM generate_series(101, 110) i")
    fleet.wait_caught_up()
    first.db.execute("TRUNCATE shared; INSERT INTO shared VALUES (7, 'after')")
    fleet.wait_caught_up()
    left = {source: count for source, count in fleet.centre.db.query("SELECT _source, count(*) FROM shared GROUP BY 1")}
    assert left == {"own-rows": {"jetson-01": 1, "jetson-02": 10}, "all": {"jetson-01": 1},
                    "ignore": {"jetson-01": 10, "jetson-02": 10}}[policy]


def test_nan_and_infinity_of_columns_without_a_guard(new_pair):
    fleet = new_pair("CREATE TABLE reading (id int, at timestamptz, f4 float4, f8 float8, n numeric, n2 numeric(10, 2), note text,"
                     "PRIMARY KEY (id, at))", ["reading"])
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO reading SELECT i, '2026-01-01', (ARRAY['NaN', '-Infinity', '1.5', NULL])[i % 4 + 1]::float4,"
                 "(ARRAY['Infinity', NULL, 'NaN'])[i % 3 + 1]::float8, (ARRAY['NaN', '1.50', NULL])[i % 3 + 1]::numeric, NULL, 'x'"
                 "FROM generate_series(1, 300) i")
    edge.execute("UPDATE reading SET n2 = 'NaN', note = 'y' WHERE id % 10 = 0")
    edge.execute("UPDATE reading SET id = id + 1000, f8 = NULL WHERE id % 50 = 0")
    edge.execute("UPDATE reading SET f4 = 'NaN' WHERE id = 7; UPDATE reading SET f4 = 2 WHERE id = 7; DELETE FROM reading WHERE id = 8")
    fleet.wait_equal()
    assert fleet.centre.db.value("SELECT count(*) FROM reading WHERE f4 = 'NaN' OR n2 = 'NaN'") > 50


def test_no_nan_is_lost_while_transactions_are_just_becoming_visible(new_pair):
    """wal2json tells of a commit before other sessions see it: reading the row again at once would not find it."""
    fleet = new_pair("CREATE TABLE sample (id int PRIMARY KEY, value float8)", ["sample"])
    fleet.start()
    with fleet.edge.db.cursor() as cursor:
        for number in range(400):
            cursor.execute("INSERT INTO sample SELECT %s * 10 + g, 'NaN' FROM generate_series(1, 5) g", (number,))
    fleet.wait_equal()


def test_differences_are_seen(new_pair):
    """The comparison itself: it must not say equal of unequal tables."""
    fleet = new_pair("CREATE TABLE t (id int PRIMARY KEY, v numeric)", ["t"])
    fleet.edge.db.execute("INSERT INTO t VALUES (1, 1.0), (2, NULL)")
    for wrong in ("(1, 1.00), (2, NULL)", "(1, 1.0)", "(1, 1.0), (2, NULL), (3, 0)", "(1, NULL), (2, NULL)"):
        fleet.centre.db.execute(f"TRUNCATE t; INSERT INTO t VALUES {wrong}")
        assert difference(fleet.edge.db, fleet.centre.db, "t") != ""
    fleet.centre.db.execute("TRUNCATE t; INSERT INTO t VALUES (2, NULL), (1, 1.0)")
    assert_equal(fleet.edge.db, fleet.centre.db, ["t"])
