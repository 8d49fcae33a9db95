"""Acceptance 2: a mixed workload of 8 writers; at every moment the centre shows whole source transactions only."""

from harness import wait_until
from workload import AUDIT, EDGE_SCHEMA, LAWS, SCHEMA, SEED_ROWS, TABLES, LawReader, Load, duplicates_in_audit


def test_eight_writers_and_a_reader_that_sees_whole_transactions_only(new_pair):
    fleet = new_pair(EDGE_SCHEMA, TABLES, centre_schema=SCHEMA + AUDIT)
    fleet.start()
    edge, centre = fleet.edge.db, fleet.centre.db
    edge.execute(SEED_ROWS)
    fleet.wait_caught_up()
    with LawReader(centre).running() as reader:
        with Load(edge, writers=8, seed=20261122) as load:
            wait_until(lambda: load.committed >= 8000, 90, "the writers commit 8000 transactions", fleet.diagnose)
        fleet.wait_caught_up()
    assert reader.rounds > 100
    fleet.wait_equal()
    assert centre.value("SELECT count(*) FROM audit") > 0
    assert duplicates_in_audit(centre) == []
    assert fleet.centre.dead_letters() == []


def test_the_laws_notice_a_half_transaction(new_pair):
    """The reader itself: each law must fail on a state that breaks it."""
    fleet = new_pair(EDGE_SCHEMA, TABLES)
    edge = fleet.edge.db
    edge.execute(SEED_ROWS)
    broken = {
        "both halves of a pair": "INSERT INTO pair_a VALUES (1, 1, 1, '')",
        "the sum of all accounts": "UPDATE account SET balance = balance + 1 WHERE id = 1",
        "the number of accounts": "DELETE FROM account WHERE id = 1",
        "the number of tokens": "DELETE FROM token WHERE id = 1",
        "one slot per token": "UPDATE token SET slot = 2 WHERE id = 1",
        "one generation in the pad": "INSERT INTO pad VALUES (1, 1, 1)",
        "whole bulk transactions": "INSERT INTO bulk VALUES (1, 1, 1)",
        "nothing of a rolled-back savepoint": "INSERT INTO never VALUES (1, 1)",
    }
    LawReader(edge).look()
    for law, sql in broken.items():
        with edge.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(sql)
            cursor.execute(LAWS[law])
            assert cursor.fetchone()[0] > 0, law
            cursor.execute("ROLLBACK")


def test_small_transactions_that_travel_alone_are_whole_too(new_pair):
    """Each is a batch of its own, which the eight writers seldom leave room for; a row's xmin tells which transaction of the centre wrote it."""
    fleet = new_pair("CREATE TABLE x (id int PRIMARY KEY); CREATE TABLE y (id int PRIMARY KEY)", ["x", "y"])
    fleet.start()
    centre = fleet.centre.db
    for i in range(1, 31):
        fleet.edge.db.execute(f"BEGIN; INSERT INTO x VALUES ({i}); INSERT INTO y VALUES ({i}); COMMIT")
        wait_until(lambda: centre.value("SELECT count(*) FROM x JOIN y USING (id)") == i, 20, "it is applied", fleet.diagnose, interval=0.005)
    assert centre.value("SELECT count(*) FROM x JOIN y USING (id) WHERE x.xmin::text <> y.xmin::text") == 0


def test_one_transaction_of_many_messages_is_seen_whole(new_pair):
    """Far larger than a batch of the subscriber and than a message of the publisher, mixed over tables."""
    fleet = new_pair("CREATE TABLE x (id int PRIMARY KEY, body text); CREATE TABLE y (id int PRIMARY KEY, body text)", ["x", "y"],
                     publisher={"stream": {"max_message_bytes": "16KiB"}}, subscriber={"batch": {"max_rows": 500}})
    fleet.start()
    seen = set()

    def look():
        seen.add(fleet.centre.db.query("SELECT (SELECT count(*) FROM x), (SELECT count(*) FROM y)")[0])
        return (30000, 30000) in seen

    with fleet.edge.db.cursor(autocommit=False) as cursor:
        cursor.execute("INSERT INTO x SELECT i, repeat('x', 100) FROM generate_series(1, 30000) i")
        cursor.execute("INSERT INTO y SELECT i, repeat('y', 100) FROM generate_series(1, 30000) i")
        cursor.execute("UPDATE x SET body = body || 'z' WHERE id % 2 = 0")
    wait_until(look, 60, "the whole transaction is in the centre", fleet.diagnose, interval=0.005)
    assert seen <= {(0, 0), (30000, 30000)}
    fleet.wait_equal()


def test_what_follows_a_transaction_in_pieces_is_not_forgotten(new_pair):
    """The reader's queue holds more when a large transaction is complete, and then nothing new comes to wake the worker."""
    fleet = new_pair("CREATE TABLE x (id int PRIMARY KEY, body text)", ["x"], publisher={"stream": {"max_message_bytes": "16KiB"}},
                     subscriber={"batch": {"max_bytes": "64KiB"}})
    fleet.init()
    fleet.publisher.start()
    wait_until(lambda: fleet.publisher.http("/readyz")[0] == 200, 30, "the publisher is ready", fleet.diagnose)
    for round_ in range(6):
        first = round_ * 1000
        fleet.edge.db.execute("INSERT INTO x SELECT i, repeat('x', 1000) FROM generate_series(%s, %s) i", (first, first + 499))
        for i in range(first + 500, first + 530):
            fleet.edge.db.execute("INSERT INTO x VALUES (%s, 'small')", (i,))
    fleet.subscriber.start()
    fleet.wait_equal(deadline=20)
