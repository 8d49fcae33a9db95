"""`config check-rules` and the rule `expression`, through the real programs: what passes is merged, what does not is refused."""

from harness import Fleet, wait_until

SCHEMA = ["CREATE TABLE readings (id int PRIMARY KEY, best int, note text)", "CREATE TABLE debts (id int PRIMARY KEY, open int)"]
BEST = {"table": "readings", "columns": {"best": {"conflict": "expression", "expression": "GREATEST(a, b)"}}}
OPEN = {"table": "debts", "columns": {"open": {"conflict": "expression", "expression": "a - b"}}}
SOURCES = ["jetson-01", "jetson-02"]


def two_edges():
    """Not started, but for the schemas."""
    fleet = Fleet()
    try:
        for statement in SCHEMA:
            fleet.create(fleet.centre.db, statement)
        for source in SOURCES:
            edge = fleet.add_edge(source, tables=["readings", "debts"])
            for statement in SCHEMA:
                fleet.create(edge.db, statement)
        return fleet
    except BaseException:
        fleet.close()
        raise


def blocked(fleet):
    """Why sources wait, as /status has it."""
    return [state["reason"] for state in fleet.subscriber.status()["sources"] if state["state"] == "blocked"]


def test_an_expression_is_refused_until_it_has_passed_and_merges_from_then_on():
    with two_edges() as fleet:
        subscriber = fleet.centre.add_subscriber([BEST])
        assert "config check-rules" in subscriber.must("init"), "init says what is left to do"
        fleet.start()
        for edge, best in zip(fleet.edges, (7, 5)):
            edge.db.execute("INSERT INTO readings VALUES (1, %s, %s)", (best, edge.source))
        wait_until(lambda: len(blocked(fleet)) == 2, 30, "run refuses the expression", fleet.diagnose)
        assert "columns.best.conflict: the expression has not passed; run `pmoves-sync-subscriber config check-rules`" in blocked(fleet)[0]
        assert fleet.centre.db.value("SELECT count(*) FROM readings") == 0
        refused = subscriber.run_verb("check")
        assert refused.returncode == 1 and "FAIL  table public.readings: columns.best.conflict: the expression has not passed" in refused.stdout
        passed = subscriber.must("config", "check-rules", "--seed", "7")
        assert 'PASS  public.readings.best: expression "GREATEST(a, b)" keeps immutability, totality, commutativity' in passed
        assert "PASS  public.readings: last-write-wins keeps" in passed and "--seed 7" in passed
        # the sources go on by themselves
        fleet.wait_caught_up()
        assert fleet.centre.db.query("SELECT id, best FROM readings") == [(1, 7)]
        fleet.edges[1].db.execute("UPDATE readings SET best = 9")
        fleet.wait_caught_up()
        assert fleet.centre.db.query("SELECT best FROM readings") == [(9,)]
        fleet.edges[1].db.execute("UPDATE readings SET best = 6")
        fleet.wait_caught_up()
        assert fleet.centre.db.query("SELECT best, note FROM readings") == [(7, "jetson-02")], "the latest reports count"
        fleet.centre.db.execute("UPDATE readings SET best = 8")
        wait_until(lambda: fleet.centre.db.value("SELECT source FROM pmoves_sync.register WHERE source = 'central'") == "central", 30,
                   "what people write in the centre counts", fleet.diagnose)
        assert fleet.centre.db.query("SELECT best FROM readings") == [(8,)]
        assert fleet.centre.dead_letters() == []
        assert subscriber.must("check").count("FAIL") == 0


def test_an_expression_that_breaks_a_law_runs_only_with_allow_divergence_and_is_said_to_diverge():
    with two_edges() as fleet:
        subscriber = fleet.centre.add_subscriber([OPEN])
        subscriber.must("init")
        refused = subscriber.run_verb("config", "check-rules")
        assert refused.returncode == 1
        assert ('FAIL  public.debts.open: expression "a - b" breaks commutativity: merge(a, b) = merge(b, a), '
                "but a = '0', b = '1' give '-1' and '1'") in refused.stdout
        fleet.start()
        fleet.edges[0].db.execute("INSERT INTO debts VALUES (1, 10)")
        wait_until(lambda: blocked(fleet), 30, "run refuses the expression", fleet.diagnose)
        assert "the expression has not passed" in blocked(fleet)[0]

        subscriber.terminate()
        subscriber.configure({"tables": [{**OPEN, "allow_divergence": True}, *subscriber.config["tables"][1:]]})
        diverges = subscriber.must("config", "check-rules")
        assert "WARN  public.debts.open: expression \"a - b\" diverges, it breaks commutativity" in diverges and "FAIL" not in diverges
        assert "WARN  table public.debts: columns.open.conflict: the expression diverges" in subscriber.run_verb("check").stdout
        subscriber.start()
        fleet.wait_caught_up()
        fleet.edges[1].db.execute("INSERT INTO debts VALUES (1, 4)")
        fleet.wait_caught_up()
        assert fleet.centre.db.query("SELECT open FROM debts") == [(-6,)], "the newer report is a"
        for key in (2, 3):  # what is written in the centre is settled each second
            fleet.centre.db.execute("INSERT INTO debts VALUES (%s, 1)", (key,))
            wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM pmoves_sync.register WHERE source = 'central'") == key - 1, 30,
                       "what people write in the centre counts", fleet.diagnose)
        assert 1 <= subscriber.log_text().count("rule.diverges") <= 2, "each worker says it once"

        subscriber.terminate()
        subscriber.configure({"tables": [OPEN, *subscriber.config["tables"][1:]]})
        subscriber.start()
        fleet.edges[0].db.execute("UPDATE debts SET open = 11")
        wait_until(lambda: blocked(fleet), 30, "without allow_divergence it is refused again", fleet.diagnose)
        assert "only allow_divergence: true admits that" in blocked(fleet)[0]
        assert fleet.centre.db.query("SELECT open FROM debts WHERE id = 1") == [(-6,)]
