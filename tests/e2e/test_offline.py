"""Edges that go away for a while: their lag shows, their changes wait, and what is done is let go."""

from harness import wait_until

NOTE = "CREATE TABLE note (id int PRIMARY KEY, v text)"


def test_lag_of_an_edge_that_went_offline_keeps_growing(new_pair):
    fleet = new_pair(NOTE, ["note"])
    fleet.start()
    fleet.edge.db.execute("INSERT INTO note VALUES (1, 'x')")
    fleet.wait_equal()
    fleet.publisher.kill9()

    def lag():
        return fleet.subscriber.metric("pmoves_sync_apply_lag_seconds", source="jetson-01")

    # An edge counts as silent after three of its slowest heartbeats.
    first = wait_until(lambda: lag() if lag() > 1 else None, 60, "the lag of the silent edge grows", fleet.diagnose)
    second = wait_until(lambda: lag() if lag() > first + 1.5 else None, 30, "it grows on", fleet.diagnose)
    assert second > first
    fleet.publisher.start()
    fleet.wait_caught_up()
    wait_until(lambda: lag() < 5, 30, "the lag is small again", fleet.diagnose)


def test_applied_messages_are_purged_and_the_slot_is_let_go(new_pair):
    fleet = new_pair(NOTE, ["note"], publisher={"confirm": {"stored_hold": "1h"}},
                     subscriber={"retain_applied": 10, "purge_interval": "500ms"})
    fleet.start()
    for number in range(60):
        fleet.edge.db.execute("INSERT INTO note VALUES (%s, 'x')", (number,))
        fleet.wait_caught_up()

    def stored():
        with fleet.nats.client() as client:
            return client.stream_state("SYNC_jetson-01")["messages"]

    wait_until(lambda: stored() <= 20, 30, "applied messages are purged", fleet.diagnose)
    wait_until(lambda: fleet.edge.confirmed() >= fleet.centre.position("jetson-01"), 30,
               "what the centre has applied is confirmed to Postgres", fleet.diagnose)
