"""Tables of the centre altered while rows flow: nothing is written by what a table looked like before, nobody restarts anything."""

import threading

import pytest

from harness import assert_equal, wait_until
from test_poison import wait_blocked

NARROW = """CREATE TABLE price (id int PRIMARY KEY, v numeric(14,4), w timestamp(6), n bigint, note text);
            CREATE TABLE swapped (id int PRIMARY KEY, v numeric(14,4));
            CREATE TABLE keyed (a int NOT NULL, b int NOT NULL, v text, PRIMARY KEY (a, b))"""
CENTRE = (NARROW.replace("v numeric(14,4)", "v numeric(10,2)").replace("timestamp(6)", "timestamp(0)").replace("n bigint", "n int")
          .replace("note text", "note text GENERATED ALWAYS AS ('centre') STORED"))
TABLES = ["price", "swapped", "keyed"]


@pytest.fixture(scope="module")
def fleet(scratch):
    from harness import Fleet
    with Fleet.pair(NARROW, TABLES, centre_schema=CENTRE, scratch=scratch.area(), subscriber={"batch": {"max_bytes": "128KiB"}}) as made:
        made.edge.db.execute("""INSERT INTO price SELECT i, i, '2026-11-22 09:25:41', i, 'first' FROM generate_series(1, 300) i;
                                INSERT INTO swapped SELECT i, i FROM generate_series(1, 300) i;
                                INSERT INTO keyed SELECT 1, i, 'first' FROM generate_series(1, 300) i""")
        made.start()
        made.wait_caught_up()
        # So that a stage and all statements of the old types exist.
        made.edge.db.execute("UPDATE price SET v = v + 1; UPDATE swapped SET v = v + 1; UPDATE keyed SET v = 'second'")
        made.edge.db.execute("UPDATE price SET v = v + 1 WHERE id = 1")
        made.wait_caught_up()
        yield made


def no_letters(fleet):
    assert [letter for letter in fleet.centre.dead_letters() if letter["state"] == "open"] == []


def test_bulk_updates_after_a_column_was_widened_are_not_rounded(fleet):
    fleet.centre.db.execute("ALTER TABLE price ALTER v TYPE numeric(14,4), ALTER w TYPE timestamp(6)")
    fleet.edge.db.execute("UPDATE price SET v = v + 0.1234, w = w + interval '0.123456 s'")
    fleet.edge.db.execute("UPDATE price SET v = v + 0.0001 WHERE id = 7")
    fleet.wait_caught_up()
    assert fleet.centre.db.value("SELECT v::text || ' ' || w FROM price WHERE id = 7") == \
        fleet.edge.db.value("SELECT v::text || ' ' || w FROM price WHERE id = 7")
    no_letters(fleet)


def test_larger_integers_are_no_dead_letters_after_the_column_was_widened(fleet):
    fleet.centre.db.execute("ALTER TABLE price ALTER n TYPE bigint")
    fleet.edge.db.execute("UPDATE price SET n = n + 5000000000 WHERE id = 1")
    fleet.edge.db.execute("UPDATE price SET n = n + 5000000000 WHERE id > 1")
    fleet.wait_caught_up()
    no_letters(fleet)


def test_a_column_that_is_generated_no_more_is_written(fleet):
    fleet.centre.db.execute("ALTER TABLE price ALTER note DROP EXPRESSION")
    fleet.edge.db.execute("UPDATE price SET note = 'of the edge'")
    fleet.wait_equal(["price"])
    no_letters(fleet)


def test_a_table_that_takes_the_name_of_another_is_the_one_that_is_written(fleet):
    fleet.centre.db.execute("""ALTER TABLE swapped RENAME TO swapped_before; CREATE TABLE swapped (LIKE swapped_before INCLUDING ALL);
                               ALTER TABLE swapped ALTER v TYPE numeric(14,4)""")
    before = fleet.centre.db.value("SELECT sum(v) FROM swapped_before")
    fleet.edge.db.execute("UPDATE swapped SET v = v + 0.1234")
    fleet.wait_equal(["swapped"])
    assert fleet.centre.db.value("SELECT sum(v) FROM swapped_before") == before
    no_letters(fleet)


def test_a_key_with_its_columns_in_another_order_and_back(fleet):
    fleet.centre.db.execute("ALTER TABLE keyed DROP CONSTRAINT keyed_pkey, ADD PRIMARY KEY (b, a)")
    fleet.edge.db.execute("UPDATE keyed SET v = 'third'; DELETE FROM keyed WHERE b = 5")
    fleet.wait_equal(["keyed"])
    fleet.centre.db.execute("ALTER TABLE keyed DROP CONSTRAINT keyed_pkey, ADD PRIMARY KEY (a, b)")
    fleet.edge.db.execute("UPDATE keyed SET v = 'fourth' WHERE b = 6; INSERT INTO keyed VALUES (1, 5, 'again')")
    fleet.wait_equal(["keyed"])
    no_letters(fleet)


def test_a_column_that_goes_and_comes_back_holds_its_source_only_meanwhile(fleet):
    centre = fleet.centre.db
    centre.execute("ALTER TABLE price DROP COLUMN note")
    fleet.edge.db.execute("UPDATE price SET note = 'while it is gone' WHERE id <= 100")
    wait_until(lambda: "note" in fleet.subscriber.http("/status")[1], 30, "status names the column", fleet.diagnose)
    centre.execute("ALTER TABLE price ADD COLUMN note text")
    fleet.edge.db.execute("UPDATE price SET note = 'all'")
    fleet.wait_equal(["price"])
    no_letters(fleet)


def test_a_large_transaction_is_written_as_the_table_is_now(fleet):
    fleet.edge.db.execute("INSERT INTO swapped SELECT i, 1 FROM generate_series(1001, 21000) i")
    fleet.wait_caught_up()
    for precision in 8, 7:
        fleet.edge.db.execute("ALTER TABLE swapped ALTER v TYPE numeric(20,8)")
        fleet.centre.db.execute(f"ALTER TABLE swapped ALTER v TYPE numeric(20,{precision})")
        fleet.edge.db.execute("UPDATE swapped SET v = v + 0.0000001 WHERE id > 1000")
        fleet.wait_caught_up()
    assert fleet.centre.db.value("SELECT count(DISTINCT v) || ' ' || min(v::numeric(20,7)) FROM swapped WHERE id > 1000") == "1 1.0000002"
    no_letters(fleet)


def test_a_key_that_was_widened_at_the_edge_alone_makes_no_two_rows_one(fleet):
    """(a, b) of the edge would be two versions of (a) in the centre: the source waits, by name, until the centre's key follows."""
    fleet.create(fleet.edge.db, "CREATE TABLE wide (a int PRIMARY KEY, b int NOT NULL, v text)")
    fleet.create(fleet.centre.db, "CREATE TABLE wide (a int PRIMARY KEY, b int NOT NULL, v text)")
    for program in (fleet.subscriber, fleet.publisher):
        program.terminate()
    fleet.subscriber.configure({"tables": [*({"table": table} for table in TABLES), {"table": "wide"}, {"table": "sync_marker"}]})
    fleet.publisher.configure({"postgres": {"tables": [*TABLES, "wide", "sync_marker"]}})
    fleet.subscriber.must("init")
    for program in (fleet.subscriber, fleet.publisher):
        program.start()
    fleet.edge.db.execute("INSERT INTO wide VALUES (1, 1, 'first')")
    fleet.wait_caught_up()
    fleet.edge.db.execute("ALTER TABLE wide DROP CONSTRAINT wide_pkey, ADD PRIMARY KEY (a, b)")
    fleet.edge.db.execute("INSERT INTO wide VALUES (1, 2, 'second')")
    wait_blocked(fleet, "jetson-01", "apart by (a, b), the centre by (a)")
    assert fleet.centre.db.query("SELECT v FROM wide") == [("first",)]
    fleet.centre.db.execute("ALTER TABLE wide DROP CONSTRAINT wide_pkey, ADD PRIMARY KEY (a, b)")
    fleet.wait_equal(["wide"])


def test_many_alters_under_a_flow_of_single_and_bulk_updates(fleet):
    """What the edge wrote is there in the end, digit by digit, whatever batch met whatever table."""
    done = threading.Event()

    def alter():
        scales = [(14, 4), (16, 4), (18, 5), (20, 6)]
        step = 0
        while not done.is_set():
            precision, scale = scales[step % len(scales)]
            fleet.centre.db.execute(f"ALTER TABLE price ALTER v TYPE numeric({precision},{scale}) USING v::numeric({precision},{scale})")
            fleet.centre.db.execute(f"ALTER TABLE price ALTER note TYPE {'text' if step % 2 else 'varchar(40)'}")
            step += 1
        fleet.centre.db.execute("ALTER TABLE price ALTER v TYPE numeric(14,4), ALTER note TYPE text")

    altering = threading.Thread(target=alter)
    altering.start()
    try:
        for step in range(40):
            fleet.edge.db.execute(f"UPDATE price SET v = {step}.1234 + id WHERE id % 10 = {step % 10}")
            fleet.edge.db.execute(f"UPDATE price SET v = v + 0.0001, note = 'step {step}' WHERE id = {step + 1}")
    finally:
        done.set()
        altering.join()
    fleet.wait_caught_up()
    assert_equal(fleet.edge.db, fleet.centre.db, ["price"])
    no_letters(fleet)
    assert fleet.subscriber.metric("pmoves_sync_apply_altered_total") > 0
