"""The bridge keeps the contract of sources, over a real Prefect server; and shows the key that the server wants."""

from __future__ import annotations

import time

import pytest

from flowtell.testing import SourceContract, SourceHarness
from flowtell_sources.prefect.bridge import create

from . import truth

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

OF_MOMENTS = (
    "capacity.observed",
    "flow_run.pending",
    "task_run.pending",
    "flow_run.scheduled",
    "flow_run.removed",
)
"""Observations of now, and states on the way that only messages tell of, which Prefect repeats for two minutes: also of a
run that was deleted before anybody listened, and is then found to be gone."""


class TestPrefectBridge(SourceContract):
    name = "prefect"
    timeout = 60.0

    @pytest.fixture(autouse=True)
    def there(self, prefect_server, rounds):
        self.server, self.most_cuts = prefect_server, rounds(full=25, ci=4)
        self.settings = {"api_url": prefect_server.url, "reconcile_seconds": 5, "requests_per_minute": 6000}
        if not prefect_server.all("flow_runs"):
            prefect_server.play_through("arrange")
            prefect_server.play_through("1")
            wait_until_late(prefect_server, 2)

    def factory(self):
        return create

    def has_all(self, harness):
        done = '"done":true' in harness.runner.cursor
        return done and not truth.difference(truth.there(self.server), truth.here(harness.store))

    def observe(self, harness):
        return sorted((event.type, event.id) for event in harness.events() if event.type not in OF_MOMENTS)


def wait_until_late(server, number):
    """Its service for late runs has come by."""
    late = {"flow_runs": {"state": {"name": {"any_": ["Late"]}}}}
    until = time.monotonic() + 60.0
    while len(server.all("flow_runs", late)) < number and time.monotonic() < until:
        time.sleep(0.5)


def test_a_server_with_a_key_of_its_own(own_locked_server, tmp_path):
    """The wrong one is told in words; the right one goes to the REST API and to the socket."""
    wrong = {"api_url": own_locked_server.url, "auth_string": "admin:wrong"}
    with SourceHarness(create, folder(tmp_path, "wrong"), name="prefect", settings=wrong) as harness:
        harness.turn()
        assert "auth string is not accepted" in harness.runner.status().last_error
    right = {**wrong, "auth_string": "admin:right"}
    with SourceHarness(create, folder(tmp_path, "right"), name="prefect", settings=right) as harness:
        harness.turn()
        assert harness.runner.status().state == "up"


def test_a_server_with_csrf_protection(own_guarded_server, tmp_path):
    """All its requests that are POSTs bring its token."""
    own_guarded_server.play_through("quick", "1")
    with SourceHarness(create, tmp_path, name="prefect", settings={"api_url": own_guarded_server.url}) as harness:
        harness.run_until(lambda: any(event.type == "flow_run.finished" for event in harness.events()), 60.0)
        assert harness.runner.status().state == "up"
        assert not [event for event in harness.said() if event.type == "source.down"]


@pytest.mark.parametrize("listening", [True, False], ids=["live", "while it was down"])
def test_a_deployment_that_is_deleted(own_server, tmp_path, listening):
    """Told once, with the time at which it went, though no list has it any more."""
    own_server.play_through("arrange")
    (deployment,) = own_server.all("deployments")
    settings = {"api_url": own_server.url, "reconcile_seconds": 5, "requests_per_minute": 6000}
    with SourceHarness(create, tmp_path, name="prefect", settings=settings) as harness:

        def told(kind):
            return [event for event in harness.events() if event.type == kind and event.external_id == deployment["id"]]

        harness.run_until(lambda: told("deployment.declared"), 60.0)
        if not listening:
            harness.runner.close()
        own_server.delete(f"/deployments/{deployment['id']}")
        if not listening:
            harness.restart()
        harness.run_until(lambda: told("deployment.removed"), 60.0)
        until = time.monotonic() + 12.0  # two readings of the lists, and of the messages once more
        harness.run_until(lambda: time.monotonic() > until, 60.0)
        (removed,) = told("deployment.removed")
        (declared,) = told("deployment.declared")
    assert (removed.flow, removed.deployment) == (declared.flow, declared.deployment) == ("deployed", "berlin")
    assert declared.time < removed.time


def folder(parent, name):
    (parent / name).mkdir()
    return parent / name
