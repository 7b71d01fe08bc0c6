"""How far the bridge says that it is: never beyond what it was told or has read, and seconds ago while nothing happens."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from flowtell.testing import SourceHarness
from flowtell_sources.prefect.bridge import create

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MOVES_SECONDS = 15.0
SECOND = 1_000_000
READ_LATER = ("flow_run.scheduled", "flow_run.waiting", "deployment.declared", "flow.declared", "capacity.observed")
"""What stands around runs, and runs that are made ahead: they are read, minutes later, and are nothing that happened."""


@pytest.fixture
def bridge(own_server, tmp_path):
    """With a day between its readings, so that whatever comes in time came by a message or was asked for."""
    settings = {"api_url": own_server.url, "reconcile_seconds": 86_400, "requests_per_minute": 6000}
    with SourceHarness(create, tmp_path, name="prefect", settings=settings) as harness:
        yield harness


def now():
    return time.time_ns() // 1000


def progress(harness):
    return [event for event in harness.said() if event.type == "source.progress" and event.complete_until is not None]


def run_for(harness, seconds):
    until = time.monotonic() + seconds
    harness.run_until(lambda: time.monotonic() > until, seconds + 60.0)


def test_it_moves_while_nothing_happens(own_server, bridge):
    """At least each 15 s once the server has stored what it told before, and is never more than half a minute old."""
    bridge.run_until(lambda: len(progress(bridge)) > 2, 90.0)
    run_for(bridge, 40.0)
    said = progress(bridge)[2:]
    pauses = [(after.time - before.time) / 1e6 for before, after in pairwise(said)]
    assert len(said) >= 3
    assert max(pauses) < MOVES_SECONDS
    assert all(4.0 < (event.time - event.complete_until) / 1e6 < 2 * MOVES_SECONDS for event in said)
    ways = [event.complete_until for event in progress(bridge)]
    assert ways == sorted(set(ways))


def test_nothing_comes_after_it_was_said_to_be_in(own_server, bridge):
    """While flows run, subflows too, whose task runs no message tells."""
    bridge.run_until(lambda: len(progress(bridge)) > 2, 90.0)
    workload = own_server.play("3")
    bridge.run_until(lambda: workload.poll() is not None, 120.0)
    workload.stdout.close()
    ended = now()
    bridge.run_until(lambda: progress(bridge)[-1].complete_until > ended, 90.0)
    said, late = 0, []
    for event in bridge.store.log.read(0, 1_000_000):
        if event.type == "source.progress":
            said = max(said, event.complete_until or 0)
        elif event.time <= said and event.type not in READ_LATER:
            late.append((event.type, (said - event.time) / 1e6))
    assert late == []
    assert sum(event.type == "task_run.finished" for event in bridge.events()) >= 36


def test_a_server_that_hangs_is_silent_and_not_complete(own_server, bridge):
    """Up to the moment at which it stood still, and on when it goes on."""
    bridge.run_until(lambda: len(progress(bridge)) > 3, 90.0)
    own_server.stand_still()
    try:
        stood = now()
        run_for(bridge, MOVES_SECONDS)
        assert progress(bridge)[-1].complete_until <= stood
    finally:
        own_server.go_on()
    bridge.run_until(lambda: progress(bridge)[-1].complete_until > stood, 90.0)


def test_a_run_of_a_paused_deployment_is_not_waited_for(own_server, bridge):
    """Prefect deletes it and says nothing; what nobody paused is late, with the time at which it was due."""
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=50)
    flow = own_server.ask("/flows/", {"name": "nightly"})["id"]
    going, paused = (deploy(own_server, flow, name, due) for name in ("going", "paused"))
    scheduled = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    until = time.monotonic() + 30.0
    while len({run["deployment_id"] for run in own_server.all("flow_runs", scheduled)}) < 2:
        assert time.monotonic() < until, "Prefect makes the runs of new deployments within seconds"
        time.sleep(0.5)
    moment = int(due.timestamp() * SECOND)

    def told(kind, name):
        found = [event for event in bridge.events() if event.type == kind and event.deployment == name]
        return [event for event in found if kind.startswith("deployment") or event.due == moment]

    bridge.run_until(lambda: told("flow_run.scheduled", "paused") and told("flow_run.scheduled", "going"), 30.0)
    (expected,) = told("flow_run.scheduled", "paused")
    own_server.ask(f"/deployments/{paused}/pause_deployment")
    bridge.run_until(lambda: told("flow_run.late", "going"), 90.0)
    bridge.run_until(lambda: any(event.run == expected.run for event in bridge.events() if event.type == "flow_run.removed"))
    assert now() < moment + 60 * SECOND
    assert told("flow_run.late", "paused") == []
    bridge.run_until(lambda: told("deployment.declared", "paused")[-1].paused, 60.0)
    assert not told("deployment.declared", "going")[-1].paused
    assert going != paused


def deploy(server, flow, name, due):
    """A deployment that is due once a day at that time; nobody serves it. Returns its id."""
    schedule = {"interval": 86_400, "anchor_date": due.isoformat(), "timezone": "UTC"}
    body = {"name": name, "flow_id": flow, "schedules": [{"active": True, "schedule": schedule}]}
    return server.ask("/deployments/", body)["id"]
