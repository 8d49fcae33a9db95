"""What the centre cannot hold exactly is set aside, in every way that rows come; nothing is rounded, cut or cast away."""

from harness import wait_until

EDGE = """
CREATE TABLE sensors (id text PRIMARY KEY, v text);
CREATE TABLE readings (id int PRIMARY KEY, v numeric, big bigint, at timestamptz, note text);
CREATE TABLE loose (id int PRIMARY KEY, v numeric, note text);
ALTER TABLE readings ALTER note SET STORAGE EXTERNAL;
"""
CENTRE = """
CREATE TABLE sensors (id varchar(6) PRIMARY KEY, v varchar(5));
CREATE TABLE readings (id int PRIMARY KEY, v numeric(10,2), big double precision, at timestamptz(3), note text);
CREATE TABLE loose (id int PRIMARY KEY, v numeric(10,2), note varchar(3));
"""
TABLES = [{"table": "sensors", "columns": {"v": {"conflict": "greatest"}}}, "readings", {"table": "loose", "narrowing": "allow"}]


def letters(fleet, state="open"):
    return {(letter["table_name"], letter["key"]): letter["reason"] for letter in fleet.centre.dead_letters() if letter["state"] == state}


def test_what_the_centre_cannot_hold_exactly_is_set_aside(new_pair):
    fleet = new_pair(EDGE, ["sensors", "readings", "loose"], subscriber_tables=TABLES, centre_schema=CENTRE)
    fleet.start()
    edge, centre = fleet.edge.db, fleet.centre.db
    # A register rule cast 'abcdefgh' to 'abcde', and two keys of eight characters to one of six.
    edge.execute("INSERT INTO sensors VALUES ('sensor', 'abcde'), ('sensor-1', 'a'), ('sensor-2', 'b'), ('cut', 'abcdefgh')")
    # By a stage: one row of many. By themselves: a row, an update that leaves a large value out, a float, a time.
    edge.execute("INSERT INTO readings SELECT i, CASE i WHEN 500 THEN 1.005 ELSE i / 4.0 END, i, 'epoch', repeat('x', 3000) FROM generate_series(1, 1000) i")
    edge.execute("INSERT INTO readings VALUES (2001, 1.005, 1, 'epoch', '')")
    edge.execute("INSERT INTO readings VALUES (2002, 1, 9007199254740993, 'epoch', '')")
    edge.execute("INSERT INTO readings VALUES (2003, 1, 1, '2026-01-01 10:00:00.1234+05', '')")
    edge.execute("UPDATE readings SET v = 7.125 WHERE id = 7")
    edge.execute("UPDATE readings SET v = 8.500 WHERE id = 8")
    edge.execute("INSERT INTO loose SELECT i, 1.005, 'abcdef' FROM generate_series(1, 100) i")
    edge.execute("INSERT INTO loose VALUES (101, 1.005, 'abcdef')")
    fleet.wait_caught_up()
    want = {("sensors", '{"id":"sensor-1"}'), ("sensors", '{"id":"sensor-2"}'), ("sensors", '{"id":"cut"}'),
            *(("readings", f'{{"id":"{key}"}}') for key in (500, 2001, 2002, 2003, 7))}
    assert letters(fleet) == {name: "inexact" for name in want}
    assert centre.query("SELECT id, v FROM sensors") == [("sensor", "abcde")]
    assert centre.value("SELECT count(*) FROM readings WHERE v = id / 4.0 AND big = id") == 998
    assert centre.value("SELECT count(*) FROM readings") == 999
    assert centre.query("SELECT DISTINCT v::text, note FROM loose") == [("1.01", "abc")]  # as it was configured

    # A retry changes nothing while the column is what it is, and says so without the value.
    refused = fleet.subscriber.run_verb("dead-letters", "retry", "--all")
    assert refused.returncode != 0 and "numeric(10,2)" in refused.stdout + refused.stderr
    assert letters(fleet) == {name: "inexact" for name in want}
    assert all("1.005" not in letter["message"] for letter in fleet.centre.dead_letters())
    # Mended, each of them is applied; a later whole row settles a letter by itself.
    edge.execute("UPDATE sensors SET v = 'short' WHERE id = 'cut'")
    wait_until(lambda: ("sensors", '{"id":"cut"}') not in letters(fleet), 30, "the letter is settled", fleet.diagnose)
    centre.execute("ALTER TABLE sensors ALTER id TYPE text; ALTER TABLE readings ALTER v TYPE numeric, ALTER big TYPE bigint, ALTER at TYPE timestamptz")
    fleet.subscriber.must("dead-letters", "retry", "--all")
    assert letters(fleet) == {}
    shown = "SELECT id, v, big, at::text, length(note) FROM readings ORDER BY id"
    assert centre.query(shown) == edge.query(shown)
    assert sorted(centre.query("SELECT id, v FROM sensors")) == sorted(edge.query("SELECT id, v FROM sensors"))
