"""Causes staged on purpose with real flows and processes, and asked for by their log alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from flowtell import Asset, bus, config, failed, flow, materialize, measure, pause_flow_run, task
from flowtell import events as e
from flowtell.errors import NothingKnown
from flowtell.ids import new_id
from flowtell.limits.stated import Stated
from flowtell.server.app import running_server
from flowtell.server.catch_up import catch_up
from flowtell.store import open_store
from flowtell.why import why

FLOWTELL = str(Path(sys.executable).with_name("flowtell"))


@pytest.fixture
def ask(home):
    """Ask as `flowtell why` does."""

    def answer(subject, at=None):
        catch_up(
            config.load({"plugins.disable": "dashboard,prometheus,alerts,notifications,incidents,automations,openlineage"})
        )
        store = open_store(f"sqlite:///{home}/flowtell.db", read_only=True)
        try:
            return why(store.read, subject, at or time.time_ns() // 1000)
        finally:
            store.close()

    return answer


@pytest.fixture
def apart():
    """Run a flow on a thread, until the test lets it go."""
    go, threads = threading.Event(), []

    def start(function, *arguments):
        def work():
            try:
                function(*arguments)
            except Exception:  # noqa: BLE001  # what the run tells is asked about
                pass

        threads.append(threading.Thread(target=work))
        threads[-1].start()

    start.go = go
    yield start
    go.set()
    for thread in threads:
        thread.join(20)


def until(condition, seconds=15):
    stop = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < stop
        time.sleep(0.02)
    return found


def causes(found):
    return [fact.cause for fact in found.chain]


def fails(function, *arguments):
    with pytest.raises(Exception):  # noqa: B017
        function(*arguments)


# --- how it ended -------------------------------------------------------------------------------------------------


def test_the_first_task_that_failed_by_the_same_error(ask):
    @task
    def load(number):
        if number == 2:
            raise ValueError("no rows")
        return number

    @flow
    def nightly():
        load(1)
        try:
            load(2)
        except ValueError:
            pass
        load(3)
        load(2)

    fails(nightly)
    found = ask("nightly")
    assert causes(found) == ["task_failed"]
    assert (found.chain[0].text, found.chain[0].detail) == ("task load failed: ValueError", "no rows")
    assert found.chain[0].events
    assert found.state == "failed"


def test_the_flows_own_code(ask):
    @task
    def fine(): ...

    @flow
    def nightly():
        fine()
        raise KeyError("day")

    fails(nightly)
    (fact,) = ask("nightly").chain
    assert (fact.cause, fact.text, fact.detail) == ("failed", "its own code failed: KeyError", "'day'")


def test_a_flow_that_it_called_and_the_task_in_that_one(ask):
    @task
    def load():
        raise OSError("disk full")

    @flow
    def inner():
        load()

    @flow
    def outer():
        inner()

    fails(outer)
    found = ask("outer")
    assert causes(found) == ["subflow", "task_failed"]
    assert "inner" in found.chain[0].text
    assert found.chain[1].run == found.chain[0].runs[0]


def test_the_last_of_several_attempts(ask):
    @task(retries=2)
    def load():
        raise TimeoutError("no answer")

    @flow
    def nightly():
        load()

    fails(nightly)
    (fact,) = ask("nightly").chain
    assert (fact.text, fact.detail) == ("task load failed, in the last of 3 attempts: TimeoutError", "no answer")


def test_a_time_out_names_the_task_that_had_the_time(ask):
    @task
    def slow():
        time.sleep(0.4)

    @flow(timeout_seconds=0.2)
    def nightly():
        slow()
        time.sleep(1)

    fails(nightly)
    found = ask("nightly")
    assert causes(found)[0] == "timed_out"


KILLED = """
import os, signal, time
from flowtell import flow, task

@task
def grow():
    os.kill(os.getpid(), signal.SIGKILL)

@flow
def nightly():
    grow()

nightly()
"""


def test_a_killed_process_and_the_task_it_was_in(ask, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    assert subprocess.run([sys.executable, script], check=False).returncode == -signal.SIGKILL
    found = ask("nightly")
    assert causes(found) == ["crashed", "task_open"]
    assert "grow" in found.chain[1].text
    done = subprocess.run([FLOWTELL, "exec", "--flow", "wrapped", "--", sys.executable, str(script)], check=False)
    assert done.returncode
    found = ask("wrapped")
    assert found.chain[0].cause == "killed"
    assert "SIGKILL" in found.chain[0].text


def test_the_peak_memory_of_a_killed_process_where_a_parent_saw_it(ask):
    run, now = new_id(), time.time_ns() // 1000
    told(
        e.FlowRunStarted(id=new_id(), time=now - 1_000_000, run=run, flow="nightly", machine="ada"),
        e.FlowRunFinished(
            id=new_id(), time=now, run=run, flow="nightly", state="crashed", signal="SIGKILL", peak_memory=3_100_000_000
        ),
    )
    (fact,) = ask(run).chain
    assert fact.text == "its process on ada was ended by SIGKILL, its peak memory was 3,100 MB"
    assert fact.figures == {"peak_memory": 3_100_000_000}


# --- what goes on -------------------------------------------------------------------------------------------------


def test_a_retry_that_is_to_come(ask, apart):
    @task(retries=2, retry_delay_seconds=[0, 2])
    def load():
        raise ConnectionError("refused")

    @flow
    def nightly():
        load()

    apart(nightly)
    found = until(lambda: (found := ask("nightly")).cause == "retrying" and found.chain[0].figures["attempt"] == 2 and found)
    (fact,) = found.chain
    assert fact.text.startswith("task load failed in attempt 2 by ConnectionError; attempt 3 comes 2.0 s")
    assert fact.figures == {"attempt": 2, "delay": 2.0}


def test_a_full_limit_and_why_its_holder_takes_long(ask, apart, home):
    """The chain goes on with the one that holds it."""
    Stated(str(home / "limits")).set("tag:db", 1)
    bus.renew()

    @task
    def vacuum():
        apart.go.wait(20)

    @flow(tags=["db"])
    def holder():
        vacuum()

    @flow(tags=["db"])
    def nightly(): ...

    apart(holder)
    until(lambda: causes(ask("holder")) == ["task_open"])
    apart(nightly)
    found = until(lambda: (found := ask("nightly")).cause == "limit_full" and found)
    assert causes(found) == ["limit_full", "task_open"]
    assert "limit tag:db, which is full: held by holder" in found.chain[0].text
    assert "vacuum" in found.chain[1].text
    assert found.chain[0].runs == (found.chain[1].run,)


def test_a_task_that_waits_for_a_limit(ask, apart, home):
    Stated(str(home / "limits")).set("tag:api", 1)
    bus.renew()

    @task(tags=["api"])
    def call(name):
        apart.go.wait(20)

    @flow
    def first():
        call("a")

    @flow
    def second():
        call("b")

    apart(first)
    until(lambda: causes(ask("first")) == ["task_open"])
    apart(second)
    found = until(lambda: (found := ask("second")).cause == "limit_full" and found)
    assert causes(found) == ["limit_full", "task_open"]
    assert found.chain[0].text.startswith("task call waits for limit tag:api")


def test_a_question_that_nobody_has_answered(ask, apart, home):
    @flow
    def nightly():
        pause_flow_run(bool, key="publish", timeout=3, poll_interval=0.05)

    apart(nightly)
    found = until(lambda: (found := ask("nightly")).cause == "paused" and found)
    assert "'publish'" in found.chain[0].text


def test_a_task_that_takes_longer_than_it_usually_does(ask, apart):
    """By the runs before that ended well; with too few of them nothing is said to be usual."""
    wait = threading.Event()
    wait.set()

    @task
    def load():
        wait.wait(20)

    @flow
    def nightly():
        load()

    nightly()
    wait.clear()
    apart(nightly)
    found = until(lambda: (found := ask("nightly")).cause == "task_open" and found)
    assert any("usually takes" in each for each in found.missing)
    wait.set()
    until(lambda: ask("nightly").state == "completed")
    for _ in range(4):
        nightly()
    wait.clear()
    apart(nightly)
    found = until(lambda: (found := ask("nightly")).cause == "task_slow" and found)
    assert found.chain[0].figures["runs"] == 6
    wait.set()


def test_between_its_tasks_it_is_in_its_own_code(ask, apart):
    @task
    def load(): ...

    @flow
    def nightly():
        load()
        apart.go.wait(20)

    apart(nightly)
    found = until(lambda: (found := ask("nightly")).cause == "own_code" and found)
    assert "since task load ended" in found.chain[0].text


def test_a_flow_that_it_called_goes_on(ask, apart):
    @flow
    def inner():
        apart.go.wait(20)

    @flow
    def outer():
        inner()

    apart(outer)
    found = until(lambda: (found := ask("outer")).cause == "subflow" and found)
    assert causes(found) == ["subflow", "own_code"]


# --- what has not begun, as others tell it --------------------------------------------------------------------------


def told(*events):
    for event in events:
        bus.emit(event)


def ahead(kind, run, at, **fields):
    return kind(id=new_id(), time=at, run=run, flow="nightly", deployment="main", due=at, **fields)


def test_what_another_orchestrator_waits_for(ask):
    """A pool without a worker, a queue that is paused, the run before."""
    now = time.time_ns() // 1000
    for reason, on, cause in (
        ("worker", e.WaitsOn(kind="pool", name="k8s"), "no_worker"),
        ("queue", e.WaitsOn(kind="queue", name="high"), "queue_paused"),
        ("overlap", e.WaitsOn(kind="deployment", name="nightly/main", runs=(new_id(),)), "previous_run"),
    ):
        run = new_id()
        told(ahead(e.FlowRunScheduled, run, now), ahead(e.FlowRunWaiting, run, now + 1, reason=reason, on=(on,)))
        found = ask(run)
        assert found.cause == cause
        assert on.name in found.chain[0].text


def test_a_circle_of_waiting_is_said(ask):
    now, one, other = time.time_ns() // 1000, new_id(), new_id()
    for run, held in ((one, other), (other, one)):
        on = (e.WaitsOn(kind="limit", name="db", runs=(held,)),)
        told(ahead(e.FlowRunScheduled, run, now), ahead(e.FlowRunWaiting, run, now + 1, reason="limit", on=on))
    assert causes(ask(one)) == ["limit_full", "limit_full", "circle"]


def test_a_holder_that_the_log_has_no_more_is_said(ask):
    now, run, gone = time.time_ns() // 1000, new_id(), new_id()
    on = (e.WaitsOn(kind="limit", name="db", runs=(gone,)),)
    told(ahead(e.FlowRunScheduled, run, now), ahead(e.FlowRunWaiting, run, now + 1, reason="limit", on=on))
    found = ask(run)
    assert causes(found) == ["limit_full"]
    assert any("the log has it no more" in each for each in found.missing)


def test_without_a_fact_the_cause_is_unknown_and_what_is_missing_is_said(ask):
    run = new_id()
    told(ahead(e.FlowRunScheduled, run, time.time_ns() // 1000))
    found = ask(run)
    assert (found.cause, found.chain) == ("unknown", ())
    assert found.missing[0].startswith("why nothing has started it")


SERVED = """
import sys, time
from pathlib import Path
from flowtell import every, flow

@flow
def nightly(folder: str):
    Path(folder, "began").touch()
    while not Path(folder, "go").exists():
        time.sleep(0.05)
    Path(folder, "ended").touch()

if __name__ == "__main__":
    nightly.serve("main", schedule=every("1s", overlap="queue"), parameters={"folder": sys.argv[1]})
"""


@pytest.mark.slow
def test_served_runs_that_queue_and_a_serving_process_that_is_killed(ask, tmp_path):
    """What queues behind the run before waits for that one; once nobody serves any more, for nobody."""
    script = tmp_path / "served.py"
    script.write_text(SERVED)
    serving = subprocess.Popen([sys.executable, script, str(tmp_path)])
    try:
        until((tmp_path / "began").exists)
        found = until(lambda: (found := ask("nightly/main")).cause == "previous_run" and found)
        assert causes(found) == ["previous_run", "own_code"]
        serving.send_signal(signal.SIGKILL)
        serving.wait(10)
        found = until(lambda: (found := ask("nightly/main")).cause == "serving_gone" and found)
        assert "the process that serves nightly/main ended" in found.chain[0].text
    finally:
        serving.kill()
        serving.wait(10)
        (tmp_path / "go").touch()
        until((tmp_path / "ended").exists)


@pytest.mark.slow
def test_a_due_time_for_which_there_is_no_run(home, tmp_path):
    """The rule `late` finds it; that nobody serves the deployment any more is the reason."""
    script = tmp_path / "served.py"
    script.write_text(
        SERVED.replace("@flow", "@flow(rules=[late(after='2s')])").replace("import every", "import late, every")
    )
    (tmp_path / "go").touch()
    with running_server(config.load({"server.port": 0, "plugins.disable": "dashboard", "home": str(home)})) as (url, _):
        get = lambda path: json.loads(urlopen(f"{url}{path}", timeout=10).read())  # noqa: E731
        serving = subprocess.Popen([sys.executable, script, str(tmp_path)])
        try:
            until(lambda: [run for run in get("/api/runs")["runs"] if run["state"] == "completed"])
        finally:
            serving.kill()
            serving.wait(10)
        incident = until(lambda: [one for one in get("/api/incidents")["incidents"] if not one.get("runs")], 30)[0]
        found = until(lambda: len((found := get(f"/api/why/{incident['incident']}"))["chain"]) > 1 and found)
    assert [fact["cause"] for fact in found["chain"]] == ["rule_broken", "serving_gone"]


# --- what is otherwise, and when it will end ------------------------------------------------------------------------


def test_version_parameters_measures_and_tasks_that_are_otherwise(ask):
    @task
    def load(rows, seconds):
        time.sleep(seconds)
        measure("rows", rows)

    def nightly(day, rows, seconds=0.0, fail=False):
        load(rows, seconds)
        if fail:
            raise ValueError("bad")

    flow(name="nightly", version="1")(nightly)(1, 1000)
    fails(flow(name="nightly", version="2")(nightly), 2, 10, 1.2, True)
    found = ask("nightly")
    changed = {(one.what, one.name): (one.was, one.now) for one in found.changed}
    assert changed["version", ""] == ("1", "2")
    assert changed["parameter", "day"] == (1, 2)
    assert changed["measure", "load rows"] == (1000, 10)
    assert changed["task", "load"][1] > 1.1
    assert found.compared


def test_when_it_will_end_by_runs_that_lasted_as_long(ask):
    """A run that has outlasted all others has no expected end: nothing is known of such."""
    start = time.time_ns() // 1000 - 3_600_000_000
    for number in range(12):
        run, at = new_id(), start + number * 1_000_000
        told(
            e.FlowRunStarted(id=new_id(), time=at, run=run, flow="nightly"),
            e.FlowRunFinished(id=new_id(), time=at + 60_000_000, run=run, flow="nightly", duration=50.0 + number),
        )
    run, began = new_id(), start + 600_000_000
    told(e.FlowRunStarted(id=new_id(), time=began, run=run, flow="nightly"))
    expected = ask(run, at=began + 30_000_000).expected
    assert began + 50_000_000 <= expected.earliest <= expected.end <= expected.latest <= began + 61_000_000
    assert expected.runs == 12
    assert ask(run, at=began + 58_000_000).expected is None
    assert ask(run, at=began + 100_000_000).expected is None


def test_as_it_was_at_an_earlier_moment(ask):
    """What came after it is not known yet."""
    began, run = time.time_ns() // 1000 - 60_000_000, new_id()
    on = (e.WaitsOn(kind="pool", name="k8s"),)
    told(
        ahead(e.FlowRunScheduled, run, began),
        ahead(e.FlowRunWaiting, run, began + 5_000_000, reason="worker", on=on),
        e.FlowRunStarted(id=new_id(), time=began + 10_000_000, run=run, flow="nightly", deployment="main"),
        e.FlowRunFinished(id=new_id(), time=began + 20_000_000, run=run, flow="nightly", state="failed"),
    )
    assert ask(run, at=began + 1_000_000).cause == "unknown"
    assert ask(run, at=began + 7_000_000).cause == "no_worker"
    assert ask(run, at=began + 15_000_000).cause == "own_code"
    assert ask(run).cause == "failed"


def test_what_is_not_there_is_said(ask):
    @flow
    def nightly(): ...

    nightly()
    with pytest.raises(NothingKnown, match="Did you mean 'nightly'"):
        ask("nigthly")
    with pytest.raises(NothingKnown):
        ask("nightly2/other")


def test_on_the_command_line(ask):
    @task
    def load():
        raise ValueError("no rows")

    @flow
    def nightly():
        load()

    fails(nightly)
    shown = subprocess.run([FLOWTELL, "why", "nightly"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "1. task load failed: ValueError: no rows" in shown
    found = subprocess.run([FLOWTELL, "why", "nightly", "--json"], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(found.stdout)["chain"][0]["cause"] == "task_failed"


def test_over_http(ask, home):
    """By name, by the beginning of an id, at a moment; what cannot be read is 400, what is not there 404."""

    @task
    def load():
        raise ValueError("no rows")

    @flow
    def nightly():
        load()

    fails(nightly)
    run = ask("nightly").run
    settings = {"server.port": 0, "plugins.disable": "dashboard,prometheus,lineage,alerts,notifications"}
    with running_server(config.load({**settings, "home": str(home)})) as (url, _):

        def get(path):
            try:
                with urlopen(f"{url}/api/why/{path}", timeout=10) as answer:
                    return answer.status, json.loads(answer.read())
            except HTTPError as error:
                return error.code, json.loads(error.read())

        assert get("nightly")[1]["chain"][0]["cause"] == "task_failed"
        assert get(run[:20])[1]["run"] == run
        assert get("nightly?at=2026-01-01")[0] == 404, "nothing was known then"
        assert get("nightly?at=yesterday")[0] == 400
        assert get("nightly/main")[0] == get("ffff")[0] == 404


# --- assets and incidents -----------------------------------------------------------------------------------------


RAW, CLEAN, REPORT = "file://lake/raw", "file://lake/clean", "file://shop/report"


def lake(fail_at=""):
    """Three flows of one asset each, each made of the one before."""

    def maker(name, key, *deps):
        @materialize(Asset(key, owners=[f"{name}@shop.example"]), asset_deps=list(deps))
        def make():
            if name == fail_at:
                raise OSError("disk full")

        return flow(name=name)(make)

    return maker("raw", RAW), maker("clean", CLEAN, RAW), maker("report", REPORT, CLEAN)


def test_an_asset_whose_last_attempt_failed_and_what_waits_for_it(ask):
    for each in lake():
        each()
    fails(lake("clean")[1])
    found = ask(CLEAN)
    assert causes(found) == ["asset_failed", "task_failed"]
    assert found.chain[1].detail == "disk full"
    assert [(hit.asset, hit.distance, hit.owners) for hit in found.impact] == [
        (CLEAN, 0, ("clean@shop.example",)),
        (REPORT, 1, ("report@shop.example",)),
    ]
    assert ask("clean").impact == found.impact


def test_an_asset_below_one_that_failed(ask):
    for each in lake():
        each()
    fails(lake("raw")[0])
    found = ask(REPORT)
    assert causes(found) == ["upstream_failed", "task_failed"]
    assert found.chain[0].text.startswith(f"{RAW}, 2 steps above it, failed")


def test_an_asset_that_is_older_than_what_it_is_made_of(ask):
    for each in lake():
        each()
    lake()[0]()
    assert causes(ask(CLEAN))[0] == "asset_stale"
    assert causes(ask(RAW)) == ["asset_made", "completed"]


def test_an_asset_whose_flow_is_overdue(ask):
    for each in lake():
        each()
    now, run = time.time_ns() // 1000, new_id()
    on = (e.WaitsOn(kind="pool", name="k8s"),)
    common = {"run": run, "flow": "report", "due": now - 1_000_000}
    told(
        e.FlowRunScheduled(id=new_id(), time=now - 2_000_000, **common),
        e.FlowRunWaiting(id=new_id(), time=now, reason="worker", on=on, **common),
    )
    found = ask(REPORT)
    assert causes(found) == ["no_worker", "asset_made"]
    assert [hit.asset for hit in found.impact] == [REPORT]


def test_an_incident_and_the_run_that_it_is_about(home):
    settings = {"server.port": 0, "plugins.disable": "dashboard"}

    @task
    def load():
        raise ValueError("no rows")

    @flow(rules=[failed()])
    def nightly():
        load()

    with running_server(config.load({**settings, "home": str(home)})) as (url, _):
        fails(nightly)
        get = lambda path: json.loads(urlopen(f"{url}{path}", timeout=10).read())  # noqa: E731
        (incident,) = until(lambda: get("/api/incidents")["incidents"])
        found = get(f"/api/why/{incident['incident']}")
    assert [fact["cause"] for fact in found["chain"]] == ["rule_broken", "task_failed"]
    assert found["subject"] == f"incident {incident['incident']}"
