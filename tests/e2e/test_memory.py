"""Promise R1: one budget of memory for all that is received and not applied, however many sources have a backlog."""

import json

import pytest

import memory_of_backlogs
from harness import ForgedStream, wait_until

MEBIBYTE = 1 << 20


@pytest.fixture
def fleet(new_fleet):
    made = new_fleet()
    made.create(made.centre.db, memory_of_backlogs.SCHEMA)
    made.centre.add_subscriber(["reading"], {"memory": {"max_bytes": "48MiB"}, "batch": {"max_bytes": "2MiB"}})
    return made


@pytest.mark.parametrize("message_bytes, rows, megabytes", [(100_000, 20, 5), (300, 1, 1)])
def test_sixty_sources_with_a_backlog_share_one_budget(fleet, message_bytes, rows, megabytes):
    """60 sources with 10 MB each took 567 MB: each had its own limits."""
    locked, peak = memory_of_backlogs.run(fleet, 60, megabytes, message_bytes, rows, 120)
    print(f"locked {locked // MEBIBYTE} MiB, peak {peak // MEBIBYTE} MiB")
    assert peak < 160 * MEBIBYTE


def test_halves_of_transactions_that_fill_the_budget_do_not_stop_the_others(fleet):
    """Forty edges died inside a transaction of 1.5 MB, which is no large one."""
    fleet.init()
    body = "x" * 100_000
    halves = []
    with fleet.nats.client() as client:
        for number in range(1, 41):
            stream = ForgedStream(client, f"half-{number}", "reading")
            for chunk in range(15):
                stream.publish(stream.body([{"source": stream.source, "id": chunk, "body": body}]), chunk=chunk, last=False)
            halves.append(stream)
        client.flush()
        fleet.subscriber.start().wait_ready()
        wait_until(lambda: sum(source["owned"] for source in fleet.subscriber.status()["sources"]) == 40, 30, "all are owned", fleet.diagnose)
        whole = ForgedStream(client, "whole", "reading")
        whole.insert(range(500), lambda number: {"source": "whole", "id": number, "body": body[:20_000]})
        count = "SELECT count(*) FROM reading WHERE source = %s"
        wait_until(lambda: fleet.centre.db.value(count, ("whole",)) == 500, 60, "the other source is applied", fleet.diagnose)
        assert fleet.subscriber.metric("pmoves_sync_memory_halves_dropped_total") > 0
        for stream in halves:   # and they come to their ends
            stream.publish(stream.body([{"source": stream.source, "id": 15, "body": "end"}]), chunk=15)
        client.flush()
    wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM reading") == 500 + 40 * 16, 90, "all are applied", fleet.diagnose)
    assert fleet.subscriber.rss_bytes() < 200 * MEBIBYTE


def test_a_row_of_parts_without_an_end_takes_no_memory(fleet):
    fleet.init()
    part = "x" * 500_000
    with fleet.nats.client() as client:
        stream = ForgedStream(client, "endless", "reading")
        begin = json.dumps({"source": "endless", "schema": "public", "table": "reading", "operation": "INSERT",
                            "timestamp": "2026-06-01T00:00:00Z"})[:-1] + ',"data":[{"source":"endless","id":1,"body":"'
        for chunk in range(400):
            stream.publish(begin if chunk == 0 else part, chunk=chunk, last=False, **{"Sync-Part": f"{chunk}/1000000"})
        client.flush()
        fleet.subscriber.start().wait_ready()
        other = ForgedStream(client, "other", "reading")
        other.insert(range(20), lambda number: {"source": "other", "id": number, "body": "x"})
    wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM reading") == 20, 30, "the other source is applied", fleet.diagnose)

    def pending():
        return [source["pending_messages"] for source in fleet.subscriber.status()["sources"] if source["source"] == "endless"]

    wait_until(lambda: pending() == [0], 60, "all parts were read", fleet.diagnose)
    assert fleet.subscriber.rss_bytes() < 160 * MEBIBYTE
