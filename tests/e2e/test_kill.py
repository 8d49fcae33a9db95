"""Acceptance 3 and 10: kill -9 of each of the five processes at random moments under load.

The seed is printed; PMOVES_SEED=... repeats the order of the faults (not their exact moments).
"""

import os
import random
import threading
import time

from harness import wait_until
from workload import (AUDIT, EDGE_SCHEMA, SCHEMA, SEED_ROWS, TABLES, LawReader, Load, PositionChecker, duplicates_in_audit)

FAULT_SECONDS = float(os.environ.get("PMOVES_FAULT_SECONDS", "80"))


def victims(fleet):
    return {
        "publisher": fleet.publisher,
        "subscriber": fleet.subscriber,
        "nats-server": fleet.nats,
        "edge postgres": fleet.edge.db,
        "central postgres": fleet.centre.db,
    }


def torment(fleet, dice, seconds):
    """Kills one or two of the five, lets them lie for a moment, starts them again; every one is hit equally often."""
    targets = victims(fleet)
    killed = dict.fromkeys(targets, 0)
    pause = threading.Event()
    end = time.monotonic() + seconds
    bag = []
    while time.monotonic() < end:
        if not bag:
            bag = list(targets)
            dice.shuffle(bag)
        hit = [bag.pop()]
        if bag and dice.random() < 0.25:
            hit.append(bag.pop())
        pause.wait(dice.uniform(0.05, 2.2))
        for name in hit:
            targets[name].kill9()
            killed[name] += 1
        pause.wait(dice.choice((0.0, 0.1, 0.8)))
        dice.shuffle(hit)
        for name in hit:
            targets[name].start()
    return killed


def test_kill_nine_at_random_moments_loses_nothing_and_doubles_nothing(new_pair):
    seed = int(os.environ.get("PMOVES_SEED", random.SystemRandom().randrange(10**6)))
    print(f"seed {seed}")
    fleet = new_pair(EDGE_SCHEMA, TABLES, centre_schema=SCHEMA + AUDIT)
    fleet.start()
    fleet.edge.db.execute(SEED_ROWS)
    fleet.wait_caught_up()
    checker = PositionChecker(fleet.edge)
    with LawReader(fleet.centre.db).running() as reader, checker.running():
        with Load(fleet.edge.db, writers=4, seed=seed, pace=0.01) as load:
            killed = torment(fleet, random.Random(seed), FAULT_SECONDS)
            wait_until(lambda before=load.committed: load.committed > before, 30, "writers go on", fleet.diagnose)
        fleet.wait_caught_up(120)
    print(f"killed {killed}, {load.committed} transactions, {reader.rounds} looks at the laws, {checker.compared} at the positions")
    assert min(killed.values()) >= FAULT_SECONDS / 20, killed
    assert checker.compared > 100 and reader.rounds > 100
    fleet.wait_equal()
    assert fleet.centre.dead_letters() == []
    assert duplicates_in_audit(fleet.centre.db) == []
