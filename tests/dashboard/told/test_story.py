"""What the log tells of one run, event by event, as its page shows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from flowtell import events as e
from flowtell.ids import new_id
from flowtell.testing import PluginHarness
from flowtell_dashboard.told.markdown import markdown
from flowtell_dashboard.told.sections import sections
from flowtell_dashboard.told.story import Wait, read_story

SECOND = 1_000_000
MARKUP = '<img src=x onerror="alert(1)">'


@pytest.fixture
def told(house: PluginHarness) -> Callable[..., str]:
    """`told((kind, fields), …)`: one run that says all this, a second apart; its id."""

    def feed(*said: tuple[type[e.Event], dict[str, Any]]) -> str:
        start, run = house.clock(), new_id(house.clock())
        house.feed(
            kind(**{"id": new_id(start + at * SECOND), "time": start + at * SECOND, "run": run, "flow": "etl", **fields})
            for at, (kind, fields) in enumerate(said)
        )
        return run

    return feed


@pytest.fixture
def shown(house: PluginHarness, words: Callable[[Any], str]) -> Callable[[str], str]:
    return lambda run: words(sections(read_story(house.store.read, run)))


def test_each_change_of_state_is_told_with_its_cause(told: Any, house: PluginHarness) -> None:
    """Also one that came after the end, which changed nothing and is marked as such."""
    broken = e.Failure(type="KeyError", message="'day'")
    run = told(
        (e.FlowRunWaiting, {"reason": "limit", "on": (e.WaitsOn(kind="limit", name="db"),)}),
        (e.FlowRunStarted, {"cause": "schedule", "machine": "m"}),
        (e.FlowRunRetrying, {"attempt": 1, "delay": 2.5, "error": broken}),
        (e.FlowRunPaused, {"key": "approve"}),
        (e.FlowRunResumed, {"actor": "ann"}),
        (e.FlowRunCancelling, {"actor": "ben", "reason": "wrong day"}),
        (e.FlowRunFinished, {"state": "cancelled", "signal": "SIGTERM"}),
        (e.FlowRunFinished, {"state": "completed"}),
    )
    changes = read_story(house.store.read, run).changes
    assert [(each.state, each.cause, each.contrary) for each in changes] == [
        ("waiting", "limit, limit db", False),
        ("running", "cause schedule, on m", False),
        ("retrying", "attempt 1 failed, KeyError: 'day', again after 2.5 s", False),
        ("paused", "asks approve", False),
        ("running", "by ann", False),
        ("cancelling", "by ben, wrong day", False),
        ("cancelled", "SIGTERM", False),
        ("completed", "", True),
    ]


def test_waits_between_attempts_are_told_apart(told: Any, house: PluginHarness) -> None:
    task = {"task_run": new_id(), "task": "load"}
    start = house.clock()
    run = told(
        (e.FlowRunStarted, {}),
        (e.TaskRunStarted, task),
        (e.TaskRunRetrying, {**task, "attempt": 1, "delay": 3.0}),
        (e.TaskRunRetrying, {**task, "attempt": 2, "delay": 0.5}),
    )
    waits = read_story(house.store.read, run).waits[task["task_run"]]
    assert waits == [
        Wait(start + 2 * SECOND, start + 5 * SECOND),
        Wait(start + 3 * SECOND, start + 3 * SECOND + SECOND // 2),
    ]


def test_measures_assets_and_artifacts_are_shown(told: Any, shown: Any) -> None:
    """The last value and what it lay between; what was read for what was made; the last of a key."""
    upstream = (e.UpstreamAsset(asset="file://raw", evidence="declared"),)
    run = told(
        (e.FlowRunStarted, {}),
        (e.MeasureRecorded, {"name": "rows", "value": 100.0, "task": "load"}),
        (e.MeasureRecorded, {"name": "rows", "value": 250.5, "task": "load"}),
        (e.AssetObserved, {"asset": "file://raw", "role": "read"}),
        (e.AssetMaterialized, {"asset": "db://clean", "rows": 1234, "upstream": upstream, "by": "sql"}),
        (e.ArtifactCreated, {"key": "done", "kind": "progress", "data": 20}),
        (e.ArtifactCreated, {"key": "done", "kind": "progress", "data": 60.5}),
        (e.ArtifactCreated, {"key": "report", "kind": "table", "data": [{"day": "Mon", "sum": 3}, {"day": "Tue"}]}),
        (e.ArtifactCreated, {"key": "site", "kind": "link", "data": {"link": "https://a.example/x", "text": "the site"}}),
    )
    page = shown(run)
    for said in ("250.5", "100 to 250.5", "1,234 rows", "declared: file://raw", "60.5 %", "Tue", "the site"):
        assert said in page, said
    assert "20 %" not in page


def test_transactions_are_shown(told: Any, shown: Any) -> None:
    """Begun and ended, with the tasks that were undone and why."""
    error = e.Failure(type="ValueError", message="the sums differ")
    run = told(
        (e.FlowRunStarted, {}),
        (e.TransactionBegun, {"key": "day-1"}),
        (e.TransactionRolledBack, {"key": "day-1", "tasks": ("write", "publish"), "error": error}),
    )
    page = shown(run)
    for said in ("Transactions", "begun", "rolled back", "day-1", "write, publish", "ValueError: the sums differ"):
        assert said in page, said


def test_an_artifact_without_a_key_is_moved_on_by_its_id(told: Any, shown: Any) -> None:
    """The later one stands in its place; another without a key beside it. A description is shown."""
    run = told(
        (e.FlowRunStarted, {}),
        (e.ArtifactCreated, {"id": "f" * 32, "kind": "progress", "data": 12.5}),
        (e.ArtifactCreated, {"kind": "progress", "data": 77.5, "artifact": "f" * 32, "description": "Rows read."}),
        (e.ArtifactCreated, {"kind": "progress", "data": 33.5}),
    )
    page = shown(run)
    assert ("12.5 %" in page, "77.5 %" in page, "33.5 %" in page, "Rows read." in page) == (False, True, True, True)


def test_what_a_flow_wrote_is_never_executed(told: Any, house: PluginHarness) -> None:
    """Markup stays text, and an address of another kind than a page's is no link."""
    run = told(
        (e.FlowRunStarted, {}),
        (e.ArtifactCreated, {"key": "a", "kind": "link", "data": "javascript:alert(1)"}),
        (e.ArtifactCreated, {"key": "b", "kind": "markdown", "data": f"# {MARKUP}\n[x](javascript:alert(1))"}),
        (e.ArtifactCreated, {"key": "c", "kind": "table", "data": {"x": [MARKUP]}}),
    )
    parts = json.dumps(sections(read_story(house.store.read, run)), default=lambda each: each.to_plotly_json())
    assert '"href"' not in parts
    assert "dangerously" not in parts.lower()
    assert parts.count("<img src=x") == 2


def test_markdown_keeps_every_line(words: Callable[[Any], str]) -> None:
    text = "# Sums\n\nfirst **bold** line\nsecond `code` line\n- one\n- two\n\n```\n<b>raw</b>\n"
    said = words(markdown(text))
    for part in ("Sums", "first", "bold", "second", "code", "one", "two", "<b>raw</b>"):
        assert part in said, part


def test_the_story_is_asked_by_its_index(told: Any, watched: Any) -> None:
    read_story(watched, told((e.FlowRunStarted, {})))
    assert all("USING INDEX events_told" in plan and "LIMIT" in said for said, plan in watched.asked)
