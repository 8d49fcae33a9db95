"""Rules of the house that a machine can check. Each test names the file that breaks its rule."""

import os
import re
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("PMOVES_BUILD_DIR", os.path.join(ROOT, "build", "dev"))
SOURCE_ENDINGS = (".h", ".cc")
CHECKED_ENDINGS = (*SOURCE_ENDINGS, ".py", ".cmake", ".sh", ".md", ".yaml", ".yml", ".json", ".conf")
MAX_LINES = 500


def project_files(*endings):
    """Paths below ROOT that git tracks or would track, ending in one of `endings`."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=False,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if listed.returncode == 0:
        names = listed.stdout.splitlines()
    else:   # an unpacked archive
        names = [os.path.relpath(os.path.join(folder, name), ROOT) for folder, _, found in os.walk(ROOT) for name in found]
        names = [name for name in names if not name.startswith(("build/", ".git/"))]
    return sorted(name for name in set(names) if (not endings or name.endswith(endings)) and os.path.isfile(os.path.join(ROOT, name)))


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def sources():
    return project_files(*SOURCE_ENDINGS)


def fail_with(problems):
    assert not problems, "\n".join(problems)


# ---- layering

FORBIDDEN_IN_CORE = re.compile(
    r'#\s*include\s*[<"](libpq-fe\.h|pqxx[^>"]*|nats/nats\.h|nats\.h|thread|mutex|shared_mutex|condition_variable|atomic|future|chrono|'
    r'absl/time/clock\.h|absl/synchronization/[^>"]*|spdlog/[^>"]*|sys/socket\.h|netinet/[^>"]*|arpa/[^>"]*|netdb\.h|poll\.h|'
    r'unistd\.h|prometheus/[^>"]*|yaml-cpp/[^>"]*|common/io/[^>"]*|[a-z]+/io/[^>"]*|common/base/mutex\.h)[>"]')


def test_core_folders_are_pure():
    """No sockets, clocks, threads or logs: core is values in, values out."""
    problems = []
    for name in sources():
        if re.match(r"(publisher|subscriber)/core/|proto/|common/base/", name) and name != "common/base/mutex.h":
            problems += [f"{name}: {line.strip()}" for line in read(name).splitlines() if FORBIDDEN_IN_CORE.search(line)]
    fail_with(problems)


def test_layers_include_downwards_only():
    allowed = {"proto": {"proto", "common/base"}, "common/base": {"common/base"}, "common/io": {"common/base", "common/io", "proto"}}
    problems = []
    for name in sources():
        layer = "/".join(name.split("/")[:2]) if name.startswith("common/") else name.split("/")[0]
        for included in re.findall(r'#include "([^"]+)"', read(name)):
            target = "/".join(included.split("/")[:2]) if included.startswith("common/") else included.split("/")[0]
            if layer in allowed and target in {"proto", "common/base", "common/io", "publisher", "subscriber", "tests"}:
                if target not in allowed[layer]:
                    problems.append(f"{name} includes {included}")
            if {layer, target} == {"publisher", "subscriber"} or (target == "tests" and layer != "tests"):
                problems.append(f"{name} includes {included}")
    fail_with(problems)


def symbols(archive):
    listed = subprocess.run(["nm", "-C", "--undefined-only", archive], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                            check=True)
    return listed.stdout


@pytest.mark.parametrize("program", ["publisher", "subscriber"])
def test_core_libraries_call_neither_libpq_nor_nats(program):
    archive = os.path.join(BUILD, program, "core", f"lib{program}_core.a")
    if not os.path.exists(archive):
        archive = os.path.join(BUILD, program, f"lib{program}_core.a")
    assert os.path.exists(archive), f"{program}_core is not built in {BUILD}"
    called = symbols(archive)
    fail_with([line.strip() for line in called.splitlines()
               if re.search(r"\bU (PQ[a-z]|nats|js_|pthread_create|socket\b|connect\b|clock_gettime)", line)])


# ---- sizes and markers

def test_no_file_is_longer_than_it_can_be_read_at_once():
    names = project_files(*SOURCE_ENDINGS, ".py", ".cmake") + project_files("tests/run", "deploy/demo", "deploy/install-deps")
    fail_with([f"{name}: {lines} lines" for name in names if (lines := read(name).count("\n")) > MAX_LINES])


def test_no_left_over_markers():
    marker = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "not " + "implemented")) + r")\b", re.IGNORECASE)
    problems = []
    for name in project_files(*CHECKED_ENDINGS):
        problems += [f"{name}:{number}: {line.strip()}" for number, line in enumerate(read(name).splitlines(), 1)
                     if marker.search(line)]
    fail_with(problems)


def test_tests_wait_for_events_not_for_time():
    """tests/testing holds the one loop that polls with a deadline; the benchmark and lines marked so measure time itself."""
    asleep = re.compile(r"sleep_for|sleep_until|\busleep\(|absl::SleepFor|\btime\.sleep\(|GTEST_SKIP|\bDISABLED_")
    problems = []
    for name in project_files(*SOURCE_ENDINGS, ".py"):
        if name.startswith("tests/") and not name.startswith(("tests/bench/", "tests/tidy/", "tests/testing/")):
            problems += [f"{name}:{number}" for number, line in enumerate(read(name).splitlines(), 1) if asleep.search(line) and not line.endswith("// what is measured")]
    fail_with(problems)


def test_no_path_of_a_developers_machine():
    private = re.compile("|".join(("/wo" + "rk/", "/tmp/te" + "am", r"/ro" + r"ot/", "/ho" + r"me/\w")))
    problems = []
    for name in project_files(*CHECKED_ENDINGS) + project_files("tests/run", "deploy/demo", "deploy/install-deps"):
        problems += [f"{name}:{number}: {line.strip()}" for number, line in enumerate(read(name).splitlines(), 1)
                     if private.search(line)]
    fail_with(problems)


def test_headers_are_guarded_by_their_path():
    problems = []
    for name in project_files(".h"):
        guard = "PMOVES_" + re.sub(r"[/.]", "_", name).upper() + "_"
        if f"#ifndef {guard}\n#define {guard}\n" not in read(name):
            problems.append(f"{name}: expected {guard}")
    fail_with(problems)


# ---- docs

def existing(path):
    return os.path.exists(os.path.join(ROOT, path)) or any(os.path.exists(os.path.join(ROOT, path + end)) for end in SOURCE_ENDINGS)


TOP_FOLDERS = ("publisher/", "subscriber/", "common/", "proto/", "deploy/", "tests/", "docs/", ".ci/")


def test_docs_name_paths_that_exist():
    """`common/io/log.cc` in backticks and [links](docs/x.md) must lead somewhere; a name without ending stands for its .h/.cc pair."""
    problems = []
    for name in project_files(".md"):
        text = read(name)
        for path in re.findall(r"`([A-Za-z0-9_./-]+)`", text):
            if path.startswith(TOP_FOLDERS) and not existing(path.rstrip("/")):
                problems.append(f"{name}: `{path}`")
        for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.S)):
            target = link.partition("#")[0]
            if target and "://" not in target and not os.path.exists(os.path.join(ROOT, os.path.dirname(name), target)):
                problems.append(f"{name}: ({link})")
    fail_with(problems)


def names_of_tests():
    """All test functions and suites of the project: C++ `Suite.Name` and Python `test_name`."""
    found = set()
    for name in sources():
        if name.startswith("tests/"):
            found |= {f"{suite}.{test}" for suite, test in re.findall(r"\bTEST(?:_[FP])?\(\s*(\w+)\s*,\s*(\w+)\s*\)", read(name))}
    for name in project_files(".py"):
        if name.startswith("tests/"):
            found |= set(re.findall(r"^def (test_\w+)\(", read(name), re.M))
    assert found
    return found


PROMISES = ("P1", "P2", "P3", "S1", "S2", "S3", "S4", "S5", "C1", "C2", "O1", "R1")


def named_tests(cell, known, files):
    """What a table cell names as tests: (number found, those that do not exist). Suite.Test, test_x, a file, file::test_x."""
    found, missing = 0, []
    for name in re.findall(r"`([^`]+)`", cell):
        path, _, test = name.split()[0].partition("::")
        if "/" in path or path.endswith((".cc", ".py")):
            found += 1
            if not any(file == path or file.endswith("/" + path) for file in files):
                missing.append(path)
        elif re.fullmatch(r"test_\w+|[A-Z]\w+\.\w+", path):
            test = path
        if test:
            found += 1
            if test not in known:
                missing.append(test)
    return found, missing


def test_every_promise_names_a_test_that_exists():
    rows = {cells[0].strip(): cells[-1] for line in read("docs/guarantees.md").splitlines()
            if line.startswith("|") and len(cells := line.strip("| ").split("|")) >= 4}
    known = names_of_tests()
    files = [name for name in project_files() if name.startswith("tests/")]
    problems = []
    for promise in PROMISES:
        if promise not in rows:
            problems.append(f"docs/guarantees.md has no line for {promise}")
            continue
        found, missing = named_tests(rows[promise], known, files)
        if not found:
            problems.append(f"{promise} names no test")
        problems += [f"{promise} names `{test}`, which does not exist" for test in missing]
    fail_with(problems)


# ---- format

def test_sources_are_formatted():
    names = sources()
    assert names
    checked = subprocess.run(["clang-format-14", "--dry-run", "-Werror", *names], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    fail_with(sorted({line.split(":")[0] for line in checked.stderr.splitlines() if "clang-format-violations" in line}))
