"""Acceptance 9: typical mistakes give clear errors, with file, line and what is allowed, and exit code 78."""

import os

import pytest

from harness import Program, build_dir

GOOD = {
    "publisher": """version: 1
source: jetson-01
mode: dual-write
postgres:
  dsn: "host=127.0.0.1 port=1 dbname=postgres password=hunter2"
  slot: pmoves_sync
  tables: [public.jobs]
nats:
  url: "nats://127.0.0.1:1"
confirm:
  stored_hold: 150s
metrics:
  listen: ""
""",
    "subscriber": """version: 1
postgres:
  dsn: "host=127.0.0.1 port=1 dbname=postgres password=hunter2"
nats:
  url: "nats://127.0.0.1:1"
tables:
  - table: public.jobs
    conflict: last-write-wins
workers: 2
metrics:
  listen: ""
""",
}

# name: (program, text of the good file, what is put in its place, what the error must name)
MISTAKES = {
    "misspelt key": ("publisher", "  slot: pm", "  slto: pm", [":6", "slto", "slot"]),
    "number without unit": ("publisher", "150s", "150", [":11", "stored_hold", "150"]),
    "wrong mode": ("publisher", "dual-write", "dualwrite", [":3", "mode", "dualwrite", "dual-write"]),
    "bad source name": ("publisher", "jetson-01", "Jetson_01", [":2", "source", "Jetson_01"]),
    "no source": ("publisher", "source: jetson-01\n", "", ["source"]),
    "duplicate key": ("publisher", "mode: dual-write", "mode: dual-write\nmode: standalone", [":4", "mode"]),
    "not YAML": ("publisher", "nats:\n", "nats: {url: [\n", ["config.yaml"]),
    "table without a name": ("publisher", "[public.jobs]", "[public.]", [":7", "tables"]),
    "tables missing": ("publisher", "  tables: [public.jobs]\n", "", ["tables"]),
    "nats without url": ("publisher", '  url: "nats://127.0.0.1:1"', '  domain: "x"', ["nats.url"]),
    "unknown conflict rule": ("subscriber", "last-write-wins", "latest-wins", [":8", "conflict", "latest-wins", "last-write-wins"]),
    "workers not a number": ("subscriber", "workers: 2", "workers: two", [":9", "workers", "two"]),
    "workers out of range": ("subscriber", "workers: 2", "workers: 1000", [":9", "workers", "1000", "64"]),
    "a table twice": ("subscriber", "workers: 2", "  - table: jobs\nworkers: 2", [":9", "jobs"]),
    "listen without port": ("subscriber", 'listen: ""', 'listen: "localhost"', ["listen", "localhost"]),
    "no dsn": ("subscriber", '  dsn: "host=127.0.0.1 port=1 dbname=postgres password=hunter2"', "  triggers: false", ["dsn"]),
    "wrong version": ("subscriber", "version: 1", "version: 2", [":1", "version"]),
    "boolean that is none": ("subscriber", "nats:\n", "  triggers: off\nnats:\n", [":4", "triggers", "off"]),
}


def program(scratch, name, text):
    made = Program(scratch.area(), name, {})
    made.binary = f"{name}/pmoves-sync-{name}"
    with open(made.config_path, "w", encoding="utf-8") as file:
        file.write(text)
    return made


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_named_and_ends_with_78(scratch, mistake):
    name, good, bad, wanted = MISTAKES[mistake]
    assert good in GOOD[name]
    made = program(scratch, name, GOOD[name].replace(good, bad, 1))
    for verb in (("config", "validate"), ("run",)):
        done = made.run_verb(*verb)
        assert done.returncode == 78, f"{verb}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        for word in wanted:
            assert word in done.stderr, f"{verb}: {word!r} is not in\n{done.stderr}"
        assert "hunter2" not in done.stdout + done.stderr


def test_all_mistakes_of_a_file_are_told_at_once(scratch):
    text = GOOD["publisher"].replace("slot: pm", "slto: pm").replace("150s", "150").replace("dual-write", "dualwrite")
    done = program(scratch, "publisher", text).run_verb("config", "validate")
    assert done.returncode == 78
    for word in ("slto", "stored_hold", "dualwrite"):
        assert word in done.stderr


@pytest.mark.parametrize("name", ["publisher", "subscriber"])
def test_good_file_is_good_and_shown_without_secrets(scratch, name):
    made = program(scratch, name, GOOD[name])
    made.must("config", "validate")
    shown = made.must("config", "show")
    assert "127.0.0.1" in shown and "hunter2" not in shown
    assert made.run_verb("config", "validate", config=False).returncode in (2, 78)


@pytest.mark.parametrize("name", ["publisher", "subscriber"])
def test_missing_file_is_an_error_that_names_it(scratch, name):
    made = program(scratch, name, GOOD[name])
    os.remove(made.config_path)
    done = made.run_verb("run")
    assert done.returncode == 78 and "config.yaml" in done.stderr


@pytest.mark.parametrize("name", ["publisher", "subscriber"])
def test_usage_errors_end_with_2_and_help_with_0(scratch, name):
    made = program(scratch, name, GOOD[name])
    assert made.run_verb("fly", config=False).returncode == 2
    assert made.run_verb(config=False).returncode == 2
    assert made.run_verb("run", "--no-such-option").returncode == 2
    helped = made.run_verb("--help", config=False)
    assert helped.returncode == 0 and "run" in helped.stdout and helped.stderr == ""
    version = made.run_verb("--version", config=False)
    assert version.returncode == 0 and version.stdout.strip()


def test_environment_overrides_the_file_and_is_checked_the_same_way(scratch):
    made = program(scratch, "publisher", GOOD["publisher"])
    shown = made.must("config", "show", env={"PMOVES_SYNC_CONFIRM__STORED_HOLD": "7s"})
    assert "PMOVES_SYNC_CONFIRM__STORED_HOLD" in shown and "7s" in shown
    done = made.run_verb("run", env={"PMOVES_SYNC_CONFIRM__STORED_HOLD": "soon"})
    assert done.returncode == 78 and "PMOVES_SYNC_CONFIRM__STORED_HOLD" in done.stderr and "soon" in done.stderr


def test_secret_from_a_file(scratch):
    made = program(scratch, "publisher", GOOD["publisher"])
    secret = os.path.join(made.directory, "secret")
    with open(secret, "w", encoding="utf-8") as file:
        file.write("hunter3\n")
    shown = made.must("config", "show", env={"PMOVES_SYNC_POSTGRES__PASSWORD_FILE": secret})
    assert "hunter3" not in shown and "PMOVES_SYNC_POSTGRES__PASSWORD" in shown
    done = made.run_verb("config", "validate", env={"PMOVES_SYNC_POSTGRES__PASSWORD_FILE": secret + ".missing"})
    assert done.returncode == 78 and ".missing" in done.stderr


SERVICE_NAMES = {
    "SUPABASE_MODE": "dual-write", "SYNC_ENABLED": "true", "SYNC_TABLES": "jobs,results,metrics,workers", "SYNC_BATCH_SIZE": "100",
    "SYNC_INTERVAL_SECONDS": "30", "SYNC_STRATEGY": "write-through", "CONFLICT_RESOLUTION": "last-write-wins",
    "SERVICE_NAME": "gpu-orchestrator", "SYNC_FALLBACK": "queue-and-retry", "OFFLINE_MODE": "true",
}


def test_names_that_services_already_have_are_understood(scratch):
    text = "version: 1\npostgres: {dsn: \"host=127.0.0.1 dbname=postgres\"}\nnats: {url: \"nats://127.0.0.1:4222\"}\n"
    shown = program(scratch, "publisher", text).must("config", "show", env=SERVICE_NAMES)
    assert "gpu-orchestrator" in shown and "public.results" in shown
    shown = program(scratch, "subscriber", text).must("config", "show", env=SERVICE_NAMES)
    assert "100" in shown and "results" in shown


def test_examples_of_the_repository_are_valid(scratch):
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for name in ("publisher", "subscriber"):
        with open(os.path.join(here, "deploy", "examples", f"{name}.yaml"), encoding="utf-8") as file:
            program(scratch, name, file.read()).must("config", "validate")
    assert os.path.isdir(build_dir())
