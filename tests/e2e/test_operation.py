"""What an operator relies on: modes, an orderly end, health and metrics over HTTP, `status`, `check`, repeated `init`."""

import json
import subprocess

import pytest

from harness import GPU_TABLES, Postgres, create_gpu_tables, wait_until

NOTE = "CREATE TABLE note (id int PRIMARY KEY, v text)"


def test_gpu_orchestrator_runs_with_the_names_its_service_already_has(new_pair):
    """The tables and environment of the founding document; bare table names; NaN in a metric."""
    fleet = new_pair(create_gpu_tables, GPU_TABLES, publisher={"mode": None})
    fleet.publisher.env = {"SUPABASE_MODE": "dual-write", "SYNC_ENABLED": "true", "SYNC_STRATEGY": "write-through"}
    fleet.start()
    edge = fleet.edge.db
    edge.execute("""
        INSERT INTO workers (name, gpu_model, memory_mb) SELECT 'w' || i, 'Orin', 16384 FROM generate_series(1, 5) i;
        INSERT INTO jobs (worker_id, status) SELECT w.id, 'queued' FROM workers w, generate_series(1, 20);
        UPDATE jobs SET status = 'running', updated_at = now() WHERE worker_id = (SELECT id FROM workers ORDER BY id LIMIT 1);
        INSERT INTO results (job_id, output, score, artifact) SELECT id, '{"ok": true}', 0.5, '\\x00ff' FROM jobs WHERE status = 'running';
        INSERT INTO metrics SELECT id, now(), 'temperature', 'NaN' FROM workers;""")
    fleet.wait_equal()
    edge.execute("DELETE FROM jobs WHERE status = 'queued'")
    fleet.wait_equal()
    centre = fleet.centre.db
    assert centre.query("SELECT DISTINCT _source FROM jobs") == [("jetson-01",)]
    assert centre.value("SELECT count(*) FROM jobs WHERE _sync_version > 0 AND _source_updated_at > now() - interval '1 hour'") > 0
    wait_until(lambda: centre.query("SELECT DISTINCT health_status FROM pmoves_sync.sync_health") == [("healthy",)], 20,
               "sync_health says healthy", fleet.diagnose)
    tables = {name.split(".")[-1] for (name,) in centre.query("SELECT table_name FROM pmoves_sync.sync_status")}
    assert set(GPU_TABLES) <= tables


def test_standalone_makes_no_slot_and_publishes_nothing(new_pair):
    fleet = new_pair(NOTE, ["note"], publisher={"mode": "standalone"})
    fleet.centre.subscribers[0].must("init")
    publisher = fleet.publisher.start()
    wait_until(lambda: publisher.http("/livez")[0] == 200, 20, "the standalone publisher lives", fleet.diagnose)
    fleet.edge.db.execute("INSERT INTO note VALUES (1, 'local')")
    assert "pmoves_sync_" in publisher.http("/metrics")[1]
    assert publisher.status()["mode"] == "standalone"
    assert fleet.edge.db.value("SELECT count(*) FROM pg_replication_slots") == 0
    with fleet.nats.client() as client:
        assert "SYNC_jetson-01" not in (client.api("STREAM.NAMES")["streams"] or [])
    assert publisher.terminate() == 0


def test_sync_enabled_false_means_standalone(new_pair):
    fleet = new_pair(NOTE, ["note"], publisher={"mode": None})
    fleet.publisher.env = {"SYNC_ENABLED": "false"}
    publisher = fleet.publisher.start()
    wait_until(lambda: publisher.status()["mode"] == "standalone", 20, "SYNC_ENABLED=false is understood", fleet.diagnose)
    assert publisher.terminate() == 0


def test_max_wait_gathers_one_batch_until_it_is_full_or_the_process_ends(new_pair):
    fleet = new_pair(NOTE, ["note"], subscriber={"batch": {"max_wait": "1m", "max_rows": 10}})
    fleet.start()
    publisher, subscriber = fleet.publisher, fleet.subscriber
    wait_until(lambda: subscriber.metric("pmoves_sync_source_owned"), 20, "the source is owned", fleet.diagnose)
    before = subscriber.metric("pmoves_sync_apply_batches_total")
    def insert(first, last):
        for i in range(first, last + 1):
            fleet.edge.db.execute("INSERT INTO note VALUES (%s, 'waits')", (i,))
        wait_until(lambda: publisher.metric("pmoves_sync_source_changes_total") == last, 20, "they are captured", fleet.diagnose)
        with fleet.nats.client() as client:
            wait_until(lambda: subscriber.metric("pmoves_sync_fetch_messages_total") == client.stream_state("SYNC_jetson-01")["last_seq"], 20,
                       "they are fetched", fleet.diagnose)
    def count():
        return fleet.centre.db.value("SELECT count(*) FROM note")
    insert(1, 9)
    insert(10, 10)
    wait_until(lambda: count() == 10, 5, "a full batch is applied", fleet.diagnose)
    wait_until(lambda: subscriber.metric("pmoves_sync_apply_batches_total") > before, 5, "it is counted", fleet.diagnose)
    assert subscriber.metric("pmoves_sync_apply_batches_total") == before + 1
    insert(11, 11)
    assert subscriber.terminate() == 0
    assert count() == 11


def test_max_wait_ends(new_pair):
    fleet = new_pair(NOTE, ["note"], publisher={"progress": {"interval": "1h", "heartbeat": "5m"}}, subscriber={"batch": {"max_wait": "500ms"}})
    fleet.start()
    fleet.edge.db.execute("INSERT INTO note VALUES (1, 'alone')")
    wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM note") == 1, 20, "a row that nothing follows is applied", fleet.diagnose)


def test_dead_letters_fill_a_batch_that_waits(new_pair):
    """They are in memory until then."""
    fleet = new_pair(NOTE, ["note"], subscriber={"batch": {"max_wait": "1m", "max_rows": 5}})
    fleet.start()
    wait_until(lambda: fleet.subscriber.metric("pmoves_sync_source_owned"), 20, "the source is owned", fleet.diagnose)
    with fleet.nats.client() as client:
        for _ in range(5):
            client.store("supabase.sync.note.INSERT.jetson-01", b"garbage", {})
    wait_until(lambda: fleet.centre.db.value("SELECT count(*) FROM pmoves_sync.dead_letter") >= 5, 10, "they are written", fleet.diagnose)


def test_integrated_says_so_and_exits_0(new_pair):
    fleet = new_pair(NOTE, ["note"], publisher={"mode": "integrated"})
    done = fleet.publisher.run_verb("run")
    assert done.returncode == 0
    assert "integrated" in done.stdout + done.stderr


def test_sigterm_drains_and_exits_0(new_pair):
    fleet = new_pair(NOTE, ["note"])
    fleet.start()
    for number in range(3):
        fleet.edge.db.execute("INSERT INTO note SELECT i, 'x' FROM generate_series(%s, %s) i", (number * 5000, number * 5000 + 4999))
        for program in fleet.programs():
            assert program.terminate(deadline=15) == 0, program.log_tail()
            program.start()
    fleet.wait_equal()


def test_sigterm_ends_programs_that_wait_for_their_servers(new_pair):
    fleet = new_pair(NOTE, ["note"])
    fleet.nats.stop()
    fleet.edge.db.stop()
    fleet.centre.db.stop()
    for program in fleet.programs():
        program.start()
        wait_until(lambda each=program: each.http("/readyz")[0] == 503, 20, f"{program.name} is up", fleet.diagnose)
        assert program.terminate(deadline=10) == 0, program.log_tail()


def test_health_and_metrics_over_http(new_pair):
    fleet = new_pair(NOTE, ["note"])
    fleet.start()
    fleet.edge.db.execute("INSERT INTO note SELECT i, 'x' FROM generate_series(1, 1000) i")
    fleet.wait_equal()
    for program in fleet.programs():
        assert program.http("/livez")[0] == 200 and program.http("/readyz")[0] == 200
        assert program.http("/nothing-here")[0] == 404
        checked = subprocess.run(["promtool", "check", "metrics"], input=program.http("/metrics")[1], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        assert checked.returncode == 0, f"{program.name}: {checked.stdout}"
        printed = json.loads(program.must("status", "--json"))
        assert printed.keys() == program.status().keys()
        wait_until(lambda each=program: "jetson-01" in each.must("status"), 10, "status names the source", fleet.diagnose)
    publisher, subscriber = fleet.publisher, fleet.subscriber
    wait_until(lambda: publisher.metric("pmoves_sync_source_changes_total") >= 1000, 10, "changes are counted", fleet.diagnose)
    assert publisher.metric("pmoves_sync_slot_exists") == 1
    assert publisher.metric("pmoves_sync_slot_headroom_seconds") is None or publisher.metric("pmoves_sync_slot_headroom_seconds") > 0
    assert publisher.metric("process_resident_memory_bytes") > 0
    assert subscriber.metric("pmoves_sync_apply_changes_total") >= 1000
    assert subscriber.metric("pmoves_sync_source_blocked", source="jetson-01") == 0
    assert subscriber.metric("pmoves_sync_dead_letter_messages") in (0, None)
    wait_until(lambda: subscriber.metric("pmoves_sync_apply_lag_seconds", source="jetson-01") < 5, 10, "the lag is small", fleet.diagnose)


def test_no_value_or_password_is_logged(new_pair):
    fleet = new_pair(NOTE, ["note"], centre_schema="CREATE TABLE note (id int PRIMARY KEY, v text CHECK (v !~ 'poison'))")
    fleet.publisher.configure({"postgres": {"dsn": fleet.edge.db.dsn() + " password=hunter2"}})
    fleet.start()
    fleet.edge.db.execute("INSERT INTO note VALUES (1, 'sesame-value'), (2, 'poison-value')")
    fleet.wait_caught_up()
    for program in fleet.programs():
        program.terminate()
        for secret in ("hunter2", "sesame-value", "poison-value"):
            assert secret not in program.log_text(), program.log_tail()


# ---- check

def verdicts(done):
    """{'PASS': [...], 'WARN': [...], 'FAIL': [...]} of the lines of `check`."""
    found = {"PASS": [], "WARN": [], "FAIL": []}
    for line in done.stdout.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.rstrip(":") in found:
            found[word.rstrip(":")].append(rest)
    return found


def test_check_passes_on_a_good_installation(new_pair):
    fleet = new_pair(NOTE, ["note"])
    fleet.init()
    for program in fleet.programs():
        done = program.run_verb("check")
        assert done.returncode == 0, done.stdout + done.stderr
        found = verdicts(done)
        assert len(found["PASS"]) >= 3 and not found["FAIL"], done.stdout


BAD_EDGES = {
    "no primary key": ("CREATE TABLE note (id int, v text)", "note"),
    "deferrable primary key": ("CREATE TABLE note (id int PRIMARY KEY DEFERRABLE, v text)", "note"),
    "replica identity nothing": (NOTE + "; ALTER TABLE note REPLICA IDENTITY NOTHING", "note"),
    "a view": ("CREATE TABLE base (id int PRIMARY KEY); CREATE VIEW note AS SELECT * FROM base", "note"),
    "an unlogged table": ("CREATE UNLOGGED TABLE note (id int PRIMARY KEY)", "note"),
    "a partitioned table": ("CREATE TABLE note (id int PRIMARY KEY) PARTITION BY RANGE (id)", "note"),
}


@pytest.mark.parametrize("fault", BAD_EDGES)
def test_check_and_run_refuse_tables_that_would_lose_changes(new_pair, fault):
    schema, named = BAD_EDGES[fault]
    fleet = new_pair(schema, ["note"], centre_schema=NOTE)
    done = fleet.publisher.run_verb("check")
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(named in line for line in verdicts(done)["FAIL"]), done.stdout
    fleet.publisher.start()
    wait_until(lambda: named in fleet.publisher.log_text() and (not fleet.publisher.running() or fleet.publisher.http("/readyz")[0] == 503),
               20, "run refuses as well, with the reason", fleet.diagnose)
    assert fleet.edge.db.value("SELECT count(*) FROM pg_replication_slots WHERE active") == 0


def test_check_says_that_a_dependency_is_down_with_69(new_pair):
    fleet = new_pair(NOTE, ["note"])
    fleet.init()
    fleet.nats.stop()
    for program in fleet.programs():
        assert program.run_verb("check").returncode == 69
    fleet.nats.start()
    fleet.edge.db.stop()
    assert fleet.publisher.run_verb("check").returncode == 69


def test_check_of_the_edge_server_settings(scratch, new_pair):
    fleet = new_pair(NOTE, ["note"])
    for setting, value, word in (("wal_level", "replica", "wal_level"), ("max_slot_wal_keep_size", "-1", "max_slot_wal_keep_size")):
        db = Postgres(fleet.scratch, f"bad-{setting}", settings={setting: value, "max_replication_slots": "4"}).start()
        db.execute(NOTE + "; CREATE TABLE sync_marker (id int PRIMARY KEY)")
        fleet.publisher.configure({"postgres": {"dsn": db.dsn()}})
        done = fleet.publisher.run_verb("check")
        assert done.returncode == 1, done.stdout + done.stderr
        assert any(word in line for line in verdicts(done)["FAIL"]), done.stdout
        db.kill9()


def test_check_of_the_centre_names_a_missing_table_and_missing_columns(new_pair):
    fleet = new_pair(NOTE, ["note"])
    done = fleet.subscriber.run_verb("check")   # before init
    assert done.returncode == 1 and any("init" in line for line in done.stdout.splitlines()), done.stdout
    fleet.init()
    fleet.centre.db.execute("DROP TABLE note")
    done = fleet.subscriber.run_verb("check")
    assert done.returncode == 1 and any("note" in line for line in verdicts(done)["FAIL"]), done.stdout


def test_status_without_a_daemon_says_so(new_pair):
    fleet = new_pair(NOTE, ["note"])
    fleet.init()
    for program in fleet.programs():
        done = program.run_verb("status", "--json")
        assert json.loads(done.stdout), done.stderr
    assert "not running" in fleet.publisher.run_verb("status").stdout


def test_init_can_be_repeated(new_pair):
    fleet = new_pair(NOTE, ["note"])
    fleet.init()
    fleet.start()
    fleet.edge.db.execute("INSERT INTO note VALUES (1, 'x')")
    fleet.wait_equal()
    fleet.init()
    fleet.edge.db.execute("INSERT INTO note VALUES (2, 'y')")
    fleet.wait_equal()
