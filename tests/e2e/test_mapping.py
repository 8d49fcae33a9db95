"""Column mapping and identity: edges that call things otherwise, and count their keys from 1, meet in one table of the centre."""

from harness import wait_until

EDGE = """CREATE TABLE tasks (id serial PRIMARY KEY, state text, notes text, secret text);
          ALTER TABLE tasks ALTER notes SET STORAGE EXTERNAL, ALTER secret SET STORAGE EXTERNAL"""
CENTRE = "CREATE TABLE jobs (id int PRIMARY KEY, status text CHECK (status <> 'bad'), notes text, site text NOT NULL)"
JOBS = {"table": "public.jobs", "from": "public.tasks", "rename": {"state": "status"}, "skip": ["secret"],
        "constants": {"site": "berlin"}, "identity": "per-source"}
BIG = "repeat('x', 20000)"


def mapped_fleet(new_fleet):
    fleet = new_fleet()
    fleet.centre.db.execute(CENTRE)
    for source in ("jetson-01", "jetson-02"):
        fleet.add_edge(source, schema=EDGE, tables=["tasks"])
    fleet.centre.add_subscriber([JOBS])
    return fleet


def rows(fleet):
    return fleet.centre.db.query("SELECT _source, id, status, length(notes), site FROM jobs ORDER BY 1, 2")


def test_two_edges_with_equal_serial_keys_and_other_names(new_fleet):
    fleet = mapped_fleet(new_fleet)
    fleet.init()
    centre, subscriber = fleet.centre.db, fleet.subscriber
    refused = subscriber.run_verb("check")
    assert refused.returncode == 1 and 'DROP CONSTRAINT "jobs_pkey", ADD PRIMARY KEY (_source, "id")' in refused.stdout
    centre.execute('ALTER TABLE "public"."jobs" DROP CONSTRAINT "jobs_pkey", ADD PRIMARY KEY (_source, "id")')
    assert "table public.jobs fits its configuration" in subscriber.must("check")
    fleet.start()
    first, second = (edge.db for edge in fleet.edges)
    first.execute(f"INSERT INTO tasks (state, notes, secret) VALUES ('a1', {BIG}, {BIG}), ('a2', 'n', 's'), ('a3', 'n', 's')")
    second.execute("INSERT INTO tasks (state, notes, secret) VALUES ('b1', 'n', 's'), ('b2', 'n', 's')")
    fleet.wait_caught_up()
    # Updates without their unchanged TOAST, a delete and a moved key.
    first.execute("UPDATE tasks SET state = 'a1+' WHERE id = 1")
    first.execute("DELETE FROM tasks WHERE id = 2")
    second.execute("UPDATE tasks SET id = 3 WHERE id = 2")
    fleet.wait_caught_up()
    assert rows(fleet) == [("jetson-01", 1, "a1+", 20000, "berlin"), ("jetson-01", 3, "a3", 1, "berlin"),
                           ("jetson-02", 1, "b1", 1, "berlin"), ("jetson-02", 3, "b2", 1, "berlin")]
    assert fleet.centre.dead_letters() == []
    # People who look after an edge find its own name for the table.
    shown = "SELECT DISTINCT table_name FROM pmoves_sync.sync_status ORDER BY 1"
    wait_until(lambda: centre.query(shown) == [("sync_marker",), ("tasks",)], 20, "sync_status has the edges' names",
               fleet.diagnose)
    # ... also where a change was set aside, and the way back leads through the mapping too.
    second.execute("INSERT INTO tasks (id, state, notes) VALUES (9, 'bad', 'n')")
    fleet.wait_caught_up()
    letters = fleet.centre.dead_letters()
    assert [(letter["source"], letter["table_name"], letter["sqlstate"]) for letter in letters] == [("jetson-02", "tasks", "23514")]
    centre.execute("ALTER TABLE jobs DROP CONSTRAINT jobs_status_check")
    assert "applied" in subscriber.must("dead-letters", "retry", "--all")
    assert centre.query("SELECT _source, site FROM jobs WHERE status = 'bad'") == [("jetson-02", "berlin")]


def test_a_configuration_that_does_not_fit_blocks_its_sources_until_the_table_does(new_fleet):
    fleet = new_fleet()
    schema = "CREATE TABLE jobs (id int PRIMARY KEY, status text)"
    fleet.centre.db.execute(schema)
    fleet.add_edge(schema=schema, tables=["jobs"])
    fleet.centre.add_subscriber([{"table": "jobs", "delete": "soft", "soft_delete_column": "deleted_at"}])
    fleet.init()
    refused = fleet.subscriber.run_verb("check")
    reason = 'soft_delete_column: public.jobs has no column "deleted_at" in the centre'
    assert refused.returncode == 1 and f"FAIL  table public.jobs: {reason}" in refused.stdout
    fleet.start()
    fleet.edge.db.execute("INSERT INTO jobs VALUES (1, 'new')")
    seen = "SELECT last_error FROM pmoves_sync.sync_status WHERE table_name = 'jobs' AND last_sync_status = 'blocked'"
    wait_until(lambda: reason in (fleet.centre.db.value(seen) or ""), 30, "the source is blocked", fleet.diagnose)
    fleet.centre.db.execute("ALTER TABLE jobs ADD deleted_at timestamptz")
    fleet.wait_caught_up()
    assert fleet.centre.db.query("SELECT id, status FROM jobs") == [(1, "new")]
