"""The examples as their reader runs them: each in a process of its own, from an empty folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
FLOWTELL = str(Path(sys.executable).with_name("flowtell"))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words, code=0):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return done


def example(name, *arguments, code=0):
    return call(sys.executable, str(EXAMPLES / name), *arguments, code=code)


def flowtell(*words, code=0):
    return call(FLOWTELL, *words, code=code).stdout


def listed(*words):
    """What a command prints with `--json`: a list, or one object a line."""
    text = flowtell(*words, "--json")
    return json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]


def events(kind):
    """The oldest first."""
    return sorted(listed("events", "--type", kind), key=lambda event: event["time"])


def ends(task):
    return [event.get("state", "completed") for event in events("task_run.finished") if event["task"] == task]


def test_a_cron_script_retries_and_its_prints_are_logs(folder):
    """A folder that is away is tried three more times; one that is there comes into the report."""
    done = example("disk_report.py", "/")
    assert done.stdout.startswith("/: ")
    (run,) = listed("runs")
    assert run["state"] == "completed"
    assert "% free" in flowtell("logs", run["id"])
    assert (folder / "disk.txt").read_text().startswith("/\t0.")


@pytest.mark.slow
def test_a_share_that_is_away_for_a_moment_does_not_fail_the_report(folder):
    share = folder / "share"
    process = subprocess.Popen([sys.executable, str(EXAMPLES / "disk_report.py"), str(share)])
    until = time.monotonic() + 20
    while not events("task_run.retrying"):
        assert time.monotonic() < until
    share.mkdir()
    assert process.wait(30) == 0
    assert listed("runs")[0]["state"] == "completed"


def test_training_again_with_another_rate_computes_the_fit_alone():
    first, second = example("train.py", "0.5"), example("train.py", "0.3")
    assert "reading 2025" in first.stdout
    assert "reading" not in second.stdout
    assert "rate 0.3: typically 1.9" in second.stdout
    assert [ends(task) for task in ("readings", "features", "fit")] == [["completed", "cached"]] * 2 + [["completed"] * 2]


def test_thousands_of_documents_are_embedded_side_by_side(folder):
    example("embed.py", "2000")
    lines = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    assert len(lines) == 2000
    assert lines[7]["text"] == "Note 7: the missing partition and a full disk"
    assert {len(line["vector"]) for line in lines} == {32}
    (run,) = listed("runs")
    assert run["state"] == "completed"
    (made,) = events("asset.materialized")
    assert (made["rows"], made["bytes"]) == (2000, (folder / "index.jsonl").stat().st_size)


def test_the_agent_falls_back_to_a_better_model():
    done = example("answer.py", "How many days has a week?")
    assert done.stdout == "A week has seven days.\n"
    assert [line.rpartition("scores ")[2] for line in done.stderr.splitlines() if "scores" in line] == [
        "0.6: seven", "1.0: A week has seven days.",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "printed"),
    [
        ({"verdict": "rewrite", "text": "Nobody knows."}, "Nobody knows."),
        ({"verdict": "send"}, "I do not know."),
        ({"verdict": "drop"}, "None"),
    ],
    ids=["rewrite", "send", "drop"],
)
def test_the_agent_pauses_for_a_review_where_no_answer_is_good_enough(answer, printed):
    """What does not fit the model is refused, and the run waits on."""
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "answer.py"), "Why?"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        until = time.monotonic() + 20
        while not (paused := events("flow_run.paused")):
            assert time.monotonic() < until
        run = paused[0]["run"]
        assert "I do not know" in json.dumps(paused[0]["schema"])
        assert "verdict" in call(FLOWTELL, "resume", run, "verdict=perhaps", code=1).stderr
        flowtell("resume", run, "--answer", json.dumps(answer))
        assert process.communicate(timeout=20)[0] == f"{printed}\n"
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.slow
def test_an_upload_begins_the_flow_that_loads_it(house, folder):
    """Through the event alone: with its day, and with the event as its cause."""
    house.server()
    serving = house.child(EXAMPLES / "uploads.py", "serve")
    house.until(lambda: house.sql("SELECT 1 FROM events WHERE type='deployment.declared'"), 30, "it is served")
    example("uploads.py", "2026-11-20")
    loaded = "SELECT state, parameters, cause FROM runs WHERE flow='load' AND ended IS NOT NULL"
    house.until(lambda: house.sql(loaded), 30, "it was loaded")
    assert house.sql(loaded) == [("completed", '{"day":"2026-11-20"}', "automation")]
    (made,) = events("asset.materialized")
    assert (made["rows"], made["partition"]) == (24, "2026-11-20")
    serving.send_signal(signal.SIGTERM)
    serving.wait(20)


@pytest.mark.slow
def test_a_month_is_filled_and_one_run_groups_it():
    month = ("backfill", f"{EXAMPLES}/month.py:takings", "--from", "2026-10-01", "--to", "2026-10-31")
    flowtell(*month, "--parallel", "4")
    runs = listed("runs", "--limit", "100")
    assert {run["state"] for run in runs} == {"completed"}
    assert len(runs) == 32
    made = {event["partition"]: event["rows"] for event in events("asset.materialized")}
    assert len(made) == 31
    assert made["2026-10-04"] == 0, "a Sunday"
    again = json.loads(flowtell(*month, "--json"))
    assert (again["completed"], again["skipped"]) == (0, 31)


def test_the_night_in_berlin_is_due_at_two_by_the_clocks_there():
    """Whoever starts it by hand has the books of the day before too."""
    process = subprocess.Popen([sys.executable, str(EXAMPLES / "berlin.py")], stderr=subprocess.PIPE)
    try:
        until = time.monotonic() + 20
        while not (served := listed("deployments")):
            assert time.monotonic() < until
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert served[0]["name"] == "nightly/berlin"
    (declared,) = events("deployment.declared")
    assert [(each["expression"], each["tz"]) for each in declared["schedules"]] == [("0 2 * * *", "Europe/Berlin")]
    yesterday = datetime.now(ZoneInfo("Europe/Berlin")).date() - timedelta(days=1)
    flowtell("run", f"{EXAMPLES}/berlin.py:nightly")
    assert f"the books of {yesterday} are closed" in flowtell("logs", listed("runs")[0]["id"])


@pytest.mark.slow
def test_few_rows_are_told_and_too_few_stop_the_pipeline(house):
    """What is downstream then keeps what it had; the check is a fact of the asset."""

    def incidents():
        return {each["rule"]["kind"]: each["severity"] for each in json.loads(house.get("/api/incidents"))["incidents"]}

    house.server()
    example("row_count.py", "300")
    house.until(lambda: list(incidents()) == ["measured"], 30, "few rows are told")
    example("row_count.py", "10", code=1)
    house.until(lambda: incidents().get("failed") == "critical", 30, "that it stopped is told")
    house.settled()
    made = [event["asset"] for event in events("asset.materialized")]
    assert made == ["file://shop/orders", "file://shop/report"]
    assert [event.get("passed", True) for event in events("asset.checked")] == [True, False]
