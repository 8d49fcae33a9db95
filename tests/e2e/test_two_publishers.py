"""Acceptance 5: a second publisher for one source is refused with a clear message, and nothing is interleaved."""

import re

import pytest

from harness import Publisher, assert_equal, wait_until

NOTE = "CREATE TABLE note (id int PRIMARY KEY, v text)"


def writers_in(fleet):
    """The distinct Sync-Writer values of the stream, in order of appearance."""
    seen = []
    with fleet.nats.client() as client:
        state = client.stream_state("SYNC_jetson-01")
        for sequence in range(state["first_seq"], state["last_seq"] + 1):
            writer = client.stream_message("SYNC_jetson-01", sequence)[1].get("Sync-Writer")
            if not seen or seen[-1] != writer:
                seen.append(writer)
    return seen


def start_pair(new_pair):
    fleet = new_pair(NOTE, ["note"], subscriber={"purge_interval": "1h"})
    fleet.start()
    fleet.edge.db.execute("INSERT INTO note SELECT i, 'original' FROM generate_series(1, 50) i")
    fleet.wait_equal()
    return fleet


def second_publisher(fleet, db, name="second"):
    return Publisher(fleet.scratch, "jetson-01", db, fleet.nats, ["note", "sync_marker"], name=name)


def wait_refused(fleet, publisher, pattern):
    """The refusal is in its log, in /status and in /readyz; it does not end by itself in success."""
    text = wait_until(lambda: re.search(pattern, publisher.log_text(), re.IGNORECASE), 30,
                      f"{publisher.name} is refused with {pattern}", lambda: publisher.log_tail() + fleet.diagnose())
    if publisher.running():
        assert publisher.http("/readyz")[0] == 503
    return text.group(0)


def test_second_publisher_on_the_same_database_is_refused(new_pair):
    fleet = start_pair(new_pair)
    second = second_publisher(fleet, fleet.edge.db).start()
    wait_refused(fleet, second, r"another publisher|already (publish|writes)")
    fleet.edge.db.execute("UPDATE note SET v = 'after'")
    fleet.wait_equal()
    assert len(writers_in(fleet)) == 1
    second.kill9()


@pytest.mark.parametrize("copied_while", ["stopped", "running"])
def test_clone_is_refused_while_the_original_runs(new_pair, copied_while):
    fleet = start_pair(new_pair)
    clone_db = make_clone(fleet, copied_while)
    before = writers_in(fleet)
    clone_db.execute("INSERT INTO note SELECT i, 'clone' FROM generate_series(1001, 1050) i")
    second = second_publisher(fleet, clone_db).start()
    wait_refused(fleet, second, r"another publisher|already (publish|writes)|clone")
    fleet.edge.db.execute("INSERT INTO note SELECT i, 'original' FROM generate_series(51, 100) i")
    fleet.wait_equal()
    assert writers_in(fleet)[:len(before)] == before
    assert fleet.centre.db.value("SELECT count(*) FROM note WHERE v = 'clone'") == 0
    second.kill9()
    clone_db.kill9()


def make_clone(fleet, copied_while):
    """A file-level copy of the edge's cluster, as of an SD card; after it the original publishes some more."""
    if copied_while == "stopped":
        fleet.edge.db.stop()
        clone_db = fleet.edge.db.clone("clone")
        fleet.edge.db.start()
    else:
        clone_db = fleet.edge.db.clone("clone")
    fleet.wait_caught_up()
    fleet.edge.db.execute("UPDATE note SET v = 'original went on' WHERE id <= 10")
    fleet.wait_equal()
    return clone_db.start()


@pytest.mark.parametrize("copied_while", ["stopped", "running"])
def test_clone_is_refused_also_when_the_original_is_down(new_pair, copied_while):
    fleet = start_pair(new_pair)
    clone_db = make_clone(fleet, copied_while)
    if copied_while == "running":   # the run that wrote the tail must not be one that the copy knows
        fleet.publisher.kill9()
        fleet.publisher.start()
        fleet.wait_caught_up()
    fleet.publisher.terminate()
    fleet.edge.db.stop()
    before = writers_in(fleet)
    clone_db.execute("INSERT INTO note SELECT i, 'clone' FROM generate_series(1001, 3000) i")
    second = second_publisher(fleet, clone_db).start()
    wait_refused(fleet, second, r"clone|does not know|another publisher")
    assert writers_in(fleet) == before

    # The original comes back beside it and goes on as if nothing had been.
    fleet.edge.db.start()
    fleet.edge.db.execute("INSERT INTO note SELECT i, 'original' FROM generate_series(101, 150) i")
    fleet.publisher.start()
    fleet.wait_equal()
    assert fleet.centre.db.value("SELECT count(*) FROM note WHERE v = 'clone'") == 0
    assert fleet.centre.dead_letters() == []
    second.kill9()
    clone_db.kill9()


def test_clone_whose_wal_is_behind_the_stream_is_refused(new_pair):
    """Copied while running and by the same run that wrote the tail: only the positions tell."""
    fleet = start_pair(new_pair)
    clone_db = make_clone(fleet, "running")
    fleet.publisher.terminate()
    fleet.edge.db.stop()
    before = writers_in(fleet)
    second = second_publisher(fleet, clone_db).start()
    wait_refused(fleet, second, r"set back|clone|older|does not know")
    assert writers_in(fleet) == before
    second.kill9()


def test_clone_that_outgrew_the_original_is_refused(new_pair):
    """As above, but the copy has written more WAL than the stream holds: its history parted from the stream's all the same."""
    fleet = start_pair(new_pair)
    clone_db = make_clone(fleet, "running")
    fleet.publisher.terminate()
    fleet.edge.db.stop()
    before = writers_in(fleet)
    clone_db.execute("INSERT INTO note SELECT i, 'clone' FROM generate_series(1001, 5000) i")
    second = second_publisher(fleet, clone_db).start()
    wait_refused(fleet, second, r"history|clone|does not know")
    assert writers_in(fleet) == before
    assert fleet.centre.db.value("SELECT count(*) FROM note WHERE v = 'clone'") == 0
    second.kill9()


def test_another_database_under_the_same_name_is_refused(new_pair):
    fleet = start_pair(new_pair)
    other = fleet.add_edge("other", schema=NOTE, tables=["note"])
    fleet.publisher.terminate()
    before = writers_in(fleet)
    other.db.execute("INSERT INTO note SELECT i, 'other' FROM generate_series(1, 50) i")
    second = second_publisher(fleet, other.db).start()
    wait_refused(fleet, second, r"never published|does not know|clone|identity")
    assert writers_in(fleet) == before
    second.kill9()
    fleet.edges.remove(other)
    other.db.kill9()
    fleet.publisher.start()
    fleet.edge.db.execute("UPDATE note SET v = 'still here'")
    fleet.wait_equal()


def test_publisher_goes_on_after_many_kills_before_its_first_message(new_pair):
    """A run that recorded itself as writer and died with nothing stored must not lock its successors out."""
    fleet = start_pair(new_pair)
    known = fleet.edge.db.value("SELECT writer FROM pmoves_sync.publisher_state")
    for _ in range(4):
        fleet.publisher.kill9()
        fleet.publisher.start()
        known = wait_until(lambda old=known: fleet.edge.db.value(
            "SELECT writer FROM pmoves_sync.publisher_state WHERE writer <> %s", (old,)), 30, "a new writer took over", fleet.diagnose)
    fleet.edge.db.execute("UPDATE note SET v = 'after the kills'")
    fleet.wait_equal()
    assert_equal(fleet.edge.db, fleet.centre.db, ["note"])
