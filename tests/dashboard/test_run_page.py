"""A run's page tells what happened, by whichever id one has of it."""

from __future__ import annotations

import pytest
from dash import html

from flowtell.events import Failure, FlowRunFinished, FlowRunStarted, LogRecorded, TaskRunFinished, TaskRunStarted
from flowtell.ids import new_id, span_id
from flowtell_dashboard.run_page import TASK_RUNS, read_run_page, wanted_page, wanted_run
from flowtell_dashboard.settings import Settings

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def run(house):
    """A failed run in a trace of its caller's, with one task run and one log line."""
    moment = house.clock()
    run, task = new_id(moment), new_id(moment)
    error = Failure(type="KeyError", message="'day'", traceback="Traceback (most recent call last):\n  …")
    mine = {"run": run, "flow": "etl", "environment": "test"}
    tasks = {**mine, "task_run": task, "task": "load"}
    house.feed(
        [
            FlowRunStarted(
                id=new_id(moment), time=moment, name="brisk", trace=TRACE, parameters={"n": 3}, machine="m", pid=7, **mine
            ),
            TaskRunStarted(id=new_id(moment), time=moment, map_index=2, **tasks),
            LogRecorded(id=new_id(moment), time=moment, level="WARNING", message="<b>odd</b> row", **tasks),
            TaskRunFinished(id=new_id(moment), time=moment, state="failed", error=error, duration=0.5, **tasks),
            FlowRunFinished(
                id=new_id(moment),
                time=moment + 1_500_000,
                state="failed",
                error=error,
                duration=1.5,
                cpu_seconds=0.25,
                peak_memory=50_000_000,
                **mine,
            ),
        ]
    )
    return run


@pytest.fixture
def page(house):
    return lambda wanted, number=1: read_run_page(house.store.read, wanted, number)


def test_the_run_is_found_by_its_own_its_spans_and_its_traces_id(page, run):
    """Whole or the beginning, in any case, with dashes."""
    for wanted in (run, run[:20], span_id(run), TRACE, TRACE.upper(), f"{run[:8]}-{run[8:12]}-{run[12:]}"):
        assert page(wanted).title == "Failed: brisk", wanted


def test_facts_are_shown_and_what_is_unknown_is_left_out(page, run, words):
    facts = words(page(run).facts)
    for fact in ("1 of 1 ended", "m, process 7", "0.25 s", "48 MB", run, span_id(run), TRACE, "n", "3"):
        assert fact in facts
    assert "Due" not in facts
    assert "Deployment" not in facts


@pytest.mark.parametrize(
    ("address", "linked"), [("https://prefect/runs/1", True), ("javascript:alert(1)", False)], ids=["a page", "a script"]
)
def test_a_run_of_a_source_has_a_link_to_its_page_there(house, page, words, address, linked):
    """And names of parameters whose values stay there. What is no web page is not linked."""
    moment = house.clock()
    one = new_id(moment)
    with house.store.write() as transaction:
        house.store.log.writer(transaction, "theirs", "journal", source="prefect")
    house.feed(
        [FlowRunStarted(id=new_id(moment), time=moment, run=one, flow="f", url=address, parameters={"day": None})],
        writer="theirs",
    )
    facts = page(one).facts
    assert ("prefect: its page there" in words(facts), "stays in prefect" in words(facts)) == (linked, True)
    assert (address in str(facts)) == linked


def test_the_error_comes_with_its_traceback(page, run, words):
    assert words(page(run).error).startswith("Why it failed KeyError 'day' Traceback")


def test_task_runs_are_there(page, run):
    shown = page(run)
    assert [(row["task"], row["index"], row["word"], row["error"]) for row in shown.task_rows] == [
        ("load", 2, "Failed", "KeyError: 'day'")
    ]
    assert shown.task_summary == "1 of 1 shown, 1 ended"


def test_a_running_run_grows_from_its_start(house, page):
    """The browser counts on from the start; nothing is fetched for that."""
    moment = house.clock()
    run = new_id(moment)
    house.feed([FlowRunStarted(id=new_id(moment), time=moment, run=run, flow="slow")])
    assert f"data-since='{moment}'" in str(page(run).facts)
    assert page(run).title == "Running: slow"


@pytest.mark.parametrize("wanted", ["", "abc", "nonsense", "../etc/passwd", "f" * 32, "%", "<script>"], ids=range(7))
def test_an_unknown_id_has_a_page_that_says_so(page, words, wanted):
    shown = page(wanted)
    assert shown.found == "no"
    assert "Run not found" in words(shown.head)
    assert wanted in words(shown.head)
    assert shown.task_rows == []


def test_an_ambiguous_id_asks_for_more_digits(page, run, house, words):
    moment = house.clock()
    house.feed([FlowRunStarted(id=new_id(moment), time=moment, run=run[:-1] + "x", flow="twin")])
    assert "Give more" in words(page(run[:16]).head)


def test_a_large_run_is_turned_over_page_by_page_and_counted_exactly(house, page, words):
    """No answer grows with the run, and none of its task runs is out of reach."""
    moment = house.clock()
    run = new_id(moment)
    mine = {"run": run, "flow": "wide"}
    house.feed([FlowRunStarted(id=new_id(moment), time=moment, **mine)])
    house.feed(
        TaskRunStarted(id=new_id(moment), time=moment, task_run=new_id(moment), task="t", **mine)
        for _ in range(TASK_RUNS + 5)
    )
    first, last = page(run), page(run, 2)
    assert "1 to 1,000 of 1,005 shown, 0 ended" in words(html.Span(first.task_summary))
    assert "1,001 to 1,005 of 1,005 shown" in words(html.Span(last.task_summary))
    seen = [row["id"] for shown in (first, last) for row in shown.task_rows]
    assert len(seen) == len(set(seen)) == TASK_RUNS + 5
    assert [row["id"] for row in page(run, 99).task_rows] == seen[TASK_RUNS:]


def test_the_address_says_which_page_and_a_hand_edited_one_the_first():
    assert wanted_page("http://127.0.0.1:4727/runs/abc?tasks=3") == ("abc", 3)
    for odd in ("0", "-1", "x", "9" * 30, "", "²"):
        assert wanted_page(f"/runs/abc?tasks={odd}") == ("abc", 1)


def test_the_trace_is_linked_where_the_template_leads(house, run):
    settings = Settings("https://tempo.example/trace/{trace}")
    assert f"https://tempo.example/trace/{TRACE}" in str(read_run_page(house.store.read, run, 1, settings).head)
    assert "Trace" not in str(read_run_page(house.store.read, run).head)


def test_every_query_is_bounded_and_walks_an_index(run, watched):
    """By the run's id, or with a limit; nothing is sorted."""
    read_run_page(watched, run)
    for said, plan in watched.asked:
        assert "LIMIT" in said or "runs.id =" in said or "runs.id IN" in said, said
        assert "SCAN" not in plan.replace("SCAN (", "").replace("SCAN anon", ""), plan
        assert "ORDER BY" not in plan, plan


def test_the_id_is_what_follows_in_the_address():
    assert wanted_run("/runs/abc/") == "abc"
    assert wanted_run(None) == ""
