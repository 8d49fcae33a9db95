"""Memory of a subscriber that meets many sources with a backlog. As a long command, acceptance of issue 11:

    PMOVES_BUILD_DIR=build/release /usr/bin/python3 tests/e2e/memory_of_backlogs.py --sources 1000 --megabytes 10

The streams need as much room as that in TMPDIR. Prints what the process had at the most, while the table in the centre was locked and
while the backlog was applied."""

import argparse
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness import Fleet, ForgedStream, wait_until  # noqa: E402

SCHEMA = "CREATE UNLOGGED TABLE reading (source text, id int, body text, PRIMARY KEY (source, id))"
LOCKED_SECONDS = 12   # long enough for every source to take what it may


def fill(fleet, count, megabytes, message_bytes, rows):
    """A stream per source; each message is a transaction of `rows` rows. Returns the rows of all."""
    body = "x" * max(1, message_bytes // rows)
    messages = max(1, int(megabytes * 1_000_000) // message_bytes)
    with fleet.nats.client() as client:
        for number in range(1, count + 1):
            stream = ForgedStream(client, f"edge-{number}", "reading")
            for message in range(messages):
                first = message * rows
                stream.publish(stream.body([{"source": stream.source, "id": first + i, "body": body} for i in range(rows)]))
            if number % 10 == 0:
                client.flush()
        client.flush()
        wait_until(lambda: client.stream_state(f"SYNC_edge-{count}")["messages"] == messages, 60, "all is stored")
    return count * messages * rows


def run(fleet, count, megabytes, message_bytes, rows, deadline):
    """Returns (bytes at the most while nothing could be applied, bytes at the most in all)."""
    total = fill(fleet, count, megabytes, message_bytes, rows)
    centre, subscriber = fleet.centre.db, fleet.centre.subscribers[0]
    fleet.init()
    connection = centre.connect(autocommit=False)
    try:
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE reading IN ACCESS EXCLUSIVE MODE")
        subscriber.start().wait_ready()
        wait_until(lambda: sum(source["owned"] for source in subscriber.status()["sources"]) == count, deadline, "all are owned",
                   fleet.diagnose)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > LOCKED_SECONDS, 2 * LOCKED_SECONDS, "the backlog has come as far as it may")
        locked = subscriber.rss_bytes()
    finally:
        connection.close()
    wait_until(lambda: centre.value("SELECT count(*) FROM reading") == total, deadline, f"{total} rows are there", fleet.diagnose,
               interval=1)
    return locked, subscriber.rss_bytes()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sources", type=int, default=1000)
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--message-bytes", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--hours", type=float, default=2)
    arguments = parser.parse_args()
    with Fleet(nats={"max_file": "64GB"}) as fleet:
        fleet.create(fleet.centre.db, SCHEMA)
        fleet.centre.add_subscriber(["reading"], {"workers": arguments.workers, "purge_interval": "2s", "retain_applied": 0})
        began = time.monotonic()
        locked, peak = run(fleet, arguments.sources, arguments.megabytes, arguments.message_bytes, arguments.rows, arguments.hours * 3600)
        print(json.dumps({"sources": arguments.sources, "megabytes": arguments.megabytes, "message_bytes": arguments.message_bytes,
                          "locked_mib": round(locked / 2**20), "peak_mib": round(peak / 2**20),
                          "seconds": round(time.monotonic() - began)}))


if __name__ == "__main__":
    main()
