"""Somebody holds a table or a row of the centre: only the sources that need it wait, and it is said."""

import pytest

from harness import Fleet, wait_until

SCHEMA = "CREATE TABLE sale (id int PRIMARY KEY, note text); CREATE TABLE free (id int PRIMARY KEY, note text)"
SOURCES = ["jetson-01", "jetson-02"]


@pytest.fixture(name="fleet", scope="module")
def two_edges(scratch):
    with Fleet(scratch=scratch.area()) as fleet:
        fleet.create(fleet.centre.db, SCHEMA)
        for source in SOURCES:
            fleet.add_edge(source, schema=SCHEMA, tables=["sale", "free"])
        fleet.centre.add_subscriber(["sale", "free"], {"workers": 1})
        fleet.start()
        for i, edge in enumerate(fleet.edges):
            edge.db.execute("INSERT INTO sale VALUES (%s, 'first')", (i,))
        fleet.wait_caught_up()
        yield fleet


HOLDERS = {
    "ACCESS EXCLUSIVE": "LOCK TABLE sale IN ACCESS EXCLUSIVE MODE",
    "SHARE": "LOCK TABLE sale IN SHARE MODE",
    "a row": "SELECT * FROM sale WHERE id = 0 FOR UPDATE",
}


@pytest.mark.parametrize("how", list(HOLDERS))
def test_only_the_source_that_needs_what_is_locked_waits_and_keeps_its_order(fleet, how):
    one, two = fleet.edges
    with fleet.centre.db.cursor(autocommit=False) as holder:
        holder.execute(HOLDERS[how])
        holder.execute("SELECT pg_backend_pid()")
        pid = holder.fetchone()[0]
        one.db.execute("INSERT INTO free VALUES ((SELECT count(*) + 1000 FROM free), 'before')")
        one.db.execute("UPDATE sale SET note = %s WHERE id = 0", (how,))
        one.db.execute("INSERT INTO free VALUES ((SELECT count(*) + 1000 FROM free), 'behind')")
        for _ in range(3):
            two.db.execute("INSERT INTO free VALUES ((SELECT count(*) FROM free), 'other')")
            wait_until(two.mark(), 15, "the other source goes on", fleet.diagnose)
        wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM free WHERE note = 'before'")
                   == one.db.value("SELECT count(*) FROM free WHERE note = 'before'"), 15, "what came before it is applied", fleet.diagnose)

        def shown():
            return fleet.centre.db.value(
                "SELECT last_error FROM pmoves_sync.sync_status WHERE service_name = 'jetson-01' AND table_name = 'sale' AND "
                "last_sync_status = 'waiting' AND last_error LIKE %s", (f"waits for a lock on public.sale%pid {pid} %",))
        wait_until(shown, 15, "it is said who holds the table", fleet.diagnose)
        assert fleet.subscriber.metric("pmoves_sync_source_waiting", source="jetson-01") == 1
        assert fleet.subscriber.metric("pmoves_sync_source_waiting", source="jetson-02") == 0
        assert fleet.centre.db.value("SELECT count(*) FROM free WHERE note = 'behind'") < one.db.value(
            "SELECT count(*) FROM free WHERE note = 'behind'"), "it keeps its order"
    fleet.wait_caught_up(30)
    assert fleet.centre.db.value("SELECT note FROM sale WHERE id = 0") == how
    wait_until(lambda: fleet.subscriber.metric("pmoves_sync_source_waiting", source="jetson-01") == 0, 10, "nobody waits", fleet.diagnose)
    assert fleet.centre.dead_letters() == []
