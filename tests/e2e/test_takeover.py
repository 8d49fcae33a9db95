"""Acceptance 8: two subscribers share two sources; when one is killed the other takes over within 15 s, and nothing is applied twice."""

import time

import pytest

from harness import ForgedStream, wait_until
from workload import duplicates_in_audit

# Both edges write the same central tables with keys of their own.
SCHEMA = "CREATE TABLE item (id bigint PRIMARY KEY, rev bigint, body text)"
AUDIT = """
CREATE TABLE audit (table_name text, key text, rev bigint, operation text);
CREATE FUNCTION write_audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.audit VALUES (TG_TABLE_NAME, NEW.id, NEW.rev, 'WRITE'); RETURN NULL; END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION write_audit();
ALTER TABLE item ENABLE ALWAYS TRIGGER audit;
"""


def owners(fleet):
    """{source: name of the subscriber that says it owns it}"""
    found = {}
    for subscriber in fleet.centre.subscribers:
        if subscriber.running():
            for source in subscriber.status().get("sources", []):
                if source.get("owned"):
                    found[source["source"]] = subscriber
    return found


def make(new_fleet):
    fleet = new_fleet()
    fleet.create(fleet.centre.db, SCHEMA + ";" + AUDIT)
    for _ in range(2):
        fleet.centre.add_subscriber(["item"])
    for number in (1, 2):
        fleet.add_edge(f"jetson-0{number}", schema=SCHEMA + f"; CREATE SEQUENCE change_rev START {number} INCREMENT 2", tables=["item"])
    fleet.start()
    wait_until(lambda: len(owners(fleet)) == 2, 30, "both sources have an owner", fleet.diagnose)
    return fleet


def write(edge, rounds):
    for _ in range(rounds):
        edge.db.execute("INSERT INTO item SELECT nextval('change_rev'), nextval('change_rev'), 'x' FROM generate_series(1, 20)")
        edge.db.execute("UPDATE item SET rev = nextval('change_rev') WHERE id IN (SELECT id FROM item ORDER BY id DESC LIMIT 10)")


def check_end(fleet):
    fleet.wait_caught_up()
    both = {row for edge in fleet.edges for row in edge.db.query("SELECT id, rev, body FROM item")}
    assert set(fleet.centre.db.query("SELECT id, rev, body FROM item")) == both
    assert duplicates_in_audit(fleet.centre.db) == []
    assert fleet.centre.dead_letters() == []


@pytest.mark.parametrize("how", ["kill9", "terminate"])
def test_the_other_subscriber_takes_over(new_fleet, how):
    fleet = make(new_fleet)
    for edge in fleet.edges:
        write(edge, 5)
    fleet.wait_caught_up()
    victim = owners(fleet)["jetson-01"]
    getattr(victim, how)()
    began = time.monotonic()
    for edge in fleet.edges:
        write(edge, 5)
    arrived = [edge.mark() for edge in fleet.edges]
    wait_until(lambda: all(has() for has in arrived), 15, "the other subscriber applies both sources", fleet.diagnose)
    print(f"taken over after {time.monotonic() - began:.1f} s")
    victim.start()
    for edge in fleet.edges:
        write(edge, 3)
    check_end(fleet)


def test_each_source_has_one_owner_at_a_time_while_subscribers_come_and_go(new_fleet):
    fleet = make(new_fleet)
    for number in range(6):
        for edge in fleet.edges:
            write(edge, 2)
        victim = fleet.centre.subscribers[number % 2]
        victim.kill9()
        for edge in fleet.edges:
            write(edge, 2)
        wait_until(lambda: len(owners(fleet)) == 2, 15, "the survivor owns both sources", fleet.diagnose)
        victim.start()
    check_end(fleet)


def wait_settled(fleet, wanted):
    """Until these sources have owners and keep them for several turns of sharing (one a second)."""
    looks = []

    def settled():
        looks.append(set(owners(fleet)) == wanted)
        return len(looks) > 40 and all(looks[-40:])

    wait_until(settled, 40, f"{sorted(wanted)} have owners and keep them", fleet.diagnose, interval=0.1)


def test_subscribers_with_different_lists_of_sources_leave_none_unowned(new_fleet):
    """Each divided its own sources by all processes, so half of them had no owner."""
    fleet = new_fleet()
    fleet.create(fleet.centre.db, SCHEMA)
    names = [f"edge-{number}" for number in range(1, 9)]
    lists = (names[:3], names[3:6], names[4:])   # 5 and 6 are on two lists, 7 and 8 on one
    for sources in lists:
        fleet.centre.add_subscriber(["item"], {"sources": sources})
    fleet.init()
    with fleet.nats.client() as client:
        for number, name in enumerate(names):
            ForgedStream(client, name, "item").insert([number], lambda key: {"id": key, "rev": key, "body": "x"})
    for subscriber in fleet.centre.subscribers:
        subscriber.start()
    wait_settled(fleet, set(names))
    for name, subscriber in owners(fleet).items():
        assert name in subscriber.config["sources"]
    wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM item") == len(names), 30, "all is applied", fleet.diagnose)

    fleet.centre.subscribers[2].kill9()   # what others may own goes over to them
    wait_until(lambda: set(owners(fleet)) == set(names[:6]), 15, "the other takes over what it may", fleet.diagnose)
    fleet.centre.subscribers[2].start()
    wait_settled(fleet, set(names))
