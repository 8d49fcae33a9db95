"""What a stream is, and what it may be: identity, limits, messages of other versions and of the server's kind."""

import json

from harness import wait_until
from test_poison import SALE, last_message, letters_of, wait_blocked, wait_letters, wait_not_blocked
from workload import lsn


def store_next(fleet, headers, payload=None, raw=None):
    """Stores what looks like the next message of jetson-01, but for `headers`; returns its sequence."""
    with fleet.nats.client() as client:
        last = client.stream_state("SYNC_jetson-01")["last_seq"]
        tail = client.stream_message("SYNC_jetson-01", last)[1]
        position = lsn(tail["Sync-Position"]) + 1
        given, body = last_message(fleet)
        given = {key: value for key, value in given.items() if key.startswith("Sync-")}
        given |= {"Sync-Position": f"{position >> 32:X}/{position & 0xFFFFFFFF:X}", "Sync-Previous": tail["Sync-Position"],
                  "Sync-Chunk": "0", "Sync-Last": "1", "Sync-Hlc": str(int(tail["Sync-Hlc"]) + 1000)} | headers
        return client.store("supabase.sync.sale.INSERT.jetson-01", json.dumps(body) if payload is None else payload, list(given.items()))


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
