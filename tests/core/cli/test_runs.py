"""`flowtell runs` and `flowtell logs`: a list, a page, and what a run said."""

from __future__ import annotations

import threading
import time

from flowtell import bus, flow, get_run_logger


def test_runs_are_listed_newest_first_for_a_pipe(flowtell, history):
    """One line a run, values divided by tabs, ids and times whole."""
    outcome = flowtell("runs")
    assert (outcome.code, outcome.err) == (0, "")
    newest, oldest = outcome.rows
    assert [newest[1], newest[3], oldest[1], oldest[3]] == ["broken", "failed", "nightly", "completed"]
    assert len(newest[0]) == 32
    assert oldest[4].endswith("Z")
    assert float(oldest[5]) >= 0
    assert (newest[6], oldest[6]) == ("0", "1")


def test_runs_are_filtered(flowtell, history):
    assert [row[1] for row in flowtell("runs", "--state", "failed", "--state", "crashed").rows] == ["broken"]
    assert [row[1] for row in flowtell("runs", "--flow", "nightly").rows] == ["nightly"]
    assert [row[1] for row in flowtell("runs", "--text", "NIGHT").rows] == ["nightly"]
    assert [row[1] for row in flowtell("runs", "--limit", "1").rows] == ["broken"]
    assert flowtell("runs", "--env", "production").rows == []


def test_runs_as_json(flowtell, history):
    runs = flowtell("runs", "--json").json
    assert [(run["flow"], run["state"]) for run in runs] == [("broken", "failed"), ("nightly", "completed")]
    assert runs[0]["error"]["message"] == "no rows"


def test_an_empty_store_is_told_beside_the_data(flowtell):
    outcome = flowtell("runs")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "No runs yet, or none that match.\n")
    assert flowtell("runs", "--json").json == []


def test_a_run_is_written_as_one_file(flowtell, history, tmp_path):
    """By the beginning of its id; what stands there is replaced, and a place that takes no file says so."""
    broken, _ = flowtell("runs").rows
    path = tmp_path / "run.html"
    path.write_text("before")
    outcome = flowtell("runs", broken[0][:20], "--html", str(path))
    assert (outcome.code, outcome.out) == (0, "")
    assert "broken" in outcome.err
    made = path.read_text()
    assert made.startswith("<!DOCTYPE html>")
    assert "no rows" in made
    assert "<script" not in made
    assert list(tmp_path.iterdir()) == [path]
    assert flowtell("runs", broken[0], "--html", str(tmp_path / "no" / "run.html")).code == 2
    assert flowtell("runs", "--html", str(path)).code == 2
    assert flowtell("runs", "e" * 32, "--html", str(path)).code == 1
    assert path.read_text() == made


def test_a_terminal_gets_a_table_in_colour(terminal, history):
    coloured = terminal("runs", columns=120)
    assert "duration" in coloured.plain
    assert "✘ failed" in coloured.plain
    assert "\x1b[31m" in coloured.out
    without = terminal("runs", columns=120, NO_COLOR="1")
    assert without.plain == coloured.plain
    assert "\x1b[31m" not in without.out


def test_a_narrow_terminal_cuts_names_and_nothing_else(terminal):
    @flow(name="a-flow-with-a-name-that-goes-on-and-on", flow_run_name="a-run-with-a-name-that-goes-on-as-well")
    def verbose() -> None:
        pass

    verbose()
    bus.renew()
    shown = terminal("runs", columns=80).plain
    assert "a-flow-with" in shown
    assert "…" in shown
    assert "✔ completed" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_a_runs_page_tells_all_of_it(flowtell, history):
    (run,) = flowtell("runs", "--flow", "nightly").rows
    page = flowtell("runs", run[0][16:24])
    facts = {row[0]: row[1] for row in page.rows if len(row) == 2}
    assert facts["run"] == run[0]
    assert facts["state"] == "completed"
    assert facts["parameters"] == "day='tuesday'"
    assert facts["tags"] == "shop"
    assert "extract" in page.out
    assert "three rows of tuesday" in page.out


def test_a_failed_runs_page_has_its_traceback(flowtell, history):
    run = flowtell("runs", "--state", "failed").rows[0][0]
    page = flowtell("runs", run)
    assert 'raise ValueError("no rows")' in page.out
    assert page.out.count("Traceback") == 1


def test_a_runs_page_as_json(flowtell, history):
    run = flowtell("runs", "--flow", "nightly").rows[0][0]
    page = flowtell("runs", run, "--json").json
    assert page["run"]["id"] == run
    assert [task["task"] for task in page["task_runs"]] == ["extract"]
    assert [line["message"] for line in page["logs"]] == ["three rows\nof tuesday"]


def test_logs_are_one_line_each_for_a_pipe(flowtell, history):
    run = flowtell("runs", "--flow", "nightly").rows[0][0]
    (line,) = flowtell("logs", run).rows
    assert line[1:3] == ["WARNING", "extract"]
    assert line[-1] == "three rows of tuesday"
    (record,) = flowtell("logs", run, "--json").json_lines
    assert (record["level"], record["message"]) == ("WARNING", "three rows\nof tuesday")
    assert flowtell("logs", run, "--after", str(record["seq"])).out == ""


def test_logs_are_followed_until_the_run_has_ended(flowtell):
    """Also what the run says while somebody reads, and its last word."""
    go_on = threading.Event()
    started = threading.Event()

    @flow(name="slow")
    def slow() -> None:
        get_run_logger().warning("first")
        started.set()
        go_on.wait(20)
        get_run_logger().warning("last")

    worker = threading.Thread(target=slow, daemon=True)
    worker.start()
    started.wait(20)
    run = flowtell("runs", "--flow", "slow").rows[0][0]
    threading.Timer(0.7, go_on.set).start()
    began = time.monotonic()
    outcome = flowtell("logs", run, "--follow", "--json")
    worker.join()
    assert [record["message"] for record in outcome.json_lines] == ["first", "last"]
    assert time.monotonic() - began >= 0.6
