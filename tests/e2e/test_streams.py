"""What a stream is, and what it may be: identity, limits, messages of other versions and of the server's kind."""

import contextlib

import pytest

from harness import ForgedStream, wait_until
from test_poison import SALE, letters_of, wait_blocked, wait_letters, wait_not_blocked
from workload import lsn


def store_next(fleet, headers):
    """Stores what looks like the next message of jetson-01, but for `headers`; returns its sequence."""
    with fleet.nats.client() as client:
        last = client.stream_state("SYNC_jetson-01")["last_seq"]
        tail = client.stream_message("SYNC_jetson-01", last)[1]
        position = lsn(tail["Sync-Position"]) + 1
        given = {key: value for key, value in tail.items() if key.startswith("Sync-")}
        given |= {"Sync-Position": f"{position >> 32:X}/{position & 0xFFFFFFFF:X}", "Sync-Previous": tail["Sync-Position"],
                  "Sync-Chunk": "0", "Sync-Last": "1", "Sync-Hlc": str(int(tail["Sync-Hlc"]) + 1000)} | headers
        return client.store("supabase.sync.sale.INSERT.jetson-01", "{}", list(given.items()))


def test_a_message_of_a_newer_protocol_blocks_its_source_and_nothing_is_set_aside_or_purged(new_pair):
    fleet = new_pair(SALE, ["sale"], subscriber={"retain_applied": 0, "purge_interval": "100ms"})
    fleet.start()
    fleet.edge.db.execute("INSERT INTO sale VALUES (1, 1, 'before')")
    fleet.wait_equal()
    newer = store_next(fleet, {"Sync-Protocol": "99"})
    wait_blocked(fleet, "jetson-01", "Sync-Protocol is 99")
    status = fleet.subscriber.status()["sources"][0]
    assert status["state"] == "blocked" and "upgrade" in status["reason"]
    # Nor does a publisher of this version write behind it.
    fleet.edge.db.execute("UPDATE sale SET note = 'after'")
    wait_until(lambda: "Sync-Protocol is 99" in fleet.publisher.log_text(), 30, "the publisher says why it waits", fleet.diagnose)
    assert fleet.centre.dead_letters() == []
    with fleet.nats.client() as client:
        assert client.stream_message("SYNC_jetson-01", newer)[1]["Sync-Protocol"] == "99", "it is kept for those who know it"
        client.api("STREAM.PURGE.SYNC_jetson-01", {"seq": newer + 1})   # as the reason says
    fleet.wait_equal()
    wait_not_blocked(fleet, "jetson-01")
    assert letters_of(fleet) == []


def test_messages_with_an_inline_status_are_set_aside_and_stop_nobody(new_pair):
    fleet = new_pair(SALE, ["sale"])
    fleet.start()
    fleet.edge.db.execute("INSERT INTO sale VALUES (1, 1, 'x')")
    fleet.wait_caught_up()
    firsts = ("503", "503 No Responders", "404 No Messages", "408 Request Timeout", "409 Consumer Deleted", "100 Idle Heartbeat")
    with fleet.nats.client() as client:
        for first in firsts:
            client.publish("supabase.sync.sale.INSERT.jetson-01", b"", first_line=f"NATS/1.0 {first}")
        client.flush()
    fleet.edge.db.execute("UPDATE sale SET amount = amount + 1")
    fleet.wait_equal()
    assert {letter["reason"] for letter in wait_letters(fleet, len(firsts))} == {"malformed"}


# ---- a name may stand for another stream

PURGES = {"retain_applied": 0, "purge_interval": "100ms", "workers": 2}


def sale(number):
    return {"id": number, "amount": number, "note": "forged"}


def mark(number):
    return {"id": number}


@pytest.fixture
def centre_alone(new_fleet):
    """A nats-server and a centre whose subscriber purges at once; no edges."""
    fleet = new_fleet()
    fleet.create(fleet.centre.db, SALE + "; CREATE TABLE mark (id int PRIMARY KEY)")
    fleet.centre.add_subscriber(["sale", "mark"], PURGES)
    fleet.init()
    return fleet


@contextlib.contextmanager
def locked(fleet, table):
    """While somebody holds the table in the centre."""
    connection = fleet.centre.db.connect(autocommit=False)
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
    finally:
        connection.close()


def rows(fleet, table="sale"):
    return fleet.centre.db.value(f"SELECT count(*) FROM {table}")


def wait_purged(fleet, stream, last):
    """Until only the last message is left."""
    wait_until(lambda: stream.state()["first_seq"] == last, 30, f"{stream.name} is purged up to {last}", fleet.diagnose)


def wait_purges(fleet, source):
    """Until the subscriber has purged what it may: another source's stream, made now, is."""
    stream = ForgedStream(fleet.nats.client(), source, "mark").insert(range(1, 21), mark)
    wait_purged(fleet, stream, 20)


def test_unapplied_messages_of_a_stream_made_anew_are_not_purged_by_the_old_ones_position(centre_alone):
    fleet = centre_alone
    stream = ForgedStream(fleet.nats.client(), "jetson-01", "sale").insert(range(1, 351), sale)
    fleet.subscriber.start().wait_ready()
    wait_purged(fleet, stream, 350)
    assert rows(fleet) == 350
    fleet.subscriber.terminate()
    stream.create_anew(epoch=2)
    stream.insert(range(1001, 1401), sale)
    with locked(fleet, "sale"):
        fleet.subscriber.start().wait_ready()
        wait_until(lambda: "jetson-01" in fleet.subscriber.log_text(), 30, "the source is read", fleet.diagnose)
        wait_purges(fleet, "jetson-02")
        assert stream.state()["messages"] == 400, fleet.diagnose()
    wait_purged(fleet, stream, 400)
    assert fleet.centre.db.value("SELECT count(*) FROM sale WHERE id > 1000") == 400


def test_a_stream_made_anew_is_purged_although_its_sequences_are_below_the_old_ones(centre_alone):
    fleet = centre_alone
    stream = ForgedStream(fleet.nats.client(), "jetson-01", "sale").insert(range(1, 301), sale)
    fleet.subscriber.start().wait_ready()
    wait_purged(fleet, stream, 300)
    stream.create_anew(epoch=2)   # while it is read
    stream.insert(range(1001, 1101), sale)
    wait_purged(fleet, stream, 100)
    assert fleet.centre.db.value("SELECT count(*) FROM sale WHERE id > 1000") == 100


def test_sequences_that_a_server_gives_out_again_do_not_purge_what_is_not_applied(centre_alone):
    fleet = centre_alone
    fleet.subscriber.configure({"purge_interval": "1h"})
    stream = ForgedStream(fleet.nats.client(), "jetson-01", "sale").insert(range(1, 101), sale)
    wait_until(lambda: stream.state()["messages"] == 100, 10, "it is stored")
    copy, position = fleet.nats.snapshot(), stream.position
    stream.insert(range(101, 351), sale)
    fleet.subscriber.start().wait_ready()
    wait_until(lambda: rows(fleet) == 350, 30, "all is applied", fleet.diagnose)
    fleet.subscriber.terminate()
    fleet.nats.kill9()
    fleet.nats.restore(copy)
    fleet.nats.start()
    stream.client = fleet.nats.client()
    stream.publish(stream.body([sale(1000)]), **{"Sync-Previous": stream.lsn(position)})   # links to the last one that is left
    stream.insert(range(1001, 1350), sale)
    fleet.subscriber.configure({"purge_interval": "100ms"})
    with locked(fleet, "sale"):
        fleet.subscriber.start().wait_ready()
        wait_purges(fleet, "jetson-02")
        assert stream.state()["messages"] >= 350, fleet.diagnose()   # 100 of them are applied
    wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM sale WHERE id >= 1000") == 350, 30, "all is applied", fleet.diagnose)
    wait_purged(fleet, stream, 450)


def test_a_full_stream_whose_messages_are_applied_is_purged_after_a_restart(centre_alone):
    fleet = centre_alone
    fleet.subscriber.configure({"purge_interval": "1h"})
    stream = ForgedStream(fleet.nats.client(), "jetson-01", "sale").insert(range(1, 101), sale)
    fleet.subscriber.start().wait_ready()
    wait_until(lambda: rows(fleet) == 100, 30, "all is applied", fleet.diagnose)
    fleet.subscriber.kill9()
    fleet.subscriber.configure({"purge_interval": "100ms"})
    fleet.subscriber.start()   # nothing new comes
    wait_purged(fleet, stream, 100)


# ---- what a stream may not be


def edit(fleet, stream, **changes):
    with fleet.nats.client() as client:
        client.api(f"STREAM.UPDATE.{stream}", client.api(f"STREAM.INFO.{stream}")["config"] | changes)


def wait_refused(fleet, words):
    """Both programs say why, live and in `check`."""
    wait_blocked(fleet, "jetson-01", words)
    wait_until(lambda: words in fleet.publisher.status()["reason"], 30, f"the publisher says {words}", fleet.diagnose)
    for program in (fleet.publisher, fleet.subscriber):
        done = program.run_verb("check")
        assert done.returncode == 1 and words in done.stdout and "nats stream edit SYNC_jetson-01" in done.stdout, done.stdout + done.stderr


def test_a_stream_that_drops_messages_is_refused_by_name_on_both_sides(new_pair):
    fleet = new_pair(SALE, ["sale"])
    fleet.start()
    fleet.edge.db.execute("INSERT INTO sale VALUES (1, 1, 'before')")
    fleet.wait_equal()
    for changes, words in (({"max_age": 3600 * 10**9}, "max_age is 1h"), ({"max_msgs": 5, "discard": "old"}, "max_msgs is 5")):
        for program in fleet.programs():
            program.terminate()
        edit(fleet, "SYNC_jetson-01", **changes)
        for program in fleet.programs():
            program.start()
        wait_refused(fleet, words)
        fleet.edge.db.execute("INSERT INTO sale SELECT max(id) + 1, 1, 'waits' FROM sale")
        edit(fleet, "SYNC_jetson-01", max_age=0, max_msgs=-1, discard="new")
        fleet.wait_equal()
        wait_not_blocked(fleet, "jetson-01")


def test_an_applied_stream_that_forgets_is_refused_by_name_on_both_sides(new_pair):
    fleet = new_pair(SALE, ["sale"])
    fleet.start()
    for program in fleet.programs():
        program.terminate()
    edit(fleet, "SYNC-APPLIED", max_age=3600 * 10**9)
    for program in fleet.programs():
        program.start()
    for program in fleet.programs():
        wait_until(lambda each=program: "stream SYNC-APPLIED may lose" in each.log_text(), 30, "it says so", fleet.diagnose)
        assert "max_age is 1h" in program.run_verb("check").stdout
    edit(fleet, "SYNC-APPLIED", max_age=0)
    fleet.edge.db.execute("INSERT INTO sale VALUES (1, 1, 'x')")
    fleet.wait_equal()
