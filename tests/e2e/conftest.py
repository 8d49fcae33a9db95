"""Fixtures of the end-to-end tests. Run by ctest; by hand: PMOVES_BUILD_DIR=build/dev /usr/bin/python3 -m pytest tests/e2e"""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness import Fleet, Scratch  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds statuses and logs of every fleet to the report of a failed test, while its servers still run."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for fleet in getattr(item, "fleets", []):
            if "--- centre" not in str(report.longrepr):
                report.sections.append(("fleet", fleet.diagnose()))


@pytest.fixture(scope="session")
def scratch():
    made = Scratch()
    yield made
    made.close()


@pytest.fixture
def new_fleet(request, scratch):
    """A function that makes fleets (nats-server and centre run, the rest as asked); all are gone after the test."""
    request.node.fleets = []

    def make(**how):
        fleet = Fleet(scratch=scratch.area(), **how)
        request.node.fleets.append(fleet)
        return fleet

    yield make
    for fleet in request.node.fleets:
        fleet.close()


@pytest.fixture
def new_pair(request, scratch):
    """A function that makes a fleet of one edge and one subscriber with the same schema: see Fleet.pair."""
    request.node.fleets = []

    def make(schema, tables, **how):
        fleet = Fleet.pair(schema, tables, scratch=scratch.area(), **how)
        request.node.fleets.append(fleet)
        return fleet

    yield make
    for fleet in request.node.fleets:
        fleet.close()
