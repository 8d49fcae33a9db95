"""Dead letters of messages that nobody would write: each is kept, and none holds a source, not even its own."""

import json

import pytest

from harness import ForgedStream, wait_until
from test_poison import SALE, letters_of, wait_blocked, wait_letters, wait_not_blocked


def sale(number):
    return {"id": number, "amount": number, "note": "forged"}


@pytest.fixture
def two_sources(new_fleet):
    """A centre with one worker, and the streams of two sources that it reads."""
    fleet = new_fleet()
    fleet.create(fleet.centre.db, SALE)
    fleet.centre.add_subscriber(["sale"], {"workers": 1})
    fleet.init()
    streams = [ForgedStream(fleet.nats.client(), source, "sale") for source in ("jetson-01", "jetson-02")]
    fleet.subscriber.start().wait_ready()
    return fleet, *streams


def wait_rows(fleet, first, last):
    wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM sale WHERE id BETWEEN %s AND %s", (first, last)) == last - first + 1,
               30, f"rows {first} to {last} are there", fleet.diagnose)


def test_messages_whose_letters_could_not_be_stored_are_set_aside_and_hold_nobody(two_sources):
    fleet, bad, good = two_sources
    good_subject = "supabase.sync.sale.INSERT.jetson-01"
    body = json.loads(bad.body([sale(1)]))
    cases = {
        "a subject that is no text": ("supabase.sync.\udcff\udcfe.INSERT.jetson-01", body),
        "a name of 12 kB": (good_subject, body | {"table": "t" * 12000}),
        "a schema of 12 kB": (good_subject, body | {"schema": "s" * 12000}),
        "an operation of 12 kB": (good_subject, body | {"operation": "O" * 12000}),
        "the year 0000": (good_subject, body | {"timestamp": "0000-01-01T00:00:00.000000Z"}),
        "the year 0000 in a name of 12 kB": (good_subject, body | {"timestamp": "0000-06-01T00:00:00Z", "table": "t" * 12000}),
        "a far year": (good_subject, body | {"timestamp": "294247-01-01T00:00:00.000000Z"}),
        "NUL in a name": (good_subject, body | {"table": "a\0b"}),
        "a lone surrogate in a name": (good_subject, body | {"table": "\ud800"}),
        "bytes that are no text": (good_subject, b"\xff\x00\xfe" * 1000),
        "900 kB that are no body": (good_subject, b"[" * 900_000),
    }
    for number, (subject, what) in enumerate(cases.values()):
        payload = what if isinstance(what, bytes) else json.dumps(what)
        before = bad.position
        bad.client.publish(subject, payload, bad.headers())
        if subject != good_subject:
            bad.position = before   # it is no message of the source
        bad.insert([10 + number], sale)
        good.insert([1000 + number], sale)
    before = bad.position
    bad.client.publish(good_subject, "{}", [("Huge", "h" * 60_000), *bad.headers(**{"Sync-Xid": "x"})])
    bad.position = before
    bad.insert([500], sale)
    last = len(cases) - 1
    wait_rows(fleet, 1000, 1000 + last)
    wait_rows(fleet, 10, 10 + last)
    wait_rows(fleet, 500, 500)
    letters = wait_letters(fleet, len(cases) + 1, state="open")
    assert {letter["source"] for letter in letters} == {"jetson-01"}
    assert any("the first 256 of 12000 bytes" in letter["message"] for letter in letters)
    assert any("\\xff" in letter["subject"] for letter in letters)
    fleet.subscriber.must("dead-letters", "list")
    for letter in letters:
        fleet.subscriber.must("dead-letters", "show", str(letter["id"]))
    assert fleet.subscriber.status()["sources"][0]["state"] == "applying"


def test_a_letter_that_the_centre_refuses_blocks_its_source_alone(two_sources):
    fleet, bad, good = two_sources
    fleet.centre.db.execute("ALTER TABLE pmoves_sync.dead_letter ADD CONSTRAINT nothing CHECK (source <> 'jetson-01')")
    bad.insert([1], sale)
    bad.publish("garbage")
    bad.insert([2], sale)
    wait_blocked(fleet, "jetson-01", "dead letter")
    good.insert(range(1000, 1050), sale)
    wait_rows(fleet, 1000, 1049)
    # A row's letter as well.
    fleet.centre.db.execute("ALTER TABLE pmoves_sync.dead_letter DROP CONSTRAINT nothing")
    wait_rows(fleet, 1, 2)
    wait_not_blocked(fleet, "jetson-01")
    fleet.centre.db.execute("ALTER TABLE pmoves_sync.dead_letter ADD CONSTRAINT nothing CHECK (source <> 'jetson-01') NOT VALID; "
                            "ALTER TABLE sale ADD CONSTRAINT small CHECK (amount < 5000)")
    bad.insert([5000], sale)
    wait_blocked(fleet, "jetson-01", "dead letter")
    good.insert(range(1050, 1100), sale)
    wait_rows(fleet, 1050, 1099)
    fleet.centre.db.execute("ALTER TABLE pmoves_sync.dead_letter DROP CONSTRAINT nothing")
    bad.insert([3], sale)
    wait_rows(fleet, 3, 3)
    assert {letter["source"] for letter in letters_of(fleet, state="open")} == {"jetson-01"}
