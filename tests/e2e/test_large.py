"""Transactions that are larger than a batch: half of one, one sent anew, one that meets something that cannot be applied, one that is
larger than its stream. None of them may cost other sources anything."""

import pytest

from harness import assert_equal, wait_until

TABLES = "CREATE TABLE big (id int PRIMARY KEY, body text); CREATE TABLE small (id int PRIMARY KEY, body text)"
# Many messages in a transaction, and one after the other, so that a test can stop in its midst.
SLOW = {"stream": {"max_message_bytes": "4KiB", "window_messages": 1, "window_bytes": "4KiB"}}
FAST = {"stream": {"max_message_bytes": "16KiB", "window_messages": 256, "window_bytes": "4MiB"}}
ROWS = 20000


def two_edges(new_fleet, subscriber_tables=("big", "small"), centre_schema=TABLES, **subscriber):
    """One worker for both, and batches that are soon full."""
    fleet = new_fleet()
    fleet.create(fleet.centre.db, centre_schema)
    fleet.centre.add_subscriber(list(subscriber_tables), {"workers": 1, "batch": {"max_bytes": "64KiB"}} | subscriber)
    for source in ("jetson-01", "jetson-02"):
        fleet.add_edge(source, schema=TABLES, tables=["big", "small"], config=FAST)
    return fleet.start()


def insert_big(edge, first=0, rows=ROWS):
    edge.db.execute("INSERT INTO big SELECT i, repeat('x', 100) FROM generate_series(%s, %s) i", (first, first + rows - 1))


def tail_of(fleet, edge):
    with fleet.nats.client() as client:
        state = client.stream_state(edge.stream)
        return client.stream_message(edge.stream, state["last_seq"])[1] if state["messages"] else {}


def first_sequence(fleet, edge):
    with fleet.nats.client() as client:
        return client.stream_state(edge.stream)["first_seq"]


def configure(edge, changes):
    edge.publisher.terminate()
    edge.publisher.configure(changes)
    edge.publisher.start().wait_ready()


def stop_in_the_midst(fleet, edge, first=0):
    """Ends the publisher when half of a large transaction is stored; returns the sequence of the newest message."""
    configure(edge, SLOW)
    with fleet.nats.client() as client:
        before = client.stream_state(edge.stream)["last_seq"]
        insert_big(edge, first)
        wait_until(lambda: client.stream_state(edge.stream)["last_seq"] > before + 60, 30, "some of it is stored", fleet.diagnose,
                   interval=0.005)
        edge.publisher.kill9()
    assert tail_of(fleet, edge).get("Sync-Last") != "1", "it was stored whole: it is too small for this test"
    edge.publisher.configure(FAST)
    with fleet.nats.client() as client:
        return client.stream_state(edge.stream)["last_seq"]


def others_go_on(fleet, edge, seconds=10):
    arrived = edge.mark()
    wait_until(arrived, seconds, f"{edge.source} goes on", fleet.diagnose)


def state_of(fleet, source):
    return next(each for each in fleet.subscriber.status()["sources"] if each["source"] == source)


def wait_state(fleet, source, state, reason=""):
    def shown():
        now = state_of(fleet, source)
        return now["state"] == state and reason in now["reason"]
    wait_until(shown, 30, f"{source} is shown as {state} because of {reason!r}", fleet.diagnose)
    if state != "applying":
        wait_until(lambda: fleet.centre.db.value(
            "SELECT count(*) FROM pmoves_sync.sync_status WHERE service_name = %s AND last_sync_status = %s AND last_error LIKE %s",
            (source, state, f"%{reason}%")), 10, f"sync_status says {state}", fleet.diagnose)
        assert fleet.centre.db.value("SELECT count(*) FROM pmoves_sync.sync_health WHERE service_name = %s AND health_status = 'healthy' "
                                     "AND last_sync_status = %s", (source, state)) == 0


def wait_equal(fleet, edge):
    """Of an edge that alone has written `big`."""
    wait_until(edge.mark(), 60, f"the centre has caught up with {edge.source}", fleet.diagnose)
    assert_equal(edge.db, fleet.centre.db, ["big"])


def test_a_resent_prefix_goes_on_and_is_purged_and_costs_others_nothing(new_fleet):
    fleet = two_edges(new_fleet)
    first, second = fleet.edges
    dead = stop_in_the_midst(fleet, first)
    wait_state(fleet, "jetson-01", "waiting", "is not complete")
    assert fleet.subscriber.metric("pmoves_sync_source_waiting", source="jetson-01") == 1
    for _ in range(3):
        others_go_on(fleet, second)
    assert fleet.centre.db.value("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'") == 0
    # A restart of the subscriber finds the same.
    fleet.subscriber.terminate()
    fleet.subscriber.start().wait_ready()
    others_go_on(fleet, second)

    first.publisher.start()
    wait_equal(fleet, first)
    wait_state(fleet, "jetson-01", "applying")
    assert fleet.subscriber.metric("pmoves_sync_source_waiting", source="jetson-01") == 0
    assert fleet.subscriber.metric("pmoves_sync_prefixes_dropped_total", source="jetson-01") >= 1
    # All of the prefix is purged, although applied messages are retained.
    wait_until(lambda: first_sequence(fleet, first) > dead, 20, "the prefix is purged", fleet.diagnose)

    # Twice in one transaction, while the subscriber does not look; then it meets all of it at once.
    fleet.subscriber.terminate()
    stop_in_the_midst(fleet, first, ROWS)
    first.publisher.configure(SLOW)
    with fleet.nats.client() as client:
        before = client.stream_state(first.stream)["last_seq"]
        first.publisher.start()
        wait_until(lambda: client.stream_state(first.stream)["last_seq"] > before + 30, 30, "it is sent anew", fleet.diagnose,
                   interval=0.005)
        first.publisher.kill9()
    first.publisher.configure(FAST)
    first.publisher.start()
    fleet.subscriber.start()
    wait_equal(fleet, first)
    assert fleet.centre.dead_letters() == []


def test_a_broker_that_dies_inside_a_large_transaction_only_delays_it(new_fleet):
    fleet = two_edges(new_fleet)
    first, _ = fleet.edges
    configure(first, SLOW)
    with fleet.nats.client() as client:
        before = client.stream_state(first.stream)["last_seq"]
        insert_big(first)
        wait_until(lambda: client.stream_state(first.stream)["last_seq"] > before + 60, 30, "some of it is stored", fleet.diagnose,
                   interval=0.005)
    fleet.nats.kill9()
    fleet.nats.start()
    wait_equal(fleet, first)
    assert fleet.centre.dead_letters() == []


def test_a_message_that_is_set_aside_inside_half_a_large_transaction_stops_nobody(new_fleet):
    fleet = two_edges(new_fleet)
    first, second = fleet.edges
    stop_in_the_midst(fleet, first)
    with fleet.nats.client() as client:
        garbage = client.store("supabase.sync.big.INSERT.jetson-01", b"garbage")
    wait_until(lambda: [each["reason"] for each in fleet.centre.dead_letters()] == ["malformed"], 20, "it is set aside", fleet.diagnose)
    others_go_on(fleet, second)
    wait_state(fleet, "jetson-01", "waiting", "is not complete")
    # What comes before it is still there for whoever reads next.
    assert first_sequence(fleet, first) < garbage
    fleet.subscriber.kill9()
    fleet.subscriber.start()
    first.publisher.start()
    wait_equal(fleet, first)
    assert len(fleet.centre.dead_letters()) == 1


def test_a_missing_column_inside_a_large_transaction_blocks_its_source_with_the_reason(new_fleet):
    fleet = two_edges(new_fleet)
    first, second = fleet.edges
    first.db.execute("ALTER TABLE big ADD colour text DEFAULT 'red'")
    insert_big(first)
    wait_state(fleet, "jetson-01", "blocked", "colour")
    for _ in range(3):
        others_go_on(fleet, second)
    assert fleet.centre.db.value("SELECT count(*) FROM big") == 0
    # The other one's large transactions, too.
    insert_big(second, 100000)
    wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM big") == ROWS, 30, "it is applied", fleet.diagnose)
    fleet.centre.db.execute("ALTER TABLE big ADD colour text")
    wait_until(first.mark(), 60, "it goes on by itself", fleet.diagnose)
    assert fleet.centre.db.value("SELECT count(*) FROM big WHERE colour = 'red'") == ROWS
    wait_state(fleet, "jetson-01", "applying")
    assert fleet.centre.dead_letters() == []


@pytest.mark.parametrize("on_error", ["row", "transaction", "block"])
def test_a_row_that_cannot_be_applied_inside_a_large_transaction_is_treated_as_in_a_small_one(new_fleet, on_error):
    fleet = two_edges(new_fleet, [{"table": "big", "on_error": on_error}, "small"],
                      centre_schema=TABLES.replace("body text", "body text CONSTRAINT short CHECK (length(body) < 1000)", 1))
    first, second = fleet.edges
    with first.db.cursor(autocommit=False) as cursor:
        cursor.execute("INSERT INTO big SELECT i, CASE WHEN i = 700 THEN repeat('y', 2000) ELSE repeat('x', 100) END "
                       "FROM generate_series(0, 999) i")
    if on_error == "block":
        wait_state(fleet, "jetson-01", "blocked", "big")
        others_go_on(fleet, second)
        fleet.centre.db.execute("ALTER TABLE big DROP CONSTRAINT short")
        wait_equal(fleet, first)
        return
    wait_until(first.mark(), 60, "it goes on", fleet.diagnose)
    assert fleet.centre.db.value("SELECT count(*) FROM big") == (999 if on_error == "row" else 0)
    assert "23514" in {letter["sqlstate"] for letter in fleet.centre.dead_letters()}
    fleet.centre.db.execute("ALTER TABLE big DROP CONSTRAINT short")
    fleet.subscriber.must("dead-letters", "retry", "--all")
    assert_equal(first.db, fleet.centre.db, ["big"])


def test_a_large_transaction_that_waits_for_a_lock_holds_up_no_other_source(new_fleet):
    fleet = two_edges(new_fleet)
    first, second = fleet.edges
    with fleet.centre.db.cursor(autocommit=False) as cursor:
        cursor.execute("LOCK TABLE big IN ACCESS EXCLUSIVE MODE")
        insert_big(first)
        wait_state(fleet, "jetson-01", "waiting", "large transaction")
        for _ in range(5):
            second.db.execute("INSERT INTO small SELECT coalesce(max(id), 0) + 1, 'x' FROM small")
            others_go_on(fleet, second)
        cursor.execute("ROLLBACK")
    wait_equal(fleet, first)


# ---- a stream that is full

SMALL_STREAM = {"stream": {"max_bytes": "2MiB", "max_message_bytes": "16KiB", "window_messages": 64, "window_bytes": "4MiB"}}


def small_stream(new_pair, **subscriber):
    return new_pair(TABLES, ["big", "small"], publisher=SMALL_STREAM, subscriber={"batch": {"max_bytes": "64KiB"}} | subscriber)


def publisher_state(fleet, state, *words):
    def shown():
        now = fleet.publisher.status()
        return now["state"] == state and all(word in now["reason"] for word in words)
    wait_until(shown, 30, f"the publisher is {state} because of {words}", fleet.diagnose)


def test_a_transaction_larger_than_its_stream_is_said_by_name_and_goes_on_after_a_resize(new_pair):
    fleet = small_stream(new_pair)
    fleet.start()
    with fleet.nats.client() as client:
        before = client.api("STREAM.INFO.SYNC_jetson-01")["config"] | {"description": "of the operator's own", "max_msg_size": 1 << 20}
        client.api("STREAM.UPDATE.SYNC_jetson-01", before)
        before = client.api("STREAM.INFO.SYNC_jetson-01")["config"]
    fleet.edge.db.execute("INSERT INTO big SELECT i, repeat('x', 1000) FROM generate_series(1, 6000) i")
    publisher_state(fleet, "blocked", "SYNC_jetson-01", "larger than the stream", "2097152", "stream resize jetson-01 --max-bytes")
    wait_until(lambda: "larger than the stream" in next(iter(fleet.subscriber.status()["sources"]))["heartbeat"], 30,
               "the centre hears of it", fleet.diagnose)
    assert fleet.publisher.http("/readyz")[0] != 200
    with fleet.nats.client() as client:
        waiting = client.stream_state("SYNC_jetson-01")
    sessions = fleet.publisher.status()["sessions"]

    # Another setting changes nothing, and that is said.
    fleet.publisher.terminate()
    fleet.publisher.configure({"stream": {"max_bytes": "64MiB"}})
    checked = fleet.publisher.run_verb("check").stdout
    assert "WARN" in checked and "stream.max_bytes is 64MiB here, but stream SYNC_jetson-01 may hold 2MiB" in checked, checked
    assert "stream resize jetson-01 --max-bytes 64MiB" in checked, checked
    assert "nearly full" in fleet.subscriber.run_verb("check").stdout
    fleet.publisher.start()
    publisher_state(fleet, "blocked", "SYNC_jetson-01", "stream.max_bytes is 64MiB here")
    assert "may hold 2MiB" in fleet.publisher.log_text()

    refused = fleet.subscriber.run_verb("stream", "resize", "jetson-01", "--max-bytes", "1MiB")
    assert refused.returncode == 1 and "would be lost" in refused.stderr, refused
    assert fleet.subscriber.run_verb("stream", "resize", "jetson-01", "--max-bytes", "many").returncode == 2
    assert fleet.subscriber.run_verb("stream", "resize", "nobody", "--max-bytes", "64MiB").returncode == 1
    said = fleet.subscriber.must("stream", "resize", "jetson-01", "--max-bytes", "64MiB")
    assert "64MiB" in said and "2MiB" in said
    fleet.wait_equal(["big"])
    with fleet.nats.client() as client:
        after = client.api("STREAM.INFO.SYNC_jetson-01")["config"]
    assert after | {"max_bytes": 0} == before | {"max_bytes": 0} and after["max_bytes"] == 64 << 20
    wait_until(lambda: fleet.publisher.http("/readyz")[0] == 200, 30, "the publisher is ready again", fleet.diagnose)
    assert sessions <= 3, "a full stream is no reason to begin anew again and again"
    assert waiting["messages"] > 0


def test_a_full_stream_goes_on_at_the_message_that_it_refused(new_pair):
    """Without a restart of anything: what is stored of the transaction is not sent again."""
    fleet = small_stream(new_pair)
    fleet.start()
    fleet.edge.db.execute("INSERT INTO big SELECT i, repeat('x', 1000) FROM generate_series(1, 6000) i")
    publisher_state(fleet, "blocked", "larger than the stream")
    sessions = fleet.publisher.status()["sessions"]
    fleet.subscriber.must("stream", "resize", "jetson-01", "--max-bytes", "64MiB")
    fleet.wait_equal(["big"])
    assert fleet.publisher.status()["sessions"] == sessions
    assert fleet.subscriber.metric("pmoves_sync_prefixes_dropped_total", source="jetson-01") == 0


def test_a_crash_inside_a_large_transaction_does_not_fill_the_stream_for_good(new_pair):
    """Most of the stream is the dead beginning: all of it fits only when that is purged."""
    fleet = small_stream(new_pair)
    fleet.start()
    fleet.publisher.terminate()
    fleet.publisher.configure(SLOW)
    fleet.publisher.start().wait_ready()
    fleet.edge.db.execute("INSERT INTO big SELECT i, repeat('x', 1000) FROM generate_series(1, 1300) i")
    with fleet.nats.client() as client:
        wait_until(lambda: client.stream_state("SYNC_jetson-01")["bytes"] > 900000, 30, "most of it is stored", fleet.diagnose, interval=0.005)
        fleet.publisher.kill9()
        assert tail_of(fleet, fleet.edge).get("Sync-Last") != "1", "it was stored whole: it is too small for this test"
    fleet.publisher.configure(SMALL_STREAM)
    fleet.publisher.start()
    fleet.wait_equal(["big"])


def test_applied_messages_that_are_kept_for_a_look_back_do_not_fill_the_stream(new_pair):
    fleet = small_stream(new_pair, retain_applied=100000)
    fleet.start()
    for i in range(8):
        fleet.edge.db.execute("INSERT INTO big SELECT i, repeat('x', 1000) FROM generate_series(%s, %s) i", (i * 500, i * 500 + 499))
    fleet.wait_equal(["big"])


def test_a_stream_is_removed_only_when_all_of_it_is_applied(new_pair):
    fleet = small_stream(new_pair)
    fleet.start()
    fleet.edge.db.execute("INSERT INTO big VALUES (1, 'x')")
    fleet.wait_equal(["big"])
    fleet.subscriber.terminate()
    fleet.edge.db.execute("INSERT INTO big VALUES (2, 'not applied')")
    with fleet.nats.client() as client:
        wait_until(lambda: client.stream_state("SYNC_jetson-01")["messages"] > 1, 30, "it is stored", fleet.diagnose)
    refused = fleet.subscriber.run_verb("stream", "remove", "jetson-01")
    assert refused.returncode == 1 and "not applied" in refused.stderr, refused
    assert "is removed" in fleet.subscriber.must("stream", "remove", "jetson-01", "--discard-unapplied")
