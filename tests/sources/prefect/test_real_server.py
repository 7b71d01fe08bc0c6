"""The bridge beside a real Prefect server: what the log says is what that server's REST API says, whatever dies."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flowtell.config import load
from flowtell.store import open_store
from flowtell.testing import SourceHarness
from flowtell_sources.prefect.bridge import create

from . import truth
from .witness import Witness, without

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Beside:
    """`flowtell up` with the bridge, as a process of its own."""

    def __init__(self, script: Path, folder: Path, url: str) -> None:
        self.script, self.folder = script, folder
        table = f'[source.prefect]\nkind = "prefect"\napi_url = "{url}"\nreconcile_seconds = 5\nrequests_per_minute = 1200\n'
        (folder / "flowtell.toml").write_text(f'[plugins]\ndisable = ["dashboard"]\n\n{table}')
        self.process: subprocess.Popen[str] | None = None
        self.address = ""

    def start(self) -> None:
        with (self.folder / "up.log").open("a") as log:
            self.process = subprocess.Popen(
                [self.script, "up", "--port", "0"], cwd=self.folder, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.address = self.process.stdout.readline().split("\t")[1].strip()

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=30)
            self.process.stdout.close()
            self.process = None

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        with urlopen(f"{self.address}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def log(self):
        config = load(folder=str(self.folder))
        store = open_store(config.store_url, read_only=True)
        try:
            return truth.here(store)
        finally:
            store.close()


@pytest.fixture
def beside(prefect_server, flowtell_script, tmp_path):
    observer = Beside(flowtell_script, tmp_path, prefect_server.url)
    yield observer
    observer.kill(signal.SIGTERM)


def wait_until_equal(server, observer, seconds=90, forgotten=list):
    until = time.monotonic() + seconds
    while True:
        there = truth.there(server)
        wrong = truth.difference(there, without(observer.log(), forgotten()))
        if not wrong:
            return
        if time.monotonic() > until:
            pytest.fail(f"there and here: {wrong}")
        time.sleep(1.0)


def kill_a_flow(server):
    """SIGKILL a process in the middle of a task; what a worker tells of it then is told."""
    victim = server.play("victim")
    for line in victim.stdout:
        if b"ready to be killed" in line:
            break
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    victim.stdout.close()
    running = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}, "flows": {"name": {"any_": ["victim"]}}}
    state = {"type": "CRASHED", "name": "Crashed", "message": "Flow run process exited with status code -9"}
    for run in server.all("flow_runs", running):
        server.ask(f"/flow_runs/{run['id']}/set_state", {"state": state, "force": True})


def test_counts_states_edges_and_limits_are_what_the_server_says(prefect_server, beside):
    """Live, then once more into an empty log by history alone."""
    beside.start()
    prefect_server.play_through("arrange")
    prefect_server.play_through("2")
    kill_a_flow(prefect_server)
    wait_until_equal(prefect_server, beside)
    found = beside.log()
    assert found["flow runs"]["deployed", "Late"] == 2
    assert found["flow runs"]["victim", "Crashed"] == 1
    assert found["task runs"]["victim", "Running"] == 1, "Prefect's own state of it, for ever"
    assert found["left open"] == 0, "it is closed here, as its flow run is over"
    metrics = beside.metrics()
    for (flow, native), number in found["flow runs"].items():
        state = {"Completed": "completed", "Failed": "failed", "Cancelled": "cancelled", "Crashed": "crashed"}.get(native)
        if state:
            labels = (("environment", ""), ("flow", flow), ("state", state))
            assert metrics["flowtell_flow_runs_total", labels] == number
    assert metrics["flowtell_source_up", (("source", "prefect"),)] == 1


def test_history_is_the_same_as_having_been_there(prefect_server, beside):
    """A bridge that comes after all that; nothing is counted twice when it comes again."""
    prefect_server.play_through("1")
    beside.start()
    wait_until_equal(prefect_server, beside)
    beside.kill()
    beside.start()
    wait_until_equal(prefect_server, beside)


def test_killed_ten_times_beside_a_server_that_restarts_twice(own_server, flowtell_script, tmp_path, rounds):
    """Still equal: what was missed by the one way comes by the other, once.

    But for what the server itself told and forgot: a witness beside us says what that was.
    """
    kills = rounds(full=10, ci=4)
    restarts, killed_at = {kills // 3, 2 * kills // 3}, []
    observer = Beside(flowtell_script, tmp_path, own_server.url)
    observer.start()
    witness = Witness(own_server.url)
    workload = own_server.play("6")
    try:
        for number in range(kills):
            time.sleep(random.uniform(0.5, 4.0))
            observer.kill()
            if number in restarts:
                own_server.kill()
                killed_at.append(time.time())
                time.sleep(1.0)
                observer.start()
                own_server.start()
            else:
                time.sleep(random.uniform(0.0, 2.0))
                observer.start()
        workload.communicate(timeout=300)
        wait_until_equal(own_server, observer, 120, lambda: witness.forgotten(own_server, killed_at))
    finally:
        observer.kill()
        witness.close()


def test_what_the_server_told_and_forgot_stays_here(own_forgetful_server, tmp_path):
    """It stores what it told some seconds later: a kill in between loses it there, and nothing of it here."""
    settings = {"api_url": own_forgetful_server.url, "reconcile_seconds": 5, "requests_per_minute": 6000}
    with SourceHarness(create, tmp_path, name="prefect", settings=settings) as harness:

        def scores():
            return [event for event in harness.events() if event.type == "acme.scored"]

        harness.run_until(lambda: harness.runner.complete_until is not None, 60.0)
        emit(own_forgetful_server, "acme.scored")
        harness.run_until(lambda: len(scores()) == 1, 10.0)
        assert truth.all_events(own_forgetful_server) == []
        own_forgetful_server.kill()
        own_forgetful_server.start()
        again = harness.runner.complete_until
        harness.run_until(lambda: harness.runner.complete_until > again, 60.0)
        assert truth.all_events(own_forgetful_server) == []
        assert len(scores()) == 1
        emit(own_forgetful_server, "acme.scored")
        harness.run_until(lambda: len(scores()) == 2, 30.0)


def emit(server, name):
    occurred = datetime.now(UTC).isoformat()
    event = {"id": str(uuid4()), "event": name, "occurred": occurred, "resource": {"prefect.resource.id": "acme.model.1"}}
    server.ask("/events", [event])


def test_a_state_there_is_a_metric_here_within_two_seconds(prefect_server, beside):
    """p95, from the state's own time to a scrape that shows it."""
    number = 40
    labels = (("environment", ""), ("flow", "quick"), ("state", "completed"))
    beside.start()
    wait_until_equal(prefect_server, beside)
    before = int(beside.metrics().get(("flowtell_flow_runs_total", labels), 0))
    workload = prefect_server.play("quick", str(number))
    seen: list[float] = []
    until = time.monotonic() + 120
    while len(seen) < number and time.monotonic() < until:
        shown = int(beside.metrics().get(("flowtell_flow_runs_total", labels), 0)) - before
        seen += [time.time()] * (shown - len(seen))
        time.sleep(0.05)
    workload.communicate(timeout=60)
    wanted = {"flows": {"name": {"any_": ["quick"]}}, "sort": "END_TIME_DESC"}
    ends = sorted(truth.moment(run["end_time"]) / 1e6 for run in prefect_server.all("flow_runs", wanted))[-number:]
    late = sorted(shown - end for shown, end in zip(seen, ends, strict=True))
    print(f"latency: median {late[number // 2]:.2f} s, p95 {late[int(number * 0.95)]:.2f} s, most {late[-1]:.2f} s")
    assert late[int(number * 0.95)] < 2.0
