"""Acceptance 7: what cannot be applied is set aside with its reason, everything else goes on, and it can be replayed when mended."""

import json

import pytest

from harness import MARKER_TABLE, assert_equal, wait_until
from workload import lsn


def letters_of(fleet, **wanted):
    return [letter for letter in fleet.centre.dead_letters() if all(letter[key] == value for key, value in wanted.items())]


def wait_letters(fleet, count, **wanted):
    wait_until(lambda: len(letters_of(fleet, **wanted)) == count, 30, f"{count} dead letters with {wanted}", fleet.diagnose)
    return letters_of(fleet, **wanted)


def discard(fleet, letter):
    fleet.subscriber.must("dead-letters", "discard", str(letter["id"]), "--reason", "of no use")


SALE = "CREATE TABLE sale (id int PRIMARY KEY, amount int, note text)"


def test_a_row_that_violates_a_check_is_set_aside_and_retried_after_the_cause_is_mended(new_pair):
    fleet = new_pair(SALE, ["sale"], centre_schema=SALE.replace("amount int", "amount int CONSTRAINT small CHECK (amount < 1000)"))
    fleet.start()
    edge, centre = fleet.edge.db, fleet.centre.db
    edge.execute("INSERT INTO sale SELECT i, i, 'fine' FROM generate_series(1, 500) i")
    edge.execute("INSERT INTO sale SELECT i, CASE WHEN i % 50 = 0 THEN 5000 ELSE i % 1000 END, 'mixed' FROM generate_series(501, 700) i")
    edge.execute("UPDATE sale SET amount = 7000, note = 'too much' WHERE id = 3")
    edge.execute("INSERT INTO sale SELECT i, 1, 'later' FROM generate_series(701, 800) i")
    fleet.wait_caught_up()
    letters = wait_letters(fleet, 5, state="open")
    assert {letter["sqlstate"] for letter in letters} == {"23514"}
    assert {letter["table_name"] for letter in letters} == {"sale"}
    assert all("small" in letter["message"] for letter in letters)
    assert all(json.loads(letter["payload"])["data"][0]["amount"] in (5000, 7000) for letter in letters)
    assert centre.value("SELECT count(*) FROM sale") == 796
    assert centre.value("SELECT amount FROM sale WHERE id = 3") == 3
    wait_until(lambda: centre.value("SELECT failed_records FROM pmoves_sync.sync_status WHERE service_name = 'jetson-01' "
                                    "AND table_name = 'sale'") == 5, 10, "sync_status counts them", fleet.diagnose)

    # While the cause remains a retry changes nothing.
    listed = fleet.subscriber.must("dead-letters", "list")
    assert "23514" in listed and "sale" in listed
    first = str(letters[0]["id"])
    shown = fleet.subscriber.must("dead-letters", "show", first)
    assert "5000" in shown and "small" in shown
    refused = fleet.subscriber.run_verb("dead-letters", "retry", first)
    assert refused.returncode != 0 and "small" in refused.stdout + refused.stderr
    assert len(letters_of(fleet, state="open")) == 5
    # Nor is one letter in the way of the next: the second was refused because of what the first had prepared.
    assert fleet.subscriber.run_verb("dead-letters", "retry", "--all").returncode != 0
    assert {letter["sqlstate"] for letter in letters_of(fleet, state="open")} == {"23514"}

    centre.execute("ALTER TABLE sale DROP CONSTRAINT small")
    fleet.subscriber.must("dead-letters", "retry", first)
    assert len(letters_of(fleet, state="open")) == 4
    fleet.subscriber.must("dead-letters", "retry", "--all")
    assert letters_of(fleet, state="open") == []
    fleet.wait_equal()


def test_a_later_change_of_a_set_aside_row_wins_over_its_retry(new_pair):
    fleet = new_pair(SALE, ["sale"], centre_schema=SALE.replace("amount int", "amount int CHECK (amount < 1000)"))
    fleet.start()
    edge, centre = fleet.edge.db, fleet.centre.db
    edge.execute("INSERT INTO sale VALUES (1, 5000, 'old'), (2, 5000, 'gone soon')")
    fleet.wait_caught_up()
    wait_letters(fleet, 2, state="open")
    edge.execute("UPDATE sale SET amount = 10, note = 'new' WHERE id = 1; DELETE FROM sale WHERE id = 2")
    fleet.wait_equal()
    centre.execute("ALTER TABLE sale DROP CONSTRAINT sale_amount_check")
    for letter in letters_of(fleet, state="open"):
        fleet.subscriber.run_verb("dead-letters", "retry", str(letter["id"]))
    fleet.wait_equal()
    assert centre.query("SELECT id, amount, note FROM sale") == [(1, 10, "new")]


def test_a_value_that_does_not_cast_is_set_aside_and_can_be_discarded(new_pair):
    edge_schema = "CREATE TABLE reading (id int PRIMARY KEY, value text, at text)"
    fleet = new_pair(edge_schema, ["reading"], centre_schema=edge_schema.replace("value text", "value int"))
    fleet.start()
    edge = fleet.edge.db
    edge.execute("INSERT INTO reading SELECT i, i::text, 'x' FROM generate_series(1, 100) i")
    edge.execute("INSERT INTO reading VALUES (101, 'eleven', 'x'), (102, '12', 'x'), (103, '99999999999', 'x')")
    edge.execute("UPDATE reading SET value = '0x', at = 'y' WHERE id = 5")
    fleet.wait_caught_up()
    letters = wait_letters(fleet, 3, state="open")
    assert {letter["sqlstate"] for letter in letters} <= {"22P02", "22003"}
    assert fleet.centre.db.value("SELECT count(*) FROM reading") == 101
    assert fleet.subscriber.run_verb("dead-letters", "discard", str(letters[0]["id"])).returncode == 2   # a reason is asked for
    discard(fleet, letters[0])
    assert len(letters_of(fleet, state="open")) == 2
    assert [letter["resolution"] for letter in letters_of(fleet, state="discarded")] == ["of no use"]
    assert "discarded" not in fleet.subscriber.must("dead-letters", "list")
    assert "discarded" in fleet.subscriber.must("dead-letters", "list", "--all")
    fleet.centre.db.execute("ALTER TABLE reading ALTER value TYPE text")
    fleet.subscriber.must("dead-letters", "retry", "--all")
    fleet.wait_caught_up()
    assert fleet.centre.db.value("SELECT value FROM reading WHERE id = 5") == "0x"
    assert fleet.centre.db.value("SELECT count(*) FROM reading") == 102   # the discarded one stays out


@pytest.mark.parametrize("on_error", ["row", "transaction"])
def test_on_error_says_how_much_of_a_transaction_is_set_aside(new_pair, on_error):
    centre_schema = SALE.replace("amount int", "amount int CHECK (amount < 1000)")
    fleet = new_pair(SALE, ["sale"], subscriber_tables=[{"table": "sale", "on_error": on_error}], centre_schema=centre_schema)
    fleet.start()
    fleet.edge.db.execute("INSERT INTO sale VALUES (1, 1, 'before')")
    fleet.edge.db.execute("INSERT INTO sale VALUES (2, 2, 'with it'), (3, 5000, 'bad'), (4, 4, 'with it')")
    fleet.edge.db.execute("INSERT INTO sale VALUES (5, 5, 'after')")
    fleet.wait_caught_up()
    present = [row for (row,) in fleet.centre.db.query("SELECT id FROM sale ORDER BY id")]
    assert present == {"row": [1, 2, 4, 5], "transaction": [1, 5]}[on_error]
    letters = wait_until(lambda: letters_of(fleet, state="open"), 30, "what is set aside is kept", fleet.diagnose)
    assert "23514" in {letter["sqlstate"] for letter in letters}, letters   # the cause is told, whatever the unit
    fleet.centre.db.execute("ALTER TABLE sale DROP CONSTRAINT sale_amount_check")
    fleet.subscriber.must("dead-letters", "retry", "--all")
    fleet.wait_equal()


def test_on_error_block_makes_the_source_wait_until_the_cause_is_mended(new_pair):
    centre_schema = SALE.replace("amount int", "amount int CHECK (amount < 1000)")
    fleet = new_pair(SALE, ["sale"], subscriber_tables=[{"table": "sale", "on_error": "block"}], centre_schema=centre_schema)
    fleet.start()
    fleet.edge.db.execute("INSERT INTO sale VALUES (1, 1, 'before')")
    fleet.wait_equal()   # what comes in one batch with the bad row waits with it
    fleet.edge.db.execute("INSERT INTO sale VALUES (2, 5000, 'bad')")
    fleet.edge.db.execute("INSERT INTO sale VALUES (3, 3, 'after')")
    wait_blocked(fleet, "jetson-01", "sale_amount_check")
    assert fleet.centre.db.query("SELECT id FROM sale") == [(1,)]
    fleet.centre.db.execute("ALTER TABLE sale DROP CONSTRAINT sale_amount_check")
    fleet.wait_equal()
    assert fleet.centre.dead_letters() == []
    wait_not_blocked(fleet, "jetson-01")


def wait_blocked(fleet, source, reason):
    def blocked():
        return [error for (error,) in fleet.centre.db.query(
            "SELECT last_error FROM pmoves_sync.sync_status WHERE service_name = %s AND last_sync_status = 'blocked'", (source,))
            if reason in (error or "")]
    return wait_until(blocked, 30, f"{source} is shown as blocked because of {reason}", fleet.diagnose)


def wait_not_blocked(fleet, source):
    wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM pmoves_sync.sync_status WHERE service_name = %s "
                                             "AND last_sync_status = 'blocked'", (source,)) == 0,
               30, f"{source} is not shown as blocked any more", fleet.diagnose)


def test_a_missing_column_blocks_only_its_source_and_it_goes_on_by_itself(new_fleet):
    fleet = new_fleet()
    fleet.create(fleet.centre.db, SALE)
    fleet.centre.add_subscriber(["sale"])
    for source in ("jetson-01", "jetson-02"):
        fleet.add_edge(source, schema=SALE, tables=["sale"])
    fleet.start()
    first, second = fleet.edges
    first.db.execute("INSERT INTO sale VALUES (1, 1, 'first')")
    fleet.wait_caught_up()
    first.db.execute("ALTER TABLE sale ADD colour text DEFAULT 'red'; UPDATE sale SET amount = 2")
    first.db.execute("INSERT INTO sale VALUES (2, 2, 'first', 'blue')")
    wait_blocked(fleet, "jetson-01", "colour")
    assert fleet.centre.db.value("SELECT health_status FROM pmoves_sync.sync_health WHERE service_name = 'jetson-01' "
                                 "AND last_sync_status = 'blocked' LIMIT 1") == "failing"
    second.db.execute("INSERT INTO sale SELECT i, i, 'second' FROM generate_series(100, 199) i")
    arrived = second.mark()
    wait_until(arrived, 30, "the other source goes on", fleet.diagnose)
    assert fleet.centre.db.value("SELECT count(*) FROM sale WHERE note = 'second'") == 100
    assert fleet.centre.db.value("SELECT amount FROM sale WHERE id = 1") == 1

    fleet.centre.db.execute("ALTER TABLE sale ADD colour text")
    wait_until(first.mark(), 30, "the blocked source goes on by itself", fleet.diagnose)
    assert fleet.centre.db.query("SELECT id, amount, colour FROM sale WHERE note = 'first' ORDER BY id") == [(1, 2, "red"), (2, 2, "blue")]
    wait_not_blocked(fleet, "jetson-01")
    assert fleet.centre.dead_letters() == []


GARBAGE = {
    "no headers": (b"not json at all \x00\xff\xfe", ()),
    "empty": (b"", ()),
    "what the NATS library takes for the server's": (b"", (("Status", "503"),)),
    "half of the headers": (b"{}", (("Sync-Protocol", "1"), ("Sync-Source", "jetson-01"))),
    "no protocol at all": (b"{}", (("Sync-Protocol", "none"), ("Sync-Source", "jetson-01"), ("Sync-Epoch", "x"))),
}


def test_garbage_in_the_stream_is_set_aside_and_neither_side_stops(new_pair):
    fleet = new_pair(SALE, ["sale"])
    fleet.start()
    fleet.edge.db.execute("INSERT INTO sale VALUES (1, 1, 'x')")
    fleet.wait_caught_up()
    with fleet.nats.client() as client:
        for payload, headers in GARBAGE.values():
            client.store("supabase.sync.sale.INSERT.jetson-01", payload, headers)
            fleet.edge.db.execute("UPDATE sale SET amount = amount + 1")
            fleet.wait_caught_up()
    letters = wait_letters(fleet, len(GARBAGE))
    assert {letter["reason"] for letter in letters} == {"malformed"}
    assert all("Sync-" in letter["message"] for letter in letters), letters
    for letter in letters:
        fleet.subscriber.must("dead-letters", "show", str(letter["id"]))
        discard(fleet, letter)
    fleet.wait_equal()


def test_good_headers_over_a_broken_body_stop_neither_side(new_pair):
    fleet = new_pair(SALE, ["sale"])
    fleet.start()
    fleet.edge.db.execute("INSERT INTO sale VALUES (1, 1, 'x')")
    fleet.wait_caught_up()
    for body in ({"data": None}, {"operation": "FLY"}, {"data": [{"id": 1}, 7]}):
        forge(fleet, "supabase.sync.sale.INSERT.jetson-01", change_body=body)
        fleet.edge.db.execute("UPDATE sale SET amount = amount + 1")
        fleet.wait_caught_up()
    assert {letter["reason"] for letter in wait_letters(fleet, 3)} <= {"malformed", "forged"}
    fleet.wait_equal()


def last_message(fleet):
    """Headers and body of the newest change message of the stream."""
    with fleet.nats.client() as client:
        for sequence in range(client.stream_state("SYNC_jetson-01")["last_seq"], 0, -1):
            subject, headers, body = client.stream_message("SYNC_jetson-01", sequence)
            if ".~." not in subject and f".{MARKER_TABLE}." not in subject:
                return headers, json.loads(body)
    raise AssertionError("the stream holds no change message")


def forge(fleet, subject, change_headers=None, change_body=None):
    """Stores a message that looks like the next one of the source, but for the changes asked for."""
    with fleet.nats.client() as client:
        last = client.stream_state("SYNC_jetson-01")["last_seq"]
        tail = client.stream_message("SYNC_jetson-01", last)[1]
        headers, body = last_message(fleet)
        headers = {key: value for key, value in headers.items() if key.startswith("Sync-")}
        position = lsn(tail["Sync-Position"]) + 1   # nothing real can end there: the next commit record is longer
        headers |= {"Sync-Position": f"{position >> 32:X}/{position & 0xFFFFFFFF:X}", "Sync-Previous": tail["Sync-Position"],
                    "Sync-Chunk": "0", "Sync-Last": "1", "Sync-Hlc": str(int(tail["Sync-Hlc"]) + 1000)}
        headers |= change_headers or {}
        body = {key: value for key, value in (body | (change_body or {})).items() if value is not None}
        client.store(subject, json.dumps(body), list(headers.items()))


def test_a_message_for_a_table_that_is_not_configured_writes_nothing(new_pair):
    secret = "CREATE TABLE secret (id int PRIMARY KEY, v text);"
    fleet = new_pair(SALE + ";" + secret, ["sale", "secret"], subscriber_tables=["sale"])
    fleet.start()
    edge = fleet.edge.db
    with edge.cursor(autocommit=False) as cursor:
        cursor.execute("INSERT INTO sale VALUES (1, 1, 'x'); INSERT INTO secret VALUES (1, 'from a publisher that sends too much')")
    fleet.wait_caught_up()
    letters = wait_letters(fleet, 1)
    assert letters[0]["reason"] == "not_configured" and letters[0]["table_name"] == "secret"
    fleet.centre.db.execute("CREATE TABLE victim (id int PRIMARY KEY, amount int, note text)")
    forge(fleet, "supabase.sync.victim.INSERT.jetson-01", change_body={"table": "victim"})
    edge.execute("INSERT INTO sale VALUES (2, 2, 'y')")
    fleet.wait_caught_up()
    wait_letters(fleet, 2, reason="not_configured")
    assert fleet.centre.db.value("SELECT count(*) FROM secret") == 0
    assert fleet.centre.db.value("SELECT count(*) FROM victim") == 0
    assert_equal(edge, fleet.centre.db, ["sale"])

    # Once the table is configured the dead letter can be retried.
    fleet.subscriber.configure({"tables": fleet.subscriber.config["tables"] + [{"table": "secret"}]})
    fleet.subscriber.must("init")
    fleet.subscriber.must("dead-letters", "retry", str(letters[0]["id"]))
    assert_equal(edge, fleet.centre.db, ["secret"])


FORGERIES = {
    "another source in the headers": ({"Sync-Source": "jetson-02"}, {}),
    "another source in the body": ({}, {"source": "jetson-02"}),
    "another table in the body than in the subject": ({}, {"table": MARKER_TABLE}),
    "another operation in the body than in the subject": ({}, {"operation": "DELETE", "data": None, "keys": [{"id": 1}]}),
}


def test_a_forged_source_is_quarantined(new_pair):
    fleet = new_pair(SALE, ["sale"])
    fleet.start()
    fleet.edge.db.execute("INSERT INTO sale VALUES (1, 1, 'x')")
    fleet.wait_caught_up()
    for headers, body in FORGERIES.values():
        forge(fleet, "supabase.sync.sale.INSERT.jetson-01", headers, {"data": [{"id": 666, "amount": 6, "note": "forged"}]} | body)
        fleet.edge.db.execute("UPDATE sale SET amount = amount + 1")
        fleet.wait_caught_up()
    letters = wait_letters(fleet, len(FORGERIES))
    assert {letter["reason"] for letter in letters} == {"forged"}
    assert fleet.centre.db.value("SELECT count(*) FROM sale WHERE id = 666") == 0
    assert fleet.centre.db.value("SELECT count(*) FROM pmoves_sync.source_position WHERE source = 'jetson-02'") == 0
    fleet.wait_equal()


def test_a_source_that_may_not_write_a_table_is_refused_there(new_fleet):
    fleet = new_fleet()
    fleet.create(fleet.centre.db, SALE)
    fleet.centre.add_subscriber([{"table": "sale", "sources": ["jetson-01"]}])
    for source in ("jetson-01", "jetson-02"):
        fleet.add_edge(source, schema=SALE, tables=["sale"])
    fleet.start()
    fleet.edges[0].db.execute("INSERT INTO sale VALUES (1, 1, 'allowed')")
    fleet.edges[1].db.execute("INSERT INTO sale VALUES (2, 2, 'not allowed')")
    fleet.wait_caught_up()
    assert fleet.centre.db.query("SELECT id FROM sale") == [(1,)]
    assert [letter["source"] for letter in wait_letters(fleet, 1, reason="not_allowed")] == ["jetson-02"]


def test_a_quarantined_truncate_waits_for_an_operator(new_fleet):
    fleet = new_fleet()
    fleet.create(fleet.centre.db, SALE)
    fleet.centre.add_subscriber([{"table": "sale", "truncate": "quarantine"}])
    for source in ("jetson-01", "jetson-02"):
        fleet.add_edge(source, schema=SALE, tables=["sale"])
    fleet.start()
    first, second = fleet.edges
    first.db.execute("INSERT INTO sale SELECT i, i, 'first' FROM generate_series(1, 10) i")
    second.db.execute("INSERT INTO sale SELECT i, i, 'second' FROM generate_series(11, 20) i")
    fleet.wait_caught_up()
    first.db.execute("TRUNCATE sale; INSERT INTO sale VALUES (7, 7, 'after')")
    second.db.execute("TRUNCATE sale")
    fleet.wait_caught_up()
    count = "SELECT count(*) FILTER (WHERE note = 'first'), count(*) FILTER (WHERE note = 'second'), count(*) FROM sale"
    assert fleet.centre.db.query(count) == [(9, 10, 20)]
    letters = wait_letters(fleet, 2, state="open")
    assert {(letter["reason"], letter["operation"], letter["table_name"]) for letter in letters} == {("truncate", "TRUNCATE", "sale")}
    mine, others = sorted(letters, key=lambda letter: letter["source"])
    assert fleet.subscriber.must("dead-letters", "retry", str(mine["id"])) == f"{mine['id']}: applied\n"
    assert fleet.centre.db.query(count) == [(0, 10, 11)]
    discard(fleet, others)
    assert fleet.centre.db.query(count) == [(0, 10, 11)]
